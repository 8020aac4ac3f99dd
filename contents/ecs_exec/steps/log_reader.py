"""Reads streams of CloudWatch Logs from their beginning, and writes each line once and in order.

It calls logs:GetLogEvents, which gives a stream's events in the order of their time. The answer's token stands for the
place after the last event, so the next call goes on there. The end is reached if a call returns the same token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ecs_exec.errors import AwsError
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.line_joiner import Lines
from ecs_exec.steps.log_calls import LogCalls, line_of
from ecs_exec.steps.log_streams import LogStream

_MOST_PAGES = 10
"""Pages of one stream that are read before the next stream is looked at, each with up to 10,000 events."""


@dataclass
class Source:
    """One stream, and how far it was read."""

    stream: LogStream
    name: str
    """The container, for messages."""
    lines: Lines
    token: str = ""
    exists: bool = False
    failure: AwsError | None = None
    """Why the last reading failed."""
    given_up: bool = False


@dataclass
class LogReader:
    """Writes new lines of several streams."""

    caller: Caller
    write: Callable[[bytes], None]
    sources: list[Source] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Prepare the calls."""
        self._calls = LogCalls(self.caller)

    def add(self, stream: LogStream, name: str, prefix: str) -> None:
        """Read one more stream from now on; its lines get the prefix."""
        self.sources.append(Source(stream, name, Lines(prefix)))

    def read(self, until: float | None = None) -> tuple[int, bool]:
        """Write the new lines; return the number of events, and whether there is more to read at once.

        With `until`, a time of the clock, no call goes on after it, and none is retried: the caller reads again.

        A stream that fails for a while is read again later, from the same place. One that may not be read is given up.
        Raises Aborted, OutputClosed, or OutputBlocked.
        """
        total, more = 0, False
        for source in self.sources:
            if source.given_up:
                continue
            if until is not None and self.caller.clock() >= until:
                break
            try:
                count, rest = self._read(source, until)
            except AwsError as error:
                source.failure, source.given_up = error, not error.transient
                continue
            source.failure = None
            total, more = total + count, more or rest
        return total, more

    def _read(self, source: Source, until: float | None) -> tuple[int, bool]:
        total = 0
        for _ in range(_MOST_PAGES):
            page = self._calls.get(source.stream, source.token, 0, until)
            if page is None:  # it comes into being with the container's first line
                return total, False
            source.exists = True
            if page.events:
                lines = (line for event in page.events for line in source.lines.receive(line_of(event.message)))
                self.write(b"".join(lines))
            total += len(page.events)
            if page.token in ("", source.token):
                return total, False
            source.token = page.token
        return total, True
