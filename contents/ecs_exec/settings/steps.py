"""The settings of the job steps, from their forms and, for node steps, from the node's attributes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, cast, get_args

from ecs_exec.settings import step_properties as properties
from ecs_exec.settings.access import Access, read_access
from ecs_exec.settings.execution import Execution, is_debug
from ecs_exec.settings.reader import Reader, matching, seconds, switch
from ecs_exec.settings.run import Run, read_run
from ecs_exec.settings.target import CLUSTER, CONTAINER, FAMILY, SERVICE, TASK, Wanted, read_wanted, with_cluster
from ecs_exec.text import shortened

Format = Literal["text", "json", "markdown", "html"]

OnAbort = Literal["leave", "rollback"]

MAX_REASON = 255
"""Characters of a reason that ecs:StopTask is known to accept."""

_MOST_AT_A_TIME = 100
_TARGETS = ("task", "service", "family")


class StopTask(NamedTuple):
    """What ecs-stop-task needs to stop a task."""

    access: Access
    wanted: Wanted
    reason: str
    wait: bool
    wait_timeout: int
    """Seconds; 0: no limit."""


class StoppedTasks(NamedTuple):
    """What ecs-stopped-tasks shows."""

    access: Access
    wanted: Wanted
    since: int
    """Seconds; 0: no limit."""
    limit: int
    """Tasks; 0: no limit."""
    format: Format
    data: bool


class RunCommand(NamedTuple):
    """What ecs-run-command runs, and where."""

    execution: Execution
    all_tasks: bool
    parallel: int


class Redeploy(NamedTuple):
    """What ecs-redeploy deploys, and how long it waits."""

    access: Access
    wanted: Wanted
    """Cluster and service, and the container that gets the image or tag."""
    task_definition: str
    image: str
    tag: str
    desired_count: int | None
    """None: it stays as it is."""
    on_abort: OnAbort
    wait_timeout: int
    """Seconds; 0: no limit."""


class Scale(NamedTuple):
    """What ecs-scale changes, and how long it waits."""

    access: Access
    wanted: Wanted
    number: int
    relative: bool
    """Whether `number` is added to the present number."""
    wait_timeout: int
    """Seconds; 0: no limit."""


class CheckExec(NamedTuple):
    """What ecs-check-exec checks."""

    access: Access
    wanted: Wanted
    run: Run
    execution: Execution
    """The command that is run at the end."""
    all_tasks: bool = False
    """Whether all running tasks of the service or family are checked."""
    parallel: int = 1


def read_stop_task(environ: Mapping[str, str]) -> StopTask:
    """Read the settings of ecs-stop-task, as a node step or as a workflow step. Raises SettingsError.

    A workflow step has the field `task` in its form, and no node. The field is set even if a reference in it has no
    value.
    """
    if "RD_CONFIG_TASK" in environ or not environ.get("RD_NODE_NAME"):
        return read_stop_task_of_form(environ)
    return read_stop_task_of_node(environ)


def read_stop_task_of_node(environ: Mapping[str, str]) -> StopTask:
    """Read the settings of the node step. Raises SettingsError that names every fault."""
    reader = Reader(environ, properties.STOP_TASK_OF_NODE)
    return _stop_task(reader, read_access(reader), read_wanted(reader))


def read_stop_task_of_form(environ: Mapping[str, str]) -> StopTask:
    """Read the settings of the workflow step. Raises SettingsError that names every fault."""
    reader = Reader(environ, properties.STOP_TASK)
    wanted = with_cluster(Wanted(_field(reader, "cluster", CLUSTER), _field(reader, "task", TASK)), reader, "cluster")
    if not wanted.task:
        reader.missing("task is empty: give the id or ARN of the task to stop", "task")
    return _stop_task(reader, _access(reader, wanted), wanted)


def read_stopped_tasks(environ: Mapping[str, str]) -> StoppedTasks:
    """Read the settings of ecs-stopped-tasks. Raises SettingsError that names every fault."""
    reader = Reader(environ, properties.STOPPED_TASKS)
    wanted = _target(reader)
    asked = StoppedTasks(
        access=_access(reader, wanted),
        wanted=wanted,
        since=reader.setting("since", duration),
        limit=reader.setting("limit", _number(0, 10_000)),
        format=reader.setting("format", _format),
        data=reader.setting("data", switch),
    )
    reader.finish()
    return asked


def read_run_command(environ: Mapping[str, str]) -> RunCommand:
    """Read the settings of ecs-run-command. Raises SettingsError that names every fault."""
    reader = Reader(environ, properties.RUN_COMMAND)
    wanted = _target(reader, task=_field(reader, "task", TASK))
    command = reader.text("command")
    if not command.strip():
        reader.fault("command is empty")
    execution = Execution("", command, _access(reader, wanted), wanted, read_run(reader), is_debug(environ))
    all_tasks = reader.setting("all-tasks", switch)
    asked = RunCommand(execution, all_tasks, reader.setting("parallel", _number(1, _MOST_AT_A_TIME)))
    _one_target(reader, wanted)
    if all_tasks and wanted.task:
        reader.fault("all-tasks is true, but task names a single task: set service or family instead")
    reader.finish()
    return asked


def read_redeploy(environ: Mapping[str, str]) -> Redeploy:
    """Read the settings of ecs-redeploy. Raises SettingsError that names every fault."""
    reader = Reader(environ, properties.REDEPLOY)
    wanted = _service(reader, container=_field(reader, "container", CONTAINER))
    asked = Redeploy(
        access=_access(reader, wanted),
        wanted=wanted,
        task_definition=reader.setting("task-definition", _DEFINITION),
        image=reader.setting("image", _IMAGE),
        tag=reader.setting("tag", _TAG),
        desired_count=reader.setting("desired-count", _count),
        on_abort=reader.setting("on-abort", _on_abort),
        wait_timeout=reader.setting("wait-timeout", seconds(0)),
    )
    if asked.image and asked.tag:
        reader.fault("image and tag are set: keep one of them")
    if wanted.container and not (asked.image or asked.tag):
        reader.missing(
            "container is set, but neither image nor tag: set one of them, or clear container", "image", "tag"
        )
    reader.finish()
    return asked


def read_scale(environ: Mapping[str, str]) -> Scale:
    """Read the settings of ecs-scale. Raises SettingsError that names every fault."""
    reader = Reader(environ, properties.SCALE)
    wanted = _service(reader)
    count, relative = reader.setting("desired-count", _change)
    if count is None:
        reader.missing("desired-count is empty: give a number of tasks, like 4, +2 or -1", "desired-count")
    asked = Scale(
        access=_access(reader, wanted),
        wanted=wanted,
        number=count or 0,
        relative=relative,
        wait_timeout=reader.setting("wait-timeout", seconds(0)),
    )
    reader.finish()
    return asked


def read_check_exec(environ: Mapping[str, str]) -> CheckExec:
    """Read the settings, as a node step or as a workflow step, which has no node. Raises SettingsError."""
    fields = any(f"RD_CONFIG_{name.upper()}" in environ for name in ("cluster", *_TARGETS))
    if fields or not environ.get("RD_NODE_NAME"):
        return read_check_exec_of_form(environ)
    return read_check_exec_of_node(environ)


def read_check_exec_of_form(environ: Mapping[str, str]) -> CheckExec:
    """Read the settings of the workflow step. Raises SettingsError that names every fault."""
    reader = Reader(environ, properties.CHECK_EXEC)
    wanted = _target(reader, task=_field(reader, "task", TASK))
    access, run = _access(reader, wanted), read_run(reader)
    execution = Execution("", "true", access, wanted, run, is_debug(environ))
    asked = CheckExec(
        access, wanted, run, execution, not wanted.task, reader.setting("parallel", _number(1, _MOST_AT_A_TIME))
    )
    _one_target(reader, wanted)
    reader.finish()
    return asked


def read_check_exec_of_node(environ: Mapping[str, str]) -> CheckExec:
    """Read the settings of the node step. Raises SettingsError that names every fault."""
    reader = Reader(environ, properties.CHECK_EXEC_OF_NODE)
    access, wanted, run = read_access(reader), read_wanted(reader), read_run(reader)
    execution = Execution(environ.get("RD_NODE_NAME", ""), "true", access, wanted, run, is_debug(environ))
    reader.finish()
    return CheckExec(access, wanted, run, execution)


# --- Parts


def _field(reader: Reader, name: str, parse: Callable[[str], str]) -> str:
    return reader.setting(name, parse)


def _target(reader: Reader, task: str = "") -> Wanted:
    wanted = Wanted(
        cluster=_field(reader, "cluster", CLUSTER),
        task=task,
        service=_field(reader, "service", SERVICE),
        family=_field(reader, "family", FAMILY),
        container=_field(reader, "container", CONTAINER),
    )
    return with_cluster(wanted, reader, "cluster")


def _one_target(reader: Reader, wanted: Wanted) -> None:
    named = [name for name in _TARGETS if getattr(wanted, name)]
    if not named:
        reader.missing("task, service and family are all empty: set one of them", *_TARGETS)
    if len(named) > 1:
        reader.fault(f"{' and '.join(named)} are set: keep one of them")


def _service(reader: Reader, container: str = "") -> Wanted:
    """Return the service that a step deploys or scales. It is a fault if none is named."""
    wanted = Wanted(_field(reader, "cluster", CLUSTER), service=_field(reader, "service", SERVICE), container=container)
    wanted = with_cluster(wanted, reader, "cluster")
    if not wanted.service:
        reader.missing("service is empty: give the name or ARN of a service", "service")
    return wanted


def _access(reader: Reader, wanted: Wanted) -> Access:
    return read_access(reader, (wanted.task, wanted.service, wanted.cluster))


def _stop_task(reader: Reader, access: Access, wanted: Wanted) -> StopTask:
    asked = StopTask(
        access=access,
        wanted=wanted,
        reason=reader.setting("reason", _reason) or reason_of_job(reader.environ),
        wait=reader.setting("wait", switch),
        wait_timeout=reader.setting("wait-timeout", seconds(0)),
    )
    reader.finish()
    return asked


def reason_of_job(environ: Mapping[str, str], what: str = "Stopped by Rundeck") -> str:
    """Return what is done with the job, the execution, the project and the user, as far as Rundeck passes them."""
    group, name = environ.get("RD_JOB_GROUP", ""), environ.get("RD_JOB_NAME", "")
    execution, user = environ.get("RD_JOB_EXECID", ""), environ.get("RD_JOB_USERNAME", "")
    project = environ.get("RD_JOB_PROJECT", "")
    parts = [f"job {group}/{name}" if group else f"job {name}"] if name else []
    parts += [f"execution {execution}"] if execution else []
    parts += [f"project {project}"] if project else []
    parts += [f"by {user}"] if user else []
    return _reason(f"{what}: {', '.join(parts)}" if parts else what)


def _reason(text: str) -> str:
    """Put a reason on one line, and cut it if it is too long: ECS might reject the call."""
    return shortened(" ".join(text.split()), MAX_REASON, "…")


def _format(text: str) -> Format:
    for name in get_args(Format):
        if text == name:
            return cast("Format", name)
    raise ValueError("expected text, json, markdown or html")


_DEFINITION = matching(
    r"(arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{12}:task-definition/)?[A-Za-z0-9_-]{1,255}(:[0-9]{1,9})?",
    "a task definition: family, family:revision or ARN",
)
_IMAGE = matching(r"[A-Za-z0-9][\w.:/@+-]{0,511}", "an image, like registry.example.com/web:1.27")
_TAG = matching(r"\w[\w.-]{0,127}|sha256:[0-9a-f]{64}", "a tag, like 1.27, or a digest, like sha256:...")


def _count(text: str) -> int | None:
    return _number(1, 10_000)(text) if text else None


def _change(text: str) -> tuple[int | None, bool]:
    """Return a number of tasks, None if there is none, and whether it is a change."""
    found = re.fullmatch(r"[+-]?[0-9]{1,5}", text)
    if text and not found:
        raise ValueError("expected a number of tasks, like 4, +2 or -1")
    return (int(text), text[0] in "+-") if text else (None, False)


def _on_abort(text: str) -> OnAbort:
    for name in get_args(OnAbort):
        if text == name:
            return cast("OnAbort", name)
    raise ValueError("expected leave or rollback")


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> int:
    """Parse a time like 15m; return seconds, 0 for an empty text. Raises ValueError."""
    if not text:
        return 0
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise ValueError("expected a number and s, m, h or d, like 15m")
    return int(found[1]) * _UNITS[found[2]]


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return int(text)

    return parse
