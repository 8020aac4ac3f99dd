"""Timers for a silent session: when to ask the agent for a sign of life, and when to look at the task. Does no I/O."""

from __future__ import annotations

from enum import Enum, auto

from ecs_exec.record import NamedTuple


class Intervals(NamedTuple):
    """Intervals in seconds. With the defaults the end of a task is noticed within 15 seconds."""

    keep_alive: float = 240.0
    """Interval between inputs that keep the session open: ECS ends a session after 20 minutes without input."""
    probe: float = 5.0
    """Silence after which the agent is asked for a sign of life. This makes no call of AWS's API."""
    look: float = 8.0
    """Silence after which the task is looked at, unless the agent has answered."""
    look_again: float = 7.0
    """Interval between the first look and the second. It doubles up to `look_later`."""
    look_later: float = 14.0
    """Longest interval between looks. All callers in an account share the rate of this call."""


class Action(Enum):
    """The next step after a silence."""

    PROBE = auto()
    LOOK = auto()


class IdleTimer:
    """Measures how long one session has been silent. Times are seconds of one clock."""

    def __init__(self, intervals: Intervals, now: float) -> None:
        """Begin as if a sign of life had just come."""
        self._intervals = intervals
        self.heard(now)

    def heard(self, now: float) -> None:
        """Note a sign of life: both timers start again."""
        self._probe_at: float | None = now + self._intervals.probe
        self._look_at = now + self._intervals.look
        self._look_again = self._intervals.look_again

    def next(self) -> float:
        """Return the time at which to call `due`."""
        return self._look_at if self._probe_at is None else min(self._probe_at, self._look_at)

    def due(self, now: float) -> Action | None:
        """Return the step that is due now, None if there is none. A returned step is not due again at once."""
        if self._probe_at is not None and now >= self._probe_at:
            self._probe_at = None
            return Action.PROBE
        if now >= self._look_at:
            self._look_at = now + self._look_again
            self._look_again = min(2 * self._look_again, max(self._intervals.look_again, self._intervals.look_later))
            return Action.LOOK
        return None
