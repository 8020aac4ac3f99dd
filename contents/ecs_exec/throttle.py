"""How many calls an account and region allow: a burst, then so many a second, and less where others use them up.

ECS counts calls in buckets that all who call share. A bucket here holds what AWS documents, and gives way when AWS
refuses calls all the same: then others draw from it, or its size is another. Pure but for a lock: whoever calls sleeps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SLOWEST = 0.5
"""Calls a second that are made at least, however often AWS refuses."""

_RECOVERY = 0.1
"""Share of the full rate that each call granted gives back, in tenths of it a second."""


class Bucket:
    """Calls of one kind in one account and region; used by several threads."""

    def __init__(self, burst: float, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take how many calls may be made at once, and how many a second from then on."""
        self._burst = burst
        self._full_rate = rate
        self._rate = rate
        self._clock = clock
        self._left = burst
        self._at = clock()
        self._slowed_at = self._at - 1
        self._lock = threading.Lock()

    @property
    def rate(self) -> float:
        """Return how many calls a second are made at present, once the burst is used up."""
        return self._rate

    def reserve(self) -> float:
        """Take a place for one call; return the seconds to wait before making it."""
        with self._lock:
            self._refill()
            self._left -= 1
            return max(0.0, -self._left / self._rate)

    def refused(self) -> None:
        """Note that AWS has refused a call: the bucket is empty, and fills more slowly than was thought.

        Calls that were under way together are refused together: one second's refusals count once.
        """
        with self._lock:
            self._refill()
            self._left = min(self._left, 0.0)
            if self._at - self._slowed_at >= 1:
                self._slowed_at = self._at
                self._rate = max(_SLOWEST, self._rate / 2)

    def granted(self) -> None:
        """Note that a call went through: the rate comes back little by little."""
        if self._rate < self._full_rate:
            with self._lock:
                self._refill()
                self._rate = min(self._full_rate, self._rate + _RECOVERY)

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
