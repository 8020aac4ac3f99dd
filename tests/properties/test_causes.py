"""Compares the diagnosis of a refused session with Check Exec Readiness for the same task."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any

from ecs_exec.errors.causes import access, readiness, sections
from ecs_exec.steps.checks import checks
from ecs_exec.steps.facts import OPEN_CHANNEL, Decisions, Facts

DRAWS = 500
NAMES = {cause.name for cause in readiness.CAUSES}
STATUSES = ["RUNNING"] * 6 + ["PROVISIONING", "PENDING", "ACTIVATING", "DEACTIVATING", "STOPPING", "STOPPED", ""]
AGENTS = ["RUNNING"] * 4 + ["PENDING", "STOPPED", ""]
VARIABLES = ["PATH", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY", "AWS_REGION"]


def draw(number: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Make up a task, its task definition, and the container that is meant."""
    some = random.Random(number)  # noqa: S311 - a test's
    names = some.sample(["app", "log", "proxy"], some.randint(1, 3))
    launch = some.choice(["FARGATE", "EC2", "EXTERNAL", "MANAGED_INSTANCES", ""])
    task = {
        "taskArn": f"arn:aws:ecs:us-east-1:123456789012:task/demo/{number:032x}",
        "lastStatus": some.choice(STATUSES),
        "launchType": launch,
        "platformVersion": some.choice(["1.4.0", "1.3.0", "LATEST", "1.0.0"]) if launch == "FARGATE" else None,
        "platformFamily": some.choice(["Linux", "WINDOWS_SERVER_2022_CORE"]),
        "enableExecuteCommand": some.random() < 0.8,
        "stopCode": "UserInitiated",
        "containers": [container(some, name) for name in names],
        "overrides": some.choice([{}, {"containerOverrides": [variables(some, name) for name in names]}]),
    }
    definition = {
        "family": "web",
        "revision": number,
        "taskRoleArn": some.choice(["arn:aws:iam::123456789012:role/web", ""]),
        "pidMode": some.choice(["", "", "task", "host"]),
        "containerDefinitions": [
            {**variables(some, name), "readonlyRootFilesystem": some.random() < 0.2} for name in names
        ],
    }
    return task, some.choice([definition, definition, {}]), some.choice([*names, "nobody", ""])


def container(some: random.Random, name: str) -> dict[str, Any]:
    """Make up a container and its agent."""
    agent = {"name": "ExecuteCommandAgent", "lastStatus": some.choice(AGENTS), "reason": some.choice(["", "no disk"])}
    return {"name": name, "managedAgents": [agent] if some.random() < 0.85 else []}


def variables(some: random.Random, name: str) -> dict[str, Any]:
    """Make up an environment, and secrets."""
    chosen = [{"name": variable} for variable in some.sample(VARIABLES, some.choice([0, 0, 1, 2]))]
    return {"name": name, some.choice(["environment", "secrets"]): chosen}


def permissions(some: random.Random, actions: list[str]) -> Decisions:
    """Make up what IAM's simulator says of some actions."""
    denied = [action for action in actions if some.random() < 0.3]
    return Decisions("me", tuple(action for action in actions if action not in denied), tuple(denied), ())


def access_facts(number: int) -> Facts:
    """Make up permissions, endpoints, and what the cluster logs, beside a task that runs."""
    some = random.Random(number)  # noqa: S311 - a test's
    task, definition, container = draw(number)
    facts = Facts("us-east-1", "demo", identity="me", task=task, container=container, definition=definition)
    mine = ["ecs:ExecuteCommand", "kms:GenerateDataKey", OPEN_CHANNEL, "ssm:ResumeSession", "ssm:StartSession"]
    facts.caller = permissions(some, mine)
    facts.role = permissions(some, ["ssmmessages:OpenDataChannel"])
    endpoint: Mapping[str, Any] = {
        "ServiceName": some.choice(["com.amazonaws.us-east-1.ssmmessages", "com.amazonaws.us-east-1.s3"]),
        "State": some.choice(["available", "pending"]),
        "PrivateDnsEnabled": some.random() < 0.5,
    }
    facts.endpoints = [endpoint] if some.random() < 0.7 else []
    facts.settings = some.choice([{}, {"logging": "OVERRIDE"}])
    return facts


def shown(task: dict[str, Any], definition: dict[str, Any], container: str) -> set[str]:
    """Return the names of the causes in the lines of Check Exec Readiness that are not ok."""
    facts = Facts("us-east-1", "demo", identity="me", task=task, container=container, definition=definition)
    facts.role = Decisions("role/web", (), ("ssmmessages:OpenDataChannel",), ())
    texts = [check.text for check in checks(facts) if check.state in {"failed", "warning"}]
    return {name for text in texts for name in re.findall(r"\[([\w-]+)\]\Z", text)} & NAMES


def test_the_check_and_the_diagnosis_agree() -> None:
    """For every task, the first cause of the diagnosis is among the causes of the check."""
    seen: set[str] = set()
    for number in range(DRAWS):
        task, definition, container = draw(number)
        found = readiness.find(task, definition, container)
        names = {cause.name for cause in found}
        assert shown(task, definition, container) == names, number
        assert {cause.name for cause in readiness.roots(found)} <= names
        assert bool(readiness.roots(found)) == bool(names), number
        seen |= names
    assert seen == NAMES - {"task-gone", "instance-agent-gone", "instance-agent-too-old"}


def test_every_warning_of_the_check_has_a_row() -> None:
    """Permissions, the route to SSM and session logs, too: an operator searches the page for the name."""
    rows = {cause.name for section in sections() for cause in section.causes}
    seen: set[str] = set()
    for number in range(DRAWS):
        for check in checks(access_facts(number)):
            if check.state in {"failed", "warning"}:
                name = re.search(r" \[([\w-]+)\]\Z", check.text)
                assert name, check
                seen.add(name[1])
    assert seen <= rows
    assert seen >= {cause.name for cause in access.CAUSES}
