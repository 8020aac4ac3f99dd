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
from ecs_exec.selectors import Joined, Subject, plain
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

_COMPUTED = (
    "ECS:Account-ID",
    "ECS:Cluster-ARN",
    "ECS:Cluster-Name",
    "ECS:Container-ID",
    "ECS:Container-Tags",
    "ECS:CPU",
    "ECS:CPU-Architecture",
    "ECS:ENI-ID",
    "ECS:Exec-Agent-Status",
    "ECS:Exec-Enabled",
    "ECS:Exec-Ready",
    "ECS:Memory",
    "ECS:Private-IP",
    "ECS:Region",
    "ECS:Service-Name",
    "ECS:Subnet-ID",
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
ATTRIBUTES = frozenset([*_COMPUTED, *(name for table in (_OF_TASK, _OF_CONTAINER, _TIMES) for name, _ in table)])
"""What nodes have of themselves, tags of tasks aside."""

_SERVICE = "service:"
_DIGITS = 12
"""Of a digest, as docker shows them."""
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
    name: Joined | None = None
    """None: the container's name and id."""
    mapping: NodeMapping | None = None


class Node(NamedTuple):
    """A node; the attributes hold texts, but for `tags`, a list."""

    name: str
    created: str
    """When its task was made, as a text that sorts."""
    container_arn: str
    shared: Mapping[str, Any]
    """Attributes, the same object for all nodes of a task where the settings change none: it is encoded once."""
    own: Mapping[str, Any]
    """The other attributes."""
    by_tag: bool = False
    """The name is what it is because of a tag of the task."""


def nodes_of(origin: Origin, task: Described, shape: Shape) -> Iterator[Node]:
    """Yield the nodes of a task that is there to stay, of those containers that the filters let through.

    Raises TypeError, ValueError or another of Python's own errors for a description that is not as AWS documents it.
    """
    if "STOPPED" in (task.get("desiredStatus"), task.get("lastStatus")):
        return
    tags = {key: plain(tag.get("value")) for tag in task.get("tags") or () if (key := plain(tag.get("key")))}
    shared = _shared_attributes(origin, task, tags)
    if not shape.choice.of_task(shared.get("ECS:Service-Name", ""), shared.get("ECS:Task-Definition", ""), tags):
        return
    created, address = shared.get("ECS:Task-Created-At", ""), _details(task).get("privateIPv4Address", "")
    for container in task.get("containers") or ():
        label = container.get("name", "container")
        if not isinstance(label, str):
            raise TypeError("containers[].name")
        if not shape.choice.of_container(label):
            continue
        own = _own_attributes(shared, address, task, container)
        if shape.choice.exec_ready_only and own["ECS:Exec-Ready"] != "true":
            continue
        arn = plain(container.get("containerArn")) or f"{plain(task.get('taskArn'))}/{label}"
        default = _as_name(f"{label}-{short(arn)}")
        if shape.name is None and shape.mapping is None:
            own.setdefault("hostname", default)
            yield Node(default, created, arn, shared, own)
            continue
        subject = Subject(task, container, tags, {**shared, **own})
        name = _shaped_name(subject, shape) or default
        by_tag = name != (_shaped_name(_untagged(subject), shape) or default)
        yield Node(name, created, arn, {}, _shaped(subject, shape, name), by_tag)


def _shaped_name(subject: Subject, shape: Shape) -> str:
    """Return the name that the settings give a node, empty if they give none."""
    name = shape.mapping.node_name(subject) if shape.mapping else ""
    if not name and shape.name:
        name = shape.name.value(subject)
    return _as_name(name)


def _as_name(text: str) -> str:
    """Return a text as a node's name: node filters divide at commas and blanks."""
    text = _NOT_IN_NAMES.sub("_", text.strip())
    return text if text.isprintable() else "".join(char if char.isprintable() else "_" for char in text)


def _untagged(subject: Subject) -> Subject:
    """Return the same container as if its task had no tags."""
    task = {name: value for name, value in subject.task.items() if name != "tags"}
    node = {name: value for name, value in subject.node.items() if name != "ECS:Container-Tags"}
    return Subject(task, subject.container, {}, node)


def _shaped(subject: Subject, shape: Shape, name: str) -> dict[str, Any]:
    """Return the attributes of a node of that name as the settings want them."""
    attributes = {**subject.node}
    attributes.setdefault("hostname", name)
    if shape.mapping:
        shape.mapping.apply(subject, attributes)
    return _cleaned(attributes)


def _cleaned(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes whose values are texts that a page and a log show on one line, and `tags` as a list of such.

    Rundeck drops a node's lists, objects and nulls without a word, and NaN makes its JSON unreadable.
    """
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        if value.__class__ is str and value.isprintable():
            found[name] = value
        elif name == "tags":
            found[name] = [tag for each in value if (tag := plain(each))]
        elif (text := plain(value)) or value == "":
            found[name] = text
    return found


# --- Attributes


def _shared_attributes(origin: Origin, task: Described, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return what all nodes of a task have."""
    found: dict[str, Any] = {name: text for name, field in _OF_TASK if (text := plain(task.get(field)))}
    for name, field in _TIMES:
        if stamp := task.get(field):
            found[name] = _time(stamp)
    definition = short(plain(task.get("taskDefinitionArn")))
    family, _, revision = definition.partition(":")
    group, details = plain(task.get("group")), _details(task)
    computed = {
        "ECS:Cluster-ARN": origin.cluster_arn,
        "ECS:Cluster-Name": short(origin.cluster_arn),
        "ECS:Region": origin.region,
        "ECS:Account-ID": _account(origin.cluster_arn),
        "assume-role-arn": origin.role,
        "ECS:Service-Name": group[len(_SERVICE) :] if group.startswith(_SERVICE) else "",
        "ECS:Task-ID": short(plain(task.get("taskArn"))),
        "ECS:Task-Definition": definition,
        "ECS:Task-Definition-Family": family,
        "ECS:Task-Definition-Revision": revision,
        "ECS:CPU-Architecture": _attribute(task, "ecs.cpu-architecture"),
        "ECS:Subnet-ID": details.get("subnetId"),
        "ECS:ENI-ID": details.get("networkInterfaceId"),
    }
    found |= {name: text for name, text in computed.items() if text}
    found["ECS:Exec-Enabled"] = "true" if task.get("enableExecuteCommand") else "false"
    found["ECS:Container-Tags"] = f"[{', '.join([f'{key}={tags[key]}' for key in sorted(tags)])}]"
    found |= {f"ECS:Task-Tag:{key}": value for key, value in tags.items()}
    _add_system(found, task)
    found["node-executor"] = EXECUTOR
    found["file-copier"] = COPIER
    found["ui:icon:name"] = "fab-docker"
    return found


def _own_attributes(shared: Mapping[str, Any], address: str, task: Described, container: Described) -> dict[str, Any]:
    """Return what a node has beside what all nodes of its task have; `address` is the task's."""
    own: dict[str, Any] = {name: text for name, field in _OF_CONTAINER if (text := plain(container.get(field)))}
    own["ECS:Container-ID"] = short(plain(container.get("containerArn")))
    _set(own, "ECS:CPU", _unless_zero(container.get("cpu")) or task.get("cpu"))
    _set(own, "ECS:Memory", _unless_zero(container.get("memory")) or task.get("memory"))
    if address := _address(container) or address:
        own["ECS:Private-IP"] = own["hostname"] = address
    agent = _agent(container)
    _set(own, "ECS:Exec-Agent-Status", agent.get("lastStatus"))
    why_not = _why_not_ready(task, container, agent)
    own["ECS:Exec-Ready"] = "false" if why_not else "true"
    _add_look(own, why_not, unhealthy=container.get("healthStatus") == "UNHEALTHY")
    service, family = shared.get("ECS:Service-Name"), shared.get("ECS:Task-Definition-Family")
    cluster, name = shared["ECS:Cluster-Name"], own.get("ECS:Container-Name")
    image = _short_image(own.get("ECS:Container-Image", ""))
    described = (image, service or shared.get("ECS:Task-Definition"), cluster)
    own["description"] = ", ".join([part for part in described if part])
    tags = (cluster, service, family, name, shared.get("ECS:Task-Launch-Type"))
    own["tags"] = list(dict.fromkeys([tag for tag in tags if tag]))
    return own


def _set(node: dict[str, Any], name: str, value: Any) -> None:  # noqa: ANN401 - what JSON holds
    if text := plain(value):
        node[name] = text


def _details(task: Described) -> dict[str, str]:
    """Return what is told of the task's network interface."""
    for attachment in task.get("attachments") or ():
        if attachment.get("type") in ("ElasticNetworkInterface", "eni"):
            return {plain(item.get("name")): plain(item.get("value")) for item in attachment.get("details") or ()}
    return {}


def _address(container: Described) -> str:
    for interface in container.get("networkInterfaces") or ():
        if found := interface.get("privateIpv4Address") or interface.get("ipv6Address"):
            return plain(found)
    return ""


def _attribute(task: Described, name: str) -> str:
    for item in task.get("attributes") or ():
        if item.get("name") == name:
            return plain(item.get("value"))
    return ""


def _agent(container: Described) -> Described:
    found: list[Described] = [item for item in container.get("managedAgents") or () if item.get("name") == AGENT]
    return found[0] if found else {}


def _unless_zero(value: object) -> object:
    return None if value in ("0", 0) else value


def _account(arn: str) -> str:
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 else ""  # noqa: PLR2004 - arn:partition:service:region:account:resource


def _add_system(node: dict[str, Any], task: Described) -> None:
    """Add the operating system as Rundeck names it: it quotes arguments by the family.

    ECS tells it of tasks on Fargate, and of others where their attributes happen to.
    """
    told = plain(task.get("platformFamily")) or _attribute(task, "ecs.os-type") or "Linux"
    windows = told.upper().startswith("WINDOWS")
    node["osFamily"], node["osName"] = ("windows", "Windows") if windows else ("unix", "Linux")
    if architecture := node.get("ECS:CPU-Architecture"):
        node["osArch"] = architecture


def _time(stamp: object) -> str:
    """Return seconds since 1970 as a text that people read and that sorts; a text stays as it is."""
    if not isinstance(stamp, (int, float)):
        return plain(stamp)
    return f"{datetime.fromtimestamp(int(stamp), timezone.utc).isoformat()[:-6]}Z"


# --- What is seen at a glance


def _why_not_ready(task: Described, container: Described, agent: Described) -> str:
    """Say in a few words why commands cannot be run in a container; empty if they can."""
    for what, status in (("task", task.get("lastStatus")), ("container", container.get("lastStatus"))):
        if status != "RUNNING":
            return f"{what} {plain(status) or 'in no known state'}"
    if not task.get("enableExecuteCommand"):
        return "ECS Exec not enabled"
    status = agent.get("lastStatus")
    return "" if status == "RUNNING" else f"exec agent {plain(status) or 'missing'}"


def _short_image(image: str) -> str:
    """Return an image's last name with its tag, or with the first digits of its digest: a page has no room for more."""
    name, _, digest = image.rpartition("/")[2].partition("@sha256:")
    return f"{name}@{digest[:_DIGITS]}" if digest else name


def _add_look(node: dict[str, Any], why_not: str, *, unhealthy: bool) -> None:
    """Add the attributes that Rundeck draws a node by, where there is something to see."""
    if not why_not and not unhealthy:
        return
    badges = ["glyphicon-ban-circle"] * bool(why_not) + ["glyphicon-warning-sign"] * unhealthy
    node["ui:badges"] = ",".join(badges)
    node["ui:icon:color"] = node["ui:status:color"] = "red" if unhealthy else "gray"
    # Rundeck's pages draw it right behind the description.
    node["ui:status:text"] = " " + ", ".join(filter(None, (why_not, "unhealthy" if unhealthy else "")))
