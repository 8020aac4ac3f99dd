"""Whole processes and their descendants: time, processor time, memory."""

from __future__ import annotations

import os
import pty
import select
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SAMPLE_EVERY = 0.004


@dataclass(frozen=True)
class Program:
    """A program to start, and whether it runs on a terminal."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    terminal: bool = False


@dataclass(frozen=True)
class Cost:
    """The cost of one run of a program and all its descendants."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of user and system time."""
    status: int
    output: int
    """Bytes on stdout."""


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum of several runs."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Take the runs' values."""
        ordered = sorted(values)
        return cls(ordered[0], statistics.median(ordered), ordered[-1])


def run(program: Program, take: Callable[[bytes], None] | None = None) -> Cost:
    """Run a program to its end; `take` gets its stdout as it arrives. Raises RuntimeError if the program fails."""
    return _ended(_started(program), take)


def peak_memory(*programs: Program) -> int:
    """Run programs at once; return the peak memory of them and their descendants together, in bytes (PSS)."""
    children = [_started(program) for program in programs]
    peak = 0
    with ThreadPoolExecutor(len(children)) as pool:
        ends = [pool.submit(_ended, child, None) for child in children]
        while not all(end.done() for end in ends):
            peak = max(peak, sum(_held(child.process.pid) for child in children))
            time.sleep(_SAMPLE_EVERY)
        for end in ends:
            end.result()
    return peak


def side_by_side(programs: Sequence[Program], at_once: int) -> tuple[float, list[Cost]]:
    """Run programs, a number of them at a time; return the seconds for all, and the cost of each."""
    begun = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        costs = list(pool.map(run, programs))
    return time.monotonic() - begun, costs


# --- Processes


@dataclass(frozen=True)
class _Child:
    process: subprocess.Popen[bytes]
    output: int
    begun: float


def _started(program: Program) -> _Child:
    begun = time.monotonic()
    ours, theirs = pty.openpty() if program.terminal else os.pipe()
    process = subprocess.Popen(
        program.arguments,
        stdin=theirs if program.terminal else subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.STDOUT,
        env=dict(program.environment),
        start_new_session=True,
    )
    os.close(theirs)
    return _Child(process, ours, begun)


def _ended(child: _Child, take: Callable[[bytes], None] | None) -> Cost:
    size = 0
    last = b""
    while data := _read(child.output):
        size += len(data)
        last = (last + data)[-500:]
        if take is not None:
            take(data)
    _, status, usage = os.wait4(child.process.pid, 0)
    wall = time.monotonic() - child.begun
    os.close(child.output)
    child.process.returncode = os.waitstatus_to_exitcode(status)
    if child.process.returncode:
        raise RuntimeError(f"{child.process.args!r} ended with {child.process.returncode}: {last!r}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, child.process.returncode, size)


def _read(descriptor: int) -> bytes:
    with suppress(OSError):  # EIO: nobody holds the terminal open any more
        select.select([descriptor], [], [])
        return os.read(descriptor, 256 * 1024)
    return b""


def _held(root: int) -> int:
    """Add up the proportional set sizes of a process and its descendants."""
    total = 0
    pending = [root]
    while pending:
        pid = pending.pop()
        with suppress(OSError):
            pending += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    return total
