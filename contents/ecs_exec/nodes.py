"""From a task as ecs:DescribeTasks gives it to Rundeck's nodes, one for each container. Pure.

Tasks are taken as AWS's JSON has them: times are seconds, and any field may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ecs_exec.filters import Choice
from ecs_exec.mapping import NodeMapping
from ecs_exec.selectors import Joined, Subject
from ecs_exec.target import AGENT, Described, short

EXECUTOR = "ecs-node-executor"
COPIER = "ecs-file-copier"

_OF_TASK = (
    ("ECS:Task-ARN", "taskArn"),
    ("ECS:Task-Definition-ARN", "taskDefinitionArn"),
    ("ECS:Task-Group", "group"),
    ("ECS:Task-Started-By", "startedBy"),
    ("ECS:Task-Launch-Type", "launchType"),
    ("ECS:Task-Status", "lastStatus"),
    ("ECS:Task-Desired-Status", "desiredStatus"),
    ("ECS:Task-Health", "healthStatus"),
    ("ECS:Task-Connectivity", "connectivity"),
    ("ECS:Task-CPU", "cpu"),
    ("ECS:Task-Memory", "memory"),
    ("ECS:Availability-Zone", "availabilityZone"),
    ("ECS:Capacity-Provider", "capacityProviderName"),
    ("ECS:Platform-Version", "platformVersion"),
    ("ECS:Platform-Family", "platformFamily"),
    ("ECS:Container-Instance-ARN", "containerInstanceArn"),
)
_OF_CONTAINER = (
    ("ECS:Container-ARN", "containerArn"),
    ("ECS:Container-Name", "name"),
    ("ECS:Container-Image", "image"),
    ("ECS:Container-Image-Digest", "imageDigest"),
    ("ECS:Container-Status", "lastStatus"),
    ("ECS:Container-Health", "healthStatus"),
    ("ECS:Memory-Reservation", "memoryReservation"),
    ("ECS:Runtime-ID", "runtimeId"),
)
_TIMES = (("ECS:Task-Created-At", "createdAt"), ("ECS:Task-Started-At", "startedAt"))
_OF_INTERFACE = (("ECS:Subnet-ID", "subnetId"), ("ECS:ENI-ID", "networkInterfaceId"))

_COMPUTED = (
    "ECS:Account-ID",
    "ECS:Cluster-ARN",
    "ECS:Cluster-Name",
    "ECS:Container-ID",
    "ECS:Container-Tags",
    "ECS:CPU",
    "ECS:CPU-Architecture",
    "ECS:Exec-Agent-Status",
    "ECS:Exec-Enabled",
    "ECS:Exec-Ready",
    "ECS:Memory",
    "ECS:Private-IP",
    "ECS:Region",
    "ECS:Service-Name",
    "ECS:Task-Definition",
    "ECS:Task-Definition-Family",
    "ECS:Task-Definition-Revision",
    "ECS:Task-ID",
    "assume-role-arn",
    "description",
    "file-copier",
    "hostname",
    "node-executor",
    "osArch",
    "osFamily",
    "osName",
    "tags",
    "ui:badges",
    "ui:icon:color",
    "ui:icon:name",
    "ui:status:color",
    "ui:status:text",
)
ATTRIBUTES = frozenset(
    [*_COMPUTED, *(name for table in (_OF_TASK, _OF_CONTAINER, _TIMES, _OF_INTERFACE) for name, _ in table)]
)
"""What nodes have of themselves, tags of tasks aside."""

_GONE = frozenset({"DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED"})
"""States of tasks that ecs:ListTasks no longer counts among those that are to run."""

_NOT_IN_NAMES = re.compile(r"[\s,\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class Origin:
    """The cluster that a task is from."""

    cluster_arn: str
    region: str
    role: str = ""
    """Role that was assumed to read it."""


@dataclass(frozen=True)
class Shape:
    """What the settings say of nodes."""

    choice: Choice
    name: Joined
    mapping: NodeMapping | None = None


class Node(NamedTuple):
    """A node; the attributes hold texts, but for `tags`, a list."""

    name: str
    created: str
    """When its task was made, as a text that sorts."""
    container_arn: str
    attributes: dict[str, Any]


def nodes_of(origin: Origin, task: Described, shape: Shape) -> Iterator[Node]:
    """Yield the nodes of a task that is there to stay, of those containers that the filters let through."""
    if task.get("desiredStatus") == "STOPPED" or task.get("lastStatus") in _GONE:
        return
    tags = {str(tag.get("key", "")): str(tag.get("value") or "") for tag in task.get("tags") or ()}
    of_task = _task_attributes(origin, task, tags)
    if not shape.choice.of_task(of_task.get("ECS:Service-Name", ""), of_task.get("ECS:Task-Definition", ""), tags):
        return
    for container in task.get("containers") or ():
        if not shape.choice.of_container(str(container.get("name", ""))):
            continue
        attributes = _node_attributes(of_task, task, container)
        if shape.choice.exec_ready_only and attributes["ECS:Exec-Ready"] != "true":
            continue
        yield _node(Subject(task, container, tags, attributes), shape)


def _node(subject: Subject, shape: Shape) -> Node:
    name = (shape.mapping.node_name(subject) if shape.mapping else "") or shape.name.value(subject)
    name = _NOT_IN_NAMES.sub("_", name.strip()) or default_name(subject)
    attributes = dict(subject.node)
    attributes.setdefault("hostname", name)
    if shape.mapping:
        shape.mapping.apply(subject, attributes)
    created = str(subject.node.get("ECS:Task-Created-At", ""))
    arn = subject.container.get("containerArn") or f"{subject.task.get('taskArn')}/{subject.container.get('name')}"
    return Node(name, created, str(arn), attributes)


def default_name(subject: Subject) -> str:
    """Return a name that no other node has."""
    return f"{subject.container.get('name', 'container')}-{short(str(subject.container.get('containerArn', '')))}"


# --- Attributes


def _task_attributes(origin: Origin, task: Described, tags: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: text for name, field in _OF_TASK if (text := task.get(field))}
    found |= {name: _time(stamp) for name, field in _TIMES if (stamp := task.get(field))}
    definition = short(str(task.get("taskDefinitionArn", "")))
    family, _, revision = definition.partition(":")
    group = str(task.get("group") or "")
    service = group.removeprefix("service:") if group.startswith("service:") else ""
    details = _details(task)
    computed = {
        "ECS:Cluster-ARN": origin.cluster_arn,
        "ECS:Cluster-Name": short(origin.cluster_arn),
        "ECS:Region": origin.region,
        "ECS:Account-ID": _account(origin.cluster_arn),
        "assume-role-arn": origin.role,
        "ECS:Service-Name": service,
        "ECS:Task-ID": short(str(task.get("taskArn", ""))),
        "ECS:Task-Definition": definition,
        "ECS:Task-Definition-Family": family,
        "ECS:Task-Definition-Revision": revision,
        "ECS:Private-IP": details.get("privateIPv4Address", ""),
        "ECS:CPU-Architecture": _architecture(task),
        **{name: details.get(field, "") for name, field in _OF_INTERFACE},
    }
    found |= {name: text for name, text in computed.items() if text}
    found["ECS:Exec-Enabled"] = "true" if task.get("enableExecuteCommand") else "false"
    found["ECS:Container-Tags"] = f"[{', '.join(f'{key}={tags[key]}' for key in sorted(tags))}]"
    found |= {f"ECS:Task-Tag:{key}": value for key, value in tags.items()}
    return found | _system(task)


def _node_attributes(of_task: Mapping[str, Any], task: Described, container: Described) -> dict[str, Any]:
    node = dict(of_task)
    for name, field in _OF_CONTAINER:
        if text := container.get(field):
            node[name] = text
    node["ECS:Container-ID"] = short(str(container.get("containerArn", "")))
    cpu, memory = container.get("cpu"), container.get("memory")
    _set(node, "ECS:CPU", str(cpu) if cpu and str(cpu) != "0" else task.get("cpu"))
    _set(node, "ECS:Memory", str(memory) if memory and str(memory) != "0" else task.get("memory"))
    _set(node, "ECS:Private-IP", _address(container))
    _set(node, "hostname", node.get("ECS:Private-IP"))
    agent: Described = next((item for item in container.get("managedAgents") or () if item.get("name") == AGENT), {})
    _set(node, "ECS:Exec-Agent-Status", agent.get("lastStatus"))
    why_not = _why_not_ready(task, container, agent)
    node["ECS:Exec-Ready"] = "false" if why_not else "true"
    node.update(_look(why_not, str(container.get("healthStatus", ""))))
    node["description"] = _description(node)
    node["node-executor"] = EXECUTOR
    node["file-copier"] = COPIER
    names = ("ECS:Cluster-Name", "ECS:Service-Name", "ECS:Task-Definition-Family", "ECS:Container-Name")
    tags = [node[name] for name in (*names, "ECS:Task-Launch-Type") if name in node]
    node["tags"] = list(dict.fromkeys(tags))
    return node


def _set(node: dict[str, Any], name: str, value: Any) -> None:  # noqa: ANN401 - what JSON holds
    if value:
        node[name] = str(value)


def _details(task: Described) -> dict[str, str]:
    """Return what is told of the task's network interface."""
    for attachment in task.get("attachments") or ():
        if attachment.get("type") in ("ElasticNetworkInterface", "eni"):
            return {str(item.get("name")): str(item.get("value") or "") for item in attachment.get("details") or ()}
    return {}


