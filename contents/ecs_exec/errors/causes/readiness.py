"""Finds why ECS Exec does not work in a container, from its task and its task definition. Does no I/O.

The diagnosis of a refused session and Check Exec Readiness both use it, so their results cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ecs_exec.errors.causes import of
from ecs_exec.errors.causes.cause import Cause
from ecs_exec.task_description import Described, agents

CHANNELS = "ssmmessages:CreateControlChannel, CreateDataChannel, OpenControlChannel and OpenDataChannel"

_NEW_TASK = (
    "aws ecs update-service --enable-execute-command --force-new-deployment, or aws ecs run-task"
    " --enable-execute-command"
)
_FARGATE_FROM = {"linux": (1, 4, 0), "windows": (1, 0, 0)}
AGENT_FROM = (1, 50, 2)
"""The first versions with ECS Exec: of Fargate's platforms, and of the ECS agent on instances."""

_KEYS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"})
"""Variables with credentials that the SSM agent uses instead of the task role."""

STARTING = frozenset({"PROVISIONING", "PENDING", "ACTIVATING"})
GONE = frozenset({"STOPPED", "DEPROVISIONING"})
"""States of a task whose containers have ended."""

INTRO = "The plugin finds these in the task and its task definition. A line shows the most likely cause first."

CAUSES = (
    Cause(
        "task-gone",
        "there is no such task in this cluster and region",
        "it may have been replaced: refresh the project's nodes, or name a service (of a node: ecs-service) instead of"
        " a task",
    ),
    Cause("task-stopped", "the task has stopped ({how})", "name a running task, or use the node attribute ecs-service"),
    Cause("task-not-running", "the task is {status}, not RUNNING", "wait until it runs, or name another task"),
    Cause(
        "container-missing",
        "the task has no container {container}: it has {names}",
        "check the container's name (of a node: ECS:Container-Name or ecs-container)",
    ),
    Cause(
        "container-not-named",
        "the task has several containers ({names})",
        "name one of them (of a node: ECS:Container-Name or ecs-container)",
    ),
    Cause(
        "exec-not-enabled",
        "ECS Exec is not enabled on the task",
        f"enable it and start a new task ({_NEW_TASK}); set it in the deployment tool, too",
    ),
    Cause(
        "platform-too-old",
        "the task runs on Fargate platform version {version}, and ECS Exec needs {needed} or later",
        "set the service's platform version to LATEST and deploy it again",
    ),
    Cause(
        "instance-agent-too-old",
        "the ECS agent {version} on {instance} is too old: ECS Exec needs {needed} or later",
        "{update}",
    ),
    Cause(
        "instance-agent-gone",
        "the ECS agent on {instance} is not connected",
        "restart the agent, or replace the instance",
    ),
    Cause(
        "root-read-only",
        "the root file system of container {container} is read-only (readonlyRootFilesystem in {definition}), so the"
        " SSM agent cannot write",
        "set it to false, or mount volumes at /managed-agents, /var/lib/amazon/ssm and /var/log/amazon/ssm",
    ),
    Cause(
        "keys-in-environment",
        "the environment of container {container} ({definition}) contains {keys}: the SSM agent uses them instead of"
        " the task role",
        "remove them, or give those credentials the ssmmessages permissions",
    ),
    Cause(
        "pid-mode-task",
        "the task's containers share a PID namespace (pidMode task in {definition}): ECS Exec works only in the"
        " container that was connected to first",
        "remove pidMode from the task definition, or connect to that container",
    ),
    Cause(
        "task-role-missing",
        "the task definition {definition} has no task role",
        f"give it a task role{{instance}} with {CHANNELS}",
        "ssmmessages:CreateControlChannel",
    ),
    Cause(
        "agent-missing",
        "container {container} has no ECS Exec agent: the task started before ECS Exec was enabled",
        f"start a new task ({_NEW_TASK})",
    ),
    Cause(
        "agent-starting",
        "the ECS Exec agent in container {container} is still starting",
        "try again in a minute; if it does not start, check the task role and the route to SSM",
    ),
    Cause(
        "agent-stopped",
        "the ECS Exec agent in container {container} is {status}",
        f"check that the task role has {CHANNELS} and that the task can reach ssmmessages, and start a new task",
        "ssmmessages:CreateControlChannel",
    ),
)

_ROOTS = frozenset({"task-gone", "task-stopped", "task-not-running", "container-missing", "exec-not-enabled"})
"""Root causes: with one of these, the other causes do not matter."""


class Found(NamedTuple):
    """A cause that was found in the descriptions."""

    name: str
    fields: Mapping[str, str]
    passing: bool = False
    """It will pass without any action."""
    certain: bool = True
    """ECS Exec cannot work with it."""

    @property
    def says(self) -> str:
        """Return the cause in one sentence."""
        return of(self.name).says.format_map(self.fields)

    @property
    def cure(self) -> str:
        """Return what to do about it."""
        return of(self.name).cure.format_map(self.fields)


def find(task: Described | None, definition: Mapping[str, Any] | None, container: str) -> list[Found]:
    """Return all causes that the descriptions show, root causes first.

    `task` is a description of ecs:DescribeTasks, None if there is no such task. `definition` is a description of
    ecs:DescribeTaskDefinition, None or empty if it was not or could not be read. With an empty `container`, all
    containers are checked.
    """
    if task is None:
        return [Found("task-gone", {})]
    roots = list(_of_task(task, container))
    agent = [] if any(cause.certain for cause in roots) else _agents(task, container)
    return [*roots, *_platform(task), *_definition(task, definition or {}, container), *agent]


def roots(found: Iterable[Found]) -> list[Found]:
    """Return the causes to show for a refused session: only the certain root causes, if there are any."""
    every = list(found)
    return [cause for cause in every if cause.name in _ROOTS and cause.certain] or every


