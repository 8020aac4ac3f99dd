"""The websocket protocol: the library `websockets` reads what we write, and reads the far side's bytes as we do."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from ecs_exec.transport.websocket_protocol import (
    BrokenRule,
    WebSocketProtocol,
    check_upgrade,
    new_key,
    upgrade_headers,
)

LARGEST = 1000
_MESSAGES = st.lists(
    st.text(max_size=300) | st.binary(max_size=400) | st.sampled_from([b"x" * 70_000, b""]), max_size=6
)


@settings(max_examples=60)
@given(_MESSAGES, st.randoms(use_true_random=False))
def test_the_library_reads_our_frames(messages: list[str | bytes], rng: random.Random) -> None:
    """Messages, a ping and the end; each frame is masked, else the library refuses it."""
    ours = WebSocketProtocol(LARGEST, lambda: rng.randbytes(4))
    for message in messages:
        ours.send(message)
    ours.ping()
    ours.close()
    server = ServerProtocol(max_size=None, state=State.OPEN)
    server.receive_data(bytes(ours.data_to_send()))
    *frames, ping, close = [event for event in server.events_received() if isinstance(event, Frame)]
    texts = [message.encode() if isinstance(message, str) else message for message in messages]
    kinds = [Opcode.TEXT if isinstance(message, str) else Opcode.BINARY for message in messages]
    assert [(frame.opcode, bytes(frame.data)) for frame in frames] == list(zip(kinds, texts, strict=True))
    assert (ping.opcode, close.opcode) == (Opcode.PING, Opcode.CLOSE)
    assert server.parser_exc is None
    ours.receive(b"".join(server.data_to_send()))
    assert ours.closed_with == (1000, "")


@st.composite
def _frames(draw: st.DrawFn) -> bytes:
    """Draw bytes of a far side that mostly keeps the rules."""
    kind = draw(st.sampled_from([0, 0, 1, 2, 2, 2, 8, 9, 10, 3, 11]))
    final = draw(st.sampled_from([0x80, 0x80, 0x80, 0]))
    reserved = draw(st.sampled_from([0] * 20 + [0x40, 0x10]))
    masked = draw(st.sampled_from([0] * 20 + [0x80]))
    payload = draw(st.binary(max_size=140) | st.sampled_from([b"y" * 500, b"y" * 1100]))
    if kind == 8 and draw(st.booleans()):
        payload = struct.pack("!H", draw(st.sampled_from([1000, 1001, 1005, 1011, 3000, 999, 5000]))) + payload[:100]
    size = len(payload)
    # RFC 6455 forbids longer forms of a length. We refuse them where a frame must be short; the library takes them.
    if size < 126 and (kind >= 8 or draw(st.sampled_from([True] * 20 + [False]))):
        length = bytes([masked | size])
    elif draw(st.booleans()):
        length = bytes([masked | 126]) + struct.pack("!H", size)
    else:
        length = bytes([masked | 127]) + struct.pack("!Q", size)
    return bytes([final | reserved | kind]) + length + payload


@settings(max_examples=400)
@given(st.lists(_frames(), max_size=6), st.randoms(use_true_random=False))
def test_the_library_reads_the_far_side_as_we_do(frames: list[bytes], rng: random.Random) -> None:
    """The same messages, the same end, the same answers; and both refuse the same bytes."""
    ours = WebSocketProtocol(LARGEST, lambda: bytes(4))
    theirs = ClientProtocol(parse_uri("ws://x/"), max_size=LARGEST, state=State.OPEN)
    stream = b"".join(frames)
    while stream:
        size = rng.choice((1, 7, 300, 5000))
        piece, stream = stream[:size], stream[size:]
        ours.receive(piece)
        theirs.receive_data(piece)
    assert (ours.broken is None) == (theirs.parser_exc is None), (ours.broken, theirs.parser_exc)
    assert ours.messages() == _messages(theirs)
    if ours.broken is None:
        closed = theirs.close_rcvd
        assert ours.closed_with == (None if closed is None else (closed.code, closed.reason))
    sent, told = _sent(bytes(ours.data_to_send())), _sent(b"".join(theirs.data_to_send()))
    assert [kind for kind, _ in sent] == [kind for kind, _ in told]
    if ours.broken is None:  # else the status may be another: one frame may break several rules
        assert sent == told


def _messages(protocol: ClientProtocol) -> list[bytes]:
    """Join the fragments of the library's messages."""
    found: list[bytes] = []
    partial = b""
    for frame in protocol.events_received():
        if isinstance(frame, Frame) and frame.opcode <= Opcode.BINARY:
            partial += bytes(frame.data)
            if frame.fin:
                found.append(partial)
                partial = b""
    return found


def _sent(stream: bytes) -> list[tuple[Opcode, bytes]]:
    """Return the kinds and contents of frames; of those that close, only the status."""
    server = ServerProtocol(max_size=None, state=State.OPEN)
    server.receive_data(stream)
    frames = [event for event in server.events_received() if isinstance(event, Frame)]
    return [(frame.opcode, bytes(frame.data)[: 2 if frame.opcode is Opcode.CLOSE else None]) for frame in frames]


def test_the_library_accepts_our_upgrade() -> None:
    """And we accept its answer, but not one for another request."""
    key = new_key()
    server = ServerProtocol()
    lines = ["GET / HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in upgrade_headers(key).items()), "", ""]
    server.receive_data("\r\n".join(lines).encode())
    (request,) = [event for event in server.events_received() if isinstance(event, Request)]
    answer = server.accept(request)
    headers = {name.lower(): value for name, value in answer.headers.raw_items()}
    assert answer.status_code == 101
    check_upgrade(headers, key)
    with pytest.raises(BrokenRule, match="Sec-WebSocket-Accept"):
        check_upgrade(headers, new_key())
    for name in ("upgrade", "connection"):
        with pytest.raises(BrokenRule, match="no header"):
            check_upgrade({**headers, name: "keep-alive"}, key)
    with pytest.raises(BrokenRule, match="not asked for"):
        check_upgrade({**headers, "sec-websocket-extensions": "permessage-deflate"}, key)
