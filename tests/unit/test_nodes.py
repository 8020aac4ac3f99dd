"""What nodes are made of a task: the odd ones, as the ordinary ones are tested whole."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_exec.filters import Choice, Filters
from ecs_exec.nodes import ATTRIBUTES, Node, Origin, Shape, nodes_of
from ecs_exec.selectors import template

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
    """From what AWS tells, and from nothing else: what it does not tell is left out."""
    node = attributes(described)
    assert {name: node.get(name) for name in expected} == expected
    assert all(isinstance(value, str) for name, value in node.items() if name != "tags")


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
    assert (node["ECS:Exec-Ready"], node.get("ui:status:text")) == (ready, text)
    assert ("ui:badges" in node) == (text is not None)
    only = Shape(Choice(Filters(exec_ready_only=True)))
    assert len(found(described, only)) == (ready == "true")


@pytest.mark.parametrize(
    "described",
    [task(lastStatus="STOPPED"), task(desiredStatus="STOPPED"), task(containers=[])],
)
def test_a_task_that_is_on_its_way_out(described: dict[str, Any]) -> None:
    """Between being listed and being described: as if it had not been listed."""
    assert found(described) == []


def test_a_role_is_carried_on() -> None:
    """To the executor."""
    (node,) = nodes_of(Origin(CLUSTER, "us-east-1", "arn:aws:iam::1:role/r"), task(), Shape(Choice(Filters())))
    assert node.shared["assume-role-arn"] == "arn:aws:iam::1:role/r"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("{name}", "app"), ("{tags/none}", "app-abcd"), ("x y,\t{name}", "x_y_app"), (" {name} ", "app")],
)
def test_names(name: str, expected: str) -> None:
    """Have nothing in them that a node filter divides at; without a value the container's own is taken."""
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
