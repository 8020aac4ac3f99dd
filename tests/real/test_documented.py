"""Settings and nodes that the documentation shows, in the real rundeck-core, with the emulator as ECS."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from documents import ROOT, Block, blocks
from e2e.rundeck_launch import ACCESS_KEY, SECRET_KEY
from ecs_exec.settings.properties import GLOBALS, SHARED_SECRETS
from ecs_exec.settings.providers import PROVIDERS
from emulator import Emulator
from emulator.front import Front
from real.rundeck import Command, Key, NodeSource, Run, Rundeck, Script, Server, Validate

EXAMPLE = ROOT / "docs" / "project.properties"
NODES = ROOT / "docs" / "static-nodes.yaml"
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
SHOWN = [
    block
    for page in PAGES
    for block in blocks(page, "properties")
    if re.search(r"(?m)^(project|framework|service|resources)\.", block.text)
]
"""Settings of projects and servers; a mapping of the node source has the same form."""
OF_RUNDECK = {"project.nodeCache.enabled": "true|false", "project.nodeCache.delay": r"\d+"}
VARIABLES = {*GLOBALS, *(item.from_globals for item in SHARED_SECRETS)}
PLACES = {
    "ecs-cluster",
    "ecs-service",
    "ecs-family",
    "ecs-task",
    "ecs-container",
    "ECS:Region",
    "node-executor",
    "file-copier",
}
OF_ANY_NODE = {"nodename", "hostname", "description", "tags"}
WORLD = {
    "clusters": {
        "production": {"services": {"web": {"containers": {"nginx": {}, "log-router": {"essential": False}}}}},
        "batch": {"tasks": [{"family": "nightly", "containers": {"app": {}}}]},
    }
}


def properties(text: str) -> dict[str, str]:
    """Read lines of a properties file."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def unreal(key: str, value: str) -> str:
    """Return the missing parts of a property; empty if there are none."""
    if key.startswith(("project.globals.", "framework.globals.")):
        return "" if key.partition(".globals.")[2] in VARIABLES else f"nothing reads {key}"
    if key in OF_RUNDECK:
        return "" if re.fullmatch(OF_RUNDECK[key], value) else f"{key} has a wrong value"
    settings = {(each.service, each.name): {item.name for item in each.properties} for each in PROVIDERS}
    if found := re.fullmatch(r"service\.(\w+)\.default\.provider", key):
        return "" if (found[1], value) in settings else f"there is no {found[1]} {value}"
    if found := re.fullmatch(r"(?:project|framework)\.plugin\.(\w+)\.([\w-]+)\.([\w-]+)", key):
        return "" if found[3] in settings.get((found[1], found[2]), ()) else f"{key} sets nothing"
    return unreal_source(key, value, settings)


def unreal_source(key: str, value: str, settings: Mapping[tuple[str, str], set[str]]) -> str:
    """Return the same for a property of a node source."""
    if re.fullmatch(r"resources\.source\.\d+\.type", key):
        known = value == "local" or ("ResourceModelSource", value) in settings
        return "" if known else f"there is no node source {value}"
    if found := re.fullmatch(r"resources\.source\.\d+\.config\.([\w-]+)", key):
        return "" if found[1] in settings["ResourceModelSource", "ecs-node-source"] else f"{key} sets nothing"
    return f"{key} is unknown"


def of_providers(text: str) -> dict[tuple[str, str], dict[str, str]]:
    """Give the settings of each provider in a configuration, by service and name, including node sources."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    given = properties(text)
    for key, value in given.items():
        if match := re.fullmatch(r"(?:project|framework)\.plugin\.(\w+)\.([\w-]+)\.([\w-]+)", key):
            found.setdefault((match[1], match[2]), {})[match[3]] = value
        elif match := re.fullmatch(r"(resources\.source\.\d+)\.config\.([\w-]+)", key):
            found.setdefault(("ResourceModelSource", given[f"{match[1]}.type"]), {})[match[2]] = value
    return {place: values for place, values in found.items() if place[1].startswith("ecs-")}


def test_a_server_saves_what_is_shown(rundeck: Rundeck, plugin_zip: Path) -> None:
    """Each block of settings in the documents, and a single setting of each provider, pass the server's validation."""
    texts = [EXAMPLE.read_text(encoding="utf-8"), *(block.text for block in SHOWN)]
    shown = [(place, values) for text in texts for place, values in of_providers(text).items()]
    shown += [((each.service, each.name), {"region": "eu-west-1"}) for each in PROVIDERS]
    checks = [Validate(service, name, values, of_project=True) for (service, name), values in shown]
    wrong = Validate("NodeExecutor", "ecs-node-executor", {"transport": "radio", "timeout": "soon"}, of_project=True)
    results = rundeck.run(Server(plugins=[plugin_zip]), *checks, wrong)
    refused: dict[str, Mapping[str, str]] = {f"{check.service}/{check.provider}": results[check] for check in checks}
    assert {place: faults for place, faults in refused.items() if faults} == {}
    told: Mapping[str, str] = results[wrong]
    assert set(told) == {"transport", "timeout"}


