"""Handles the signals by which Rundeck aborts a job. They may come at any moment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import NoReturn, final

from ecs_exec.errors import EXIT_ABORTED

_STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

_SAME_ABORT = 1.0
"""Seconds in which a second signal counts as the same abort. Rundeck first stops the descendants of a process and then
the process itself, which passes the signal on to its own children."""

_FORCED_AFTER = 3.0
"""Seconds after the first signal at which the plugin exits in any case, if a second signal came."""

_BEAT = 0.2
"""Seconds between alarms while a call may block. Python runs a handler only between two of its own instructions. So a
signal that comes right before a system call is handled only after that call, and a server may never answer."""


class Aborted(BaseException):
    """The plugin got a signal to stop. Not an Exception, so that no handler of errors swallows it."""


class TooLate(BaseException):
    """A limit of time is over."""

    def __init__(self, limit: _Limit) -> None:
        """Take the limit that is over: if several limits apply to a call, it may be an outer one."""
        super().__init__()
        self.limit = limit


class _Limit:
    """A limit of time, compared by identity."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds


@final
class Interrupts:
    """Turns signals into a descriptor that becomes readable, and into Aborted inside `immediate`.

    Made once, in the main thread. It is a context manager: its end restores the former handlers.
    """

    def __init__(self) -> None:
        """Handle no signals yet."""
        self._grace: float | None = None
        """Seconds that a blocking call may go on after a signal; None: a signal does not end it."""
        self._abort_at: float | None = None
        self._limits: list[_Limit] = []
        self._pending = False
        self._acknowledged = False
        self._first_at = 0.0
        self._ends_at: float | None = None
        self.wake = -1
        """A descriptor that becomes readable when a signal comes, and stays so until the signal is acknowledged."""
        self.received = 0
        """The first signal's number, 0 if there was none."""
        self.before_exit: list[Callable[[], None]] = []
        """Called before a second signal ends the plugin, to end processes that would run on. They must not wait."""

    def __enter__(self) -> Interrupts:
        """Install the handlers and make the descriptor `wake`."""
        self.wake, self._waker = os.pipe()
        for descriptor in (self.wake, self._waker):
            os.set_blocking(descriptor, False)
        # Python itself also writes to it when a signal comes: poll() must wake for a signal that came right before it
        # was called, when our handler has not run yet.
        self._former_waker = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._former = {number: signal.signal(number, self._handle) for number in _STOPPING}
        self._former[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._alarm)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the former handlers and close the descriptors."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_waker)
        os.close(self.wake)
        os.close(self._waker)

    @property
    def name(self) -> str:
        """The first signal's name, for example SIGTERM; empty if there was none."""
        return signal.Signals(self.received).name if self.received else ""

    def check(self) -> None:
        """Raise Aborted if a signal came and was not acknowledged."""
        if self._pending:
            raise Aborted

    def acknowledge(self) -> None:
        """Note that the stop has begun: a second signal must not disturb it.

        Each process of a job gets a signal from Rundeck, and also those that its parent passes on.
        """
        self._pending = False
        self._acknowledged = True
        self._quiet()

    @contextmanager
    def immediate(self, grace: float = 0) -> Iterator[None]:
        """Let a signal raise Aborted inside the block, at once or after `grace` seconds. Raises Aborted."""
        self.check()
        former, self._grace = (self._grace, self._abort_at), grace
        self._set_alarm()
        try:
            yield
        finally:
            self._grace, self._abort_at = former
            self._set_alarm()

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Leave the block after so many seconds, without an error. A signal does not end it sooner."""
        limit = _Limit(seconds)
        self._limits.append(limit)
        try:
            try:
                self._set_alarm()
                yield
            finally:
                if limit in self._limits:
                    self._limits.remove(limit)
                self._set_alarm()
        except TooLate as late:
            if late.limit is not limit:
                raise

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received:
            self._again()
        else:
            self.received, self._first_at = number, time.monotonic()
        if self._acknowledged:
            self._quiet()
            return
        self._pending = True
        with suppress(BlockingIOError):
            os.write(self._waker, b"!")
        if self._grace is None:
            return
        if not self._grace:
            raise Aborted
        self._abort_at = time.monotonic() + self._grace
        self._set_alarm()

    def _quiet(self) -> None:
        """Read the descriptor empty, so that it does not wake anybody again."""
        with suppress(BlockingIOError):
            os.read(self.wake, 1024)

    def _again(self) -> None:
        """Make sure that a second signal ends the plugin even if a call hangs: at once, or soon in the same abort."""
        if time.monotonic() - self._first_at > _SAME_ABORT:
            self._end()
        self._ends_at = self._first_at + _FORCED_AFTER
        self._set_alarm()

    def _end(self) -> NoReturn:
        for act in self.before_exit:
            with suppress(Exception):
                act()
        os._exit(EXIT_ABORTED)

    def _set_alarm(self) -> None:
        """Set the alarm for the earliest moment, and then again every _BEAT until it was handled."""
        moments = [limit.at for limit in self._limits]
        moments += [at for at in (self._abort_at, self._ends_at) if at is not None]
        if self._grace is not None:
            moments.append(time.monotonic() + _BEAT)
        seconds = max(0.001, min(moments) - time.monotonic()) if moments else 0
        signal.setitimer(signal.ITIMER_REAL, seconds, _BEAT if moments else 0)

    def _alarm(self, _number: int, _frame: FrameType | None) -> None:
        """Act on the limit that is over. An extra alarm does nothing."""
        if not self._pending:
            self._quiet()
        now = time.monotonic()
        if self._ends_at is not None and now >= self._ends_at:
            self._end()
        late = next((limit for limit in self._limits if now >= limit.at), None)
        if late is not None:
            self._limits.remove(late)
            raise TooLate(late)
        if self._abort_at is not None and now >= self._abort_at:
            self._abort_at = None
            raise Aborted
        self._set_alarm()
