"""Causes in settings, in files of this server, and in the target. Does no I/O."""

from __future__ import annotations

from ecs_exec.errors.causes.cause import Cause, Section

_EXEC = "aws ecs update-service --enable-execute-command --force-new-deployment, or aws ecs run-task with that option"

SETTINGS = (
    Cause(
        "setting-invalid",
        "a setting or node attribute has a value that cannot be used; the line names it and the accepted form",
        "correct it where it is set; a value that still contains ${...} names an option, attribute or Key Storage"
        " entry that does not exist in this job",
    ),
    Cause(
        "setting-not-the-administrator-s",
        "the job exports {variable}, but only administrators may set {setting}",
        "remove the step that exports it, and set it in the project's or the framework's properties",
    ),
    Cause(
        "command-not-split",
        "the command cannot be split into words: {why}",
        "correct the quotes, or set a shell: if shell is none, the plugin itself splits the command",
    ),
    Cause("command-empty", "the command is empty, and shell is none", "give the program and its arguments"),
    Cause(
        "file-unreadable",
        "the file {path} cannot be read on this server: {why}",
        "check its path, and whether the user that runs Rundeck can read it: sudo -u rundeck head -c1 FILE",
    ),
    Cause(
        "file-not-regular",
        "{path} is not a file",
        "copy a directory file by file: give a pattern in the Copy File step, or pack the directory into one file",
    ),
    Cause(
        "file-of-the-kernel",
        "{path} is not a file on a disk: it shows the state of the server",
        "choose an ordinary file, outside /proc, /sys and /dev",
    ),
    Cause(
        "file-outside-folder",
        "{path} is not in {folder}, the only folder that script-folder allows",
        "put the script there, or ask the administrator to change script-folder",
    ),
    Cause("file-replaced", "{path} was replaced while the plugin opened it", "try again"),
    Cause(
        "file-changed",
        "{path} was {how} on this server while it was copied",
        "copy it again when nothing writes to it any more",
    ),
    Cause(
        "python-too-old",
        "the server's python3 is older than 3.10, and there is no newer one",
        "install a newer Python; the line says how on this system",
    ),
)

TARGET = (
    Cause(
        "no-running-task",
        "{owner} has no running task",
        "check its name, the region and its desired count; the step Stopped Task Details shows why tasks stop",
    ),
    Cause(
        "no-task-running-yet",
        "{owner} has no task to run commands in: none of its tasks is RUNNING yet ({count} in state {states})",
        "wait, raise connect-timeout, or look at the service's events",
    ),
    Cause(
        "exec-enabled-on-none",
        "{owner} has no task to run commands in: ECS Exec is not enabled on any of its tasks",
        f"enable it and start new tasks: {_EXEC}; set it in the deployment tool, too",
    ),
    Cause(
        "container-in-none",
        "{owner} has no task to run commands in: none of its tasks has a container {container}: they have {names}",
        "check the container's name (of a node: ECS:Container-Name or ecs-container)",
    ),
    Cause(
        "agent-runs-in-none",
        "{owner} has no task to run commands in: the ECS Exec agent runs in none of its tasks",
        "check the task role's ssmmessages permissions and the route to SSM",
    ),
    Cause(
        "task-not-found",
        "there is no task {task} in this cluster and region",
        "it may have been replaced: refresh the project's nodes, or name a service (of a node: ecs-service) instead of"
        " a task; ECS forgets a stopped task after about an hour",
    ),
    Cause(
        "container-not-found",
        "task {task} has no container {container}: it has {names}",
        "check the container's name (of a node: ECS:Container-Name or ecs-container)",
    ),
    Cause(
        "container-ambiguous",
        "task {task} has several containers ({names})",
        "name one of them (of a node: ECS:Container-Name or ecs-container), or grant ecs:DescribeTaskDefinition, which"
        " shows the essential one",
    ),
    Cause(
        "container-not-defined",
        "task definition {definition} has no container {container}: it has {names}",
        "check the setting container",
    ),
    Cause(
        "container-not-chosen",
        "task definition {definition} has several containers whose exit code could count ({names})",
        "set container to the one whose exit code is the step's exit status",
    ),
    Cause(
        "runtime-id-missing",
        "the container has no runtime id yet: it is {state}",
        "wait until it is RUNNING, or set transport to native, which needs no runtime id",
    ),
    Cause(
        "several-running-tasks",
        "{owner} has {count} running tasks ({ids})",
        "name one in ECS:Task-ARN or ecs-task; to restart all, use aws ecs update-service --force-new-deployment",
    ),
    Cause(
        "cluster-not-described",
        "there is no such cluster in this account and region",
        "check its name and the region: aws ecs list-clusters",
    ),
    Cause(
        "instance-not-described",
        "the task's container instance is not in the cluster any more",
        "look for it with aws ecs list-container-instances",
    ),
)

SECTIONS = (
    Section(
        "Settings and files of the server",
        "The plugin shows all faults in settings at once, before it calls AWS. A value comes from the first of these"
        " that has it: the node's attribute, the step, the project, `framework.properties`. A name that begins with"
        " `ECS:` or `ecs-` is a node attribute (page *Nodes*). Any other name is a setting of the step, of the project"
        " or of `framework.properties`.",
        SETTINGS,
    ),
    Section("The target", "The plugin looks for the task and the container before it opens a session.", TARGET),
)
