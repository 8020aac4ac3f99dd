"""One session from its first event to its end: probes of a silent session, and the fate of its output."""

from __future__ import annotations

import math
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from typing import final

import pytest

from ecs_exec.command import shell_wrapper
from ecs_exec.command.script_protocol import RawProtocol, ScriptProtocol, SessionProtocol
from ecs_exec.command.session_driver import Limits, SessionDriver
from ecs_exec.errors import ChannelLost, SessionEnded
from ecs_exec.errors.causes.readiness import Found
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputBlocked, OutputClosed, OutputStreams
from ecs_exec.transport import Closed, Event, Output, Ready

WRAPPED = shell_wrapper.wrap("true", nonce="0123456789abcdef" * 2)
GONE = Found("task-gone", {})
Talk = list[tuple[float, Event | None]]
LATE = 3600.0
"""A moment at which every session here has ended, unless something is wrong."""


def mark(text: str) -> Output:
    """Build a mark of the session."""
    return Output(WRAPPED.mark + text.encode() + b"\n")


class Notes(OutputStreams):
    """Output streams that keep their bytes, and may have no reader."""

    def __init__(self, interrupts: Interrupts) -> None:
        """Keep nothing yet."""
        super().__init__(interrupts)
        self.got: list[tuple[bytes, bool]] = []
        """Output, and whether it might have been dropped."""
        self.limits: list[float | None] = []
        self.said: list[str] = []
        self.read = True
        self.closed = False

    def out(self, data: bytes) -> None:
        """Keep it."""
        if self.closed and not self.drop_when_blocked:
            raise OutputClosed
        if not self.read and not self.drop_when_blocked:
            raise OutputBlocked(memoryview(data))
        self.got.append((data, self.drop_when_blocked))

    def say(self, text: str) -> None:
        """Keep a line of the plugin's own."""
        self.said.append(text)

    def limit(self, seconds: float | None) -> None:
        """Keep the limit."""
        self.limits.append(seconds)


