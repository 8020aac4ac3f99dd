"""The plugin's own lines, also with text of others in them; all output reaches a reader in time."""

from __future__ import annotations

import fcntl
import os
import random
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from ecs_exec import streams as sink_module
from ecs_exec.errors import CommandError
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputBlocked, OutputClosed, OutputStreams

HOSTILE = [
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m",
    "two\nlines\r\n",
    "\x00\x08\x7f",
    "left \u202eright",
    "line\u2028paragraph\u2029",
    "half a character \udcff",
]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give a pipe; a read from it fails if nothing was written."""
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def narrow() -> Iterator[tuple[int, int]]:
    """Give a pipe that holds one page: it has room only while it is empty."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Give handlers of signals, installed."""
    with Interrupts() as made:
        yield made


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_said_reaches_the_readers_terminal(pipe: tuple[int, int], text: str) -> None:
    """One line, of characters that can be seen."""
    OutputStreams(Interrupts(), stderr=pipe[1]).say(f"it said {text}!")
    line = os.read(pipe[0], 4096).decode()
    assert line.startswith("ecs-exec: it said ")
    assert line.endswith("!\n")
    assert line[:-1].isprintable()


def test_no_password_of_a_url_is_said(pipe: tuple[int, int]) -> None:
    """It becomes `***`; and the line goes to stderr, never to the command's stdout."""
    unread = os.open(os.devnull, os.O_RDONLY)  # a write to it fails
    OutputStreams(Interrupts(), stdout=unread, stderr=pipe[1]).say("no answer from http://me:secret@proxy:3128/")
    assert os.read(pipe[0], 4096) == b"ecs-exec: no answer from http://***@proxy:3128/\n"
    os.close(unread)


@pytest.mark.parametrize("debug", [False, True])
def test_debug_lines_are_written_only_if_they_are_wanted(pipe: tuple[int, int], *, debug: bool) -> None:
    """As lines of the plugin's own."""
    streams = OutputStreams(Interrupts(), debug=debug, stderr=pipe[1])
    streams.debug("a detail")
    streams.say("the end")
    assert os.read(pipe[0], 4096) == debug * b"ecs-exec: debug: a detail\n" + b"ecs-exec: the end\n"


def test_the_commands_output_passes_untouched(pipe: tuple[int, int], interrupts: Interrupts) -> None:
    """Its escape sequences are its own business."""
    streams = OutputStreams(interrupts, stdout=pipe[1], stderr=pipe[1])
    for text in HOSTILE:
        data = text.encode(errors="surrogateescape")
        streams.out(data)
        streams.err(data)
        assert os.read(pipe[0], 4096) == data + data


def test_each_stream_has_its_own_descriptor(pipe: tuple[int, int], narrow: tuple[int, int]) -> None:
    """Stdout never comes on stderr, nor the other way round, also after a stop has begun."""
    os.set_blocking(narrow[0], False)
    with Interrupts() as interrupts:
        streams = OutputStreams(interrupts, stdout=pipe[1], stderr=narrow[1])
        for streams.drop_when_blocked in (False, True):
            streams.out(b"out")
            streams.err(b"err")
            assert (os.read(pipe[0], 4096), os.read(narrow[0], 4096)) == (b"out", b"err")


# --- A reader that is slow


@contextmanager
def reading(descriptor: int, pause: float, read: bytearray) -> Iterator[None]:
    """Read in another thread what is written, after a pause; end with a NUL, or when nothing more comes."""

    def run() -> None:
        time.sleep(pause)
        while not read.endswith(b"\0") and select.select([descriptor], [], [], 3.0)[0]:
            read.extend(os.read(descriptor, 3000))

    reader = threading.Thread(target=run, daemon=True)
    reader.start()
    try:
        yield
    finally:
        reader.join(10)
    assert not reader.is_alive()


SIZES = [1, 4095, 4096, 4097, 12_288, 30_001, 7]


def test_a_slow_reader_gets_everything_in_order(narrow: tuple[int, int], interrupts: Interrupts) -> None:
    """It pauses longer than a stop would wait for it, but nothing was stopped. Both streams go to one pipe here."""
    rng = random.Random(3)  # noqa: S311 - the same each time
    pieces = [rng.randbytes(size).replace(b"\0", b"0") for size in SIZES]
    streams = OutputStreams(interrupts, stdout=narrow[1], stderr=narrow[1])
    read = bytearray()
    with reading(narrow[0], 0.4, read):
        for number, piece in enumerate(pieces):
            (streams.err if number % 2 else streams.out)(piece)
        streams.out(b"\0")
    assert read == b"".join(pieces) + b"\0"


def fill(descriptor: int) -> None:
    """Fill a narrow pipe."""
    os.write(descriptor, bytes(select.PIPE_BUF))


@contextmanager
def rescue(descriptor: int) -> Iterator[None]:
    """Read a full pipe empty after two seconds, so that a write that waits for ever fails its test."""
    over = threading.Event()

    def run() -> None:
        over.wait(2.0)
        while not over.is_set():
            if select.select([descriptor], [], [], 0.05)[0]:
                os.read(descriptor, 1 << 20)

    rescuer = threading.Thread(target=run, daemon=True)
    rescuer.start()
    try:
        yield
    finally:
        over.set()
        rescuer.join()


