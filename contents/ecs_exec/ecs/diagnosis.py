"""Reads from a task's description why a session that has begun brings no output any more. Does no I/O.

The causes themselves are in `errors.causes`, which is imported only after a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_exec.task_description import Described, agents
from ecs_exec.text import LONGEST

if TYPE_CHECKING:
    from ecs_exec.errors.causes.readiness import Found


def gone(task: Described | None, container: str) -> Found | None:
    """Return why no output can come from a container any more; None as long as it may still run.

    `task` is None if ECS does not know the task any more.
    """
    from ecs_exec.errors.causes.readiness import GONE, Found, how_it_ended

    if task is None:
        return Found("task-vanished", {})
    if task.get("lastStatus") in GONE:
        return Found("task-stopped-meanwhile", {"how": how_it_ended(task) or "no reason given"})
    mine: Described = next((item for item in task.get("containers", []) if item.get("name") == container), {})
    if mine.get("lastStatus") == "STOPPED":
        return Found("container-stopped", {"how": how_it_ended({"containers": [mine]}) or "no reason given"})
    agent = agents(task).get(container, {})
    if agent.get("lastStatus") == "STOPPED":
        return Found("agent-stopped-meanwhile", {"because": f" ({agent['reason']})" if agent.get("reason") else ""})
    return None


def ending(task: Described) -> bool:
    """Return whether a task is being stopped."""
    return task.get("desiredStatus") == "STOPPED" or task.get("lastStatus") in {"DEACTIVATING", "STOPPING"}


def cure(reason: str) -> str:
    """Return the cause and cure for a session that the service closed with this text; empty if not known."""
    from ecs_exec.errors.causes import closing

    found = closing.find(reason[:LONGEST])
    return f"{found.says}: {found.cure}" if found else ""
