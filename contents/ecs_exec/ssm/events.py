"""What a session's byte stream tells its owner."""

from __future__ import annotations

from ecs_exec.record import Record


class Ready(Record):
    """The agent's terminal takes input: a byte sent from now on reaches the command's side."""

    __slots__ = ()


class Output(Record):
    """Bytes that the container's terminal printed, in order, none missing before them."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Take any number of them."""
        self.data = data


class Closed(Record):
    """The session is over, or what carried it; no event follows."""

    __slots__ = ("by_service", "reason")

    def __init__(self, reason: str, by_service: bool = True) -> None:
        """Take what was said of the end, nothing of an ordinary one, and whether the service said it.

        If it did not, the session may live on.
        """
        self.reason = reason
        self.by_service = by_service


Event = Ready | Output | Closed
