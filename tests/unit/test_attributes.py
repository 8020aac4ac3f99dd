"""The nodes of odd tasks. Other tests check ordinary nodes completely."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ecs_exec.nodes.attributes import ATTRIBUTES, Node, Origin, Shape, nodes_of
from ecs_exec.nodes.filters import Choice, Filters
from ecs_exec.nodes.mapping import read
from ecs_exec.nodes.scan import Place
from ecs_exec.nodes.selectors import template
from ecs_exec.nodes.source import rows_of

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/shop"
ORIGIN = Origin(CLUSTER, "us-east-1")
TASK = "arn:aws:ecs:us-east-1:123456789012:task/shop/0123"
AGENT = {"name": "ExecuteCommandAgent", "lastStatus": "RUNNING"}
APP: dict[str, Any] = {
    "containerArn": "arn:aws:ecs:us-east-1:123456789012:container/shop/0123/abcd",
    "name": "app",
    "lastStatus": "RUNNING",
    "managedAgents": [AGENT],
}


def task(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    """Give a running task, some fields replaced."""
    least = {"taskArn": TASK, "clusterArn": CLUSTER, "lastStatus": "RUNNING", "enableExecuteCommand": True}
    return {**least, "containers": [APP], **fields}


def found(described: dict[str, Any], shape: Shape | None = None) -> list[Node]:
    """Give its nodes."""
    return list(nodes_of(ORIGIN, described, shape or Shape(Choice(Filters()))))


def attributes(described: dict[str, Any]) -> dict[str, Any]:
    """Give the attributes of its only node."""
    (node,) = found(described)
    return {**node.shared, **node.own}


def container(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Give a task whose container has other fields."""
    return task(containers=[{**APP, **fields}])


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (task(platformFamily="WINDOWS_SERVER_2022_CORE"), {"osFamily": "windows", "osName": "Windows"}),
        (task(platformFamily="Linux"), {"osFamily": "unix", "osName": "Linux"}),
        (task(attributes=[{"name": "ecs.os-type", "value": "windows"}]), {"osFamily": "windows"}),
        (task(attributes=[{"name": "ecs.cpu-architecture", "value": "arm64"}]), {"osArch": "arm64"}),
        (task(cpu="512", memory="1024"), {"ECS:CPU": "512", "ECS:Memory": "1024"}),
        (container(cpu="0", memory="256", memoryReservation="128"), {"ECS:Memory": "256", "ECS:CPU": None}),
        (container(memoryReservation="128"), {"ECS:Memory-Reservation": "128"}),
        (task(createdAt=1700000000.9), {"ECS:Task-Created-At": "2023-11-14T22:13:20Z"}),
        (task(createdAt="2023-11-14T22:13:20+00:00"), {"ECS:Task-Created-At": "2023-11-14T22:13:20+00:00"}),
        (task(group="service:web"), {"ECS:Service-Name": "web", "ECS:Task-Group": "service:web"}),
        (task(group="family:web"), {"ECS:Service-Name": None}),
        (task(tags=[{"key": "a b", "value": ""}, {"key": "k"}]), {"ECS:Task-Tag:a b": "", "ECS:Task-Tag:k": ""}),
        (task(tags=[]), {"ECS:Container-Tags": "[]"}),
        (container(networkInterfaces=[{"privateIpv4Address": "10.1.1.1"}]), {"hostname": "10.1.1.1"}),
        (container(networkInterfaces=[{"ipv6Address": "fd00::1"}]), {"ECS:Private-IP": "fd00::1"}),
        (
            task(attachments=[{"type": "eni", "details": [{"name": "privateIPv4Address", "value": "10.1.1.2"}]}]),
            {"ECS:Private-IP": "10.1.1.2", "hostname": "10.1.1.2"},
        ),
        (task(), {"hostname": "app-abcd", "ECS:Private-IP": None, "assume-role-arn": None}),
        (task(startedBy=None, tags=None, attachments=None, attributes=None), {"ECS:Task-Started-By": None}),
        (container(managedAgents=None, runtimeId=None), {"ECS:Runtime-ID": None, "ECS:Exec-Agent-Status": None}),
    ],
)
def test_attributes(described: dict[str, Any], expected: dict[str, str | None]) -> None:
    """Attributes come only from AWS's values. If AWS gives no value, the attribute is left out."""
    node = attributes(described)
    assert {name: node.get(name) for name in expected} == expected
    assert all(isinstance(value, str) for name, value in node.items() if name != "tags")


