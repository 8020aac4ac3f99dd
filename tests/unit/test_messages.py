"""The binary frame, from literal bytes."""

from __future__ import annotations

from hashlib import sha256

import pytest

from ecs_exec.errors import ProtocolError
from ecs_exec.ssm import messages
from ecs_exec.ssm.messages import MAX_FRAME, Flags, Message, PayloadType

ID = bytes.fromhex("00112233445566778899aabbccddeeff")

HELLO = bytes.fromhex(
    "00000074"  # header length 116
    + b"output_stream_data".ljust(32).hex()
    + "00000001"  # schema version
    + "0000018bcfe56800"  # 1700000000000 ms
    + "0000000000000007"  # sequence
    + "0000000000000001"  # SYN
    + "8899aabbccddeeff0011223344556677"  # the id's second half first
    + "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # SHA-256 of hello
    + "00000001"  # Output
    + "00000005"
    + b"hello".hex()
)

AS_MESSAGE = Message("output_stream_data", 7, Flags.SYN, ID, PayloadType.OUTPUT, b"hello", 1700000000000)


def _with(offset: int, value: bytes) -> bytes:
    return HELLO[:offset] + value + HELLO[offset + len(value) :]


def test_parse_reads_every_field() -> None:
    """A frame's literal bytes become its fields."""
    assert messages.parse(HELLO) == AS_MESSAGE
    assert messages.parse(bytearray(HELLO)) == AS_MESSAGE


def test_build_writes_the_same_bytes() -> None:
    """The fields become the literal bytes."""
    assert messages.build(*AS_MESSAGE[:2], ID, PayloadType.OUTPUT, b"hello", 1700000000000, Flags.SYN) == HELLO


def test_no_truncated_frame_is_taken() -> None:
    """A frame cut anywhere is a protocol error."""
    for end in range(len(HELLO)):
        with pytest.raises(ProtocolError):
            messages.parse(HELLO[:end])


@pytest.mark.parametrize("trailing", [b"\0", b" ", b"hello", HELLO])
def test_trailing_bytes_are_refused(trailing: bytes) -> None:
    """Bytes behind the payload do not pass the digest."""
    with pytest.raises(ProtocolError, match="digest"):
        messages.parse(HELLO + trailing)


@pytest.mark.parametrize("padding", [b"\0", b" "])
def test_type_is_stripped_of_either_padding(padding: bytes) -> None:
    """NULs and spaces around a message type do not count."""
    for kind in (b"acknowledge", b"brand_new_type"):
        assert messages.parse(_with(4, kind.ljust(32, padding))).kind == kind.decode()


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        pytest.param(b"", "0 bytes", id="empty"),
        pytest.param(_with(0, b"\0\0\0\x78"), "header of 120", id="header-length"),
        pytest.param(_with(116, b"\0\0\0\x06"), "5 of 6", id="payload-length"),
        pytest.param(_with(116, b"\xff\xff\xff\xff"), "5 of 4294967295", id="payload-length-huge"),
        pytest.param(_with(80, b"\0" * 32), "digest", id="digest"),
        pytest.param(_with(120, b"jello"), "digest", id="payload"),
        pytest.param(_with(48, b"\xff" * 8), "number -1", id="sequence-negative"),
    ],
)
def test_broken_frames_are_named(frame: bytes, word: str) -> None:
    """Each fault is refused with words for it."""
    with pytest.raises(ProtocolError, match=word):
        messages.parse(frame)


def test_errors_hold_no_payload() -> None:
    """What a container printed stays out of errors."""
    with pytest.raises(ProtocolError) as caught:
        messages.parse(_with(120, b"jello"))
    assert "jello" not in str(caught.value)


def test_an_empty_payload_needs_no_digest() -> None:
    """A frame of exactly 120 bytes is whole, whatever its digest says."""
    assert messages.parse(_with(116, b"\0\0\0\0")[:120]).payload == b""


@pytest.mark.parametrize("kind", [b"start_publication", b"pause_publication"])
def test_publication_frames_are_taken_by_their_name(kind: bytes) -> None:
    """The service's own frames may leave every other field empty."""
    frame = b"\0" * 4 + kind.ljust(32) + b"\0" * 84
    assert messages.parse(frame).kind == kind.decode()
    assert messages.parse(frame + b"{}").payload == b""


def test_largest_frame() -> None:
    """A frame of the limit is taken, one byte more is not, so that memory stays bounded."""
    payload = b"x" * (MAX_FRAME - 120)
    frame = messages.build("output_stream_data", 0, ID, PayloadType.OUTPUT, payload, 1)
    assert messages.parse(frame).payload == payload
    with pytest.raises(ProtocolError, match="131073 bytes"):
        messages.parse(frame + b"x")


def test_acknowledge_is_written_as_a_frame_of_its_own() -> None:
    """An acknowledgement names type, id and number of what it is for, under its own id and digest."""
    own = bytes(range(16))
    frame = messages.build_acknowledge(AS_MESSAGE, own, 1700000000001)
    payload = (
        b'{"AcknowledgedMessageType":"output_stream_data",'
        b'"AcknowledgedMessageId":"00112233-4455-6677-8899-aabbccddeeff",'
        b'"AcknowledgedMessageSequenceNumber":7,"IsSequentialMessage":true}'
    )
    assert frame[4:36] == b"acknowledge".ljust(32)
    assert frame[64:80] == own[8:] + own[:8]
    assert frame[80:112] == sha256(payload).digest()
    assert messages.parse(frame) == Message("acknowledge", 0, 3, own, 0, payload, 1700000000001)
