"""The JSON inside the frames."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from ecs_exec.errors import ProtocolError
from ecs_exec.ssm import payloads
from ecs_exec.ssm.payloads import Action, ActionResult, ActionStatus


def test_open_data_channel() -> None:
    """The first frame of a connection holds the token and both ids."""
    assert json.loads(payloads.open_data_channel("the token", "client", "request")) == {
        "MessageSchemaVersion": "1.0",
        "RequestId": "request",
        "TokenValue": "the token",
        "ClientId": "client",
        "ClientVersion": "1.3.0.0",
    }


def test_size() -> None:
    """A size is JSON."""
    assert payloads.size(300, 100) == b'{"cols":300,"rows":100}'


def test_acknowledged_sequence() -> None:
    """In an acknowledgement, only the number counts."""
    assert payloads.acknowledged_sequence(b'{"AcknowledgedMessageSequenceNumber":12,"More":[]}') == 12


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"Output":"\\nUnable to start command"}', "\nUnable to start command"),
        (b'{"Output":null}', ""),
        (b"{}", ""),
    ],
)
def test_closed_reason(payload: bytes, reason: str) -> None:
    """The reason of an end is its Output; an ordinary end has none."""
    assert payloads.closed_reason(payload) == reason


def test_handshake_request() -> None:
    """The agent's wishes keep their order and parameters; null parameters count as none."""
    payload = json.dumps(
        {
            "AgentVersion": "3.3.0.0",
            "RequestedClientActions": [
                {"ActionType": "SessionType", "ActionParameters": {"SessionType": "InteractiveCommands"}},
                {"ActionType": "KMSEncryption", "ActionParameters": None},
            ],
        }
    )
    assert payloads.handshake_request(payload.encode()) == (
        Action("SessionType", {"SessionType": "InteractiveCommands"}),
        Action("KMSEncryption", {}),
    )


def test_handshake_response() -> None:
    """The answer to each action has its status. An error appears twice, as the agent expects."""
    results = (
        ActionResult("SessionType", ActionStatus.SUCCESS),
        ActionResult("Dance", ActionStatus.UNSUPPORTED, error="Unsupported action Dance"),
    )
    assert json.loads(payloads.handshake_response(results)) == {
        "ClientVersion": "1.3.0.0",
        "ProcessedClientActions": [
            {"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": None, "Error": ""},
            {"ActionType": "Dance", "ActionStatus": 3, "ActionResult": None, "Error": "Unsupported action Dance"},
        ],
        "Errors": ["Unsupported action Dance"],
    }


def test_challenge_both_ways() -> None:
    """A challenge is base64 in JSON."""
    data = bytes(range(64))
    payload = json.dumps({"Challenge": base64.b64encode(data).decode()}).encode()
    assert payloads.challenge(payload) == data
    assert json.loads(payloads.challenge_response(data)) == json.loads(payload)


READERS: list[Callable[[bytes], object]] = [
    payloads.acknowledged_sequence,
    payloads.closed_reason,
    payloads.handshake_request,
    payloads.handshake_complete,
    payloads.challenge,
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "payload", [b"", b"secret", b"\xff\xfe", b"[]", b"1", b'{"a":', b"[" * 100_000, b"null", b'"secret"']
)
def test_what_is_no_object_is_refused(reader: Callable[[bytes], object], payload: bytes) -> None:
    """Anything but a JSON object is a protocol error that does not quote it, nor chain what does."""
    with pytest.raises(ProtocolError) as caught:
        reader(payload)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("reader", "payload"),
    [
        (payloads.acknowledged_sequence, b"{}"),
        (payloads.acknowledged_sequence, b'{"AcknowledgedMessageSequenceNumber":"1"}'),
        (payloads.acknowledged_sequence, b'{"AcknowledgedMessageSequenceNumber":true}'),
        (payloads.acknowledged_sequence, b'{"AcknowledgedMessageSequenceNumber":1.5}'),
        (payloads.closed_reason, b'{"Output":["x"]}'),
        (payloads.handshake_request, b'{"RequestedClientActions":7}'),
        (payloads.handshake_request, b'{"RequestedClientActions":[7]}'),
        (payloads.handshake_request, b'{"RequestedClientActions":[{"ActionType":7}]}'),
        (payloads.challenge, b'{"Challenge":"?"}'),
        (payloads.challenge, '{"Challenge":"ü"}'.encode()),
    ],
)
def test_fields_of_another_type_are_refused(reader: Callable[[bytes], object], payload: bytes) -> None:
    """A field of the wrong type is a protocol error."""
    with pytest.raises(ProtocolError):
        reader(payload)
