"""The handshake that the agent asks for before the command starts, with or without encryption."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import time
from collections.abc import Mapping
from typing import Any, Protocol

from emulator.channel import Channel
from emulator.quirks import Quirks
from emulator.wire import Payload

AGENT_VERSION = "3.3.0.0"
_SUCCESS = 1
_KEY = 32
_NONCE = 12
_NO_ANSWER = "Handshake timed out. Please ensure that you have the latest version of the session manager plugin."


class HandshakeError(Exception):
    """The handshake failed and the session ends; the text is the agent's own."""


class KeyService(Protocol):
    """The calls of KMS that the agent needs."""

    async def decrypt(self, key_id: str, ciphertext: str, context: Mapping[str, str]) -> bytes:
        """Return a data key's plaintext; raise HandshakeError as KMS words its refusal."""


class Cipher:
    """AES-256-GCM both ways: the first half of the data key encrypts for the client, the second decrypts from it."""

    def __init__(self, key: bytes) -> None:
        """Take the 64 bytes of a data key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._outward = AESGCM(key[:_KEY])
        self._inward = AESGCM(key[_KEY:])
        self._nonce = int.from_bytes(os.urandom(_NONCE), "big")

    def encrypt(self, data: bytes) -> bytes:
        """Return nonce, ciphertext and tag; the nonce counts up from a random start."""
        self._nonce = (self._nonce + 1) % (1 << 8 * _NONCE)
        nonce = self._nonce.to_bytes(_NONCE, "big")
        return nonce + self._outward.encrypt(nonce, data, None)

    def decrypt(self, data: bytes) -> bytes:
        """Return the client's bytes; raise ValueError if they were not encrypted with its half of the key."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._inward.decrypt(data[:_NONCE], data[_NONCE:], None)
        except (InvalidTag, ValueError) as exc:
            raise ValueError("payload cannot be decrypted") from exc


class Handshake:
    """The agent's side of one handshake."""

    def __init__(self, quirks: Quirks, session_id: str, target: str, keys: KeyService, key_id: str) -> None:
        """Take the names for the encryption context, and the key to request (used with `handshake: kms`)."""
        self._quirks = quirks
        self._context = {"aws:ssm:SessionId": session_id, "aws:ssm:TargetId": target}
        self._keys = keys
        self._key_id = key_id
        self._encrypted = quirks.handshake == "kms"
        self._challenge = base64.b64encode(os.urandom(16)).decode()
        self._answers: dict[int, asyncio.Future[bytes]] = {
            kind: asyncio.get_running_loop().create_future()
            for kind in (Payload.HANDSHAKE_RESPONSE, Payload.CHALLENGE_RESPONSE)
        }
        self.cipher: Cipher | None = None
        self.client_version = ""

    def take(self, payload_type: int, payload: bytes) -> None:
        """Take a stream payload of the client. Like the agent, acknowledge and drop a payload that is no answer."""
        answer = self._answers.get(payload_type)
        if answer is not None and not answer.done():
            answer.set_result(payload)

    async def perform(self, channel: Channel) -> None:
        """Go through all steps; raise HandshakeError if the client refuses, errs or does not answer."""
        begun = time.monotonic_ns()
        await channel.send(Payload.HANDSHAKE_REQUEST, _json(self._request()))
        await self._check(await self._answer(Payload.HANDSHAKE_RESPONSE, _NO_ANSWER))
        if self.cipher is not None:
            await self._exchange(channel, self.cipher)
        message = "This session is encrypted using AWS KMS." if self.cipher else ""
        complete = {"HandshakeTimeToComplete": time.monotonic_ns() - begun, "CustomerMessage": message}
        await channel.send(Payload.HANDSHAKE_COMPLETE, _json(complete))

    def _request(self) -> dict[str, Any]:
        session_type = {"SessionType": "InteractiveCommands", "Properties": None}
        actions: list[dict[str, Any]] = [{"ActionType": "SessionType", "ActionParameters": session_type}]
        if self._encrypted:
            parameters = {"KMSKeyId": self._key_id, "Challenge": self._challenge}
            actions.append({"ActionType": "KMSEncryption", "ActionParameters": parameters})
        return {"AgentVersion": AGENT_VERSION, "RequestedClientActions": actions}

    async def _answer(self, kind: Payload, late: str) -> bytes:
        try:
            return await asyncio.wait_for(self._answers[kind], self._quirks.handshake_timeout)
        except asyncio.TimeoutError:
            raise HandshakeError(late) from None

    async def _check(self, payload: bytes) -> None:
        try:
            response = json.loads(payload)
            self.client_version = str(response["ClientVersion"])
            actions = {action["ActionType"]: action for action in response["ProcessedClientActions"]}
        except (ValueError, KeyError, TypeError) as exc:
            raise HandshakeError(f"Unmarshalling of HandshakeResponse message failed, {exc!r}") from exc
        for name, action in actions.items():
            if action.get("ActionStatus") != _SUCCESS:
                raise HandshakeError(
                    f"{name} failed on client with status {action.get('ActionStatus')} error: {action.get('Error')}"
                )
        if self._encrypted:
            if "KMSEncryption" not in actions:
                raise HandshakeError("KMSEncryption was not processed by the client")
            self.cipher = await self._agreed(actions["KMSEncryption"].get("ActionResult") or {})

    async def _agreed(self, result: Mapping[str, Any]) -> Cipher:
        context = dict(self._context)
        if result.get("ChallengeAcknowledgement") is True:
            context["aws:ssm:RandomChallenge"] = self._challenge
        elif self._quirks.require_kms_challenge:
            raise HandshakeError("client does not support required encryption context random challenge")
        key = await self._keys.decrypt(self._key_id, str(result.get("KMSCipherTextKey", "")), context)
        if len(key) != 2 * _KEY:
            raise HandshakeError(f"Fetching data key failed: {len(key)} bytes of key, not {2 * _KEY}")
        return Cipher(key)

    async def _exchange(self, channel: Channel, cipher: Cipher) -> None:
        secret = os.urandom(64)
        request = {"Challenge": base64.b64encode(cipher.encrypt(secret)).decode()}
        await channel.send(Payload.CHALLENGE_REQUEST, _json(request))
        payload = await self._answer(Payload.CHALLENGE_RESPONSE, "Timed out waiting for encryption challenge.")
        try:
            answer = cipher.decrypt(base64.b64decode(json.loads(payload)["Challenge"], validate=True))
        except (ValueError, KeyError, TypeError, binascii.Error) as exc:
            raise HandshakeError(f"Encryption challenge cannot be read: {exc}") from exc
        if answer != secret:
            raise HandshakeError("Encryption challenge does not match!")


def failure_text(error: HandshakeError) -> str:
    """Return the text with which a session ends after a failed handshake."""
    return f"Encountered error while initiating handshake. {error}"


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
