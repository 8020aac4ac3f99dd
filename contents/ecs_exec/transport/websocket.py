"""One websocket connection on a non-blocking socket, with the sans-IO client of the library `websockets`."""

from __future__ import annotations

import logging
import select
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import WebSocketURI

from ecs_exec.errors import CannotOpenChannel, ProtocolError
from ecs_exec.ssm.messages import MAX_FRAME
from ecs_exec.transport.dial import Address, Clock, Coroutine, Socket, dial, wait
from ecs_exec.transport.stream_url import StreamUrl

_READ_SIZE = 64 * 1024
"""Bytes of one read: some 50 frames of output, whose acknowledgements go out in one write."""

_MAX_REFUSAL = 16 * 1024
"""Most bytes of a refusal's text that are read."""

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

    def __init__(self, sock: Socket, protocol: ClientProtocol, early: list[Frame]) -> None:
        """Take over a socket after the opening handshake; `early` are the frames that came right behind it."""
        self._sock = sock
        self._hidden: Callable[[], int] | None = getattr(sock, "pending", None)
        """Returns the number of bytes that TLS has read and polling does not show; None without TLS."""
        self._protocol = protocol
        self._frames = early
        self._unsent = bytearray()
        self._partial: bytearray | None = None  # the fragments of a message so far
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
        if frames and self._protocol.state is not State.OPEN:
            raise ConnectionCut("the service is closing the connection")
        for frame in frames:
            if isinstance(frame, str):
                self._protocol.send_text(frame.encode())
            else:
                self._protocol.send_binary(frame)
        self._flush()

    def ping(self) -> None:
        """Queue a ping; its answer counts as a sign of life. Raises ConnectionCut."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
        self._flush()

    def receive(self) -> tuple[bool, list[bytes | bytearray]]:
        """Read once; return whether anything came, a pong included, and the complete messages.

        Raises ConnectionCut, or ProtocolError if the far side does not speak websocket, but only after it has returned
        the messages from before the end.
        """
        data = None if self._full() else self._recv()
        if data:
            self._protocol.receive_data(data)
        self._frames += [event for event in self._protocol.events_received() if isinstance(event, Frame)]
        found = self._messages()
        self._flush()
        if not found and (data == b"" or self._protocol.state is not State.OPEN):
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

    def _messages(self) -> list[bytes | bytearray]:
        """Return the complete messages, joined from their fragments."""
        frames, self._frames = self._frames, []
        return [message for frame in frames if (message := self._whole(frame)) is not None]

    def _whole(self, frame: Frame) -> bytes | bytearray | None:
        if frame.opcode > Opcode.BINARY:
            return None  # close, ping and pong: the library has handled them
        data = frame.data
        if isinstance(data, memoryview):
            data = bytes(data)
        if frame.fin and self._partial is None:
            return data
        whole = self._partial = bytearray() if self._partial is None else self._partial
        whole += data
        if not frame.fin:
            return None
        self._partial = None
        return whole

    def _end(self) -> ConnectionCut | ProtocolError:
        """Return the error for the way in which the connection ended."""
        error = self._protocol.parser_exc
        if error is not None and not isinstance(error, EOFError):
            return ProtocolError(f"the far side broke the websocket protocol: {error}")
        close = self._protocol.close_rcvd
        if close is None:
            return ConnectionCut("the connection was cut")
        # The reason is the far side's text, and may hold line breaks: an error is one line.
        return ConnectionCut(f"closed by the service ({' '.join([str(close.code), *close.reason.split()])})")

    def _flush(self) -> None:
        self._unsent += b"".join(self._protocol.data_to_send())
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
        with suppress(OSError, ConnectionCut, WebSocketException):
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(1000)
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

    def __init__(self, failed: CannotOpenChannel, response: Response, *, transient: bool) -> None:
        """Take the error and the answer. The body may repeat what was signed, so it must not reach a log."""
        super().__init__(name=failed.name, where=failed.where, transient=transient)
        self.fields = failed.fields
        self.status = response.status_code
        self.type = response.headers.get("x-amzn-ErrorType", "")
        self.body = bytes(response.body or b"")[:_MAX_REFUSAL].decode(errors="replace")


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
    # A separate logger that no configuration reaches: at debug level the library logs every message, and the first one
    # holds the token.
    logger = logging.Logger("websocket", logging.CRITICAL + 1)  # noqa: LOG001
    uri = WebSocketURI(url.secure, url.host, url.port, url.path, "")
    protocol = ClientProtocol(uri, max_size=MAX_FRAME, logger=logger)
    asked = protocol.connect()
    # Path, query and Host go out exactly as they were signed, whatever the library would make of them.
    asked.path = url.path + url.query
    own = [(name, value) for name, value in asked.headers.raw_items() if name != "Host"]
    asked.headers.clear()
    asked.headers.update([("Host", url.host_header), *own, *headers.items()])
    protocol.send_request(asked)
    request = b"".join(protocol.data_to_send())
    while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
        if not (yield from _exchange(sock, protocol, request, address, clock)):
            raise address.failed("channel-silent", "no answer to the websocket request in time", transient=True)
        request = b""
    if protocol.handshake_exc is not None:
        raise _refused(address, protocol.handshake_exc)
    early = [event for event in protocol.events_received() if isinstance(event, Frame)]
    return WebSocket(sock, protocol, early)


def _exchange(
    sock: Socket, protocol: ClientProtocol, request: bytes, address: Address, clock: Clock
) -> Coroutine[bool]:
    """Write the rest of the request and read once; returns False if the time is over."""
    try:
        while request:
            if not (yield from wait(sock.fileno(), select.POLLOUT, address.until, clock)):
                return False
            request = request[_count(sock, request) :]
        if not (yield from wait(sock.fileno(), select.POLLIN, address.until, clock)):
            return False
        data = sock.recv(_READ_SIZE)
    except _NOT_NOW:
        return True
    except OSError as error:
        raise address.failed("channel-not-websocket", error.strerror or str(error), transient=True) from error
    if data:
        protocol.receive_data(data)
    else:
        protocol.receive_eof()
    return True


def _count(sock: Socket, data: bytes) -> int:
    try:
        return sock.send(data)
    except _NOT_NOW:
        return 0


def _refused(address: Address, error: Exception) -> CannotOpenChannel:
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        name = _STATUSES.get(status, "channel-not-websocket")
        failed = address.failed(name, f"HTTP status {status} instead of a websocket")
        return UpgradeRefused(failed, error.response, transient=status in _TRANSIENT)
    if isinstance(error.__cause__, EOFError):
        return address.failed(
            "channel-not-websocket", "the connection was closed before an answer came", transient=True
        )
    return address.failed("channel-not-websocket", f"the answer is not a websocket handshake ({error})")
