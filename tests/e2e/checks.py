"""Checks that several tests make after an execution."""

from __future__ import annotations

import time
from collections.abc import Callable

from commands import Result
from e2e.rundeck_launch import SECRET_KEY
from emulator import Emulator


def one_line(result: Result) -> str:
    """Return the line that says why a command was not run."""
    assert result.status == 125, result
    assert result.stdout == b"", result
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1, result
    assert lines[0].startswith("ecs-exec: ")
    assert "Traceback" not in lines[0]
    assert SECRET_KEY not in lines[0]
    return lines[0]


def wait_until_gone(emulator: Emulator, seconds: float = 2) -> None:
    """Wait until nothing lives in any container."""
    until = time.monotonic() + seconds
    while left := emulator.processes():
        assert time.monotonic() < until, [(process["pid"], process["command"][:80]) for process in left]
        time.sleep(0.02)


def wait_for(done: Callable[[], bool], timeout: float = 20) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)
