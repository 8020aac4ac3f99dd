"""Runs a command in a container that the step's fields name, or in all tasks of a service.

For several tasks, this program starts itself once for each task. Signals, timeouts and the end of a session then
concern one process only, and a failure in one does not affect the others. The parent process only passes on whole lines
and signals.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ecs_exec.errors import EXIT_ABORTED, EXIT_NOT_RUN, EXIT_TIMEOUT, TargetError
from ecs_exec.interpreter import OPTIONS
from ecs_exec.settings.steps import RunCommand
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.line_joiner import Lines, short_names
from ecs_exec.streams import OutputBlocked, OutputClosed, OutputStreams
from ecs_exec.task_description import Described, short

_READ = 1 << 16
_FAREWELL = 3.0
"""Seconds for the commands to end after an abort; they stop the processes in their containers within one second."""
_LOOK = 0.1
"""Seconds for which output waits for a reader until the parent checks whether the commands have ended."""
_UNREAD = 0.5
"""Seconds in which nobody has read anything, after which the output of commands that have ended is dropped."""
_NO_RESOURCES = (OSError, MemoryError, RuntimeError)
"""What a start raises if processes, memory, descriptors or threads run out."""

Start = Callable[[str], "subprocess.Popen[bytes]"]
"""Starts the command in one task, given by its ARN."""


class Stream(NamedTuple):
    """Stdout or stderr of a command."""

    lines: Lines
    write: Callable[[bytes], None]


@dataclass
class Command:
    """A command in one task."""

    name: str
    """The short form of its task's id."""
    process: subprocess.Popen[bytes]
    open: int = 2
    """Number of outputs that have not ended."""
    status: int | None = None


