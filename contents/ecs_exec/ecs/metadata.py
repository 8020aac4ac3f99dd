"""Asks the metadata service of a container or an instance for credentials. Each request is one attempt.

A source that fails says nothing here: botocore then asks again, tries longer, and has the error for each failure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from ecs_exec.ecs.client import NotPlain
from ecs_exec.ecs.http_client import Host, HttpClient, NoAnswer, host_of
from ecs_exec.record import NamedTuple

_VISIBLE = r"[!-~]+"

_OF_CONTAINER = "169.254.170.2"
_CONTAINER_HOSTS = frozenset({_OF_CONTAINER, "169.254.170.23", "fd00:ec2::23", "localhost", "127.0.0.1"})
"""Hosts that may give credentials without TLS. botocore takes all loopback addresses; others are left to it."""

_OF_INSTANCE = "http://169.254.169.254"

_LIFE = "21600"
"""Seconds for which EC2's metadata service takes a session token."""

_ROLES = "/latest/meta-data/iam/security-credentials/"
_OK = 200
_NO_SESSIONS = frozenset((403, 404, 405))
"""HTTP statuses of a service that knows no sessions."""


class MetadataSource(NamedTuple):
    """A service that gives credentials to a container or an instance."""

    host: Host
    path: str
    of_container: bool
    token: str = ""
    """Value of the header Authorization, for a container."""
    token_file: str = ""
    """File with that value; read for each request, because it changes."""

    def __repr__(self) -> str:
        """Show no secret."""
        return f"MetadataSource({self.host})"


def find_source(environ: Mapping[str, str]) -> MetadataSource | None:
    """Return the service that gives credentials; None if there are other sources, which come first."""
    if "AWS_ACCESS_KEY_ID" in environ or "AWS_SECRET_ACCESS_KEY" in environ or "AWS_SESSION_TOKEN" in environ:
        return None
    relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    full = f"http://{_OF_CONTAINER}{relative}" if relative else environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    url = full or environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _OF_INSTANCE
    try:
        parts, host = urlsplit(url), host_of(url)
    except (KeyError, ValueError):
        return None
    odd = parts.scheme != "http" or parts.fragment or "@" in parts.netloc or not re.fullmatch(_VISIBLE, url)
    if odd or (full and host.name not in _CONTAINER_HOSTS):
        return None
    token, token_file = (environ.get(f"AWS_CONTAINER_AUTHORIZATION_TOKEN{end}", "") for end in ("", "_FILE"))
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return MetadataSource(host, path or "/", bool(full), token, token_file)


def ask(source: MetadataSource, http: HttpClient) -> bytes:
    """Return the credentials as the service's JSON. Raises NotPlain, OSError or ValueError."""
    return _ask_container(source, http) if source.of_container else _ask_instance(source, http)


def _ask_container(source: MetadataSource, http: HttpClient) -> bytes:
    token = source.token
    if source.token_file:
        with open(source.token_file, encoding="ascii") as file:
            token = file.read()
    return _get(source, http, source.path, {"Authorization": token} if token else {})


def _ask_instance(source: MetadataSource, http: HttpClient) -> bytes:
    path = source.path.rstrip("/")
    token = _session(source, http, path)
    role = _get(source, http, path + _ROLES, token).decode("ascii")
    return _get(source, http, path + _ROLES + role, token)


def _session(source: MetadataSource, http: HttpClient, path: str) -> Mapping[str, str]:
    """Return the header of a session, empty if the service gives none, as botocore does.

    Such a service may still answer in its first version. The answer with a session does not reach a container if the
    instance's hop limit is 1.
    """
    asked = {"Host": source.host.header, "x-aws-ec2-metadata-token-ttl-seconds": _LIFE, "Content-Length": "0"}
    try:
        answer = http.ask(source.host, "PUT", f"{path}/latest/api/token", asked)
    except NoAnswer:
        return {}
    if answer.status == _OK:
        return {"x-aws-ec2-metadata-token": answer.body.decode("ascii")}
    if answer.status in _NO_SESSIONS:
        return {}
    raise NotPlain


def _get(source: MetadataSource, http: HttpClient, path: str, headers: Mapping[str, str]) -> bytes:
    """Return the body of a good answer. Raises NotPlain for any other, OSError, and ValueError for what is no text."""
    if not all(text.isprintable() and text.isascii() and " " not in text for text in (path, *headers.values())):
        raise NotPlain
    answer = http.ask(source.host, "GET", path, {"Host": source.host.header, "Accept": "application/json", **headers})
    if answer.status != _OK or not answer.body:
        raise NotPlain
    return answer.body
