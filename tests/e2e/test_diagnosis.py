"""One line names what is wrong with a task or a session and what to do; the likeliest cause comes first."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from commands import Result
from e2e.rundeck_launch import Launcher
from emulator import Emulator

pytestmark = pytest.mark.xdist_group("e2e-diagnosis")

APP: dict[str, Any] = {"app": {}}
HABITS = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}


@dataclass(frozen=True)
class Case:
    """A task, or a node, and the words that the line must hold."""

    words: list[str]
    task: dict[str, Any] = field(default_factory=dict)
    node: dict[str, str] = field(default_factory=dict)


def ended(text: str) -> dict[str, Any]:
    """Describe a task whose sessions end with a text."""
    return {"containers": {"app": {"agent": {"end_text": text}}}}


NO_LOG_GROUP = (
    "We couldn't start the session because encryption is not set up on the selected CloudWatch Logs log group. Either"
    " encrypt the log group or choose an option to enable logging without encryption."
)
CASES: dict[str, Case] = {
    "exec not enabled": Case(["ECS Exec is not enabled", "--enable-execute-command"], {"exec_enabled": False}),
    "agent stopped": Case(
        ["the ECS Exec agent in container app is STOPPED (it could not start)", "ssmmessages:CreateControlChannel"],
        {"containers": {"app": {"agent_status": "STOPPED", "agent_reason": "it could not start"}}},
    ),
    "agent starting": Case(["still starting"], {"containers": {"app": {"agent_status": "PENDING"}}}),
    "task starting": Case(["the task is PENDING"], {"last_status": "PENDING"}),
    "task stopped": Case(
        [
            "the task has stopped",
            "EssentialContainerExited",
            "Essential container in task exited",
            "exit code 137",
            "OOM",
        ],
        {
            "last_status": "STOPPED",
            "stopped_reason": "Essential container in task exited",
            "containers": {"app": {"exit_code": 137, "reason": "OOM"}},
        },
    ),
    "platform version": Case(["platform version 1.3.0", "1.4.0 or later", "LATEST"], {"platform_version": "1.3.0"}),
    "read-only root": Case(["read-only", "readonlyRootFilesystem", "/managed-agents"], {"read_only": True}),
    "shared PID namespace": Case(
        ["pidMode task", "only in the container that was connected to first"],
        {"pid_mode": "task", "containers": {"main": {}, "app": {}}},
    ),
    "keys in the environment": Case(
        ["the environment of container app", "contains AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY:", "task role"],
        {"containers": {"app": {"env": {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "hush"}}}},
    ),
    "no role": Case(["no task role", "ssmmessages:CreateControlChannel"], {"task_role": False}),
    "no role on an instance": Case(
        ["no task role", "or the instance's role"], {"task_role": False, "launch_type": "EC2"}
    ),
    "wrong container": Case(
        ["no container nobody: it has app, side", "ECS:Container-Name"],
        {"containers": {"app": {}, "side": {}}},
        {"ECS:Container-Name": "nobody"},
    ),
    "no such task": Case(
        ["no such task", "refresh the project's nodes"], node={"ECS:Task-ARN": "", "ecs-task": "e" * 32}
    ),
    "wrong region": Case(
        ["eu-west-1", "ClusterNotFoundException", "the region"],
        node={
            "ECS:Cluster-ARN": "",
            "ecs-cluster": "c",
            "ECS:Task-ARN": "",
            "ecs-task": "e" * 32,
            "ECS:Region": "eu-west-1",
        },
    ),
    "no such cluster": Case(
        ["nowhere", "ClusterNotFoundException", "ecs-cluster"],
        node={"ECS:Cluster-ARN": "", "ecs-cluster": "nowhere", "ECS:Task-ARN": "", "ecs-task": "e" * 32},
    ),
    "damaged agent": Case(
        ["Plugin with name InteractiveCommands not found", "disk", "architecture"],
        ended("Plugin with name InteractiveCommands not found. Step name: InteractiveCommands"),
    ),
    "log group not encrypted": Case(["log group", "cloudWatchEncryptionEnabled"], ended(NO_LOG_GROUP)),
    "no permission to log": Case(
        ["AccessDenied", "s3:PutObject", "the task role"],
        ended("Encountered an error while checking the S3 bucket: AccessDenied: Access Denied status code: 403"),
    ),
    "the role may not decrypt": Case(
        ["kms:Decrypt", "task role"],
        ended("Encountered error while initiating handshake. Fetching data key failed: AccessDeniedException: no"),
    ),
    "no answer in time": Case(
        ["pidMode task", "no answer", "within 6 s"],
        {
            "pid_mode": "task",
            "containers": {"app": {"agent": {"pty_delay": 60, "ack_before_ready": False}}, "side": {}},
        },
    ),
}
SOFT = {"connect-timeout": "6", "transport": "native"}


def family(name: str) -> str:
    """Give the family of a case."""
    return name.replace(" ", "-")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a cluster with a task for each case, and one whose tasks may not be looked at."""
    tasks = [{"containers": APP, **case.task, "family": family(name)} for name, case in CASES.items()]
    world = {
        "agent": HABITS,
        "clusters": {
            "c": {"tasks": tasks},
            "blind": {
                "deny": ["ecs:DescribeTasks"],
                "tasks": [{"family": "x", "exec_enabled": False, "containers": APP}],
            },
        },
    }
    with Emulator(world=world) as running:
        yield running
        assert running.report()["violations"] == []


@pytest.fixture(scope="module")
def results(emulator: Emulator) -> dict[str, Result]:
    """Run a command for each case, side by side."""
    launcher = Launcher(emulator.endpoint_url, emulator.region, config=SOFT)

    def run(name: str) -> Result:
        attributes = emulator.node("c", family(name), container="app") | CASES[name].node
        return launcher.run(attributes, "echo never")

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(CASES, pool.map(run, CASES), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_named(results: dict[str, Result], name: str) -> None:
    """And what to do about it; the line says on which container, too."""
    result = results[name]
    assert (result.stdout, result.status) == (b"", 125), result
    *waiting, line = result.stderr.decode().splitlines()
    assert all(text.startswith("ecs-exec: waiting up to") for text in waiting), result
    assert line.startswith("ecs-exec: ")
    assert [word for word in CASES[name].words if word not in line] == [], line
    assert "hush" not in line


def test_what_is_final_is_not_waited_for(results: dict[str, Result]) -> None:
    """Only failures that may end by themselves are retried."""
    waited = {name for name, result in results.items() if b"waiting up to" in result.stderr}
    final = {"exec not enabled", "agent stopped", "task stopped", "platform version", "wrong container", "no such task"}
    assert waited & final == set()
    assert {"agent starting", "task starting"} <= waited


def test_without_permission_to_look_the_refusal_is_reported(emulator: Emulator) -> None:
    """The line has AWS's own words. The missing permission is a detail."""
    launcher = Launcher(emulator.endpoint_url, emulator.region, config=SOFT)
    result = launcher.run(emulator.node("blind", "x"), "true", RD_JOB_LOGLEVEL="DEBUG")
    *details, line = result.stderr.decode().splitlines()
    assert result.status == 125
    assert "execute command was not enabled" in line
    assert "container app of task" in line
    assert any("ecs:DescribeTasks" in detail for detail in details)
