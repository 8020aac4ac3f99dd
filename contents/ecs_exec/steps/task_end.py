"""Decides from the description of a stopped task what the exit status of a step is. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ecs_exec.errors import EXIT_NOT_RUN, CommandError, EcsExecError, Where
from ecs_exec.errors.causes.readiness import how_it_ended
from ecs_exec.errors.causes.stopped_reasons import explain
from ecs_exec.errors.causes.stopped_tasks import EXIT, EXITS
from ecs_exec.task_description import Described, short

_BY_ITSELF = "EssentialContainerExited"
"""Stop code of a task that nobody stopped: one of its essential containers ended."""
_NO_HELP = frozenset((EXITS[1].name, EXIT.name))
"""Causes that say no more than the exit code does."""
_HIGHEST = 255
"""Of a process. A larger one, as on Windows, would become another number, maybe 0."""


class End(NamedTuple):
    """How a task ended."""

    status: int
    """Exit status for the step."""
    exit_code: int | None
    """Of the container; None: it has none."""
    fault: EcsExecError | None = None
    """Why the status is not the container's exit code."""


def end_of(task: Described, container: str, where: Where) -> End:
    """Return how a task ended that is STOPPED. The status is 0 only if the container ended by itself, with 0."""
    item: Described = next((one for one in task.get("containers", []) if one.get("name") == container), {})
    code = item.get("exitCode")
    if code is None:
        return End(EXIT_NOT_RUN, None, _not_run(task, container, where))
    how = how_it_ended(task)
    if code == 0 and task.get("stopCode") != _BY_ITSELF:
        fault = CommandError(name="task-stopped-early", where=where, container=container, how=how)
        return End(EXIT_NOT_RUN, code, fault)
    if not 0 <= code <= _HIGHEST:
        fault = CommandError(name="exit-code-out-of-range", where=where, container=container, number=code)
        return End(EXIT_NOT_RUN, code, fault)
    return End(code, code)


def _not_run(task: Described, container: str, where: Where) -> EcsExecError:
    """Return why a container has no exit code, with its cause if AWS's words show one."""
    said = how_it_ended(task) or "ECS gives no reason"
    for one in explain(task, task.get("containers", [])):
        return CommandError(name=one.name, where=where, effect=f"container {container} never ran", said=said)
    return CommandError(name="container-without-exit-code", where=where, container=container, said=said)


def has_run(task: Described) -> bool:
    """Return whether a container of a stopped task has run."""
    return any(item.get("exitCode") is not None for item in task.get("containers", []))


def advice(task: Described) -> Iterator[str]:
    """Yield the causes of a container's failure that AWS's words or its exit code show, with what to do."""
    for one in explain(task, task.get("containers", [])):
        if one.name not in _NO_HELP:
            yield f"cause: {one.cause} [{one.name}]; {one.cure}"


def named(task: Described) -> str:
    """Return a task in words."""
    of = short(str(task.get("taskDefinitionArn", "")))
    return f"task {short(str(task.get('taskArn', '')))}{f' of {of}' if of else ''}"
