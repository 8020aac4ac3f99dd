"""What a task's description says of a session that has begun: why nothing comes any more. Pure.

The causes themselves are in `causes`, which is imported only when something failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_exec.target import Described, agents
from ecs_exec.text import LONGEST

if TYPE_CHECKING:
    from ecs_exec.causes.readiness import Found


def gone(task: Described | None, container: str) -> Found | None:
    """Return why nothing can come from a container any more; None while it may still be there."""
    from ecs_exec.causes.readiness import GONE, Found, how_it_ended

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
    """Return whether a task is on its way to its end."""
    return task.get("desiredStatus") == "STOPPED" or task.get("lastStatus") in {"DEACTIVATING", "STOPPING"}


def cure(reason: str) -> str:
    """Return what to do about a session that was ended with this text; empty where that is not known."""
    from ecs_exec.causes import closing

    found = closing.find(reason[:LONGEST])
    return f"{found.says}: {found.cure}" if found else ""