@dataclass
class TaskRunner:
    """Runs commands in parallel, at most `at_a_time` of them, and writes their lines."""

    names: Mapping[str, str]
    """The short name of each task, by its ARN, in the order of the starts."""
    at_a_time: int
    start: Start
    interrupts: Interrupts
    streams: OutputStreams
    statuses: dict[str, int] = field(default_factory=dict)
    """Exit statuses so far, by ARN."""
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        """Put all tasks in the queue."""
        self._waiting = deque(self.names)
        self._running: dict[str, Command] = {}
        self._unwritten: deque[tuple[Callable[[bytes], None], bytes]] = deque()
        self._selector = selectors.DefaultSelector()
        self._unread_since: float | None = None

    def run(self) -> dict[str, int]:
        """Run all commands until they end; return the exit status of each. Raises Aborted or OutputClosed."""
        self._selector.register(self.interrupts.wake, selectors.EVENT_READ)
        self.interrupts.before_exit.append(self._terminate)
        try:
            while self._waiting or self._running:
                self._begin_some()
                self.interrupts.check()
                if self._running:
                    self._hand_on(None)
                    self._reap()
        except BaseException:
            self._stop()
            raise
        finally:
            self._selector.close()
        return self.statuses

    def _begin_some(self) -> None:
        while self._waiting and len(self._running) < self.at_a_time:
            arn = self._waiting.popleft()
            try:
                process = self.start(arn)
            except _NO_RESOURCES as error:
                self._put_off(arn, error)
            else:
                self._begin(arn, process)

    def _put_off(self, arn: str, error: Exception) -> None:
        """Start a command later, after another one has ended; if no other one runs, the command has failed."""
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if self._running:
            self._waiting.appendleft(arn)
            self.at_a_time = len(self._running)
            self.streams.say(
                f"running {self.at_a_time} at a time from now on: no more processes can be started here: {why}"
            )
        else:
            self.statuses[arn] = EXIT_NOT_RUN
            self.streams.say(f"{self.names[arn]}: the command was not run: no process can be started here: {why}")

    def _begin(self, arn: str, process: subprocess.Popen[bytes]) -> None:
        command = self._running[arn] = Command(self.names[arn], process)
        for output, write in ((process.stdout, self.streams.out), (process.stderr, self.streams.err)):
            assert output is not None  # noqa: S101 - both are pipes
            stream = Stream(Lines(f"{command.name}: "), write)
            self._selector.register(output, selectors.EVENT_READ, (command, stream))

    def _hand_on(self, seconds: float | None) -> None:
        """Wait for output for at most `seconds`, and write its complete lines."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                continue
            command, stream = key.data
            data = os.read(key.fd, _READ)
            lines = b"".join(stream.lines.receive(data) if data else stream.lines.finish())
            if lines:
                self._unwritten.append((stream.write, lines))
            if not data:
                self._selector.unregister(key.fileobj)
                _close(key.fileobj)
                command.open -= 1
        self._write()

    def _write(self) -> None:
        """Write the complete lines. After a signal, the remaining lines are written by `_stop`."""
        while self._unwritten:
            self.interrupts.check()
            write, lines = self._unwritten.popleft()
            self.streams.limit(_LOOK)
            begun = self.clock()
            try:
                write(lines)
                self._unread_since = None
            except OutputBlocked as blocked:
                self._unwritten.appendleft((write, bytes(blocked.rest)))
                if len(blocked.rest) < len(lines):
                    self._unread_since = None
                elif self._unread_since is None:
                    self._unread_since = begun
                self._give_up_if_over()
            finally:
                self.streams.limit(None)

    def _give_up_if_over(self) -> None:
        """Drop unread output if every command has ended and one has timed out: else the step would never end.

        Without a timeout, output waits for its reader without limit.
        """
        if self._unread_since is None or self.clock() - self._unread_since < _UNREAD:
            return
        ended = [command.process.poll() for command in self._running.values()]
        if None in ended or EXIT_TIMEOUT not in {*ended, *self.statuses.values()}:
            return
        self.streams.drop_when_blocked = True
        self.statuses |= dict.fromkeys(self._waiting, EXIT_NOT_RUN)
        self._waiting.clear()

    def _reap(self) -> None:
        """Collect the exit status of commands whose output has ended; the process then ends, too."""
        for arn, command in list(self._running.items()):
            if not command.open:
                status = command.process.wait()
                self.statuses[arn] = status if status >= 0 else 128 - status
                del self._running[arn]

    def _stop(self) -> None:
        """Stop every command, and show their last lines. A second signal to them does no harm."""
        self.interrupts.acknowledge()
        self.streams.drop_when_blocked = True
        self._waiting.clear()
        self._terminate()
        until = time.monotonic() + _FAREWELL
        with suppress(Aborted, OutputClosed):
            self._write()
            while self._running and time.monotonic() < until:
                self._hand_on(max(0.0, until - time.monotonic()))
                self._reap()
        for command in self._running.values():
            command.process.kill()

    def _terminate(self) -> None:
        for command in self._running.values():
            command.process.terminate()


def _close(stream: object) -> None:
    if hasattr(stream, "close"):
        stream.close()


def run_in_all(
    asked: RunCommand, caller: Caller, interrupts: Interrupts, streams: OutputStreams, environ: Mapping[str, str]
) -> int:
    """Run the command in all tasks; return the highest exit status. Raises EcsExecError if there is no task."""
    timeout = asked.execution.run.timeout
    streams.limit(timeout or None)
    try:
        tasks, what = _tasks(asked, caller)
        ids = short_names(short(arn) for arn in tasks)
        names = {arn: ids[short(arn)] for arn in tasks}
        count = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}"
        caller.line(f"running in {count} of {what}, {min(asked.parallel, len(tasks))} at a time")
        for arn in tasks:
            caller.line(f"{names[arn]} is {arn}")
        statuses = TaskRunner(names, asked.parallel, starter(environ), interrupts, streams).run()
    except (Aborted, OutputClosed):
        return EXIT_ABORTED
    except OutputBlocked:
        streams.say(f"timed out after {timeout} s because nobody read the output; no command was started")
        return EXIT_TIMEOUT
    for line in _summary(statuses, names):
        caller.line(line)
    return max(statuses.values(), default=EXIT_NOT_RUN)


def _tasks(asked: RunCommand, caller: Caller) -> tuple[list[str], str]:
    """Return the ARNs of the running tasks, the oldest first, and the name of their service or family."""
    wanted = asked.execution.wanted
    kind, name = ("service", wanted.service) if wanted.service else ("family", wanted.family)
    what = f"{kind} {short(name)} in cluster {short(wanted.cluster)}"
    found = caller.running(wanted)
    ready = [task for task in found if task.get("lastStatus") == "RUNNING"]
    for task in found:
        if task not in ready:
            caller.line(f"skipped: task {short(str(task.get('taskArn')))} is {task.get('lastStatus')}")
    if not ready:
        raise TargetError(name="no-running-task", owner=what)
    return [str(task.get("taskArn", "")) for task in sorted(ready, key=age)], what


def age(task: Described) -> tuple[float, str]:
    """Return a key that puts the oldest task first."""
    started = task.get("startedAt") or task.get("createdAt")
    return (started.timestamp() if started is not None else 0.0), str(task.get("taskArn", ""))


def starter(environ: Mapping[str, str]) -> Start:
    """Return a function that starts this program for one task, with the same settings in its environment."""
    program = Path(__file__).parents[2] / "run-command.py"
    taken = ("RD_CONFIG_SERVICE", "RD_CONFIG_FAMILY", "RD_CONFIG_ALL_TASKS")
    kept = {name: value for name, value in environ.items() if name not in taken}

    def start(arn: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable or "python3", *OPTIONS, str(program)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=kept | {"RD_CONFIG_TASK": arn},
        )

    return start


def _summary(statuses: Mapping[str, int], names: Mapping[str, str]) -> Iterator[str]:
    """Yield the last line: how many commands succeeded, or which failed."""
    failed: Sequence[str] = [arn for arn in names if statuses.get(arn)]
    if failed:
        told = ", ".join(f"{names[arn]}: {statuses[arn]}" for arn in failed)
        yield f"{len(failed)} of {len(names)} failed, with exit status {told}"
    else:
        yield f"all {len(names)} succeeded" if len(names) > 1 else "succeeded"