@final
class World:
    """A transport and its clock: events come at their moments, and all that is asked for is noted with its own."""

    def __init__(self, interrupts: Interrupts, *events: tuple[float, Event | None]) -> None:
        """Take the events in order; None: the wait is over early, without an event, as after a signal."""
        self.now = 0.0
        self.events = deque(events)
        self.asked: list[tuple[str, float]] = []
        self.sent: list[tuple[bytes, float]] = []
        self.answers = True
        """The agent acknowledges what it gets."""
        self.probes = True
        """The transport sees acknowledgements."""
        self.terminates = True
        """ssm:TerminateSession is allowed."""
        self.found: dict[float, Found] = {}
        """What a look finds, and from which moment on."""
        self.interrupts = interrupts
        self.streams = Notes(interrupts)
        self.on_event: dict[int, Callable[[], None]] = {}
        """What happens besides, by the number of the call."""
        self._calls = 0

    def run(self, *, marked: bool = False, tty: bool = False, timeout: int = 0, begin_by: float = 30.0) -> int:
        """Run a session in it."""
        protocol: SessionProtocol = (
            ScriptProtocol(WRAPPED._replace(terminal=tty), self.streams, "there", "/bin/sh")
            if marked
            else RawProtocol(self.streams, "there", announced=True)
        )
        protocol.line = self
        return SessionDriver(
            self,
            protocol,
            "there",
            limits=Limits(begin_by, 30, timeout),
            terminate=self.terminate,
            gone=self.gone,
            interrupts=self.interrupts,
            streams=self.streams,
            clock=lambda: self.now,
        ).run()

    def moments(self, what: str) -> list[float]:
        """Return when something was asked for."""
        return [at for asked, at in self.asked if asked == what]

    # The transport

    def receive(self, timeout: float) -> Event | None:
        """Give the next event, or let the time pass."""
        self._calls += 1
        self.on_event.get(self._calls, bool)()
        assert self._calls < 10_000, "it waits without an end, and no time passes"
        until = self.now + timeout
        assert until < LATE
        if self.events and self.events[0][0] <= until:
            at, event = self.events.popleft()
            self.now = max(self.now, at)
            return event
        self.now = until
        return None

    def send(self, data: bytes) -> None:
        """Note it."""
        self.sent.append((data, self.now))

    def keep_alive(self) -> None:
        """Note it."""
        self.asked.append(("keep alive", self.now))

    def probe(self) -> bool:
        """Note it."""
        if self.probes:
            self.asked.append(("probe", self.now))
        return self.probes

    def drained(self) -> bool:
        """Return whether the agent has everything."""
        return self.answers

    def close(self) -> None:
        """Do nothing."""

    # The calls of AWS's API

    def terminate(self, _within: float) -> bool:
        """Note it, and end the session if that is allowed."""
        self.asked.append(("terminate", self.now))
        return self.terminates

    def gone(self) -> Found | None:
        """Look at the task."""
        self.asked.append(("look", self.now))
        return next((found for at, found in self.found.items() if self.now >= at), None)


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Give handlers of signals, installed."""
    with Interrupts() as made:
        yield made


class Broken:
    """A transport with a fault of its own."""

    def receive(self, timeout: float) -> Event | None:
        """Fail as only a mistake in the program does."""
        raise KeyError(timeout)

    def send(self, data: bytes) -> None:
        """Take nothing."""

    def keep_alive(self) -> None:
        """Do nothing."""

    def probe(self) -> bool:
        """Return whether the agent was asked: it was not."""
        return False

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
        streams = OutputStreams(interrupts, stdout=nothing, stderr=nothing)
        conversation = SessionDriver(
            Broken(),
            RawProtocol(streams, "there", announced=True),
            "there",
            limits=Limits(math.inf, 5, 0),
            terminate=terminate,
            gone=lambda: None,
            interrupts=interrupts,
            streams=streams,
        )
        with pytest.raises(KeyError):
            conversation.run()
    os.close(nothing)
    assert len(ended) == 1


# --- A silent session


def test_output_starts_the_silence_again(interrupts: Interrupts) -> None:
    """The agent is asked after five seconds without output; the task is looked at if no answer comes."""
    talk: Talk = [(1.0, Ready()), *((1.0 + 4 * number, Output(b"x")) for number in range(1, 11))]
    world = World(interrupts, *talk, (70.0, Output(b"x")))
    world.answers = False
    world.found = {77.5: GONE}
    with pytest.raises(SessionEnded) as caught:
        world.run()
    assert caught.value.name == "task-gone"
    assert world.asked[:-1] == [
        ("probe", 46.0),
        ("look", 49.0),
        ("look", 56.0),
        ("probe", 75.0),
        ("look", 78.0),
    ]
    assert [data for data, _ in world.streams.got] == 11 * [b"x"]


def test_an_agent_that_answers_spares_the_look(interrupts: Interrupts) -> None:
    """The look is a call of AWS's API, which every session of an account would make. The answer is a sign of life."""
    world = World(interrupts, (1.0, Ready()), (30.0, Closed("")))
    assert world.run() == 0
    assert world.asked == [("probe", 6.0), ("probe", 14.0), ("probe", 22.0)]


ALIVE = mark("L")
BEGUN: Talk = [(0.0, Ready()), (1.0, mark("Br")), (1.0, mark("S"))]


def pings(world: World) -> list[float]:
    """Return when the script was asked for a sign of life."""
    return [at for data, at in world.sent if data == shell_wrapper.PING]


def test_a_script_that_answers_spares_the_look(interrupts: Interrupts) -> None:
    """If the transport sees no acknowledgements. The answer is no output, and asks for no word of its own."""
    answers: Talk = [(6.0 + 5.5 * number, ALIVE) for number in range(8)]
    world = World(interrupts, *BEGUN, *((at + 0.5, event) for at, event in answers), (48.0, mark("X3")))
    world.answers = world.probes = False
    assert world.run(marked=True) == 3
    assert pings(world) == [at for at, _ in answers]
    assert {data for data, _ in world.sent} == {WRAPPED.go, shell_wrapper.PING, shell_wrapper.BYE}
    assert (world.asked, world.streams.got) == ([], [])


def test_a_script_that_does_not_answer_is_looked_at(interrupts: Interrupts) -> None:
    """It is asked once in a silence. A late answer ends the silence."""
    world = World(interrupts, *BEGUN, (20.0, ALIVE), (90.0, mark("X3")))
    world.answers = world.probes = False
    world.found = {54.5: GONE}
    with pytest.raises(SessionEnded):
        world.run(marked=True)
    assert pings(world) == [6.0, 25.0]
    assert world.moments("look") == [9.0, 16.0, 28.0, 35.0, 49.0, 63.0]


