"""The transport through AWS's own session-manager-plugin, which runs as a separate process.

The program is made for people at terminals. It ends with status 0 whatever happens, reads its input only after the
first output, and gives up when that input ends. It takes the session, with its token, from its arguments or from an
environment variable that the first argument names. Here it is always the variable, because arguments are visible in
`ps`.

The program numbers input and the terminal's size with one counter, from two threads without a lock (1.3,
`datachannel/streaming.go`, `SendInputDataMessage`). If both happen at once, as at the first output, two messages get
the same number and the next number is never used. Then the agent drops one of them, and waits for ever for the missing
number before it takes any later message. So the program's stdout is a terminal without a size, which it does not
report. It gets a size only as a keep-alive, when there is no input.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import select
import shutil
import struct
import termios
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ecs_exec.errors import CannotOpenChannel, ProtocolError
from ecs_exec.ssm.channel import MAX_WAITING
from ecs_exec.transport import Closed, Event, Output, Ready, Session
from ecs_exec.transport.banners import Banners
from ecs_exec.transport.program import Program

_VARIABLE = "AWS_SSM_START_SESSION_RESPONSE_RUNDECK"
"""The program takes a first argument that begins with AWS_SSM_START_SESSION_RESPONSE as the name of a variable."""

_READ = 64 * 1024
_PIECE = 1024
"""Bytes that the program reads at a time. It turns a piece that is only a newline into a carriage return. No piece is
only a newline as long as the raw bytes of a file are sent in multiples of this."""

_SILENCE = 0.01
"""Seconds without output after which bytes that look like the beginning of a banner are the session's: a banner comes
in one piece."""

_COLUMNS, _ROWS = 300, 100

_SIGNALLED = 128
_EXIT_WITHIN = 2.0
"""Seconds for a program that has closed its output to end."""


def find_binary(name: str) -> str:
    """Return the path of the program `name`. Raises CannotOpenChannel if there is none."""
    found = shutil.which(name)
    if found is None:
        raise CannotOpenChannel(name="program-missing", program=name)
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

        `ssm_endpoint` is the endpoint at which it resumes and terminates the session: SSM's, not that of ECS.
        `environment` is the program's, credentials included. `wake` is a descriptor that ends a `receive` when it
        becomes readable. Raises CannotOpenChannel if the program cannot be started.
        """
        self._wake = wake
        self._clock = clock
        self._banners = Banners(session.session_id)
        self._to_send = bytearray()
        self._ready = False
        self._over = False
        self._events: list[Event] = []
        self._rows = _ROWS
        content = {"SessionId": session.session_id, "StreamUrl": session.stream_url, "TokenValue": session.token}
        target = json.dumps({"Target": session.target})
        program = find_binary(binary)
        arguments = [_VARIABLE, session.region, "StartSession", profile, target, ssm_endpoint]
        self._program = Program([program, *arguments], {**environment, _VARIABLE: json.dumps(content)})

    # --- The interface of Transport

    def receive(self, timeout: float) -> Event | None:
        """Wait up to `timeout` seconds for the next event; see `Transport.receive`."""
        until = self._clock() + timeout
        while not self._events and not self._over:
            woken = self._poll(until)
            if woken or self._clock() >= until:
                break
        return self._events.pop(0) if self._events else None

    def send(self, data: bytes) -> None:
        """Queue bytes for the program's input, which it reads only after the first output.

        Raises ProtocolError if more than MAX_WAITING bytes would wait.
        """
        if len(self._to_send) + len(data) > MAX_WAITING:
            raise ProtocolError("the container requested more input before it got the input that it had requested")
        self._to_send += data
        self._write()

    def keep_alive(self) -> None:
        """Change the terminal's size by one row: the program sends it. The command's own input does not change."""
        self._rows = _ROWS + (self._rows == _ROWS)
        with suppress(OSError):
            fcntl.ioctl(self._program.stdout, termios.TIOCSWINSZ, struct.pack("HHHH", self._rows, _COLUMNS, 0, 0))

    def probe(self) -> bool:
        """Return False: the program does not show the agent's acknowledgements."""
        return False

    def drained(self) -> bool:
        """Return whether the session is over: only then is it known that the agent has everything."""
        return self._over

    def close(self) -> None:
        """Kill the program. Never raises."""
        self._program.close()

    # --- Its pipes

    def _poll(self, until: float) -> bool:
        """Wait for the pipes, the wake-up descriptor or a time; return whether the descriptor became readable."""
        program, now = self._program, self._clock()
        held = self._banners.waiting
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        poller.register(program.stdout, select.POLLIN)
        if not program.ended:
            poller.register(program.stderr, select.POLLIN)
        if self._to_send:
            poller.register(program.stdin, select.POLLOUT)
        seconds = max(0.0, min(until, now + _SILENCE if held else until) - now)
        found = {descriptor for descriptor, _ in poller.poll(math.ceil(seconds * 1000))}
        if program.stdin in found:
            self._write()
        if program.stderr in found:
            program.read_errors()
        if program.stdout in found:
            self._read()
        elif held:
            self._give(self._banners.release())
        return self._wake in found

    def _write(self) -> None:
        """Write as much as the pipe takes, in writes of _PIECE bytes that succeed whole or not at all.

        So the program reads the same pieces as are written here.
        """
        with suppress(BlockingIOError, BrokenPipeError):  # the end of the program is noticed on its stdout
            while self._to_send:
                del self._to_send[: os.write(self._program.stdin, self._to_send[:_PIECE])]

    def _read(self) -> None:
        try:
            data = os.read(self._program.stdout, _READ)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: nobody holds the other end of the terminal any more
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
        """Queue the event for the program's end. Raises CannotOpenChannel if the session never had any output.

        The program's status does not help: it is 0 unless the program crashed or was killed.
        """
        self._give(self._banners.close())
        self._over = True
        self._wait_for_status()
        if self._banners.ended:
            self._events.append(Closed(self._banners.reason))
        elif self._ready:
            self._events.append(Closed(self._why(), by_service=False))
        else:
            raise CannotOpenChannel(self._why(), name="program-failed", transient=self._program.status == 0)

    def _wait_for_status(self) -> None:
        """Wait at most _EXIT_WITHIN seconds for the program to exit after it has closed its output."""
        until = self._clock() + _EXIT_WITHIN
        poller = select.poll()
        poller.register(self._program.stderr, select.POLLIN)
        while not self._program.ended and (left := until - self._clock()) > 0:
            if poller.poll(left * 1000):
                self._program.read_errors()

    def _why(self) -> str:
        if self._banners.reason:
            return f"session-manager-plugin: {self._banners.reason}"
        status = self._program.status
        # Before the first banner a program may print anything of this server, credentials included. So only a program
        # that has named the session is quoted.
        said = self._program.first_words if self._banners.opened else ""
        if status is None:
            return "session-manager-plugin was ended by another process on this server"
        ended = f"was ended by signal {status - _SIGNALLED}" if status > _SIGNALLED else f"ended with status {status}"
        return f"session-manager-plugin {ended} before the session ended{f': {said}' if said else ''}"
