"""Jobs and projects of Rundeck Enterprise run in the real rundeck-core after the converter, unchanged by hand."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from documents import blocks
from e2e.rundeck_launch import SECRET_KEY
from emulator import Emulator
from real import enterprise
from real.rundeck import Command, NodeSource, Results, Rundeck, Server
from real.rundeck_actions import Action

PATH = "keys/project/shop/aws-secret"
WORLD: dict[str, Any] = {
    "clusters": {
        "shop": {
            "services": {
                "web": {"containers": {"nginx": {}, "log-router": {"essential": False}}},
                "worker": {"desired": 2, "containers": {"worker": {"image": "worker:1"}}},
            }
        },
        "batch": {"services": {"web": {"containers": {"nginx": {}}}, "other": {"containers": {"app": {}}}}},
    }
}
OTHERS = ("stop-task.json", "stopped-tasks.xml")
HABITS = {"start_delay": 0, "pacing": 0, "session_limit": 0, "fail_pause": 0}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Give a region with two clusters. Each test stops tasks."""
    with Emulator(WORLD, HABITS) as running:
        yield running


def server(plugin_zip: Path, properties: dict[str, str]) -> Server:
    """Give a server with the project's properties and its key."""
    return Server(plugins=[plugin_zip], project="shop", keys={PATH: SECRET_KEY}, project_properties=properties)


def run(rundeck: Rundeck, emulator: Emulator, project: Server, *actions: Action[Any]) -> Results:
    """Run actions on a server whose environment names the emulator."""
    return rundeck.run(project, *actions, environ={"AWS_ENDPOINT_URL": emulator.endpoint_url})


@pytest.fixture(scope="module")
def moved(plugin_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which the commands of the page for migrants ran, with a project and a job of Enterprise."""
    folder = tmp_path_factory.mktemp("moved")
    for name, taken in (("thread-dump.yaml", "jobs.yaml"), ("plugin-group.properties", "project.properties")):
        shutil.copy(enterprise.SAMPLES / name, folder / taken)
    shutil.copy(plugin_zip, folder)
    for block in blocks("docs/from-enterprise.md", "sh"):
        for command in block.commands:
            program, *arguments = shlex.split(command)
            assert program == "python3"
            done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == (1 if "migrate.py" in command else 0), done
            assert not done.stderr
    return folder


def test_a_project_and_three_jobs(
    rundeck: Rundeck, plugin_zip: Path, emulator: Emulator, moved: Path, tmp_path: Path
) -> None:
    """By the page's own commands. The node source excludes whole tasks, and each step does what it did."""
    properties = enterprise.project(moved / "project.ecs-exec.properties")
    first, second = (emulator.task("shop", "worker", index) for index in range(2))
    node = f"worker-{second.container_id(second.group.containers[0])}"
    where = {"cluster-name": "shop", "aws-region": emulator.region, "container-name": "worker", "task-id": first.id}
    processes = enterprise.actions(moved / "jobs.ecs-exec.yaml", where)
    stops = enterprise.actions(enterprise.converted("stop-task.json", tmp_path), where, [node])
    stopped = {"cluster-name": "shop", "region": emulator.region}
    shows = enterprise.actions(enterprise.converted("stopped-tasks.xml", tmp_path), stopped)
    source = NodeSource(*enterprise.source(properties), keep=True)
    everybody = Command("id -u", on=[node])
    imports = [
        *enterprise.validations([moved / "jobs.ecs-exec.yaml", *(tmp_path / f"new-{name}" for name in OTHERS)]),
        *enterprise.project_validations(properties),
    ]
    actions: list[Action[Any]] = [source, everybody, *imports, *processes, *stops, *shows]
    results = run(rundeck, emulator, server(plugin_zip, properties), *actions)
    assert {action.provider: results[action] for action in imports if results[action]} == {}
    assert len(imports) > 10
    assert results[everybody].stdout == ["0"], results[everybody]
    assert {each.attributes["ECS:Service-Name"] for each in results[source].nodes.values()} == {"worker"}
    assert node in results[source].nodes
    first_step, second_step, handler = (results[each] for each in processes)
    assert first_step.stdout == ["id is 0"], first_step
    assert (second_step.stdout, second_step.success) == (["two  words: yes"], False), second_step
    assert handler.stdout == ["handled"], handler
    assert all(results[each].success for each in stops), [results[each] for each in stops]
    (table,) = (results[each] for each in shows)
    assert table.success, table
    assert {task.id for task in (first, second)} <= set(" ".join(table.stdout).split())


def test_an_older_project(rundeck: Rundeck, plugin_zip: Path, emulator: Emulator, tmp_path: Path) -> None:
    """The node source includes whole tasks of two clusters, and a command runs on its nodes."""
    properties = enterprise.project(enterprise.converted("aws-properties.properties", tmp_path))
    task = emulator.task("shop", "web")
    node = f"log-router-{task.container_id(task.group.containers[1])}"
    source = NodeSource(*enterprise.source(properties), keep=True)
    results = run(
        rundeck, emulator, server(plugin_zip, properties), source, command := Command("echo here; exit 4", on=[node])
    )
    places = {
        (each.attributes["ECS:Cluster-Name"], each.attributes["ECS:Container-Name"])
        for each in results[source].nodes.values()
    }
    assert places == {("shop", "nginx"), ("shop", "log-router"), ("batch", "nginx")}
    assert (results[command].stdout, results[command].result.result_code) == (["here"], 4), results[command]
