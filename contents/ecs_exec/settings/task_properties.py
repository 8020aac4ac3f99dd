"""The properties of the steps that run tasks and read their logs."""

from __future__ import annotations

from ecs_exec.settings.properties import ACCESS, ENV, TIMEOUT, UNSET_REFERENCES, Property
from ecs_exec.settings.step_properties import (
    CLUSTER,
    COMMAND,
    CONTAINER,
    DATA,
    FAMILY,
    NO_NODE_ACCESS,
    SERVICE,
    TASK,
    WAIT,
)

# --- ecs-run-task: what is run

TASK_DEFINITION = Property(
    "task-definition",
    "Task Definition",
    "Task definition to run: a family, a family with a revision, or an ARN, for example nightly-report or"
    " nightly-report:12. A family means its newest active revision. Empty: the one of the service in like-service.",
    "Target",
)
LIKE_SERVICE = Property(
    "like-service",
    "Like Service",
    "Name or ARN of a service, for example web. The task gets its task definition, network, capacity provider or launch"
    " type, platform version, placement, EBS volumes and tags. Fields of this form that are set come first. Empty: no"
    " service is looked at.",
    "Target",
)
OVERRIDDEN = CONTAINER._replace(
    help="Name of the container that gets command, environment, cpu and memory, and whose exit code is the step's exit"
    " status, for example report. Empty: the only container, else the only essential one."
)
_IMAGE_COMMAND = COMMAND._replace(
    help="Command of the container instead of the one in its task definition, split into words as in a shell, or as a"
    " JSON list, for example: php artisan report --month=5. No shell runs it; for shell syntax write: sh -c 'first &&"
    " second'. Put text that users type into environment or env instead. Empty: the task definition's command.",
    required=False,
)
ENVIRONMENT = Property(
    "environment",
    "Environment",
    "Variables of the container, NAME=value, one a line, for example REPORT_MONTH=5. They replace variables of the task"
    " definition with the same name. Whoever may call ecs:DescribeTasks can read them; so keep secrets in the task"
    " definition's secrets. Empty: no further variables.",
    "Command",
    display="MULTI_LINE",
)
_ENV = ENV._replace(
    title="Rundeck Variables",
    help="RD_* variables to pass to the container: comma-separated names; * matches any characters, for example"
    " RD_OPTION_*,RD_JOB_EXECID. Secure options are never passed. Empty: no variables.",
    group="Command",
    attribute="",
)
CPU = Property(
    "cpu",
    "Container CPU",
    "CPU units of the container, for example 512; 1024 are one processor. Empty: the task definition's.",
    "Command",
    kind="Integer",
)
MEMORY = Property(
    "memory",
    "Container Memory",
    "Memory limit of the container in MiB, for example 2048. Empty: the task definition's.",
    "Command",
    kind="Integer",
)
TASK_CPU = Property(
    "task-cpu",
    "Task CPU",
    "CPU units of the whole task, for example 1024. Fargate takes certain sizes only. Empty: the task definition's.",
    "Command",
    kind="Integer",
)
TASK_MEMORY = Property(
    "task-memory",
    "Task Memory",
    "Memory of the whole task in MiB, for example 4096. Fargate takes certain sizes only. Empty: the task"
    " definition's.",
    "Command",
    kind="Integer",
)

# --- Where it runs

LAUNCH_TYPE = Property(
    "launch-type",
    "Launch Type",
    "Where the task runs. Empty: as the service in like-service, else by the cluster's default capacity providers,"
    " else EC2.",
    "Target",
    kind="Select",
    values=("FARGATE", "EC2", "EXTERNAL", "MANAGED_INSTANCES"),
)
CAPACITY_PROVIDER = Property(
    "capacity-provider",
    "Capacity Provider",
    "Capacity provider to use instead of a launch type, for example FARGATE_SPOT. Empty: launch-type is used.",
    "Target",
)
SUBNETS = Property(
    "subnets",
    "Subnets",
    "IDs of the task's subnets, comma-separated, for example subnet-0a1b2c3d,subnet-4e5f6a7b. Network mode awsvpc needs"
    " them. Empty: the subnets of the service in like-service.",
    "Target",
)
SECURITY_GROUPS = Property(
    "security-groups",
    "Security Groups",
    "IDs of the task's security groups, comma-separated, for example sg-0a1b2c3d. Empty: those of the service in"
    " like-service, else the VPC's default security group.",
    "Target",
)
PUBLIC_IP = Property(
    "assign-public-ip",
    "Public IP Address",
    "Whether the task gets a public IP address. Fargate needs one in a subnet without NAT gateway and endpoints. Empty:"
    " as the service in like-service, else false.",
    "Target",
    kind="Select",
    values=("true", "false"),
)

