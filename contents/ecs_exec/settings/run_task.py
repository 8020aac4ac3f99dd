"""What the step Run Task starts, and how it goes on."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ecs_exec.settings.access import Access, read_access
from ecs_exec.settings.reader import Reader, matching, seconds, several, switch
from ecs_exec.settings.run import rundeck_variables
from ecs_exec.settings.steps import reason_of_job
from ecs_exec.settings.target import CLUSTER, CONTAINER, SERVICE, Wanted, with_cluster
from ecs_exec.settings.task_properties import LAUNCH_TYPE, RUN_TASK

_MOST_TASKS = 10
"""Tasks that one ecs:RunTask starts."""
_LONGEST_TAG = 256
_NOT_IN_TAGS = re.compile(r"[^\w +=.:/@-]")


class Overrides(NamedTuple):
    """Values that replace those of the task definition. Zeros and empty values change nothing."""

    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    cpu: int = 0
    memory: int = 0
    """MiB."""
    task_cpu: int = 0
    task_memory: int = 0

    def __repr__(self) -> str:
        """Show nothing: some of the values may be secret."""
        return "Overrides(...)"


class Network(NamedTuple):
    """Where the task runs. Empty values are the service's, or AWS's defaults."""

    launch_type: str = ""
    capacity_provider: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    public_ip: bool | None = None


class RunTask(NamedTuple):
    """What ecs-run-task starts."""

    access: Access
    cluster: str
    definition: str
    """Family, family:revision or ARN; empty: the service's."""
    service: str
    """Name or ARN; empty: none."""
    container: str
    overrides: Overrides
    network: Network
    tags: Mapping[str, str]
    job_tags: Mapping[str, str]
    """Those that the step adds itself."""
    enable_exec: bool
    number: int
    """Of tasks."""
    wait: bool
    timeout: int
    """Seconds; 0: no limit."""
    log_wait: int
    """Seconds."""
    data: bool
    execution: str
    """The execution's number, empty if there is none."""
    aborted: str
    """Reason for ECS of a stop after an abort."""
    timed_out: str
    """The same after a timeout."""


_DEFINITION = matching(
    r"(arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{12}:task-definition/)?[A-Za-z0-9_-]{1,255}(:[0-9]{1,9})?",
    "a family, family:revision, or the ARN of a task definition",
)
_PROVIDER = matching(r"[A-Za-z0-9_-]{1,255}", "a capacity provider's name")


def read_run_task(environ: Mapping[str, str]) -> RunTask:
    """Read the settings of the step. Raises SettingsError that names every fault; none shows a variable's value."""
    reader = Reader(environ, RUN_TASK)
    service, definition = reader.setting("like-service", SERVICE), reader.setting("task-definition", _DEFINITION)
    wanted = with_cluster(Wanted(reader.setting("cluster", CLUSTER), service=service), reader, "cluster")
    timeout = reader.setting("timeout", seconds(0))
    asked = RunTask(
        access=read_access(reader, (service, definition, wanted.cluster)),
        cluster=wanted.cluster,
        definition=definition,
        service=service,
        container=reader.setting("container", CONTAINER),
        overrides=_overrides(reader),
        network=_network(reader, with_service=bool(service)),
        tags=reader.setting("tags", _tags),
        job_tags=_job_tags(environ),
        enable_exec=reader.setting("enable-execute-command", switch),
        number=reader.setting("count", _whole(1, _MOST_TASKS)),
        wait=reader.setting("wait", switch),
        timeout=timeout,
        log_wait=reader.setting("log-wait", seconds(0)),
        data=reader.setting("data", switch),
        execution=environ.get("RD_JOB_EXECID", ""),
        aborted=reason_of_job(environ),
        timed_out=reason_of_job(environ, f"Timed out after {timeout} s"),
    )
    if not service and not definition:
        reader.missing(
            "task-definition and like-service are both empty: set one of them", "task-definition", "like-service"
        )
    reader.finish()
    return asked


# --- The container


def _overrides(reader: Reader) -> Overrides:
    return Overrides(
        command=_command(reader),
        environment=_environment(reader) | reader.setting("env", lambda text: rundeck_variables(text, reader.environ)),
        cpu=reader.setting("cpu", _whole(1, 1 << 20)),
        memory=reader.setting("memory", _whole(4, 1 << 24)),
        task_cpu=reader.setting("task-cpu", _whole(1, 1 << 20)),
        task_memory=reader.setting("task-memory", _whole(4, 1 << 24)),
    )


