"""The providers of the plugin: names, titles, descriptions, entry scripts, and the properties of each.

`make manifest` writes plugin.yaml and the messages of the forms from them. No command reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, get_args

from ecs_exec.settings import option_properties as options
from ecs_exec.settings import step_properties as steps
from ecs_exec.settings.properties import (
    ACCESS,
    COPY,
    NODE_SOURCE,
    RUN,
    SCRIPT_STEP,
    SHARED_SECRETS,
    Group,
    Property,
)
from ecs_exec.settings.task_properties import LOGS, LOGS_OF_NODE, RUN_TASK


class Provider(NamedTuple):
    """One provider in plugin.yaml."""

    name: str
    service: str
    title: str
    script: str
    """Its file in contents/."""
    help: str
    properties: tuple[Property, ...]
    """In the order of the form."""
    more: Mapping[str, str] = {}
    """Keys that only some services have."""
    from_rundeck: tuple[str, ...] = ()
    """Values of Rundeck's own that come as arguments, like the administrators' settings, because a job must not be able
    to change them."""


_LISTED = (
    Provider(
        "ecs-node-executor",
        "NodeExecutor",
        "AWS / ECS / Node Executor",
        "node-executor.py",
        "Run commands in Amazon ECS containers through ECS Exec, with the real exit codes, the exact output, and stderr"
        " apart from stdout. The server's credentials need ecs:ExecuteCommand.",
        ACCESS + SHARED_SECRETS + RUN,
    ),
    Provider(
        "ecs-file-copier",
        "FileCopier",
        "AWS / ECS / File Copier",
        "file-copier.py",
        "Copy files into Amazon ECS containers through ECS Exec, for script steps and Copy File steps. Files may have"
        " any content and size, and each copy is verified in the container. The server's credentials need"
        " ecs:ExecuteCommand. The image needs a shell.",
        ACCESS + SHARED_SECRETS + COPY,
    ),
    Provider(
        "ecs-run-script",
        "WorkflowNodeStep",
        "AWS / ECS / Run Script",
        "run-script.py",
        "Send a script to Amazon ECS containers, run it and remove it, all in one session. Exit code and output are as"
        " exact as with the node executor. The server's credentials need ecs:ExecuteCommand.",
        SCRIPT_STEP + ACCESS,
    ),
    Provider(
        "ecs-node-source",
        "ResourceModelSource",
        "AWS / ECS-Fargate / Resource Model",
        "node-source.py",
        "Make a node of every Amazon ECS container, on Fargate, EC2 and elsewhere, in several regions and accounts. The"
        " server's credentials need ecs:ListTasks and ecs:DescribeTasks, and also ecs:ListClusters if no clusters are"
        " named.",
        NODE_SOURCE,
        {"resource-format": "resourcejson"},
    ),
    Provider(
        "ecs-check-exec",
        "WorkflowNodeStep",
        "AWS / ECS / Check Exec Readiness",
        "check-exec.py",
        "Check everything that ECS Exec needs for the node's container, and then run a command in it. Each check prints"
        " one line, with the cure if something is wrong. If the server's credentials may not read something, the line"
        " names the permission to grant.",
        steps.CHECK_EXEC_OF_NODE,
    ),
    Provider(
        "ecs-stop-task",
        "WorkflowNodeStep",
        "AWS / ECS / Stop Task",
        "stop-task.py",
        "Stop the task of the node with all its containers, and show how the task ended. Needs ecs:StopTask and"
        " ecs:DescribeTasks.",
        steps.STOP_TASK_OF_NODE,
    ),
    Provider(
        "ecs-stop-task",
        "WorkflowStep",
        "AWS / ECS / Stop Task",
        "stop-task.py",
        "Stop a task with all its containers, and show how the task ended. Needs ecs:StopTask and ecs:DescribeTasks.",
        steps.STOP_TASK,
    ),
    Provider(
        "ecs-run-command",
        "WorkflowStep",
        "AWS / ECS / Run Command",
        "run-command.py",
        "Run a command in a container, even if the container is not a node: in a task, in the newest task of a service"
        " or family, or in all its tasks at the same time. The exit status is the command's own.",
        steps.RUN_COMMAND,
    ),
    Provider(
        "ecs-redeploy",
        "WorkflowStep",
        "AWS / ECS / Redeploy Service",
        "redeploy.py",
        "Start a new deployment of a service, also with another task definition, image or number of tasks, and follow"
        " it until it is complete, rolled back or failed. The exit status is 0 only if the new deployment runs and no"
        " old task is left. Needs ecs:UpdateService, ecs:DescribeServices, ecs:ListTasks and ecs:DescribeTasks.",
        steps.REDEPLOY,
    ),
    Provider(
        "ecs-run-task",
        "WorkflowStep",
        "AWS / ECS / Run Task",
        "run-task.py",
        "Run a task to its end: show its logs as they come, and end with the exit code of its container. An abort or a"
        " timeout stops the task. Needs ecs:RunTask, ecs:DescribeTasks, ecs:DescribeTaskDefinition, ecs:StopTask and"
        " logs:GetLogEvents, with like-service also ecs:DescribeServices.",
        RUN_TASK,
    ),
    Provider(
        "ecs-scale",
        "WorkflowStep",
        "AWS / ECS / Scale Service",
        "scale.py",
        "Change the number of a service's tasks, and wait until so many run and the others have ended. Says whether"
        " autoscaling will undo it. Needs ecs:UpdateService, ecs:DescribeServices, ecs:ListTasks, ecs:DescribeTasks.",
        steps.SCALE,
    ),
    Provider(
        "ecs-logs",
        "WorkflowNodeStep",
        "AWS / ECS / Logs",
        "logs.py",
        "Show the logs of the node's container from CloudWatch Logs, and follow them. Needs ecs:DescribeTasks,"
        " ecs:DescribeTaskDefinition and logs:GetLogEvents, with filter logs:FilterLogEvents.",
        LOGS_OF_NODE,
    ),
    Provider(
        "ecs-logs",
        "WorkflowStep",
        "AWS / ECS / Logs",
        "logs.py",
        "Show the logs of a task, or of all tasks of a service or family, from CloudWatch Logs in the order of their"
        " time, and follow them. Needs ecs:DescribeTasks, ecs:DescribeTaskDefinition and logs:GetLogEvents, with filter"
        " logs:FilterLogEvents, for a service or family also ecs:ListTasks.",
        LOGS,
    ),
    Provider(
        "ecs-stopped-tasks",
        "WorkflowStep",
        "AWS / ECS / Stopped Task Details",
        "stopped-tasks.py",
        "Show when and why tasks stopped, the exit codes of their containers, and what to do about known errors. Needs"
        " ecs:ListTasks and ecs:DescribeTasks.",
        steps.STOPPED_TASKS,
    ),
    Provider(
        "ecs-fetch-file",
        "WorkflowNodeStep",
        "AWS / ECS / Fetch File",
        "fetch-file.py",
        "Fetch files, directories or a command's output from Amazon ECS containers to the Rundeck server through ECS"
        " Exec. Everything is verified before it gets its name. The image needs a shell. The server's credentials need"
        " ecs:ExecuteCommand.",
        steps.FETCH_FILE,
        from_rundeck=("rundeck.project",),
    ),
    Provider(
        "ecs-check-exec",
        "WorkflowStep",
        "AWS / ECS / Check Exec Readiness",
        "check-exec.py",
        "Check everything that ECS Exec needs for a task, or for all running tasks of a service or family, and then run"
        " a command in each of them. The exit status is 0 only if the command ran in every task. If the server's"
        " credentials may not read something, a line names the permission to grant.",
        steps.CHECK_EXEC,
    ),
    Provider(
        "ecs-clusters",
        "OptionValues",
        "AWS / ECS / Clusters",
        "option-values.py",
        "Offer the clusters of the region as values of an option. Settings come from the configuration of the project"
        " or the server. Needs ecs:ListClusters.",
        options.CLUSTERS,
        {"script-args": "clusters"},
    ),
    Provider(
        "ecs-services",
        "OptionValues",
        "AWS / ECS / Services",
        "option-values.py",
        "Offer the services of a cluster as values of an option. Settings come from the configuration of the project or"
        " the server. Needs ecs:ListServices.",
        options.SERVICES,
        {"script-args": "services"},
    ),
    Provider(
        "ecs-families",
        "OptionValues",
        "AWS / ECS / Task Definition Families",
        "option-values.py",
        "Offer the families of active task definitions as values of an option. Settings come from the configuration of"
        " the project or the server. Needs ecs:ListTaskDefinitionFamilies.",
        options.FAMILIES,
        {"script-args": "families"},
    ),
    Provider(
        "ecs-containers",
        "OptionValues",
        "AWS / ECS / Containers",
        "option-values.py",
        "Offer the names of the containers of running tasks as values of an option. Settings come from the"
        " configuration of the project or the server. Needs ecs:ListTasks and ecs:DescribeTasks.",
        options.CONTAINERS,
        {"script-args": "containers"},
    ),
)


def _in_order(properties: tuple[Property, ...]) -> tuple[Property, ...]:
    """Sort by group: a form shows groups in the order in which their first properties come."""
    return tuple(sorted(properties, key=lambda item: get_args(Group).index(item.group)))


PROVIDERS = tuple(each._replace(properties=_in_order(each.properties)) for each in _LISTED)
