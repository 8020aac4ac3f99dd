"""Waiting between attempts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from ecs_exec.signals import Interrupts

_FIRST = 0.5
_LONGEST = 4.0
"""Seconds before an attempt is repeated: at first, and at most."""


class Backoff:
    """Waits longer each time, with jitter, up to a moment after which nothing is to be tried again."""

    def __init__(self, deadline: float, interrupts: Interrupts, clock: Callable[[], float]) -> None:
        """Take the moment, of the clock."""
        self._deadline = deadline
        self._interrupts = interrupts
        self._clock = clock
        self._delay = _FIRST

    @property
    def left(self) -> float:
        """Give the seconds that are left."""
        return max(0.0, self._deadline - self._clock())

    def wait(self) -> None:
        """Wait before the next attempt; the last one is made when the time is almost over. Raises Aborted."""
        # Jitter: many jobs are refused at the same moment.
        seconds = min(self._delay * random.uniform(0.5, 1), self.left)  # noqa: S311
        self._delay = min(2 * self._delay, _LONGEST)
        with self._interrupts.immediate():
            time.sleep(seconds)