def _command(reader: Reader) -> tuple[str, ...]:
    """Return the words of the command. Its text is not shown in a fault: a value in it may be secret."""
    text = reader.text("command").strip()
    if text.startswith("["):
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):  # the latter for thousands of brackets
            words = None
        if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
            if not all(map(_is_text, words)):
                reader.fault("command contains a NUL character, or characters that are not Unicode text")
            return tuple(words)
        reader.fault('command begins with [ and is not a JSON list of texts like ["sh", "-c", "date"]')
        return ()
    try:
        return tuple(shlex.split(text))
    except ValueError:
        reader.fault("command cannot be split into words: a quote is not closed, or its last character is a backslash")
    return ()


def _is_text(value: str) -> bool:
    """Return whether a program can get a value: it has no NUL, and is not the half of a surrogate pair."""
    return "\0" not in value and value == value.encode(errors="ignore").decode()


def _environment(reader: Reader) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(reader.text("environment").split("\n"), 1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name.strip()):
            reader.fault(f"environment, line {number}: expected NAME=value")
        elif not _is_text(value):
            reader.fault(f"environment, line {number}: the value is not UTF-8 text")
        else:
            found[name.strip()] = value
    return found


# --- The place


def _network(reader: Reader, *, with_service: bool) -> Network:
    network = Network(
        launch_type=reader.setting("launch-type", _launch_type),
        capacity_provider=reader.setting("capacity-provider", _PROVIDER),
        subnets=reader.setting("subnets", several(matching(r"subnet-[0-9a-f]+", "IDs like subnet-0a1b2c3d"))),
        security_groups=reader.setting("security-groups", several(matching(r"sg-[0-9a-f]+", "IDs like sg-0a1b2c3d"))),
        public_ip=reader.setting("assign-public-ip", _optional_switch),
    )
    if network.launch_type and network.capacity_provider:
        reader.fault("launch-type and capacity-provider are both set: keep one of them")
    if not network.subnets and not with_service and (network.security_groups or network.public_ip):
        reader.missing(
            "security-groups or assign-public-ip is set, but subnets and like-service are empty: set subnets",
            "subnets",
            "like-service",
        )
    return network


def _launch_type(text: str) -> str:
    if text and text not in LAUNCH_TYPE.values:
        raise ValueError(f"expected {', '.join(LAUNCH_TYPE.values)}")
    return text


def _optional_switch(text: str) -> bool | None:
    return switch(text) if text else None


# --- Tags


def _tags(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in re.split(r"[,\n]", text):
        if not entry.strip():
            continue
        key, equals, value = (part.strip() for part in entry.partition("="))
        if not equals or not key or _NOT_IN_TAGS.search(key + value) or key.lower().startswith("aws:"):
            raise ValueError("expected key=value, separated by commas, of letters, digits, spaces and +-=._:/@")
        found[key] = value
    return found


def _job_tags(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of the job. Characters that AWS refuses in tags become underscores."""
    group, name = environ.get("RD_JOB_GROUP", ""), environ.get("RD_JOB_NAME", "")
    values = {
        "rundeck-project": environ.get("RD_JOB_PROJECT", ""),
        "rundeck-job": f"{group}/{name}" if group else name,
        "rundeck-execution": environ.get("RD_JOB_EXECID", ""),
        "rundeck-user": environ.get("RD_JOB_USERNAME", ""),
    }
    return {key: _NOT_IN_TAGS.sub("_", value)[:_LONGEST_TAG] for key, value in values.items() if value}


def _whole(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of a whole number; an empty text is 0."""

    def parse(text: str) -> int:
        if not text:
            return 0
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return int(text)

    return parse


def request_of(overrides: Overrides, container: str) -> dict[str, Any]:
    """Return the overrides as ecs:RunTask takes them; empty if they change nothing."""
    entry: dict[str, Any] = {"command": list(overrides.command)} if overrides.command else {}
    if overrides.environment:
        entry["environment"] = [{"name": name, "value": value} for name, value in overrides.environment.items()]
    entry |= {"cpu": overrides.cpu} if overrides.cpu else {}
    entry |= {"memory": overrides.memory} if overrides.memory else {}
    found: dict[str, Any] = {"containerOverrides": [{"name": container, **entry}]} if entry else {}
    found |= {"cpu": str(overrides.task_cpu)} if overrides.task_cpu else {}
    return found | ({"memory": str(overrides.task_memory)} if overrides.task_memory else {})
