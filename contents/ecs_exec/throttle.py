"""How many calls an account and region allow, found out from what AWS refuses.

ECS counts calls in buckets that all who call share: a burst, then so many a second. How much is in one, and whether AWS
has made it larger for an account, only AWS knows. So calls are free until one is refused; from then on they keep to the
rate that AWS documents, and to less where even that is refused. Pure but for a lock: whoever calls sleeps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SLOWEST = 0.5
"""Calls a second that are made at least, however often AWS refuses."""

_RECOVERY = 0.1
"""Calls a second that each call granted gives back."""


class Bucket:
    """Calls of one kind in one account and region; used by several threads."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take how many calls a second AWS documents."""
        self._full_rate = rate
        self._rate = rate
        self._clock = clock
        self._limited = False
        self._left = 0.0
        self._at = clock()
        self._slowed_at = self._at
        self._lock = threading.Lock()

    @property
    def rate(self) -> float:
        """Return how many calls a second are made at most, once one was refused."""
        return self._rate

    def reserve(self) -> float:
        """Take a place for one call; return the seconds to wait before making it."""
        with self._lock:
            if not self._limited:
                return 0.0
            self._refill()
            self._left -= 1
            return max(0.0, -self._left / self._rate)

    def refused(self) -> None:
        """Note that AWS has refused a call: the bucket is empty, and may fill more slowly than was thought.

        Calls that were under way together are refused together: one second's refusals count once.
        """
        with self._lock:
            self._refill()
            self._left = min(self._left, 0.0)
            if not self._limited:
                self._limited, self._slowed_at = True, self._at
            elif self._at - self._slowed_at >= 1:
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
        self._left = min(1.0, self._left + (now - self._at) * self._rate)
        self._at = now
