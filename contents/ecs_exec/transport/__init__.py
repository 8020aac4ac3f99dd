"""Transports: they carry a session's bytes between the plugin and the container."""

from __future__ import annotations

from typing import Protocol

from ecs_exec.record import NamedTuple
from ecs_exec.ssm.events import Closed, Event, Output, Ready

__all__ = ["Closed", "Event", "Output", "Ready", "Resumed", "Session", "Transport"]


class Session(NamedTuple):
    """The answer of ecs:ExecuteCommand, with its region and the container's SSM name."""

    session_id: str
    stream_url: str
    token: str
    region: str
    target: str
    """`ecs:<cluster>_<task id>_<runtime id>`: names the container to SSM and in KMS's encryption context."""

    def __repr__(self) -> str:
        """Return the session's id, never its token: a repr may end in a log."""
        return f"Session({self.session_id})"


class Resumed(NamedTuple):
    """The answer of ssm:ResumeSession."""

    token: str
    """Empty if the session is over."""
    stream_url: str
    """The URL for the next connection; a secret if it is presigned."""

    def __repr__(self) -> str:
        """Return no field: both may be secret."""
        return "Resumed(...)"


class Transport(Protocol):
    """One session's byte stream. Only `receive` blocks, and it has a timeout."""

    def receive(self, timeout: float) -> Event | None:
        """Wait up to `timeout` seconds for the next event.

        Returns None after that time, or when the wake-up descriptor became readable.
        Raises TransportError if the connection to the container failed.
        """

    def send(self, data: bytes) -> None:
        """Queue bytes for the terminal's input."""

    def keep_alive(self) -> None:
        """Send something that counts as client input but does not reach the command."""

    def probe(self) -> bool:
        """Send something that the agent acknowledges, so that `drained` shows whether the agent is alive.

        Returns False, and does nothing, in a transport that cannot see acknowledgements.
        """

    def drained(self) -> bool:
        """Return whether the agent has everything that was sent."""

    def close(self) -> None:
        """Close the connection, or end the process. Never raises."""
