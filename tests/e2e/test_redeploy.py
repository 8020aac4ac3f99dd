"""Redeploy Service against every fault of a deployment: it never reports a success that is none."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from e2e.rundeck_launch import ALONE, CONTENTS, started_by
from e2e.service_steps import Ended, calls, environ
from e2e.service_steps import run as run_in_process
from ecs_exec.ecs.api import Aws
from ecs_exec.settings.steps import read_redeploy
from ecs_exec.steps import redeploy
from emulator import Emulator

# They have one emulator, whose services change.
pytestmark = pytest.mark.xdist_group("redeploy")

IMAGE = "registry.example.com:5000/team/web:1.0"


def service(**rollout: Any) -> dict[str, Any]:  # noqa: ANN401 - as the world's file has it
    """Describe a service of two tasks."""
    containers = {"app": {"image": IMAGE}, "log": {"image": "log:1", "essential": False}}
    return {"desired": 2, "containers": containers, "tags": {"team": "x"}, "rollout": {"takes": 0.02, **rollout}}


BREAKER = {"fails": -1, "circuit_breaker": 3}
LATE = {"listed_at": "SCALE_UP", "primary_at": "PRODUCTION_TRAFFIC_SHIFT", "stage_takes": 0.03, "bake": 0.2}
WORLD = {
    "clusters": {
        "c": {
            "services": {
                "good": service(),
                "stumbles": service(fails=2),
                "breaks": service(**BREAKER),
                "returns": service(**BREAKER, rollback=True),
                "fails": service(fails=-1, takes=0.7),
                "hangs": service(drains=-1),
                "contested": service(takes=0.2, rival=0.1),
                "plain": service(api=False),
                "plain-breaks": service(**BREAKER, api=False),
                "plain-returns": service(**BREAKER, api=False, rollback=True),
                "plain-contested": service(takes=0.2, rival=0.1, api=False),
                "green": service(strategy="BLUE_GREEN", **LATE),
                "green-hook": service(strategy="BLUE_GREEN", hooks={"PRE_SCALE_UP": "fails"}, **LATE),
                "canary": service(strategy="CANARY", alarm="BAKE_TIME", rollback=True, bake=0.05, stage_takes=0),
                "codedeploy": service(controller="CODE_DEPLOY"),
                "empty": service() | {"desired": 0},
                "slow": service(takes=30),
                "silent": service(takes=30),
                "slower": service(takes=30, api=False),
                "denied": service(takes=30),
                "image": service(),
                "lost": service(),
            }
        }
    }
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give services that are deployed in different ways."""
    with Emulator(world=WORLD) as running:
        yield running


Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def aws(emulator: Emulator) -> Aws:
    """Give one client for all runs in this process: making botocore's takes long."""
    return Aws(read_redeploy(environ(emulator, "good", {})).access)


