"""Shows the logs of tasks from CloudWatch Logs, in the order of their time, and follows them."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import NamedTuple

from ecs_exec.errors import AwsError, TargetError, Where
from ecs_exec.settings.logs import Logs
from ecs_exec.steps import log_streams
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.line_joiner import Lines
from ecs_exec.steps.log_calls import Event, LogCalls, line_of
from ecs_exec.steps.log_streams import LogStream
from ecs_exec.streams import OutputStreams
from ecs_exec.task_description import Described, short

_EVERY = 2.0
"""Seconds between polls of the streams; longer if there are many, because the account shares the rate."""
_MOST_CALLS = 5.0
"""Calls a second while following."""
_LOOK_EVERY = 15.0
"""Seconds between polls of the tasks: a service may have new ones."""
_SETTLED = 10.0
"""Seconds without a new line, after which the logs of a task that has stopped are taken for complete."""
_OVERLAP = 60_000
"""Milliseconds before the last event that are searched again with a filter: events may come late."""
_BATCH = 1000
"""Lines that are written at once."""
_ID = 8
"""Characters of a task's ID in a prefix."""


class Tail:
    """One stream, and how far it was read. Each event is given once."""

    def __init__(self, calls: LogCalls, stream: LogStream, start: int, pattern: str) -> None:
        """Take the stream, and the time in milliseconds from which its events are given."""
        self._calls = calls
        self._stream = stream
        self._start = start
        self._pattern = pattern
        self._token = ""
        self._last = start
        self._seen: dict[str, int] = {}
        """Times of the events that a search may find again, by ID."""

    def new(self) -> Iterator[Event]:
        """Yield the events that have come since the last call, in the order of their time. Raises AwsError."""
        return self._matching() if self._pattern else self._all()

    def _all(self) -> Iterator[Event]:
        while (page := self._calls.get(self._stream, self._token, self._start)) is not None:
            same = page.token in ("", self._token)
            self._token = page.token or self._token
            yield from page.events
            if same:
                return

    def _matching(self) -> Iterator[Event]:
        start, token = max(self._start, self._last - _OVERLAP), ""
        self._seen = {one: at for one, at in self._seen.items() if at >= start}
        while (page := self._calls.filter(self._stream, self._pattern, token, start)) is not None:
            for event in page.events:
                if event.id not in self._seen:
                    self._seen[event.id] = event.at
                    self._last = max(self._last, event.at)
                    yield event
            token = page.token
            if not token:
                return


class Source(NamedTuple):
    """A stream that is shown."""

    tail: Tail
    task: str
    """The task's ID."""
    container: str


