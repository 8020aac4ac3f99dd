"""The client's end of the websocket protocol (RFC 6455), without extensions. Does no I/O.

It replaces the library `websockets`, whose import took a fifth of a command's start. Tests compare the two.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Mapping

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_OPCODES = frozenset((_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG))
_FINAL = 0x80
_RESERVED = 0x70
_MASKED = 0x80
_MOST_OF_CONTROL = 125
"""Most bytes in a frame that opens, closes or checks the connection."""
_SHORT, _LONG = 126, 127
"""Lengths that announce a longer length in 2 or 8 bytes."""

_NORMAL, _PROTOCOL_ERROR, _NO_STATUS, _INVALID_DATA, _TOO_BIG = 1000, 1002, 1005, 1007, 1009
_STATUSES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)))
"""Statuses that a frame may close the connection with."""


class BrokenRule(Exception):
    """The far side broke the protocol's rules."""

    def __init__(self, why: str, status: int = _PROTOCOL_ERROR) -> None:
        """Take the reason, and the status that tells the far side."""
        super().__init__(why)
        self.status = status


def new_key() -> str:
    """Return a random value for the header Sec-WebSocket-Key."""
    return base64.b64encode(os.urandom(16)).decode("ascii")


def upgrade_headers(key: str) -> dict[str, str]:
    """Return the headers of a request for a websocket, without Host."""
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    }


def check_upgrade(headers: Mapping[str, str], key: str) -> None:
    """Check the headers of an answer with status 101; their names are in lower case. Raises BrokenRule."""
    if headers.get("upgrade", "").lower() != "websocket":
        raise BrokenRule("no header Upgrade: websocket")
    if "upgrade" not in [word.strip().lower() for word in headers.get("connection", "").split(",")]:
        raise BrokenRule("no header Connection: Upgrade")
    digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
    if headers.get("sec-websocket-accept", "") != base64.b64encode(digest).decode("ascii"):
        raise BrokenRule("the header Sec-WebSocket-Accept does not fit the request")
    if headers.get("sec-websocket-extensions") or headers.get("sec-websocket-protocol"):
        raise BrokenRule("an extension or a protocol that was not asked for")


