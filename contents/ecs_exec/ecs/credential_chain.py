"""Searches botocore's sources of credentials in a limited time, without asking anybody, and names the one that failed.

botocore itself asks for MFA codes, waits as long as a program or a service lets it, and reports a failure as if the
call that needed credentials had failed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from ecs_exec.ecs.limit import Within, no_limit
from ecs_exec.errors import AwsError

_EARLIER = 0.3
"""Seconds by which a program must end before the time of all sources is over."""


class MfaRequired(Exception):
    """A source of credentials asks for an MFA code, which only a person has."""


class Chain:
    """The sources of credentials of one session. Its owner calls it under a lock."""

    def __init__(
        self,
        session: Any,  # noqa: ANN401 - botocore's
        seconds: float,
        within: Within,
        follow: Callable[[Any], Any] | None = None,
    ) -> None:
        """Take botocore's session, and the seconds that all sources have together from now on.

        `follow` makes the final credentials from those that were found, for example by assuming a role.
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
        """The source that was tried last, by botocore's name."""

    def prepare(self) -> None:
        """Find credentials; further calls do nothing. Raises AwsError, and what botocore raises."""
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
        """Renew credentials that are about to expire. Raises as `prepare` does."""
        self._session._credentials.get_frozen_credentials()  # noqa: SLF001 - botocore has no other way to look

    @property
    def source(self) -> str:
        """The source that was tried last, in words for the operator."""
        from ecs_exec.errors.causes.credentials import source

        return source(self.method, self._session.get_config_variable("profile") or "")

    def _find(self) -> None:
        found = self._found or self._session._credentials or self._load()  # noqa: SLF001
        if found is None:
            from ecs_exec.errors.causes.credentials import of_metadata

            raise AwsError(name=of_metadata(self._metadata.seen))
        found.get_frozen_credentials()  # credentials that renew themselves make their first call here
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
        """Make the sources refuse to ask for codes, and start programs only in the plugin's way."""
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
        from ecs_exec.ecs.credential_process import starter

        provider._popen = starter(self._left)  # noqa: SLF001
        return provider

    def _left(self) -> float:
        """Return the seconds for a program. Each later renewal has the whole time.

        It is a little less than the time left, so that the error names the program and not only the time.
        """
        return self._seconds if self._ready else max(0.1, self._until - time.monotonic() - _EARLIER)


class _Exchanges:
    """Records the requests to EC2's metadata service and their results: they show why it gave no credentials."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def watch(self, fetcher: Any) -> None:  # noqa: ANN401
        self._send = fetcher._session.send  # noqa: SLF001
        fetcher._session = self  # noqa: SLF001

    def send(self, request: Any) -> Any:  # noqa: ANN401
        """Send a request in place of the fetcher's session, and record its method and its status or error."""
        try:
            response = self._send(request)
        except Exception as error:
            self.seen.append((request.method, type(error).__name__))
            raise
        self.seen.append((request.method, str(response.status_code)))
        return response


def _refuse_to_ask(_prompt: str) -> str:
    raise MfaRequired
