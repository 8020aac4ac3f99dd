"""session-manager-plugin as a process, out of Rundeck's reach.

When Rundeck aborts a job, it stops all descendants of a script before the script, and the program would leave the
remote command behind. So the program is no descendant: a shell starts it in the background, and ends. The program then
ends by our word, or with us, as its input ends then. Where a Java process is the container's init, which does not wait
for orphans, they would pile up as zombies; there the shell stays.
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
"""By whether the program is to be detached. Without descriptor 3 a background program's input would be /dev/null."""

_ERRORS_KEPT = 2048


class Program:
    """A program whose stdout is a terminal. All descriptors are non-blocking."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, detached: bool | None = None) -> None:
        """Start it. Raises CannotOpenChannel."""
        detached = _orphans_are_waited_for() if detached is None else detached
        self.stdout, terminal = os.openpty()
        """The near end of its terminal."""
        tty.setraw(terminal)
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT[detached], "sh", *command],
                stdin=subprocess.PIPE,
                stdout=terminal,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment,
                start_new_session=True,  # a terminal's Ctrl-C is for us, who pass on what has to be
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
        """Its stderr, which the shell holds as long as it runs, has ended."""

    def read_errors(self) -> None:
        """Take in what it says on stderr."""
        with suppress(BlockingIOError):
            data = os.read(self.stderr, _ERRORS_KEPT)
            self.ended = not data
            self._errors = (self._errors + data)[-_ERRORS_KEPT:]

    @property
    def status(self) -> int | None:
        """Its exit status, 128+n where signal n ended it; None while that is not known."""
        found = re.search(rf"{_STATUS} (\d+)\n\Z", self._errors.decode(errors="replace"))
        return int(found[1]) if found else None

    @property
    def first_words(self) -> str:
        """The first line that it said on stderr."""
        lines = self._errors.decode(errors="replace").strip().splitlines()
        return lines[0] if lines and not lines[0].startswith(_STATUS) else ""

    def close(self) -> None:
        """End it. Never raises."""
        # The shell has not been waited for, so the group's number is still ours.
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        os.close(self.stdout)


def _orphans_are_waited_for() -> bool:
    """Tell whether init, or what stands for it in a container, waits for processes that it has not started."""
    try:
        return Path("/proc/1/comm").read_text(encoding="utf-8").strip() != "java"
    except OSError:
        return True
