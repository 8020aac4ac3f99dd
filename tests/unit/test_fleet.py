"""Commands side by side: what happens where the server cannot start all of them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecs_exec.signals import Interrupts
from ecs_exec.steps.run_command import Fleet
from ecs_exec.streams import Sink

NAMES = {f"arn{number}": f"task{number}" for number in range(4)}
NO_PROCESS = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
FAILURES = [NO_PROCESS, OSError(errno.ENOMEM, "Cannot allocate memory"), MemoryError(), RuntimeError("no thread")]


class Machine:
    """Starts so many processes at a time, and keeps them."""

    def __init__(self, room: int, failure: Exception, code: str = "print(input())") -> None:
        """Take how many, and what a further one raises."""
        self.started: list[subprocess.Popen[bytes]] = []
        self._room = room
        self._failure = failure
        self._code = code

    def start(self, arn: str) -> subprocess.Popen[bytes]:
        """Start one, or raise."""
        if sum(process.poll() is None for process in self.started) >= self._room:
            raise self._failure
        command = [sys.executable, "-I", "-S", "-c", self._code, arn]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(process)
        return process


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Callable[[Machine], Fleet]]:
    """Make a fleet whose output goes to files."""
    out, err = (os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in ("out", "err"))
    with Interrupts() as interrupts:
        sink = Sink(interrupts, stdout=out, stderr=err)
        yield lambda machine: Fleet(NAMES, 4, machine.start, interrupts, sink)
    os.close(out)
    os.close(err)


ECHO = "import sys, time; time.sleep(0.1); print(sys.argv[1], flush=True); sys.exit(int(sys.argv[1][3:]))"


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_what_cannot_be_started_beside_others_waits(
    failure: Exception, fleet: Callable[[Machine], Fleet], tmp_path: Path
) -> None:
    """Each command runs once, as many at a time as the server allows."""
    machine = Machine(2, failure, ECHO)
    assert fleet(machine).run() == {"arn0": 0, "arn1": 1, "arn2": 2, "arn3": 3}
    assert len(machine.started) == len(NAMES)
    lines = sorted((tmp_path / "out").read_text().splitlines())
    assert lines == [f"task{number}: arn{number}" for number in range(4)]
    said = (tmp_path / "err").read_text().splitlines()
    assert all("running 2 at a time from now on: no more processes can be started here: " in line for line in said)
    assert said


def test_what_can_never_be_started_is_counted(fleet: Callable[[Machine], Fleet], tmp_path: Path) -> None:
    """As not run, and a line for each says why."""
    assert fleet(Machine(0, NO_PROCESS)).run() == dict.fromkeys(NAMES, 125)
    said = (tmp_path / "err").read_text().splitlines()
    assert said == [
        f"ecs-exec: {name}: the command was not run: no process can be started here: Resource temporarily unavailable"
        for name in NAMES.values()
    ]


def test_a_fault_leaves_nothing_behind(fleet: Callable[[Machine], Fleet]) -> None:
    """Whatever goes wrong, commands that run are ended before it is told."""
    machine = Machine(2, ZeroDivisionError(), "import time; time.sleep(60)")
    with pytest.raises(ZeroDivisionError):
        fleet(machine).run()
    assert len(machine.started) == 2
    assert all(process.wait(10) for process in machine.started)
    for process in machine.started:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
