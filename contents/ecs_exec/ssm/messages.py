"""The binary frame of the data channel, both ways.

A frame is a header of 120 bytes, big endian, and a payload: see `_HEADER` for the fields. Whatever bytes `parse`
is given, it returns a `Message` or raises ProtocolError.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

from ecs_exec.errors import ProtocolError

OUTPUT_STREAM = "output_stream_data"
INPUT_STREAM = "input_stream_data"
ACKNOWLEDGE = "acknowledge"
CHANNEL_CLOSED = "channel_closed"
START_PUBLICATION = "start_publication"
PAUSE_PUBLICATION = "pause_publication"

_HEADER = Struct(">I32sIQqQ8s8s32sII")
"""Header length, message type, schema version, created (epoch ms), sequence number, flags, message id (its second
half first), SHA-256 of the payload, payload type, payload length."""

HEADER_LENGTH = _HEADER.size - 4
"""What the first field says: it does not count the payload length that follows it."""

SCHEMA_VERSION = 1

MAX_FRAME = 128 * 1024
"""Bytes. The agent reads 1 KiB at a time and its JSON is a few KiB; more than this is not a data channel, and
a limit keeps the far side from taking our memory."""

MAX_INPUT = 1024
"""Bytes of terminal input in one frame: what the AWS client sends at most, and so what agents are used to."""

_BY_NAME_ALONE = frozenset((START_PUBLICATION, PAUSE_PUBLICATION))
"""These say all in their name. The AWS client exempts them from every check of the header, so the service may well
send them with fields left empty."""


class PayloadType(IntEnum):
    """What the payload of a stream frame is."""

    NONE = 0
    OUTPUT = 1
    ERROR = 2
    SIZE = 3
    PARAMETER = 4
    HANDSHAKE_REQUEST = 5
    HANDSHAKE_RESPONSE = 6
    HANDSHAKE_COMPLETE = 7
    ENC_CHALLENGE_REQUEST = 8
    ENC_CHALLENGE_RESPONSE = 9
    FLAG = 10
    STDERR = 11
    EXIT_CODE = 12


class Flags(IntFlag):
    """Marks of a frame's place in its stream."""

    NONE = 0
    SYN = 1
    FIN = 2


class Message(NamedTuple):
    """One frame. A tuple and not a dataclass: one is made for each KiB of output."""

    kind: str
    """The message type's name; names unknown to this module are possible."""
    sequence: int
    flags: int
    message_id: bytes
    """16 bytes in the order of the UUID's text."""
    payload_type: int
    payload: bytes
    created: int
    """Milliseconds since 1970."""


def _padded(kind: str) -> bytes:
    return kind.encode("ascii").ljust(32)


_NAMES = {
    _padded(kind): kind
    for kind in (OUTPUT_STREAM, INPUT_STREAM, ACKNOWLEDGE, CHANNEL_CLOSED, START_PUBLICATION, PAUSE_PUBLICATION)
}


def parse(frame: bytes | bytearray) -> Message:
    """Read one whole frame.

    Raises ProtocolError if it is too short, too long, has another header length or a negative sequence number,
    or if its payload is not the one that the digest was made of.
    """
    if not _HEADER.size <= len(frame) <= MAX_FRAME:
        raise ProtocolError(f"a data channel frame of {len(frame)} bytes; {_HEADER.size} to {MAX_FRAME} are possible")
    fields = _HEADER.unpack_from(frame)
    header_length, raw_kind, _, created, sequence, flags, id_tail, id_head, digest, payload_type, length = fields
    kind = _NAMES.get(raw_kind) or _name(raw_kind)
    if kind in _BY_NAME_ALONE:
        return Message(kind, 0, flags, id_head + id_tail, payload_type, b"", created)
    with memoryview(frame) as view:
        payload = bytes(view[_HEADER.size :])
    if header_length != HEADER_LENGTH:
        raise ProtocolError(f"a data channel frame with a header of {header_length} bytes in place of {HEADER_LENGTH}")
    if length > len(payload):
        raise ProtocolError(f"a data channel frame cut short: {len(payload)} of {length} payload bytes")
    # Bytes beyond the length belong to the payload for the real readers, so the digest, which
    # is of all of it, decides. An empty payload is sent with a digest of zeros by some.
    if payload and sha256(payload).digest() != digest:
        raise ProtocolError(f"a data channel frame with a wrong digest ({len(payload)} payload bytes)")
    if sequence < 0:
        raise ProtocolError(f"a data channel frame with the sequence number {sequence}")
    return Message(kind, sequence, flags, id_head + id_tail, payload_type, payload, created)


def _name(raw: bytes) -> str:
    """Give the name in a type field that is padded with NULs or not known."""
    return raw.strip(b"\0 ").decode("ascii", "replace")


def build(  # noqa: PLR0917 - the hot path: one call for each KiB of output
    kind: str,
    sequence: int,
    message_id: bytes,
    payload_type: int,
    payload: bytes,
    created: int,
    flags: int = Flags.NONE,
) -> bytes:
    """Write one frame; the arguments are the fields of `Message`."""
    header = _HEADER.pack(
        HEADER_LENGTH,
        kind.encode("ascii").ljust(32),
        SCHEMA_VERSION,
        created,
        sequence,
        flags,
        message_id[8:],
        message_id[:8],
        sha256(payload).digest(),
        payload_type,
        len(payload),
    )
    return header + payload


_ACK_FLAGS = Flags.SYN | Flags.FIN
_ACK_JSON = (
    '{"AcknowledgedMessageType":"%s","AcknowledgedMessageId":"%s",'
    '"AcknowledgedMessageSequenceNumber":%d,"IsSequentialMessage":true}'
)
_ACK_FLAGS_VALUE = int(_ACK_FLAGS)


def build_acknowledge(message: Message, message_id: bytes, created: int) -> bytes:
    """Write the frame that acknowledges `message`; `message_id` (16 bytes) is the frame's own."""
    payload = _ACK_JSON % (message.kind, id_text(message.message_id), message.sequence)
    return build(ACKNOWLEDGE, 0, message_id, 0, payload.encode("ascii"), created, _ACK_FLAGS_VALUE)


def id_text(message_id: bytes) -> str:
    """Write 16 bytes as a UUID's text. Twice as fast as through uuid.UUID."""
    digits = message_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
