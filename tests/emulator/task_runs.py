"""Tasks of ecs:RunTask: their commands run in real processes, whose output goes to moto's CloudWatch Logs.

stdout and stderr of a container are one stream, as with Docker's log driver awslogs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from emulator import aws
from emulator.aws import ApiError, Request, Response
from emulator.processes import TAG
from emulator.world import Container, Group, Task, digest

if TYPE_CHECKING:
    from emulator.service import Service

_STARTING = ("PROVISIONING", "PENDING")
_MOST = 10
_BATCH = 1000
"""Most lines that are written into the log at once."""


@dataclass
class Run:
    """A task that was started, and its processes by container."""

    task: Task
    overrides: Mapping[str, Any]
    started_by: str = ""
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    stop_reason: str | None = None
    """None: nobody has asked for its stop."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    killed: bool = False
    """The emulator itself sent SIGKILL."""
    life: asyncio.Task[None] | None = None


class TaskRuns:
    """Starts tasks, and runs them to their end."""

    def __init__(self, service: Service) -> None:
        """Take the service that has the tasks."""
        self._service = service
        self._runs: dict[str, Run] = {}
        self._answers: dict[str, tuple[str, Response]] = {}
        """Request and answer by client token."""
        self._writing: set[asyncio.Task[None]] = set()

    async def run_task(self, request: Request) -> Response:
        """Answer RunTask. A second call with the same token gives the first one's answer, and starts nothing."""
        cluster = self._service.cluster(request)
        token, body = request.text("clientToken"), json.dumps(dict(request.parameters), sort_keys=True)
        if token in self._answers:
            before, answer = self._answers[token]
            if before != body:
                raise ApiError("ConflictException", "The client token was already used with other parameters.")
            return answer
        group = self._group(cluster.groups, request.text("taskDefinition"))
        count = int(request.parameters.get("count") or 1)
        if not 1 <= count <= _MOST:
            raise ApiError("InvalidParameterException", "count should be between 1 and 10.")
        self._check_network(request, group)
        answer = await self._started(request, group, count)
        if token:
            self._answers[token] = (body, answer)
        return answer

    def stops(self, task: Task, reason: str) -> bool:
        """Begin to stop a task that RunTask started; return whether it is one."""
        run = self._runs.get(task.id)
        if run is None:
            return False
        if run.stop_reason is None:
            run.stop_reason = reason
            run.stop.set()
        return True

    async def write(self, task: Task, container: str, lines: Sequence[tuple[int, str]]) -> None:
        """Write lines into the log stream of a container that the world has."""
        item = next(one for one in task.group.containers if one.name == container)
        group, name = item.log["group"], f"{item.log['prefix']}/{container}/{task.id}"
        await self._service.control.make_stream(group, name)
        await self._service.control.log(group, name, [{"timestamp": at, "message": text} for at, text in lines])

    async def end(self) -> None:
        """Kill all processes."""
        lives = [run.life for run in self._runs.values() if run.life is not None]
        for run in self._runs.values():
            _signal(run, signal.SIGKILL)
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        self._runs.clear()
        self._answers.clear()

    # --- The start

    def _group(self, groups: Sequence[Group], name: str) -> Group:
        family, _, revision = name.rpartition("/")[2].partition(":")
        found = [group for group in groups if group.family == family]
        if revision:
            found = [group for group in found if self._service.control.revision(group) == int(revision)]
        if not found:
            raise ApiError("ClientException", "TaskDefinition not found.")
        return found[-1]

    def _check_network(self, request: Request, group: Group) -> None:
        network = request.parameters.get("networkConfiguration") or {}
        if group.launch_type == "FARGATE" and not (network.get("awsvpcConfiguration") or {}).get("subnets"):
            raise ApiError(
                "InvalidParameterException",
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            )

    async def _started(self, request: Request, group: Group, count: int) -> Response:
        if group.refused:
            failures = [{"arn": self._service.arn("container-instance", group.cluster), "reason": group.refused}]
            return aws.answer({"tasks": [], "failures": failures * count})
        tags = {tag["key"]: tag["value"] for tag in request.parameters.get("tags") or []}
        own = replace(group, service="", exec_enabled=bool(request.parameters.get("enableExecuteCommand")), tags=tags)
        runs = []
        for _ in range(count):
            now = time.time()
            task = Task(own, self._new_id(group), self._service.control.revision(group), now, _STARTING[0], "", "")
            self._service.tasks.append(task)
            await self._service.control.add_run(task, tags, request.text("startedBy"))
            runs.append(Run(task, request.parameters.get("overrides") or {}, request.text("startedBy")))
            self._runs[task.id] = runs[-1]
        described = {"cluster": group.cluster, "tasks": [self._service.task_arn(run.task) for run in runs]}
        headers = {**request.headers, "X-Amz-Target": f"{aws.ECS}.DescribeTasks"}
        _, content = await self._service.control.json(replace(request, headers=headers), described)
        for run in runs:
            run.life = asyncio.create_task(self._live(run))
        return aws.answer({"tasks": content["tasks"], "failures": []})

    def started_by(self, task: Task) -> str:
        """Return who started a task."""
        return self._runs[task.id].started_by if task.id in self._runs else task.deployment

    def _new_id(self, group: Group) -> str:
        """Return an ID that is the same in each run."""
        number = sum(run.task.group.family == group.family for run in self._runs.values())
        return digest("run", group.cluster, group.family, str(number))[:32]

    # --- Its life

    async def _live(self, run: Run) -> None:
        task = run.task
        for status in _STARTING:
            task.last_status = status
            if await _within(run.stop.wait(), self._service.quirks.start_takes / len(_STARTING)):
                task.never_ran = True
                return self._stopped(run, "UserInitiated", run.stop_reason or "")
        if task.group.start_fails:
            task.never_ran = True
            return self._stopped(run, "TaskFailedToStart", task.group.start_fails)
        try:
            writers = [asyncio.create_task(self._container(run, item)) for item in task.group.containers]
            await asyncio.sleep(0)
            for writer in writers:
                if writer.done():
                    writer.result()  # a program that is missing
            task.started, task.last_status = time.time(), "RUNNING"
            essential = [writer for writer, item in zip(writers, task.group.containers, strict=True) if item.essential]
            asked = asyncio.create_task(run.stop.wait())
            try:
                await asyncio.wait([asked, *essential], return_when=asyncio.FIRST_COMPLETED)
            finally:
                asked.cancel()
            task.last_status = "DEACTIVATING"
            codes = await self._finish(run, writers)
        except FileNotFoundError as error:
            task.never_ran = True
            said = f'CannotStartContainerError: exec: "{error.filename}": executable file not found in $PATH'
            return self._stopped(run, "TaskFailedToStart", said)
        self._end_containers(run, codes)
        code = "UserInitiated" if run.stop_reason is not None else "EssentialContainerExited"
        return self._stopped(run, code, run.stop_reason or "Essential container in task exited")

    async def _finish(self, run: Run, writers: Sequence[asyncio.Task[int]]) -> list[int]:
        """Stop what still runs, as ECS does; return the exit codes."""
        waiting = [writer for writer in writers if not writer.done()]
        if waiting:
            _signal(run, signal.SIGTERM)
            _, still = await asyncio.wait(waiting, timeout=self._service.quirks.kill_after)
            if still:
                run.killed = True
                _signal(run, signal.SIGKILL)
        return list(await asyncio.gather(*writers))

    def _end_containers(self, run: Run, codes: Sequence[int]) -> None:
        """Note exit codes and reasons: who was killed by nobody here used too much memory."""
        ended = []
        for item, code in zip(run.task.group.containers, codes, strict=True):
            out_of_memory = code == 137 and not run.killed
            reason = "OutOfMemoryError: Container killed due to memory usage" if out_of_memory else item.reason
            ended.append(replace(item, exit_code=code, reason=reason))
        run.task.group = replace(run.task.group, containers=tuple(ended))

    def _stopped(self, run: Run, code: str, reason: str) -> None:
        task = run.task
        task.stop_code, task.stopped_reason, task.stopped = code, reason, time.time()
        task.last_status = "STOPPED"

    # --- A container

    async def _container(self, run: Run, container: Container) -> int:
        """Run a container's command, and write its output to the log; return the exit code."""
        overrides = run.overrides.get("containerOverrides") or []
        own: Mapping[str, Any] = next((item for item in overrides if item.get("name") == container.name), {})
        env = run.task.environment(container) | {TAG: f"task-{run.task.id}"}
        env |= {item["name"]: item["value"] for item in own.get("environment") or []}
        words = own.get("command") or list(container.command)
        if shutil.which(words[0], path=env["PATH"]) is None:
            raise FileNotFoundError(2, "No such file or directory", words[0])
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=container.workdir,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=1 << 20,
        )
        run.processes[container.name] = process
        await self._write_log(run, container, process)
        status = await process.wait()
        return status if status >= 0 else 128 - status

    async def _write_log(self, run: Run, container: Container, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        group, prefix = container.log.get("group", ""), container.log.get("prefix", "")
        name = f"{prefix}/{container.name}/{run.task.id}" if prefix else run.task.runtime_id(container)
        if not group or container.log.get("driver", "awslogs") != "awslogs":
            while await process.stdout.read(1 << 16):
                pass
            return
        await self._service.control.make_stream(group, name)
        rest = b""
        while data := await process.stdout.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            await self._log(group, name, lines)
        await self._log(group, name, [rest] if rest else [])

    async def _log(self, group: str, name: str, lines: Sequence[bytes]) -> None:
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line.decode(errors="replace")} for line in lines]
        delay = self._service.quirks.log_delay
        for start in range(0, len(events), _BATCH):
            some = events[start : start + _BATCH]
            if delay:
                # The delays are alike, so the order stays.
                loop = asyncio.get_running_loop()
                loop.call_later(delay, lambda some=some: self._later(group, name, some))  # type: ignore[misc]
            else:
                await self._service.control.log(group, name, some)

    def _later(self, group: str, name: str, events: list[dict[str, Any]]) -> None:
        task = asyncio.get_running_loop().create_task(self._service.control.log(group, name, events))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)


async def _within(waiting: Any, seconds: float) -> bool:  # noqa: ANN401 - an awaitable
    """Return whether something happens within so many seconds."""
    try:
        await asyncio.wait_for(waiting, seconds)
    except asyncio.TimeoutError:
        return False
    return True


def _signal(run: Run, number: signal.Signals) -> None:
    """Send a signal as Docker does: SIGTERM to a container's first process, SIGKILL to all."""
    send = os.killpg if number is signal.SIGKILL else os.kill
    for process in run.processes.values():
        if process.returncode is None:
            with suppress(ProcessLookupError):
                send(process.pid, number)
