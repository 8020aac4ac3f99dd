"""Writes a line for each frame of a data channel, to find faults of the protocol. Never content, never a token.

The environment variable ECS_EXEC_TRACE names the file.
"""

from __future__ import annotations

import time

from ecs_exec.errors import ProtocolError
from ecs_exec.ssm import messages


class Trace:
    """Appends lines to a file. Lines that cannot be written are dropped: a trace must not end a session."""

    def __init__(self, path: str) -> None:
        """Take the file's path; times in the file are seconds from now on."""
        self._path = path
        self._begun = time.monotonic()

    def received(self, frames: list[bytes]) -> None:
        """Write lines for frames from the service."""
        self._write("<", frames)

    def sent(self, frames: list[str | bytes]) -> None:
        """Write lines for frames to the service."""
        self._write(">", frames)

    def _write(self, direction: str, frames: list[bytes] | list[str | bytes]) -> None:
        moment = f"{time.monotonic() - self._begun:.4f} {direction}"
        lines = "".join(f"{moment} {_described(frame)}\n" for frame in frames)
        try:
            with open(self._path, "a", encoding="ascii") as file:
                file.write(lines)
        except OSError:
            return


def _described(frame: str | bytes) -> str:
    if isinstance(frame, str):
        return "opening"
    try:
        message = messages.parse(frame)
    except ProtocolError as error:
        return f"unreadable: {error}"
    return (
        f"{message.kind} sequence={message.sequence} flags={message.flags}"
        f" payload={message.payload_type} bytes={len(message.payload)}"
    )
