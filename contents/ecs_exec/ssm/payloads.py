"""Reads and writes the JSON inside the frames, and writes the text frame that opens a channel.

Functions that read raise ProtocolError if a payload is not as expected. Their messages never quote the payload.
"""

from __future__ import annotations

import base64
import binascii
import json
from enum import IntEnum
from typing import Any

from ecs_exec.errors import ProtocolError
from ecs_exec.record import NamedTuple
from ecs_exec.text import LONGEST

CLIENT_VERSION = "1.3.0.0"
"""The release of AWS's session-manager-plugin whose protocol this is. It must be a version number, because agents
compare it with others."""

ENCRYPT = "KMSEncryption"
"""Name of the action with which the agent asks for an encrypted session."""


class ActionStatus(IntEnum):
    """Result of an action in the client's answer."""

    SUCCESS = 1
    FAILED = 2
    UNSUPPORTED = 3


class Action(NamedTuple):
    """One request of the agent in its handshake."""

    kind: str
    parameters: dict[str, Any]


class ActionResult(NamedTuple):
    """The client's answer to one action."""

    kind: str
    status: ActionStatus
    result: dict[str, Any] | None = None
    error: str = ""


def open_data_channel(token: str, client_id: str, request_id: str) -> str:
    """Return the text frame that must be the first on each connection; both ids are UUIDs as text."""
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
    """Return the payload of a terminal's size."""
    return _write({"cols": columns, "rows": rows}).encode()


def acknowledged_sequence(payload: bytes) -> int:
    """Return the sequence number of our frame that an acknowledge frame confirms."""
    sequence = _read(payload, "acknowledge").get("AcknowledgedMessageSequenceNumber")
    if type(sequence) is not int:
        raise ProtocolError("an acknowledge frame without a sequence number")
    return sequence


def closed_reason(payload: bytes) -> str:
    """Return the reason in a channel_closed frame, at most LONGEST characters; empty for an ordinary end."""
    return _text(_read(payload, "channel_closed"), "Output")[:LONGEST]


def handshake_request(payload: bytes) -> tuple[Action, ...]:
    """Return the actions that the agent asks for in its handshake request."""
    fields = _read(payload, "handshake request")
    actions = fields.get("RequestedClientActions") or []
    if not isinstance(actions, list):
        raise ProtocolError("a handshake request whose actions are not a list")
    return tuple(map(_action, actions))


def _action(fields: object) -> Action:
    if not isinstance(fields, dict):
        raise ProtocolError("a handshake request with an action that is not an object")
    parameters = fields.get("ActionParameters")
    return Action(_text(fields, "ActionType"), parameters if isinstance(parameters, dict) else {})


def handshake_response(results: tuple[ActionResult, ...]) -> bytes:
    """Return the payload of the answer to a handshake request."""
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
    """Return the words for the user in a handshake-complete frame, mostly none."""
    return _text(_read(payload, "handshake complete"), "CustomerMessage")


def challenge(payload: bytes) -> bytes:
    """Return the encrypted bytes of a challenge."""
    text = _text(_read(payload, "encryption challenge"), "Challenge")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("an encryption challenge that is not base64") from error


def challenge_response(data: bytes) -> bytes:
    """Return the payload of the answer to a challenge."""
    return _write({"Challenge": base64.b64encode(data).decode("ascii")}).encode()


def _write(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _read(payload: bytes, what: str) -> dict[str, Any]:
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        # Not chained: the decoder's error holds the payload, which may be secret.
        raise ProtocolError(f"a frame of type {what} that is not JSON") from None
    if not isinstance(fields, dict):
        raise ProtocolError(f"a frame of type {what} that is not a JSON object")
    return fields


def _text(fields: dict[str, Any], key: str) -> str:
    """Return a text field; a missing one and null count as empty. Raises ProtocolError for another type."""
    value = fields.get(key) or ""
    if not isinstance(value, str):
        raise ProtocolError(f"a frame whose {key} is not text")
    return value
