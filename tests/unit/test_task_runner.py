"""Commands side by side: what happens if the server cannot start all of them, or if nobody reads their output."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import IO, cast

import pytest

from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.steps.run_command import TaskRunner
from ecs_exec.streams import OutputBlocked, OutputStreams

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
def fleet(tmp_path: Path) -> Iterator[Callable[[Machine], TaskRunner]]:
    """Make a fleet whose output goes to files."""
    out, err = (os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in ("out", "err"))
    with Interrupts() as interrupts:
        streams = OutputStreams(interrupts, stdout=out, stderr=err)
        yield lambda machine: TaskRunner(NAMES, 4, machine.start, interrupts, streams)
    os.close(out)
    os.close(err)


ECHO = "import sys, time; time.sleep(0.1); print(sys.argv[1], flush=True); sys.exit(int(sys.argv[1][3:]))"


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_what_cannot_be_started_beside_others_waits(
    failure: Exception, fleet: Callable[[Machine], TaskRunner], tmp_path: Path
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


def test_what_can_never_be_started_is_counted(fleet: Callable[[Machine], TaskRunner], tmp_path: Path) -> None:
    """As not run, and a line for each says why."""
    assert fleet(Machine(0, NO_PROCESS)).run() == dict.fromkeys(NAMES, 125)
    said = (tmp_path / "err").read_text().splitlines()
    assert said == [
        f"ecs-exec: {name}: the command was not run: no process can be started here: Resource temporarily unavailable"
        for name in NAMES.values()
    ]


def test_a_fault_leaves_nothing_behind(fleet: Callable[[Machine], TaskRunner]) -> None:
    """After any failure, running commands are ended before the failure is reported."""
    machine = Machine(2, ZeroDivisionError(), "import time; time.sleep(60)")
    with pytest.raises(ZeroDivisionError):
        fleet(machine).run()
    assert len(machine.started) == 2
    assert all(process.wait(10) for process in machine.started)
    for process in machine.started:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


# --- A reader that is slow


class Ended:
    """A command that has ended, whose output waits in its pipes; or one that still runs."""

    def __init__(self, status: int | None, out: bytes, err: bytes = b"") -> None:
        """Take its status, None if it still runs, and its output."""
        self._status = status
        self.polled = 0
        self.ends_after = 0
        """After so many looks a command that still runs has ended."""
        self.terminated = self.killed = False
        self.stdout, self.stderr = map(self._pipe, (out, err))

    def _pipe(self, data: bytes) -> IO[bytes]:
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        return os.fdopen(reader, "rb")

    def poll(self) -> int | None:
        """Return the status."""
        self.polled += 1
        if self._status is None and self.ends_after and self.polled > self.ends_after:
            self._status = 0
        return self._status

    def wait(self) -> int:
        """Return the status."""
        return self._status or 0

    def terminate(self) -> None:
        """Note it."""
        self.terminated = True

    def kill(self) -> None:
        """Note it."""
        self.killed = True


class Slow(OutputStreams):
    """Output streams whose reader takes seven bytes a number of times, and then nothing within the limit."""

    def __init__(self, interrupts: Interrupts, patience: int = 1 << 20) -> None:
        """Take how often the reader takes something."""
        super().__init__(interrupts)
        self.got = bytearray()
        self.dropped = bytearray()
        self.said: list[str] = []
        self.limited: float | None = None
        self.limits: set[float | None] = set()
        self.patience = patience
        self.errors = bytearray()
        """All of stderr, whoever reads it."""
        self.on_write: Callable[[], object] = bool

    def limit(self, seconds: float | None) -> None:
        """Keep it."""
        self.limited = seconds

    def out(self, data: bytes) -> None:
        """Take some of it."""
        self.limits.add(self.limited)
        self.on_write()
        assert self.patience > -1000, "it waits for its reader without an end"
        if self.drop_when_blocked:
            self.dropped += data
            return
        taken = 7 if self.patience > 0 else 0
        self.patience -= 1
        self.got += data[:taken]
        if len(data) > taken or not taken:
            raise OutputBlocked(memoryview(data)[taken:])

    def err(self, data: bytes) -> None:
        """Keep stderr, which is read at once."""
        self.errors += data

    def say(self, text: str) -> None:
        """Keep a line of the plugin's own."""
        self.said.append(text)


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Give handlers of signals, installed."""
    with Interrupts() as made:
        yield made


SlowFleet = Callable[..., TaskRunner]


@pytest.fixture
def slow_fleet(interrupts: Interrupts) -> Iterator[SlowFleet]:
    """Make a fleet of such commands."""
    made: list[Ended] = []

    def make(streams: Slow, *commands: Ended, at_a_time: int = 4) -> TaskRunner:
        made.extend(commands)
        by_arn = {f"arn{number}": command for number, command in enumerate(commands)}
        names = {arn: f"task{arn[3:]}" for arn in by_arn}
        start = lambda arn: cast("subprocess.Popen[bytes]", by_arn[arn])  # noqa: E731
        ticks = count()  # a second passes whenever the time is asked for
        return TaskRunner(names, at_a_time, start, interrupts, streams, clock=lambda: float(next(ticks)))

    yield make
    for command in made:
        command.stdout.close()
        command.stderr.close()


LINES = b"".join(b"line %d\n" % number for number in range(40))
WANTED = b"".join(b"task0: line %d\n" % number for number in range(40))


@pytest.mark.parametrize("status", [0, 1, 125, 143, -15])
def test_a_slow_reader_gets_every_line(status: int, interrupts: Interrupts, slow_fleet: SlowFleet) -> None:
    """Once, whole and in order, although its command ended long ago: it was no timeout."""
    streams = Slow(interrupts)
    fleet = slow_fleet(streams, Ended(status, LINES))
    assert fleet.run() == {"arn0": status if status >= 0 else 143}
    assert bytes(streams.got) == WANTED
    assert not streams.drop_when_blocked
    assert len(streams.limits) == 1  # each write has the same limit, and none is left behind
    assert None not in streams.limits
    assert streams.limited is None


def test_lines_of_several_commands_are_never_mixed(interrupts: Interrupts, slow_fleet: SlowFleet) -> None:
    """They never cut one another, with any slow reader. The last line may lack its end."""
    streams = Slow(interrupts)
    commands = [Ended(0, b"a 1\na 2\na 3", b"an error of a\n"), Ended(7, b"b 1\nb 2\n"), Ended(0, b"")]
    assert slow_fleet(streams, *commands, at_a_time=2).run() == {"arn0": 0, "arn1": 7, "arn2": 0}
    assert streams.errors == b"task0: an error of a\n"
    lines = streams.got.decode().splitlines()
    assert sorted(lines) == [
        "task0: a 1",
        "task0: a 2",
        "task0: a 3",
        "task1: b 1",
        "task1: b 2",
    ]
    assert [line for line in lines if ": a " in line] == ["task0: a 1", "task0: a 2", "task0: a 3"]
    assert not streams.drop_when_blocked


def test_output_is_not_dropped_while_a_command_runs(interrupts: Interrupts, slow_fleet: SlowFleet) -> None:
    """Although another one has timed out: the reader may only be slow."""
    streams = Slow(interrupts, 5)
    running = Ended(None, b"still\n")
    running.ends_after = 20

    def read_again() -> None:
        if running.polled == 15:
            streams.patience = 1 << 20

    streams.on_write = read_again
    assert slow_fleet(streams, Ended(124, LINES), running).run() == {"arn0": 124, "arn1": 0}
    assert sorted(streams.got.splitlines()) == sorted([*WANTED.splitlines(), b"task1: still"])
    assert running.polled == 15


def test_a_reader_that_has_just_read_something_gets_the_rest(interrupts: Interrupts, slow_fleet: SlowFleet) -> None:
    """Output is dropped only if nobody has read anything for half a second."""
    streams = Slow(interrupts)
    fleet = slow_fleet(streams, Ended(124, LINES))
    fleet.clock = lambda: 0.0
    assert fleet.run() == {"arn0": 124}
    assert bytes(streams.got) == WANTED


def test_output_that_nobody_reads_ends_with_the_timeout(interrupts: Interrupts, slow_fleet: SlowFleet) -> None:
    """When every command that was started has ended, one of them by its timeout; the others are not started."""
    streams = Slow(interrupts, 5)
    last = Ended(None, LINES)
    last.ends_after = 3
    fleet = slow_fleet(streams, Ended(124, LINES), last, Ended(0, b"never started\n"), at_a_time=2)
    assert fleet.run() == {"arn0": 124, "arn1": 0, "arn2": 125}
    assert streams.drop_when_blocked
    assert len(streams.got) == 35
    assert b"line 39" in streams.dropped
    assert b"never" not in streams.dropped


def test_a_timeout_that_is_over_counts(interrupts: Interrupts, slow_fleet: SlowFleet) -> None:
    """The command that timed out may have gone long ago."""
    streams = Slow(interrupts, 5)
    assert slow_fleet(streams, Ended(124, b""), Ended(0, LINES), at_a_time=1).run() == {"arn0": 124, "arn1": 0}
    assert streams.drop_when_blocked
    assert len(streams.got) == 35


def test_an_abort_stops_every_command_and_waits_for_no_reader(interrupts: Interrupts, slow_fleet: SlowFleet) -> None:
    """What they have printed is offered to the reader; those that wait are not started."""
    streams = Slow(interrupts)
    commands = [Ended(None, LINES), Ended(None, b"b\n"), Ended(0, b"never\n")]
    fleet = slow_fleet(streams, *commands, at_a_time=2)
    streams.on_write = lambda: None if streams.drop_when_blocked else signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Aborted):
        fleet.run()
    assert [command.terminated for command in commands] == [True, True, False]
    text = streams.got + streams.dropped
    assert len(streams.got) == 7  # what was taken before the stop; the rest is only offered
    assert sorted(text.splitlines()) == sorted([*WANTED.splitlines(), b"task1: b"])