@pytest.mark.parametrize(
    ("arn", "url"),
    [
        ("arn:aws:ecs:eu-west-1:123456789012:task/shop/0123", "https://eu-west-1.console.aws.amazon.com/"),
        ("arn:aws:ecs:eu-west-1:123456789012:task/0123", "https://eu-west-1.console.aws.amazon.com/"),
        ("arn:aws-cn:ecs:cn-north-1:123456789012:task/shop/0123", "https://cn-north-1.console.amazonaws.cn/"),
        (
            "arn:aws-us-gov:ecs:us-gov-west-1:123456789012:task/shop/0123",
            "https://us-gov-west-1.console.amazonaws-us-gov.com/",
        ),
        (
            "arn:aws-eusc:ecs:eusc-de-east-1:123456789012:task/shop/0123",
            "https://eusc-de-east-1.console.amazonaws-eusc.eu/",
        ),
        ("arn:aws-iso:ecs:us-iso-east-1:123456789012:task/shop/0123", ""),
        ("arn:aws:ecs:eu-west-1:123456789012:task/shop/01${node.name}", ""),
        ("nonsense", ""),
    ],
)
def test_the_link_to_the_console(arn: str, url: str) -> None:
    """The console of the task's partition and region, or no link."""
    region = arn.split(":")[3] if url else ""
    expected = f"{url}ecs/v2/clusters/shop/tasks/0123/configuration?region={region}" if url else None
    assert attributes(task(taskArn=arn)).get("editUrl") == expected


@pytest.mark.parametrize(
    ("described", "ready", "text"),
    [
        (task(), "true", None),
        (task(lastStatus="PENDING"), "false", "task PENDING"),
        (container(lastStatus="PENDING"), "false", "container PENDING"),
        (container(lastStatus="STOPPED", healthStatus="UNHEALTHY"), "false", "container STOPPED, unhealthy"),
        (task(enableExecuteCommand=False), "false", "ECS Exec not enabled"),
        (container(managedAgents=[]), "false", "exec agent missing"),
        (container(managedAgents=[{**AGENT, "lastStatus": "STOPPED"}]), "false", "exec agent STOPPED"),
        (container(managedAgents=[{**AGENT, "name": "Other"}]), "false", "exec agent missing"),
        (container(healthStatus="UNHEALTHY"), "true", "unhealthy"),
        (container(lastStatus=None), "false", "container in no known state"),
    ],
)
def test_ready(described: dict[str, Any], ready: str, text: str | None) -> None:
    """Only what runs, is enabled and has an agent that runs; else the first reason is shown."""
    node = attributes(described)
    # With a space, as Rundeck draws it right behind the description.
    assert (node["ECS:Exec-Ready"], node.get("ui:status:text")) == (ready, text and f" {text}")
    assert ("ui:badges" in node) == (text is not None)
    only = Shape(Choice(Filters(exec_ready_only=True)))
    assert len(found(described, only)) == (ready == "true")


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ("nginx:1.27", "nginx:1.27"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/shop/api:2026-11-24", "api:2026-11-24"),
        ("localhost:5000/api", "api"),
        (f"public.ecr.aws/nginx/nginx@sha256:{'ab' * 32}", "nginx@abababababab"),
        (f"registry.example.com/api:7@sha256:{'cd' * 32}", "api:7@cdcdcdcdcdcd"),
        ("", ""),
    ],
)
def test_descriptions_are_short(image: str, shown: str) -> None:
    """Image without its registry, service and cluster: they have to fit beside a long name."""
    described = attributes(container(image=image) | {"group": "service:web"})["description"]
    assert described == ", ".join(filter(None, [shown, "web", "shop"]))


@pytest.mark.parametrize(
    "described",
    [task(lastStatus="STOPPED"), task(desiredStatus="STOPPED"), task(containers=[])],
)
def test_a_task_that_is_on_its_way_out(described: dict[str, Any]) -> None:
    """Between being listed and being described: as if it had not been listed."""
    assert found(described) == []


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (task(startedBy="a\nb\u2028c\x85d\x1b[31m"), {"ECS:Task-Started-By": "a b c d [31m"}),
        (task(startedBy=["x"], group={"a": 1}), {"ECS:Task-Started-By": None, "ECS:Task-Group": None}),
        (task(cpu=256, memory=NAN), {"ECS:Task-CPU": "256", "ECS:Task-Memory": None, "ECS:Memory": None}),
        (task(version=INFINITE, connectivity=True), {"ECS:Task-Connectivity": "true"}),
        (
            task(platformFamily=["Linux"], lastStatus={}),
            {"osFamily": "unix", "ui:status:text": " task in no known state"},
        ),
        (container(image=["a"], runtimeId=7), {"ECS:Container-Image": None, "ECS:Runtime-ID": "7"}),
        (
            task(tags=[{"key": "", "value": "x"}, {"key": "k", "value": ["x"]}]),
            {"ECS:Task-Tag:": None, "ECS:Task-Tag:k": ""},
        ),
        (task(tags=[{"key": "a\nb", "value": "x\r\ny"}]), {"ECS:Task-Tag:a b": "x  y"}),
    ],
)
def test_values_are_texts_on_one_line(described: dict[str, Any], expected: dict[str, str | None]) -> None:
    """Whatever AWS's JSON holds: Rundeck drops lists and objects without a word, and NaN breaks its document."""
    node = attributes(described)
    assert {name: node.get(name) for name in expected} == expected
    assert all(isinstance(value, str) and value.isprintable() for name, value in node.items() if name != "tags")
    assert all(isinstance(tag, str) and tag.isprintable() for tag in node["tags"])


