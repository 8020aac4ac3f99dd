"""Judges a deployment from what ECS shows of its service. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ecs_exec.errors.causes.readiness import GONE
from ecs_exec.errors.causes.stopped_reasons import explain
from ecs_exec.steps import stages
from ecs_exec.task_description import Described, objects, short
from ecs_exec.text import squeezed

EXIT_FAILED = 1
"""The deployment failed, and ECS did not return to the old revision."""

EXIT_ROLLED_BACK = 2
"""ECS returned to the old revision."""

EXIT_REPLACED = 3
"""Somebody else deployed or scaled the service meanwhile."""

Service = Mapping[str, Any]
"""A service as ecs:DescribeServices describes it."""

ROLLING_BACK = frozenset({"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"})
_GOES_ON = ROLLING_BACK | {"PENDING", "IN_PROGRESS", "STOP_REQUESTED"}
"""Statuses of a service deployment that has not ended."""
_BY_SCHEDULER = "Scaling activity initiated by"


class Outcome(NamedTuple):
    """How a deployment ended."""

    status: int
    """The exit status."""
    cause: str = ""
    """Name of the cause; empty after a success."""
    fields: Mapping[str, object] = {}
    said: str = ""
    """ECS's own words."""


class View(NamedTuple):
    """What ECS shows at one moment."""

    service: Service
    ours: str
    """Id of the deployment that the step follows."""
    before: frozenset[str]
    """Ids of the deployments that were there before."""
    record: Mapping[str, Any] | None = None
    """The service deployment, as ecs:DescribeServiceDeployments describes it; None if it is not known."""
    tasks: tuple[Described, ...] | None = None
    """The service's tasks; None if they were not read."""
    failed_before: bool = False
    """The deployment was seen as FAILED."""
    was_primary: bool = True
    """The deployment was seen as the PRIMARY one."""


class Counts(NamedTuple):
    """Tasks of a service, as its deployments count them."""

    wanted: int
    running: int
    pending: int
    old: int
    """Running and pending tasks of other deployments."""

    def __str__(self) -> str:
        """Return the line that shows them."""
        pending = f", {self.pending} pending" if self.pending else ""
        old = f"; {tasks_in_words(self.old, 'old ')} left" if self.old else ""
        return f"{self.running} of {tasks_in_words(self.wanted, 'new ')} running{pending}{old}"


def tasks_in_words(count: int, kind: str = "") -> str:
    """Return a number of tasks of a kind, as `2 new tasks`."""
    return f"{count} {kind}task" + ("" if count == 1 else "s")


def deployments(service: Service) -> list[Mapping[str, Any]]:
    """Return the deployments of a service."""
    return objects(service, "deployments")


def is_active(service: Service) -> bool:
    """Return whether nobody has deleted the service."""
    return str(service.get("status") or "ACTIVE") == "ACTIVE"


def primary(service: Service) -> Mapping[str, Any]:
    """Return the deployment that ECS aims at; empty if there is none."""
    return next((each for each in deployments(service) if each.get("status") == "PRIMARY"), {})


def find(service: Service, ours: str) -> Mapping[str, Any]:
    """Return a deployment of a service by its id; empty if it is not listed."""
    return next((each for each in deployments(service) if identity(each) == ours), {})


def identity(deployment: Mapping[str, Any]) -> str:
    """Return the id of a deployment."""
    return str(deployment.get("id") or "")


def number(value: object) -> int:
    """Return a count of a description; 0 if there is none."""
    return value if isinstance(value, int) else 0


def counts(service: Service, ours: str) -> Counts:
    """Return how many tasks the deployment has, and how many the others."""
    mine = find(service, ours)
    others = [each for each in deployments(service) if identity(each) != ours]
    old = sum(number(each.get("runningCount")) + number(each.get("pendingCount")) for each in others)
    wanted, running = number(mine.get("desiredCount")), number(mine.get("runningCount"))
    return Counts(wanted, running, number(mine.get("pendingCount")), old)


# --- The verdict


