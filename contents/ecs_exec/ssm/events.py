"""The events of a session's byte stream."""

from __future__ import annotations

from ecs_exec.record import Record


class Ready(Record):
    """The agent's terminal takes input: input that is sent from now on reaches the command's side."""

    __slots__ = ()


class Output(Record):
    """Bytes that the container's terminal printed, in order, with none missing before them."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Take one byte or more."""
        self.data = data


class Closed(Record):
    """The session or its transport is over; no event follows."""

    __slots__ = ("by_service", "reason")

    def __init__(self, reason: str, by_service: bool = True) -> None:
        """Take the reason of the end, empty for an ordinary one, and whether the service reported the end.

        If it did not, the session may still run.
        """
        self.reason = reason
        self.by_service = by_service


Event = Ready | Output | Closed
