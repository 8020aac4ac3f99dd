"""Check everything that ECS Exec needs for a container, then run a command in it as the proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ecs_exec.errors import EXIT_ABORTED, EcsExecError
from ecs_exec.settings.execution import Execution
from ecs_exec.settings.run import Run
from ecs_exec.settings.steps import CheckExec
from ecs_exec.settings.target import Wanted
from ecs_exec.signals import Interrupts
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.check import Check
from ecs_exec.steps.checks import checks
from ecs_exec.steps.facts import Facts, Unavailable
from ecs_exec.steps.inquiry import collect_facts

Prove = Callable[[Execution], int]
"""Runs a command as the node executor does."""


def run(asked: CheckExec, caller: Caller, prove: Prove, interrupts: Interrupts, environ: Mapping[str, str]) -> int:
    """Print a line for each check. Return 0 only if a command has run in the container. Raises EcsExecError."""
    if asked.all_tasks:
        from ecs_exec.steps import check_tasks

        return check_tasks.run(asked, list(_here(asked.run)), caller, interrupts, environ)
    facts = collect_facts(asked.wanted, caller)
    for check in [*checks(facts), *_here(asked.run)]:
        caller.line(check.line())
    began = caller.clock()
    try:
        status = prove(asked.execution._replace(wanted=_settled(asked.wanted, facts)))
    except EcsExecError:
        caller.line(Check("failed", "command", "the test command true did not start; see the error below").line())
        raise
    if status == EXIT_ABORTED:
        return status
    if status:
        text = f"true ended with exit status {status}: check shell, user and workdir"
        caller.line(Check("failed", "command", text).line())
    else:
        seconds = caller.clock() - began
        caller.line(Check("ok", "command", f"true ran in container {facts.container} within {seconds:.1f} s").line())
    return status


def _settled(wanted: Wanted, facts: Facts) -> Wanted:
    """Return the target with the task and container that were checked: the command must run in the same ones."""
    if facts.task is None or isinstance(facts.task, Unavailable) or not facts.container:
        return wanted
    return wanted._replace(task=str(facts.task.get("taskArn", "")), container=facts.container)


def _here(run: Run) -> Iterator[Check]:
    """Check this server: the transport, and session-manager-plugin."""
    from ecs_exec.transport.session_manager_plugin import find_binary

    what = "transport"
    try:
        path = find_binary(run.session_manager_plugin)
    except EcsExecError as error:
        if run.transport == "session-manager-plugin":
            yield Check("failed", what, str(error))
        else:
            yield Check("ok", what, f"{run.transport}; AWS's session-manager-plugin is not on this server")
    else:
        yield Check("ok", what, f"{run.transport}; AWS's program is {path}")