@pytest.mark.parametrize("begin", ["Br", "Bc\r"])
def test_a_program_on_the_terminal_gets_no_word(interrupts: Interrupts, begin: str) -> None:
    """Nor a terminal that would echo it: there the task is looked at."""
    world = World(interrupts, (0.0, Ready()), (1.0, mark(begin)), (1.0, mark("S")), (40.0, mark("X3")))
    world.answers = world.probes = False
    assert world.run(marked=True, tty=begin == "Br") == 3
    assert pings(world) == []
    assert world.moments("look") == [9.0, 16.0, 30.0]


def test_a_command_without_a_script_is_looked_at(interrupts: Interrupts) -> None:
    """It would get the word as its input."""
    world = World(interrupts, (1.0, Ready()), (40.0, Closed("")))
    world.answers = world.probes = False
    assert world.run() == 0
    assert len(world.sent) == 1
    assert world.moments("look") == [9.0, 16.0, 30.0]


def test_a_wait_that_ends_early_is_no_sign_of_life(interrupts: Interrupts) -> None:
    """Nor a reason to ask before the time has come."""
    world = World(interrupts, (1.0, Ready()), *((1.0 + tenth / 10, None) for tenth in range(1, 90)), (9.5, Closed("")))
    world.answers = False
    assert world.run() == 0
    assert [what for what, _ in world.asked] == ["probe", "look"]
    assert [at for _, at in world.asked] == pytest.approx([6.0, 9.0])


def test_before_the_begin_a_silence_is_no_trouble(interrupts: Interrupts) -> None:
    """The agent is not asked, and the five seconds count from the begin."""
    world = World(interrupts, (6.0, None), (12.0, None), (20.0, Ready()), (26.0, Closed("")))
    assert world.run() == 0
    assert world.asked == [("probe", 25.0)]


def test_a_session_is_kept_from_ending_as_idle(interrupts: Interrupts) -> None:
    """By input every four minutes, whatever the container prints: a command sees none of it."""
    world = World(interrupts, (1.0, Ready()), (238.0, Output(b"x")), (730.0, Closed("")))
    assert world.run() == 0
    assert world.moments("keep alive") == [240.0, 480.0, 720.0]


def test_a_session_that_waits_for_its_begin_is_kept_too(interrupts: Interrupts) -> None:
    """Up to the deadline."""
    world = World(interrupts, (5.0, None))
    with pytest.raises(ChannelLost) as caught:
        world.run(begin_by=600.0)
    assert caught.value.name == "begin-not-seen"
    assert world.asked == [("keep alive", 240.0), ("keep alive", 480.0), ("terminate", 600.0)]


def test_a_script_gets_a_word_in_place_of_the_transports(interrupts: Interrupts) -> None:
    """If it reads one; after output it gets one as well, every five seconds."""
    talk: Talk = [(0.0, Ready()), (1.0, mark("Br")), (1.0, mark("S")), (7.0, Output(b"x")), (9.0, Output(b"x"))]
    world = World(interrupts, *talk, (250.0, mark("X3")))
    assert world.run(marked=True) == 3
    assert [at for data, at in world.sent if data == shell_wrapper.STILL_HERE] == [7.0, 240.0, 250.0]
    assert world.moments("keep alive") == []
    world = World(interrupts, (0.0, Ready()), (1.0, mark("Bc\r")), (1.0, mark("S\r")), (250.0, mark("X3\r")))
    assert world.run(marked=True) == 3  # a terminal that echoes would show the word
    assert [data for data, _ in world.sent] == [WRAPPED.go, shell_wrapper.BYE]
    assert world.moments("keep alive") == [240.0]


def test_a_command_that_is_stopped_is_not_asked(interrupts: Interrupts) -> None:
    """The stop has limits of its own."""
    world = World(interrupts, (1.0, Ready()), (5.9, None))
    assert world.run(timeout=4) == 124
    assert world.asked == [("terminate", 7.5)]


@pytest.mark.parametrize("end", [(12.6, mark("X137")), (14.0, None)], ids=["it ends", "no end is seen"])
def test_a_script_exits_though_its_session_cannot_be_ended(
    interrupts: Interrupts, end: tuple[float, Event | None]
) -> None:
    """It gets the word to exit right behind those that stop the command, and again after the command's end."""
    world = World(interrupts, (1.0, Ready()), (2.0, mark("Br")), (2.0, mark("S")), end)
    world.terminates = False
    assert world.run(marked=True, timeout=8) == 124
    stop = [data for data, at in world.sent if at >= 10.0 and data != shell_wrapper.STILL_HERE]
    expected = [shell_wrapper.INTERRUPT, shell_wrapper.KILL, shell_wrapper.BYE, shell_wrapper.BYE]
    assert stop == expected[: 4 if end[1] else 3]
    assert world.now < 14.0


