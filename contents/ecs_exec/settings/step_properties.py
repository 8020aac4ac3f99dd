"""The properties that only the plugin's job steps have; those of every provider are in `properties`.

A workflow step runs once, on the server, and knows no node: what a node's attributes say is asked for in its form.
"""

from __future__ import annotations

from collections.abc import Iterable

from ecs_exec.settings.properties import ACCESS, REGION, RUN, Property

# --- The target of a workflow step

CLUSTER = Property(
    "cluster",
    "Cluster",
    "Name or ARN of the cluster, for example prod. Empty: the one inside an ARN of task or service, else the one named"
    " default.",
    "Target",
)
TASK = Property(
    "task",
    "Task",
    "Id or ARN of the task, for example 0123456789abcdef0123456789abcdef.",
    "Target",
)
SERVICE = Property(
    "service",
    "Service",
    "Name or ARN of a service, for example web; in place of a task. Its newest running task is taken.",
    "Target",
)
FAMILY = Property(
    "family",
    "Family",
    "Family of a task definition, without a revision, for example nightly-report; in place of a task or a service."
    " Its newest running task is taken.",
    "Target",
)
CONTAINER = Property(
    "container",
    "Container",
    "Name of the container, for example app. Empty: the task's only container, else its only essential one.",
    "Target",
)

# --- ecs-stop-task

STOPPED_TASK = TASK._replace(required=True)
REASON = Property(
    "reason",
    "Reason",
    "What ECS notes as the reason, at most 255 characters, for example: restart after ${option.ticket}. Empty: the"
    " job, the execution and the user.",
    "Step",
)
WAIT = Property(
    "wait",
    "Wait",
    "true: wait until the task is STOPPED, and tell each status on the way, the stop code and the exit codes.",
    "Step",
    "true",
    kind="Boolean",
)
WAIT_TIMEOUT = Property(
    "wait-timeout",
    "Wait at Most",
    "Seconds to wait for STOPPED, for example 600; 0: no limit. Then the exit status is 124, and the task goes on"
    " stopping.",
    "Step",
    "300",
    kind="Integer",
)

# --- ecs-stopped-tasks

OF_SERVICE = SERVICE._replace(help="Only tasks of this service, its name or ARN, for example web.")
OF_FAMILY = FAMILY._replace(
    help="Only tasks of this family of task definitions, without a revision, for example nightly-report."
)
WITH_CONTAINER = CONTAINER._replace(
    help="Only tasks with a container of this name, for example app, and of each only that container's end."
)
SINCE = Property(
    "since",
    "Stopped Within",
    "Only tasks that stopped within this time: a number and s, m, h or d, for example 15m. Empty: all that ECS still"
    " shows, those of about an hour.",
    "Step",
)
LIMIT = Property(
    "limit",
    "At Most",
    "How many tasks are shown, the newest first, for example 20; 0: all. They are counted all the same.",
    "Step",
    "50",
    kind="Integer",
)
FORMAT = Property(
    "format",
    "Format",
    "text: aligned, for reading in the log. json, markdown, html: between the marks that Rundeck's log filter Render"
    " Formatted Data looks for.",
    "Step",
    "text",
    kind="Select",
    values=("text", "json", "markdown", "html"),
    required=True,
)
DATA = Property(
    "data",
    "Data Lines",
    "true: print RUNDECK:DATA lines for the log filter Key Value Data: ecs-stopped-count, and of the newest task"
    " ecs-stopped-task, ecs-stopped-at, ecs-stopped-code and ecs-stopped-reason.",
    "Step",
    "true",
    kind="Boolean",
)

# --- ecs-run-command

COMMAND = Property(
    "command",
    "Command",
    "What the container's shell runs, for example: php artisan cache:clear && echo done. Rundeck puts the values of"
    " options in without quotes; env hands them on as variables.",
    "Step",
    required=True,
    display="CODE",
    keep_unknown=True,
)
ALL_TASKS = Property(
    "all-tasks",
    "All Tasks",
    "true: run it in every running task of the service or family, not only the newest. Each line is prefixed by its"
    " task, and the exit status is the highest of all.",
    "Step",
    "false",
    kind="Boolean",
)
PARALLEL = Property(
    "parallel",
    "Tasks at a Time",
    "With all tasks: how many run the command at a time, from 1 to 100, for example 10.",
    "Step",
    "5",
    kind="Integer",
)


def without_node(properties: Iterable[Property]) -> tuple[Property, ...]:
    """Return the same properties for a step that has no node to ask."""
    plain = (item._replace(attribute="") for item in properties)
    return tuple(_REGION if item.name == REGION.name else item for item in plain)


_REGION = REGION._replace(
    help="AWS region, for example eu-west-1. Empty: the region inside an ARN, else that of the server's AWS"
    " configuration.",
    attribute="",
)
_NO_NODE_ACCESS = without_node(ACCESS)
_STOP = (REASON, WAIT, WAIT_TIMEOUT)

STOP_TASK_OF_NODE = _STOP + ACCESS
STOP_TASK = (CLUSTER, STOPPED_TASK, *_STOP, *_NO_NODE_ACCESS)
STOPPED_TASKS = (CLUSTER, OF_SERVICE, OF_FAMILY, WITH_CONTAINER, SINCE, LIMIT, FORMAT, DATA, *_NO_NODE_ACCESS)
RUN_COMMAND = (
    COMMAND,
    CLUSTER,
    TASK,
    SERVICE,
    FAMILY,
    CONTAINER,
    ALL_TASKS,
    PARALLEL,
    *_NO_NODE_ACCESS,
    *without_node(RUN),
)
CHECK_EXEC = ACCESS + RUN
"""Properties of the steps, in the order of their forms."""
