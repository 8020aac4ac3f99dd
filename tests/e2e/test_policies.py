"""The IAM policies in docs/iam: what each part of the plugin calls is in its policy, and no more than that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from e2e.rundeck_launch import ALONE, CONTENTS, SECRET_KEY, variables
from emulator import Emulator

# One test process runs all of them: what they look at is run once.
pytestmark = pytest.mark.xdist_group("policies")

POLICIES = Path(__file__).parents[2] / "docs" / "iam"
WORLD: dict[str, Any] = {
    "clusters": {
        "c": {
            "services": {
                "web": {"desired": 2, "containers": {"app": {"log": {"group": "/ecs/web", "prefix": "web"}}}},
                "shop": {"containers": {"app": {}}, "rollout": {"takes": 60}},
                "kiosk": {"containers": {"app": {}}},
                "stand": {"containers": {"app": {}}},
            },
            "tasks": [
                {
                    "family": "pair",
                    "containers": {"app": {"agent": {"handshake": "kms"}}, "side": {"essential": False}},
                },
                {"family": "slow", "containers": {"app": {"agent": {"pty_delay": 15}}}},
                {"family": "locked", "exec_enabled": False, "containers": {"app": {}}},
                {"family": "host", "launch_type": "EC2", "containers": {"app": {}}},
                {"family": "old", "count": 2, "containers": {"app": {}}},
                {"family": "busy", "launch_type": "EC2", "containers": {"app": {"command": ["sleep", "60"]}}},
            ],
        }
    }
}
SERVICE = {"ecs-cluster": "c", "ecs-service": "web"}
NODES = (SERVICE, {"ecs-cluster": "c", "ecs-family": "pair"}, {"ecs-cluster": "c", "ecs-family": "slow"})
"""Found by their service; by their task definition, with an encrypted session; and one whose session is given up."""
ROLE = "arn:aws:iam::123456789012:role/rundeck"
FREE = {"sts:GetCallerIdentity"}
"""Calls that need no permission."""
CHECKED = {
    "redeploy": {"ecs:TagResource", "iam:PassRole"},
    "run-task": {"ecs:TagResource", "iam:PassRole", "ecs:ListTasks"},
}
"""Actions that AWS checks when others are called: those of RegisterTaskDefinition and RunTask with tags and roles. Run
Task lists tasks only if it is aborted before the answer to its request."""


@dataclass(frozen=True)
class Launch:
    """One start of a script."""

    node: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    abort_on: str = ""
    """Words in an output line after which it gets SIGTERM."""


@dataclass(frozen=True)
class Feature:
    """A part of the plugin, with starts that make it call what it can call."""

    policy: str
    """Name of the policy's file, and of the script."""
    launches: tuple[Launch, ...]

    @property
    def key(self) -> str:
        """Return the access key id that identifies its calls."""
        return f"AKIA{self.policy.upper().replace('-', '')}"


def _run(environ: Mapping[str, str], config: Mapping[str, str] | None = None) -> tuple[Launch, ...]:
    return tuple(Launch(node, {**_patience(node.get("ecs-family", "")), **(config or {})}, environ) for node in NODES)


def _patience(family: str) -> dict[str, str]:
    """Give the session up that begins too late, well before it does; the others may take their time."""
    return {"connect-timeout": "5"} if family == "slow" else {}


