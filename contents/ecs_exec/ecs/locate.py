"""Finds the container that a node names, with as few AWS calls as possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ecs_exec.ecs.target import Target, choose_container, choose_task
from ecs_exec.errors import AwsError, TargetError, Where
from ecs_exec.settings import Wanted
from ecs_exec.task_description import Described, essential_names, short


class Calls(Protocol):
    """The AWS calls that this module needs; `ecs.api.Aws` makes them."""

    def describe_tasks(self, cluster: str, tasks: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]: ...  # noqa: D102 - see Aws
    def list_running_tasks(self, cluster: str, *, service: str = "", family: str = "") -> list[str]: ...  # noqa: D102
    def describe_task_definition(self, arn: str) -> dict[str, Any]: ...  # noqa: D102


def locate(wanted: Wanted, calls: Calls) -> Target:
    """Return the target. A node that names both its task and its container takes no call.

    Raises TargetError or AwsError.
    """
    if wanted.task and wanted.container:
        return Target(wanted.cluster, wanted.task, wanted.container, wanted.runtime_id)
    task = _task(wanted, calls)
    container = _container(task, wanted.container, calls)
    arn = str(task.get("taskArn") or wanted.task)
    return Target(wanted.cluster, arn, str(container.get("name", "")), str(container.get("runtimeId", "")))


def with_runtime_id(target: Target, calls: Calls) -> Target:
    """Return the target with its runtime id, looked up if the node does not have it. Raises TargetError or AwsError."""
    if target.runtime_id:
        return target
    container = choose_container(_described(target.cluster, target.task, calls), target.container)
    runtime_id = str(container.get("runtimeId", ""))
    if not runtime_id:
        state = container.get("lastStatus", "in no known state")
        late = state != "STOPPED"
        raise TargetError(name="runtime-id-missing", where=target.where(), transient=late, state=state)
    return Target(target.cluster, target.task, target.container, runtime_id)


def _task(wanted: Wanted, calls: Calls) -> Described:
    if wanted.task:
        return _described(wanted.cluster, wanted.task, calls)
    kind, name = ("service", wanted.service) if wanted.service else ("family", wanted.family)
    arns = calls.list_running_tasks(wanted.cluster, **{kind: name})
    tasks, _ = calls.describe_tasks(wanted.cluster, arns) if arns else ([], [])
    return choose_task(tasks, wanted.container, f"{kind} {short(name)} in cluster {short(wanted.cluster)}")


def _described(cluster: str, task: str, calls: Calls) -> Described:
    found, _ = calls.describe_tasks(cluster, [task])
    if not found:
        raise TargetError(name="task-not-found", where=Where(short(cluster)), task=short(task))
    return found[0]


def _container(task: Described, wanted: str, calls: Calls) -> Described:
    if wanted or len(task.get("containers", [])) == 1:
        return choose_container(task, wanted)
    try:
        definition: Mapping[str, Any] = calls.describe_task_definition(str(task.get("taskDefinitionArn", "")))
    except AwsError:  # without this permission the error should list the containers, not the denied call
        definition = {}
    return choose_container(task, wanted, essential_names(definition))
