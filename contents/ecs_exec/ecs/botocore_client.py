"""Makes AWS's calls with botocore. No other module imports it.

It uses botocore, not boto3, whose import would add a third to the start of every command.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from copy import copy
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar

import botocore.exceptions as failures
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.httpsession import get_cert_path
from botocore.parsers import ResponseParserError
from botocore.session import Session as BotocoreSession

from ecs_exec.ecs import answers
from ecs_exec.ecs.client import CONNECT_SECONDS, NO_AWS_ANSWER, READ_SECONDS, ROLE_SESSION_NAME, NotMade, Refused
from ecs_exec.ecs.credential_chain import Chain, MfaRequired
from ecs_exec.ecs.failures import SHOWN, not_made, refused, translated
from ecs_exec.ecs.limit import Within
from ecs_exec.errors import AwsError
from ecs_exec.settings import Access
from ecs_exec.signing import Credentials
from ecs_exec.text import one_line

T = TypeVar("T")


class BotocoreClient:
    """See `Client`. It takes every setting and every source of credentials that botocore has."""

    def __init__(self, access: Access, *, patience: float, within: Within, connections: int, raw: bool) -> None:
        """Prepare a session; no call is made. The arguments are those of `Aws`.

        Raises AwsError if the AWS configuration cannot be used.
        """
        self._access = access
        self._clients: dict[str, Any] = {}
        self._making = Lock()
        self._config = Config(
            connect_timeout=min(CONNECT_SECONDS, patience),
            read_timeout=min(READ_SECONDS, patience),
            max_pool_connections=connections,
            retries={"total_max_attempts": 1},
            user_agent_extra=ROLE_SESSION_NAME,
        )
        self._session = self._configured()
        # For the clients that botocore itself makes, to assume a role or to renew a login.
        self._session.set_default_client_config(self._config)
        if access.access_key_id:
            keys = (access.access_key_id, access.secret_access_key, access.session_token or None)
            self._session.set_credentials(*keys)
        self._chain = Chain(self._session, patience, within, self._assumed_role if access.assume_role_arn else None)
        self._session.register("before-parse", answers.check)
        if raw:
            self._session.register("before-parse.ecs.DescribeTasks", _take_json)

    def in_region(self, region: str) -> BotocoreClient:
        """Return a client for another region, which shares the credentials."""
        other = copy(self)
        other.__dict__.update(_access=self._access._replace(region=region), _clients={})
        other.__dict__.pop("region", None)
        return other

    def prepare(self) -> None:
        """Find the credentials now, so that later calls do not wait for them. Raises AwsError."""
        with self._making:
            self._of_source(self._chain.prepare)

    @cached_property
    def region(self) -> str:
        """The region in use. Raises AwsError if there is none."""
        return str(self._client_of("ecs").meta.region_name)

    def endpoint_url(self, service: str) -> str:
        """Return the URL at which a service is called."""
        return str(self._client_of(service).meta.endpoint_url)

    def credentials(self) -> Credentials:
        """Return the current credentials, renewed if necessary. Raises AwsError."""
        self.prepare()
        frozen = self._of_source(lambda: self._session.get_credentials().get_frozen_credentials())
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")

    @cached_property
    def ca_bundle(self) -> str:
        """The file of certificate authorities that all connections trust.

        The choice is botocore's (`botocore.endpoint`, `botocore.httpsession`): ca_bundle of the profile or
        AWS_CA_BUNDLE, then REQUESTS_CA_BUNDLE, then botocore's own bundle, in the zip. botocore expands `~` when it
        connects, so it is expanded here, too.
        """
        named = self._session.get_config_variable("ca_bundle")
        if named is None:
            named = get_cert_path(os.environ.get("REQUESTS_CA_BUNDLE") or True)
        return os.path.expanduser(str(named))

    def call(self, service: str, action: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer of a call, see `Client.call`."""
        client = self._client_of(service)
        method = getattr(client, re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower())
        self._of_source(self._chain.renew)
        answer: Mapping[str, Any] = _call_botocore(lambda: method(**parameters))
        return answer

    def _client_of(self, service: str) -> Any:  # noqa: ANN401 - botocore makes its clients' classes as it goes
        with self._making:  # a botocore session makes one client at a time
            if service not in self._clients:
                # Otherwise botocore itself searches for credentials, and its failures look like those of the client.
                self._of_source(self._chain.prepare)
                self._clients[service] = self._client(service)
            return self._clients[service]

    def _client(self, service: str, **more: Any) -> Any:  # noqa: ANN401
        settings = {"region_name": self._access.region or None, "endpoint_url": self._access.endpoint_url or None}
        create = self._session.create_client
        return _translated(
            f"the client for {service} could not be created",
            lambda: create(service, config=self._config, **(settings | more)),
        )

    def _configured(self) -> BotocoreSession:
        """Make a session with the profile.

        With keys in the settings it needs neither a profile nor a readable file, so it is also tried without them.
        """
        more: tuple[dict[str, Any], ...] = ({}, _NO_PROFILE, _NO_FILES) if self._access.access_key_id else ({},)
        for variables in more:
            session = BotocoreSession(session_vars=variables, profile=self._access.profile or None)
            try:
                session.get_scoped_config()  # fails if the profile does not exist
            except (failures.BotoCoreError, OSError, ValueError) as error:
                fault = _no_credentials(error, "the AWS configuration")
            else:
                return session
        raise fault

    def _assumed_role(self, source: Any) -> DeferredRefreshableCredentials:  # noqa: ANN401
        """Return credentials that assume the role when they are first needed, and again before they expire."""
        extra = {"RoleSessionName": ROLE_SESSION_NAME}
        if self._access.external_id:
            extra["ExternalId"] = self._access.external_id
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=self._client,
            source_credentials=source,
            role_arn=self._access.assume_role_arn,
            extra_args=extra,
        )

        def fetch() -> Any:  # noqa: ANN401 - botocore's mapping of credentials
            where = f"role {self._access.assume_role_arn}"
            return translated(
                "sts:AssumeRole", where, lambda: self._access.region, lambda: _call_botocore(fetcher.fetch_credentials)
            )

        return DeferredRefreshableCredentials(method="assume-role", refresh_using=fetch)

    def _of_source(self, call: Callable[[], T]) -> T:
        """Call something that uses a source of credentials, and translate its failures to AwsError."""
        try:
            return call()
        except failures.ClientError as error:
            action = f"{'sts' if error.operation_name.startswith('Assume') else 'sso'}:{error.operation_name}"
            raise refused(action, self._chain.source, "", _refusal(error)) from error
        except _OF_SOURCES as error:
            raise _no_credentials(error, self._chain.source) from error


