"""Reads streams of CloudWatch Logs from their beginning, and writes each line once and in order.

It calls logs:GetLogEvents, which gives a stream's events in the order of their time. The answer's token stands for the
place after the last event, so the next call goes on there. The end is reached if a call returns the same token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecs_exec.ecs.api import Aws, list_field
from ecs_exec.errors import AwsError
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.line_joiner import Lines
from ecs_exec.steps.log_streams import LogStream

_MOST_PAGES = 10
"""Pages of one stream that are read before the next stream is looked at, each with up to 10,000 events."""
_NOT_THERE = "ResourceNotFoundException"


@dataclass
class Source:
    """One stream, and how far it was read."""

    stream: LogStream
    name: str
    """The container, for messages."""
    lines: Lines
    start: int = 0
    """Milliseconds since the epoch, before which events are left out; 0: none are."""
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
    _by_region: dict[str, Aws] = field(default_factory=dict)

    def add(self, stream: LogStream, name: str, prefix: str, start: int = 0) -> None:
        """Read one more stream from now on; its lines get the prefix."""
        self.sources.append(Source(stream, name, Lines(prefix), start))

    def read(self) -> tuple[int, bool]:
        """Write the new lines; return the number of events, and whether there is more to read at once.

        A stream that fails for a while is read again later, from the same place. One that may not be read is given up.
        Raises Aborted, OutputClosed, or OutputBlocked.
        """
        total, more = 0, False
        for source in self.sources:
            if source.given_up:
                continue
            try:
                count, rest = self._read(source)
            except AwsError as error:
                source.failure, source.given_up = error, not error.transient
                continue
            source.failure = None
            total, more = total + count, more or rest
        return total, more

    def _read(self, source: Source) -> tuple[int, bool]:
        total = 0
        for _ in range(_MOST_PAGES):
            found, token = self._page(source)
            if found:
                self.write(b"".join(line for text in found for line in source.lines.receive(_line(text))))
            total += len(found)
            if token in ("", source.token):
                return total, False
            source.token = token
        return total, True

    def _page(self, source: Source) -> tuple[list[str], str]:
        """Return the messages of the next page, and the token of the place after it; both empty without a stream."""
        stream = source.stream
        parameters: dict[str, Any] = {"logGroupName": stream.group, "logStreamName": stream.name, "startFromHead": True}
        parameters |= {"nextToken": source.token} if source.token else {}
        parameters |= {"startTime": source.start} if source.start else {}
        aws = self._aws(stream.region)
        try:
            answer = self.caller.patiently(lambda: aws.call("logs", "GetLogEvents", str(stream), **parameters))
        except AwsError as error:
            if error.code == _NOT_THERE and not source.exists:
                return [], ""  # it comes into being with the container's first line
            raise
        source.exists = True
        events = list_field(answer, "events", "logs:GetLogEvents", Mapping)
        return [_message(event) for event in events], str(answer.get("nextForwardToken") or "")

    def _aws(self, region: str) -> Aws:
        if not region or region == self.caller.aws.region:
            return self.caller.aws
        if region not in self._by_region:
            self._by_region[region] = self.caller.aws.in_region(region)
        return self._by_region[region]


def _message(event: Mapping[str, Any]) -> str:
    message = event.get("message", "")
    if not isinstance(message, str):
        raise AwsError(name="not-aws", said="the answer of logs:GetLogEvents contains an event without a message")
    return message


def _line(text: str) -> bytes:
    """Return a message with one line end; it may hold several lines."""
    return text.removesuffix("\n").encode(errors="backslashreplace") + b"\n"