# --- How the step goes on

TASK_TAGS = Property(
    "tags",
    "Tags",
    "Tags of the task: comma-separated key=value, for example team=finance,env=prod. The step adds rundeck-project,"
    " rundeck-job, rundeck-execution and rundeck-user. Empty: only those, and the tags of the service in like-service.",
    "Step",
)
ENABLE_EXEC = Property(
    "enable-execute-command",
    "Enable ECS Exec",
    "Start the task with ECS Exec, so that commands can run in it.",
    "Step",
    "false",
    kind="Boolean",
)
COUNT = Property(
    "count",
    "Count",
    "Number of tasks to start, from 1 to 10, for example 2. The exit status is the highest one.",
    "Step",
    "1",
    kind="Integer",
)
_WAIT = WAIT._replace(
    help="Whether the step waits until the task has stopped. true: wait, show the logs, and end with the container's"
    " exit code. false: continue with the next step as soon as ECS has accepted the task, whatever becomes of it."
)
_TIMEOUT = TIMEOUT._replace(
    help="Time from the request until the task must have stopped, in seconds, for example 3600; 0 means no limit. Then"
    " the step stops the task, and the exit status is 124.",
    group="Step",
    attribute="",
)
LOG_WAIT = Property(
    "log-wait",
    "Log Wait",
    "Time that the step goes on reading the logs after the task has stopped, in seconds, for example 30. It begins"
    " again with each new line, because CloudWatch shows lines some seconds after they were written.",
    "Step",
    "10",
    kind="Integer",
)
_DATA = DATA._replace(
    help="Print RUNDECK:DATA lines for the log filter Key Value Data: ecs-task-arn, comma-separated if count is"
    " more than 1, and ecs-exit-code. The lines stay visible in the log."
)

# --- ecs-logs

_SINCE = Property(
    "since",
    "Since",
    "How far back the logs are shown: a number and s, m, h or d, for example 1h.",
    "Step",
    "15m",
)
FOLLOW = Property(
    "follow",
    "Follow",
    "How long the step goes on showing new lines: a number and s, m, h or d, for example 5m. It ends earlier if the"
    " only task has stopped. Empty: the step ends after the last line that is there.",
    "Step",
)
FILTER = Property(
    "filter",
    "Filter",
    "Filter pattern of CloudWatch Logs; only events that match it are shown, for example ?ERROR ?WARN or { $.status ="
    " 500 }. Empty: all events.",
    "Step",
)
TIMESTAMPS = Property(
    "timestamps",
    "Timestamps",
    "Begin each line with the time of its event in UTC.",
    "Step",
    "false",
    kind="Boolean",
)
_OF_CONTAINER = CONTAINER._replace(
    help="Show only the logs of this container, for example app. Empty: those of all containers of the tasks."
)
LOGS_OF_NODE = (_SINCE, FOLLOW, FILTER, TIMESTAMPS, *ACCESS)
LOGS = (
    CLUSTER,
    TASK,
    SERVICE._replace(
        help="Name or ARN of a service, for example web. Set it instead of a task: the logs of all its tasks are shown,"
        " also of those that stopped within the last hour. Empty: task or family is used."
    ),
    FAMILY._replace(
        help="Family of a task definition, without a revision, for example nightly-report. Set it instead of a task or"
        " a service: the logs of all its tasks are shown, also of those that stopped within the last hour. Empty: task"
        " or service is used."
    ),
    _OF_CONTAINER,
    _SINCE,
    FOLLOW,
    FILTER,
    TIMESTAMPS,
    *NO_NODE_ACCESS,
)
"""Properties of ecs-logs, as a node step and as a workflow step."""

RUN_TASK = (
    _IMAGE_COMMAND,
    ENVIRONMENT,
    _ENV,
    CPU,
    MEMORY,
    TASK_CPU,
    TASK_MEMORY,
    CLUSTER._replace(
        help="Name or ARN of the cluster, for example prod. Empty: the cluster in the ARN of like-service, else the"
        " cluster named default."
    ),
    TASK_DEFINITION,
    LIKE_SERVICE,
    OVERRIDDEN,
    LAUNCH_TYPE,
    CAPACITY_PROVIDER,
    SUBNETS,
    SECURITY_GROUPS,
    PUBLIC_IP,
    TASK_TAGS,
    ENABLE_EXEC,
    COUNT,
    _WAIT,
    _TIMEOUT,
    LOG_WAIT,
    _DATA,
    *NO_NODE_ACCESS,
    UNSET_REFERENCES,
)
"""Properties of ecs-run-task, in the order of its form."""
