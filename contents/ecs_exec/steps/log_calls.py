"""The calls of CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ecs_exec.ecs.api import Aws, list_field
from ecs_exec.errors import AwsError
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.log_streams import LogStream

_NOT_THERE = "ResourceNotFoundException"


class Event(NamedTuple):
    """An event of a stream."""

    at: int
    """Milliseconds since the epoch."""
    message: str
    """May hold several lines."""
    id: str
    """Empty if the call does not give it."""


class Page(NamedTuple):
    """The answer of a call."""

    events: list[Event]
    token: str
    """Of the place after the last event, or of the next page; empty after the last page."""


class LogCalls:
    """Makes the calls in the region of each stream."""

    def __init__(self, caller: Caller) -> None:
        """Take the caller, which retries."""
        self._caller = caller
        self._by_region: dict[str, Aws] = {}

    def get(self, stream: LogStream, token: str, start: int, until: float | None = None) -> Page | None:
        """Return the next page of a stream, from its beginning or the token; None if there is no such stream.

        `start` is the time in milliseconds before which events are left out, 0 for none. At the end of the stream the
        page has the same token. The call is retried after transient failures, or made once before `until`.
        Raises AwsError or Aborted.
        """
        which = {"logStreamName": stream.name, "startFromHead": True}
        return self._page(stream, "GetLogEvents", "nextForwardToken", which | _from(token, start), until)

    def filter(self, stream: LogStream, pattern: str, token: str, start: int) -> Page | None:
        """Return the next page of the events of a stream that match a pattern; the last page has no token."""
        which = {"logStreamNames": [stream.name], "filterPattern": pattern}
        return self._page(stream, "FilterLogEvents", "nextToken", which | _from(token, start))

    def _page(
        self, stream: LogStream, action: str, field: str, which: Mapping[str, Any], until: float | None = None
    ) -> Page | None:
        aws = self._aws(stream.region)
        parameters = {"logGroupName": stream.group, **which}

        def make() -> Mapping[str, Any]:
            return aws.call("logs", action, str(stream), **parameters)

        try:
            answer = self._caller.patiently(make) if until is None else self._caller.once(make, until)
        except AwsError as error:
            if error.code == _NOT_THERE:
                return None
            raise
        events = list_field(answer, "events", f"logs:{action}", Mapping)
        return Page([_event(one, action) for one in events], str(answer.get(field) or ""))

    def _aws(self, region: str) -> Aws:
        if not region or region == self._caller.aws.region:
            return self._caller.aws
        if region not in self._by_region:
            self._by_region[region] = self._caller.aws.in_region(region)
        return self._by_region[region]


def _from(token: str, start: int) -> dict[str, Any]:
    found: dict[str, Any] = {"nextToken": token} if token else {}
    return found | ({"startTime": start} if start else {})


def _event(event: Mapping[str, Any], action: str) -> Event:
    at, message = event.get("timestamp", 0), event.get("message", "")
    if not isinstance(message, str) or not isinstance(at, int):
        raise AwsError(name="not-aws", said=f"the answer of logs:{action} contains an event without time or message")
    return Event(at, message, str(event.get("eventId") or ""))


def line_of(message: str) -> bytes:
    """Return a message with one line end; it may hold several lines."""
    return message.removesuffix("\n").encode(errors="backslashreplace") + b"\n"