_COPY = {"RD_FILE_COPY_FILE": __file__, "RD_FILE_COPY_DESTINATION": os.devnull}
_ALL = (
    Feature("node-executor", _run({"RD_EXEC_COMMAND": "echo out"})),
    Feature(
        "run-command",
        (
            *(
                Launch(config={"cluster": "c", "family": name, "command": "true", **_patience(name)})
                for name in ("pair", "slow")
            ),
            Launch(config={"cluster": "c", "service": "web", "command": "true", "all-tasks": "true"}),
        ),
    ),
    Feature(
        "check-exec",
        (
            *_run({}),
            Launch({"ecs-cluster": "c", "ecs-family": "host"}),
            Launch({"ecs-cluster": "c", "ecs-family": "locked"}),
            Launch(config={"cluster": "c", "service": "web"}),
        ),
    ),
    Feature("stop-task", (Launch({"ecs-cluster": "c", "ecs-family": "locked"}), Launch(SERVICE))),
    Feature("stopped-tasks", (Launch(config={"cluster": "c", "family": "locked"}), Launch(config={"cluster": "c"}))),
    Feature(
        "redeploy",
        (
            Launch(
                config={"cluster": "c", "service": "shop", "tag": "2", "on-abort": "rollback", "wait-timeout": "30"},
                abort_on="new task running",
            ),
            Launch(config={"cluster": "c", "service": "kiosk"}),
        ),
    ),
    Feature(
        "run-task",
        (
            Launch(config={"cluster": "c", "like-service": "web", "log-wait": "0"}),
            Launch(config={"cluster": "c", "task-definition": "busy", "timeout": "1", "log-wait": "0"}),
        ),
    ),
    Feature("scale", (Launch(config={"cluster": "c", "service": "stand", "desired-count": "+1"}),)),
    Feature(
        "logs",
        (
            Launch(config={"cluster": "c", "service": "web"}),
            Launch(config={"cluster": "c", "service": "web", "filter": "ERROR"}),
        ),
    ),
    Feature("node-source", (Launch(),)),
    Feature(
        "option-values",
        tuple(
            Launch(
                config={"cluster": "c"},
                environ={"AWS_ACCESS_KEY_ID": "AKIAOPTIONVALUES", "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
                arguments=(kind,),
            )
            for kind in ("clusters", "services", "families", "containers")
        ),
    ),
    Feature("file-copier", _run(_COPY)),
    Feature("run-script", _run({}, {"script": "true"})),
    Feature(
        "fetch-file",
        _run({}, {"source": "/etc/passwd", "fetch-folder": tempfile.mkdtemp()}),
    ),
)
FEATURES = tuple(each for each in _ALL if (CONTENTS / f"{each.policy}.py").is_file())
OTHERS = {"assume-role", "task-role"}


def actions(policy: str) -> set[str]:
    """Give the actions that a policy allows."""
    content = json.loads((POLICIES / f"{policy}.json").read_text())
    found: set[str] = set()
    for statement in content["Statement"]:
        assert statement["Effect"] == "Allow"
        listed = statement["Action"]
        found |= {listed} if isinstance(listed, str) else set(listed)
    return found


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a world in which every session is cut once, so that it must be taken up again."""
    habits = {"start_delay": 0, "pacing": 0, "session_limit": 0}
    with Emulator(world=WORLD, agent=habits, faults={"cut_after_frames": 4, "cuts": 1}) as running:
        yield running


@pytest.fixture(scope="module")
def calls(emulator: Emulator) -> Mapping[str, set[str]]:
    """Give what each feature called, by its policy; they run side by side."""

    def start(feature: Feature, launch: Launch) -> None:
        shared = {"region": emulator.region, "endpoint-url": emulator.endpoint_url, "access-key-id": feature.key}
        config = {**shared, "secret-access-key": SECRET_KEY, **launch.config}
        node = {"name": "node", **launch.node} if launch.node else {}
        environ = {**ALONE, **variables("NODE", node), **variables("CONFIG", config), **launch.environ}
        script = CONTENTS / f"{feature.policy}.py"
        command = [sys.executable, "-u", str(script), *launch.arguments]
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            while launch.abort_on and launch.abort_on.encode() not in process.stdout.readline():
                assert process.poll() is None, process.communicate()
            if launch.abort_on:
                process.terminate()
            _, stderr = process.communicate(timeout=60)
        assert b"internal error" not in stderr, stderr

    with ThreadPoolExecutor(4) as pool:
        launches = [(feature, launch) for feature in FEATURES for launch in feature.launches]
        list(pool.map(start, *zip(*launches, strict=True)))
    report = emulator.report()
    seen = [(call["accessKey"], f"{call['service']}:{call['action']}") for call in report["calls"]]
    seen += [
        (upgrade["accessKey"], "ssmmessages:OpenDataChannel")
        for session in report["sessions"]
        for upgrade in session["upgrades"]
    ]
    return {each.policy: {action for key, action in seen if key == each.key} for each in FEATURES}


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.policy)
def test_what_is_called_is_allowed_and_no_more(feature: Feature, calls: Mapping[str, set[str]]) -> None:
    """Nobody is asked for a permission that is not needed, and nobody lacks one."""
    assert calls[feature.policy] - FREE == actions(feature.policy) - CHECKED.get(feature.policy, set())


def test_an_assumed_role(emulator: Emulator) -> None:
    """Takes one more action, which belongs to the credentials that assume it."""
    config = {"region": emulator.region, "endpoint-url": emulator.endpoint_url, "access-key-id": "AKIAASSUME"}
    config |= {"secret-access-key": SECRET_KEY, "assume-role-arn": ROLE, "cluster": "c", "family": "none"}
    subprocess.run([sys.executable, str(CONTENTS / "stopped-tasks.py")], env=variables("CONFIG", config), check=True)
    seen = {
        f"{call['service']}:{call['action']}"
        for call in emulator.report()["calls"]
        if call["accessKey"] == "AKIAASSUME"
    }
    assert seen == actions("assume-role")


def test_every_policy_is_compared() -> None:
    """The policies name only actions that are called, except the policy of the task role, which AWS's agent uses."""
    assert {path.stem for path in POLICIES.glob("*.json")} == {each.policy for each in _ALL} | OTHERS


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.json")), ids=lambda path: path.stem)
def test_policies_are_sound(path: Path) -> None:
    """Version, resources and conditions are there, and the actions are some that AWS has."""
    content = json.loads(path.read_text())
    assert content["Version"] == "2012-10-17"
    assert all({"Sid", "Effect", "Action", "Resource"} <= set(each) for each in content["Statement"])
    loader = botocore.session.Session()
    for action in actions(path.stem):
        service, _, name = action.partition(":")
        # Actions of the agent's own and those that allow no call are not botocore's.
        if service != "ssmmessages" and action != "iam:PassRole":
            assert name in loader.get_service_model(service).operation_names
