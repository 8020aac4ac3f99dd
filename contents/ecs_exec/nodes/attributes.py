"""Makes Rundeck's nodes from a task as ecs:DescribeTasks describes it: one node for each container. Does no I/O.

Tasks are read as AWS's JSON has them: times are seconds since 1970, and any field may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, NamedTuple

from ecs_exec.nodes.filters import Choice
from ecs_exec.nodes.mapping import NodeMapping
from ecs_exec.nodes.selectors import Joined, Subject, plain
from ecs_exec.task_description import AGENT, Described, short
from ecs_exec.text import printable

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
    "editUrl",
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
"""Names of all attributes that nodes have without a mapping, except those from tags of tasks."""

_DETAILS = ("subnetId", "networkInterfaceId", "privateIPv4Address")
"""Details of a task's network interface that become attributes."""

_SERVICE = "service:"
_DIGITS = 12
"""Digits of an image's digest in a description, as many as docker shows."""
_NOT_IN_NAMES = re.compile(r"[\s,\x00-\x1f\x7f]+")


class Origin(NamedTuple):
    """The cluster that a task is from."""

    cluster_arn: str
    region: str
    role: str = ""
    """ARN of the role that was assumed to read the cluster; empty: none."""


class Shape(NamedTuple):
    """The settings for nodes: filters, names and attributes."""

    choice: Choice
    name: Joined | None = None
    """Template of the name; None: the container's name and id."""
    mapping: NodeMapping | None = None


class Node(NamedTuple):
    """A node. The attributes are texts, except `tags`, which is a list of texts."""

    name: str
    created: str
    """When its task was created, as a text that sorts by time."""
    container_arn: str
    shared: Mapping[str, Any]
    """Attributes that all nodes of a task share: the same object, so that it is encoded once. Empty if the settings
    name or map nodes."""
    own: Mapping[str, Any]
    """The other attributes."""
    by_tag: bool = False
    """A tag of the task has determined the name."""


def nodes_of(origin: Origin, task: Described, shape: Shape) -> Iterator[Node]:
    """Yield the nodes of a task: one for each container that passes the filters, none if the task is stopping.

    Raises TypeError, ValueError or another of Python's own errors for a description that is not as AWS documents it.
    """
    if "STOPPED" in (task.get("desiredStatus"), task.get("lastStatus")):
        return
    tags = {key: plain(tag.get("value")) for tag in task.get("tags") or () if (key := plain(tag.get("key")))}
    details = _details(task)
    shared = _shared_attributes(origin, task, tags, details)
    service, definition = shared.get("ECS:Service-Name", ""), shared.get("ECS:Task-Definition", "")
    names = (plain(container.get("name")) for container in task.get("containers") or ())
    if not shape.choice.of_task(service, definition, tags, names):
        return
    created, address = shared.get("ECS:Task-Created-At", ""), details.get("privateIPv4Address", "")
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
    """Return the name from the settings (mapping, else template), empty if they give none."""
    name = shape.mapping.node_name(subject) if shape.mapping else ""
    if not name and shape.name:
        name = shape.name.value(subject)
    return _as_name(name)


def _as_name(text: str) -> str:
    """Return a text that can be a node's name: node filters split at commas and blanks, so these become `_`."""
    return printable(_NOT_IN_NAMES.sub("_", text.strip()), "_")


def _untagged(subject: Subject) -> Subject:
    """Return the same container without its task's tags, to find out whether a name comes from a tag."""
    task = {name: value for name, value in subject.task.items() if name != "tags"}
    node = {name: value for name, value in subject.node.items() if name != "ECS:Container-Tags"}
    return Subject(task, subject.container, {}, node)


def _shaped(subject: Subject, shape: Shape, name: str) -> dict[str, Any]:
    """Return all attributes of a node of that name, after the mapping."""
    attributes = {**subject.node}
    attributes.setdefault("hostname", name)
    if shape.mapping:
        shape.mapping.apply(subject, attributes)
    return _cleaned(attributes)


