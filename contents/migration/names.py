"""Names in Rundeck Enterprise's ECS plugins, and the names in this plugin that take their place.

Known for certain are the names in jobs that Rundeck's makers have published: `aws-ecs-run-command` with its keys,
`aws-ecs-stopped-tasks` with its keys. The other names are not public. They are recognised by their words, as in the
labels of the documented forms, and the report asks to check them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ecs_exec.settings.providers import PROVIDERS

OURS = frozenset(provider.name for provider in PROVIDERS)

_REGION = dict.fromkeys(("region", "awsregion", "containerregion"), "region")
_ACCESS = {
    **dict.fromkeys(("accesskey", "accesskeyid", "awsaccesskey", "awsaccesskeyid"), "access-key-id"),
    **dict.fromkeys(
        (
            *("secretkey", "secretkeypath", "secretkeystoragepath", "secretaccesskey", "secretaccesskeypath"),
            *("awssecretkey", "awssecretaccesskey", "keystoragepassword", "keystoragepath"),
        ),
        "secret-access-key",
    ),
    **dict.fromkeys(("assumerole", "assumerolearn", "rolearn"), "assume-role-arn"),
    "externalid": "external-id",
}
_CLUSTER = dict.fromkeys(
    ("cluster", "clustername", "clusterid", "clusterarn", "ecscluster", "ecsclustername"), "cluster"
)
_TASK = dict.fromkeys(("task", "taskid", "taskarn"), "task")

KEYS: Mapping[str, Mapping[str, str]] = {
    "ecs-run-command": {
        **_REGION,
        **_ACCESS,
        **_CLUSTER,
        **_TASK,
        **dict.fromkeys(("container", "containername"), "container"),
        "command": "command",
    },
    "ecs-stopped-tasks": {**_REGION, **_ACCESS, **_CLUSTER},
    "ecs-stop-task": {**_REGION, **_ACCESS, **_CLUSTER, **_TASK},
    "ecs-node-executor": {**_REGION, **_ACCESS},
    "ecs-file-copier": {**_REGION, **_ACCESS},
    "ecs-node-source": {
        **dict.fromkeys(("region", "awsregion", "regions"), "regions"),
        **_ACCESS,
        **dict.fromkeys(("cluster", "clusters", "clustername", "clusternames", "ecsclusters"), "clusters"),
        **dict.fromkeys(("filterbehavior", "filterbehaviour"), "filter-behavior"),
        **dict.fromkeys(("service", "services", "servicename", "servicenames"), "services"),
        **dict.fromkeys(
            ("taskdefinition", "taskdefinitions", "taskdefinitionname", "taskdefinitionnames"), "task-definitions"
        ),
        **dict.fromkeys(("container", "containers", "containername", "containernames"), "containers"),
        "tags": "tags",
    },
}
"""By provider of this plugin: its setting for each key of Enterprise's, in lower case, letters and digits only."""

KNOWN = {"aws-ecs-run-command": "ecs-run-command", "aws-ecs-stopped-tasks": "ecs-stopped-tasks"}

CREDENTIALS = {**_REGION, **_ACCESS}
"""The keys of `project.aws.…` and of the plugin group AWS."""

IGNORED = frozenset({"credentialprovider", "enabled"})
"""Keys of those that need no counterpart: without an access key, the plugin uses the server's role by itself."""


class Successor(NamedTuple):
    """The provider that takes the place of another one."""

    name: str
    certain: bool


def plain(key: str) -> str:
    """Return a key in lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", key.lower())


def step_successor(name: str, given: Mapping[str, str]) -> Successor | None:
    """Return the step that takes the place of a step, None if it is none of Enterprise's ECS steps.

    `given` holds successors that the user has named. The name is empty if the step has an ECS name and no known
    successor.
    """
    sure = {**KNOWN, **given}
    if name in sure:
        return Successor(sure[name], True)
    words = _words(name)
    if name in OURS or "ecs" not in words:
        return None
    found = [new for word, new in _BY_WORD if word in words]
    return Successor(found[0] if found else "", False)


_BY_WORD = (
    ("stopped", "ecs-stopped-tasks"),
    ("stop", "ecs-stop-task"),
    ("command", "ecs-run-command"),
    ("exec", "ecs-run-command"),
    ("execute", "ecs-run-command"),
)
"""The first word of a step's name that is in this list decides."""


def successor(service: str, name: str, given: Mapping[str, str]) -> Successor | None:
    """Return the provider that takes the place of one of a service, None if it is none of Enterprise's ECS plugins."""
    if name in given:
        return Successor(given[name], True)
    if service in ("WorkflowStep", "WorkflowNodeStep"):
        return step_successor(name, given)
    of_service = {"NodeExecutor": "ecs-node-executor", "ResourceModelSource": "ecs-node-source"}
    if service not in of_service or name in OURS or not _words(name) & {"ecs", "fargate"}:
        return None
    return Successor(of_service[service], False)


def _words(name: str) -> set[str]:
    """Return the words of a name like `aws-ecs-stop` or `AwsEcsStop`, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}


def is_path(value: str) -> bool:
    """Return whether a value can be a Key Storage path. Anything else may be the secret itself."""
    return value.strip().startswith(("keys/", "${"))
