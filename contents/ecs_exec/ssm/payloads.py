"""The JSON inside the frames, and the text frame that opens a channel.

Readers raise ProtocolError for anything that is not what it should be; no message of theirs quotes the payload.
"""

from __future__ import annotations

import base64
import binascii
import json
from enum import IntEnum
from struct import Struct
from typing import Any, NamedTuple

from ecs_exec.errors import ProtocolError
from ecs_exec.text import LONGEST

CLIENT_VERSION = "1.3.0.0"
"""The release of AWS's session-manager-plugin whose protocol this is. Agents compare numbers, so it must be one."""

ENCRYPT = "KMSEncryption"
"""The action by which the agent asks for an encrypted session."""

_FLAG = Struct(">I")


class Flag(IntEnum):
    """What a flag payload says. Shell sessions acknowledge and ignore it."""

    DISCONNECT_TO_PORT = 1
    TERMINATE_SESSION = 2
    CONNECT_TO_PORT_ERROR = 3


class ActionStatus(IntEnum):
    """How the client fared with an action that the agent asked for."""

    SUCCESS = 1
    FAILED = 2
    UNSUPPORTED = 3


class Action(NamedTuple):
    """One thing that the agent asks of the client in its handshake."""

    kind: str
    parameters: dict[str, Any]


class ActionResult(NamedTuple):
    """The client's answer to one action."""

    kind: str
    status: ActionStatus
    result: dict[str, Any] | None = None
    error: str = ""


class HandshakeRequest(NamedTuple):
    """The agent's first frame, if it shakes hands at all."""

    agent_version: str
    actions: tuple[Action, ...]


def open_data_channel(token: str, client_id: str, request_id: str) -> str:
    """Write the text frame that is the first on each connection; both ids are UUIDs in text."""
    return _write(
        {
            "MessageSchemaVersion": "1.0",
            "RequestId": request_id,
            "TokenValue": token,
            "ClientId": client_id,
            "ClientVersion": CLIENT_VERSION,
        }
    )


def size(columns: int, rows: int) -> bytes:
    """Write the terminal's size."""
    return _write({"cols": columns, "rows": rows}).encode()


def flag(value: Flag) -> bytes:
    """Write a flag."""
    return _FLAG.pack(value)


def acknowledged_sequence(payload: bytes) -> int:
    """Read which of our sequence numbers an acknowledge frame is about."""
    sequence = _read(payload, "acknowledge").get("AcknowledgedMessageSequenceNumber")
    if type(sequence) is not int:
        raise ProtocolError("an acknowledge frame without a sequence number")
    return sequence


def closed_reason(payload: bytes) -> str:
    """Read what a channel_closed frame says of the end, as far as it is looked at; empty for an ordinary one."""
    return _text(_read(payload, "channel_closed"), "Output")[:LONGEST]


def handshake_request(payload: bytes) -> HandshakeRequest:
    """Read what the agent asks for."""
    fields = _read(payload, "handshake request")
    actions = fields.get("RequestedClientActions") or []
    if not isinstance(actions, list):
        raise ProtocolError("a handshake request whose actions are not a list")
    return HandshakeRequest(_text(fields, "AgentVersion"), tuple(map(_action, actions)))


def _action(fields: object) -> Action:
    if not isinstance(fields, dict):
        raise ProtocolError("a handshake request with an action that is not an object")
    parameters = fields.get("ActionParameters")
    return Action(_text(fields, "ActionType"), parameters if isinstance(parameters, dict) else {})


def handshake_response(results: tuple[ActionResult, ...]) -> bytes:
    """Write the answer to a handshake request."""
    actions = [
        {
            "ActionType": result.kind,
            "ActionStatus": int(result.status),
            "ActionResult": result.result,
            "Error": result.error,
        }
        for result in results
    ]
    errors = [result.error for result in results if result.error]
    return _write({"ClientVersion": CLIENT_VERSION, "ProcessedClientActions": actions, "Errors": errors}).encode()


def handshake_complete(payload: bytes) -> str:
    """Read the words for the user in a handshake-complete frame; mostly none."""
    return _text(_read(payload, "handshake complete"), "CustomerMessage")


def challenge(payload: bytes) -> bytes:
    """Read the encrypted bytes of a challenge."""
    text = _text(_read(payload, "encryption challenge"), "Challenge")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("an encryption challenge that is not base64") from error


def challenge_response(data: bytes) -> bytes:
    """Write the answer to a challenge."""
    return _write({"Challenge": base64.b64encode(data).decode("ascii")}).encode()


def _write(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _read(payload: bytes, what: str) -> dict[str, Any]:
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        # Not chained: the decoder's error holds the payload.
        raise ProtocolError(f"a frame of type {what} that is not JSON") from None
    if not isinstance(fields, dict):
        raise ProtocolError(f"a frame of type {what} that is not a JSON object")
    return fields


def _text(fields: dict[str, Any], key: str) -> str:
    """Give a text field; a missing one and null count as empty."""
    value = fields.get(key) or ""
    if not isinstance(value, str):
        raise ProtocolError(f"a frame whose {key} is not text")
    return value
