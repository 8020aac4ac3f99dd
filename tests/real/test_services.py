"""Redeploy Service and Scale Service in the real rundeck-core, with the emulator as ECS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from real.projects import KEYS, for_steps
from real.rundeck import Execution, Lanes, Run, Rundeck, Server, WorkflowStep

APP: dict[str, Any] = {"containers": {"app": {}}}
WORLD = {
    "clusters": {
        "demo": {
            "services": {
                "shop": {"desired": 2, "containers": {"app": {"image": "shop:1"}}},
                "breaks": {**APP, "rollout": {"fails": -1, "circuit_breaker": 3}},
                "returns": {**APP, "rollout": {"fails": -1, "circuit_breaker": 3, "rollback": True}},
                "contested": {**APP, "rollout": {"takes": 1, "rival": 0.2}},
                "green": {**APP, "rollout": {"strategy": "BLUE_GREEN", "stage_takes": 0.3, "bake": 3}},
                "hooked": {**APP, "rollout": {"strategy": "CANARY", "hooks": {"PRE_SCALE_UP": "fails"}}},
                "hangs": {**APP, "rollout": {"drains": -1}},
                "slow": {**APP, "rollout": {"takes": 60}},
                "grows": {**APP, "rollout": {"scaling": "1-2"}},
                "undone": {**APP, "rollout": {"takes": 1, "scaling": "1-2", "undone": 0.5}},
                "stays": {**APP, "rollout": {"drains": -1}},
            }
        },
        "shut": {"deny": ["ecs:UpdateService"], "services": {"web": APP}},
    }
}


@pytest.fixture(scope="module")
def emulator(rundeck: Rundeck) -> Iterator[Emulator]:
    """Give each core services of its own."""
    assert rundeck
    with Emulator(world=WORLD) as running:
        yield running


@pytest.fixture(scope="module")
def server(plugin_zip: Path, emulator: Emulator) -> Server:
    """Give a project that has credentials and endpoint for both steps."""
    return Server(plugins=[plugin_zip], keys=KEYS, project_properties=for_steps(emulator))


def deploy(service: str, **more: str) -> WorkflowStep:
    """Deploy a service of the cluster demo again."""
    return WorkflowStep("ecs-redeploy", {"cluster": "demo", "service": service, **more})


def scale(service: str, count: str, **more: str) -> WorkflowStep:
    """Scale a service of the cluster demo."""
    return WorkflowStep("ecs-scale", {"cluster": "demo", "service": service, "desired-count": count, **more})


STEPS = {
    "deploy": deploy("shop", tag="2", **{"desired-count": "1"}),
    "deploy green": deploy("green", **{"wait-timeout": "120"}),
    "deploy hooked": deploy("hooked"),
    "deploy broken": deploy("breaks"),
    "deploy rolled back": deploy("returns"),
    "deploy contested": deploy("contested"),
    "deploy late": deploy("hangs", **{"wait-timeout": "3"}),
    "deploy nothing": deploy("nothing"),
    "deploy faulty": deploy("", image="x", tag="y"),
    "deploy aborted": WorkflowStep(
        "ecs-redeploy",
        {"cluster": "demo", "service": "slow", "on-abort": "rollback"},
        run=Run(interrupt_on="new task running", patience=20, linger=4),
    ),
    "scale": scale("grows", "+2"),
    "scale undone": scale("undone", "9"),
    "scale late": scale("stays", "0", **{"wait-timeout": "3"}),
    "scale faulty": scale("grows", "two"),
    "scale refused": scale("web", "2", cluster="shut"),
}


@pytest.fixture(scope="module")
def ran(rundeck: Rundeck, server: Server) -> Mapping[str, Execution]:
    """Give the result of each step by name; one server runs all of them, those of different services at once."""
    lanes: dict[str, list[WorkflowStep]] = {}
    for step in STEPS.values():
        lanes.setdefault(step.config["service"], []).append(step)
    results = rundeck.run(server, Lanes(*lanes.values()))
    return {name: results[step] for name, step in STEPS.items()}


def test_shifting_traffic(ran: Mapping[str, Execution]) -> None:
    """A blue/green deployment is followed through the bake time."""
    lines = ran["deploy green"].stdout
    assert ran["deploy green"].success, ran["deploy green"]
    assert any("stage BAKE_TIME: the new tasks have the production traffic" in line for line in lines)
    assert lines[-1].endswith("runs green:1: the deployment is complete, and no old task is left")


def test_redeploying_a_service(ran: Mapping[str, Execution], emulator: Emulator) -> None:
    """With another image and number of tasks; the step ends when no old task is left. An abort rolls back."""
    lines = ran["deploy"].stdout
    assert ran["deploy"].success, ran["deploy"]
    assert lines[0] == "registered shop:2 from shop:1: container app: shop:1 -> shop:2"
    assert lines[-1].endswith("runs shop:2: the deployment is complete, and no old task is left")
    tasks = [task for task in emulator.tasks() if task.group.service == "shop"]
    assert [task.last_status for task in tasks] == ["STOPPED", "STOPPED", "RUNNING"]
    assert tasks[-1].group.containers[0].image == "shop:2"
    assert not ran["deploy aborted"].success
    asked = [call["action"] for call in emulator.report()["calls"]]
    assert asked.count("StopServiceDeployment") == 1


def test_scaling_a_service(ran: Mapping[str, Execution], emulator: Emulator) -> None:
    """So many tasks run when the step ends, and it says that autoscaling will undo the number."""
    assert ran["scale"].success, ran["scale"]
    assert "between 1 and 2 tasks: it will undo 3" in ran["scale"].stdout[1]
    assert ran["scale"].stdout[-1].endswith("service grows in cluster demo has 3 tasks")
    assert sum(task.running for task in emulator.tasks() if task.group.service == "grows") == 3


@pytest.mark.parametrize(
    ("step", "status", "words"),
    [
        ("deploy broken", 1, ["circuit breaker", "[deployment-unsuccessful]"]),
        ("deploy rolled back", 2, ["circuit breaker", "[deployment-rolled-back]"]),
        ("deploy hooked", 2, ["lifecycle hook check", "stage PRE_SCALE_UP failed", "[deployment-rolled-back]"]),
        ("deploy contested", 3, ["somebody else's deployment", "[deployment-replaced]"]),
        ("deploy late", 124, ["not complete after 3 s", "[deployment-timeout]"]),
        ("deploy nothing", 125, ["there is no service nothing", "(cluster demo, us-east-1)"]),
        ("deploy faulty", 125, ["service is empty", "image and tag are set"]),
        ("scale undone", 3, ["Application Auto Scaling or somebody else", "to 2", "[count-changed]"]),
        ("scale late", 124, ["does not have 0 running tasks after 3 s", "[scale-timeout]"]),
        ("scale faulty", 125, ["desired-count is 'two'"]),
        ("scale refused", 125, ["ecs:UpdateService", "grant"]),
    ],
)
def test_failures(ran: Mapping[str, Execution], step: str, status: int, words: list[str]) -> None:
    """Each has its status, and one line that says what failed, where, and what to do."""
    execution = ran[step]
    assert not execution.success
    assert f"result code was: {status}" in str(execution.steps[0].message), execution
    (line,) = execution.stderr
    assert line.startswith("ecs-exec: ")
    assert [word for word in words if word not in line] == [], line
