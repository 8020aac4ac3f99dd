"""Explains to the operator why the upgrade of the data channel was refused with status 403.

An error shows nothing of the answer's text but AWS's error code: for a wrong signature the text may repeat what was
signed, the session token included.
"""

from __future__ import annotations

import re

from ecs_exec.errors import CannotOpenChannel
from ecs_exec.transport.stream_url import StreamUrl
from ecs_exec.transport.websocket import UpgradeRefused

_ACTION = "ssmmessages:OpenDataChannel"
_POLICIES = (
    f"allow {_ACTION} on the session (arn:aws:ssm:*:*:session/*) for these credentials, and check the policy of the VPC"
    " endpoint for ssmmessages, and the proxy, if there is one (HTTPS_PROXY)"
)
_CLOCK = "the signature's time is not valid: correct this server's clock"
_UNKNOWN_KEY = "the access key id or the session token is not known: check access-key-id and session-token"
_WRONG_PAIR = "the secret access key does not belong to the access key id: check secret-access-key"
_CODES = {
    "AccessDenied": ("channel-forbidden", f"these credentials may not call {_ACTION}: {_POLICIES}"),
    "ExpiredToken": ("channel-credentials-expired", "the credentials have expired: renew them"),
    "IncompleteSignature": (
        "channel-signature-damaged",
        "the signature arrived incomplete: check the proxy (HTTPS_PROXY)",
    ),
    "InvalidClientTokenId": ("channel-key-unknown", _UNKNOWN_KEY),
    "InvalidSignature": ("channel-secret-wrong", _WRONG_PAIR),
    "RequestExpired": ("channel-clock-wrong", _CLOCK),
    "RequestTimeTooSkewed": ("channel-clock-wrong", _CLOCK),
    "SignatureDoesNotMatch": ("channel-secret-wrong", _WRONG_PAIR),
    "UnrecognizedClient": ("channel-key-unknown", _UNKNOWN_KEY),
}
"""By AWS's error code, without `Exception` at its end: the name of the cause, and the words."""

_SKEWED = re.compile(r"Signature expired|Signature not yet current", re.IGNORECASE)


def of_signature(place: StreamUrl, signed: UpgradeRefused, unsigned: UpgradeRefused | None) -> CannotOpenChannel:
    """Return the error for a refused signed upgrade, and for the unsigned attempt after it, None if there was none."""
    transient = unsigned is not None and unsigned.transient
    name, why = _why(signed)
    return CannotOpenChannel(
        f"cannot open the data channel to {place.host}:{place.port}: {_what(signed, unsigned)}; {why}",
        name=name,
        transient=transient,
        refused=not transient,
    )


def _what(signed: UpgradeRefused, unsigned: UpgradeRefused | None) -> str:
    if unsigned is None:
        return f"HTTP status {signed.status} with these credentials' signature"
    if unsigned.status == signed.status:
        return f"HTTP status {signed.status} both with these credentials' signature and without one"
    return f"HTTP status {signed.status} with these credentials' signature, and {unsigned.status} without one"


def _why(refused: UpgradeRefused) -> tuple[str, str]:
    said = f"{refused.type} {refused.body}"
    if _SKEWED.search(said):
        return "channel-clock-wrong", _CLOCK
    code = next((code for code in _CODES if re.search(rf"\b{code}(Exception)?\b", said)), "")
    name, why = _CODES.get(code, ("channel-forbidden", _POLICIES))
    return name, f"{code}: {why}" if code else why


def of_presigned(place: StreamUrl, now: float) -> CannotOpenChannel:
    """Return the error for a refused presigned URL; `now` is in seconds since 1970."""
    late = now - place.expires if place.expires is not None else -1.0
    if late >= 0:
        name = "stream-url-expired"
        why = f"it expired {late:.0f} s ago according to this server's clock: check the clock, or run the command again"
    else:
        name = "channel-forbidden"
        why = "check the policy of the VPC endpoint for ssmmessages, and the proxy, if there is one (HTTPS_PROXY)"
    return CannotOpenChannel(
        f"cannot open the data channel to {place.host}:{place.port}: HTTP status 403 for the session's presigned stream"
        f" URL; {why}",
        name=name,
        refused=True,
    )
