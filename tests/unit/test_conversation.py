"""One session from its first event to its end, with a transport that fails."""

from __future__ import annotations

import os
import time

import pytest

from ecs_exec.conversation import Conversation, Limits
from ecs_exec.dialogue import Plain
from ecs_exec.signals import Interrupts
from ecs_exec.sink import Sink
from ecs_exec.transport import Event


class Broken:
    """A transport with a fault of its own."""

    def receive(self, timeout: float) -> Event | None:
        """Fail as only a mistake in the program does."""
        raise KeyError(timeout)

    def send(self, data: bytes) -> None:
        """Take nothing."""

    def keep_alive(self) -> None:
        """Do nothing."""

    def probe(self) -> None:
        """Do nothing."""

    def drained(self) -> bool:
        """Return whether all is sent: nothing is."""
        return True

    def close(self) -> None:
        """Do nothing."""


def test_the_session_is_ended_whatever_goes_wrong() -> None:
    """A fault of the plugin's own must not leave a command running in the container."""
    ended: list[float] = []

    def terminate(within: float) -> bool:
        ended.append(within)
        return True

    nothing = os.open(os.devnull, os.O_WRONLY)
    with Interrupts() as interrupts:
        sink = Sink(interrupts, stdout=nothing, stderr=nothing)
        conversation = Conversation(
            Broken(),
            Plain(sink, "there", announced=True),
            "there",
            limits=Limits(time.monotonic() + 5, 5, 0),
            terminate=terminate,
            gone=lambda: None,
            interrupts=interrupts,
            sink=sink,
        )
        with pytest.raises(KeyError):
            conversation.to_the_end()
    os.close(nothing)
    assert len(ended) == 1
