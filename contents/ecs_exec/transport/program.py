"""Runs session-manager-plugin as a process that Rundeck does not reach.

When Rundeck aborts a job, it stops all descendants of a script before the script itself. The program would then leave
the remote command running. So the program must not be a descendant: a shell starts it in the background, and exits. The
program ends when we kill it, or when we end, because its input ends then. If a Java process is the container's init, it
does not wait for orphans, which would pile up as zombies; there the shell stays.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tty
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ecs_exec.errors import CannotOpenChannel

_STATUS = "ecs-exec-status"
_RUN = f'{{ "$@" <&3 3<&-; echo "{_STATUS} $?" >&2; }}'
_SCRIPT = {True: f"exec 3<&0; {_RUN} &", False: f"exec 3<&0; {_RUN}"}
"""By whether to detach the program. Without descriptor 3 a background program's input would be /dev/null."""

_ERRORS_KEPT = 2048


class Program:
    """A program whose stdout is a terminal. All descriptors are non-blocking."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, detached: bool | None = None) -> None:
        """Start the program, detached unless init is Java or `detached` says otherwise. Raises CannotOpenChannel."""
        detached = _orphans_are_waited_for() if detached is None else detached
        self.stdout, terminal = os.openpty()
        """The plugin's end of the program's terminal."""
        tty.setraw(terminal)
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT[detached], "sh", *command],
                stdin=subprocess.PIPE,
                stdout=terminal,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment,
                start_new_session=True,  # a terminal's Ctrl-C is for the plugin, which stops the command itself
            )
        except OSError as error:
            os.close(self.stdout)
            raise CannotOpenChannel(
                f"{command[0]} cannot be started: {error.strerror}", name="program-failed"
            ) from error
        finally:
            os.close(terminal)
        self.stdin, self.stderr = (stream.fileno() for stream in (self._process.stdin, self._process.stderr) if stream)
        for descriptor in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
        self._errors = b""
        self.ended = False
        """Its stderr has ended: the shell holds it open as long as it runs."""

    def read_errors(self) -> None:
        """Read stderr without blocking; the last 2,048 bytes are kept."""
        with suppress(BlockingIOError):
            data = os.read(self.stderr, _ERRORS_KEPT)
            self.ended = not data
            self._errors = (self._errors + data)[-_ERRORS_KEPT:]

    @property
    def status(self) -> int | None:
        """The program's exit status, 128+n if signal n ended it; None while it is not known."""
        found = re.search(rf"{_STATUS} (\d+)\n\Z", self._errors.decode(errors="replace"))
        return int(found[1]) if found else None

    @property
    def first_words(self) -> str:
        """The first line on the program's stderr, empty if there is none."""
        lines = self._errors.decode(errors="replace").strip().splitlines()
        return lines[0] if lines and not lines[0].startswith(_STATUS) else ""

    def close(self) -> None:
        """Kill the program and all of its process group. Never raises."""
        # Nobody has waited for the shell yet, so its process group's number cannot belong to others.
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        os.close(self.stdout)


def _orphans_are_waited_for() -> bool:
    """Return whether init, or a container's first process, waits for orphans. A Java process does not."""
    try:
        return Path("/proc/1/comm").read_text(encoding="utf-8").strip() != "java"
    except OSError:
        return True
