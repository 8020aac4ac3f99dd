"""A task as ecs:DescribeTasks describes it. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Described = Mapping[str, Any]
"""A task, or a container of one, as ecs:DescribeTasks describes it."""

AGENT = "ExecuteCommandAgent"


def short(name: str) -> str:
    """Return the part of an ARN behind the last slash; a name or an id stays as it is."""
    return name.rpartition("/")[2]


def objects(described: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the objects in a list of a description; empty if it has no such list."""
    found = described.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def essential_names(definition: Mapping[str, Any]) -> list[str]:
    """Return the names of a task definition's essential containers."""
    return [
        str(item.get("name", "")) for item in definition.get("containerDefinitions", []) if item.get("essential", True)
    ]


def agents(task: Described) -> dict[str, Described]:
    """Return the exec agents of a task by the name of their container."""
    return {
        str(item.get("name", "")): agent
        for item in task.get("containers", [])
        for agent in item.get("managedAgents", [])
        if agent.get("name") == AGENT
    }
