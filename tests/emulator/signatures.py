"""AWS's Signature Version 4, as its receiver sees it: written from AWS's specification, not from any signer.

Source: "Create a signed AWS API request" and "Signature Version 4 for query parameters" in AWS's IAM user guide.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import time
from calendar import timegm
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

SERVICE = "ssmmessages"
_ALGORITHM = "AWS4-HMAC-SHA256"
_NO_BODY = hashlib.sha256().hexdigest()
_PLAIN = frozenset(f"{string.ascii_letters}{string.digits}-._~".encode())
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM} Credential=(?P<credential>[^,\s]+),\s*SignedHeaders=(?P<signed>[^,\s]+),\s*"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_SKEW = 300.0
"""Seconds that a signature's time may differ from the receiver's."""

_NEVER_WITHOUT = "host"
_WRONG = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key"
    " and signing method. Consult the service documentation for details."
)
_UNKNOWN = "The security token included in the request is invalid."


@dataclass(frozen=True)
class Key:
    """A secret, and the session token that must come with it."""

    secret: str
    token: str = ""


KEYS = {"AKIAIOSFODNN7EXAMPLE": Key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")}
"""What IAM knows, in all regions and for all emulators of this process: the key of AWS's documentation."""

SECRETS = (KEYS["AKIAIOSFODNN7EXAMPLE"].secret, "example", "x")
"""Any other access key id is a user's whose secret is one of these: tests name users as they like."""

_SERVICE_KEY = ("ASIAEMULATOREXAMPLE", Key(secrets.token_hex(20), secrets.token_hex(40) + "+/="))
"""What stream URLs are presigned with."""


class SignatureError(Exception):
    """A rejected signature, with AWS's error code and text."""

    def __init__(self, code: str, message: str) -> None:
        """Take code and text."""
        super().__init__(message)
        self.code = code
        self.message = message


def learn(body: bytes) -> None:
    """Remember the credentials in an answer of the emulator's own STS."""
    try:
        found = {element.tag.rpartition("}")[2]: element.text or "" for element in ET.fromstring(body).iter()}  # noqa: S314
    except ET.ParseError:
        return
    if "AccessKeyId" in found:
        KEYS[found["AccessKeyId"]] = Key(found["SecretAccessKey"], found.get("SessionToken", ""))


# --- Headers


