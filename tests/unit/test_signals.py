"""What a signal does to what is going on, and a second one to its consequences."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ecs_exec
from ecs_exec.signals import Aborted, Interrupts

CONTENTS = Path(ecs_exec.__path__[0]).parent


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


HANGS = """
import os, signal, sys, time
from ecs_exec.signals import Aborted, Interrupts
with Interrupts() as interrupts:
    interrupts.before_exit.append(lambda: os.write(1, b"ended what it had started"))
    os.write(1, b"ready ")
    try:
        with interrupts.immediate():
            time.sleep(60)
    except Aborted:
        if sys.argv[1] == "acknowledged":
            interrupts.acknowledge()
        os.write(1, b"hangs ")
        with interrupts.at_most(50):
            time.sleep(60)
"""


@pytest.mark.parametrize(
    ("state", "pause", "least"), [("acknowledged", 0, 2.0), ("acknowledged", 1.2, 0), ("not acknowledged", 1.2, 0)]
)
def test_a_second_signal_ends_what_hangs(state: str, pause: float, least: float) -> None:
    """At once; where it comes with the first, as Rundeck and a parent both send one, in three seconds."""
    command = [sys.executable, "-c", HANGS, state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": str(CONTENTS)}) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 100) == b"ready "
        process.terminate()
        assert os.read(process.stdout.fileno(), 100) == b"hangs "
        time.sleep(pause)
        began = time.monotonic()
        process.terminate()
        assert process.wait(20) == 143
        assert time.monotonic() - began >= least
        assert process.stdout.read() == b"ended what it had started"
