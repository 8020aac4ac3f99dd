"""Stops a task, and shows how it ended."""

from __future__ import annotations

from ecs_exec.errors import EXIT_ABORTED, EXIT_TIMEOUT, TargetError
from ecs_exec.errors.causes.readiness import how_it_ended
from ecs_exec.settings.steps import StopTask
from ecs_exec.settings.target import Wanted
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.steps.calls import Caller
from ecs_exec.streams import OutputStreams
from ecs_exec.task_description import Described, short

_LOOK_EVERY = 1.0
_LATER_EVERY = 4.0
"""Seconds between polls of the task. After `_LATER`, polls are rarer: the account shares the rate of DescribeTasks."""
_LATER = 15.0


def run(asked: StopTask, caller: Caller, interrupts: Interrupts, streams: OutputStreams) -> int:
    """Stop the task and return the exit status. Raises EcsExecError if it cannot be stopped."""
    so_far = "the task was not stopped"
    try:
        task = _meant(asked.wanted, caller)
        arn, name = str(task.get("taskArn", "")), _named(task, asked.wanted.cluster)
        if task.get("lastStatus") == "STOPPED":
            caller.line(f"{name} has already stopped: {_end(task)}")
            return 0
        caller.line(f"stopping {name}, reason: {asked.reason}")
        so_far = "ECS may have received the request to stop the task"
        task = caller.stop(asked.wanted.cluster, arn, asked.reason)
        so_far = "ECS received the request to stop the task and continues to stop it"
        if not asked.wait:
            caller.line(f"{name} is {task.get('lastStatus', 'in an unknown state')} and will stop")
            return 0
        return _wait(asked, caller, streams, task, name)
    except Aborted:
        streams.say(f"aborted by {interrupts.name}; {so_far}")
        return EXIT_ABORTED


def _meant(wanted: Wanted, caller: Caller) -> Described:
    """Return the task to stop. If a service or family has several tasks, none is chosen: raises TargetError."""
    if wanted.task:
        return caller.task(wanted.cluster, wanted.task)
    what = f"{'service' if wanted.service else 'family'} {short(wanted.service or wanted.family)}"
    found = caller.running(wanted)
    if len(found) == 1:
        return found[0]
    where = f"{what} in cluster {short(wanted.cluster)}"
    if not found:
        raise TargetError(name="no-running-task", owner=where)
    ids = ", ".join(sorted(short(str(task.get("taskArn", ""))) for task in found))
    raise TargetError(name="several-running-tasks", owner=where, count=len(found), ids=ids)


def _named(task: Described, cluster: str) -> str:
    group = str(task.get("group", ""))
    of = f" of {group.replace(':', ' ', 1)}" if group else ""
    return f"task {short(str(task.get('taskArn', '')))}{of} in cluster {short(cluster)}"


def _end(task: Described) -> str:
    return how_it_ended(task) or "no reason given"


def _wait(asked: StopTask, caller: Caller, streams: OutputStreams, task: Described, name: str) -> int:
    """Print each new status until the task has stopped, or the time is over."""
    began, shown = caller.clock(), ""
    while True:
        status, passed = str(task.get("lastStatus", "")), caller.clock() - began
        if status != shown:
            shown = status
            caller.line(f"{passed:5.0f} s  {status}")
        if status == "STOPPED":
            caller.line(f"{name} has stopped: {_end(task)}")
            return 0
        if asked.wait_timeout and passed >= asked.wait_timeout:
            streams.say(
                f"{name} is still {status} after {asked.wait_timeout} s; ECS continues to stop it: raise wait-timeout,"
                " or check stopTimeout in the task definition and how its containers handle SIGTERM"
            )
            return EXIT_TIMEOUT
        pause = _LOOK_EVERY if passed < _LATER else _LATER_EVERY
        caller.pause(min(pause, asked.wait_timeout - passed) if asked.wait_timeout else pause)
        task = caller.task(asked.wanted.cluster, str(task.get("taskArn", "")))
