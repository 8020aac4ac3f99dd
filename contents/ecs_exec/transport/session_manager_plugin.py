"""The data channel spoken by AWS's own session-manager-plugin, as a child process.

The program is made for people at terminals. It ends with status 0 whatever happens, reads its input only after the
first output, gives up when that input ends, and takes the session, token and all, from its arguments or from an
environment variable that the first argument names: here always the latter.

It numbers what is typed and the terminal's size by one counter, from two threads without a lock (1.3,
`datachannel/streaming.go`, `SendInputDataMessage`). Where both happen at once, which is at the first output, two
messages get one number and the next number is never used: the agent drops one of them, and waits for ever before it
takes any that follow. So its stdout is a terminal of no size, of which it has nothing to tell.
"""

from __future__ import annotations

import errno
import json
import math
import os
import select
import shutil
import signal
import subprocess
import time
import tty
from collections.abc import Callable, Mapping
from contextlib import suppress

from ecs_exec.errors import CannotOpenChannel
from ecs_exec.transport import Closed, Event, Output, Ready, Session
from ecs_exec.transport.banners import Banners

_VARIABLE = "AWS_SSM_START_SESSION_RESPONSE_RUNDECK"
"""The program takes an argument that begins with AWS_SSM_START_SESSION_RESPONSE for a variable's name."""

_READ = 64 * 1024
_PIECE = 1024
"""Bytes that the program reads at a time. It turns a piece that is nothing but a newline into a carriage return: no
piece is, as long as the raw bytes of a file are sent in multiples of this."""

_ERRORS_KEPT = 2048
_SILENCE = 0.01
"""Seconds without output after which what looks like the beginning of a banner is none: a banner comes in one piece."""

_EXIT_WITHIN = 2.0
"""Seconds for a program that has closed its output to end."""


def find_binary(name: str) -> str:
    """Return the program's path. Raises CannotOpenChannel where there is none."""
    found = shutil.which(name)
    if found is None:
        raise CannotOpenChannel(
            f"the program {name} is not on this server: install AWS's session-manager-plugin, give its path in"
            " the setting session-manager-plugin, or set transport to native"
        )
    return found


class SessionManagerPluginTransport:
    """A session's byte stream through the program; see `Transport`. The program is started at once."""

    def __init__(
        self,
        session: Session,
        *,
        binary: str,
        profile: str,
        ssm_endpoint: str,
        environment: Mapping[str, str],
        wake: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the program.

        `ssm_endpoint` is where it resumes and terminates the session: SSM's, not that of ECS. `environment` is the
        program's, credentials included. `wake` is a descriptor that ends a `receive` by becoming readable. Raises
        CannotOpenChannel where the program cannot be started.
        """
        self._session = session
        self._wake = wake
        self._clock = clock
        self._banners = Banners(session.session_id)
        self._to_send = bytearray()
        self._ready = False
        self._over = False
        self._events: list[Event] = []
        self._errors = b""
        self._errors_open = True
        content = {"SessionId": session.session_id, "StreamUrl": session.stream_url, "TokenValue": session.token}
        target = json.dumps({"Target": session.target})
        program = find_binary(binary)
        arguments = [_VARIABLE, session.region, "StartSession", profile, target, ssm_endpoint]
        self._stdout, terminal = os.openpty()
        tty.setraw(terminal)
        try:
            self._process = subprocess.Popen(
                [program, *arguments],
                stdin=subprocess.PIPE,
                stdout=terminal,
                stderr=subprocess.PIPE,
                bufsize=0,
                env={**environment, _VARIABLE: json.dumps(content)},
                start_new_session=True,  # a terminal's Ctrl-C is for us, who pass on what has to be
            )
        except OSError as error:
            os.close(self._stdout)
            raise CannotOpenChannel(f"{binary} cannot be started: {error.strerror}") from error
        finally:
            os.close(terminal)
        self._stdin, self._stderr = (
            stream.fileno() for stream in (self._process.stdin, self._process.stderr) if stream
        )
        for descriptor in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(descriptor, False)

    # --- The seam

    def receive(self, timeout: float) -> Event | None:
        """Wait up to `timeout` seconds for the next event; see `Transport.receive`."""
        until = self._clock() + timeout
        while not self._events and not self._over:
            woken = self._poll(until)
            if woken or self._clock() >= until:
                break
        return self._events.pop(0) if self._events else None

    def send(self, data: bytes) -> None:
        """Queue bytes for the program's input; it reads none before the first output."""
        self._to_send += data
        self._write()

    def keep_alive(self) -> None:
        """Do nothing: the program has no word for it but one that is typed."""

    def drained(self) -> bool:
        """Tell whether the agent has everything: known only when the session is over."""
        return self._over

    def close(self) -> None:
        """End the program. Never raises."""
        if self._process.poll() is None:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        os.close(self._stdout)

    # --- Its pipes

    def _poll(self, until: float) -> bool:
        """Wait for the pipes, the wake-up descriptor or a time; tell whether it was the descriptor."""
        now = self._clock()
        held = self._banners.waiting
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        poller.register(self._stdout, select.POLLIN)
        if self._errors_open:
            poller.register(self._stderr, select.POLLIN)
        if self._to_send:
            poller.register(self._stdin, select.POLLOUT)
        seconds = max(0.0, min(until, now + _SILENCE if held else until) - now)
        found = {descriptor for descriptor, _ in poller.poll(math.ceil(seconds * 1000))}
        if self._stdin in found:
            self._write()
        if self._stderr in found:
            self._read_errors()
        if self._stdout in found:
            self._read()
        elif held:
            self._give(self._banners.release())
        return self._wake in found

    def _write(self) -> None:
        """Write what the pipe takes, whole or not at all in each write, so that blocks of _PIECE bytes stay such."""
        with suppress(BlockingIOError, BrokenPipeError):  # a program that has ended is noticed by its output
            while self._to_send:
                del self._to_send[: os.write(self._stdin, self._to_send[:_PIECE])]

    def _read_errors(self) -> None:
        with suppress(BlockingIOError):
            data = os.read(self._stderr, _READ)
            self._errors_open = bool(data)
            self._errors = (self._errors + data)[-_ERRORS_KEPT:]

    def _read(self) -> None:
        try:
            data = os.read(self._stdout, _READ)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # how a terminal says that nobody holds its other end
                raise
            data = b""
        if not data:
            self._end()
            return
        self._give(self._banners.feed(data))

    def _give(self, data: bytes) -> None:
        if not data:
            return
        if not self._ready:
            self._ready = True
            self._events.append(Ready())
        self._events.append(Output(data))

    def _end(self) -> None:
        """Read the program's last words. Its status is 0 unless it crashed or was killed."""
        self._give(self._banners.close())
        self._over = True
        try:
            status = self._process.wait(_EXIT_WITHIN)
        except subprocess.TimeoutExpired:
            status = None
        self._read_errors()
        if self._banners.ended:
            self._events.append(Closed(self._banners.reason))
        else:
            self._events.append(Closed(self._why(status)))

    def _why(self, status: int | None) -> str:
        if self._banners.reason:
            return f"session-manager-plugin: {self._banners.reason}"
        if status is not None and status < 0:
            return f"session-manager-plugin was ended by signal {-status}"
        words = self._errors.decode(errors="replace").strip().splitlines()
        said = f": {words[0]}" if words else ""
        return f"session-manager-plugin ended with status {status} before the session did{said}"
