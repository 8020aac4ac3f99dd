"""The handshake: the agent's requests before the session begins, and our answers.

An ECS session has a handshake only if a KMS key encrypts it. Sessions of the types NonInteractiveCommands and Port
always have one.
"""

from __future__ import annotations

import base64
from enum import Enum, auto
from typing import Any, Protocol

from ecs_exec.errors import EcsExecError, HandshakeRefused, ProtocolError
from ecs_exec.ssm import payloads
from ecs_exec.ssm.payloads import Action, ActionResult, ActionStatus
from ecs_exec.text import LONGEST, one_line

_MOST_ACTIONS = 8
"""Most actions in one request. Agents ask for two; the rest is room for kinds that we answer as unsupported."""


class Encryption(Protocol):
    """The cipher of a session that a KMS key encrypts."""

    def begin(self, key_id: str, challenge: str) -> bytes:
        """Make the session's keys, and return the encrypted data key for the agent.

        `challenge` is empty from older agents. If it is not, it must be in the encryption context, because the answer
        says that it is. Raises HandshakeRefused if the cipher does not work on this server, another EcsExecError if KMS
        refuses.
        """

    def encrypt(self, data: bytes) -> bytes:
        """Return bytes for the agent encrypted."""

    def decrypt(self, data: bytes) -> bytes:
        """Return bytes from the agent decrypted. Raises ProtocolError if the agent did not encrypt them."""


class _State(Enum):
    NONE = auto()
    ANSWERED = auto()
    COMPLETE = auto()


class Handshake:
    """The client's side of one handshake."""

    def __init__(self, encryption: Encryption | None) -> None:
        """Begin before any request. Without `encryption`, sessions with a KMS key are refused."""
        self.refusal: HandshakeRefused | None = None
        """Why the session cannot go on; set together with the answer that reports it to the agent."""
        self._encryption = encryption
        self._encrypted = False
        self._challenged = False
        self._state = _State.NONE

    @property
    def in_progress(self) -> bool:
        """Whether the handshake has begun and is not over: the agent drops input meanwhile."""
        return self._state is _State.ANSWERED

    def read(self, payload: bytes) -> tuple[Action, ...]:
        """Return the actions of a handshake request.

        Raises ProtocolError if it is not one, not the first one, or names an action twice or too many actions: each
        action for encryption would be a call of KMS, which costs money and can be throttled.
        """
        if self._state is not _State.NONE:
            raise ProtocolError("the agent asked for a second handshake")
        actions = payloads.handshake_request(payload)
        kinds = [action.kind for action in actions]
        if len(set(kinds)) < len(kinds) or len(kinds) > _MOST_ACTIONS:
            raise ProtocolError(f"a handshake request with {len(kinds)} actions; at most two are possible")
        return actions

    def answer(self, actions: tuple[Action, ...]) -> bytes:
        """Return the answer to a handshake request, and make the keys that its actions ask for. May set `refusal`."""
        self._state = _State.ANSWERED
        return payloads.handshake_response(tuple(map(self._result, actions)))

    def _result(self, action: Action) -> ActionResult:
        if action.kind == "SessionType":
            return ActionResult(action.kind, ActionStatus.SUCCESS)
        if action.kind == payloads.ENCRYPT:
            return self._encrypt_with(action.parameters)
        return ActionResult(action.kind, ActionStatus.UNSUPPORTED, error=f"Unsupported action {action.kind}")

    def _encrypt_with(self, parameters: dict[str, Any]) -> ActionResult:
        """Make the keys. A failure is kept as `refusal`, and also answered: then the agent ends the session at once."""
        key_id, challenge = _text(parameters, "KMSKeyId"), _text(parameters, "Challenge")
        if self._encryption is None:
            self.refusal = HandshakeRefused(
                f"the session is encrypted with the KMS key {one_line(key_id, 200)},"
                " which the native transport does not support; set the transport to session-manager-plugin"
            )
            return ActionResult("KMSEncryption", ActionStatus.UNSUPPORTED, error="KMS encryption is not supported")
        try:
            key = self._encryption.begin(key_id, challenge)
        except HandshakeRefused as error:
            self.refusal = error
            return ActionResult("KMSEncryption", ActionStatus.UNSUPPORTED, error="KMS encryption is not supported")
        except EcsExecError as error:
            self.refusal = HandshakeRefused(f"the session's KMS key {one_line(key_id, 200)} cannot be used: {error}")
            self.refusal.__cause__ = error
            return ActionResult("KMSEncryption", ActionStatus.FAILED, error="KMS refused to make a data key")
        self._encrypted = True
        fields: dict[str, Any] = {"KMSCipherTextKey": base64.b64encode(key).decode("ascii"), "KMSCipherTextHash": None}
        if challenge:
            fields["ChallengeAcknowledgement"] = True
        return ActionResult("KMSEncryption", ActionStatus.SUCCESS, fields)

    def answer_challenge(self, payload: bytes) -> bytes:
        """Return the answer that proves to the agent that both ends have the same keys.

        Raises ProtocolError for a challenge in an unencrypted session, and for a second one.
        """
        if not self.in_progress or not self._encrypted:
            raise ProtocolError("an encryption challenge in a session that is not encrypted")
        if self._challenged:
            raise ProtocolError("the agent sent a second encryption challenge")
        self._challenged = True
        return payloads.challenge_response(self.encrypt(self.decrypt(payloads.challenge(payload))))

    def complete(self, payload: bytes) -> str:
        """End the handshake, and return the agent's words for the user, mostly none.

        Raises ProtocolError if no handshake was begun.
        """
        if not self.in_progress:
            raise ProtocolError("the agent completed a handshake that was not begun")
        self._state = _State.COMPLETE
        return payloads.handshake_complete(payload)

    def encrypt(self, data: bytes) -> bytes:
        """Return input as it is sent: encrypted if the session is."""
        return self._encryption.encrypt(data) if self._encrypted and self._encryption else data

    def decrypt(self, data: bytes) -> bytes:
        """Return output in plain form. Raises ProtocolError as `Encryption.decrypt` does."""
        return self._encryption.decrypt(data) if self._encrypted and self._encryption else data


def _text(parameters: dict[str, Any], name: str) -> str:
    """Return a parameter of an action, empty if it is missing. Raises ProtocolError if it is longer than KMS takes."""
    value = parameters.get(name) or ""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise ProtocolError(f"a handshake request whose {name} is not a text of at most {LONGEST} characters")
    return value