def verify(target: str, headers: Iterable[tuple[str, str]], region: str, now: float | None = None) -> str:
    """Check the signature of a GET of `target`, its path and query string as they came; return the access key id."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value)
    fields = {name: ",".join(" ".join(value.split()) for value in each) for name, each in values.items()}
    found = _AUTHORIZATION.fullmatch(fields.get("authorization", ""))
    if found is None:
        raise SignatureError("IncompleteSignatureException", "Authorization header is not of the form of a signature.")
    when = fields.get("x-amz-date", "")
    access_key, scope = _scope(found["credential"], when, region)
    _check_time(when, time.time() if now is None else now)
    keys = _keys(access_key, fields.get("x-amz-security-token", ""))
    signed = found["signed"].split(";")
    unsigned = {name for name in fields if name.startswith("x-amz-")} | {_NEVER_WITHOUT}
    if signed != sorted(set(signed)) or unsigned - set(signed) or set(signed) - set(fields):
        raise SignatureError("InvalidSignatureException", f"Headers must be signed: {', '.join(sorted(unsigned))}.")
    path, _, query = target.partition("?")
    lines = [f"{name}:{fields[name]}" for name in signed]
    request = _canonical(path, _parameters(query), lines, found["signed"])
    if found["signature"] not in {_signature(request, when, scope, key) for key in keys}:
        raise SignatureError("InvalidSignatureException", _WRONG)
    return access_key


def _scope(credential: str, when: str, region: str) -> tuple[str, str]:
    """Take a credential apart; return the access key id and the scope."""
    access_key, _, scope = credential.partition("/")
    if scope != f"{when[:8]}/{region}/{SERVICE}/aws4_request":
        raise SignatureError("InvalidSignatureException", f"Credential should be scoped to {region} and {SERVICE}.")
    return access_key, scope


def _check_time(when: str, now: float) -> None:
    try:
        signed = timegm(time.strptime(when, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise SignatureError("IncompleteSignatureException", "X-Amz-Date is not a time.") from None
    if signed < now - _SKEW:
        raise SignatureError("InvalidSignatureException", f"Signature expired: {when} is now earlier than the limit.")
    if signed > now + _SKEW:
        raise SignatureError("InvalidSignatureException", f"Signature not yet current: {when} is later than the limit.")


def _keys(access_key: str, token: str) -> list[Key]:
    """Return the keys that may have signed."""
    key = KEYS.get(access_key)
    if key is None:
        return [Key(secret, token) for secret in SECRETS]
    if key.token != token:
        raise SignatureError("UnrecognizedClientException", _UNKNOWN)
    return [key]


# --- Query parameters


def presigned(url: str, region: str, expires: float, now: float | None = None) -> str:
    """Return a URL with a signature in its query string, valid for so many seconds."""
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() if now is None else now))
    access_key, key = _SERVICE_KEY
    scope = f"{when[:8]}/{region}/{SERVICE}/aws4_request"
    added = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{access_key}/{scope}",
        "X-Amz-Date": when,
        "X-Amz-Expires": str(int(expires)),
        "X-Amz-Security-Token": key.token,
        "X-Amz-SignedHeaders": _NEVER_WITHOUT,
    }
    text = "&".join(f"{name}={_encoded(value)}" for name, value in added.items())
    whole = f"{url}{'&' if '?' in url else '?'}{text}"
    place, _, query = whole.partition("://")[2].partition("?")
    host, _, path = place.partition("/")
    request = _canonical(f"/{path}", _parameters(query), [f"host:{host}"], _NEVER_WITHOUT)
    return f"{whole}&X-Amz-Signature={_signature(request, when, scope, key)}"


def is_presigned(target: str) -> bool:
    """Return whether a query string holds a signature."""
    return "X-Amz-Signature" in dict(_parameters(target.partition("?")[2]))


def verify_presigned(target: str, headers: Mapping[str, str], region: str, now: float | None = None) -> None:
    """Check a URL of `presigned`."""
    path, _, query = target.partition("?")
    parameters = _parameters(query)
    values = dict(parameters)
    access_key, scope = _scope(values.get("X-Amz-Credential", ""), values.get("X-Amz-Date", ""), region)
    known, key = _SERVICE_KEY
    if (access_key, values.get("X-Amz-Security-Token")) != (known, key.token):
        raise SignatureError("UnrecognizedClientException", _UNKNOWN)
    host = next((value for name, value in headers.items() if name.lower() == "host"), "")
    unsigned = [(name, value) for name, value in parameters if name != "X-Amz-Signature"]
    request = _canonical(path, unsigned, [f"host:{host}"], _NEVER_WITHOUT)
    expected = _signature(request, values["X-Amz-Date"], scope, key)
    if not hmac.compare_digest(values["X-Amz-Signature"], expected):
        raise SignatureError("InvalidSignatureException", _WRONG)
    begun = timegm(time.strptime(values["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    if (time.time() if now is None else now) >= begun + int(values["X-Amz-Expires"]):
        raise SignatureError("InvalidSignatureException", "Signature expired: the URL is no longer valid.")


# --- Common parts


def _canonical(path: str, parameters: Iterable[tuple[str, str]], lines: Iterable[str], signed: str) -> str:
    """Return the canonical request of a GET without a body. A path is encoded once more than it was sent."""
    query = "&".join(f"{name}={value}" for name, value in sorted((_encoded(n), _encoded(v)) for n, v in parameters))
    where = "/".join(map(_encoded, path.split("/")))
    return "\n".join(["GET", where, query, *lines, "", signed, _NO_BODY])


def _parameters(query: str) -> list[tuple[str, str]]:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return [(_decoded(name), _decoded(value)) for name, _, value in pairs]


def _decoded(text: str) -> str:
    data = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), text.replace("+", " ").encode())
    return data.decode(errors="surrogateescape")


def _encoded(text: str) -> str:
    data = text.encode(errors="surrogateescape")
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in data)


def _signature(request: str, when: str, scope: str, key: Key) -> str:
    text = "\n".join([_ALGORITHM, when, scope, hashlib.sha256(request.encode()).hexdigest()])
    step = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        step = hmac.new(step, part.encode(), hashlib.sha256).digest()
    return hmac.new(step, text.encode(), hashlib.sha256).hexdigest()