@pytest.mark.parametrize("page", sorted({block.page for block in SHOWN} | {"docs/project.properties"}))
def test_no_block_lacks_a_required_setting(page: str) -> None:
    """A server that saves settings requires all required properties of a provider, with any default and scope."""
    listed = yaml.safe_load((ROOT / "plugin.yaml").read_text(encoding="utf-8"))["providers"]
    needed = {
        (each["service"], each["name"]): {item["name"] for item in each["config"] if item.get("required")}
        for each in listed
    }
    own = [EXAMPLE.read_text(encoding="utf-8")] if page == "docs/project.properties" else []
    for text in own + [block.text for block in SHOWN if block.page == page]:
        for place, values in of_providers(text).items():
            assert needed[place] <= set(values), place


def test_settings_of_the_example_are_real() -> None:
    """Each line has its provider, and each provider its setting. The server's own node comes first."""
    assert properties(EXAMPLE.read_text(encoding="utf-8"))["resources.source.1.type"] == "local"
    wrong = [unreal(*pair) for pair in properties(EXAMPLE.read_text(encoding="utf-8")).items()]
    assert [fault for fault in wrong if fault] == []
    assert unreal("project.plugin.NodeExecutor.ecs-node-executor.colour", "red")
    assert unreal("service.NodeExecutor.default.provider", "ecs-file-copier")
    assert unreal("project.globals.ecs-colour", "red")


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: f"{block.page}:{block.line}")
def test_settings_in_pages_are_real(block: Block) -> None:
    """And those of the first page are the example's, which is run below."""
    shown = properties(block.text)
    assert [fault for pair in shown.items() if (fault := unreal(*pair))] == []
    if block.page == "README.md":
        assert shown.items() <= properties(EXAMPLE.read_text(encoding="utf-8")).items()


@pytest.mark.parametrize("page", ["README.md", "docs/static-nodes.yaml"])
def test_attributes_of_nodes_are_real(page: str) -> None:
    """Something reads each attribute of a node. The node chooses executor and copier."""
    text = nodes_of_readme() if page == "README.md" else NODES.read_text(encoding="utf-8")
    settings = {item.attribute for provider in PROVIDERS for item in provider.properties if item.attribute}
    for name, node in yaml.safe_load(text).items():
        assert set(node) <= settings | PLACES | OF_ANY_NODE
        assert (node["nodename"], node["node-executor"], node["file-copier"]) == (
            name,
            "ecs-node-executor",
            "ecs-file-copier",
        )


def nodes_of_readme() -> str:
    """Give the nodes that the first page shows."""
    (block,) = blocks("README.md", "yaml")
    return block.text


@pytest.fixture(scope="module")
def regions() -> Iterator[list[Emulator]]:
    """Give two regions, each with both clusters."""
    habits = {"start_delay": 0, "pacing": 0, "fail_pause": 0, "session_limit": 0}
    with (
        Emulator(WORLD, habits, region="eu-west-1") as west,
        Emulator(WORLD, habits, region="us-east-1") as east,
    ):
        yield [west, east]


@pytest.fixture(scope="module")
def front(regions: list[Emulator]) -> Iterator[Front]:
    """Give an endpoint that leads to both."""
    with Front(regions) as running:
        yield running


@pytest.fixture(scope="module")
def example(front: Front) -> Mapping[str, str]:
    """Give the example's settings, with the emulator in place of AWS, and a user of this machine."""
    user = pwd.getpwuid(os.getuid()).pw_name
    given = properties(EXAMPLE.read_text(encoding="utf-8"))
    given = {key: user if key.endswith(".user") else value for key, value in given.items()}
    endpoint = {
        f"project.plugin.{service}.{name}.endpoint-url": front.endpoint_url
        for service, name in (("NodeExecutor", "ecs-node-executor"), ("FileCopier", "ecs-file-copier"))
    }
    return {**given, **endpoint, "resources.source.2.config.endpoint-url": front.endpoint_url}


def test_a_project_of_the_example(
    rundeck: Rundeck, plugin_zip: Path, example: Mapping[str, str], regions: list[Emulator]
) -> None:
    """Its node source finds both regions. Commands and scripts run on its nodes, and on a static node."""
    server = Server(
        plugins=[plugin_zip],
        project="production",
        nodes=nodes_of_readme(),
        keys={"keys/project/production/aws-secret": Key(SECRET_KEY)},
        project_properties=example,
    )
    prefix = "resources.source.2.config."
    config = {key.removeprefix(prefix): value for key, value in example.items() if key.startswith(prefix)}
    assert config["access-key-id"] == ACCESS_KEY
    task = regions[0].task("production", "web")
    on = [f"nginx-{task.container_id(task.group.containers[0])}", "web"]
    run = Run(context={"option": {"word": "it's $x"}})
    results = rundeck.run(
        server,
        source := NodeSource(example["resources.source.2.type"], config, True),
        command := Command('id -un; echo "$RD_OPTION_WORD"', on=on, run=run),
        script := Script(on=on, script="echo script of $(id -un)\n", run=run),
    )
    found = results[source]
    assert found.error is None, found
    assert {node.attributes["ECS:Region"] for node in found.nodes.values()} == {"eu-west-1", "us-east-1"}
    assert len(found.nodes) == 6
    user = example["project.plugin.NodeExecutor.ecs-node-executor.user"]
    assert results[command].stdout == [user, "it's $x"] * 2, results[command]
    assert results[script].stdout == [f"script of {user}"] * 2, results[script]