def _cleaned(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes as texts of one printable line, and `tags` as a list of such texts.

    Rundeck silently drops lists, objects and nulls of a node, and NaN makes its JSON unreadable.
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


def _texts(described: Described, fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the attributes that hold a field's value unchanged.

    Nearly all values are printable texts, and there are dozens in each task. So they take no call of `plain`.
    """
    found: dict[str, Any] = {}
    for name, field in fields:
        value = described.get(field)
        text = value if value.__class__ is str and value.isprintable() else plain(value)
        if text:
            found[name] = text
    return found


def _shared_attributes(
    origin: Origin, task: Described, tags: Mapping[str, str], details: Mapping[str, str]
) -> dict[str, Any]:
    """Return the attributes that all nodes of a task share; `details` are those of its network interface."""
    found = _texts(task, _OF_TASK)
    for name, field in _TIMES:
        if stamp := task.get(field):
            found[name] = _time(stamp)
    definition = short(plain(task.get("taskDefinitionArn")))
    family, _, revision = definition.partition(":")
    group = plain(task.get("group"))
    computed = {
        "ECS:Service-Name": group[len(_SERVICE) :] if group.startswith(_SERVICE) else "",
        "ECS:Task-ID": short(plain(task.get("taskArn"))),
        "ECS:Task-Definition": definition,
        "ECS:Task-Definition-Family": family,
        "ECS:Task-Definition-Revision": revision,
        "ECS:CPU-Architecture": _attribute(task, "ecs.cpu-architecture"),
        "ECS:Subnet-ID": details.get("subnetId"),
        "ECS:ENI-ID": details.get("networkInterfaceId"),
        "editUrl": _console_url(plain(task.get("taskArn")), short(origin.cluster_arn)),
    }
    found |= _of_cluster(origin)
    found |= {name: text for name, text in computed.items() if text}
    found["ECS:Exec-Enabled"] = "true" if task.get("enableExecuteCommand") else "false"
    found["ECS:Container-Tags"] = f"[{', '.join([f'{key}={tags[key]}' for key in sorted(tags)])}]"
    found |= {f"ECS:Task-Tag:{key}": value for key, value in tags.items()}
    _add_system(found, task)
    found["node-executor"] = EXECUTOR
    found["file-copier"] = COPIER
    found["ui:icon:name"] = "fab-docker"
    return found


@lru_cache(maxsize=1000)
def _of_cluster(origin: Origin) -> dict[str, str]:
    """Return the attributes that all nodes of a cluster share."""
    computed = {
        "ECS:Cluster-ARN": origin.cluster_arn,
        "ECS:Cluster-Name": short(origin.cluster_arn),
        "ECS:Region": origin.region,
        "ECS:Account-ID": _account(origin.cluster_arn),
        "assume-role-arn": origin.role,
    }
    return {name: text for name, text in computed.items() if text}


def _own_attributes(shared: Mapping[str, Any], address: str, task: Described, container: Described) -> dict[str, Any]:
    """Return a node's attributes beside the shared ones; `address` is the task's IP address, or empty."""
    own = _texts(container, _OF_CONTAINER)
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
    text = value if value.__class__ is str and value.isprintable() else plain(value)
    if text:
        node[name] = text


def _details(task: Described) -> dict[str, str]:
    """Return the details of the task's network interface, empty if it has none of its own."""
    for attachment in task.get("attachments") or ():
        if attachment.get("type") in ("ElasticNetworkInterface", "eni"):
            items = attachment.get("details") or ()
            return {name: plain(item.get("value")) for item in items if (name := item.get("name")) in _DETAILS}
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


_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-eusc": "console.amazonaws-eusc.eu",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
"""Hosts of AWS's console by partition. Those of the isolated partitions are not public."""
_TASK_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):ecs:(?P<region>[a-z0-9-]+):\d{12}:task/(?:[\w-]+/)?(?P<id>[\w-]+)"
)


def _console_url(task_arn: str, cluster: str) -> str:
    """Return the URL of a task's page in AWS's console; empty if its partition has no public console.

    Rundeck shows `editUrl` as the link *Edit* of a node.
    """
    found = _TASK_ARN.fullmatch(task_arn)
    host = _CONSOLES.get(found["partition"]) if found else None
    if found is None or host is None:
        return ""
    region = found["region"]
    return f"https://{region}.{host}/ecs/v2/clusters/{cluster}/tasks/{found['id']}/configuration?region={region}"


def _add_system(node: dict[str, Any], task: Described) -> None:
    """Add the operating system in Rundeck's names. Rundeck quotes arguments by `osFamily`.

    ECS reports it for tasks on Fargate, and for others only if they have the attribute `ecs.os-type`. The default is
    Linux.
    """
    told = plain(task.get("platformFamily")) or _attribute(task, "ecs.os-type") or "Linux"
    windows = told.upper().startswith("WINDOWS")
    node["osFamily"], node["osName"] = ("windows", "Windows") if windows else ("unix", "Linux")
    if architecture := node.get("ECS:CPU-Architecture"):
        node["osArch"] = architecture


def _time(stamp: object) -> str:
    """Return seconds since 1970 as text in ISO 8601 (UTC), which sorts by time; a text stays as it is."""
    if not isinstance(stamp, (int, float)):
        return plain(stamp)
    day, second = divmod(int(stamp), _DAY)
    minute, second = divmod(second, 60)
    return f"{_date(day)}T{minute // 60:02}:{minute % 60:02}:{second:02}Z"


_DAY = 86400


@lru_cache(maxsize=1000)
def _date(day: int) -> str:
    """Return the date of a day since 1970 as text in ISO 8601."""
    return datetime.fromtimestamp(day * _DAY, timezone.utc).date().isoformat()


# --- Status, badges and description


def _why_not_ready(task: Described, container: Described, agent: Described) -> str:
    """Return in a few words why commands cannot run in a container; empty if they can."""
    for what, status in (("task", task.get("lastStatus")), ("container", container.get("lastStatus"))):
        if status != "RUNNING":
            return f"{what} {plain(status) or 'in no known state'}"
    if not task.get("enableExecuteCommand"):
        return "ECS Exec not enabled"
    status = agent.get("lastStatus")
    return "" if status == "RUNNING" else f"exec agent {plain(status) or 'missing'}"


def _short_image(image: str) -> str:
    """Return an image's name without its registry and path, with its tag or the first digits of its digest.

    Rundeck's node pages have no room for more.
    """
    name, _, digest = image.rpartition("/")[2].partition("@sha256:")
    return f"{name}@{digest[:_DIGITS]}" if digest else name


def _add_look(node: dict[str, Any], why_not: str, *, unhealthy: bool) -> None:
    """Add badges, colours and a status text for Rundeck's node pages, if a node is not ready or not healthy."""
    if not why_not and not unhealthy:
        return
    badges = ["glyphicon-ban-circle"] * bool(why_not) + ["glyphicon-warning-sign"] * unhealthy
    node["ui:badges"] = ",".join(badges)
    node["ui:icon:color"] = node["ui:status:color"] = "red" if unhealthy else "gray"
    # The text begins with a space, because Rundeck's pages draw it right behind the description.
    node["ui:status:text"] = " " + ", ".join(filter(None, (why_not, "unhealthy" if unhealthy else "")))