class Show:
    """One run of the step."""

    def __init__(
        self, asked: Logs, caller: Caller, streams: OutputStreams, now: Callable[[], float] = time.time
    ) -> None:
        """Take what is asked for; nothing is called yet."""
        self._asked = asked
        self._caller = caller
        self._streams = streams
        self._start = max(0, int((now() - asked.since) * 1000))
        self._calls = LogCalls(caller)
        self._sources: dict[LogStream, Source] = {}
        self._definitions: dict[str, Described] = {}
        self._hidden: dict[str, str] = {}
        """Why the output of a container is not shown."""
        self._readable = False
        """The output of at least one container goes to CloudWatch Logs."""
        self._lines = 0
        self._names = 0
        """Of containers; several of them need a prefix."""

    def run(self) -> int:
        """Show the logs; return 0. Raises EcsExecError."""
        began = self._caller.clock()
        stopped = self._take()
        for container, why in self._hidden.items():
            self._caller.line(f"the output of container {container} is not shown: {why}")
        if not self._readable:
            self._check_container()
            why = "; ".join(dict.fromkeys(self._hidden.values())) or "ECS no longer has its task definition"
            raise TargetError(name="logs-not-in-cloudwatch", where=self._place(), why=why)
        self._write()
        if self._asked.follow:
            self._follow(began + self._asked.follow, stopped)
        if not self._lines:
            matching = " that match the filter" if self._asked.filter else ""
            after = ", and no new ones" if self._asked.follow else ""
            self._caller.line(f"no log lines of {self._what()}{matching} within the last {self._asked.since} s{after}")
        return 0

    @property
    def _container(self) -> str:
        """The only container to show, empty for all."""
        return self._asked.wanted.container

    def _follow(self, until: float, stopped: bool) -> None:
        """Show new lines until the time is over, or the only task has stopped and no line has come for a while."""
        last = looked = self._caller.clock()
        while (now := self._caller.clock()) < until:
            if now - looked >= _LOOK_EVERY:
                stopped, looked = self._take(), now
            pause = max(_EVERY, len(self._sources) / _MOST_CALLS)
            self._caller.pause(min(pause, until - now))
            if self._write():
                last = self._caller.clock()
            if stopped and self._caller.clock() - last >= _SETTLED:
                return
        self._write()

    def _check_container(self) -> None:
        """Raise TargetError if no task definition has the container that is asked for."""
        found = {short(arn): self._names_in(definition) for arn, definition in self._definitions.items() if definition}
        names = dict.fromkeys(name for names in found.values() for name in names)
        if self._container and names and self._container not in names:
            known = ", ".join(names)
            raise TargetError(
                name="container-not-defined", definition=", ".join(found), container=self._container, names=known
            )

    # --- Tasks and streams

    def _take(self) -> bool:
        """Find the tasks and their streams; return whether they are a single one that has stopped."""
        wanted = self._asked.wanted
        if wanted.task:
            tasks: list[Described] = [self._caller.task(wanted.cluster, wanted.task)]
        else:
            tasks = [*self._caller.stopped(wanted), *self._caller.running(wanted)]
            if not tasks and not self._definitions:
                raise TargetError(name="no-task-with-logs", owner=self._what())
        for task in tasks:
            self._add(task)
        self._names = len({source.container for source in self._sources.values()})
        return bool(wanted.task) and tasks[0].get("lastStatus") == "STOPPED"

    def _add(self, task: Described) -> None:
        definition, wanted = self._definition(str(task.get("taskDefinitionArn", ""))), self._container
        names = self._names_in(definition)
        if wanted and wanted not in names and self._asked.wanted.task:
            raise TargetError(
                name="container-not-found",
                where=self._place(),
                task=short(str(task.get("taskArn", ""))),
                container=wanted,
                names=", ".join(names),
            )
        for one in log_streams.hidden(definition):
            if wanted in ("", one.container):
                self._hidden.setdefault(one.container, one.why)
        for name in log_streams.shown(definition):
            if wanted not in ("", name):
                continue
            self._readable = True
            stream = log_streams.stream_of(task, definition, name)
            if stream is not None and stream not in self._sources:
                tail = Tail(self._calls, stream, self._start, self._asked.filter)
                self._sources[stream] = Source(tail, short(str(task.get("taskArn", ""))), name)

    @staticmethod
    def _names_in(definition: Described) -> list[str]:
        return [str(item.get("name")) for item in definition.get("containerDefinitions", [])]

    def _definition(self, arn: str) -> Described:
        """Return a task definition; empty if ECS no longer has it, as after aws ecs delete-task-definitions."""
        if arn not in self._definitions:
            try:
                found = self._caller.patiently(lambda: self._caller.aws.describe_task_definition(arn))
            except AwsError as error:
                if error.code != "ClientException" or self._asked.wanted.task:
                    raise
                self._caller.line(f"the output of tasks of {short(arn)} is not shown: ECS has no such task definition")
                found = {}
            self._definitions[arn] = found
        return self._definitions[arn]

    # --- Lines

    def _write(self) -> int:
        """Write the new lines of all streams in the order of their time; return their number."""
        parts = [self._with_prefix(source) for source in self._sources.values()]
        batch: list[bytes] = []
        number = 0
        for _, lines in heapq.merge(*parts, key=lambda part: part[0]):
            batch += lines
            number += len(lines)
            if len(batch) >= _BATCH:
                self._streams.out(b"".join(batch))
                batch.clear()
        if batch:
            self._streams.out(b"".join(batch))
        self._lines += number
        return number

    def _with_prefix(self, source: Source) -> Iterator[tuple[int, list[bytes]]]:
        parts = [source.task[:_ID]] if not self._asked.wanted.task else []
        parts += [source.container] if self._names > 1 else []
        prefix = f"{'/'.join(parts)}: " if parts else ""
        for event in source.tail.new():
            at = f"{_moment(event.at)} " if self._asked.timestamps else ""
            yield event.at, list(Lines(at + prefix).receive(line_of(event.message)))

    # --- Words

    def _what(self) -> str:
        wanted = self._asked.wanted
        kind = "task" if wanted.task else "service" if wanted.service else "family"
        return f"{kind} {short(getattr(wanted, kind))} in cluster {short(wanted.cluster)}"

    def _place(self) -> Where:
        return Where(short(self._asked.wanted.cluster), region=self._caller.aws.region)


def _moment(at: int) -> str:
    moment = datetime.fromtimestamp(at / 1000, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1000:03}Z"


def run(asked: Logs, caller: Caller, streams: OutputStreams) -> int:
    """Show the logs; return 0. Raises EcsExecError."""
    return Show(asked, caller, streams).run()
