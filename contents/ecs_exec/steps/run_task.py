"""Runs tasks to their end: starts them once, shows their logs, and ends with the exit code of their container."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from ecs_exec.ecs.api import list_field, whole_list
from ecs_exec.ecs.descriptions import checked
from ecs_exec.ecs.failures import THROTTLED
from ecs_exec.errors import (
    EXIT_ABORTED,
    EXIT_NOT_RUN,
    EXIT_TIMEOUT,
    AwsError,
    CommandError,
    EcsExecError,
    TargetError,
    Where,
)
from ecs_exec.errors.causes import stopped_reasons
from ecs_exec.errors.causes.readiness import how_it_ended
from ecs_exec.retry import CALL
from ecs_exec.settings.run_task import RunTask
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.steps import log_streams, task_request
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.line_joiner import short_names
from ecs_exec.steps.log_reader import LogReader
from ecs_exec.steps.task_end import advice, end_of, has_run, named
from ecs_exec.streams import OutputClosed, OutputStreams
from ecs_exec.task_description import Described, short
from ecs_exec.text import one_line

_LOOK_EVERY = 1.0
_LATER_EVERY = 4.0
"""Seconds between polls of the tasks and their logs. After `_LATER`, polls are rarer: the account shares the rates."""
_LATER = 15.0
_REQUEST = 30.0
"""Seconds for which a request without an answer is repeated."""
_GRACE = 2.0
"""Seconds that a request may go on after an abort: its answer names the tasks that have to be stopped."""
_STOP_WITHIN = 10.0
"""Seconds for all calls after an abort."""
_UNSEEN = 600.0
"""Seconds for which the tasks may be impossible to describe."""
_AFTER_TIMEOUT = 60.0
"""Seconds to wait for the end of tasks that were stopped after a timeout; ECS kills containers after 30 by default."""


class TaskRun:
    """One run of the step."""

    def __init__(self, asked: RunTask, caller: Caller, interrupts: Interrupts, streams: OutputStreams) -> None:
        """Take what is asked for; nothing is called yet."""
        self._asked = asked
        self._caller = caller
        self._interrupts = interrupts
        self._streams = streams
        self._token = uuid.uuid4().hex
        self._container = ""
        self._definition: Described = {}
        self._requested = False
        self._unplaced: EcsExecError | None = None
        """Why there are fewer tasks than asked for."""
        self._tasks: dict[str, Described] = {}
        """The last descriptions, by ARN."""
        self._names: Mapping[str, str] = {}
        self._shown: dict[str, str] = {}
        self._read: set[tuple[str, str]] = set()
        """Tasks and containers whose logs are read."""
        self._logs = LogReader(caller, streams.out)
        self._began = 0.0

    def run(self) -> int:
        """Start the tasks, and follow them to their end; return the exit status. Raises EcsExecError."""
        try:
            request = self._plan()
            self._began = self._caller.clock()
            self._start(request)
            if not self._asked.wait:
                return EXIT_NOT_RUN if self._say_unplaced() else 0
            return self._follow()
        except (Aborted, OutputClosed):
            return self._abort()
        except EcsExecError as error:
            if self._tasks:
                error.add_effect(f"not stopped: {self._which(self._tasks)}")
            raise

    # --- The start

    def _plan(self) -> dict[str, Any]:
        """Return the request; nothing is started. Raises EcsExecError."""
        service = self._service() if self._asked.service else {}
        name = task_request.definition_of(self._asked, service)
        self._definition = self._caller.patiently(lambda: self._caller.aws.describe_task_definition(name))
        if self._definition.get("status") == "INACTIVE":
            runs = short(str(self._definition.get("taskDefinitionArn", name)))
            raise TargetError(name="task-definition-inactive", where=self._place(), definition=runs)
        self._container = task_request.container_of(self._asked, self._definition)
        return task_request.request(self._asked, self._definition, service, self._container, self._token)

    def _service(self) -> Described:
        where, cluster, name = self._place(), self._asked.cluster, self._asked.service
        what = f"service {short(name)} in cluster {short(cluster)}"
        parameters = {"cluster": cluster, "services": [name], "include": ["TAGS"]}
        answer = self._caller.patiently(lambda: self._caller.aws.call("ecs", "DescribeServices", what, **parameters))
        found = list_field(answer, "services", "ecs:DescribeServices", Mapping)
        if found and found[0].get("status") == "INACTIVE":
            raise TargetError(name="service-not-active", where=where, state="INACTIVE")
        if not found:
            raise TargetError(name="service-not-described", where=where, service=short(name))
        try:
            service: Described = checked(found[0])
        except ValueError as error:
            said = f"the answer of ecs:DescribeServices cannot be read: {one_line(str(error))}"
            raise AwsError(name="not-aws", said=said) from error
        return service

    def _start(self, request: Mapping[str, Any]) -> None:
        """Request the tasks. A request without an answer is repeated with the same token, which starts nothing twice.

        Raises EcsExecError if no task was started, or if that is not known.
        """
        self._requested = True
        answer = self._request(request)
        arns = [str(task.get("taskArn")) for task in list_field(answer, "tasks", "ecs:RunTask", Mapping)]
        self._take(arns)
        failures = [item for item in answer.get("failures") or [] if isinstance(item, Mapping)]
        if len(arns) < self._asked.number:
            self._unplaced = self._not_placed(failures, len(arns))
            if not arns:
                raise self._unplaced
        definition = short(str(self._definition.get("taskDefinitionArn", "")))
        for arn in arns:
            self._caller.line(f"started task {short(arn)} of {definition} in cluster {short(self._asked.cluster)}")
        if self._asked.data:
            self._caller.line(f"RUNDECK:DATA:ecs-task-arn = {','.join(arns)}")

    def _request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        where = f"{short(str(request['taskDefinition']))} in cluster {short(self._asked.cluster)}"
        until = self._caller.clock() + _REQUEST
        unknown = False  # an answer was lost, so a task may have been started
        for tries in count(1):
            try:
                with self._interrupts.immediate(_GRACE):
                    return self._caller.aws.call("ecs", "RunTask", where, **request)
            except AwsError as error:
                unknown = unknown or (_is_open(error) and error.code not in THROTTLED)
                if not _is_open(error) or self._caller.clock() + CALL.most(tries) >= until:
                    self._requested = unknown
                    if unknown:
                        error.add_effect(
                            "it is not known whether ECS started a task: look for tasks that"
                            f" {request['startedBy']} started"
                        )
                    raise
                self._streams.debug(f"{error}; trying again with the same token")
            self._caller.pause(CALL.delay(tries))
        raise AssertionError  # counting has no end

    def _take(self, arns: list[str]) -> None:
        ids = short_names(short(arn) for arn in arns)
        self._names = {arn: ids[short(arn)] for arn in arns}
        self._tasks = {arn: {"taskArn": arn, "lastStatus": "PROVISIONING"} for arn in arns}

    def _not_placed(self, failures: list[Mapping[str, Any]], started: int) -> EcsExecError:
        """Return the error for tasks that ECS did not start, with the cause if its words show one."""
        texts = [" ".join(str(item[name]) for name in ("reason", "detail") if item.get(name)) for item in failures]
        said = "; ".join(dict.fromkeys(filter(None, texts))) or "ECS gives no reason"
        effect = f"{started} of {self._asked.number} tasks started" if started else "no task started"
        name = stopped_reasons.name(said) or "task-not-placed"
        return TargetError(name=name, where=self._place(), effect=effect, said=said)

    def _say_unplaced(self) -> bool:
        if self._unplaced is not None:
            self._streams.say(str(self._unplaced))
        return self._unplaced is not None

    # --- The way to the end

    def _follow(self) -> int:
        """Show statuses and logs until all tasks have stopped; return the exit status."""
        for one in log_streams.hidden(self._definition):
            self._caller.line(f"the output of container {one.container} is not shown: {one.why}")
        if not self._until_stopped(self._asked.timeout):
            return self._time_out()
        self._read_rest()
        return self._end()

    def _until_stopped(self, limit: float) -> bool:
        """Follow the tasks until all have stopped; return False if the limit came first, in seconds; 0: none."""
        look_at, seen = self._caller.clock(), self._caller.clock()
        until = self._began + limit if limit else math.inf
        while True:
            now = self._caller.clock()
            passed = now - self._began
            pause = _LOOK_EVERY if passed < _LATER else _LATER_EVERY
            if now >= look_at:
                seen = now if self._look(until) else seen
                look_at = now + pause
                if now - seen >= _UNSEEN:
                    raise CommandError(name="tasks-not-described", where=self._place())
            _, more = self._logs.read(until)
            if not self._unstopped():
                return True
            if limit and passed >= limit:
                return False
            if not more:
                self._caller.pause(min(pause, max(0.0, limit - passed)) if limit else pause)

    def _unstopped(self) -> list[str]:
        return [arn for arn, task in self._tasks.items() if task.get("lastStatus") != "STOPPED"]

    def _look(self, until: float) -> bool:
        """Describe the tasks before `until`, and show what is new; return whether ECS knew all of them.

        Right after their start, ECS may not know them yet. Raises AwsError if the call is refused.
        """
        arns = self._unstopped()
        try:
            described, _ = self._caller.once(lambda: self._caller.aws.describe_tasks(self._asked.cluster, arns), until)
            found = {str(task.get("taskArn")): task for task in described}
        except AwsError as error:
            if not error.transient:
                raise
            self._streams.debug(f"{error}; trying again")
            return False
        for arn in arns:
            if arn in found:
                self._tasks[arn] = found[arn]
                self._show(arn, found[arn])
                self._add_logs(arn, found[arn])
        return set(arns) <= set(found)

    def _show(self, arn: str, task: Described) -> None:
        status = str(task.get("lastStatus", ""))
        if self._shown.get(arn) != status:
            self._shown[arn] = status
            name = f"{self._names[arn]}  " if len(self._names) > 1 else ""
            self._caller.line(f"{self._caller.clock() - self._began:5.0f} s  {name}{status}")

    # --- Logs

    def _add_logs(self, arn: str, task: Described) -> None:
        """Read the logs of the task's containers whose streams are known by now."""
        names = log_streams.shown(self._definition)
        for name in names:
            stream = log_streams.stream_of(task, self._definition, name)
            if stream is None or (arn, name) in self._read:
                continue
            self._read.add((arn, name))
            parts = [self._names[arn]] if len(self._names) > 1 else []
            parts += [name] if len(names) > 1 else []
            self._logs.add(stream, f"container {name}", f"{'/'.join(parts)}: " if parts else "")

    def _read_rest(self) -> None:
        """Read the logs until no line has come for the time that the step has for that, and say what is missing."""
        last = self._caller.clock()
        if not any(has_run(task) for task in self._tasks.values()):
            return
        while any(not source.given_up for source in self._logs.sources):
            number, more = self._logs.read()
            now = self._caller.clock()
            last = now if number else last
            if more:
                continue
            if now - last >= self._asked.log_wait:
                break
            self._caller.pause(min(_LOOK_EVERY, max(0.0, self._asked.log_wait - (now - last))))
        for source in self._logs.sources:
            if source.failure is not None:
                self._streams.say(f"the output of {source.name} is not complete: {source.failure}")
            elif not source.exists:
                self._caller.line(f"no output of {source.name}: there is no {source.stream}")

    # --- The end

    def _end(self) -> int:
        """Say how the tasks ended; return the exit status."""
        statuses = []
        for arn, task in self._tasks.items():
            where = Where(short(self._asked.cluster), short(arn), region=self._caller.aws.region)
            end = end_of(task, self._container, where)
            statuses.append(end.status)
            self._caller.line(f"{named(task)} has stopped: {_how(task)}")
            if self._asked.data and end.exit_code is not None and len(self._tasks) == 1:
                self._caller.line(f"RUNDECK:DATA:ecs-exit-code = {end.exit_code}")
            if end.fault is not None:
                self._streams.say(str(end.fault))
            elif end.status:
                for line in advice(task):
                    self._caller.line(line)
        if self._asked.data and len(self._tasks) > 1:
            self._caller.line(f"RUNDECK:DATA:ecs-exit-code = {max(statuses)}")
        if self._say_unplaced():
            statuses.append(EXIT_NOT_RUN)
        return max(statuses)

    def _time_out(self) -> int:
        """Stop the tasks after the timeout, and show their end if it comes soon; return the exit status."""
        arns = self._unstopped()
        failed, problem = self._stop(arns, self._asked.timed_out)
        what = f"timed out after {self._asked.timeout} s"
        if problem is not None:
            self._streams.say(f"{what}; not stopped: {self._which(failed)}: {problem}")
            return EXIT_TIMEOUT
        self._streams.say(f"{what}; ECS received the request to stop {self._which(arns)}")
        passed = self._caller.clock() - self._began
        if not self._until_stopped(passed + _AFTER_TIMEOUT):
            self._streams.say(f"ECS continues to stop {self._which(self._unstopped())}")
            return EXIT_TIMEOUT
        self._read_rest()
        for task in self._tasks.values():
            self._caller.line(f"{named(task)} has stopped: {_how(task)}")
        return EXIT_TIMEOUT

    def _abort(self) -> int:
        """Stop the tasks after an abort, and say so; return the exit status."""
        self._interrupts.acknowledge()
        self._streams.drop_when_blocked = True
        what = f"aborted by {self._interrupts.name}" if self._interrupts.name else "nobody reads the output"
        failed: list[str] = []
        problem: EcsExecError | None = None
        done = False
        with self._interrupts.at_most(_STOP_WITHIN):
            if self._requested and not self._tasks:
                self._find()
            failed, problem = self._stop(self._unstopped(), self._asked.aborted)
            done = True
        arns = self._unstopped()
        if not done or problem is not None:
            why = f": {problem}" if problem is not None else f": no answer within {_STOP_WITHIN:.0f} s"
            which = self._which(failed or arns) if arns else f"tasks that {self._started_by} started"
            self._streams.say(f"{what}; not stopped: {which}{why}")
        elif arns:
            them = "them" if len(arns) > 1 else "it"
            self._streams.say(
                f"{what}; ECS received the request to stop {self._which(arns)} and continues to stop {them}"
            )
        elif self._tasks:
            self._streams.say(f"{what}; all tasks had stopped")
        elif self._requested:
            self._streams.say(
                f"{what}; it is not known whether ECS started a task: look for tasks that {self._started_by} started"
            )
        else:
            self._streams.say(f"{what}; no task was started")
        return EXIT_ABORTED

    @property
    def _started_by(self) -> str:
        return task_request.started_by(self._asked.execution, self._token)

    def _find(self) -> None:
        """Find the tasks of a request whose answer did not come before an abort."""
        cluster, starter = self._asked.cluster, self._started_by
        where = f"tasks that {starter} started in cluster {short(cluster)}"
        parameters = {"cluster": cluster, "startedBy": starter}

        def page(token: str) -> tuple[list[str], str]:
            more = {"nextToken": token} if token else {}
            answer = self._caller.aws.call("ecs", "ListTasks", where, **parameters, **more)
            return list_field(answer, "taskArns", "ecs:ListTasks"), str(answer.get("nextToken") or "")

        try:
            found, _ = self._caller.aws.describe_tasks(cluster, whole_list("ecs:ListTasks", where, page))
        except AwsError as error:
            self._streams.debug(str(error))
        else:
            # They will be stopped: a server that ignores the filter must not cost other people their tasks.
            self._take([str(task.get("taskArn")) for task in found if task.get("startedBy") == starter])

    def _stop(self, arns: list[str], reason: str) -> tuple[list[str], EcsExecError | None]:
        """Request the stop of tasks; return those that could not be stopped, and the last failure."""
        failed: list[str] = []
        failure: EcsExecError | None = None
        for arn in arns:
            try:
                self._caller.stop(self._asked.cluster, arn, reason)
            except AwsError as error:
                failure = error
                failed.append(arn)
        return failed, failure

    def _which(self, arns: Iterable[str]) -> str:
        ids = ", ".join(short(arn) for arn in arns)
        return f"task{'s' if ',' in ids else ''} {ids}"

    def _place(self) -> Where:
        return Where(short(self._asked.cluster), region=self._caller.aws.region)


def _is_open(error: AwsError) -> bool:
    """Return whether ECS may have started tasks in spite of the error, or a repetition may help."""
    return error.transient or error.name == "not-aws"


def _how(task: Described) -> str:
    return how_it_ended(task) or "no reason given"


def run(asked: RunTask, caller: Caller, interrupts: Interrupts, streams: OutputStreams) -> int:
    """Run tasks to their end; return the exit status. Raises EcsExecError."""
    return TaskRun(asked, caller, interrupts, streams).run()