_NO_PROFILE: dict[str, Any] = {"profile": (None, None, None, None)}
_NO_FILES = _NO_PROFILE | dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
"""Variables of a session: the first ignores AWS_PROFILE, the second also the files of the AWS configuration."""

_OF_SOURCES = (
    failures.BotoCoreError,
    ResponseParserError,
    AttributeError,
    KeyError,
    MfaRequired,
    NotMade,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Errors that botocore's sources of credentials raise."""


def _no_credentials(error: Exception, source: str) -> AwsError:
    """Return the AwsError for an error of a source of credentials, or of the AWS configuration."""
    from ecs_exec.ecs.credential_process import now
    from ecs_exec.errors.causes import credentials

    elsewhere = (*(kind for kind, _, _ in _FAILURES), NotMade, json.JSONDecodeError)
    if isinstance(error, elsewhere):
        return not_made(f"{source} gave no credentials", "", "", _failure(error))
    if isinstance(error, OSError) and error.filename:
        path, why = str(error.filename), error.strerror or type(error).__name__
        return AwsError(name="credentials-unreadable", source=source, path=path, why=why)
    name = credentials.recognise([kind.__name__ for kind in type(error).__mro__], str(error))
    said = "" if name in {"mfa-required", "credentials-stale"} else _text(error)
    return AwsError(name=name, source=source, said=said, now=now(), **credentials.fields_of(error))


def _take_json(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Keep the JSON of a good answer, and give botocore's parser an empty one: it converts value by value, slowly."""
    if response_dict["status_code"] < 300:  # noqa: PLR2004 - HTTP's successes
        answer = json.loads(response_dict["body"])
        if not isinstance(answer, dict):
            raise ResponseParserError("its answer is not a JSON object")
        customized_response_dict |= answer
        response_dict["body"] = b"{}"


def _call_botocore(call: Callable[[], T]) -> T:
    """Make a call, and translate each of botocore's errors to Refused or NotMade."""
    try:
        return call()
    except failures.ClientError as error:
        raise _refusal(error) from error
    except (failures.BotoCoreError, ResponseParserError, OSError, ValueError) as error:
        raise _failure(error) from error
    except (AttributeError, KeyError, RecursionError, TypeError) as error:
        # botocore's parsers raise these for values of another type, and for lists nested very deep.
        raise NotMade("not-aws", NO_AWS_ANSWER) from error


def _translated(what: str, make: Callable[[], T]) -> T:
    """Run a step that makes no call of its own, and translate botocore's errors to AwsError."""
    try:
        return make()
    except (failures.BotoCoreError, failures.ClientError, OSError, ValueError) as error:
        raise not_made(what, "", "", _failure(error)) from error


def _refusal(error: failures.ClientError) -> Refused:
    detail = error.response.get("Error", {})
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return Refused(str(detail.get("Code", "")), str(detail.get("Message", "")), status)


_FAILURES: tuple[tuple[type[Exception], str, bool], ...] = (
    (failures.NoCredentialsError, "credentials-missing", False),
    (failures.NoRegionError, "region-missing", False),
    (failures.ProxyConnectionError, "proxy-unreachable", True),
    (failures.SSLError, "certificate-untrusted", False),
    (failures.HTTPClientError, "aws-unreachable", True),
    (failures.ConnectionError, "aws-unreachable", True),
)
"""By botocore's error, of which the first match counts: the cause, and whether a retry may help."""

_OURS = (failures.NoCredentialsError, failures.NoRegionError)
"""Errors whose text says nothing more than the cause."""


def _failure(error: Exception) -> NotMade:
    """Return the neutral error for an error that is not AWS's answer."""
    if isinstance(error, NotMade):
        return error
    if isinstance(error, (ResponseParserError, json.JSONDecodeError)):  # not quoted: their texts hold the answer
        return NotMade("not-aws", NO_AWS_ANSWER)
    for kind, name, transient in _FAILURES:
        if isinstance(error, kind):
            return NotMade(name, "" if isinstance(error, _OURS) else _text(error), transient=transient)
    return NotMade("call-not-made", _text(error))


def _text(error: Exception) -> str:
    return one_line(str(error) or type(error).__name__, SHOWN)