def how_it_ended(task: Described) -> str:
    """Return how a stopped task ended: its stop code and reason, and the exit codes and reasons of its containers."""
    parts = [str(task[name]) for name in ("stopCode", "stoppedReason") if task.get(name)]
    for item in task.get("containers", []):
        details = [f"exit code {item['exitCode']}"] if item.get("exitCode") is not None else []
        details += [str(item["reason"])] if item.get("reason") else []
        if details:
            parts.append(f"container {item.get('name')}: {', '.join(details)}")
    return "; ".join(parts)


def version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version like 1.4.0; empty for LATEST and other words."""
    return tuple(map(int, text.split("."))) if re.fullmatch(r"\d+(\.\d+)*", text) else ()


# --- The task


def _of_task(task: Described, container: str) -> Iterator[Found]:
    status = str(task.get("lastStatus", ""))
    if status in GONE:
        yield Found("task-stopped", {"how": how_it_ended(task) or "no reason given"})
    elif status and status != "RUNNING":
        yield Found("task-not-running", {"status": status}, passing=status in STARTING)
    names = sorted(str(item.get("name")) for item in task.get("containers", []))
    if container and container not in names:
        yield Found("container-missing", {"container": container, "names": ", ".join(names) or "none"})
    elif not container and len(names) > 1:
        yield Found("container-not-named", {"names": ", ".join(names)}, certain=False)
    if not task.get("enableExecuteCommand"):
        yield Found("exec-not-enabled", {})


def _platform(task: Described) -> Iterator[Found]:
    """Check the version of Fargate's platform. Instances, also managed ones, have an ECS agent instead."""
    found = version(str(task.get("platformVersion") or ""))
    windows = "windows" in str(task.get("platformFamily", "")).lower()
    needed = _FARGATE_FROM["windows" if windows else "linux"]
    if found and found < needed:
        fields = {"version": str(task["platformVersion"]), "needed": ".".join(map(str, needed))}
        yield Found("platform-too-old", fields)


def _agents(task: Described, container: str) -> Iterator[Found]:
    found = agents(task)
    for item in task.get("containers", []):
        name = str(item.get("name"))
        if not container or name == container:
            yield from _agent(name, found.get(name))


def _agent(container: str, agent: Described | None) -> Iterator[Found]:
    if agent is None:
        yield Found("agent-missing", {"container": container})
        return
    status, reason = str(agent.get("lastStatus") or "in no known state"), str(agent.get("reason") or "")
    if status == "PENDING":
        yield Found("agent-starting", {"container": container}, passing=True)
    elif status != "RUNNING":
        because = f" ({reason})" if reason else ""
        yield Found("agent-stopped", {"container": container, "status": f"{status}{because}"})


def of_instance(task: Described, instance: Mapping[str, Any]) -> Iterator[Found]:
    """Yield the causes in a task's instance; `instance` is a description of ecs:DescribeContainerInstances."""
    name = instance_name(instance)
    if not instance.get("agentConnected", True):
        yield Found("instance-agent-gone", {"instance": name})
        return
    text = str((instance.get("versionInfo") or {}).get("agentVersion") or "")
    if (found := version(text)) and found < AGENT_FROM:
        managed = task.get("launchType") == "MANAGED_INSTANCES"
        update = "start a new task: ECS replaces managed instances itself" if managed else "update the agent"
        fields = {"version": text, "instance": name, "needed": ".".join(map(str, AGENT_FROM)), "update": update}
        yield Found("instance-agent-too-old", fields)


def instance_name(instance: Mapping[str, Any]) -> str:
    """Return the name of a container instance for an operator."""
    return f"EC2 instance {instance.get('ec2InstanceId', 'unknown')}"


# --- The task definition


def _definition(task: Described, definition: Mapping[str, Any], container: str) -> Iterator[Found]:
    """Yield the causes in the task definition: settings with which the agent does not or may not work."""
    if not definition:
        return
    family = f"{definition.get('family')}:{definition.get('revision')}"
    described = definition.get("containerDefinitions", [])
    for item in described:
        if not container or item.get("name") == container:
            yield from _container(item, task, family)
    if definition.get("pidMode") == "task" and len(described) > 1:
        yield Found("pid-mode-task", {"definition": family}, certain=False)
    if not definition.get("taskRoleArn") and not (task.get("overrides") or {}).get("taskRoleArn"):
        fields = {"definition": family, "instance": " (or the instance's role)" if _has_instance_role(task) else ""}
        yield Found("task-role-missing", fields, certain=False)


def _has_instance_role(task: Described) -> bool:
    """Return whether the user can extend the instance's role. The role of managed instances is for ECS only."""
    return task.get("launchType") in {"EC2", "EXTERNAL"}


def _container(item: Mapping[str, Any], task: Described, family: str) -> Iterator[Found]:
    where = {"container": str(item.get("name")), "definition": family}
    if item.get("readonlyRootFilesystem"):
        yield Found("root-read-only", where, certain=False)
    if keys := sorted(_KEYS.intersection(_variables(item, task))):
        yield Found("keys-in-environment", {**where, "keys": ", ".join(keys)}, certain=False)


def _variables(definition: Mapping[str, Any], task: Described) -> Iterable[str]:
    """Yield the names in a container's environment: from its definition, its secrets, and the task's overrides."""
    overrides = (task.get("overrides") or {}).get("containerOverrides") or []
    sources = [definition, *(item for item in overrides if item.get("name") == definition.get("name"))]
    for source in sources:
        for kind in ("environment", "secrets"):
            yield from (str(item.get("name")) for item in source.get(kind) or [])