@pytest.fixture
def run(emulator: Emulator, aws: Aws, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run the step in this process."""

    def run_step(name: str, **config: str) -> Ended:
        return run_in_process(redeploy, read_redeploy(environ(emulator, name, config)), aws, capfdbinary)

    return run_step


def events(ended: Ended) -> list[str]:
    """Give the printed events of the service."""
    return [line.partition("s  ")[2] for line in ended.out if "s  (service " in line]


@pytest.mark.parametrize("name", ["good", "plain", "stumbles", "green"])
def test_success(run: Run, emulator: Emulator, name: str) -> None:
    """The step ends when the new tasks run and no old one is left, not before."""
    ended = run(name)
    assert ended.status == 0, ended
    assert ended.out[-1].endswith("the deployment is complete, and no old task is left")
    tasks = [task for task in emulator.tasks() if task.group.service == name]
    running = {task.deployment for task in tasks if task.last_status != "STOPPED"}
    assert running == {tasks[-1].deployment}
    assert sum(task.running for task in tasks) == 2
    assert len(set(events(ended))) == len(events(ended)) == 6
    assert sum(" failed: EssentialContainerExited" in line for line in ended.out) == (2 if name == "stumbles" else 0)
    assert sum(line.startswith("    cause ") for line in ended.out) == (name == "stumbles")
    assert ("UnsupportedFeatureException" in str(ended.out)) == (name == "plain")
    assert ("stage BAKE_TIME: the new tasks have the production traffic" in str(ended.out)) == (name == "green")
    assert ended.err == ""


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("breaks", 1, ["circuit breaker gave it up after 3 failed tasks", "[deployment-unsuccessful]"]),
        ("plain-breaks", 1, ["tasks failed to start", "[deployment-unsuccessful]"]),
        ("returns", 2, ["circuit breaker gave it up", "runs returns:1", "[deployment-rolled-back]"]),
        ("plain-returns", 2, ["runs plain-returns:1", "[deployment-rolled-back]"]),
        ("green-hook", 2, ["lifecycle hook check", "stage PRE_SCALE_UP failed", "[deployment-rolled-back]"]),
        ("canary", 2, ["alarms went off: errors", "runs canary:1", "[deployment-rolled-back]"]),
        ("contested", 3, ["somebody else's deployment ecs-svc/", "[deployment-replaced]"]),
        ("plain-contested", 3, ["somebody else's deployment ecs-svc/", "[deployment-replaced]"]),
        ("hangs", 124, ["not complete after 60 s", "[deployment-timeout]"]),
        ("fails", 124, ["not complete after 60 s", "[deployment-timeout]"]),
        ("codedeploy", 125, ["CODE_DEPLOY", "[deployment-controller]"]),
        ("empty", 125, ["[desired-count-zero]"]),
        ("nothing", 125, ["there is no service nothing", "(cluster c, us-east-1)", "[service-not-described]"]),
    ],
)
def test_failure(run: Run, name: str, status: int, words: list[str]) -> None:
    """Each end has its exit status and one line, and failed tasks are explained once each."""
    ended = run(name, **({"wait_timeout": "60"} if status == 124 else {}))
    assert ended.status == status, ended
    (line,) = ended.err.splitlines()
    assert [word for word in words if word not in line] == []
    failed = [line for line in ended.out if " failed: EssentialContainerExited" in line]
    assert len(set(failed)) == len(failed)
    assert len(failed) == 3 if name in {"breaks", "returns", "plain-breaks", "plain-returns"} else True
    assert len(failed) >= 3 if name == "fails" else True


def test_an_image(run: Run, emulator: Emulator) -> None:
    """A revision is registered only if the image changes; it differs in nothing else."""
    before = calls(emulator, "RegisterTaskDefinition")
    first = run("image", tag="1.1", desired_count="3")
    assert first.status == 0, first
    assert first.out[0].endswith(f"container app: {IMAGE} -> {IMAGE[:-1]}1")
    again = run("image", tag="1.1")
    assert again.out[0].endswith("already: no new revision")
    assert calls(emulator, "RegisterTaskDefinition") == before + 1
    back = run("image", task_definition="image:1", container="log", image="log:2")
    assert back.status == 0, back
    tasks = [task for task in emulator.tasks() if task.group.service == "image"]
    assert [item.image for item in tasks[-1].group.containers] == [IMAGE, "log:2"]
    assert sum(task.running for task in tasks) == 3
    assert "has several" not in run("image", image="x").err
    family = run("image", task_definition="image")
    assert family.out[-1].endswith("runs image:4: the deployment is complete, and no old task is left"), family


def test_lost_answers(run: Run, emulator: Emulator) -> None:
    """Neither a revision nor a deployment is made twice, and a call that had no effect is repeated."""
    before = {action: calls(emulator, action) for action in ("RegisterTaskDefinition", "UpdateService")}
    emulator.set_faults({"lost_answers": dict.fromkeys(before, 1)})
    ended = run("lost", tag="2")
    assert ended.status == 0, ended
    assert {action: calls(emulator, action) - before[action] for action in before} == dict.fromkeys(before, 1)
    assert sum("was not answered" in line for line in ended.out) == 2
    emulator.set_faults({"api_errors": {"UpdateService": ["ThrottlingException", "ServerException"]}})
    again = run("lost", tag="2")
    assert again.status == 0, again
    assert calls(emulator, "UpdateService") == before["UpdateService"] + 4
    assert sum("calling ecs:UpdateService again" in line for line in again.out) == 1


def test_no_wait_outlasts_its_limit(run: Run, emulator: Emulator) -> None:
    """Not even if AWS does not answer: the limit is one of real seconds here."""
    began = time.monotonic()
    emulator.set_faults({"api_delays": {"UpdateService": 2}})
    ended = run("silent", wait_timeout="1")
    emulator.set_faults({})
    assert (ended.status, time.monotonic() - began < 1.9) == (124, True), ended
    assert "it may have begun a deployment" in ended.err


def test_somebody_else_deploys_already(run: Run, aws: Aws) -> None:
    """A line says so before the deployment."""
    aws.call("ecs", "UpdateService", "", cluster="c", service="slow", forceNewDeployment=True)
    ended = run("slow", wait_timeout="30")
    assert re.search(r"somebody else's deployment ecs-svc/\d+ of slow:1 is in progress", ended.out[0])
    assert ended.status == 124


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("slow", {}, r"ECS goes on with deployment ecs-svc/\d+"),
        ("slow", {"on_abort": "rollback"}, r"ECS rolls deployment ecs-svc/\d+ back"),
        ("slower", {"on_abort": "rollback"}, "it runs the same revision as before"),
        ("slower", {"on_abort": "rollback", "tag": "2"}, "ECS deploys slower:1 again"),
        ("denied", {"on_abort": "rollback"}, "same revision as before; ecs:StopServiceDeployment failed: AccessDenied"),
    ],
)
def test_abort(emulator: Emulator, name: str, config: Mapping[str, str], words: str) -> None:
    """It ends the step within seconds, and does what on-abort says, or says what forbids it."""
    emulator.set_faults(
        {"api_errors": {"StopServiceDeployment": ["AccessDeniedException"]}} if name == "denied" else {}
    )
    environment = ALONE | environ(emulator, name, config)
    script = started_by(Path(CONTENTS) / "redeploy.py")
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    while b"new tasks running" not in process.stdout.readline():
        assert process.poll() is None, process.communicate()
    sent = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 143
    assert time.monotonic() - sent < 3
    assert re.fullmatch(rf"ecs-exec: aborted by SIGTERM; .*{words}.*\n", stderr.decode()), stderr
