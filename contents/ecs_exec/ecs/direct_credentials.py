"""Credentials of the plain sources: keys, the metadata service of a container or an instance, a role.

A source that fails says nothing here: the caller asks botocore, which tries longer and has the error for each failure.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, NamedTuple

from ecs_exec.ecs.client import NotPlain
from ecs_exec.ecs.direct_settings import MetadataSource, Plan
from ecs_exec.ecs.http_client import HttpClient
from ecs_exec.signing import Credentials

_EARLIER = 900.0
"""Seconds before the end of credentials at which they are renewed, as botocore does."""

_LIFE = "21600"
"""Seconds for which EC2's metadata service takes a session token."""

_ROLES = "/latest/meta-data/iam/security-credentials/"
_OK = 200


class Temporary(NamedTuple):
    """Credentials, and when they end, in seconds since 1970; None: never."""

    credentials: Credentials
    ends: float | None

    def __repr__(self) -> str:
        """Show no secret."""
        return "Temporary(...)"


class Source:
    """Gets credentials when they are first needed, and again before they end."""

    def __init__(self, fetch: Callable[[], Temporary]) -> None:
        """Take what fetches them; it may raise NotPlain or AwsError."""
        self._fetch = fetch
        self._found: Temporary | None = None
        self._lock = Lock()

    def current(self) -> Credentials:
        """Return the credentials. A renewal that fails counts only when those at hand have ended."""
        with self._lock:
            if self._found is None or _left(self._found) < _EARLIER:
                try:
                    self._found = self._fetch()
                except Exception:
                    if self._found is None or _left(self._found) <= 0:
                        raise
            return self._found.credentials


def _left(found: Temporary) -> float:
    return float("inf") if found.ends is None else found.ends - time.time()


def of_plan(plan: Plan, http: HttpClient, assume: Callable[[Credentials], Temporary]) -> Source:
    """Return the source that a plan names. `assume` assumes the role with other credentials."""
    keys, metadata = plan.keys, plan.metadata
    if keys is not None:
        base = Source(lambda: Temporary(keys, None))
    elif metadata is not None:
        base = Source(lambda: _of_metadata(metadata, http))
    else:
        raise NotPlain
    return Source(lambda: assume(base.current())) if plan.role else base


def _of_metadata(source: MetadataSource, http: HttpClient) -> Temporary:
    """Ask a metadata service. Raises NotPlain for every failure."""
    try:
        body = _ask_container(source, http) if source.of_container else _ask_instance(source, http)
        return temporary(json.loads(body))
    except (AttributeError, KeyError, OSError, TypeError, ValueError, RecursionError) as error:
        raise NotPlain from error


def _ask_container(source: MetadataSource, http: HttpClient) -> bytes:
    token = source.token
    if source.token_file:
        with open(source.token_file, encoding="ascii") as file:
            token = file.read()
    return _get(source, http, source.path, {"Authorization": token} if token else {})


def _ask_instance(source: MetadataSource, http: HttpClient) -> bytes:
    path = source.path.rstrip("/")
    asked = {"Host": source.host.header, "x-aws-ec2-metadata-token-ttl-seconds": _LIFE, "Content-Length": "0"}
    answer = http.ask(source.host, "PUT", f"{path}/latest/api/token", asked)
    if answer.status != _OK:
        raise NotPlain
    token = {"x-aws-ec2-metadata-token": answer.body.decode("ascii")}
    role = _get(source, http, path + _ROLES, token).decode("ascii")
    return _get(source, http, path + _ROLES + role, token)


def _get(source: MetadataSource, http: HttpClient, path: str, headers: Mapping[str, str]) -> bytes:
    """Return the body of a good answer. Raises NotPlain for any other, OSError, and ValueError for what is no text."""
    if not all(text.isprintable() and text.isascii() and " " not in text for text in (path, *headers.values())):
        raise NotPlain
    answer = http.ask(source.host, "GET", path, {"Host": source.host.header, "Accept": "application/json", **headers})
    if answer.status != _OK or not answer.body:
        raise NotPlain
    return answer.body


def temporary(found: Mapping[str, Any]) -> Temporary:
    """Return the credentials of an answer, with the names that all services but STS use.

    Raises KeyError, TypeError or ValueError for an answer of another form, and for credentials that have ended.
    """
    from datetime import datetime  # late: keys of the settings have no end

    texts = [found["AccessKeyId"], found["SecretAccessKey"], found.get("Token") or found["SessionToken"]]
    if not all(isinstance(text, str) and text.isascii() and text.isprintable() and text for text in texts):
        raise TypeError("credentials are texts")
    ends = datetime.fromisoformat(found["Expiration"].replace("Z", "+00:00")).timestamp()
    if ends <= time.time():
        raise ValueError("the credentials have ended")
    return Temporary(Credentials(*texts), ends)
