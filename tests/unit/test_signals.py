"""What a signal does to what is going on, and a second one to its consequences."""

from __future__ import annotations

import os
import signal

import pytest

from ecs_exec.signals import Aborted, Interrupts


def test_a_second_signal_does_not_disturb_the_end() -> None:
    """A process that another one started may get the same abort twice: from Rundeck and from the other."""
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Aborted):
            interrupts.check()
        interrupts.acknowledge()
        os.kill(os.getpid(), signal.SIGTERM)
        with interrupts.immediate():
            os.kill(os.getpid(), signal.SIGINT)
        interrupts.check()
        assert interrupts.name == "SIGTERM"
