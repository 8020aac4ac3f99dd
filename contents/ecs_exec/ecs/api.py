"""Makes AWS calls, and translates botocore's errors. No other module imports botocore.

It uses botocore, not boto3, whose import would add a third to the start of every command. Each call is one attempt. The
caller decides about retries, because only the caller knows what must not happen twice.
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
from ecs_exec.ecs.credential_chain import Chain, MfaRequired, Within, no_limit
from ecs_exec.errors import AwsError
from ecs_exec.settings import Access
from ecs_exec.signing import Credentials
from ecs_exec.task_description import short
from ecs_exec.text import one_line

T = TypeVar("T")
_CONNECT_SECONDS = 10
_READ_SECONDS = 30
_PAGE = 100
"""Tasks in one ListTasks or DescribeTasks, the API's limit."""

ROLE_SESSION_NAME = "rundeck-ecs-exec"

_TRANSIENT = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServerException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "TargetNotConnectedException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)

_CAUSES = {
    "ClusterNotFoundException": "cluster-unknown",
    "ExpiredToken": "credentials-expired",
    "ExpiredTokenException": "credentials-expired",
    "IncompleteSignature": "credentials-invalid",
    "InvalidClientTokenId": "credentials-invalid",
    "InvalidSignatureException": "credentials-invalid",
    "SignatureDoesNotMatch": "credentials-invalid",
    "UnrecognizedClientException": "credentials-invalid",
    "DisabledException": "cluster-key-unusable",
    "NotFoundException": "cluster-key-unusable",
    "ThrottlingException": "too-many-calls",
    "ServerException": "aws-failed",
    "ServiceNotFoundException": "service-unknown",
}
"""Name of the cause by AWS's error code."""
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


