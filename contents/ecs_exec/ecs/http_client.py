"""Sends an HTTP request and reads the answer: one attempt, over a connection that is kept for the next request.

http.client of the standard library is not used: with what it imports, it takes as long as the rest of a call.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from io import BufferedReader
from typing import NamedTuple

from ecs_exec.tls import trusting

_LONGEST_LINE = 16 * 1024
_MOST_HEADERS = 100
_LARGEST = 64 * 1024 * 1024
"""Most bytes of an answer. The largest, descriptions of 100 tasks, have about one megabyte."""

_REUSED_WITHIN = 4.0
"""Seconds for which an idle connection is used again. AWS closes idle connections after 5 s at the earliest."""

_NO_BODY = frozenset((204, 304))


class NotHttp(ValueError):
    """The answer is not HTTP, or is not complete."""


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


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


class _Connection(NamedTuple):
    sock: socket.socket
    reader: BufferedReader
    idle_since: float

    def close(self) -> None:
        with suppress(OSError):
            self.reader.close()
        with suppress(OSError):
            self.sock.close()


class HttpClient:
    """Sends requests, also from several threads at once."""

    def __init__(self, ca_bundle: str, connect_seconds: float, read_seconds: float) -> None:
        """Take the file of certificate authorities, and the timeouts for connecting and for each read."""
        self._ca_bundle = ca_bundle
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._idle: dict[Host, list[_Connection]] = {}

    def ask(self, host: Host, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request; return the answer, whatever its status.

        Nothing is sent twice: also a reused connection that breaks is a failure. Raises OSError, and NotHttp.
        """
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        connection = self._reused(host) or self._connected(host)
        try:
            connection.sock.sendall("\r\n".join(lines).encode("ascii") + body)
            answer, reusable = _read_answer(connection.reader)
        except BaseException:
            connection.close()
            raise
        if reusable:
            self._idle.setdefault(host, []).append(connection._replace(idle_since=time.monotonic()))
        else:
            connection.close()
        return answer

    def _reused(self, host: Host) -> _Connection | None:
        """Return an idle connection; closes those that the server has closed or may soon close."""
        idle = self._idle.get(host, [])
        while idle:
            try:
                connection = idle.pop()  # in one step: other threads take connections, too
            except IndexError:
                break
            if time.monotonic() - connection.idle_since < _REUSED_WITHIN and not _is_readable(connection.sock):
                return connection
            connection.close()
        return None

    def _connected(self, host: Host) -> _Connection:
        sock = socket.create_connection((host.name, host.port), self._connect_seconds)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if host.secure:
                sock = trusting(self._ca_bundle).wrap_socket(sock, server_hostname=host.name)
            sock.settimeout(self._read_seconds)
            return _Connection(sock, sock.makefile("rb"), 0.0)
        except BaseException:
            sock.close()
            raise


def _is_readable(sock: socket.socket) -> bool:
    """Return whether something came without a request: the end of the connection, mostly."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))


def _read_answer(reader: BufferedReader) -> tuple[Answer, bool]:
    """Return the answer, and whether its connection can be used again."""
    while True:
        version, status = _status(_line(reader))
        headers = _headers(reader)
        if status >= 200:  # noqa: PLR2004 - the statuses below announce another answer
            break
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    length = headers.get("content-length", "")
    if status in _NO_BODY:
        body = b""
    elif chunked:
        body = _chunks(reader)
    elif length:
        body = _exactly(reader, _size(length, 10))
    else:
        body = reader.read(_LARGEST + 1)
        _check_size(len(body))
    ended = not chunked and not length and status not in _NO_BODY
    reusable = version == "HTTP/1.1" and not ended and headers.get("connection", "").lower() != "close"
    return Answer(status, headers, body), reusable


def _line(reader: BufferedReader) -> str:
    line = reader.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise NotHttp("the connection was closed before a complete answer came" if line == b"" else "a line is cut off")
    return line.decode("latin-1").rstrip("\r\n")


def _status(line: str) -> tuple[str, int]:
    version, _, rest = line.partition(" ")
    status = rest[:3]
    if version not in {"HTTP/1.1", "HTTP/1.0"} or not (status.isdecimal() and status.isascii() and len(status) == 3):  # noqa: PLR2004
        raise NotHttp("the answer is not HTTP")
    return version, int(status)


def _headers(reader: BufferedReader) -> dict[str, str]:
    found: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        line = _line(reader)
        if not line:
            return found
        name, _, value = line.partition(":")
        found[name.strip().lower()] = value.strip()
    raise NotHttp(f"the answer has more than {_MOST_HEADERS} headers")


def _chunks(reader: BufferedReader) -> bytes:
    body = bytearray()
    while size := _size(_line(reader).partition(";")[0], 16):
        _check_size(len(body) + size)
        body += _exactly(reader, size)
        _line(reader)
    while _line(reader):
        pass  # trailers
    return bytes(body)


def _size(text: str, base: int) -> int:
    try:
        size = int(text.strip(), base)
    except ValueError:
        size = -1
    if size < 0:
        raise NotHttp("the answer does not say how long it is")
    _check_size(size)
    return size


def _check_size(size: int) -> None:
    if size > _LARGEST:
        raise NotHttp(f"the answer is longer than {_LARGEST} bytes")


def _exactly(reader: BufferedReader, size: int) -> bytes:
    body = reader.read(size)
    if len(body) < size:
        raise NotHttp("the connection was closed before a complete answer came")
    return body
