"""The answer to the request for a websocket."""

from __future__ import annotations

import base64
import hashlib
import re
import select
from typing import Any, cast

from ecs_exec.transport import stream_url
from ecs_exec.transport.dial import Address
from ecs_exec.transport.websocket import WebSocket, _upgrade

_ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
)
_MESSAGE = b"\x82\x02hi"


class _Tunnel:
    """Stands for TLS in TLS that has read the whole answer, in records of 20 bytes: polling shows nothing more."""

    def __init__(self) -> None:
        self._held = b""

    def fileno(self) -> int:
        return -1

    def send(self, data: bytes) -> int:
        (key,) = re.findall(rb"Sec-WebSocket-Key: (\S+)", data)
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
        self._held = _ANSWER % base64.b64encode(digest) + _MESSAGE
        return len(data)

    def recv(self, _size: int) -> bytes:
        if not self._held:
            raise BlockingIOError
        record, self._held = self._held[:20], self._held[20:]
        return record

    def pending(self) -> int:
        return len(self._held)


def test_records_that_polling_does_not_show() -> None:
    """They are read without a wait: nothing else comes before the answer is complete."""
    sock = cast("Any", _Tunnel())
    address = Address("127.0.0.1", 1, secure=True, until=1.0)
    opening = _upgrade(sock, stream_url.parse("wss://127.0.0.1:1/x"), {}, address, lambda: 0.0)
    wanted = next(opening)
    assert wanted.events == select.POLLOUT
    try:
        opening.send(True)
    except StopIteration as stop:
        websocket = stop.value
    assert isinstance(websocket, WebSocket)
    assert websocket.receive()[1] == [b"hi"]
