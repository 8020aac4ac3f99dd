"""Checks ECS Exec in all running tasks of a service or family: what they share once, and a line for each task.

As for a single task, only a command that has run is the proof. It runs in every task, in `parallel` tasks at a time.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ecs_exec.errors import EXIT_ABORTED, EXIT_NOT_RUN, TargetError
from ecs_exec.settings.steps import CheckExec
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.check import Check, State
from ecs_exec.steps.checks import checks
from ecs_exec.steps.facts import Facts
from ecs_exec.steps.inquiry import collect_all
from ecs_exec.steps.line_joiner import short_names
from ecs_exec.steps.run_command import TaskRunner, age, starter
from ecs_exec.streams import OutputStreams
from ecs_exec.task_description import Described, short

_OF_TASK = frozenset({"task", "container", "platform", "ECS Exec", "exec agent"})
"""Checks whose results are in the line of their task. The others mostly agree in all tasks, and are shown once."""
_MOST_NAMED = 5
"""Tasks that a line names; of more, it says how many they are."""
_CAUSE = re.compile(r"\[[a-z0-9-]+\]$")


class Captured(OutputStreams):
    """Keeps the last line that each task writes to stderr: the error of its command."""

    def __init__(self, interrupts: Interrupts, *, debug: bool) -> None:
        """Start with no lines. With `debug`, they are also written."""
        super().__init__(interrupts, debug=debug)
        self.last: dict[str, str] = {}
        """By the short name of the task, which every line begins with."""

    def out(self, data: bytes) -> None:
        """Drop it: the command prints nothing, but shells may."""

    def err(self, data: bytes) -> None:
        """Keep the last line of each task."""
        if self.debugging:
            super().err(data)
        for line in data.decode(errors="replace").splitlines():
            name, _, text = line.partition(": ")
            self.last[name] = text.removeprefix("ecs-exec: ")


class Checked(NamedTuple):
    """What was found about one task."""

    name: str
    """The shortened ID."""
    container: str
    wrong: Sequence[Check]
    """Checks of the task alone that are not ok."""


def run(
    asked: CheckExec, here: Sequence[Check], caller: Caller, interrupts: Interrupts, environ: Mapping[str, str]
) -> int:
    """Print the checks; return 0 only if the command has run in every running task. Raises EcsExecError.

    `here` are the checks of this server.
    """
    wanted = asked.wanted
    kind, owner = ("service", wanted.service) if wanted.service else ("family", wanted.family)
    what = f"{kind} {short(owner)} in cluster {short(wanted.cluster)}"
    found = caller.running(wanted)
    tasks = sorted((task for task in found if task.get("lastStatus") == "RUNNING"), key=age)
    for task in found:
        if task not in tasks:
            caller.line(f"skipped: task {short(str(task.get('taskArn')))} is {task.get('lastStatus')}")
    if not tasks:
        raise TargetError(name="no-running-task", owner=what)
    names = _names(tasks)
    caller.line(f"checking {_number(tasks)} of {what}")
    results = _print_shared(collect_all(wanted, tasks, caller), names, caller)
    for check in here:
        caller.line(check.line())
    statuses, errors = _prove(asked, results, interrupts, environ)
    if statuses is None:
        return EXIT_ABORTED
    for arn, checked in results.items():
        status = statuses.get(arn, EXIT_NOT_RUN)
        caller.line(_line(checked, status, errors.get(checked.name, "")).line())
    caller.line(_summary(names, statuses, what))
    return max(statuses.get(arn, EXIT_NOT_RUN) for arn in names)


def _names(tasks: Sequence[Described]) -> Mapping[str, str]:
    arns = [str(task.get("taskArn", "")) for task in tasks]
    ids = short_names(short(arn) for arn in arns)
    return {arn: ids[short(arn)] for arn in arns}


def _number(tasks: Sequence[object]) -> str:
    return f"{len(tasks)} running task{'s' if len(tasks) > 1 else ''}"


def _print_shared(every: Sequence[Facts], names: Mapping[str, str], caller: Caller) -> Mapping[str, Checked]:
    """Print each check that is not in a task's line once, with its tasks; return what is left for the tasks' lines."""
    shared: dict[Check, list[str]] = {}
    left: dict[str, Checked] = {}
    for facts in every:
        assert isinstance(facts.task, Mapping)  # noqa: S101 - the facts are about tasks that were described
        arn = str(facts.task.get("taskArn", ""))
        wrong: list[Check] = []
        for check in checks(facts):
            if check.what not in _OF_TASK or check.state == "not checkable":
                shared.setdefault(check, []).append(names[arn])
            elif check.state != "ok":
                wrong.append(check)
        left[arn] = Checked(names[arn], facts.container, wrong)
    for check, its in shared.items():
        whose = "" if len(its) == len(every) else f" ({_tasks(its)})"
        caller.line(check.line() + whose)
    return left


def _tasks(names: Sequence[str]) -> str:
    if len(names) > _MOST_NAMED:
        return f"{len(names)} tasks"
    return f"task{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _prove(
    asked: CheckExec, tasks: Mapping[str, Checked], interrupts: Interrupts, environ: Mapping[str, str]
) -> tuple[Mapping[str, int] | None, Mapping[str, str]]:
    """Run a command in every task; return the exit statuses by ARN, None after an abort, and the errors by name."""
    captured = Captured(interrupts, debug=asked.execution.debug)

    def start(arn: str) -> subprocess.Popen[bytes]:
        # With the name of the container, the command needs no look at the task.
        container = {"RD_CONFIG_CONTAINER": tasks[arn].container} if tasks[arn].container else {}
        return starter({**environ, "RD_CONFIG_COMMAND": asked.execution.command, **container})(arn)

    names = {arn: checked.name for arn, checked in tasks.items()}
    try:
        statuses = TaskRunner(names, asked.parallel, start, interrupts, captured).run()
    except Aborted:
        captured.say(f"aborted by {interrupts.name} before all tasks were checked")
        return None, {}
    return statuses, captured.last


def _line(checked: Checked, status: int, error: str) -> Check:
    """Return the line of a task: its causes, and the error of the command unless a cause has the same name."""
    causes = [check.text for check in checked.wrong]
    where = f"container {checked.container}: " if checked.container else ""
    state: State = "failed"
    if not status:
        state = "warning" if causes else "ok"
        causes = ["true ran", *causes]
    elif (said := _CAUSE.search(error)) is None or not any(text.endswith(said[0]) for text in causes):
        causes.append(error or f"true ended with exit status {status}: check shell, user and workdir")
    return Check(state, f"task {checked.name}", where + "; ".join(causes))


def _summary(names: Mapping[str, str], statuses: Mapping[str, int], what: str) -> str:
    failed = [name for arn, name in names.items() if statuses.get(arn, EXIT_NOT_RUN)]
    if not failed:
        are = "are" if len(names) > 1 else "is"
        return f"{'all ' if len(names) > 1 else ''}{_number(list(names))} of {what} {are} ready"
    are = "are" if len(failed) > 1 else "is"
    return f"{len(failed)} of {_number(list(names))} of {what} {are} not ready: {', '.join(failed)}"
