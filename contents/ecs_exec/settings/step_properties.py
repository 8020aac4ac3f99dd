"""The properties that only the job steps have; the properties of all providers are in `properties`.

A workflow step runs once, on the server, and has no node. So its form asks for what a node's attributes would name.
"""

from __future__ import annotations

from collections.abc import Iterable

from ecs_exec.settings.properties import ACCESS, REGION, RUN, TTY, UNSET_REFERENCES, Property

# --- The target of a workflow step

CLUSTER = Property(
    "cluster",
    "Cluster",
    "Name or ARN of the cluster, for example prod. Empty: the cluster in the ARN of the task or service, else the"
    " cluster named default.",
    "Target",
)
TASK = Property(
    "task",
    "Task",
    "ID or ARN of the task, for example 0123456789abcdef0123456789abcdef. Empty: service or family is used.",
    "Target",
)
SERVICE = Property(
    "service",
    "Service",
    "Name or ARN of a service, for example web. Set it instead of a task: the service's newest running task is used."
    " Empty: task or family is used.",
    "Target",
)
FAMILY = Property(
    "family",
    "Family",
    "Family of a task definition, without a revision, for example nightly-report. Set it instead of a task or a"
    " service: the family's newest running task is used. Empty: task or service is used.",
    "Target",
)
CONTAINER = Property(
    "container",
    "Container",
    "Name of the container, for example app. Empty: the task's only container, else its only essential one.",
    "Target",
)

# --- ecs-stop-task

STOPPED_TASK = TASK._replace(
    help="ID or ARN of the task to stop, for example 0123456789abcdef0123456789abcdef.", required=True
)
REASON = Property(
    "reason",
    "Reason",
    "Reason that ECS records for the stop, at most 255 characters, for example: restart after ${option.ticket}. Empty:"
    " the job, the execution, the project and the user.",
    "Step",
)
WAIT = Property(
    "wait",
    "Wait",
    "Whether the step waits until the task has stopped. true: wait, and print each status, the stop code and the exit"
    " codes. false: request the stop and continue with the next step.",
    "Step",
    "true",
    # Not a checkbox: it is off until somebody sets it, so it cannot show a default of true.
    kind="Select",
    values=("true", "false"),
)
WAIT_TIMEOUT = Property(
    "wait-timeout",
    "Wait Timeout",
    "Time to wait, in seconds, for example 600; 0 means no limit. If the task has not stopped by then, the exit status"
    " is 124, and ECS continues to stop the task.",
    "Step",
    "300",
    kind="Integer",
)

# --- ecs-stopped-tasks

OF_SERVICE = SERVICE._replace(
    help="Show only tasks of this service: a name or an ARN, for example web. Empty: tasks of any service."
)
OF_FAMILY = FAMILY._replace(
    help="Show only tasks of this task definition family, without a revision, for example nightly-report. Empty: tasks"
    " of any family."
)
WITH_CONTAINER = CONTAINER._replace(
    help="Show only tasks that have a container with this name, and of each task only this container, for example app."
    " Empty: all containers."
)
SINCE = Property(
    "since",
    "Stopped Within",
    "Show only tasks that stopped within this time: a number and s, m, h or d, for example 15m. Empty: all tasks that"
    " ECS still lists, which is about the last hour.",
    "Step",
)
LIMIT = Property(
    "limit",
    "Limit",
    "Number of tasks to show, newest first, for example 20; 0 means all. The data line ecs-stopped-count also counts"
    " the tasks that are not shown.",
    "Step",
    "50",
    kind="Integer",
)
FORMAT = Property(
    "format",
    "Format",
    "Format of the output. text: an aligned list for the log. json, markdown, html: for the log filter Render"
    " Formatted Data.",
    "Step",
    "text",
    kind="Select",
    values=("text", "json", "markdown", "html"),
)
DATA = Property(
    "data",
    "Data Lines",
    "Print RUNDECK:DATA lines for the log filter Key Value Data: ecs-stopped-count, and for the newest task"
    " ecs-stopped-task, ecs-stopped-at, ecs-stopped-code and ecs-stopped-reason. The lines stay visible in the log.",
    "Step",
    "false",
    kind="Boolean",
)

# --- ecs-fetch-file

