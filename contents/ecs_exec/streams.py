"""Writes a command's output, and the plugin's own lines, to stdout and stderr."""

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
"""Seconds that a reader gets in all after a stop has begun. Output that it has not taken by then is dropped."""


class OutputClosed(Exception):
    """Nobody reads the output any more."""


class OutputBlocked(Exception):
    """Nobody read the output within the limit of time."""

    def __init__(self, rest: memoryview) -> None:
        """Take the bytes that were not written."""
        super().__init__()
        self.rest = rest


class OutputStreams:
    """Writes at once, without a buffer of its own: Rundeck shows lines as they come.

    A write to a pipe that nobody reads would block for ever. So each write waits until there is room for all of it, and
    a signal or a limit of time ends that wait. The descriptors stay blocking: the flag would change for every process
    that shares them.
    """

    def __init__(self, interrupts: Interrupts, *, debug: bool = False, stdout: int = 1, stderr: int = 2) -> None:
        """Take the descriptors to write to, and whether to log debug lines."""
        self._interrupts = interrupts
        self.debugging = debug
        """Whether debug lines are logged."""
        self._stdout = stdout
        self._stderr = stderr
        self._until: float | None = None
        self._farewell = _FAREWELL
        self.drop_when_blocked = False
        """If True, drop output that nobody reads: an abort must not wait for a reader."""

    def limit(self, seconds: float | None) -> None:
        """Let writes wait for a reader for at most so many seconds from now; None: without a limit."""
        self._until = None if seconds is None else time.monotonic() + seconds

    def out(self, data: bytes) -> None:
        """Write bytes to stdout.

        Raises OutputClosed if nobody reads it any more, CommandError if it cannot be written, and while it waits
        Aborted or OutputBlocked.
        """
        self._write(self._stdout, data)

    def err(self, data: bytes) -> None:
        """Write bytes to stderr; raises as `out` does."""
        self._write(self._stderr, data)

    def say(self, text: str) -> None:
        """Write one line of the plugin's own to stderr. Never fails: a log that is closed or full must end nothing."""
        line = without_user(printable(text))
        self._offer(self._stderr, memoryview(f"{_PREFIX}{line}\n".encode(errors="backslashreplace")))

    def debug(self, text: str) -> None:
        """Write a debug line to stderr, if these are switched on."""
        if self.debugging:
            self.say(f"debug: {text}")

    def _write(self, descriptor: int, data: bytes) -> None:
        rest = memoryview(data)
        if self.drop_when_blocked:
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
        """Write as much as the reader takes in time, and drop the rest."""
        with suppress(OSError):
            while data and self._has_room(descriptor):
                data = data[os.write(descriptor, data[: select.PIPE_BUF]) :]

    def _has_room(self, descriptor: int) -> bool:
        """Wait until PIPE_BUF bytes can be written at once. Returns False if a signal or the limit came first."""
        poller = select.poll()
        poller.register(descriptor, select.POLLOUT)
        if self.drop_when_blocked:
            began = time.monotonic()
            found = poller.poll(self._farewell * 1000)
            self._farewell = max(0.0, self._farewell - (time.monotonic() - began))
            return bool(found)
        if self._interrupts.wake >= 0:
            poller.register(self._interrupts.wake, select.POLLIN)
        left = None if self._until is None else max(0.0, self._until - time.monotonic())
        return descriptor in {ready for ready, _ in poller.poll(None if left is None else math.ceil(left * 1000))}
