"""The container's script on a real terminal and in a real shell, with the plugin's own protocol at the other end."""

from __future__ import annotations

import atexit
import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, final

import pytest

from commands import Result
from ecs_exec.command import shell_wrapper
from ecs_exec.command.script_protocol import ScriptProtocol, SessionProtocol
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputStreams
from emulator.terminal import Terminal

_MORE = (
    *("bash", "dash", "ksh", "ksh93", "mksh", "yash", "zsh", "busybox", "python3", "perl", "openssl", "zstd"),
    *("setpriv", "runuser", "gosu", "su-exec", "b2sum", "sha224sum", "sha384sum", "numfmt", "stdbuf", "locale"),
)
"""Programs that images have beside those that busybox knows."""

_TAG = "RUNDECK_ECS_EXEC_TEST"
"""A variable by which a command's processes are found."""

SHELLS: dict[str, list[str]] = {
    "dash": ["dash"],
    "bash": ["bash"],
    "bash as sh": ["bash", "--posix"],
    "busybox": ["busybox", "sh"],
    "ksh": ["ksh93", "ksh"],
    "zsh": ["zsh"],
    "mksh": ["mksh"],
    "yash": ["yash"],
}


def program(name: str) -> list[str]:
    """Find a shell on this machine; a user's may lack some, the machine of CI must have all."""
    wanted = SHELLS[name]
    if name == "ksh":
        found = shutil.which("ksh93") or shutil.which("ksh")
        rest: list[str] = []
    else:
        found, rest = shutil.which(wanted[0]), wanted[1:]
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return [found, *rest]


def available(name: str) -> bool:
    """Return whether a shell is on this machine."""
    return any(map(shutil.which, SHELLS[name] if name == "ksh" else SHELLS[name][:1]))


@dataclass
class Seen:
    """The result of a command."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    status: int | None = None
    raw: bytearray = field(default_factory=bytearray, repr=False)
    said: list[str] = field(default_factory=list)
    """The plugin's own lines."""

    @property
    def result(self) -> Result:
        """Give it in the form that can be compared."""
        assert self.status is not None
        return Result(bytes(self.stdout), bytes(self.stderr), self.status)


class Recorder(OutputStreams):
    """Output streams that keep their bytes."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        super().__init__(Interrupts())
        self.seen = Seen()

    def out(self, data: bytes) -> None:
        """Keep stdout."""
        self.seen.stdout += data

    def err(self, data: bytes) -> None:
        """Keep stderr."""
        self.seen.stderr += data

    def say(self, text: str) -> None:
        """Keep a line of the plugin's own."""
        self.seen.said.append(text)


class Pty:
    """A process on a terminal of its own, the words of a string executed as the agent does."""

    def __init__(self, command: str, interpreter: list[str], environ: Mapping[str, str], cwd: str = "/") -> None:
        """Start the words of a command, with the first one, the shell's name, replaced by an interpreter."""
        self._terminal = Terminal.start([*interpreter, *_words(command)[1:]], environ, cwd)
        self.pid, self.master = self._terminal.pid, self._terminal.master
        self._typed = bytearray()

    def send(self, data: bytes) -> None:
        """Type; what the terminal does not take yet is typed while `read` waits."""
        self._typed += data
        with suppress(BlockingIOError):
            while self._typed:
                del self._typed[: os.write(self.master, self._typed)]

    def read(self, timeout: float = 20) -> bytes:
        """Give what is printed next, nothing at the end."""
        until = time.monotonic() + timeout
        while True:
            writing = [self.master] if self._typed else []
            ready, takes, _ = select.select([self.master], writing, [], max(0.0, until - time.monotonic()))
            if takes:
                self.send(b"")
            if ready:
                break
            if time.monotonic() >= until:
                raise TimeoutError
        try:
            return os.read(self.master, 1024)
        except OSError:
            return b""

    def close(self) -> None:
        """End the session as the agent does: kill the first process, then hang up."""
        if self.master >= 0:
            os.kill(self.pid, signal.SIGKILL)
            os.close(self.master)
            os.waitpid(self.pid, 0)
            self.master = -1


_words = cache(shlex.split)
"""It takes its time for a wrapper, and sessions of one kind have the same."""