# --- A slow reader


def test_output_is_dropped_only_if_nobody_reads(interrupts: Interrupts) -> None:
    """A command that runs into its time-out may have a slow reader: what it prints then is passed on."""
    world = World(interrupts, (1.0, Ready()), (4.0, Output(b"a")), (11.5, Output(b"b")), (12.0, Closed("")))
    assert world.run(timeout=10) == 124
    assert world.streams.got == [(b"a", False), (b"b", False), (b"", False)]
    assert world.streams.limits == [10, 0.5, None]
    assert world.streams.said[0] == "timed out after 10 s; stopping the command in there [timed-out]"


def test_a_reader_that_does_not_read_is_not_waited_for_twice(interrupts: Interrupts) -> None:
    """The time-out came while a write waited: the rest is dropped, and the command is stopped."""
    world = World(interrupts, (1.0, Ready()), (4.0, Output(b"a")), (4.2, Output(b"b")), (4.3, Closed("")))
    world.streams.read = False
    assert world.run(timeout=10) == 124
    assert world.streams.got == [(b"b", True), (b"", True)]


def test_a_reader_that_stops_reading_during_a_stop(interrupts: Interrupts) -> None:
    """Ends the waiting, but not the stop: the command's end is still seen."""
    events: Talk = [(11.2, Output(b"a")), (11.4, Output(b"b")), (11.6, Closed(""))]
    world = World(interrupts, (1.0, Ready()), *events)
    world.streams.read = False
    assert world.run(timeout=10) == 124
    assert world.streams.got == [(b"b", True), (b"", True)]
    assert world.moments("terminate") == []


def test_a_reader_that_is_gone_ends_the_command(interrupts: Interrupts) -> None:
    """It stops the command as an abort does. The command's end is seen, and no later write can block."""
    events: Talk = [(4.0, Output(b"a")), (4.1, Output(b"b")), (4.2, Closed(""))]
    world = World(interrupts, (1.0, Ready()), *events)
    world.streams.closed = True
    assert world.run() == 143
    assert world.streams.got == [(b"b", True), (b"", True)]
    assert world.streams.said[0] == "nobody reads the output; stopping the command in there"


def test_an_abort_waits_for_no_reader(interrupts: Interrupts) -> None:
    """A signal that comes between two events."""
    world = World(interrupts, (1.0, Ready()), (4.1, Output(b"b")), (4.2, Closed("")))
    world.events.insert(1, (4.0, None))
    world.on_event = {2: lambda: signal.raise_signal(signal.SIGTERM)}
    assert world.run() == 143
    assert world.streams.got == [(b"b", True), (b"", True)]
    assert world.streams.said[0] == "aborted by SIGTERM; stopping the command in there"


def test_without_a_timeout_a_reader_gets_all_the_time(interrupts: Interrupts) -> None:
    """No limit of time, whatever the output is, and nothing dropped."""
    talk: Talk = [(0.0, Ready()), (1.0, mark("Br")), (1.0, mark("S")), (2.0, Output(b"a")), (900.0, Output(b"b"))]
    world = World(interrupts, *talk, (901.0, mark("X0")))
    assert world.run(marked=True) == 0
    assert world.streams.got == [(b"a", False), (b"b", False)]
    assert world.streams.limits == [None]


def test_the_time_for_a_command_is_that_for_its_reader(interrupts: Interrupts) -> None:
    """It counts once, from the begin; each later output has only what is left of it."""
    talk: Talk = [(0.0, Ready()), (1.0, mark("Br")), (2.0, mark("S")), (3.0, Output(b"a")), (9.0, Output(b"b"))]
    world = World(interrupts, *talk, (11.9, mark("X0")))
    assert world.run(marked=True, timeout=10) == 0
    assert world.streams.limits == [10, 10, None]
    world = World(interrupts, *talk, (12.1, mark("X0")))
    assert world.run(marked=True, timeout=10) == 124
    assert world.streams.limits == [10, 10, 0.5, None]
