"""What a session's byte stream tells its owner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ready:
    """The agent's terminal takes input: a byte sent from now on reaches the command's side."""


@dataclass(frozen=True)
class Output:
    """Bytes that the container's terminal printed, in order, none missing before them."""

    data: bytes


@dataclass(frozen=True)
class Closed:
    """The session is over, or what carried it; no event follows."""

    reason: str
    """What the service says of the end, empty for an ordinary one."""
    by_service: bool = True
    """Whether the service said so; else the session may live on."""


Event = Ready | Output | Closed