@cache
def path_without(*missing: str) -> str:
    """Make a PATH that lacks some programs; nothing may be changed in it."""
    folder = Path(tempfile.mkdtemp(prefix="path-without-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # Those of a small image: to link all that a developer's machine has takes a second.
    names = subprocess.run([program("busybox")[0], "--list"], capture_output=True, text=True, check=True).stdout.split()
    wanted = {*names, *_MORE}.difference(missing)
    found: dict[str, Path] = {}
    for place in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"):
        for file in Path(place).iterdir() if Path(place).is_dir() else ():
            found.setdefault(file.name, file)
    for name, file in found.items():
        if name in wanted:
            (folder / name).symlink_to(file)
    return str(folder)


class Talk:
    """A running session, which a test can inspect and stop."""

    def __init__(
        self,
        wrapped: shell_wrapper.Wrapped,
        protocol: Callable[[OutputStreams], SessionProtocol],
        interpreter: list[str],
        environ: Mapping[str, str] | None = None,
        cwd: str = "/",
        *,
        begin: bool = True,
    ) -> None:
        """Start it."""
        self.tag = f"{_TAG}={shell_wrapper.new_nonce()}"
        variables = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color", "HOME": "/root"}
        variables |= {**(environ or {}), _TAG: self.tag.partition("=")[2]}
        self.wrapped = wrapped
        self.terminal = Pty(wrapped.command, interpreter, variables, cwd)
        recorder = Recorder()
        self.seen = recorder.seen
        self.protocol = protocol(recorder)
        self.protocol.line = self.terminal
        if begin:
            self.protocol.ready()

    def __enter__(self) -> Talk:  # noqa: PYI034 - subclasses name themselves
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        self.hang_up()
        for pid in self.left_over():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def until(self, done: Callable[[], bool]) -> None:
        """Read output until a condition holds. At the end of the terminal, the protocol is closed."""
        while not done():
            data = self.terminal.read()
            if not data:
                self.protocol.closed("")
                raise AssertionError("the session ended before")
            self.seen.raw += data
            self.protocol.output(data, time.monotonic())
        self.seen.status = self.protocol.status

    def to_the_end(self) -> None:
        """Read until nobody holds the terminal any more. Only an echo may be left to read."""
        left = b""
        while data := self.terminal.read():
            left += data
        assert left in (b"", b"q\r\n")

    def hang_up(self) -> None:
        """End the session as the agent does."""
        self.terminal.close()

    def left_over(self) -> list[int]:
        """Give the processes that still live."""
        tag = self.tag.encode()
        return [
            int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit() and tag in _environ(folder)
        ]

    def wait_for(self, done: Callable[[], bool], timeout: float = 20) -> None:
        """Wait for something that the protocol does not show."""
        until = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < until
            time.sleep(0.01)


@final
class Conversation(Talk):
    """A command on its way."""

    def __init__(
        self,
        command: str,
        name: str = "dash",
        *,
        environ: Mapping[str, str] | None = None,
        begin: bool = True,
        lose_line: int = 0,
        **how: object,
    ) -> None:
        """Start it; `lose_line` drops that line of a long command on its way."""
        settings: dict[str, Any] = {"shell": "/bin/sh", **how}
        wrapped = shell_wrapper.wrap(command, nonce=shell_wrapper.new_nonce(), **settings)
        if lose_line:
            wrapped = wrapped._replace(payload=wrapped.payload[:lose_line] + wrapped.payload[lose_line + 1 :])
        super().__init__(
            wrapped,
            lambda streams: ScriptProtocol(wrapped, streams, "the terminal", settings["shell"]),
            program(name),
            environ,
            begin=begin,
        )

    def __enter__(self) -> Conversation:
        """Begin."""
        return self


def _environ(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def run(command: str, name: str = "dash", *, environ: Mapping[str, str] | None = None, **how: object) -> Seen:
    """Run a command through the script and give what the plugin makes of it."""
    with Conversation(command, name, environ=environ, **how) as talk:  # type: ignore[arg-type]
        talk.until(lambda: talk.protocol.status is not None)
        talk.protocol.farewell()
        talk.to_the_end()
    return talk.seen
