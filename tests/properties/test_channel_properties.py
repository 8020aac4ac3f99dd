"""The channel over a link that loses, doubles, reorders and breaks."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from ecs_exec.ssm import messages
from ecs_exec.ssm.channel import DataChannel
from ecs_exec.ssm.delivery import MAX_AHEAD, MAX_AHEAD_BYTES, MAX_UNACKNOWLEDGED
from ecs_exec.ssm.events import Closed, Event, Output, Ready
from ecs_exec.ssm.messages import PayloadType

TICK = 0.05


class Agent:
    """The far end as the real one behaves: acknowledges all, keeps order, sends its oldest frame again."""

    def __init__(self, output: list[bytes]) -> None:
        """Begin with the output that the command will have printed."""
        self.output = deque(output)
        self.unacknowledged: dict[int, bytes] = {}
        self.sequence = 0
        self.expected = 0
        self.ahead: dict[int, bytes] = {}
        self.typed = bytearray()
        self.to_send: list[bytes] = []

    def print_one(self) -> None:
        """Send the next piece of output."""
        if not self.output:
            return
        frame = self._build("output_stream_data", self.sequence, PayloadType.OUTPUT, self.output.popleft())
        self.unacknowledged[self.sequence] = frame
        self.sequence += 1
        self.to_send.append(frame)

    def resend(self) -> None:
        """Send the oldest unacknowledged frame again."""
        if self.unacknowledged:
            self.to_send.append(next(iter(self.unacknowledged.values())))

    def receive(self, frame: bytes | str) -> None:
        """Take in a frame of the client's."""
        if isinstance(frame, str):
            return
        message = messages.parse(frame)
        if message.kind == "acknowledge":
            self.unacknowledged.pop(json.loads(message.payload)["AcknowledgedMessageSequenceNumber"], None)
            return
        payload = json.dumps({"AcknowledgedMessageSequenceNumber": message.sequence}).encode()
        self.to_send.append(self._build("acknowledge", 0, 0, payload))
        if message.sequence >= self.expected:
            self.ahead[message.sequence] = message.payload if message.payload_type == PayloadType.OUTPUT else b""
        while self.expected in self.ahead:
            self.typed += self.ahead.pop(self.expected)
            self.expected += 1

    @staticmethod
    def _build(kind: str, sequence: int, payload_type: int, payload: bytes) -> bytes:
        return messages.build(kind, sequence, b"a" * 16, payload_type, payload, 1)


class Link:
    """One direction of a bad link."""

    def __init__(self, rng: random.Random, loss: float, doubling: float) -> None:
        """Begin empty."""
        self.rng, self.loss, self.doubling = rng, loss, doubling
        self.flying: list[tuple[float, bytes | str]] = []

    def send(self, frames: Sequence[bytes | str], now: float) -> None:
        """Take frames; each is lost, doubled, or late by up to three ticks, which is out of order."""
        for frame in frames:
            for _ in range(2 if self.rng.random() < self.doubling else 1):
                if self.rng.random() >= self.loss:
                    self.flying.append((now + self.rng.random() * 3 * TICK, frame))

    def arrived(self, now: float) -> list[bytes | str]:
        """Give what has arrived."""
        arrived = [frame for at, frame in self.flying if at <= now]
        self.flying = [(at, frame) for at, frame in self.flying if at > now]
        return arrived


@dataclass(frozen=True)
class Weather:
    """How bad the link is; `cuts` are the ticks at which the connection breaks."""

    seed: int
    loss: float
    doubling: float
    cuts: frozenset[int]


