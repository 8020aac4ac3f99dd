"""The agent's end of the data channel: order, acknowledgement and retransmission of stream frames."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from emulator import wire
from emulator.quirks import Quirks

BUFFER_CAPACITY = 100_000  # frames, each way, as in the agent
RESEND_TICK = 0.1
FIRST_RTT = 0.1
FIRST_RTO = 0.2
LONGEST_RTO = 1.0
CLOCK_GRANULARITY = 0.01

Transmit = Callable[[bytes], Awaitable[None]]
Deliver = Callable[[int, bytes], Awaitable[bool]]


@dataclass
class _Unacknowledged:
    data: bytes
    sent: float


class RetransmissionTimer:
    """How long to wait for an acknowledgement, learnt from those that came."""

    def __init__(self) -> None:
        """Start with the agent's first guess."""
        self.rtt = FIRST_RTT
        self.variation = 0.0
        self.timeout = FIRST_RTO

    def measured(self, sample: float) -> None:
        """Take the time from a frame's last sending to its acknowledgement."""
        self.variation = 0.75 * self.variation + 0.25 * abs(self.rtt - sample)
        self.rtt = 0.875 * self.rtt + 0.125 * sample
        self.timeout = min(self.rtt + max(CLOCK_GRANULARITY, 4 * self.variation), LONGEST_RTO)


class Channel:
    """One session's stream state; it outlives each of the client's websockets."""

    def __init__(self, quirks: Quirks, transmit: Transmit, deliver: Deliver, complain: Callable[[str], None]) -> None:
        """Take the way to the client, the reader of input (False: not taken, do not acknowledge) and of violations."""
        self._quirks = quirks
        self._transmit = transmit
        self._deliver = deliver
        self._complain = complain
        self._next = 0
        self._expected = 0
        self._later: dict[int, wire.Frame] = {}
        self._unacknowledged: dict[int, _Unacknowledged] = {}
        self._timer = RetransmissionTimer()
        self._drained = asyncio.Event()
        self._drained.set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._now = asyncio.get_running_loop().time
        self.sent = self.resent = self.received = self.duplicates = 0

    @property
    def unacknowledged(self) -> int:
        """How many frames the client has not acknowledged."""
        return len(self._unacknowledged)

    @property
    def paused(self) -> bool:
        """Whether the service asked for silence."""
        return not self._flowing.is_set()

    def pause(self) -> None:
        """Stop reading the terminal and resending, as on pause_publication."""
        self._flowing.clear()

    def resume(self) -> None:
        """Go on."""
        self._flowing.set()

    async def flowing(self) -> None:
        """Wait until the channel is not paused."""
        await self._flowing.wait()

    async def send(self, payload_type: int, payload: bytes) -> None:
        """Send a stream frame and keep it until it is acknowledged; an empty payload is not sent."""
        if not payload:
            return
        sequence = self._next
        self._next += 1
        data = wire.encode(wire.OUTPUT, sequence, wire.SYN if sequence == 0 else 0, payload_type, payload)
        if len(self._unacknowledged) < BUFFER_CAPACITY:
            self._unacknowledged[sequence] = _Unacknowledged(data, self._now())
            self._drained.clear()
        self.sent += 1
        if not self.paused:
            await self._transmit(data)

    async def drained(self, patience: float) -> bool:
        """Wait until everything is acknowledged, at most so long."""
        try:
            await asyncio.wait_for(self._drained.wait(), patience)
        except asyncio.TimeoutError:
            return False
        return True

    async def resend_forever(self) -> None:
        """Send the oldest unacknowledged frame again whenever it is late; never another."""
        while True:
            await asyncio.sleep(RESEND_TICK)
            if self.paused or not self._unacknowledged:
                continue
            oldest = next(iter(self._unacknowledged.values()))
            if self._now() - oldest.sent > self._timer.timeout:
                oldest.sent = self._now()
                self.resent += 1
                await self._transmit(oldest.data)

    async def receive(self, frame: wire.Frame) -> None:
        """Take a frame that came from the client or the service."""
        if frame.message_type == wire.ACKNOWLEDGE:
            self.resume()
            self._acknowledged(frame)
        elif frame.message_type == wire.INPUT:
            self.resume()
            await self._stream(frame)
        elif frame.message_type == wire.PAUSE_PUBLICATION:
            self.pause()
        elif frame.message_type == wire.START_PUBLICATION:
            self.resume()
        else:
            self._complain(f"client sent a {frame.message_type!r} frame")

    def _acknowledged(self, frame: wire.Frame) -> None:
        try:
            sequence, faults = wire.acknowledged(frame)
        except wire.WireError as exc:
            self._complain(str(exc))
            return
        for fault in faults:
            self._complain(fault)
        if sequence >= self._next:
            self._complain(f"acknowledges frame {sequence}, which was never sent")
        if (kept := self._unacknowledged.pop(sequence, None)) is not None:
            self._timer.measured(self._now() - kept.sent)
        if not self._unacknowledged:
            self._drained.set()

    async def _stream(self, frame: wire.Frame) -> None:
        if frame.flags not in (0, wire.SYN):
            self._complain(f"stream frame {frame.sequence} has flags {frame.flags}")
        if frame.sequence < self._expected:
            self.duplicates += 1
            await self._transmit(wire.acknowledgement(frame))
        elif frame.sequence > self._expected:
            if len(self._later) < BUFFER_CAPACITY:
                self._later[frame.sequence] = frame
                await self._transmit(wire.acknowledgement(frame))
        elif await self._deliver(frame.payload_type, frame.payload):
            await self._transmit(wire.acknowledgement(frame))
            self._advance()
            await self._drain_later()
        elif self._quirks.ack_before_ready:  # and throw the frame away, as during a handshake
            await self._transmit(wire.acknowledgement(frame))
            self._advance()

    def _advance(self) -> None:
        self._expected += 1
        self.received += 1

    async def _drain_later(self) -> None:
        while (frame := self._later.get(self._expected)) is not None:
            if not await self._deliver(frame.payload_type, frame.payload):
                return
            del self._later[self._expected]
            self._advance()
