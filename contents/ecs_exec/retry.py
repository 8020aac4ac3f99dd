"""Waits between retries, longer each time, up to a deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from ecs_exec.signals import Interrupts

_FIRST = 0.5
_LONGEST = 4.0
"""Seconds before a retry: the first time, and at most."""


class Backoff:
    """Waits before retries with exponential backoff and jitter, up to a deadline after which none follows."""

    def __init__(self, deadline: float, interrupts: Interrupts, clock: Callable[[], float]) -> None:
        """Take the deadline, in seconds of the clock; `interrupts` may end a wait."""
        self._deadline = deadline
        self._interrupts = interrupts
        self._clock = clock
        self._delay = _FIRST

    @property
    def left(self) -> float:
        """The seconds until the deadline, 0 after it."""
        return max(0.0, self._deadline - self._clock())

    def wait(self) -> None:
        """Wait before the next attempt, but not past the deadline: the last attempt is made then. Raises Aborted."""
        # Jitter: many jobs are refused at the same moment, and would be again.
        seconds = min(self._delay * random.uniform(0.5, 1), self.left)  # noqa: S311
        self._delay = min(2 * self._delay, _LONGEST)
        with self._interrupts.immediate():
            time.sleep(seconds)
