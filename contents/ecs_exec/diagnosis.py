"""Why ECS Exec does not work for a container: the causes that the descriptions of its task show. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ecs_exec.target import Described, agents, short

_ENABLE = (
    "enable it and start the task anew (aws ecs update-service --enable-execute-command --force-new-deployment,"
    " or aws ecs run-task --enable-execute-command)"
)
_FARGATE_FROM = (1, 4, 0)
_KEYS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"})


def cause(task: Described | None, definition: Mapping[str, Any] | None, container: str) -> str:
    """Return the likeliest cause and its cure in one sentence; empty where the descriptions show none.

    `task` is what ecs:DescribeTasks gives, None if there is no such task; `definition` what
    ecs:DescribeTaskDefinition gives, None if that was not asked for or is not allowed.
    """
    if task is None:
        return (
            "there is no such task in this cluster and region: it may have been replaced; refresh the project's nodes,"
            " or use the attribute ecs-service in place of a task"
        )
    return next(_causes(task, definition or {}, container), "")


def stopped(task: Described) -> str:
    """Return how a task that has stopped came to its end: its code, its reason, and those of its containers."""
    parts = [str(task[name]) for name in ("stopCode", "stoppedReason") if task.get(name)]
    for item in task.get("containers", []):
        details = [f"exit code {item['exitCode']}"] if item.get("exitCode") is not None else []
        details += [str(item["reason"])] if item.get("reason") else []
        if details:
            parts.append(f"container {item.get('name')}: {', '.join(details)}")
    return "; ".join(parts)


def _causes(task: Described, definition: Mapping[str, Any], container: str) -> Iterator[str]:
    """Yield what is wrong, the likeliest first."""
    status = str(task.get("lastStatus", ""))
    if status == "STOPPED":
        yield f"the task has stopped ({stopped(task) or 'no reason given'})"
    if status and status != "RUNNING":
        yield f"the task is {status}, not RUNNING"
    names = sorted(str(item.get("name")) for item in task.get("containers", []))
    if container and container not in names:
        yield f"the task has no container {container}, it has {', '.join(names)}; check ECS:Container-Name"
    if not task.get("enableExecuteCommand"):
        yield f"ECS Exec is not enabled on the task: {_ENABLE}"
    yield from _platform(task)
    yield from _definition(definition, container)
    yield from _agent(task, container)


def _platform(task: Described) -> Iterator[str]:
    version = str(task.get("platformVersion") or "")
    if not re.fullmatch(r"\d+(\.\d+)*", version) or "windows" in str(task.get("platformFamily", "")).lower():
        return
    if tuple(int(part) for part in version.split(".")) < _FARGATE_FROM:
        yield f"the task runs on Fargate platform version {version}, and ECS Exec needs 1.4.0 or later"


def _definition(definition: Mapping[str, Any], container: str) -> Iterator[str]:
    """Yield what in the task definition keeps the agent from working."""
    family = f"{definition.get('family')}:{definition.get('revision')}"
    for item in definition.get("containerDefinitions", []):
        if container and item.get("name") != container:
            continue
        if item.get("readonlyRootFilesystem"):
            yield (
                f"the container's root file system is read-only (readonlyRootFilesystem in {family}),"
                " and the SSM agent must be able to write"
            )
        found = sorted(_KEYS.intersection(variable.get("name") for variable in item.get("environment", [])))
        if found:
            yield (
                f"{', '.join(found)} in the container's environment ({family}) take the place of the task role for"
                " the SSM agent: remove them, or give those credentials the ssmmessages permissions"
            )
    if definition.get("pidMode") == "task":
        yield f"containers share a PID namespace (pidMode task in {family}): ECS Exec works in one of them only"
    if definition and not definition.get("taskRoleArn"):
        yield (
            f"the task definition {family} has no task role: give it one with ssmmessages:CreateControlChannel,"
            " CreateDataChannel, OpenControlChannel and OpenDataChannel"
        )


def _agent(task: Described, container: str) -> Iterator[str]:
    agent = agents(task).get(container)
    if agent is None:
        if task.get("enableExecuteCommand"):
            yield f"container {container} has no ECS Exec agent: the task was started before it was enabled; {_ENABLE}"
        return
    status, reason = str(agent.get("lastStatus", "")), str(agent.get("reason") or "")
    if status == "PENDING":
        yield "the ECS Exec agent is still starting in it: try again in a moment"
    elif status != "RUNNING":
        because = f" ({reason})" if reason else ""
        yield (
            f"the ECS Exec agent in container {container} of task {short(str(task.get('taskArn', '')))} is"
            f" {status or 'in no known state'}{because}: check the task role's ssmmessages permissions, and start the"
            " task anew"
        )
