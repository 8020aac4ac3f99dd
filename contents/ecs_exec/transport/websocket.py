"""One websocket connection on a non-blocking socket."""

from __future__ import annotations

import select
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ecs_exec.errors import CannotOpenChannel, ProtocolError
from ecs_exec.http_answer import Answer, AnswerParser, NotHttp
from ecs_exec.ssm.messages import MAX_FRAME
from ecs_exec.transport.dial import Address, Clock, Coroutine, Socket, dial, wait
from ecs_exec.transport.stream_url import StreamUrl
from ecs_exec.transport.websocket_protocol import BrokenRule, WebSocketProtocol, check_upgrade, new_key, upgrade_headers

_READ_SIZE = 64 * 1024
"""Bytes of one read: some 50 frames of output, whose acknowledgements go out in one write."""

_MAX_REFUSAL = 16 * 1024
"""Most bytes of a refusal's text that are looked at."""

_LARGEST_REFUSAL = 1024 * 1024
"""Most bytes of a refusal's text that are read."""

_SWITCHING = 101
"""HTTP status of an answer that opens a websocket."""

_MAX_UNSENT = 1024 * 1024
"""Bytes. While this many wait for the far side to read them, nothing more is read from it: otherwise acknowledgements
would fill our memory."""

_STATUSES = {401: "channel-token-invalid", 403: "channel-forbidden", 407: "channel-proxy"}
"""Name of the cause by the HTTP status that refuses the upgrade."""

_TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses of a service or a proxy after which a retry may help."""

_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""Errors of a socket that is not ready, with TLS or without."""


class ConnectionCut(Exception):
    """The connection is gone; the message says how."""