def _address(container: Described) -> str:
    for interface in container.get("networkInterfaces") or ():
        if found := interface.get("privateIpv4Address") or interface.get("ipv6Address"):
            return str(found)
    return ""


def _architecture(task: Described) -> str:
    for item in task.get("attributes") or ():
        if item.get("name") == "ecs.cpu-architecture":
            return str(item.get("value") or "")
    return ""


def _account(arn: str) -> str:
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 else ""  # noqa: PLR2004 - arn:partition:service:region:account:resource


def _system(task: Described) -> dict[str, str]:
    """Return the operating system as Rundeck names it: it quotes arguments by the family."""
    windows = str(task.get("platformFamily") or "").upper().startswith("WINDOWS")
    system = {"osFamily": "windows" if windows else "unix", "osName": "Windows" if windows else "Linux"}
    if architecture := _architecture(task):
        system["osArch"] = architecture
    return system


def _time(stamp: object) -> str:
    """Return seconds since 1970 as a text that people read and that sorts; a text stays as it is."""
    if not isinstance(stamp, (int, float)):
        return str(stamp)
    return datetime.fromtimestamp(stamp, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- What is seen at a glance


def _why_not_ready(task: Described, container: Described, agent: Described) -> str:
    """Say in a few words why commands cannot be run in a container; empty if they can."""
    for what, status in (("task", task.get("lastStatus")), ("container", container.get("lastStatus"))):
        if status != "RUNNING":
            return f"{what} {status or 'in no known state'}"
    if not task.get("enableExecuteCommand"):
        return "ECS Exec not enabled"
    status = agent.get("lastStatus")
    return "" if status == "RUNNING" else f"exec agent {status or 'missing'}"


def _look(why_not: str, health: str) -> dict[str, str]:
    """Return the attributes that Rundeck draws a node by."""
    unhealthy = health == "UNHEALTHY"
    look = {"ui:icon:name": "fab-docker"}
    badges = ["glyphicon-ban-circle"] * bool(why_not) + ["glyphicon-warning-sign"] * unhealthy
    if badges:
        colour = "red" if unhealthy else "gray"
        text = ", ".join(filter(None, (why_not, "unhealthy" if unhealthy else "")))
        look |= {"ui:badges": ",".join(badges), "ui:icon:color": colour, "ui:status:color": colour}
        look["ui:status:text"] = text
    return look


def _description(node: Mapping[str, Any]) -> str:
    service = node.get("ECS:Service-Name")
    owner = f"service {service}" if service else f"task {node.get('ECS:Task-Definition', '')}"
    image = node.get("ECS:Container-Image", "")
    return f"{image} in {owner}, cluster {node['ECS:Cluster-Name']}, {node['ECS:Region']}".strip()
