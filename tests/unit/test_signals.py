"""The effect of a signal, and of a second one during the reaction to the first."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def heard_late(after: float) -> Iterator[None]:
    """Send SIGTERM to this process so that no system call of the main thread ends with it.

    So it is with one that comes right before the call: Python has taken note of it, and runs the handler later.
    """

    def send() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        time.sleep(after)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def test_a_signal_right_before_a_wait_ends_it() -> None:
    """The descriptor becomes readable although the handler could not run yet."""
    with Interrupts() as interrupts, heard_late(0.2):
        poller = select.poll()
        poller.register(interrupts.wake, select.POLLIN)
        assert poller.poll(10_000)
        with pytest.raises(Aborted):
            interrupts.check()


@pytest.mark.parametrize("grace", [0, 0.3])
def test_a_signal_right_before_a_call_that_blocks_ends_it(grace: float) -> None:
    """Within a fraction of a second."""
    with Interrupts() as interrupts, heard_late(0.1):
        began = time.monotonic()
        with pytest.raises(Aborted), interrupts.immediate(grace):
            time.sleep(10)
        assert grace <= time.monotonic() - began < 5


@pytest.mark.parametrize("inner", [0.05, 20])
def test_a_limit_holds_though_another_one_was_kept_in_it(inner: float) -> None:
    """Credentials have their own limit within the one of the call that needs them."""
    passed = []
    with Interrupts() as interrupts:
        began = time.monotonic()
        with interrupts.at_most(0.3):
            with interrupts.at_most(inner):
                time.sleep(0.1)
            passed.append("inner")
            time.sleep(10)
            passed.append("outer")
        assert passed == ["inner"]
        assert 0.3 <= time.monotonic() - began < 5


def test_an_outer_limit_ends_what_an_inner_one_would_allow() -> None:
    """And nothing after it is ended."""
    passed = []
    with Interrupts() as interrupts:
        with interrupts.at_most(0.1):
            with interrupts.at_most(20):
                time.sleep(10)
            passed.append("inner")
        passed.append("outer")
        time.sleep(0.5)
    assert passed == ["outer"]


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
    """It ends the plugin at once, or after three seconds if it comes with the first, as from Rundeck and a parent."""
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
