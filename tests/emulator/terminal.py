"""A command on a pseudo-terminal of its own, started without forking this (multi-threaded) process.

posix_spawn makes the session before it opens files, and a session leader without a terminal gets the first one that
it opens: so the far end of the terminal, opened by name, becomes the controlling one. Python's own os.posix_spawn
cannot change the directory, hence ctypes.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_SETSIGDEF = 0x04
_SETSIGMASK = 0x08
_SETSID = 0x80
_ROOM = 1024  # more than any libc's attribute, file action or signal set takes

_libc = ctypes.CDLL(None, use_errno=True)


class StartError(Exception):
    """A command that cannot be started; the text is the agent's own."""


def _checked(result: int) -> None:
    if result:
        raise OSError(result, os.strerror(result))


class Terminal:
    """A running command and the master side of its terminal."""

    def __init__(self, pid: int, master: int) -> None:
        """Take over a child and the descriptor that its output is read from."""
        self.pid = pid
        self.master = master
        self._reaped: int | None = None

    @classmethod
    def start(
        cls, argv: Sequence[str], env: Mapping[str, str], cwd: str, programs: Mapping[str, str] | None = None
    ) -> Terminal:
        """Execute words without a shell, on a new terminal; raise StartError as the agent words it.

        `programs` maps a first word to a program that is not this machine's program of that name. The program sees its
        words unchanged, so that busybox can be `/bin/sh`.
        """
        program = find_program(argv[0], env.get("PATH", ""), programs or {})
        master, slave = pty.openpty()
        try:
            pid = _spawn(program, argv, env, cwd, os.ttyname(slave))
        except OSError as exc:
            os.close(master)
            where = f"chdir {cwd}" if not Path(cwd).is_dir() else f"fork/exec {program}"
            raise StartError(f"{where}: {_go_text(exc)}") from exc
        finally:
            os.close(slave)
        os.set_blocking(master, False)
        return cls(pid, master)

    def resize(self, rows: int, cols: int) -> None:
        """Set the window size."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def kill(self) -> None:
        """Kill the direct child, and only that."""
        if self._reaped is None:
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the master: the kernel hangs up on the foreground group."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def reap(self) -> int | None:
        """Return the exit status if the child has ended (negative: the signal), without waiting."""
        if self._reaped is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._reaped = os.waitstatus_to_exitcode(status)
        return self._reaped


def find_program(name: str, path: str, programs: Mapping[str, str]) -> str:
    """Look a program up as the agent's runtime does: in PATH, unless its name holds a slash."""
    if name in programs:
        if programs[name]:
            return programs[name]
        if "/" in name:
            raise StartError(f"fork/exec {name}: no such file or directory")
        raise StartError(f'exec: "{name}": executable file not found in $PATH')
    if "/" in name:
        return name
    for folder in path.split(":"):
        candidate = Path(folder, name)
        if folder and candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise StartError(f'exec: "{name}": executable file not found in $PATH')


def _go_text(exc: OSError) -> str:
    """Return an error's text as Go writes it: in lower case, and with its own names for a few."""
    return {errno.ENOEXEC: "exec format error", errno.E2BIG: "argument list too long"}.get(
        exc.errno or 0, (exc.strerror or str(exc)).lower()
    )


def _strings(values: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [os.fsencode(value) for value in values]
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


def _spawn(program: str, argv: Sequence[str], env: Mapping[str, str], cwd: str, tty: str) -> int:
    attributes = ctypes.create_string_buffer(_ROOM)
    actions = ctypes.create_string_buffer(_ROOM)
    none = ctypes.create_string_buffer(_ROOM)
    every = ctypes.create_string_buffer(_ROOM)
    _checked(_libc.sigemptyset(none))
    _checked(_libc.sigfillset(every))
    _checked(_libc.posix_spawnattr_init(attributes))
    _checked(_libc.posix_spawn_file_actions_init(actions))
    try:
        _checked(_libc.posix_spawnattr_setsigdefault(attributes, every))
        _checked(_libc.posix_spawnattr_setsigmask(attributes, none))
        _checked(_libc.posix_spawnattr_setflags(attributes, ctypes.c_short(_SETSID | _SETSIGDEF | _SETSIGMASK)))
        _checked(_libc.posix_spawn_file_actions_addchdir_np(actions, os.fsencode(cwd)))
        _checked(_libc.posix_spawn_file_actions_addopen(actions, 0, os.fsencode(tty), os.O_RDWR, 0))
        for descriptor in (1, 2):
            _checked(_libc.posix_spawn_file_actions_adddup2(actions, 0, descriptor))
        pid = ctypes.c_int()
        words = _strings(argv)
        variables = _strings([f"{name}={value}" for name, value in env.items()])
        _checked(_libc.posix_spawn(ctypes.byref(pid), os.fsencode(program), actions, attributes, words, variables))
        return pid.value
    finally:
        _libc.posix_spawn_file_actions_destroy(actions)
        _libc.posix_spawnattr_destroy(attributes)