def verdict(view: View) -> Outcome | None:
    """Return how the deployment ended; None while it goes on."""
    if not is_active(view.service):
        return Outcome(EXIT_FAILED, "service-deleted", {"state": view.service["status"]})
    by_record = _of_record(view)
    if by_record is not None or (view.record or {}).get("status") in ROLLING_BACK:
        return by_record
    if identity(primary(view.service)) != view.ours:
        return _displaced(view)
    mine = primary(view.service)
    if mine.get("rolloutState") == "FAILED":
        return None if _rolls_back(view.service) else _failed(view, str(mine.get("rolloutStateReason") or ""))
    return _complete(view)


def _of_record(view: View) -> Outcome | None:
    """Return the outcome that the service deployment alone shows."""
    record = view.record or {}
    status, said = record.get("status"), str(record.get("statusReason") or "")
    if status == "ROLLBACK_SUCCESSFUL":
        return _rolled_back(view, said)
    if status == "ROLLBACK_FAILED":
        return Outcome(EXIT_FAILED, "rollback-failed", {"why": _why(view)}, said)
    if status == "STOPPED":
        newest = identity(primary(view.service))
        another = str(view.service.get("currentServiceDeployment") or record.get("serviceDeploymentArn") or "")
        replaced = newest not in view.before | {view.ours} or another != str(record.get("serviceDeploymentArn") or "")
        return _replaced(view) if replaced and not _monitors(record) else _failed(view, said)
    return None


def _displaced(view: View) -> Outcome | None:
    """Judge a deployment that is not the newest any more: ECS rolled it back, or somebody else deployed."""
    newest = primary(view.service)
    if not newest or is_not_primary_yet(view):
        return None
    mine = find(view.service, view.ours)
    failed = view.failed_before or mine.get("rolloutState") == "FAILED"
    if not failed and identity(newest) not in view.before:
        return _replaced(view)
    if newest.get("rolloutState", "COMPLETED") == "COMPLETED":
        return _rolled_back(view, str(mine.get("rolloutStateReason") or ""))
    return None


def is_not_primary_yet(view: View) -> bool:
    """Return whether ECS goes on with a deployment that only becomes the PRIMARY one later.

    With hooks, or when traffic is shifted, the deployment before may stay PRIMARY while no new task has started.
    """
    if identity(primary(view.service)) not in view.before:
        return False
    if view.record is not None:
        return view.record.get("status") in _GOES_ON
    mine = find(view.service, view.ours)
    return not view.was_primary and bool(mine) and mine.get("rolloutState") != "FAILED"


def is_rolling_back(view: View) -> bool:
    """Return whether ECS returns to the old revision at this moment."""
    if view.record is not None:
        return view.record.get("status") in ROLLING_BACK
    return identity(primary(view.service)) in view.before and not is_not_primary_yet(view)


def _complete(view: View) -> Outcome | None:
    """Judge the newest deployment: it is complete if its tasks run and the containers of all others have ended."""
    if number(view.service.get("desiredCount")) == 0:
        return Outcome(EXIT_FAILED, "desired-count-zero", {})
    if not looks_complete(view) or view.tasks is None:
        return None
    old, new = split(view)
    definition = primary(view.service).get("taskDefinition")
    if any(task.get("taskDefinitionArn", definition) != definition for task in new):
        return None
    running = sum(task.get("lastStatus") == "RUNNING" for task in new)
    enough = running >= max(1, number(view.service.get("desiredCount")))
    return Outcome(0) if enough and not old else None


def looks_complete(view: View) -> bool:
    """Return whether the counts show a complete deployment, so that it is worth it to look at the tasks."""
    mine = primary(view.service)
    found = counts(view.service, view.ours)
    return (
        identity(mine) == view.ours
        and (view.record or {}).get("status", "SUCCESSFUL") == "SUCCESSFUL"
        and mine.get("rolloutState", "COMPLETED") == "COMPLETED"
        and found.running >= found.wanted > 0
        and not found.pending
        and not found.old
    )


