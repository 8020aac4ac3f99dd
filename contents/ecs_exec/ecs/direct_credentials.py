"""Credentials of the plain sources: keys, a metadata service, a role."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

from ecs_exec.ecs.client import NotPlain
from ecs_exec.ecs.direct_settings import Plan
from ecs_exec.ecs.http_client import HttpClient
from ecs_exec.record import NamedTuple
from ecs_exec.signing import Credentials

if TYPE_CHECKING:
    from ecs_exec.ecs.metadata import MetadataSource

_EARLIER = 900.0
"""Seconds before the end of credentials at which they are renewed, as botocore does."""


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
                except Exception as error:
                    if self._found is None or _left(self._found) <= 0:
                        if isinstance(error, NotPlain):
                            self._fetch = _not_plain
                        raise
            return self._found.credentials


def _not_plain() -> Temporary:
    """Stand for a source that gave none: botocore asks it from then on, so other threads do not wait for it again."""
    raise NotPlain


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
    from ecs_exec.ecs import metadata  # late: keys need no service

    try:
        return temporary(json.loads(metadata.ask(source, http)))
    except (AttributeError, KeyError, OSError, TypeError, ValueError, RecursionError) as error:
        raise NotPlain from error


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