class WebSocket:
    """An open connection. Nothing blocks."""

    def __init__(self, sock: Socket, early: bytes) -> None:
        """Take over a socket after the upgrade; `early` are the bytes that came right behind it."""
        self._sock = sock
        self._hidden: Callable[[], int] | None = getattr(sock, "pending", None)
        """Returns the number of bytes that TLS has read and polling does not show; None without TLS."""
        self._protocol = WebSocketProtocol(MAX_FRAME)
        self._protocol.receive(early)
        self._unsent = bytearray()
        self.crowded = False
        """The last read filled its limit, so there may be more to read."""

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._sock.fileno()

    def wanted(self) -> int:
        """Return the events to poll for."""
        events = 0 if self._full() else select.POLLIN
        return events | (select.POLLOUT if self._unsent else 0)

    def pending(self) -> bool:
        """Return whether TLS holds bytes to read that polling does not show."""
        return self._hidden is not None and not self._full() and self._hidden() > 0

    def _full(self) -> bool:
        return len(self._unsent) >= _MAX_UNSENT

    def send(self, frames: list[str | bytes]) -> None:
        """Queue messages, and write as much as the socket takes. Raises ConnectionCut."""
        if frames and not self._protocol.open:
            raise ConnectionCut("the service is closing the connection")
        for frame in frames:
            self._protocol.send(frame)
        self._flush()

    def ping(self) -> None:
        """Queue a ping; its answer counts as a sign of life. Raises ConnectionCut."""
        if self._protocol.open:
            self._protocol.ping()
        self._flush()

    def receive(self) -> tuple[bool, list[bytes]]:
        """Read once; return whether anything came, a pong included, and the complete messages.

        Raises ConnectionCut, or ProtocolError if the far side does not speak websocket, but only after it has returned
        the messages from before the end.
        """
        data = None if self._full() else self._recv()
        if data:
            self._protocol.receive(data)
        found = self._protocol.messages()
        self._flush()
        if not found and (data == b"" or not self._protocol.open):
            raise self._end()
        return bool(data), found

    def _recv(self) -> bytes | None:
        """Return the bytes that are there; None if there are none yet, empty at the connection's end."""
        self.crowded = False
        try:
            data = self._sock.recv(_READ_SIZE)
        except _NOT_NOW:
            return None
        except OSError as error:
            raise ConnectionCut(error.strerror or str(error) or type(error).__name__) from error
        if data and self._hidden is not None:
            data += self._further_records(_READ_SIZE - len(data))
        self.crowded = len(data) >= _READ_SIZE
        return data

    def _further_records(self, size: int) -> bytes:
        """Return what else TLS has: each read returns one record, and each frame of the far side may be one.

        With one frame a read, and a pause after each, output over TLS would take several times as long.
        """
        records = bytearray()
        # The next read will report an error or the end of the connection.
        with suppress(OSError):
            while len(records) < size and (record := self._sock.recv(size - len(records))):
                records += record
        return bytes(records)

    def _end(self) -> ConnectionCut | ProtocolError:
        """Return the error for the way in which the connection ended."""
        if self._protocol.broken is not None:
            return ProtocolError(f"the far side broke the websocket protocol: {self._protocol.broken}")
        if self._protocol.closed_with is None:
            return ConnectionCut("the connection was cut")
        # The reason is the far side's text, and may hold line breaks: an error is one line.
        status, reason = self._protocol.closed_with
        return ConnectionCut(f"closed by the service ({' '.join([str(status), *reason.split()])})")

    def _flush(self) -> None:
        self._unsent += self._protocol.data_to_send()
        if not self._unsent:
            return
        try:
            sent = self._sock.send(self._unsent)
        except _NOT_NOW:
            return
        except OSError as error:
            raise ConnectionCut(error.strerror or str(error) or type(error).__name__) from error
        del self._unsent[:sent]

    def close(self, seconds: float) -> None:
        """Send the closing frame, wait at most so long for the far side to hang up, and hang up. Never raises.

        Hanging up at once while bytes from the far side are unread would reset the connection. Then the far side might
        lose bytes that it has not read yet, for example an interrupt.
        """
        # An error here changes nothing: the connection is given up anyway.
        with suppress(OSError, ConnectionCut):
            self._protocol.close()
            self._flush()
            self._linger(time.monotonic() + seconds)
        with suppress(OSError):
            self._sock.close()

    def _linger(self, until: float) -> None:
        """Write the rest, and drop all that comes, until the far side hangs up or the time is over."""
        poller = select.poll()
        while (left := until - time.monotonic()) > 0:
            poller.register(self._sock, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            if not poller.poll(left * 1000) or self._recv() == b"":
                return
            self._flush()


class UpgradeRefused(CannotOpenChannel):
    """The far side answered the request for a websocket with an HTTP status."""

    def __init__(self, failed: CannotOpenChannel, answer: Answer, *, transient: bool) -> None:
        """Take the error and the answer. The body may repeat what was signed, so it must not reach a log."""
        super().__init__(name=failed.name, where=failed.where, transient=transient)
        self.fields = failed.fields
        self.status = answer.status
        self.type = answer.headers.get("x-amzn-errortype", "")
        self.body = answer.body[:_MAX_REFUSAL].decode(errors="replace")


def open_websocket(
    url: StreamUrl,
    headers: Mapping[str, str],
    *,
    until: float,
    clock: Clock,
    ca_bundle: str | None,
    debug: Callable[[str], None],
) -> Coroutine[WebSocket]:
    """Connect and open a websocket; raises CannotOpenChannel.

    `until` is the deadline in seconds of the clock. `headers` are sent in addition to a websocket's own.
    """
    address = Address(url.host, url.port, secure=url.secure, until=until)
    debug(f"connecting to {url.host}:{url.port}")
    sock = yield from dial(address, clock, ca_bundle, debug)
    try:
        websocket = yield from _upgrade(sock, url, headers, address, clock)
    except BaseException:
        sock.close()
        raise
    debug("the websocket is open")
    return websocket


def _upgrade(
    sock: Socket, url: StreamUrl, headers: Mapping[str, str], address: Address, clock: Clock
) -> Coroutine[WebSocket]:
    """Send the request for a websocket, and read the answer."""
    key = new_key()
    # Path, query and Host go out exactly as they were signed.
    lines = [f"GET {url.path}{url.query} HTTP/1.1"]
    lines += [
        f"{name}: {value}" for name, value in {"Host": url.host_header, **upgrade_headers(key), **headers}.items()
    ]
    parser = AnswerParser(_LARGEST_REFUSAL)
    try:
        answer = yield from _exchange(sock, "\r\n".join([*lines, "", ""]).encode(), parser, address, clock)
    except NotHttp as error:
        early_end = parser.ended
        why = str(error) if early_end else f"the answer is not a websocket handshake ({error})"
        raise address.failed("channel-not-websocket", why, transient=early_end) from error
    if answer.status != _SWITCHING:
        raise _refused(address, answer)
    try:
        check_upgrade(answer.headers, key)
    except BrokenRule as error:
        why = f"the answer is not a websocket handshake ({error})"
        raise address.failed("channel-not-websocket", why) from error
    return WebSocket(sock, parser.rest)


def _exchange(sock: Socket, request: bytes, parser: AnswerParser, address: Address, clock: Clock) -> Coroutine[Answer]:
    """Write the request and read the answer. Raises CannotOpenChannel, and NotHttp."""
    answer: Answer | None = None
    hidden: Callable[[], int] = getattr(sock, "pending", int)  # see WebSocket
    while answer is None:
        events = select.POLLOUT if request else select.POLLIN
        at_hand = not request and hidden() > 0
        if not at_hand and not (yield from wait(sock.fileno(), events, address.until, clock)):
            raise address.failed("channel-silent", "no answer to the websocket request in time", transient=True)
        try:
            if request:
                request = request[sock.send(request) :]
            else:
                answer = parser.feed(sock.recv(_READ_SIZE))
        except _NOT_NOW:
            continue
        except OSError as error:
            why = error.strerror or str(error)
            raise address.failed("channel-not-websocket", why, transient=True) from error
    return answer


def _refused(address: Address, answer: Answer) -> UpgradeRefused:
    name = _STATUSES.get(answer.status, "channel-not-websocket")
    failed = address.failed(name, f"HTTP status {answer.status} instead of a websocket")
    return UpgradeRefused(failed, answer, transient=answer.status in _TRANSIENT)
