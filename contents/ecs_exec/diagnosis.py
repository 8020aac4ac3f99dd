"""What a task's description says of a session: why it could not be opened, or why nothing comes any more. Pure.

The causes themselves are in `causes`, which is imported only when something failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ecs_exec.target import Described, agents

if TYPE_CHECKING:
    from ecs_exec.causes.readiness import Found

_MOST = 3
"""Causes told in one line."""


def told(found: Iterable[Found]) -> str:
    """Return causes with their cures in one line, the likeliest first; empty if there is none."""
    return "; also, ".join(f"{cause.says}: {cause.cure}" for cause in list(found)[:_MOST])


def gone(task: Described | None, container: str) -> str:
    """Return why nothing can come from a container any more; empty while it may still be there."""
    from ecs_exec.causes.readiness import GONE, how_it_ended

    if task is None:
        return "the task is gone, and ECS no longer knows it"
    if task.get("lastStatus") in GONE:
        return f"the task has stopped ({how_it_ended(task) or 'no reason given'})"
    mine: Described = next((item for item in task.get("containers", []) if item.get("name") == container), {})
    if mine.get("lastStatus") == "STOPPED":
        return f"the container has stopped ({how_it_ended({'containers': [mine]}) or 'no reason given'})"
    agent = agents(task).get(container, {})
    if agent.get("lastStatus") == "STOPPED":
        because = f" ({agent['reason']})" if agent.get("reason") else ""
        return f"the ECS Exec agent in the container has stopped{because}"
    return ""


def ending(task: Described) -> bool:
    """Return whether a task is on its way to its end."""
    return task.get("desiredStatus") == "STOPPED" or task.get("lastStatus") in {"DEACTIVATING", "STOPPING"}


def cure(reason: str) -> str:
    """Return what to do about a session that was ended with this text; empty where that is not known."""
    from ecs_exec.causes import closing

    found = closing.find(reason)
    return f"{found.says}: {found.cure}" if found else ""
