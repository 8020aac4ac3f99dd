"""Order and certainty over a link that may lose frames: what is kept until it may be forgotten."""

from __future__ import annotations

from collections.abc import Iterator

from ecs_exec.ssm.messages import MAX_FRAME, Message

MAX_AHEAD = 4096
"""Frames held while an earlier one is missing: 4 MiB at the agent's 1 KiB. What lies further ahead is not
acknowledged, and so comes again."""

MAX_AHEAD_BYTES = 64 * MAX_FRAME
"""Bytes held while an earlier frame is missing, should frames be larger than the agent's."""

MAX_UNACKNOWLEDGED = 256
"""Our frames on the way at a time. Enough for 2 MB/s at 100 ms, and few to send again after a cut."""

_FIRST_ROUND_TRIP = 0.1
_FIRST_TIMEOUT = 0.2
_LONGEST_TIMEOUT = 1.0
_GRANULARITY = 0.01


class RoundTrip:
    """How long an acknowledgement takes, and so how long to wait for one; the agent's own estimate, in seconds."""

    def __init__(self) -> None:
        """Begin with the agent's first guess."""
        self.timeout = _FIRST_TIMEOUT
        self._mean = _FIRST_ROUND_TRIP
        self._variation = 0.0

    def sample(self, seconds: float) -> None:
        """Take in one measured round trip."""
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
        """Count the frames that are not acknowledged."""
        return len(self._sent)

    def full(self) -> bool:
        """Tell whether to wait for acknowledgements before sending more."""
        return len(self._sent) >= MAX_UNACKNOWLEDGED

    def add(self, frame: bytes, now: float) -> int:
        """Keep a frame that was built with `next_sequence`; gives that number."""
        sequence = self.next_sequence
        self._sent[sequence] = _Sent(frame, now)
        self.next_sequence += 1
        return sequence

    def acknowledge(self, sequence: int, now: float) -> None:
        """Forget a frame. Numbers not waited for, acknowledged before or never sent, change nothing."""
        sent = self._sent.pop(sequence, None)
        if sent is None:
            return
        self._round_trip.sample(now - sent.at)
        self._progress = now

    def deadline(self) -> float | None:
        """Tell when a frame is to be sent again; None if there is none.

        Each acknowledgement starts the wait anew, as in TCP: an agent that works through a burst slowly, because
        the command reads slowly, is not sent the whole burst twice. For the same reason one frame goes at a time.
        """
        if not self._sent:
            return None
        return max(self._longest_silent().at, self._progress, self._repeated) + self._round_trip.timeout

    def due(self, now: float) -> bytes | None:
        """Give a frame whose time has come, and begin its wait anew.

        It is the one whose last sending lies furthest back, mostly the oldest. Were it always the oldest, one whose
        acknowledgement never gets through would keep later ones, which are really lost, from being repaired.
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
        """Give every unacknowledged frame, for a new connection."""
        for sent in self._sent.values():
            sent.at = now
        return [sent.frame for sent in self._sent.values()]


class Inbox:
    """The agent's stream frames, brought back into order."""

    def __init__(self) -> None:
        """Begin with nothing received."""
        self.expected = 0
        self._ahead: dict[int, Message] = {}
        self._ahead_bytes = 0

    def accept(self, message: Message) -> bool:
        """Take a frame in; tells whether to acknowledge it, which a frame too far ahead is not.

        A frame taken before is to be acknowledged again: the first acknowledgement may be what was lost.
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
        """Give the frames whose turn has come, each once."""
        while (message := self._ahead.pop(self.expected, None)) is not None:
            self._ahead_bytes -= len(message.payload)
            self.expected += 1
            yield message

    def missing(self) -> int | None:
        """Give the number that later frames wait for; None if none waits."""
        return self.expected if self._ahead else None
