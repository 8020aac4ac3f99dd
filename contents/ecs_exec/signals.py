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


class Aborted(BaseException):
    """The plugin was told to stop. Not an Exception: no handler of errors may swallow it."""


class TooLate(BaseException):
    """What had a limited time has not ended in it."""


@final
class Interrupts:
    """Turns signals into a descriptor that becomes readable, and into Aborted where something blocks.

    Made once, in the main thread; a context manager that puts the former handlers back.
    """

    def __init__(self) -> None:
        """Handle nothing yet."""
        self._grace: float | None = None
        self._limited = False
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
        self._former = {number: signal.signal(number, self._handle) for number in _STOPPING}
        self._former[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._alarm)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop handling signals."""
        self._ends_at = None
        self._set_alarm(0)
        for number, handler in self._former.items():
            signal.signal(number, handler)
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
        with suppress(BlockingIOError):
            os.read(self.wake, 1024)

    @contextmanager
    def immediate(self, grace: float = 0) -> Iterator[None]:
        """Let a signal end what is done in here, at once or after `grace` seconds, by raising Aborted."""
        self.check()
        former, self._grace = self._grace, grace
        try:
            yield
        finally:
            self._grace = former
            self._set_alarm(0)

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """End what is done in here after a time, quietly; a signal does not end it sooner."""
        self._limited = True
        self._set_alarm(seconds)
        with suppress(TooLate):
            try:
                yield
            finally:
                self._limited = False
                self._set_alarm(0)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received:
            self._again()
        else:
            self.received, self._first_at = number, time.monotonic()
        if self._acknowledged:
            return
        self._pending = True
        with suppress(BlockingIOError):
            os.write(self._waker, b"!")
        if self._grace is None:
            return
        if not self._grace:
            raise Aborted
        self._set_alarm(self._grace)

    def _again(self) -> None:
        """Make sure that a second signal ends the plugin, whatever hangs: at once, or soon if it is the same abort."""
        if time.monotonic() - self._first_at > _SAME_ABORT:
            self._end()
        self._ends_at = self._first_at + _FORCED_AFTER
        self._set_alarm(0)

    def _end(self) -> NoReturn:
        for act in self.before_exit:
            with suppress(Exception):
                act()
        os._exit(EXIT_ABORTED)

    def _set_alarm(self, seconds: float) -> None:
        """Set when `_alarm` comes, 0 for never; the end that a second signal has set comes in any case."""
        if self._ends_at is not None:
            left = max(0.001, self._ends_at - time.monotonic())
            seconds = min(seconds, left) if seconds else left
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            self._end()
        if self._limited:
            self._limited = False
            raise TooLate
        if self._grace is not None:
            self._grace = None
            raise Aborted
