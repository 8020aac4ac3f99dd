"""Lists names for the options of jobs, in the form in which Rundeck reads them from a script.

Rundeck's ScriptOptionValues reads the lines between two marks, `label:value` each. It splits a line at every colon and
skips lines that begin with `#`. So only plain names are written. If the exit status is not 0, the option has no values,
and Rundeck writes stderr to its own log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from ecs_exec.ecs.api import list_field, whole_list
from ecs_exec.errors import AwsError
from ecs_exec.settings.options import Options
from ecs_exec.steps.calls import Caller
from ecs_exec.task_description import short

_PAGE = 100
"""Names in one answer, the API's limit."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


def names(asked: Options, caller: Caller) -> list[str]:
    """Return the names in alphabetical order. Raises AwsError or Aborted."""
    found: set[str] = set(_KINDS[asked.kind](asked, caller))
    if odd := sorted(name for name in found if not _NAME.fullmatch(name)):
        raise AwsError(name="not-aws", said=f"the names of {asked.kind} contain {odd[0]!a}")
    return sorted(name for name in found if not asked.names or any(fnmatchcase(name, each) for each in asked.names))


def document(found: Iterable[str]) -> bytes:
    """Return what Rundeck reads. Each name is label and value."""
    lines = ["==START_OPTIONS==", *(f"{name}:{name}" for name in found), "==END_OPTIONS=="]
    return "".join(f"{line}\n" for line in lines).encode()


def _clusters(_asked: Options, caller: Caller) -> list[str]:
    found = whole_list(
        "ecs:ListClusters",
        "all clusters",
        lambda token: caller.patiently(lambda: caller.aws.list_clusters(token)),
    )
    return [short(arn) for arn in found]


def _services(asked: Options, caller: Caller) -> list[str]:
    cluster = asked.wanted.cluster
    where = f"cluster {short(cluster)}"
    return [short(arn) for arn in _listed(caller, "ListServices", "serviceArns", where, cluster=cluster)]


def _families(_asked: Options, caller: Caller) -> list[str]:
    return _listed(caller, "ListTaskDefinitionFamilies", "families", "all families", status="ACTIVE")


def _containers(asked: Options, caller: Caller) -> list[str]:
    """Return the names of the containers of running tasks."""
    cluster, service, family = asked.wanted.cluster, asked.wanted.service, asked.wanted.family
    only = {"serviceName": service} if service else {"family": family} if family else {}
    arns = whole_list(
        "ecs:ListTasks",
        f"cluster {short(cluster)}",
        lambda token: caller.patiently(lambda: caller.aws.list_tasks(cluster, token, only)),
    )
    return [str(item.get("name")) for task in caller.tasks(cluster, arns) for item in task.get("containers", [])]


def _listed(caller: Caller, action: str, field: str, where: str, **parameters: Any) -> list[str]:  # noqa: ANN401
    def page(token: str) -> tuple[list[str], str]:
        more = {"nextToken": token} if token else {}
        answer = caller.patiently(lambda: caller.aws.call("ecs", action, where, **parameters, maxResults=_PAGE, **more))
        return list_field(answer, field, f"ecs:{action}"), str(answer.get("nextToken") or "")

    return whole_list(f"ecs:{action}", where, page)


_KINDS: dict[str, Callable[[Options, Caller], list[str]]] = {
    "clusters": _clusters,
    "services": _services,
    "families": _families,
    "containers": _containers,
}
