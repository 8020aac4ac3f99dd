"""Reads and writes the binary frame of the data channel.

A frame is a header of 120 bytes, big endian, and a payload: see `_HEADER` for the fields. For any bytes, `parse`
returns a `Message` or raises ProtocolError.
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
"""Value of the first field, 116: it does not count the payload length at the header's end."""

SCHEMA_VERSION = 1

MAX_FRAME = 128 * 1024
"""Most bytes of a frame. The agent reads 1 KiB at a time and its JSON is a few KiB, so a longer frame is not a data
channel's. The limit keeps the far side from filling our memory."""

MAX_INPUT = 1024
"""Most bytes of terminal input in one frame. AWS's client sends no more, so agents are used to it."""

_BY_NAME_ALONE = frozenset((START_PUBLICATION, PAUSE_PUBLICATION))
"""Messages without content: the name says all. AWS's client checks nothing in their headers, so the service may send
them with empty fields."""


class PayloadType(IntEnum):
    """Kind of the payload of a stream frame."""

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
    """Flags of a frame. The agent's stream frames have SYN on sequence 0, and never FIN; acknowledgements have both."""

    NONE = 0
    SYN = 1
    FIN = 2


class Message(NamedTuple):
    """One frame. A tuple, because it is faster to make than a dataclass: there is one for each KiB of output."""

    kind: str
    """Name of the message type; it may be unknown to this module."""
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

    Raises ProtocolError if it is too short or too long, if its header has another length or a negative sequence number,
    or if the digest does not match the payload.
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
        raise ProtocolError(f"a data channel frame with a header of {header_length} bytes instead of {HEADER_LENGTH}")
    if length > len(payload):
        raise ProtocolError(f"a data channel frame cut short: {len(payload)} of {length} payload bytes")
    # The agent and AWS's client take all bytes up to the frame's end as the payload, whatever its length field says. So
    # the digest, which covers all of them, decides. Some senders write a digest of zeros for an empty payload.
    if payload and sha256(payload).digest() != digest:
        raise ProtocolError(f"a data channel frame with a wrong digest ({len(payload)} payload bytes)")
    if sequence < 0:
        raise ProtocolError(f"a data channel frame with the sequence number {sequence}")
    return Message(kind, sequence, flags, id_head + id_tail, payload_type, payload, created)


def _name(raw: bytes) -> str:
    """Return the name in a type field that is padded with NULs or not known here."""
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
    """Return the bytes of one frame; the arguments are the fields of `Message`."""
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
    """Return the frame that acknowledges `message`. `message_id` (16 bytes) is its own, `created` in milliseconds."""
    payload = _ACK_JSON % (message.kind, id_text(message.message_id), message.sequence)
    return build(ACKNOWLEDGE, 0, message_id, 0, payload.encode("ascii"), created, _ACK_FLAGS_VALUE)


def id_text(message_id: bytes) -> str:
    """Return 16 bytes as a UUID's text. This is twice as fast as uuid.UUID."""
    digits = message_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
