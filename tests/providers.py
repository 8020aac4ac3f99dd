"""The providers of the plugin, for `build_manifest`: names, titles, entry scripts, and the properties of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ecs_exec.settings import step_properties as steps
from ecs_exec.settings.properties import ACCESS, RUN, Property


class Provider(NamedTuple):
    """One provider in plugin.yaml."""

    name: str
    service: str
    title: str
    script: str
    """Its file in contents/."""
    help: str
    properties: tuple[Property, ...]
    more: Mapping[str, str] = {}
    """Keys that only some services have."""


PROVIDERS = (
    Provider(
        "ecs-node-executor",
        "NodeExecutor",
        "AWS / ECS / Node Executor",
        "node-executor.py",
        "Run commands in Amazon ECS containers through ECS Exec: real exit codes, exact output, stderr apart. The"
        " server's credentials need ecs:ExecuteCommand.",
        ACCESS + RUN,
    ),
    Provider(
        "ecs-check-exec",
        "WorkflowNodeStep",
        "AWS / ECS / Check Exec Readiness",
        "check-exec.py",
        "Check everything that ECS Exec needs for the node's container, one line each with the cure, and at last run a"
        " command in it. What the server's credentials may not look at is told with the permission that would show it.",
        steps.CHECK_EXEC,
    ),
    Provider(
        "ecs-stop-task",
        "WorkflowNodeStep",
        "AWS / ECS / Stop Task",
        "stop-task.py",
        "Stop the task of the node, all its containers with it, and tell how it came to its end. Needs ecs:StopTask and"
        " ecs:DescribeTasks.",
        steps.STOP_TASK_OF_NODE,
    ),
    Provider(
        "ecs-stop-task",
        "WorkflowStep",
        "AWS / ECS / Stop Task",
        "stop-task.py",
        "Stop a task, all its containers with it, and tell how it came to its end. Needs ecs:StopTask and"
        " ecs:DescribeTasks.",
        steps.STOP_TASK,
    ),
    Provider(
        "ecs-run-command",
        "WorkflowStep",
        "AWS / ECS / Run Command",
        "run-command.py",
        "Run a command in a container that needs not be a node: of a task, of a service's newest task, or of all its"
        " tasks side by side. The exit status is the command's own.",
        steps.RUN_COMMAND,
    ),
    Provider(
        "ecs-stopped-tasks",
        "WorkflowStep",
        "AWS / ECS / Stopped Task Details",
        "stopped-tasks.py",
        "Show when and why tasks stopped, with their containers' exit codes and what to do about known errors. Needs"
        " ecs:ListTasks and ecs:DescribeTasks.",
        steps.STOPPED_TASKS,
    ),
)
