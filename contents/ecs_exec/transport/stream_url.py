"""Parses the URL of a session's data channel: where to connect, and which parts to send. Does no I/O."""

from __future__ import annotations

import re
import time
from urllib.parse import quote

from ecs_exec.endpoint import Endpoint, host_and_port
from ecs_exec.errors import CannotOpenChannel
from ecs_exec.record import NamedTuple
from ecs_exec.signing import encoded_pairs

_URL = re.compile(r"(wss?)://([^/?#@]+)([^?#]*)(\?[^#]*)?", re.IGNORECASE)
_SENT_AS_IT_IS = "/%:@!$&'()*+,;=-._~"
"""Characters that the path of a request may hold (RFC 3986, section 3.3), and the percent sign of encoded ones."""

_SIGNED_BY = frozenset(
    {
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
    }
)
"""A URL with any of these parameters is presigned. AWS's session-manager-plugin decides the same (`IsPresignedURL`)."""

_PORTS = {"ws": 80, "wss": 443}


class StreamUrl(NamedTuple):
    """The parts of a stream URL. A presigned one is a secret, so it is never shown whole."""

    secure: bool
    host: str
    """The host to connect to; TLS checks the certificate against it."""
    port: int
    host_header: str
    """Value of the header Host, which is signed."""
    path: str
    query: str
    """With its question mark; empty if there is none."""
    presigned: bool

    def __repr__(self) -> str:
        """Return host and port, without the signature."""
        return f"StreamUrl({self.host}:{self.port})"

    @property
    def expires(self) -> float | None:
        """When a presigned URL expires, in seconds since 1970; None if it does not say."""
        from calendar import timegm  # late: few URLs are presigned

        values = dict(encoded_pairs(self.query[1:]))
        try:
            signed = timegm(time.strptime(values["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
            return signed + int(values["X-Amz-Expires"])
        except (KeyError, ValueError):
            return None

    def at(self, endpoint: Endpoint) -> StreamUrl:
        """Return the same channel at another host.

        A presigned URL keeps its Host, because its signature covers it. An interface endpoint accepts the public name.
        """
        secure = self.secure if endpoint.secure is None else endpoint.secure
        port = endpoint.port or _PORTS["wss" if secure else "ws"]
        header = self.host_header if self.presigned else _host_header(endpoint.host, port, secure=secure)
        return self._replace(secure=secure, host=endpoint.host, port=port, host_header=header)


def parse(url: str) -> StreamUrl:
    """Parse a stream URL. Raises CannotOpenChannel if it is not one.

    A presigned URL is kept byte for byte, because each byte is signed. In any other the query string is encoded in the
    canonical way, at which every verifier of signatures arrives.
    """
    found = _URL.fullmatch(url)
    # Control characters would end the request line, and could add headers.
    if found is None or any(char < " " or char == "\x7f" for char in url):
        raise _unusable()
    scheme, path, query = found[1].lower(), found[3], found[4]
    try:
        host, port = host_and_port(found[2])
    except ValueError:
        raise _unusable() from None
    secure, port = scheme == "wss", port or _PORTS[scheme]
    pairs = encoded_pairs(query[1:] if query else "")
    presigned = not _SIGNED_BY.isdisjoint(name for name, _ in pairs)
    if presigned and (" " in url or not url.isascii()):
        raise _unusable()
    if not presigned:
        path = quote(path, safe=_SENT_AS_IT_IS)
        query = f"?{'&'.join(f'{name}={value}' for name, value in pairs)}" if pairs else ""
    return StreamUrl(secure, host, port, _host_header(host, port, secure=secure), path or "/", query or "", presigned)


def moved(url: str, endpoint: Endpoint) -> str:
    """Return a stream URL that leads to another host, for a program that sends the URL's host as Host.

    Raises CannotOpenChannel for a presigned URL: its signature covers the host that it names.
    """
    place = parse(url).at(endpoint)
    if place.presigned:
        raise CannotOpenChannel(
            "the session's stream URL is presigned, and session-manager-plugin cannot open it at ssmmessages-endpoint:"
            " set transport to native",
            name="stream-url-presigned",
        )
    return f"{'wss' if place.secure else 'ws'}://{place.host_header}{place.path}{place.query}"


def _unusable() -> CannotOpenChannel:
    """Return an error that does not quote the URL: a presigned one is a secret."""
    return CannotOpenChannel("the session's stream URL is not a websocket URL", name="not-aws")


def _host_header(host: str, port: int, *, secure: bool) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port == _PORTS["wss" if secure else "ws"] else f"{name}:{port}"