class WebSocketProtocol:
    """One open connection: frames and messages."""

    def __init__(self, largest: int, new_mask: Callable[[], bytes] = lambda: os.urandom(4)) -> None:
        """Take the largest message in bytes, and what makes the 4 bytes that mask a frame."""
        self._largest = largest
        self._new_mask = new_mask
        self._incoming = bytearray()
        self._messages: list[bytes] = []
        self._partial: bytearray | None = None  # the fragments of a message so far
        self._outgoing = bytearray()
        self.open = True
        """Neither side has closed the connection, and the far side has kept the rules."""
        self.closed_with: tuple[int, str] | None = None
        """Status and reason with which the far side closed the connection."""
        self.broken: BrokenRule | None = None
        """Why nothing more is taken in."""

    def receive(self, data: bytes) -> None:
        """Take bytes from the far side. A broken rule is kept in `broken`; it is also told to the far side."""
        if self.broken is not None or self.closed_with is not None:
            return
        self._incoming += data
        try:
            while self.closed_with is None and self._take_frame():
                pass
        except BrokenRule as broken:
            self.broken = broken
            self._begin_close(broken.status.to_bytes(2, "big") + str(broken).encode()[: _MOST_OF_CONTROL - 2])

    def messages(self) -> list[bytes]:
        """Return the complete messages, and forget them."""
        found, self._messages = self._messages, []
        return found

    def send(self, message: str | bytes) -> None:
        """Queue a message: text or binary."""
        if isinstance(message, str):
            self._queue(_TEXT, message.encode())
        else:
            self._queue(_BINARY, message)

    def ping(self) -> None:
        """Queue a ping."""
        self._queue(_PING, b"")

    def close(self) -> None:
        """Queue the frame that closes the connection, if it is open."""
        self._begin_close(_NORMAL.to_bytes(2, "big"))

    def data_to_send(self) -> bytearray:
        """Return the queued bytes, and forget them."""
        queued, self._outgoing = self._outgoing, bytearray()
        return queued

    # --- Incoming

    def _take_frame(self) -> bool:
        """Take one frame; return False if it is not complete yet. Raises BrokenRule."""
        data = self._incoming
        if len(data) < 2:  # noqa: PLR2004 - the shortest frame
            return False
        first, length, start = data[0], data[1], 2
        _check_head(first, length)
        if length >= _SHORT:
            start = 4 if length == _SHORT else 10
            if len(data) < start:
                return False
            length = int.from_bytes(data[2:start], "big")
        opcode = first & 0x0F
        if length > self._largest or (opcode <= _BINARY and length + len(self._partial or b"") > self._largest):
            raise BrokenRule(f"a message has more than {self._largest} bytes", _TOO_BIG)
        if len(data) < start + length:
            return False
        payload = bytes(memoryview(data)[start : start + length])
        del data[: start + length]
        if opcode > _BINARY:
            self._on_control(opcode, payload)
        else:
            self._on_data(opcode, payload, final=bool(first & _FINAL))
        return True

    def _on_data(self, opcode: int, payload: bytes, *, final: bool) -> None:
        if (self._partial is None) == (opcode == _CONTINUATION):
            begun = "no message was begun" if self._partial is None else "the message before is not complete"
            raise BrokenRule(f"a fragment out of order: {begun}")
        if self._partial is not None:
            self._partial += payload
            payload = bytes(self._partial) if final else b""
        elif not final:
            self._partial = bytearray(payload)
        if final:
            self._messages.append(payload)
            self._partial = None

    def _on_control(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._queue(_PONG, payload)
        elif opcode == _CLOSE:
            self.closed_with = _closing(payload)
            self._begin_close(payload[:2])

    # --- Outgoing

    def _begin_close(self, payload: bytes) -> None:
        if self.open:
            self.open = False
            self._queue(_CLOSE, payload)

    def _queue(self, opcode: int, payload: bytes) -> None:
        """Queue a frame. A client masks its frames, so that no proxy takes their content for HTTP."""
        size = len(payload)
        self._outgoing.append(_FINAL | opcode)
        if size < _SHORT:
            self._outgoing.append(_MASKED | size)
        elif size < 1 << 16:
            self._outgoing.append(_MASKED | _SHORT)
            self._outgoing += size.to_bytes(2, "big")
        else:
            self._outgoing.append(_MASKED | _LONG)
            self._outgoing += size.to_bytes(8, "big")
        mask = self._new_mask()
        self._outgoing += mask
        # As numbers, all bytes are masked at once.
        repeated = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
        self._outgoing += (int.from_bytes(payload, "little") ^ repeated).to_bytes(size, "little")


def _check_head(first: int, length: int) -> None:
    """Check the first two bytes of a frame. Raises BrokenRule."""
    opcode = first & 0x0F
    if first & _RESERVED:
        raise BrokenRule("a frame with reserved bits")
    if opcode not in _OPCODES:
        raise BrokenRule(f"a frame of the unknown kind {opcode}")
    if length & _MASKED:
        raise BrokenRule("a masked frame")
    if opcode > _BINARY and (length > _MOST_OF_CONTROL or not first & _FINAL):
        raise BrokenRule("a control frame that is too long or has fragments")


def _closing(payload: bytes) -> tuple[int, str]:
    """Return the status and the reason of a closing frame. Raises BrokenRule."""
    if not payload:
        return _NO_STATUS, ""
    status = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or status not in _STATUSES:
        raise BrokenRule("a closing frame with an invalid status")
    try:
        return status, payload[2:].decode()
    except UnicodeDecodeError as error:
        raise BrokenRule("a closing frame whose reason is not UTF-8", _INVALID_DATA) from error
