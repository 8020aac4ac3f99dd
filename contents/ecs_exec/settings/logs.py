"""Which logs the step Logs shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ecs_exec.settings.access import Access, read_access
from ecs_exec.settings.reader import Reader, switch
from ecs_exec.settings.steps import duration
from ecs_exec.settings.target import CLUSTER, CONTAINER, FAMILY, SERVICE, TASK, Wanted, read_wanted, with_cluster
from ecs_exec.settings.task_properties import LOGS, LOGS_OF_NODE

_TARGETS = ("task", "service", "family")


class Logs(NamedTuple):
    """What ecs-logs shows."""

    access: Access
    wanted: Wanted
    """An empty container means all of them."""
    since: int
    """Seconds."""
    follow: int
    """Seconds; 0: new lines are not awaited."""
    filter: str
    timestamps: bool


def read_logs(environ: Mapping[str, str]) -> Logs:
    """Read the settings, as a node step or as a workflow step, which has no node. Raises SettingsError."""
    fields = any(f"RD_CONFIG_{name.upper()}" in environ for name in ("cluster", *_TARGETS))
    return read_logs_of_form(environ) if fields or not environ.get("RD_NODE_NAME") else read_logs_of_node(environ)


def read_logs_of_node(environ: Mapping[str, str]) -> Logs:
    """Read the settings of the node step. Raises SettingsError that names every fault."""
    reader = Reader(environ, LOGS_OF_NODE)
    return _logs(reader, read_access(reader), read_wanted(reader))


def read_logs_of_form(environ: Mapping[str, str]) -> Logs:
    """Read the settings of the workflow step. Raises SettingsError that names every fault."""
    reader = Reader(environ, LOGS)
    wanted = Wanted(
        cluster=reader.setting("cluster", CLUSTER),
        task=reader.setting("task", TASK),
        service=reader.setting("service", SERVICE),
        family=reader.setting("family", FAMILY),
        container=reader.setting("container", CONTAINER),
    )
    named = [name for name in _TARGETS if getattr(wanted, name)]
    if not named:
        reader.missing("task, service and family are all empty: set one of them", *_TARGETS)
    if len(named) > 1:
        reader.fault(f"{' and '.join(named)} are set: keep one of them")
    wanted = with_cluster(wanted, reader, "cluster")
    return _logs(reader, read_access(reader, (wanted.task, wanted.service, wanted.cluster)), wanted)


def _logs(reader: Reader, access: Access, wanted: Wanted) -> Logs:
    asked = Logs(
        access=access,
        wanted=wanted,
        since=reader.setting("since", duration),
        follow=reader.setting("follow", duration),
        filter=reader.text("filter").strip(),
        timestamps=reader.setting("timestamps", switch),
    )
    reader.finish()
    return asked
