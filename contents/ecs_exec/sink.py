"""Where a command's output goes, and what the plugin itself has to say."""

from __future__ import annotations

import errno
import os
import select
from contextlib import suppress

from ecs_exec.errors import CommandError
from ecs_exec.signals import Interrupts
from ecs_exec.text import printable, without_user

_PREFIX = "ecs-exec: "


class OutputClosed(Exception):
    """Nobody reads the output any more."""


class Sink:
    """Writes through at once, without a buffer of its own: Rundeck shows lines as they come."""

    def __init__(self, interrupts: Interrupts, *, debug: bool = False, stdout: int = 1, stderr: int = 2) -> None:
        """Take the descriptors to write to."""
        self._interrupts = interrupts
        self.debugging = debug
        """Whether details are told."""
        self._stdout = stdout
        self._stderr = stderr
        self.leave_out = False
        """From now on leave out what nobody is there to read: an abort must not wait for a reader."""

    def out(self, data: bytes) -> None:
        """Write the command's stdout. Raises OutputClosed, CommandError, or Aborted while it blocks."""
        self._write(self._stdout, data)

    def err(self, data: bytes) -> None:
        """Write the command's stderr, as `out` does."""
        self._write(self._stderr, data)

    def say(self, text: str) -> None:
        """Tell the operator something, in one line and one write. Never fails: a log that is closed ends nothing."""
        line = without_user(printable(text))
        try:
            os.write(self._stderr, f"{_PREFIX}{line}\n".encode(errors="backslashreplace"))
        except OSError:
            return

    def debug(self, text: str) -> None:
        """Tell a detail to an operator who asked for details."""
        if self.debugging:
            self.say(f"debug: {text}")

    def _write(self, descriptor: int, data: bytes) -> None:
        rest = memoryview(data)
        try:
            if self.leave_out:
                _write_while_ready(descriptor, rest)
                return
            with self._interrupts.immediate():
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise OutputClosed from error
            raise CommandError(name="output-not-written", why=error.strerror) from error


def _write_while_ready(descriptor: int, data: memoryview) -> None:
    """Write what can be written without waiting, and drop the rest."""
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    with suppress(OSError):
        while data and poller.poll(0):
            data = data[os.write(descriptor, data[: select.PIPE_BUF]) :]
