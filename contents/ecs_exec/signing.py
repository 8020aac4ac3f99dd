"""AWS Signature Version 4 of one HTTP request. Does no I/O: request, credentials and time go in, headers come out.

Source: "Create a signed AWS API request" in AWS's IAM user guide. A property test compares it with botocore's signer.

The caller chooses the headers to sign: it passes only those. The data channel signs Host, X-Amz-Date and
X-Amz-Security-Token, as AWS's session-manager-plugin does. The specification demands no others, and no proxy rewrites
these. The other headers of an upgrade are not signed: Connection and Upgrade hold for one hop only, and a proxy that
inspects TLS opens its own websocket, with its own Sec-WebSocket-Key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote_to_bytes

from ecs_exec.record import NamedTuple

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_BODY = hashlib.sha256(b"").hexdigest()
"""SHA-256 of an empty body, which every GET has."""

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
"""Headers that are never signed, because proxies and tracing change them. botocore excludes the same ones."""

_UNRESERVED = "-_.~"


class Credentials(NamedTuple):
    """A key pair, and the session token of temporary keys, empty for permanent ones."""

    access_key: str
    secret_key: str
    token: str = ""

    def __repr__(self) -> str:
        """Show no secret."""
        return "Credentials(...)"


class Request(NamedTuple):
    """The signed parts of a request."""

    method: str
    path: str
    """As it is sent, without the query string."""
    query: str
    """As it is sent, without the question mark."""
    headers: Mapping[str, str]
    """The headers to sign. Must hold Host, as it is sent."""
    body_hash: str = EMPTY_BODY
    """SHA-256 of the body in lower-case hexadecimal."""


def sign(request: Request, credentials: Credentials, region: str, service: str, timestamp: str) -> dict[str, str]:
    """Return the headers to add to a request, Authorization among them. `timestamp` is UTC, like 20260131T235959Z."""
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
    """Return the headers with names in lower case, sorted, and with runs of blanks in values replaced by one space."""
    found = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    return {name: found[name] for name in sorted(found) if name not in _UNSIGNED}


def _canonical_path(path: str) -> str:
    """Return a path without dot segments and empty segments, percent-encoded once more than it is sent."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    end = "/" if segments and path.endswith("/") else ""
    return quote(f"/{'/'.join(segments)}{end}", safe="/~")


def canonical_query(query: str) -> str:
    """Return a query string sorted, with each name and value encoded in the only way that AWS accepts."""
    return "&".join(f"{name}={value}" for name, value in sorted(encoded_pairs(query)))


def encoded_pairs(query: str) -> list[tuple[str, str]]:
    """Return the names and values of a query string in their order, encoded in the only way that AWS accepts.

    A plus sign means a space, as in Go's net/url, which AWS's session-manager-plugin uses to sign.
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
