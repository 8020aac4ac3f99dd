"""The node attributes that name the target: cluster, task and container."""

from __future__ import annotations

import re
from collections.abc import Callable

from ecs_exec.record import NamedTuple
from ecs_exec.settings.reader import Reader, matching


class Wanted(NamedTuple):
    """What the node's attributes say about the target. Empty values are looked up later."""

    cluster: str = "default"
    """Name or ARN."""
    task: str = ""
    """Id or ARN."""
    service: str = ""
    family: str = ""
    container: str = ""
    runtime_id: str = ""


ARN = re.compile(r"arn:aws[a-z-]*:ecs:(?P<region>[a-z0-9-]+):\d{12}:(?P<kind>[a-z-]+)/(?P<path>\S+)")
_NAME = r"[A-Za-z0-9_-]{1,255}"
CLUSTER = matching(rf"{_NAME}|arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{{12}}:cluster/{_NAME}", "a cluster's name or ARN")
TASK = matching(
    rf"[A-Za-z0-9-]{{1,64}}|arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{{12}}:task/({_NAME}/)?[A-Za-z0-9-]{{1,64}}",
    "a task's id or ARN",
)
SERVICE = matching(
    rf"{_NAME}|arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{{12}}:service/({_NAME}/)?{_NAME}", "a service's name or ARN"
)
FAMILY = matching(_NAME, "a task definition's family, without a revision")
CONTAINER = matching(_NAME, "a container's name")
RUNTIME_ID = matching(r"[A-Za-z0-9-]{1,255}", "a runtime id like 0123abcd-1234567890")


def read_wanted(reader: Reader) -> Wanted:
    """Read the attributes of the node. The reader collects the faults."""

    def first(parse: Callable[[str], str], *names: str) -> str:
        name = next((name for name in names if reader.attribute(name)), names[0])
        return reader.parsed(name, reader.attribute(name), parse)

    wanted = Wanted(
        cluster=first(CLUSTER, "ECS:Cluster-ARN", "ecs-cluster"),
        task=first(TASK, "ECS:Task-ARN", "ecs-task"),
        service=first(SERVICE, "ecs-service"),
        family=first(FAMILY, "ecs-family"),
        container=first(CONTAINER, "ECS:Container-Name", "ecs-container"),
        runtime_id=first(RUNTIME_ID, "ECS:Runtime-ID"),
    )
    if not any(reader.attribute(name) for name in ("ECS:Task-ARN", "ecs-task", "ecs-service", "ecs-family")):
        reader.fault(
            "the node names no task: set one of its attributes ECS:Task-ARN, ecs-task, ecs-service, ecs-family"
        )
    return with_cluster(wanted, reader, "the node's cluster attribute")


def with_cluster(wanted: Wanted, reader: Reader, source: str) -> Wanted:
    """Return the target with the cluster in the task's or service's ARN, if no other value names a cluster.

    It is a fault if the two differ. `source` names the origin of the cluster's name in that fault.
    """
    found = ARN.fullmatch(wanted.task) or ARN.fullmatch(wanted.service)
    inside = found["path"].rpartition("/")[0] if found else ""
    cluster = wanted.cluster or inside or "default"
    if found and inside and cluster.rpartition("/")[2] != inside:
        reader.fault(f"the {found['kind']}'s ARN names cluster {inside}, but {source} names {cluster}")
    return wanted._replace(cluster=cluster)