class World:
    """A channel and an agent with a link between them, moved on tick by tick."""

    def __init__(self, agent: Agent, weather: Weather) -> None:
        """Open the channel."""
        rng = random.Random(weather.seed)  # noqa: S311
        self.agent, self.cuts = agent, weather.cuts
        self.channel = DataChannel("client", lambda: b"i" * 16, 0.0, (300, 100))
        self.up = Link(rng, weather.loss, weather.doubling)
        self.down = Link(rng, weather.loss, weather.doubling)
        self.events: list[Event] = []
        self.channel.open("token", 0.0)

    def tick(self, number: int) -> None:
        """Let everything happen that happens in one tick."""
        now = number * TICK
        if number in self.cuts:
            self.up.flying, self.down.flying = [], []
            self.channel.open("token", now)
        if number % 3 == 0:
            self.agent.print_one()
        if number % 4 == 0:
            self.agent.resend()
        self.deliver(now)
        self.channel.on_time(now)
        self.up.send(self.channel.data_to_send(), now)
        self.down.send(self.agent.to_send, now)
        self.agent.to_send = []
        self.events += list(iter(self.channel.next_event, None))

    def deliver(self, now: float) -> None:
        """Let arrive what is due."""
        for frame in self.up.arrived(now):
            self.agent.receive(frame)
        for frame in self.down.arrived(now):
            self.channel.receive_frame(frame, now)  # type: ignore[arg-type]  # the agent sends no text

    def done(self) -> bool:
        """Tell whether both ends have sent all and heard of it."""
        return bool(self.events) and not self.agent.output and not self.agent.unacknowledged and self.channel.drained()


pieces = st.lists(st.binary(min_size=1, max_size=1500), max_size=20)
bad_weather = st.builds(
    Weather,
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.5),
    doubling=st.floats(0, 0.5),
    cuts=st.frozensets(st.integers(1, 60), max_size=3),
)


@given(pieces, pieces, bad_weather)
def test_both_streams_arrive_whole(output: list[bytes], typed: list[bytes], weather: Weather) -> None:
    """With any losses, duplicates, reordering and cuts, both ends get exactly the sent bytes."""
    world = World(Agent(output), weather)
    for data in typed:
        world.channel.send_input(data, 0.0)
    for number in range(20_000):
        world.tick(number)
        if world.done() and number > max(weather.cuts, default=0):
            break
    assert world.done(), "the streams came to a stop"
    assert world.events[0] == Ready()
    assert b"".join(event.data for event in world.events if isinstance(event, Output)) == b"".join(output)
    assert world.agent.typed == b"".join(typed)


@given(st.lists(st.tuples(st.integers(0, 3 * MAX_AHEAD), st.integers(0, 5000)), max_size=200))
def test_memory_is_bounded(frames: list[tuple[int, int]]) -> None:
    """With any sequence numbers from the far side, stored data stays within the limits."""
    channel = DataChannel("client", lambda: b"i" * 16, 0.0, (300, 100))
    channel.open("token", 0.0)
    channel.send_input(b"x" * 1_000_000, 0.0)
    for number, length in frames:
        channel.receive_frame(messages.build("output_stream_data", number, b"a" * 16, 1, b"x" * length, 1), 0.0)
        assert len(channel._inbox._ahead) <= MAX_AHEAD
        assert channel._inbox._ahead_bytes <= MAX_AHEAD_BYTES
        assert len(channel._outbox) <= MAX_UNACKNOWLEDGED


@given(pieces, st.text(max_size=50))
def test_the_end_comes_last(output: list[bytes], reason: str) -> None:
    """The end is reported once, after all output."""
    agent, channel = Agent(output), DataChannel("client", lambda: b"i" * 16, 0.0, (300, 100))
    channel.open("token", 0.0)
    for _ in output:
        agent.print_one()
    for frame in agent.to_send:
        channel.receive_frame(frame, 0.0)
    payload = json.dumps({"Output": reason}).encode()
    channel.receive_frame(messages.build("channel_closed", 0, b"s" * 16, 0, payload, 1), 0.0)
    events = list(iter(channel.next_event, None))
    assert events[-1] == Closed(reason)
    assert b"".join(event.data for event in events if isinstance(event, Output)) == b"".join(output)
