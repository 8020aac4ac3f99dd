"""What carries a session's bytes between the plugin and the container."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ecs_exec.ssm.events import Closed, Event, Output, Ready

__all__ = ["Closed", "Event", "Output", "Ready", "Resumed", "Session", "Transport"]


class Session(NamedTuple):
    """What ecs:ExecuteCommand returned, and where it leads."""

    session_id: str
    stream_url: str
    token: str
    region: str
    target: str
    """`ecs:<cluster>_<task id>_<runtime id>`: names the container to SSM and in KMS's encryption context."""

    def __repr__(self) -> str:
        """Name the session, never the token."""
        return f"Session({self.session_id})"


class Resumed(NamedTuple):
    """What ssm:ResumeSession returned."""

    token: str
    """Empty: the session is over."""
    stream_url: str
    """Where to go on; a secret where it is presigned."""

    def __repr__(self) -> str:
        """Show nothing."""
        return "Resumed(...)"


class Transport(Protocol):
    """One session's byte stream. Nothing blocks but `receive`, and that has a limit."""

    def receive(self, timeout: float) -> Event | None:
        """Wait up to `timeout` seconds for the next event.

        None when the time is over or the wake-up descriptor became readable.
        Raises TransportError when the way to the container failed.
        """

    def send(self, data: bytes) -> None:
        """Queue bytes for the terminal's input."""

    def keep_alive(self) -> None:
        """Send what counts as client input and changes nothing for the command, though nothing can be typed."""

    def probe(self) -> None:
        """Send what the agent acknowledges, so that `drained` tells whether it lives, where it can tell."""

    def drained(self) -> bool:
        """Tell whether the agent has everything that was sent."""

    def close(self) -> None:
        """Let go of the connection or the process. Never raises."""
