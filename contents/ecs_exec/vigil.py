"""How a silent session is watched: when to ask for a sign of life, and when to look at its task. Does no I/O."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Pace(NamedTuple):
    """Seconds; the defaults make sure that a task's end is noticed within 15."""

    keep_alive: float = 240.0
    """Between inputs that keep a session from ending as idle: ECS ends it after 20 minutes without any."""
    probe: float = 5.0
    """Silence after which the agent is asked for a sign of life, which costs no call of AWS's API."""
    look: float = 8.0
    """Silence after which the task is looked at, unless the agent has given that sign."""
    look_again: float = 7.0
    """Between further looks."""


class Task(Enum):
    """What a silence asks for."""

    PROBE = auto()
    LOOK = auto()


class Vigil:
    """Times the silences of one session."""

    def __init__(self, pace: Pace, now: float) -> None:
        """Begin as if something had just been heard."""
        self._pace = pace
        self.heard(now)

    def heard(self, now: float) -> None:
        """Take note of a sign of life."""
        self._probe_at: float | None = now + self._pace.probe
        self._look_at = now + self._pace.look

    def next(self) -> float:
        """Tell when `due` is to be asked."""
        return self._look_at if self._probe_at is None else min(self._probe_at, self._look_at)

    def due(self, now: float) -> Task | None:
        """Tell what is to be done now; each is told once."""
        if self._probe_at is not None and now >= self._probe_at:
            self._probe_at = None
            return Task.PROBE
        if now >= self._look_at:
            self._look_at = now + self._pace.look_again
            return Task.LOOK
        return None