def split(view: View) -> tuple[list[Described], list[Described]]:
    """Return the tasks of older deployments whose containers have not ended, and the tasks of this deployment."""
    tasks = [task for task in view.tasks or () if task.get("lastStatus") not in GONE]
    new = [task for task in tasks if task.get("startedBy") == view.ours]
    if not new:  # A deployment of another kind: its tasks name something else. Their age decides.
        began = primary(view.service).get("createdAt")
        new = [task for task in tasks if _later(task.get("createdAt"), began)]
    return [task for task in tasks if task not in new], new


def _later(moment: object, other: object) -> bool:
    return isinstance(moment, datetime) and isinstance(other, datetime) and moment >= other


# --- Outcomes


def _rolls_back(service: Service) -> bool:
    """Return whether ECS returns to the old revision after a failure."""
    settings = service.get("deploymentConfiguration") or {}
    monitors = [settings.get(name) or {} for name in ("deploymentCircuitBreaker", "alarms")]
    return any(each.get("enable") and each.get("rollback") for each in monitors)


def _monitors(record: Mapping[str, Any]) -> str:
    """Return which monitor ended a deployment, in words; empty if none did."""
    breaker, alarms = record.get("deploymentCircuitBreaker") or {}, record.get("alarms") or {}
    if breaker.get("status") == "TRIGGERED":
        count = number(breaker.get("failureCount"))
        return f"the circuit breaker gave it up after {count} failed task" + ("" if count == 1 else "s")
    if alarms.get("status") == "TRIGGERED":
        return f"alarms went off: {', '.join(map(str, alarms.get('triggeredAlarmNames') or ['no names']))}"
    return ""


def _why(view: View) -> str:
    record = view.record or {}
    if words := _monitors(record) or stages.failed_hook(record):
        return words
    mine = find(view.service, view.ours)
    if view.failed_before or mine.get("rolloutState") == "FAILED":
        return "its tasks did not start, or alarms went off"
    reason = str((record.get("rollback") or {}).get("reason") or "")
    return squeezed(reason) or "the events of the service say why"


def _failed(view: View, said: str) -> Outcome:
    return Outcome(EXIT_FAILED, "deployment-unsuccessful", {"why": _why(view)}, said)


def _rolled_back(view: View, said: str) -> Outcome:
    runs = short(str(primary(view.service).get("taskDefinition") or "the old revision"))
    return Outcome(EXIT_ROLLED_BACK, "deployment-rolled-back", {"why": _why(view), "runs": runs}, said)


def _replaced(view: View) -> Outcome:
    newest = primary(view.service)
    other, runs = identity(newest), short(str(newest.get("taskDefinition") or ""))
    if other in view.before | {view.ours}:  # the other one has no new tasks yet
        other, runs = short(str(view.service.get("currentServiceDeployment") or "")), ""
    fields = {"other": other, "runs": runs or "an unknown task definition"}
    return Outcome(EXIT_REPLACED, "deployment-replaced", fields)


# --- Failed tasks


def has_failed(task: Described) -> bool:
    """Return whether a stopped task has failed: ECS did not stop it to replace it or to scale in."""
    reason = str(task.get("stoppedReason") or "")
    return not reason.startswith(_BY_SCHEDULER) and task.get("stopCode") != "UserInitiated"


def failure(task: Described) -> list[str]:
    """Return the lines that explain a failed task: how it ended, its causes, and what to do."""
    from ecs_exec.errors.causes.readiness import how_it_ended

    name = short(str(task.get("taskArn") or ""))
    lines = [f"task {name} failed: {squeezed(how_it_ended(task)) or 'no reason given'}"]
    for found in explain(task, task.get("containers") or []):
        lines.append(f"    cause   {found.cause} [{found.name}]")
        lines.append(f"    to do   {found.cure}")
    return lines


def states(tasks: Iterable[Described]) -> str:
    """Return how many tasks are in each state, in words."""
    found = [str(task.get("lastStatus") or "in an unknown state") for task in tasks]
    return ", ".join(f"{found.count(state)} {state}" for state in sorted(set(found)))