UNREADABLE: list[Any] = [
    None,
    [],
    "task",
    7,
    task(containers=7),
    task(containers=["app"]),
    task(containers=[None]),
    container(name=["app"]),
    container(managedAgents=[7]),
    container(networkInterfaces=["x"]),
    task(tags=["x"]),
    task(tags={"a": "b"}),
    task(attachments=[7]),
    task(attributes=["x"]),
    task(createdAt=NAN),
    task(createdAt=1e300),
    task(containers=[APP, {**APP, "name": 7}]),
]


@pytest.mark.parametrize("described", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_task_that_cannot_be_read(described: Any) -> None:  # noqa: ANN401
    """The task is left out, and one line names it. The others become nodes."""
    lines: list[str] = []
    place = Place(cast("Any", None), "us-east-1", "", ())
    rows = list(rows_of(place, [described, task()], Shape(Choice(Filters())), lines.append))
    assert [row.name for row in rows] == ["app-abcd"]
    (line,) = lines
    assert line.startswith("left out task ")
    assert "us-east-1" in line
    assert line.isprintable()


@pytest.mark.parametrize(
    ("name", "by_tag"),
    [("{name}", False), ("{tags/team,name}", True), ("{task.tags.team}", True), ("{ECS:Container-Tags}", True)],
)
def test_a_name_that_a_tag_made(name: str, by_tag: bool) -> None:
    """It is marked as such: it takes no other node's name."""
    described = task(tags=[{"key": "team", "value": "shop"}])
    (node,) = found(described, Shape(Choice(Filters()), template(name, ATTRIBUTES)))
    assert node.by_tag == by_tag
    (node,) = found(described, Shape(Choice(Filters()), None, read("nodename.selector=tags/none", ATTRIBUTES)))
    assert not node.by_tag


def test_a_role_is_carried_on() -> None:
    """To the executor."""
    (node,) = nodes_of(Origin(CLUSTER, "us-east-1", "arn:aws:iam::1:role/r"), task(), Shape(Choice(Filters())))
    assert node.shared["assume-role-arn"] == "arn:aws:iam::1:role/r"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("{name}", "app"), ("{tags/none}", "app-abcd"), ("x y,\t{name}", "x_y_app"), (" {name} ", "app")],
)
def test_names(name: str, expected: str) -> None:
    """Names have no character at which a node filter splits. Without a value, the container's name is used."""
    (node,) = found(task(), Shape(Choice(Filters()), template(name, ATTRIBUTES)))
    assert node.name == expected


def test_attributes_are_all_known() -> None:
    """So that selectors can name each."""
    told = ["taskDefinitionArn", "startedBy", "launchType", "desiredStatus", "healthStatus", "connectivity", "cpu"]
    told += ["memory", "availabilityZone", "capacityProviderName", "platformVersion", "platformFamily"]
    everything = task(
        **dict.fromkeys([*told, "containerInstanceArn"], "x"),
        group="service:s",
        createdAt=1,
        startedAt=1,
        attachments=[{"type": "eni", "details": [{"name": n, "value": n} for n in ("subnetId", "networkInterfaceId")]}],
        attributes=[{"name": "ecs.cpu-architecture", "value": "arm64"}],
        containers=[
            {
                **APP,
                "healthStatus": "UNHEALTHY",
                "networkInterfaces": [{"privateIpv4Address": "10.0.0.1"}],
                **dict.fromkeys(["image", "imageDigest", "memoryReservation", "runtimeId"], "x"),
            }
        ],
    )
    (node,) = nodes_of(Origin(CLUSTER + ":1", "r", "role"), everything, Shape(Choice(Filters())))
    assert ATTRIBUTES - {*node.shared, *node.own} == {"ECS:Task-Definition-Revision"}
    assert {*node.shared, *node.own} <= ATTRIBUTES
