"""Shows why tasks stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

from ecs_exec.settings.steps import StoppedTasks
from ecs_exec.settings.target import Wanted
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.stopped import newest_first
from ecs_exec.steps.tables import data_lines, render
from ecs_exec.task_description import short


def run(asked: StoppedTasks, caller: Caller, now: Callable[[], float] = time.time) -> int:
    """Show the stopped tasks and return exit status 0. Raises EcsExecError if they cannot be looked up."""
    wanted = asked.wanted
    since = now() - asked.since if asked.since else 0.0
    tasks = newest_first(caller.stopped(wanted), family=wanted.family, container=wanted.container, since=since)
    shown = tasks[: asked.limit] if asked.limit else tasks
    if tasks or asked.format != "text":
        for line in render(asked.format, shown):
            caller.line(line)
    if not tasks:
        caller.line(f"no stopped task{_which(wanted)}{_when(asked.since)}")
    if len(shown) < len(tasks):
        caller.line(f"{len(tasks) - len(shown)} older tasks are not shown: raise limit, or name a service")
    if asked.data:
        for line in data_lines(tasks):
            caller.line(line)
    return 0


def _which(wanted: Wanted) -> str:
    """Return what the step was asked for."""
    parts = [f"service {short(wanted.service)}"] if wanted.service else []
    parts += [f"family {wanted.family}"] if wanted.family else []
    parts += [f"container {wanted.container}"] if wanted.container else []
    parts += [f"cluster {short(wanted.cluster)}"]
    return f" of {', '.join(parts)}"


def _when(since: int) -> str:
    return f" within the last {since} s" if since else "; ECS lists a task for about an hour after it stopped"
