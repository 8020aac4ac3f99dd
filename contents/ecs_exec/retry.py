"""Waits between retries: exponential backoff with jitter.

How long and how often something is retried is decided elsewhere: a session until `connect-timeout` (`command.runner`),
the call of a step by `steps.calls`, the call of a node source by `nodes.scan`, a broken connection by
`transport.native.Limits`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ecs_exec.record import NamedTuple
from ecs_exec.signals import Interrupts

_MOST_DOUBLINGS = 64
"""No delay grows longer than its policy's longest one by then, and a float can still hold it."""


class Policy(NamedTuple):
    """Delays before retries, in seconds, without jitter: each is twice as long as the one before."""

    first: float
    longest: float

    def most(self, tries: int) -> float:
        """Return the longest delay before retry number `tries`, which counts from 1."""
        return min(self.first * (1 << min(tries - 1, _MOST_DOUBLINGS)), self.longest)

    def delay(self, tries: int) -> float:
        """Return the delay before retry number `tries`: at least half of the longest one.

        Jitter, because many jobs are refused or lose their connections at the same moment, and would be again.
        """
        import random  # late: only needed after a failure

        return self.most(tries) * random.uniform(0.5, 1)  # noqa: S311


SESSION = Policy(first=0.5, longest=4.0)
"""To open the session of a command."""

CALL = Policy(first=0.5, longest=8.0)
"""To repeat a call of AWS's API for a node source or a step."""

CONNECTION = Policy(first=0.2, longest=6.0)
"""To open the websocket of a session, and to resume the session after a cut."""


class Backoff:
    """Waits before the retries of a session, up to a deadline after which none follows."""

    def __init__(self, deadline: float, interrupts: Interrupts, clock: Callable[[], float]) -> None:
        """Take the deadline, in seconds of the clock; `interrupts` may end a wait."""
        self._deadline = deadline
        self._interrupts = interrupts
        self._clock = clock
        self._tries = 0

    @property
    def left(self) -> float:
        """The seconds until the deadline, 0 after it."""
        return max(0.0, self._deadline - self._clock())

    def wait(self) -> None:
        """Wait before the next attempt, but not past the deadline: the last attempt is made then. Raises Aborted."""
        self._tries += 1
        seconds = min(SESSION.delay(self._tries), self.left)
        with self._interrupts.immediate():
            time.sleep(seconds)
