"""Credentials once for a project, as the documentation shows them, for every provider in the real rundeck-core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from documents import ROOT
from e2e.rundeck_launch import SECRET_KEY
from ecs_exec.settings.providers import PROVIDERS
from emulator import Emulator
from real.rundeck import Command, Copy, Execution, NodeStep, Results, Rundeck, Server, WorkflowStep
from real.rundeck_actions import Action
from real.test_documented import properties

SHOWN = properties((ROOT / "docs" / "credentials.properties").read_text(encoding="utf-8"))
KEY_ID = SHOWN["project.globals.ecs-access-key-id"]
PATH = SHOWN["project.globals.ecs-secret-access-key"]
FORM = {
    "cluster": "shop",
    "service": "web",
    "container": "app",
    "command": "true",
    "script": "true",
    "like-service": "web",
    "log-wait": "0",
}
"""Enough for each of the steps."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a service in the region of the example. It accepts only calls that are signed with the secret."""
    world: dict[str, Any] = {
        "clusters": {"shop": {"services": {name: {"containers": {"app": {}}} for name in ("web", "old")}}}
    }
    habits = {"start_delay": 0, "pacing": 0, "session_limit": 0, "fail_pause": 0}
    with Emulator(world=world, agent=habits, region=SHOWN["project.globals.ecs-region"]) as running:
        yield running


def server(plugin_zip: Path, project: Mapping[str, str], framework: Mapping[str, str] | None = None) -> Server:
    """Give a server with nodes that name neither region nor credentials. `framework` is written as of a project."""
    chosen = {"node-executor": "ecs-node-executor", "file-copier": "ecs-file-copier"}
    return Server(
        plugins=[plugin_zip],
        nodes={
            name: {"hostname": name, **chosen, "ecs-cluster": "shop", "ecs-service": name} for name in ("web", "old")
        },
        keys={PATH: SECRET_KEY},
        project_properties=project,
        framework_properties={
            key.replace("project", "framework", 1): value for key, value in (framework or {}).items()
        },
    )


def run(rundeck: Rundeck, emulator: Emulator, project: Server, actions: Mapping[str, Action[Execution]]) -> Results:
    """Run actions on a server whose environment names the emulator."""
    return rundeck.run(project, *actions.values(), environ={"AWS_ENDPOINT_URL": emulator.endpoint_url})


def said(result: Execution) -> str:
    """Give the log of an execution."""
    return "\n".join(event.text for event in result.events)


def everything() -> dict[str, Action[Execution]]:
    """Name an action for each provider but the node source. Those that stop tasks have a service of their own."""
    found: dict[str, Action[Execution]] = {
        "executor": Command("true", on=["web"]),
        "copier": Copy(on=["web"], content="text", destination="/tmp/x"),  # noqa: S108 - in the container
    }
    for each in PROVIDERS:
        service = "old" if each.name == "ecs-stop-task" else "web"
        if each.service == "WorkflowNodeStep":
            found[f"node step {each.name}"] = NodeStep(each.name, [service], FORM)
        elif each.service == "WorkflowStep":
            found[f"step {each.name}"] = WorkflowStep(each.name, FORM | {"service": service})
    return found


def test_every_provider_has_them(rundeck: Rundeck, plugin_zip: Path, emulator: Emulator) -> None:
    """Region, key ID and secret reach each provider. The secret is in no setting."""
    before = len(emulator.report()["calls"])
    actions = everything()
    results = run(rundeck, emulator, server(plugin_zip, SHOWN), actions)
    for name, action in actions.items():
        text = said(results[action])
        assert not any(words in text for words in ("secret-access-key", "access-key-id")), (name, text)
        assert SECRET_KEY not in text
    for name in ("executor", "copier", "step ecs-stopped-tasks"):
        assert results[actions[name]].success, (name, results[actions[name]])
    calls = emulator.report()["calls"][before:]
    assert len(calls) >= len(actions)
    assert {call["accessKey"] for call in calls} == {KEY_ID}


def test_the_server_has_them(rundeck: Rundeck, plugin_zip: Path, emulator: Emulator) -> None:
    """The project's variables override the server's. If a secret cannot be read, the error names the variable."""
    actions = {name: action for name, action in everything().items() if name in ("copier", "step ecs-stopped-tasks")}
    both = server(plugin_zip, {"project.globals.ecs-secret-access-key": "keys/nothing"}, SHOWN)
    results = run(rundeck, emulator, both, actions)
    assert results[actions["step ecs-stopped-tasks"]].success
    told = said(results[actions["copier"]])
    assert "globals.ecs-secret-access-key is not usable: Rundeck passed the Key Storage path" in told
