"""Goes through botocore's sources of credentials in a limited time, with nobody to ask, and names what has failed.

By itself botocore asks for MFA codes, waits as long as a program or a service lets it, and reports failures as if the
call that needed credentials had failed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ecs_exec.errors import AwsError

Within = Callable[[float], AbstractContextManager[None]]
"""Ends what is done in it after so many seconds, quietly."""


_EARLIER = 0.3


def no_limit(_seconds: float) -> AbstractContextManager[None]:
    """Limit nothing: for threads, whose main thread keeps the time."""
    return nullcontext()


class MfaRequired(Exception):
    """A code is asked for that only a person has."""


class Chain:
    """The sources of one session; used under its owner's lock."""

    def __init__(
        self,
        session: Any,  # noqa: ANN401 - botocore's
        seconds: float,
        within: Within,
        follow: Callable[[Any], Any] | None = None,
    ) -> None:
        """Take botocore's session, and the time that all sources have together from now on.

        `follow` makes the credentials to use out of those that are found, as where a role is assumed with them.
        """
        self._session = session
        self._seconds = seconds
        self._within = within
        self._follow = follow
        self._until = time.monotonic() + seconds
        self._metadata = _Exchanges()
        self._found: Any = None
        self._ready = False
        self.method = ""
        """The source that was looked at last, as botocore calls it."""

    def prepare(self) -> None:
        """Find credentials and have them at hand, once. Raises AwsError, and what botocore raises."""
        if self._ready:
            return
        done = False
        in_main = threading.current_thread() is threading.main_thread()
        with (self._within if in_main else no_limit)(max(0.1, self._until - time.monotonic())):
            self._find()
            done = True
        if not done:
            raise AwsError(name="credentials-late", source=self.source, seconds=f"{self._seconds:.0f}")
        self._ready = True

    def renew(self) -> None:
        """Let credentials that are about to expire renew themselves. Raises as `prepare` does."""
        self._session._credentials.get_frozen_credentials()  # noqa: SLF001 - botocore has no other way to look

    @property
    def source(self) -> str:
        """Name the source that was looked at last."""
        from ecs_exec.causes.credentials import source

        return source(self.method, self._session.get_config_variable("profile") or "")

    def _find(self) -> None:
        found = self._found or self._session._credentials or self._load()  # noqa: SLF001
        if found is None:
            from ecs_exec.causes.credentials import of_metadata

            raise AwsError(name=of_metadata(self._metadata.seen))
        found.get_frozen_credentials()  # what renews itself is asked for the first time here
        self._found = found
        if self._follow is not None:
            found = self._follow(found)
            found.get_frozen_credentials()
        self._session._credentials = found  # noqa: SLF001

    def _load(self) -> Any:  # noqa: ANN401
        providers = self._session.get_component("credential_provider").providers
        self._instruct(providers)
        for provider in providers:
            self.method = provider.METHOD
            if (found := provider.load()) is not None:
                return found
        return None

    def _instruct(self, providers: Iterable[Any]) -> None:
        """Let no source ask anybody or start a program in its own way."""
        for provider in providers:
            if provider.METHOD == "assume-role":
                provider._prompter = _refuse_to_ask  # noqa: SLF001
                builder = provider._profile_provider_builder  # noqa: SLF001
                builder._create_process_provider = self._starting(builder._create_process_provider)  # noqa: SLF001
            elif provider.METHOD == "custom-process":
                self._let_start(provider)
            elif provider.METHOD == "iam-role":
                self._metadata.watch(provider._role_fetcher)  # noqa: SLF001

    def _starting(self, create: Callable[[str], Any]) -> Callable[[str], Any]:
        return lambda profile: self._let_start(create(profile))

    def _let_start(self, provider: Any) -> Any:  # noqa: ANN401
        from ecs_exec.credential_process import starter

        provider._popen = starter(self._left)  # noqa: SLF001
        return provider

    def _left(self) -> float:
        """Return the seconds for a program; once credentials are there, each renewal has the whole time.

        A little less than there is, so that its failure is told by its name.
        """
        return self._seconds if self._ready else max(0.1, self._until - time.monotonic() - _EARLIER)


class _Exchanges:
    """What was asked of EC2's metadata service, and what came of it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def watch(self, fetcher: Any) -> None:  # noqa: ANN401
        self._send = fetcher._session.send  # noqa: SLF001
        fetcher._session = self  # noqa: SLF001

    def send(self, request: Any) -> Any:  # noqa: ANN401
        """Stand in for the fetcher's session."""
        try:
            response = self._send(request)
        except Exception as error:
            self.seen.append((request.method, type(error).__name__))
            raise
        self.seen.append((request.method, str(response.status_code)))
        return response


def _refuse_to_ask(_prompt: str) -> str:
    raise MfaRequired
