"""Turns the descriptions of stopped tasks into what is shown. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ecs_exec.errors.causes.stopped_reasons import Explanation, explain
from ecs_exec.task_description import Described, short
from ecs_exec.text import squeezed


class Ended(NamedTuple):
    """A container of a stopped task."""

    name: str
    exit_code: int | None
    """None: it never ran, or its end was not seen."""
    reason: str


class Stopped(NamedTuple):
    """A stopped task."""

    arn: str
    service: str
    """Empty for a task without a service."""
    family: str
    """With the revision, as family:number."""
    status: str
    """STOPPED, or a status before it."""
    at: datetime | None
    """When it stopped, in UTC; None: it is still stopping."""
    code: str
    reason: str
    containers: tuple[Ended, ...]
    explanations: tuple[Explanation, ...]

    @property
    def task(self) -> str:
        """Return the task's id."""
        return short(self.arn)

    @property
    def owner(self) -> str:
        """Return the service, or the family of a task without one."""
        return self.service or self.family

    @property
    def moment(self) -> str:
        """Return when it stopped, as 2026-11-24 22:40:11, or its status if it is still stopping."""
        return f"{self.at:%Y-%m-%d %H:%M:%S}" if self.at else self.status


def newest_first(
    tasks: Iterable[Described], *, family: str = "", container: str = "", since: float = 0
) -> list[Stopped]:
    """Return the tasks that match, the newest first; tasks that are still stopping come before all others.

    `since` is a time in seconds since the epoch. If `container` is given, the other containers are left out.
    """
    chosen = [_stopped(task, container) for task in tasks if _fits(task, family, container, since)]
    return sorted(chosen, key=lambda one: (-one.at.timestamp() if one.at else float("-inf"), one.arn))


def _fits(task: Described, family: str, container: str, since: float) -> bool:
    if family and _family(task).rpartition(":")[0] != family:
        return False
    if container and container not in {item.get("name") for item in task.get("containers", [])}:
        return False
    at = _moment(task)
    return at is None or at.timestamp() >= since


def _stopped(task: Described, container: str) -> Stopped:
    containers = [item for item in task.get("containers", []) if not container or item.get("name") == container]
    group = str(task.get("group", ""))
    return Stopped(
        arn=str(task.get("taskArn", "")),
        service=group.removeprefix("service:") if group.startswith("service:") else "",
        family=_family(task),
        status=str(task.get("lastStatus", "")),
        at=_moment(task),
        code=str(task.get("stopCode") or ""),
        reason=_line(task.get("stoppedReason")),
        containers=tuple(_ended(item) for item in containers),
        explanations=explain(task, containers),
    )


def _ended(item: Mapping[str, Any]) -> Ended:
    return Ended(str(item.get("name", "")), item.get("exitCode"), _line(item.get("reason")))


def _family(task: Described) -> str:
    return short(str(task.get("taskDefinitionArn", "")))


def _moment(task: Described) -> datetime | None:
    at = task.get("stoppedAt")
    return at.astimezone(timezone.utc) if isinstance(at, datetime) else None


def _line(text: object) -> str:
    """Return a text of a description on one line; empty if there is none."""
    return squeezed(str(text or ""))
