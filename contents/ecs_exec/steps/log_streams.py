"""Finds where the output of a task's containers goes, in its task definition. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ecs_exec.task_description import Described, short


class LogStream(NamedTuple):
    """A stream of CloudWatch Logs with the output of one container, stdout and stderr in one."""

    region: str
    """Empty: the region of the task."""
    group: str
    name: str

    def __str__(self) -> str:
        """Return its place in words."""
        return f"log stream {self.name} of log group {self.group}"


class Hidden(NamedTuple):
    """A container whose output cannot be shown."""

    container: str
    why: str


def hidden(definition: Mapping[str, Any]) -> Iterator[Hidden]:
    """Yield the containers whose output does not go to CloudWatch Logs, with the reason."""
    for item in definition.get("containerDefinitions", []):
        driver = str(_logging(item).get("logDriver") or "")
        options = _options(item)
        if not driver:
            yield Hidden(str(item.get("name")), "its task definition has no logConfiguration")
        elif driver != "awslogs":
            yield Hidden(str(item.get("name")), f"its log driver is {driver}; only those of awslogs can be read")
        elif not options.get("awslogs-group"):
            yield Hidden(str(item.get("name")), "its log driver awslogs has no option awslogs-group")


def shown(definition: Mapping[str, Any]) -> list[str]:
    """Return the names of the containers whose output goes to CloudWatch Logs."""
    without = {one.container for one in hidden(definition)}
    names = [str(item.get("name")) for item in definition.get("containerDefinitions", [])]
    return [name for name in names if name not in without]


def stream_of(task: Described, definition: Mapping[str, Any], container: str) -> LogStream | None:
    """Return the stream of a container; None if it has none yet, because it has not been created.

    Its name is PREFIX/CONTAINER/TASK-ID. Without a prefix, which only EC2 allows, it is the ID of the container.
    """
    item = next(item for item in definition.get("containerDefinitions", []) if item.get("name") == container)
    options = _options(item)
    prefix, task_id = options.get("awslogs-stream-prefix", ""), short(str(task.get("taskArn", "")))
    found: Described = next((one for one in task.get("containers", []) if one.get("name") == container), {})
    name = f"{prefix}/{container}/{task_id}" if prefix else str(found.get("runtimeId") or "")
    return LogStream(options.get("awslogs-region", ""), options["awslogs-group"], name) if name else None


def _logging(container: Mapping[str, Any]) -> Mapping[str, Any]:
    found = container.get("logConfiguration")
    return found if isinstance(found, Mapping) else {}


def _options(container: Mapping[str, Any]) -> dict[str, str]:
    found = _logging(container).get("options")
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, Mapping) else {}