class Aws:
    """Makes the plugin's calls, with the credentials, the region and the endpoints of its settings."""

    def __init__(
        self,
        access: Access,
        *,
        patience: float = _READ_SECONDS,
        within: Within = no_limit,
        connections: int = 1,
        raw: bool = False,
    ) -> None:
        """Prepare a session; no call is made.

        `patience` is the timeout of a call, in seconds. It is also the time for all sources of credentials together;
        `within` enforces that. `connections` is the number of calls at a time. With `raw`, tasks come as AWS's JSON has
        them: reading 100 of them takes a tenth of the time. Raises AwsError if the AWS configuration cannot be used.
        """
        self._access = access
        self._clients: dict[str, Any] = {}
        self._making = Lock()
        self._config = Config(
            connect_timeout=min(_CONNECT_SECONDS, patience),
            read_timeout=min(_READ_SECONDS, patience),
            max_pool_connections=connections,
            retries={"total_max_attempts": 1},
            user_agent_extra="rundeck-ecs-exec",
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

    def in_region(self, region: str) -> Aws:
        """Return an object for another region. It shares the credentials, so a role is assumed once."""
        other = copy(self)
        other.__dict__.update(_access=self._access._replace(region=region), _clients={})
        other.__dict__.pop("region", None)
        return other

    def prepare(self) -> None:
        """Find the credentials now, so that later calls do not wait for them. Raises AwsError."""
        with self._making:
            self._of_source(self._chain.prepare)

    # --- Answers without a call

    @cached_property
    def region(self) -> str:
        """The region in use. Raises AwsError if there is none."""
        return str(self._client_of("ecs").meta.region_name)

    @property
    def is_plain(self) -> bool:
        """Whether ECS is called by HTTP, without TLS, as a local emulator is."""
        return str(self._client_of("ecs").meta.endpoint_url).lower().startswith("http://")

    @property
    def ssm_endpoint(self) -> str:
        """The URL at which ssm:ResumeSession and ssm:TerminateSession are called."""
        return str(self._client_of("ssm").meta.endpoint_url)

    def credentials(self) -> Credentials:
        """Return the current credentials, renewed if necessary. Raises AwsError."""
        self.prepare()
        frozen = self._of_source(lambda: self._session.get_credentials().get_frozen_credentials())
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")

    def credentials_environment(self) -> dict[str, str]:
        """Return the current credentials as environment variables for a child process. Raises AwsError."""
        now = self.credentials()
        found = {"AWS_ACCESS_KEY_ID": now.access_key, "AWS_SECRET_ACCESS_KEY": now.secret_key}
        return found | ({"AWS_SESSION_TOKEN": now.token} if now.token else {})

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

    # --- Calls; each raises AwsError

    def execute_command(self, cluster: str, task: str, container: str, command: str) -> Mapping[str, Any]:
        """Return the answer of ecs:ExecuteCommand."""
        where = f"container {container} of task {short(task)} in cluster {short(cluster)}"
        parameters = {"cluster": cluster, "task": task, "container": container, "command": command}
        return self._call("ecs", "ExecuteCommand", where, **parameters, interactive=True)

    def describe_tasks(self, cluster: str, tasks: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the descriptions of the tasks that exist, and AWS's failures for the others. Takes any number."""
        found: list[dict[str, Any]] = []
        missing: list[dict[str, Any]] = []
        for start in range(0, len(tasks), _PAGE):
            some = tasks[start : start + _PAGE]
            what = f"task {short(some[0])}" if len(tasks) == 1 else f"{len(tasks)} tasks"
            where = f"{what} in cluster {short(cluster)}"
            answer = self._call("ecs", "DescribeTasks", where, cluster=cluster, tasks=some)
            found += _described(answer, "tasks", "ecs:DescribeTasks")
            missing += _described(answer, "failures", "ecs:DescribeTasks")
        return found, missing

    def list_clusters(self, token: str) -> tuple[list[str], str]:
        """Return the ARNs of a page of clusters, and the token of the next page, empty if it is the last."""
        return self._page("ListClusters", "clusterArns", f"all clusters{self._role}", token)

    def list_tasks(self, cluster: str, token: str, list_filters: Mapping[str, str]) -> tuple[list[str], str]:
        """Return the ARNs of a page of tasks whose desired status is RUNNING, and the token of the next page.

        The token is empty if the page is the last. `list_filters` may hold `serviceName` or `family`.
        """
        return self._task_page(f"cluster {short(cluster)}{self._role}", token, cluster=cluster, **list_filters)

    def describe_raw(self, cluster: str, tasks: list[str]) -> tuple[list[Any], list[Any]]:
        """Return up to 100 tasks with their tags, as AWS's JSON has them, and AWS's failures for the others."""
        where = f"tasks in cluster {short(cluster)}{self._role}"
        answer = self._call("ecs", "DescribeTasks", where, cluster=cluster, tasks=tasks, include=["TAGS"])
        return list_field(answer, "tasks", "ecs:DescribeTasks"), answer.get("failures", [])

    @property
    def _role(self) -> str:
        role = self._access.assume_role_arn
        return f" with role {role}" if role else ""

    def list_running_tasks(self, cluster: str, *, service: str = "", family: str = "") -> list[str]:
        """Return the ARNs of the tasks of a service or a family whose desired status is RUNNING."""
        wanted = {"serviceName": service} if service else {"family": family}
        where = f"{'service' if service else 'family'} {short(service or family)} in cluster {short(cluster)}"
        return whole_list(
            "ecs:ListTasks", where, lambda token: self._task_page(where, token, cluster=cluster, **wanted)
        )

    def describe_task_definition(self, arn: str) -> dict[str, Any]:
        """Return the description of a task definition, checked."""
        answer = self._call("ecs", "DescribeTaskDefinition", f"task definition {short(arn)}", taskDefinition=arn)
        definitions = {"containerDefinitions": [answer.get("taskDefinition") or {}]}
        return _described(definitions, "containerDefinitions", "ecs:DescribeTaskDefinition")[0]

    def resume_session(self, session_id: str) -> tuple[str, str]:
        """Return a new token for a session's data channel, and its stream URL; both empty if the session is over."""
        answer = self._call("ssm", "ResumeSession", f"session {session_id}", SessionId=session_id)
        return str(answer.get("TokenValue") or ""), str(answer.get("StreamUrl") or "")

    def terminate_session(self, session_id: str) -> None:
        """Call ssm:TerminateSession, which ends a session."""
        self._call("ssm", "TerminateSession", f"session {session_id}", SessionId=session_id)

    def generate_data_key(self, key_id: str, context: Mapping[str, str]) -> tuple[bytes, bytes]:
        """Return a new data key of 64 bytes, plain and encrypted."""
        answer = self._call(
            "kms", "GenerateDataKey", f"key {short(key_id)}", KeyId=key_id, NumberOfBytes=64, EncryptionContext=context
        )
        plain, encrypted = answer.get("Plaintext"), answer.get("CiphertextBlob")
        if not isinstance(plain, bytes) or not isinstance(encrypted, bytes):
            raise AwsError(name="not-aws", said="the answer of kms:GenerateDataKey contains no key")
        return plain, encrypted

    def call(self, service: str, action: str, where: str, **parameters: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """Make any other call. `service` and `action` are as IAM writes them; `where` names its subject for errors."""
        return self._call(service, action, where, **parameters)

    # --- Clients, credentials and pages

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
            return _call_botocore("sts:AssumeRole", where, self._access.region, fetcher.fetch_credentials)

        return DeferredRefreshableCredentials(method="assume-role", refresh_using=fetch)

    def _of_source(self, call: Callable[[], T]) -> T:
        """Call something that uses a source of credentials, and translate its failures to AwsError."""
        try:
            return call()
        except failures.ClientError as error:
            action = f"{'sts' if error.operation_name.startswith('Assume') else 'sso'}:{error.operation_name}"
            raise _refused(action, self._chain.source, "", error) from error
        except _OF_SOURCES as error:
            raise _no_credentials(error, self._chain.source) from error

    def _task_page(self, where: str, token: str, **parameters: Any) -> tuple[list[str], str]:  # noqa: ANN401
        return self._page("ListTasks", "taskArns", where, token, **parameters, desiredStatus="RUNNING")

    def _page(self, action: str, field: str, where: str, token: str, **parameters: Any) -> tuple[list[str], str]:  # noqa: ANN401
        """Return a page of a list of ECS, and the token of the next page, empty if it is the last."""
        more = {"nextToken": token} if token else {}
        answer = self._call("ecs", action, where, **parameters, maxResults=_PAGE, **more)
        return list_field(answer, field, f"ecs:{action}"), str(answer.get("nextToken") or "")

    def _call(self, service: str, action: str, where: str, **parameters: Any) -> Mapping[str, Any]:  # noqa: ANN401
        client = self._client_of(service)
        method = getattr(client, re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower())
        region = str(client.meta.region_name)
        self._of_source(self._chain.renew)
        answer: Mapping[str, Any] = _call_botocore(f"{service}:{action}", where, region, lambda: method(**parameters))
        return answer


_NO_PROFILE: dict[str, Any] = {"profile": (None, None, None, None)}
_NO_FILES = _NO_PROFILE | dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
"""Variables of a session: the first ignores AWS_PROFILE, the second also the files of the AWS configuration."""

_OF_SOURCES = (
    failures.BotoCoreError,
    ResponseParserError,
    AttributeError,
    KeyError,
    MfaRequired,
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

    elsewhere = (*(kind for kind, _, _ in _FAILURES), answers.NotAws, json.JSONDecodeError)
    if isinstance(error, elsewhere):
        return _failed(f"{source} gave no credentials", "", error)
    if isinstance(error, OSError) and error.filename:
        path, why = str(error.filename), error.strerror or type(error).__name__
        return AwsError(name="credentials-unreadable", source=source, path=path, why=why)
    name = credentials.recognise([kind.__name__ for kind in type(error).__mro__], str(error))
    said = "" if name in {"mfa-required", "credentials-stale"} else _text(error)
    return AwsError(name=name, source=source, said=said, now=now(), **credentials.fields_of(error))


_SHOWN = 1000
"""Most characters of AWS's own words in a line."""

MOST_PAGES = 200
"""Most pages of one list. A service has at most 5,000 tasks, which are 50 pages."""


def whole_list(action: str, where: str, page: Callable[[str], tuple[list[T], str]]) -> list[T]:
    """Return all pages of a list of AWS together.

    `page` takes a page's token, empty for the first page, and returns the page and the next token, empty after the
    last page. Raises AwsError if there are more than MOST_PAGES.
    """
    found: list[T] = []
    token = ""
    for _ in range(MOST_PAGES):
        some, token = page(token)
        found += some
        if not token:
            return found
    raise AwsError(name="not-aws", said=f"{action} returned {MOST_PAGES} pages for {where} and still has more")


def _described(answer: Mapping[str, Any], name: str, action: str) -> list[dict[str, Any]]:
    """Return a list of descriptions, empty if there is none. Raises AwsError if their types are not AWS's."""
    from ecs_exec.ecs.descriptions import checked

    try:
        return list(checked({name: answer.get(name)}).get(name, []))
    except ValueError as error:
        said = f"the answer of {action} cannot be read: {one_line(str(error))}"
        raise AwsError(name="not-aws", said=said) from error


def list_field(answer: Mapping[str, Any], name: str, action: str) -> list[Any]:
    """Return a list of an answer. Raises AwsError if there is none: AWS always sends it, even if it is empty.

    botocore reads a proxy's page as an answer without any fields.
    """
    found = answer.get(name)
    if not isinstance(found, list):
        raise AwsError(name="not-aws", said=f"the answer of {action} contains no {name}")
    return found


def _take_json(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Keep the JSON of a good answer, and give botocore's parser an empty one: it converts value by value, slowly."""
    if response_dict["status_code"] < 300:  # noqa: PLR2004 - HTTP's successes
        answer = json.loads(response_dict["body"])
        if not isinstance(answer, dict):
            raise ResponseParserError("its answer is not a JSON object")
        customized_response_dict |= answer
        response_dict["body"] = b"{}"


def _call_botocore(action: str, where: str, region: str, call: Callable[[], T]) -> T:
    """Make a call, and translate each of botocore's errors to AwsError."""
    try:
        return call()
    except failures.ClientError as error:
        raise _refused(action, where, region, error) from error
    except (failures.BotoCoreError, ResponseParserError, OSError, ValueError) as error:
        raise _failed(f"{action} failed", _place(where, region), error) from error
    except (AttributeError, KeyError, RecursionError, TypeError) as error:
        # botocore's parsers raise these for values of another type, and for lists nested very deep.
        effect, place = f"{action} failed", _place(where, region)
        raise AwsError(name="not-aws", where=place, effect=effect, said=_ODD) from error


def _translated(what: str, make: Callable[[], T]) -> T:
    """Run a step that makes no call of its own, and translate botocore's errors to AwsError."""
    try:
        return make()
    except (failures.BotoCoreError, failures.ClientError, OSError, ValueError) as error:
        raise _failed(what, "", error) from error


def _place(where: str, region: str) -> str:
    return f"{where}, {region}" if region else where


def _refused(action: str, where: str, region: str, error: failures.ClientError) -> AwsError:
    detail = error.response.get("Error", {})
    code = str(detail.get("Code", "")) or "unknown error"
    text = one_line(str(detail.get("Message", "")), _SHOWN)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    unknown = "aws-failed" if status >= 500 else "call-failed"  # noqa: PLR2004 - HTTP's server errors
    cause = {"name": _CAUSES.get(code, unknown)} if code not in _DENIED else _denial(action, text)
    return AwsError(
        where=_place(where, region),
        effect=f"{action} failed",
        said=f"{code}: {text}".rstrip(". :"),
        code=code,
        transient=code in _TRANSIENT or status >= 500,  # noqa: PLR2004
        **cause,
    )


def _denial(action: str, text: str) -> dict[str, str]:
    """Return the cause and the action of a denied call; AWS's text names the action.

    It may be one of STS, SSM or KMS that ECS was denied.
    """
    from ecs_exec.errors.causes import denials

    denied = denials.action_of(text, action)
    return {"name": denials.recognise(text, denied), "action": denied}


_ODD = "the answer does not have the form of an answer from AWS"
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


def _failed(what: str, place: str, error: Exception) -> AwsError:
    """Return the AwsError for an error that is not AWS's answer."""
    if isinstance(error, answers.NotAws):
        name = "aws-failed" if error.transient else "not-aws"
        return AwsError(name=name, where=place, effect=what, said=str(error), transient=error.transient)
    if isinstance(error, (ResponseParserError, json.JSONDecodeError)):  # not quoted: their texts hold the answer
        return AwsError(name="not-aws", where=place, effect=what, said=_ODD)
    for kind, name, transient in _FAILURES:
        if isinstance(error, kind):
            said = "" if isinstance(error, _OURS) else _text(error)
            return AwsError(name=name, where=place, effect=what, said=said, transient=transient)
    return AwsError(name="call-not-made", where=place, effect=what, said=_text(error))


def _text(error: Exception) -> str:
    return one_line(str(error) or type(error).__name__, _SHOWN)
