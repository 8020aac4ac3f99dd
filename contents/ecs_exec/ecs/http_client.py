"""Sends an HTTP request and reads the answer: one attempt, over a connection that is kept for the next request."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from typing import TypeAlias
from urllib.parse import urlsplit

from ecs_exec.http_answer import Answer, AnswerParser
from ecs_exec.record import NamedTuple
from ecs_exec.tls import trusting

_LARGEST = 64 * 1024 * 1024
"""Most bytes of an answer. The largest, descriptions of 100 tasks, have about one megabyte."""

_READ_SIZE = 64 * 1024
_SLOWEST = 1024
"""Bytes a second of the slowest answer: each byte extends the time for the answer."""
_PORTS = {"http": 80, "https": 443}

_REUSED_WITHIN = 2.0
"""Seconds for which an idle connection is used again: enough for calls that follow each other. Later, the server might
close it just when a request is sent."""


Place: TypeAlias = "tuple[bytes, int]"
"""An IP address and a port. As bytes, names and addresses need no module for international names."""


class NoAnswer(TimeoutError):
    """A server was reached, and did not answer in time."""


class Host(NamedTuple):
    """Where to connect to."""

    secure: bool
    name: str
    port: int

    @property
    def header(self) -> str:
        """The value of the header Host."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"


def host_of(url: str) -> Host:
    """Return the host of an endpoint's URL. Raises ValueError for a URL that has no host or a wrong port."""
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:
        raise ValueError("the URL has no host, or the port 0")
    return Host(parts.scheme == "https", parts.hostname, parts.port or _PORTS[parts.scheme])


class HttpClient:
    """Sends requests, also from several threads at once."""

    def __init__(self, ca_bundle: str, connect_seconds: float, read_seconds: float, answer_seconds: float) -> None:
        """Take the file of certificate authorities, and the timeouts for connecting, each read and the whole answer."""
        self._ca_bundle = ca_bundle
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._answer_seconds = answer_seconds
        self._idle: dict[Host, list[tuple[socket.socket, float]]] = {}
        """The open connections, and since when they are idle."""

    def __del__(self) -> None:
        """Close the idle connections."""
        for idle in self._idle.values():
            for sock, _ in idle:
                sock.close()

    def ask(self, host: Host, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request; return the answer, whatever its status.

        Nothing is sent twice: also a reused connection that breaks is a failure. Raises OSError, and NotHttp.
        """
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        sock = self._reused(host) or self._connected(host)
        parser = AnswerParser(_LARGEST)
        try:
            sock.settimeout(self._read_seconds)
            sock.sendall("\r\n".join(lines).encode("ascii") + body)
            answer = self._answer(sock, parser)
        except BaseException as error:
            sock.close()
            if isinstance(error, ssl.SSLError) and "ALERT" not in str(error.reason):
                # The handshake was good, and the server did not complain: the connection broke.
                raise ConnectionError(f"TLS: {error.reason or error}") from error
            raise
        if answer.reusable and not parser.rest:
            self._idle.setdefault(host, []).append((sock, time.monotonic()))
        else:
            sock.close()
        return answer

    def _answer(self, sock: socket.socket, parser: AnswerParser) -> Answer:
        """Read an answer. A server that sends a byte now and then does not hold the caller for ever."""
        until = time.monotonic() + self._answer_seconds
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(min(self._read_seconds, left))
            try:
                data = sock.recv(_READ_SIZE)
            except TimeoutError as error:
                raise NoAnswer from error
            if (answer := parser.feed(data)) is not None:
                return answer
            until += len(data) / _SLOWEST
        raise NoAnswer

    def _reused(self, host: Host) -> socket.socket | None:
        """Return an idle connection; closes those that the server has closed or may soon close."""
        idle = self._idle.get(host, [])
        with suppress(IndexError):  # the last one is taken, maybe by another thread
            while True:
                sock, since = idle.pop()
                if time.monotonic() - since < _REUSED_WITHIN and not _is_readable(sock):
                    return sock
                sock.close()
        return None

    def _connected(self, host: Host) -> socket.socket:
        name = host.name.encode("ascii")
        sock = self._at_first_of(_look_up(name, host.port, self._connect_seconds))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if host.secure:
                # No certificate has the dot that ends a full name.
                sock = trusting(self._ca_bundle).wrap_socket(sock, server_hostname=name.rstrip(b"."))
        except BaseException:
            sock.close()
            raise
        return sock

    def _at_first_of(self, places: list[Place]) -> socket.socket:
        """Connect to the first place that lets us. Raises the last one's OSError."""
        *others, last = places
        for place in others:
            with suppress(OSError):
                return socket.create_connection(place, self._connect_seconds)  # type: ignore[arg-type]
        return socket.create_connection(last, self._connect_seconds)  # type: ignore[arg-type]


def _look_up(name: bytes, port: int, seconds: float) -> list[Place]:
    """Return the addresses of a name. Raises OSError.

    The resolver blocks for as long as it likes, and no signal ends it. So it works in a thread, while this one waits.
    """
    with suppress(socket.gaierror):  # an IP address needs no resolver
        return _addresses(name, port, socket.AI_NUMERICHOST)
    found: list[list[Place] | OSError] = []

    def resolve() -> None:
        try:
            found.append(_addresses(name, port))
        except OSError as error:
            found.append(error)

    thread = Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(seconds)
    answer = found[0] if found else TimeoutError()
    if isinstance(answer, OSError):
        raise answer
    return answer


def _addresses(name: bytes, port: int, flags: int = 0) -> list[Place]:
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags)
    return [(str(place[0]).encode("ascii"), port) for *_, place in found]


def _is_readable(sock: socket.socket) -> bool:
    """Return whether something came without a request: the end of the connection, mostly."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))
