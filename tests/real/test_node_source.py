"""The node source in the real rundeck-core: its own parser, a filter, and the executor on the resulting nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.node_worlds import EAST, IN_EAST, IN_TAGGED, IN_WEST, TAGGED, WEST
from e2e.rundeck_launch import ACCESS_KEY, SECRET_KEY
from emulator import Emulator
from emulator.front import Front
from real.rundeck import Command, Key, NodeSource, Rundeck, Server

FAST = {"start_delay": 0, "pacing": 0, "fail_pause": 0, "session_limit": 0}
KEY = "keys/project/demo/aws"
EXAMPLE = Path(__file__).parents[2] / "docs" / "static-nodes.yaml"
BY_IMAGE = "ECS:Container-Image: nginx.* tags: web"


@pytest.fixture(scope="module")
def emulators() -> Iterator[list[Emulator]]:
    """Give three regions of one account."""
    with (
        Emulator(IN_EAST, agent=FAST) as east,
        Emulator(IN_WEST, agent=FAST) as west,
        Emulator(IN_TAGGED, agent=FAST) as tagged,
    ):
        yield [east, west, tagged]


@pytest.fixture(scope="module")
def front(emulators: list[Emulator]) -> Iterator[Front]:
    """Give an endpoint that leads to all of them."""
    with Front(emulators) as running:
        yield running


@pytest.fixture
def how(front: Front) -> dict[str, str]:
    """Give the endpoint and the credentials of AWS, and no other settings of the executor."""
    return {"endpoint-url": front.endpoint_url, "access-key-id": ACCESS_KEY, "secret-access-key": KEY}


def test_nodes_and_commands_on_them(
    rundeck: Rundeck, plugin_zip: Path, how: dict[str, str], emulators: list[Emulator]
) -> None:
    """Nodes as Rundeck reads them, filtered by image. A command without settings runs on one node of each region."""
    server = Server(
        plugins=[plugin_zip],
        keys={KEY: Key(SECRET_KEY)},
        project_properties={f"project.plugin.NodeExecutor.ecs-node-executor.{k}": v for k, v in how.items()},
    )
    source = NodeSource(
        "ecs-node-source", {**how, "regions": f"{EAST},{WEST}"}, True, "ECS:Container-Image: nginx.* tags: web"
    )
    east, west = (each.task("shop", "web") for each in emulators[:2])
    names = [f"nginx-{task.container_id(task.group.containers[0])}" for task in (east, west)]
    results = rundeck.run(
        server,
        source,
        *(commands := [Command("echo here; exit 7", on=[name]) for name in names]),
        narrowed := NodeSource("ecs-node-source", {**how, "regions": EAST, "clusters": "nowhere"}),
    )
    found = results[source]
    assert found.error is None, results.log
    assert len(found.nodes) == 11
    assert len(found.chosen) == 3
    assert {found.nodes[name].attributes["ECS:Container-Image"] for name in found.chosen} == {"nginx:1.27"}
    assert set(names) <= set(found.chosen)
    node = found.nodes[names[0]]
    assert (node.hostname, node.tags) == (east.address, ["FARGATE", "nginx", "shop", "web"])
    assert node.attributes["ECS:Task-Tag:team"] == "storefront"
    assert node.attributes["osFamily"] == "unix"
    for command in commands:
        assert results[command].stdout == ["here"], results[command]
        assert results[command].result.result_code == 7
    refused = results[narrowed]
    assert refused.error is not None
    assert refused.nodes == {}
    assert [line for line in refused.stderr if "nowhere" in line and "clusters" in line], refused


def test_tags_of_tasks(rundeck: Rundeck, plugin_zip: Path, how: dict[str, str]) -> None:
    """A person who may tag a task cannot take a node's name, or choose executor, user or shell."""
    server = Server(
        plugins=[plugin_zip],
        keys={KEY: Key(SECRET_KEY)},
        project_properties={f"project.plugin.NodeExecutor.ecs-node-executor.{k}": v for k, v in how.items()},
    )
    source = NodeSource(
        "ecs-node-source",
        {**how, "regions": TAGGED, "node-name": "{tags/Name}", "mapping": "attributes.selector=tags/*"},
        True,
    )
    results = rundeck.run(server, source, command := Command("id -un; echo $0; exit 3", on=["shop"]))
    found = results[source]
    assert found.error is None, results.log
    assert len(found.nodes) == 3
    assert all(name == "shop" or name.startswith("shop-") for name in found.nodes)
    assert {node.attributes["team"] for node in found.nodes.values()} == {"one", "two", "three"}
    node = found.nodes["shop"]
    assert {
        name: node.attributes.get(name) for name in ("node-executor", "file-copier", "ui:icon:name", "ecs_user")
    } == {
        "node-executor": "ecs-node-executor",
        "file-copier": "ecs-file-copier",
        "ui:icon:name": "fab-docker",
        "ecs_user": None,
    }
    assert node.hostname != "elsewhere"
    assert results[command].stdout == ["root", "/bin/sh"], results[command]
    assert results[command].result.result_code == 3


def test_static_nodes(rundeck: Rundeck, plugin_zip: Path, how: dict[str, str], front: Front) -> None:
    """The example of the documentation: services and families are resolved when a command runs."""
    server = Server(
        plugins=[plugin_zip],
        keys={KEY: Key(SECRET_KEY)},
        nodes=EXAMPLE.read_text(encoding="utf-8"),
        project_properties={f"project.plugin.NodeExecutor.ecs-node-executor.{k}": v for k, v in how.items()},
    )
    front.taken_calls()
    commands = [Command("pwd", on=[name]) for name in ("web", "migration", "web-eu")]
    results = rundeck.run(server, *commands)
    assert [results[each].stdout for each in commands] == [["/"], ["/"], ["/var"]], results.log
    lists = [call for call in front.taken_calls() if call["action"] == "ListTasks"]
    assert [(call["region"], call["parameters"].get("serviceName")) for call in lists] == [
        (EAST, "web"),
        (EAST, None),
        (WEST, "web"),
    ]
