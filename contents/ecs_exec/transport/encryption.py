"""The cipher of a session that a KMS key encrypts: AES-256-GCM with keys that KMS makes for that session.

The agent decrypts the same data key, in the same encryption context, with the task role. The agent encrypts with the
key's first half, we with its second half. Each payload is a nonce of 12 bytes, the ciphertext and a tag of 16 bytes.

The cipher is native code of pycryptodome. The zip holds it for the processors of ECS and of most Rundeck servers. It is
loaded only for an encrypted session.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ecs_exec.errors import AwsError, HandshakeRefused, ProtocolError

NATIVE = os.path.abspath(f"{__file__}/../../../lib/native")
"""Directory with one directory of compiled code for each processor."""

KEY_BYTES = 64
_HALF = 32
_NONCE = 12
_TAG = 16

DataKey = tuple[bytes, bytes]
"""A data key: plain, and encrypted by KMS."""


class KmsEncryption:
    """One session's cipher; implements `ssm.handshake.Encryption`."""

    def __init__(
        self,
        generate: Callable[[str, Mapping[str, str]], DataKey],
        session_id: str,
        target: Callable[[], str],
        native: str = NATIVE,
    ) -> None:
        """Take the functions that make a data key and that return the container's SSM name.

        `generate` calls kms:GenerateDataKey with a key id and an encryption context.
        """
        self._generate = generate
        self._session_id = session_id
        self._target = target
        self._native = native
        self._aes: Any = None
        self._inward = self._outward = b""

    def begin(self, key_id: str, challenge: str) -> bytes:
        """Make the session's keys, and return the encrypted data key.

        Raises HandshakeRefused if there is no native code for this server, AwsError if KMS refuses, TargetError if the
        container's SSM name is not known.
        """
        self._aes = _load(self._native)
        context = {"aws:ssm:SessionId": self._session_id, "aws:ssm:TargetId": self._target()}
        if challenge:
            context["aws:ssm:RandomChallenge"] = challenge
        plain, encrypted = self._generate(key_id, context)
        if len(plain) != KEY_BYTES:
            raise AwsError(
                name="not-aws", said=f"kms:GenerateDataKey returned a key of {len(plain)} bytes instead of {KEY_BYTES}"
            )
        self._inward, self._outward = plain[:_HALF], plain[_HALF:]
        return encrypted

    def encrypt(self, data: bytes) -> bytes:
        """Return bytes for the agent encrypted, with a random nonce before and the tag behind."""
        nonce = os.urandom(_NONCE)
        ciphertext, tag = self._cipher(self._outward, nonce).encrypt_and_digest(data)
        return nonce + bytes(ciphertext) + bytes(tag)

    def decrypt(self, data: bytes) -> bytes:
        """Return bytes from the agent decrypted. Raises ProtocolError if the session's key did not encrypt them."""
        if len(data) < _NONCE + _TAG:
            raise ProtocolError(f"an encrypted frame of {len(data)} bytes")
        try:
            cipher = self._cipher(self._inward, data[:_NONCE])
            return bytes(cipher.decrypt_and_verify(data[_NONCE:-_TAG], data[-_TAG:]))
        except ValueError:
            raise ProtocolError("a frame that was not encrypted with the session's key") from None

    def _cipher(self, key: bytes, nonce: bytes) -> Any:  # noqa: ANN401 - pycryptodome's
        return self._aes.new(key, self._aes.MODE_GCM, nonce=nonce)


def _load(native: str) -> Any:  # noqa: ANN401 - a module
    """Import AES for this processor, and try it. Raises HandshakeRefused if no code runs on this server."""
    machine = os.uname().machine
    folder = f"{native}/{machine}"
    if folder not in sys.path and os.path.isdir(folder):
        sys.path.insert(0, folder)
    try:
        from Crypto.Cipher import AES

        AES.new(bytes(_HALF), AES.MODE_GCM, nonce=bytes(_NONCE))
    except (ImportError, OSError, AttributeError, ValueError) as error:
        raise HandshakeRefused(
            f"the session is encrypted with a KMS key, and the plugin has no AES code that runs on this server"
            f" ({machine}, {type(error).__name__}): set the transport to session-manager-plugin"
        ) from None
    return AES
