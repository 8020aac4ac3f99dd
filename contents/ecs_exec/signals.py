"""What Rundeck says while a command runs: stop. It says so by a signal, at any moment."""

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
"""Seconds in which a second signal is taken for the same abort: Rundeck stops what a process has started, and then the
process, which passes the signal on to what it has started."""

_FORCED_AFTER = 3.0
"""Seconds after the first signal in which even then all is over."""

_BEAT = 0.2
"""Seconds between alarms while something blocks. Python runs a handler between two of its own instructions only: a
signal that comes right before a system call would be heard when that call ends, and a server may never answer it."""


class Aborted(BaseException):
    """The plugin was told to stop. Not an Exception: no handler of errors may swallow it."""


class TooLate(BaseException):
    """What had a limited time has not ended in it."""

    def __init__(self, limit: _Limit) -> None:
        """Name the limit that is over: of several around the same call it may be an outer one."""
        super().__init__()
        self.limit = limit


class _Limit:
    """One limit of time."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds


@final
class Interrupts:
    """Turns signals into a descriptor that becomes readable, and into Aborted where something blocks.

    Made once, in the main thread; a context manager that puts the former handlers back.
    """

    def __init__(self) -> None:
        """Handle nothing yet."""
        self._grace: float | None = None
        """Seconds that what blocks has left once a signal comes; None: a signal does not end it."""
        self._abort_at: float | None = None
        self._limits: list[_Limit] = []
        self._pending = False
        self._acknowledged = False
        self._first_at = 0.0
        self._ends_at: float | None = None
        self.wake = -1
        """A descriptor that becomes readable with a signal and stays so until it is acknowledged."""
        self.received = 0
        """The first signal's number, 0 if there was none."""
        self.before_exit: list[Callable[[], None]] = []
        """What a second signal does before it ends the plugin: end processes that would run on. Nothing that waits."""

    def __enter__(self) -> Interrupts:
        """Begin to handle signals."""
        self.wake, self._waker = os.pipe()
        for descriptor in (self.wake, self._waker):
            os.set_blocking(descriptor, False)
        # Not only our handler writes to it: poll() must wake for a signal that came right before it was called.
        self._former_waker = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._former = {number: signal.signal(number, self._handle) for number in _STOPPING}
        self._former[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._alarm)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop handling signals."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_waker)
        os.close(self.wake)
        os.close(self._waker)

    @property
    def name(self) -> str:
        """Name the signal."""
        return signal.Signals(self.received).name if self.received else ""

    def check(self) -> None:
        """Raise Aborted if a signal has come that was not acknowledged."""
        if self._pending:
            raise Aborted

    def acknowledge(self) -> None:
        """Take note of the signal: what follows is its consequence, and no second one is to disturb it.

        Of a job's processes each gets one from Rundeck, and those that another one started get his as well.
        """
        self._pending = False
        self._acknowledged = True
        self._quiet()

    @contextmanager
    def immediate(self, grace: float = 0) -> Iterator[None]:
        """Let a signal end what is done in here, at once or after `grace` seconds, by raising Aborted."""
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
        """End what is done in here after a time, quietly; a signal does not end it sooner."""
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
        """Empty the descriptor."""
        with suppress(BlockingIOError):
            os.read(self.wake, 1024)

    def _again(self) -> None:
        """Make sure that a second signal ends the plugin, whatever hangs: at once, or soon if it is the same abort."""
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
        """Set the next alarm: for what comes first, and again until it was heard."""
        moments = [limit.at for limit in self._limits]
        moments += [at for at in (self._abort_at, self._ends_at) if at is not None]
        if self._grace is not None:
            moments.append(time.monotonic() + _BEAT)
        seconds = max(0.001, min(moments) - time.monotonic()) if moments else 0
        signal.setitimer(signal.ITIMER_REAL, seconds, _BEAT if moments else 0)

    def _alarm(self, _number: int, _frame: FrameType | None) -> None:
        """Act on what is due. An alarm too many does nothing."""
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
