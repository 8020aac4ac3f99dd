"""Where a command's output goes, and what the plugin itself has to say."""

from __future__ import annotations

import errno
import math
import os
import select
import time
from contextlib import suppress

from ecs_exec.errors import CommandError
from ecs_exec.signals import Interrupts
from ecs_exec.text import printable, without_user

_PREFIX = "ecs-exec: "

_FAREWELL = 0.2
"""Seconds that a reader gets altogether once a stop is under way; what it does not take then is dropped."""


class OutputClosed(Exception):
    """Nobody reads the output any more."""


class OutputBlocked(Exception):
    """The output was not read until its time was over."""

    def __init__(self, rest: memoryview) -> None:
        """Take what was not written."""
        super().__init__()
        self.rest = rest


class Sink:
    """Writes through at once, without a buffer of its own: Rundeck shows lines as they come.

    A pipe that nobody reads never ends a write. So each write waits until there is room for all of it, and a signal or
    the end of a time ends that wait. The descriptors stay as they are: to make them non-blocking would do so for every
    process that shares them.
    """

    def __init__(self, interrupts: Interrupts, *, debug: bool = False, stdout: int = 1, stderr: int = 2) -> None:
        """Take the descriptors to write to."""
        self._interrupts = interrupts
        self.debugging = debug
        """Whether details are told."""
        self._stdout = stdout
        self._stderr = stderr
        self._until: float | None = None
        self._farewell = _FAREWELL
        self.leave_out = False
        """From now on leave out what nobody is there to read: an abort must not wait for a reader."""

    def limit(self, seconds: float | None) -> None:
        """Let writes wait for a reader so long from now, or without a limit."""
        self._until = None if seconds is None else time.monotonic() + seconds

    def out(self, data: bytes) -> None:
        """Write the command's stdout. Raises OutputClosed, CommandError; while it waits Aborted, OutputBlocked."""
        self._write(self._stdout, data)

    def err(self, data: bytes) -> None:
        """Write the command's stderr, as `out` does."""
        self._write(self._stderr, data)

    def say(self, text: str) -> None:
        """Tell the operator something, in one line. Never fails: a log that is closed or full ends nothing."""
        line = without_user(printable(text))
        self._offer(self._stderr, memoryview(f"{_PREFIX}{line}\n".encode(errors="backslashreplace")))

    def debug(self, text: str) -> None:
        """Tell a detail to an operator who asked for details."""
        if self.debugging:
            self.say(f"debug: {text}")

    def _write(self, descriptor: int, data: bytes) -> None:
        rest = memoryview(data)
        if self.leave_out:
            self._offer(descriptor, rest)
            return
        try:
            with self._interrupts.immediate():
                while rest:
                    if not self._has_room(descriptor):
                        raise OutputBlocked(rest)
                    rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise OutputClosed from error
            raise CommandError(name="output-not-written", why=error.strerror) from error

    def _offer(self, descriptor: int, data: memoryview) -> None:
        """Write what the reader takes in time, and drop the rest."""
        with suppress(OSError):
            while data and self._has_room(descriptor):
                data = data[os.write(descriptor, data[: select.PIPE_BUF]) :]

    def _has_room(self, descriptor: int) -> bool:
        """Wait until PIPE_BUF bytes can be written at once; return False where a signal or the end of a time came."""
        poller = select.poll()
        poller.register(descriptor, select.POLLOUT)
        if self.leave_out:
            began = time.monotonic()
            found = poller.poll(self._farewell * 1000)
            self._farewell = max(0.0, self._farewell - (time.monotonic() - began))
            return bool(found)
        if self._interrupts.wake >= 0:
            poller.register(self._interrupts.wake, select.POLLIN)
        left = None if self._until is None else max(0.0, self._until - time.monotonic())
        return descriptor in {ready for ready, _ in poller.poll(None if left is None else math.ceil(left * 1000))}
