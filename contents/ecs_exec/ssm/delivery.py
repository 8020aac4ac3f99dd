"""Order and retransmission over a link that may lose frames."""

from __future__ import annotations

from collections.abc import Iterator

from ecs_exec.ssm.messages import MAX_FRAME, Message

MAX_AHEAD = 4096
"""Most frames that are held while an earlier one is missing: 4 MiB at the agent's 1 KiB. Frames further ahead get no
acknowledgement, so the agent sends them again."""

MAX_AHEAD_BYTES = 64 * MAX_FRAME
"""Most bytes that are held while an earlier frame is missing, in case frames are larger than the agent's."""

MAX_UNACKNOWLEDGED = 256
"""Our unacknowledged frames at a time. Enough for 2 MB/s at 100 ms, and few to send again after a cut."""

# The agent's own numbers for its estimate, in seconds (amazon-ssm-agent 3.3).
_FIRST_ROUND_TRIP = 0.1
_FIRST_TIMEOUT = 0.2
_LONGEST_TIMEOUT = 1.0
_GRANULARITY = 0.01


class RoundTrip:
    """Estimates the time of an acknowledgement, and from it the timeout, as the agent does. In seconds."""

    def __init__(self) -> None:
        """Begin with the agent's initial values."""
        self.timeout = _FIRST_TIMEOUT
        self._mean = _FIRST_ROUND_TRIP
        self._variation = 0.0

    def sample(self, seconds: float) -> None:
        """Add one measured round trip, in seconds from a frame's last sending to its acknowledgement."""
        self._variation = 0.75 * self._variation + 0.25 * abs(self._mean - seconds)
        self._mean = 0.875 * self._mean + 0.125 * seconds
        self.timeout = min(self._mean + max(_GRANULARITY, 4 * self._variation), _LONGEST_TIMEOUT)


class _Sent:
    __slots__ = ("at", "frame")

    def __init__(self, frame: bytes, at: float) -> None:
        self.frame = frame
        self.at = at


class Outbox:
    """Our stream frames, kept until the agent acknowledges them."""

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self.next_sequence = 0
        self._sent: dict[int, _Sent] = {}  # in order of the sequence
        self._round_trip = RoundTrip()
        self._progress = 0.0
        self._repeated = 0.0

    def __len__(self) -> int:
        """Return the number of unacknowledged frames."""
        return len(self._sent)

    def full(self) -> bool:
        """Return whether to wait for acknowledgements before sending more."""
        return len(self._sent) >= MAX_UNACKNOWLEDGED

    def add(self, frame: bytes, now: float) -> int:
        """Keep a frame that was built with `next_sequence`, and return that number."""
        sequence = self.next_sequence
        self._sent[sequence] = _Sent(frame, now)
        self.next_sequence += 1
        return sequence

    def acknowledge(self, sequence: int, now: float) -> None:
        """Forget a frame. A number that was acknowledged before, or never sent, changes nothing."""
        sent = self._sent.pop(sequence, None)
        if sent is None:
            return
        self._round_trip.sample(now - sent.at)
        self._progress = now

    def deadline(self) -> float | None:
        """Return the time at which to send a frame again, None if none is unacknowledged.

        Each acknowledgement restarts the wait, as in TCP. Otherwise an agent that works through a burst slowly, because
        the command reads slowly, would get the whole burst twice. For the same reason one frame is sent at a time.
        """
        if not self._sent:
            return None
        return max(self._longest_silent().at, self._progress, self._repeated) + self._round_trip.timeout

    def due(self, now: float) -> bytes | None:
        """Return a frame that is due to be sent again, and restart its wait; None if none is due.

        It is the frame that was sent the longest ago, mostly the oldest. It must not always be the oldest: if its
        acknowledgement never gets through, later frames that are really lost would never be sent again.
        """
        deadline = self.deadline()
        if deadline is None or deadline > now:
            return None
        frame = self._longest_silent()
        frame.at = self._repeated = now
        return frame.frame

    def _longest_silent(self) -> _Sent:
        return min(self._sent.values(), key=lambda sent: sent.at)

    def all_again(self, now: float) -> list[bytes]:
        """Return every unacknowledged frame in order, for a new connection, and restart their waits."""
        for sent in self._sent.values():
            sent.at = now
        return [sent.frame for sent in self._sent.values()]


class Inbox:
    """Puts the agent's stream frames back into order."""

    def __init__(self) -> None:
        """Begin with nothing received."""
        self.expected = 0
        self._ahead: dict[int, Message] = {}
        self._ahead_bytes = 0

    def accept(self, message: Message) -> bool:
        """Take a frame in, and return whether to acknowledge it. A frame too far ahead is not acknowledged.

        A frame that came before is acknowledged again: the first acknowledgement may be lost. The agent sends again
        only its oldest unacknowledged frame, so without this a later loss would never be repaired.
        """
        if message.sequence < self.expected or message.sequence in self._ahead:
            return True
        if message.sequence > self.expected and self._crowded(message):
            return False
        self._ahead[message.sequence] = message
        self._ahead_bytes += len(message.payload)
        return True

    def _crowded(self, message: Message) -> bool:
        return (
            message.sequence - self.expected > MAX_AHEAD or self._ahead_bytes + len(message.payload) > MAX_AHEAD_BYTES
        )

    def in_order(self) -> Iterator[Message]:
        """Yield the frames that are next in order, each once."""
        while (message := self._ahead.pop(self.expected, None)) is not None:
            self._ahead_bytes -= len(message.payload)
            self.expected += 1
            yield message

    def missing(self) -> int | None:
        """Return the sequence number that later frames wait for, None if no frame waits."""
        return self.expected if self._ahead else None
