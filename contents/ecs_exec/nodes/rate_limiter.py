"""Limits the rate of calls in an account and region, after AWS has throttled one.

ECS counts calls in buckets that all callers share: a burst, then a number of calls a second. Only AWS knows how full a
bucket is, and whether it is larger for an account. So calls are not limited until AWS throttles one. From then on they
keep to the rate that AWS documents, and to a lower one if that is throttled, too. Does no I/O except for a lock: the
caller sleeps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SLOWEST = 0.5
"""Lowest rate, in calls a second, however often AWS throttles."""

_RECOVERY = 0.1
"""Calls a second by which each successful call raises the rate again."""


class RateLimiter:
    """A rate limiter for calls of one kind in one account and region. Several threads use it."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the rate that AWS documents, in calls a second."""
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
        """The limit in calls a second; it applies once a call was throttled."""
        return self._rate

    def reserve(self) -> float:
        """Reserve one call; return the seconds to wait before making it."""
        with self._lock:
            if not self._limited:
                return 0.0
            self._refill()
            self._left -= 1
            return max(0.0, -self._left / self._rate)

    def refused(self) -> None:
        """Note a throttled call: the bucket is empty, and a further one halves the rate.

        Calls that are under way together are throttled together, so those of one second count once.
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
        """Note a successful call: it raises a lowered rate a little."""
        if self._rate < self._full_rate:
            with self._lock:
                self._refill()
                self._rate = min(self._full_rate, self._rate + _RECOVERY)

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(1.0, self._left + (now - self._at) * self._rate)
        self._at = now