def test_what_was_not_written_in_time_is_returned(narrow: tuple[int, int], interrupts: Interrupts) -> None:
    """Exactly the bytes behind the written ones, each once."""
    data = bytes(range(256)) * 64
    streams = OutputStreams(interrupts, stdout=narrow[1])
    streams.limit(0.05)
    with rescue(narrow[0]), pytest.raises(OutputBlocked) as blocked:
        streams.out(data)
    assert os.read(narrow[0], 1 << 20) + bytes(blocked.value.rest) == data
    assert len(blocked.value.rest) == len(data) - select.PIPE_BUF


def test_a_wake_up_ends_the_wait_for_a_reader(narrow: tuple[int, int], interrupts: Interrupts) -> None:
    """A signal may come right before the wait: then only the descriptor ends it, as Python has not run the handler."""
    fill(narrow[1])
    waker = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(waker)
    os.write(waker, b"!")
    with rescue(narrow[0]), pytest.raises(OutputBlocked) as blocked:
        OutputStreams(interrupts, stdout=narrow[1]).out(b"more")
    assert bytes(blocked.value.rest) == b"more"


def test_a_reader_that_is_gone_and_a_full_disk_are_errors(interrupts: Interrupts) -> None:
    """Two different ones; but the plugin's own lines never fail, and after a stop nothing does."""
    reader, writer = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    streams = OutputStreams(interrupts, stdout=writer, stderr=full)
    with pytest.raises(OutputClosed):
        streams.out(b"x")
    with pytest.raises(CommandError) as caught:
        streams.err(b"x")
    assert caught.value.name == "output-not-written"
    assert "No space left on device" in str(caught.value)
    streams.say("nobody reads this")
    streams.drop_when_blocked = True
    streams.out(b"x")
    streams.err(b"x")
    os.close(writer)
    os.close(full)


# --- Writes and waits, one by one


class Kernel:
    """The system calls of output streams. A test decides how long each wait takes, and how much each write takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answer at once, and take everything."""
        self.now = 1000.0
        self.waits: list[float | None] = []
        self.writes: list[bytes] = []
        self.at_once = 1 << 20
        self.wait: Callable[[], bool] = lambda: True
        """Called for each wait; returns whether there is room then."""
        names = {name: getattr(select, name) for name in ("POLLIN", "POLLOUT", "PIPE_BUF")}
        monkeypatch.setattr(sink_module, "select", SimpleNamespace(poll=lambda: self, **names))
        monkeypatch.setattr(sink_module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(sink_module, "os", SimpleNamespace(write=self.write))

    def register(self, descriptor: int, events: int) -> None:
        """Note what is waited for."""
        if events == select.POLLOUT:
            self._descriptor = descriptor

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait, in milliseconds."""
        self.waits.append(timeout)
        return [(self._descriptor, select.POLLOUT)] if self.wait() else []

    def write(self, _descriptor: int, data: memoryview) -> int:
        """Take some bytes."""
        self.writes.append(bytes(data[: self.at_once]))
        return len(self.writes[-1])


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Replace the system calls of output streams."""
    return Kernel(monkeypatch)


@pytest.mark.parametrize("drop_when_blocked", [False, True])
@pytest.mark.parametrize("at_once", [7, 1 << 20])
def test_every_part_is_written_once(
    kernel: Kernel, interrupts: Interrupts, at_once: int, *, drop_when_blocked: bool
) -> None:
    """None is larger than a pipe takes at once when it has room, and a part that is taken by halves is continued."""
    data = random.Random(4).randbytes(10_000)  # noqa: S311 - the same each time
    streams = OutputStreams(interrupts)
    streams.drop_when_blocked = drop_when_blocked
    kernel.at_once = at_once
    streams.out(data)
    assert b"".join(kernel.writes) == data
    assert max(map(len, kernel.writes)) == min(at_once, select.PIPE_BUF)
    assert len(kernel.waits) == len(kernel.writes)  # a wait before each, so no write blocks


def test_a_limit_is_for_all_writes_from_now(kernel: Kernel, interrupts: Interrupts) -> None:
    """Not for each of them. Without a limit a reader gets all the time that it takes."""

    def wait() -> bool:
        kernel.now += 1.0
        return True

    kernel.wait = wait
    streams = OutputStreams(interrupts)
    streams.out(b"a")
    streams.limit(3.0)
    streams.out(b"b" * 4097)
    streams.err(b"c")
    streams.out(b"d")
    streams.limit(None)
    streams.out(b"e")
    assert kernel.waits == [None, 3000, 2000, 1000, 0, None]
    assert b"".join(kernel.writes) == b"a" + b"b" * 4097 + b"cde"
    streams.limit(1.0)
    kernel.now += 5.0
    streams.out(b"f")
    assert kernel.waits[-1] == 0  # poll would take a negative number for no limit


def test_a_stop_waits_for_readers_a_short_time_in_all(kernel: Kernel, interrupts: Interrupts) -> None:
    """Not for each write; after that a reader that is there still gets everything."""
    streams = OutputStreams(interrupts)
    streams.limit(60.0)
    streams.drop_when_blocked = True

    def wait() -> bool:
        kernel.now += 0.125
        return False

    kernel.wait = wait
    streams.out(b"dropped")
    streams.err(b"dropped")
    streams.say("dropped")
    assert kernel.waits == pytest.approx([200, 75, 0])
    assert kernel.writes == []
    kernel.wait = lambda: True
    streams.out(b"a" * 4097)
    assert b"".join(kernel.writes) == b"a" * 4097