SOURCE = Property(
    "source",
    "Source",
    "Path of a file or a directory in the container, or a pattern, for example /var/log/app/*.log. A ~ at the beginning"
    " is a home directory; a relative path begins in the working directory. Empty: command is used.",
    "Step",
)
OUTPUT_OF = Property(
    "command",
    "Command",
    "Command whose output is fetched instead of a file, for example: pg_dump shop. Its stdout is stored exactly as it"
    " is; its stderr goes to the log. If it fails, nothing is kept, and the exit status is its own. Empty: source is"
    " used.",
    "Step",
    display="CODE",
    shell_text=True,
)
BEFORE = Property(
    "before",
    "Before",
    "Command that runs before the fetch, in the same session, for example: jcmd 1 GC.heap_dump /tmp/heap.hprof. Its"
    " output goes to the log. If it fails, nothing is fetched, and the exit status is its own. Empty: no command.",
    "Step",
    display="CODE",
    shell_text=True,
)
AFTER = Property(
    "after",
    "After",
    "What happens to the files in the container after they were fetched and verified. keep: they stay. remove: they are"
    " removed, unless they have grown meanwhile.",
    "Step",
    "keep",
    kind="Select",
    values=("keep", "remove"),
)
DESTINATION = Property(
    "destination",
    "Destination",
    "Path on the Rundeck server, below fetch-folder, for example dumps/${node.name}/${job.execid}.hprof. If it ends"
    " with / or is a directory, the files keep their names in it. Empty: a directory named after the execution and the"
    " node.",
    "Step",
)
OVERWRITE = Property(
    "overwrite",
    "Overwrite",
    "Replace files that exist at the destination. Otherwise they are an error, and nothing is fetched.",
    "Step",
    "false",
    kind="Boolean",
)
COMPRESS = Property(
    "compress",
    "Compress",
    "How the data are compressed on their way. auto: xz or gzip, whichever the image has, if it saves time. xz, gzip:"
    " this one, if the image has it. none: not at all.",
    "Step",
    "auto",
    kind="Select",
    values=("auto", "xz", "gzip", "none"),
)
FOLLOW = Property(
    "follow",
    "Follow",
    "Also fetch what is appended to a file while it is fetched. Otherwise a file is fetched as long as it was at the"
    " beginning.",
    "Step",
    "false",
    kind="Boolean",
)
MAX_SIZE = Property(
    "max-size",
    "Maximum Size",
    "Most bytes that the files may have together, uncompressed: a number and KiB, MiB or GiB, for example 500MiB. If"
    " there is more, nothing is kept.",
    "Step",
    "1GiB",
)
FETCH_FOLDER = Property(
    "fetch-folder",
    "Fetch Folder",
    "Folder on the Rundeck server that gets all fetched files, for example /srv/fetched. No step writes outside it."
    " Empty: var/ecs-exec/PROJECT below Rundeck's base directory.",
    "Step",
    administrator=True,
)

FETCHED_DATA = DATA._replace(
    help="Print RUNDECK:DATA lines for the log filter Key Value Data: ecs-fetched-count, and for the first file"
    " ecs-fetched-path, ecs-fetched-bytes and ecs-fetched-sha256. The lines stay visible in the log.",
)

# --- ecs-redeploy

DEPLOYED_CLUSTER = CLUSTER._replace(
    help="Name or ARN of the cluster, for example prod. Empty: the cluster in the service's ARN, else the cluster named"
    " default."
)
DEPLOYED_SERVICE = SERVICE._replace(help="Name or ARN of the service, for example web.", required=True)
TASK_DEFINITION = Property(
    "task-definition",
    "Task Definition",
    "Task definition that the service gets: a family for its newest revision, for example web, family and revision, for"
    " example web:42, or an ARN. Empty: the service keeps its task definition.",
    "Step",
)
IMAGE = Property(
    "image",
    "Image",
    "Image that a container gets, for example registry.example.com/web:1.27. The step registers a new revision in which"
    " nothing else differs. Empty: the images stay as they are.",
    "Step",
)
TAG = Property(
    "tag",
    "Image Tag",
    "Tag that a container's image gets, for example 1.27, or a digest: sha256: and 64 digits. The step registers a new"
    " revision in which nothing else differs. Empty: the images stay as they are.",
    "Step",
)
CHANGED_CONTAINER = CONTAINER._replace(
    help="Name of the container that gets the image or tag, for example app. Empty: the only essential one."
)
DESIRED_COUNT = Property(
    "desired-count",
    "Desired Count",
    "Number of tasks that the service gets, for example 4. Empty: the number stays as it is.",
    "Step",
)
ON_ABORT = Property(
    "on-abort",
    "On Abort",
    "What an abort of the job does with the deployment. leave: ECS goes on with it. rollback: ECS returns to the old"
    " revision.",
    "Step",
    "leave",
    kind="Select",
    values=("leave", "rollback"),
)
DEPLOYMENT_TIMEOUT = WAIT_TIMEOUT._replace(
    help="Time that the deployment may take, in seconds, for example 3600; 0 means no limit. If it is not complete by"
    " then, the exit status is 124, and ECS goes on with it.",
    default="1800",
)

# --- ecs-scale

