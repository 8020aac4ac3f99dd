"""Makes AWS calls. Each call is one attempt: only the caller knows what must not happen twice, so it alone retries."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache, cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from ecs_exec.ecs.client import READ_SECONDS, Client, NotPlain
from ecs_exec.ecs.failures import translated
from ecs_exec.ecs.limit import Within, no_limit
from ecs_exec.errors import AwsError
from ecs_exec.settings import Access
from ecs_exec.signing import Credentials
from ecs_exec.task_description import short
from ecs_exec.text import one_line

if TYPE_CHECKING:
    from ecs_exec.ecs.botocore_client import BotocoreClient
    from ecs_exec.ecs.direct_client import DirectClient

T = TypeVar("T")
_PAGE = 100
"""Tasks in one ListTasks or DescribeTasks, the API's limit."""


class Aws:
    """Makes the plugin's calls, with the credentials, the region and the endpoints of its settings."""

    def __init__(
        self,
        access: Access,
        *,
        patience: float = READ_SECONDS,
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
        self._making = Lock()
        self._direct = self._direct_client(patience, raw=raw)
        # The clients of all regions are made from one, so that they share its credentials.
        self._first = cache(
            partial(_botocore_client, access, patience=patience, within=within, connections=connections, raw=raw)
        )
        self._botocore: BotocoreClient | None = None
        if self._direct is None:
            self._botocore_client()

    def in_region(self, region: str) -> Aws:
        """Return an object for another region. It shares the credentials, so a role is assumed once."""
        from copy import copy  # late: only node sources read several regions

        other = copy(self)
        direct = self._direct and self._direct.in_region(region)
        botocore = self._botocore and self._botocore.in_region(region)
        access = self._access._replace(region=region)
        other.__dict__.update(_access=access, _direct=direct, _botocore=botocore)
        other.__dict__.pop("region", None)
        return other

    def prepare(self) -> None:
        """Find the credentials now, so that later calls do not wait for them. Raises AwsError."""
        self._use(lambda client: client.prepare())

    # --- The two clients

    def _direct_client(self, patience: float, *, raw: bool) -> DirectClient | None:
        """Return the client for the plain case; None in every other case."""
        from ecs_exec.ecs import direct_settings

        plan = direct_settings.plan(self._access, os.environ)
        if plan is None:
            return None
        from ecs_exec.ecs.direct_client import DirectClient

        return DirectClient(plan, patience, raw=raw)

    def _botocore_client(self) -> BotocoreClient:
        """Return the client for all other cases. Raises AwsError if the AWS configuration cannot be used."""
        with self._making:
            if self._botocore is None:
                self._botocore = self._first().in_region(self._access.region)
            return self._botocore

    def _use(self, act: Callable[[Client], T], action: str = "") -> T:
        """Act with the client for an action, empty for what both clients do.

        If the plain sources give no credentials, botocore looks for them again: it tries longer, and its errors say
        what is wrong. No request was sent by then.
        """
        direct = self._direct
        if direct is not None and (not action or direct.makes(action)):
            try:
                return act(direct)
            except NotPlain:
                self._direct = None
        return act(self._botocore_client())

    # --- Answers without a call

    @cached_property
    def region(self) -> str:
        """The region in use. Raises AwsError if there is none."""
        return self._use(lambda client: client.region)

    @property
    def is_plain(self) -> bool:
        """Whether ECS is called by HTTP, without TLS, as a local emulator is."""
        return self._use(lambda client: client.endpoint_url("ecs")).lower().startswith("http://")

    @property
    def ssm_endpoint(self) -> str:
        """The URL at which ssm:ResumeSession and ssm:TerminateSession are called."""
        return self._use(lambda client: client.endpoint_url("ssm"))

    def credentials(self) -> Credentials:
        """Return the current credentials, renewed if necessary. Raises AwsError."""
        return self._use(lambda client: client.credentials())

    def credentials_environment(self) -> dict[str, str]:
        """Return the current credentials as environment variables for a child process. Raises AwsError."""
        now = self.credentials()
        found = {"AWS_ACCESS_KEY_ID": now.access_key, "AWS_SECRET_ACCESS_KEY": now.secret_key}
        return found | ({"AWS_SESSION_TOKEN": now.token} if now.token else {})

    @cached_property
    def ca_bundle(self) -> str:
        """The file of certificate authorities that all connections trust."""
        return self._use(lambda client: client.ca_bundle)

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
            found += described(answer, "tasks", "ecs:DescribeTasks")
            missing += described(answer, "failures", "ecs:DescribeTasks")
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
        failures = {"failures": answer.get("failures") or []}
        return (
            list_field(answer, "tasks", "ecs:DescribeTasks", object),
            list_field(failures, "failures", "ecs:DescribeTasks", Mapping),
        )

    @property
    def _role(self) -> str:
        role = self._access.assume_role_arn
        return f" with role {role}" if role else ""

    def list_running_tasks(self, cluster: str, *, service: str = "", family: str = "") -> list[str]:
        """Return the ARNs of the tasks of a service or a family whose desired status is RUNNING."""
        wanted = {"serviceName": short(service)} if service else {"family": family}
        where = f"{'service' if service else 'family'} {short(service or family)} in cluster {short(cluster)}"
        return whole_list(
            "ecs:ListTasks", where, lambda token: self._task_page(where, token, cluster=cluster, **wanted)
        )

    def describe_task_definition(self, arn: str) -> dict[str, Any]:
        """Return the description of a task definition, checked."""
        answer = self._call("ecs", "DescribeTaskDefinition", f"task definition {short(arn)}", taskDefinition=arn)
        definitions = {"containerDefinitions": [answer.get("taskDefinition") or {}]}
        return described(definitions, "containerDefinitions", "ecs:DescribeTaskDefinition")[0]

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

    def call(self, service: str, action: str, where: str, /, **parameters: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """Make any other call. `service` and `action` are as IAM writes them; `where` names its subject for errors."""
        return self._call(service, action, where, **parameters)

    # --- Pages

    def _task_page(self, where: str, token: str, **parameters: Any) -> tuple[list[str], str]:  # noqa: ANN401
        return self._page("ListTasks", "taskArns", where, token, **parameters, desiredStatus="RUNNING")

    def _page(self, action: str, field: str, where: str, token: str, **parameters: Any) -> tuple[list[str], str]:  # noqa: ANN401
        """Return a page of a list of ECS, and the token of the next page, empty if it is the last."""
        more = {"nextToken": token} if token else {}
        answer = self._call("ecs", action, where, **parameters, maxResults=_PAGE, **more)
        return list_field(answer, field, f"ecs:{action}"), str(answer.get("nextToken") or "")

    def _call(self, service: str, action: str, where: str, /, **parameters: Any) -> Mapping[str, Any]:  # noqa: ANN401
        name = f"{service}:{action}"
        return translated(
            name,
            where,
            lambda: self.region,
            lambda: self._use(lambda client: client.call(service, action, parameters), name),
        )


def _botocore_client(access: Access, *, patience: float, within: Within, connections: int, raw: bool) -> BotocoreClient:
    from ecs_exec.ecs.botocore_client import BotocoreClient  # late: its import takes longer than all else of a command

    return BotocoreClient(access, patience=patience, within=within, connections=connections, raw=raw)


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


def described(answer: Mapping[str, Any], name: str, action: str) -> list[dict[str, Any]]:
    """Return a list of descriptions, empty if there is none. Raises AwsError if their types are not AWS's."""
    from ecs_exec.ecs.descriptions import checked

    try:
        return list(checked({name: answer.get(name)}).get(name, []))
    except ValueError as error:
        said = f"the answer of {action} cannot be read: {one_line(str(error))}"
        raise AwsError(name="not-aws", said=said) from error


def list_field(answer: Mapping[str, Any], name: str, action: str, kind: type = str) -> list[Any]:
    """Return a list of an answer. Raises AwsError if there is none: AWS always sends it, even if it is empty.

    It also raises AwsError if an item is of another kind. botocore reads a proxy's page as an answer without any
    fields.
    """
    found = answer.get(name)
    if not isinstance(found, list) or not all(isinstance(item, kind) for item in found):
        raise AwsError(name="not-aws", said=f"the answer of {action} contains no {name}")
    return found
