"""Binary frames of the data channel, in an encoding of the emulator's own.

Nothing here is shared with the plugin: a wrong byte must not be wrong on both sides.
Layout, big endian; the header's length does not count the payload length that follows it:

  0    4  header length, always 116       64  16  message id, the two halves of a UUID swapped
  4   32  message type, space padded      80  32  SHA-256 of the payload
 36    4  schema version, 1              112   4  payload type
 40    8  created, epoch ms              116   4  payload length
 48    8  sequence number, signed        120   n  payload
 56    8  flags: 1 SYN, 2 FIN
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
import uuid
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

HEADER = struct.Struct(">I32sIQqQ16s32sII")
HEADER_LENGTH = HEADER.size - 4  # the payload length is not part of the header it follows
SCHEMA_VERSION = 1
SYN = 1
SYN_FIN = 3  # what acknowledgements and session states carry

INPUT = "input_stream_data"
OUTPUT = "output_stream_data"
ACKNOWLEDGE = "acknowledge"
CHANNEL_CLOSED = "channel_closed"
START_PUBLICATION = "start_publication"
PAUSE_PUBLICATION = "pause_publication"
AGENT_SESSION_STATE = "agent_session_state"

_TYPES = {
    name: name.encode().ljust(32)
    for name in (
        INPUT,
        OUTPUT,
        ACKNOWLEDGE,
        CHANNEL_CLOSED,
        START_PUBLICATION,
        PAUSE_PUBLICATION,
        AGENT_SESSION_STATE,
    )
}
_NAMES = {padded: name for name, padded in _TYPES.items()}


class Payload(IntEnum):
    """Payload types of stream frames."""

    NONE = 0
    OUTPUT = 1
    ERROR = 2
    SIZE = 3
    PARAMETER = 4
    HANDSHAKE_REQUEST = 5
    HANDSHAKE_RESPONSE = 6
    HANDSHAKE_COMPLETE = 7
    CHALLENGE_REQUEST = 8
    CHALLENGE_RESPONSE = 9
    FLAG = 10
    STDERR = 11
    EXIT_CODE = 12


class WireError(ValueError):
    """Bytes that no agent could read as a frame."""


@dataclass(frozen=True)
class Frame:
    """One frame, as read."""

    message_type: str
    sequence: int
    flags: int
    message_id: uuid.UUID
    payload_type: int
    payload: bytes
    violations: tuple[str, ...] = ()
    """Faults that a lenient reader overlooks and a correct client does not make."""


def encode(message_type: str, sequence: int, flags: int, payload_type: int, payload: bytes) -> bytes:
    """Return the bytes of a new frame, with a message id of its own and the present time."""
    header = HEADER.pack(
        HEADER_LENGTH,
        _TYPES[message_type],
        SCHEMA_VERSION,
        time.time_ns() // 1_000_000,
        sequence,
        flags,
        _random_message_id(),
        hashlib.sha256(payload).digest(),
        payload_type,
        len(payload),
    )
    return header + payload


def _random_message_id() -> bytes:
    """Return a random (version 4) UUID in wire order; made by hand, as uuid.uuid4 shows up in profiles."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw[8:] + raw[:8])


def decode(data: bytes) -> Frame:
    """Read a frame as the agent does, and note what it overlooks.

    Raises WireError if the agent could not read the bytes.
    """
    if len(data) < HEADER.size:
        raise WireError(f"frame of {len(data)} bytes is shorter than its header")
    length, kind, schema, created, sequence, flags, message_id, digest, payload_type, size = HEADER.unpack_from(data)
    payload = data[length + 4 :]
    name = _NAMES.get(kind) or kind.rstrip(b" \0").decode("ascii", "replace")
    faults = []
    if length != HEADER_LENGTH:
        faults.append(f"header length is {length}")
    if kind not in _NAMES:
        faults.append(f"message type {kind!r} is unknown or not padded with spaces")
    if schema != SCHEMA_VERSION:
        faults.append(f"schema version is {schema}")
    if not created:
        faults.append("created date is 0")
    if size != len(payload):
        faults.append(f"payload length says {size}, {len(payload)} bytes follow")
    if hashlib.sha256(payload).digest() != digest:
        faults.append("payload digest is wrong")
    return Frame(
        name,
        sequence,
        flags,
        uuid.UUID(bytes=message_id[8:] + message_id[:8]),
        payload_type,
        payload,
        tuple(faults),
    )


def acknowledgement(frame: Frame) -> bytes:
    """Return the acknowledgement of a stream frame."""
    content = (
        f'{{"AcknowledgedMessageType":"{frame.message_type}","AcknowledgedMessageId":"{frame.message_id}",'
        f'"AcknowledgedMessageSequenceNumber":{frame.sequence},"IsSequentialMessage":true}}'
    )
    return encode(ACKNOWLEDGE, 0, SYN_FIN, Payload.NONE, content.encode())


def acknowledged(frame: Frame) -> tuple[int, list[str]]:
    """Return the sequence number that an acknowledgement names, and what is wrong with it."""
    try:
        content: dict[str, Any] = json.loads(frame.payload)
        sequence = int(content["AcknowledgedMessageSequenceNumber"])
    except (ValueError, KeyError, TypeError) as exc:
        raise WireError(f"unreadable acknowledgement: {exc!r}") from exc
    faults = []
    if content.get("AcknowledgedMessageType") != OUTPUT:
        faults.append(f"acknowledges a {content.get('AcknowledgedMessageType')!r}")
    if content.get("IsSequentialMessage") is not True:
        faults.append("acknowledgement lacks IsSequentialMessage")
    if frame.sequence != 0 or frame.flags != SYN_FIN:
        faults.append(f"acknowledgement has sequence {frame.sequence}, flags {frame.flags}")
    return sequence, faults


def channel_closed(session_id: str, destination: str, output: str) -> bytes:
    """Return the service's word that the session is over."""
    content = {
        "MessageId": str(uuid.uuid4()),
        "CreatedDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "DestinationId": destination,
        "SessionId": session_id,
        "MessageType": CHANNEL_CLOSED,
        "SchemaVersion": SCHEMA_VERSION,
        "Output": output,
    }
    return encode(CHANNEL_CLOSED, 0, SYN_FIN, Payload.NONE, json.dumps(content).encode())


def publication(message_type: str) -> bytes:
    """Return a start or pause of publication; its payload is not read by anyone."""
    return encode(message_type, 0, SYN_FIN, Payload.NONE, b"{}")
