"""AWS Signature Version 4 of one HTTP request. Pure: request, credentials and time come in, headers go out.

Source: "Create a signed AWS API request" in AWS's IAM user guide. A property test compares it with botocore's signer.

Which headers to sign is the caller's choice, by which headers it gives. The data channel signs Host, X-Amz-Date and
X-Amz-Security-Token, as AWS's session-manager-plugin does: they are all that the specification demands, and no proxy
rewrites them. The others of an upgrade are not given: Connection and Upgrade hold for one hop only, and a proxy that
inspects TLS makes a websocket of its own, with a Sec-WebSocket-Key of its own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_BODY = hashlib.sha256(b"").hexdigest()
"""The hash of no body, which every GET has."""

_UNSIGNED = frozenset(
    {
        "authorization",
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
"""Headers that are never signed: proxies and tracing change them on the way. botocore leaves out the same ones."""

_UNRESERVED = "-_.~"


class Credentials(NamedTuple):
    """A key pair, and the session token that temporary keys come with (else empty)."""

    access_key: str
    secret_key: str
    token: str = ""

    def __repr__(self) -> str:
        """Show no secret."""
        return "Credentials(...)"


class Request(NamedTuple):
    """What is signed of a request."""

    method: str
    path: str
    """As it is sent, without the query string."""
    query: str
    """As it is sent, without the question mark."""
    headers: Mapping[str, str]
    """Must hold Host, as it is sent."""
    body_hash: str = EMPTY_BODY
    """SHA-256 of the body in lower-case hexadecimal."""


def sign(request: Request, credentials: Credentials, region: str, service: str, timestamp: str) -> dict[str, str]:
    """Return the headers to add to a request. `timestamp` is UTC in the form 20260131T235959Z."""
    added = {"X-Amz-Date": timestamp}
    if credentials.token:
        added["X-Amz-Security-Token"] = credentials.token
    headers = _canonical_headers({**request.headers, **added})
    names = ";".join(headers)
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    canonical = "\n".join(
        (
            request.method.upper(),
            _canonical_path(request.path),
            canonical_query(request.query),
            *(f"{name}:{value}" for name, value in headers.items()),
            "",
            names,
            request.body_hash,
        )
    )
    to_sign = "\n".join((ALGORITHM, timestamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = _signing_key(credentials.secret_key, (timestamp[:8], region, service, "aws4_request"))
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"{credentials.access_key}/{scope}"
    added["Authorization"] = f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return added


def _canonical_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return names in lower case, sorted, with values whose runs of blanks are one space."""
    found = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    return {name: found[name] for name in sorted(found) if name not in _UNSIGNED}


def _canonical_path(path: str) -> str:
    """Return a path without dot segments and empty segments, encoded once more than it is sent."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    end = "/" if segments and path.endswith("/") else ""
    return quote(f"/{'/'.join(segments)}{end}", safe="/~")


def canonical_query(query: str) -> str:
    """Return a query string with each name and value encoded in the one way that AWS accepts, sorted."""
    return "&".join(f"{name}={value}" for name, value in sorted(encoded_pairs(query)))


def encoded_pairs(query: str) -> list[tuple[str, str]]:
    """Return the names and values of a query string, encoded in the one way that AWS accepts, in their order.

    A plus sign is a space, as for Go's net/url, by which AWS's session-manager-plugin signs.
    """
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return [(_encoded(name), _encoded(value)) for name, _, value in pairs]


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe=_UNRESERVED)


def _signing_key(secret: str, parts: Iterable[str]) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in parts:
        key = hmac.digest(key, part.encode(), "sha256")
    return key
