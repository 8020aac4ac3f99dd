"""Parses hosts and ports of settings and URLs. Does no I/O."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ecs_exec.record import NamedTuple

_SECURE = {"https": True, "wss": True, "http": False, "ws": False}
_FORM = "expected a host like vpce-1a2b.ssmmessages.eu-west-1.vpce.amazonaws.com, or https://host:port"


class Endpoint(NamedTuple):
    """The host to connect to instead of a URL's."""

    host: str
    port: int | None = None
    """None: the scheme's default port."""
    secure: bool | None = None
    """Whether to use TLS; None: as the URL says."""


def parse_endpoint(text: str) -> Endpoint:
    """Parse `host`, `host:port` or the URL of a host. Raises ValueError for anything else."""
    scheme, separator, place = text.rpartition("://")
    if separator and scheme.lower() not in _SECURE:
        raise ValueError(_FORM)
    host, port = host_and_port(place.removesuffix("/"))
    return Endpoint(host, port, _SECURE.get(scheme.lower()))


def host_and_port(place: str) -> tuple[str, int | None]:
    """Parse `host` or `host:port`, with an IPv6 address in brackets. Raises ValueError for anything else."""
    if set(place) & set("/?#@\\") or not place.isprintable():
        raise ValueError(_FORM)
    parts = urlsplit(f"//{place}")
    host, port = parts.hostname or "", parts.port
    if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host) or port == 0:
        raise ValueError(_FORM)
    return host, port
