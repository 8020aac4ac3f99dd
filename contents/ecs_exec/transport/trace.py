"""A line for each frame of a data channel, for who looks for a fault of the protocol: never content, never a token.

ECS_EXEC_TRACE in the environment names the file.
"""

from __future__ import annotations

import time

from ecs_exec.errors import ProtocolError
from ecs_exec.ssm import messages


class Trace:
    """Appends to a file; what cannot be written is left out."""

    def __init__(self, path: str) -> None:
        """Take the file's path."""
        self._path = path
        self._begun = time.monotonic()

    def received(self, frames: list[bytes | bytearray]) -> None:
        """Note frames from the service."""
        self._write("<", frames)

    def sent(self, frames: list[str | bytes]) -> None:
        """Note frames to the service."""
        self._write(">", frames)

    def _write(self, direction: str, frames: list[bytes | bytearray] | list[str | bytes]) -> None:
        moment = f"{time.monotonic() - self._begun:.4f} {direction}"
        lines = "".join(f"{moment} {_described(frame)}\n" for frame in frames)
        try:
            with open(self._path, "a", encoding="ascii") as file:
                file.write(lines)
        except OSError:
            return


def _described(frame: str | bytes | bytearray) -> str:
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
