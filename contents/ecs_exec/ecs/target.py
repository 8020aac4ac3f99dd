"""Chooses the container that a node names from descriptions of AWS. Does no I/O: the caller fetches them."""

from __future__ import annotations

from collections.abc import Iterable

from ecs_exec.errors import TargetError, Where
from ecs_exec.record import NamedTuple
from ecs_exec.task_description import Described, agents, short


class Target(NamedTuple):
    """One container of one task."""

    cluster: str
    """Name or ARN, as ecs:ExecuteCommand takes it."""
    task: str
    """Id or ARN."""
    container: str
    runtime_id: str = ""
    """Empty if it was not looked up: native sessions without KMS do not need it."""

    def __str__(self) -> str:
        """Return the container, task and cluster in words."""
        return f"container {self.container} of task {short(self.task)} in cluster {short(self.cluster)}"

    def where(self, region: str = "") -> Where:
        """Return the target as the place of a failure."""
        return Where(short(self.cluster), short(self.task), self.container, region)

    @property
    def ssm_name(self) -> str:
        """SSM's name of the container; it needs the runtime id."""
        return f"ecs:{short(self.cluster)}_{short(self.task)}_{self.runtime_id}"


def choose_task(tasks: Iterable[Described], container: str, what: str) -> Described:
    """Return the newest RUNNING task whose exec agent runs; if two are equally new, the one with the lower ARN.

    `what` names the service or family for the error. Raises TargetError, transient if such a task is still starting.
    """
    found = list(tasks)
    if not found:
        raise TargetError(name="no-running-task", owner=what)
    ready = [task for task in found if task.get("lastStatus") == "RUNNING" and _agent_runs(task, container)]
    if not ready:
        raise _none_ready(found, container, what)
    newest = max(_started(task) for task in ready)
    return min((task for task in ready if _started(task) == newest), key=lambda task: str(task.get("taskArn", "")))


def choose_container(task: Described, wanted: str, essential: Iterable[str] = ()) -> Described:
    """Return the container of the name `wanted`; without a name the only one, else the only essential one.

    `essential` holds the names of the essential containers, if they were looked up. Raises TargetError, which lists the
    names of all containers.
    """
    containers: list[Described] = list(task.get("containers", []))
    names = ", ".join(sorted(str(item.get("name", "")) for item in containers))
    name = short(str(task.get("taskArn", "")))
    if wanted:
        for item in containers:
            if item.get("name") == wanted:
                return item
        raise TargetError(name="container-not-found", task=name, container=wanted, names=names or "none")
    if len(containers) == 1:
        return containers[0]
    main = set(essential)
    candidates = [item for item in containers if item.get("name") in main]
    if len(candidates) == 1:
        return candidates[0]
    raise TargetError(name="container-ambiguous", task=name, names=names)


def _is_coming(task: Described, container: str) -> bool:
    """Return whether a task, or the exec agent in it, is still starting."""
    if task.get("lastStatus") in {"PROVISIONING", "PENDING", "ACTIVATING"}:
        return True
    starting = any(agent.get("lastStatus") == "PENDING" for agent in _concerned(task, container))
    return task.get("lastStatus") == "RUNNING" and starting


def _agent_runs(task: Described, container: str) -> bool:
    return any(agent.get("lastStatus") == "RUNNING" for agent in _concerned(task, container))


def _concerned(task: Described, container: str) -> list[Described]:
    """Return the agent of the named container; without a name those of all containers."""
    found = agents(task)
    return [found[container]] if container in found else [] if container else list(found.values())


def _started(task: Described) -> float:
    started = task.get("startedAt") or task.get("createdAt")
    return float(started.timestamp()) if started is not None else 0.0


def _none_ready(tasks: list[Described], container: str, owner: str) -> TargetError:
    """Return the error with the reason why none of these tasks can be chosen."""
    coming = any(_is_coming(task, container) for task in tasks)
    running = [task for task in tasks if task.get("lastStatus") == "RUNNING"]
    if not running:
        states = ", ".join(sorted({str(task.get("lastStatus", "unknown")) for task in tasks}))
        count = len(tasks)
        return TargetError(name="no-task-running-yet", transient=coming, owner=owner, count=count, states=states)
    if not any(task.get("enableExecuteCommand") for task in running):
        return TargetError(name="exec-enabled-on-none", transient=coming, owner=owner)
    names = {str(item.get("name", "")) for task in running for item in task.get("containers", [])}
    if container and container not in names:
        theirs = ", ".join(sorted(names))
        return TargetError(name="container-in-none", transient=coming, owner=owner, container=container, names=theirs)
    return TargetError(name="agent-runs-in-none", transient=coming, owner=owner)