SCALED_COUNT = DESIRED_COUNT._replace(
    help="Number of tasks that the service gets: absolute, for example 4, or with a sign, for example +2 for two more"
    " and -1 for one less.",
    required=True,
)
SCALE_TIMEOUT = WAIT_TIMEOUT._replace(
    help="Time to wait, in seconds, for example 1200; 0 means no limit. If the service does not have so many running"
    " tasks by then, the exit status is 124, and ECS goes on.",
    default="600",
)

# --- ecs-run-command

COMMAND = Property(
    "command",
    "Command",
    "Command line for the container's shell, for example: php artisan cache:clear && echo done. Rundeck inserts"
    " option values without quotes; use env to pass them as variables instead. A reference without a value becomes"
    " empty. Before Rundeck 6.2, every other ${...} becomes empty, too: write $name there.",
    "Command",
    required=True,
    display="CODE",
    shell_text=True,
)
ALL_TASKS = Property(
    "all-tasks",
    "All Tasks",
    "Run the command in every running task of the service or family, not only in the newest. Each output line starts"
    " with the shortened ID of its task. The exit status is the highest one.",
    "Target",
    "false",
    kind="Boolean",
)
PARALLEL = Property(
    "parallel",
    "Tasks at a Time",
    "Number of tasks that run the command at the same time, from 1 to 100, for example 10. It has an effect only with"
    " all-tasks.",
    "Target",
    "5",
    kind="Integer",
)

# --- ecs-check-exec

CHECKED_TASK = TASK._replace(
    help="ID or ARN of the task to check, for example 0123456789abcdef0123456789abcdef. Each prerequisite gets a line."
    " Empty: all tasks of service or family are checked."
)
CHECKED_SERVICE = SERVICE._replace(
    help="Name or ARN of a service, for example web. Set it instead of a task: all its running tasks are checked, each"
    " in one line. Empty: task or family is used."
)
CHECKED_FAMILY = FAMILY._replace(
    help="Family of a task definition, without a revision, for example nightly-report. Set it instead of a task or a"
    " service: all its running tasks are checked, each in one line. Empty: task or service is used."
)
CHECKED_AT_A_TIME = PARALLEL._replace(
    help="Number of tasks in which the test command runs at the same time, from 1 to 100, for example 10. It has an"
    " effect only with service or family."
)


def without_node(properties: Iterable[Property]) -> tuple[Property, ...]:
    """Return the same properties for a step without a node."""
    plain = (item._replace(attribute="") for item in properties)
    return tuple(_REGION if item.name == REGION.name else item for item in plain)


_REGION = REGION._replace(
    help="AWS region, for example eu-west-1. Empty: the region in an ARN, then the global variable ecs-region, then the"
    " server's AWS configuration.",
    attribute="",
)
NO_NODE_ACCESS = without_node(ACCESS)
_STOP = (REASON, WAIT, WAIT_TIMEOUT)

STOP_TASK_OF_NODE = _STOP + ACCESS
STOP_TASK = (CLUSTER, STOPPED_TASK, *_STOP, *NO_NODE_ACCESS)
STOPPED_TASKS = (CLUSTER, OF_SERVICE, OF_FAMILY, WITH_CONTAINER, SINCE, LIMIT, FORMAT, DATA, *NO_NODE_ACCESS)
RUN_COMMAND = (
    COMMAND,
    CLUSTER,
    TASK,
    SERVICE,
    FAMILY,
    CONTAINER,
    ALL_TASKS,
    PARALLEL,
    *NO_NODE_ACCESS,
    *without_node(RUN),
    UNSET_REFERENCES,
)
REDEPLOY = (
    DEPLOYED_CLUSTER,
    DEPLOYED_SERVICE,
    CHANGED_CONTAINER,
    TASK_DEFINITION,
    IMAGE,
    TAG,
    DESIRED_COUNT,
    ON_ABORT,
    DEPLOYMENT_TIMEOUT,
    *NO_NODE_ACCESS,
)
SCALE = (DEPLOYED_CLUSTER, DEPLOYED_SERVICE, SCALED_COUNT, SCALE_TIMEOUT, *NO_NODE_ACCESS)
CHECK_EXEC_OF_NODE = ACCESS + RUN
CHECK_EXEC = (
    CLUSTER,
    CHECKED_TASK,
    CHECKED_SERVICE,
    CHECKED_FAMILY,
    CONTAINER,
    CHECKED_AT_A_TIME,
    *NO_NODE_ACCESS,
    *without_node(RUN),
)
FETCH_FILE = (
    SOURCE,
    OUTPUT_OF,
    BEFORE,
    AFTER,
    DESTINATION,
    OVERWRITE,
    COMPRESS,
    FOLLOW,
    MAX_SIZE,
    FETCHED_DATA,
    FETCH_FOLDER,
    *ACCESS,
    *(item for item in RUN if item is not TTY),
    UNSET_REFERENCES,
)
"""Properties of the steps, in the order of their forms."""
