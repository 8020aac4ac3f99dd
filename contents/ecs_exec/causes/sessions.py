"""Why a session was not opened, or ended before its command. Pure."""

from __future__ import annotations

from ecs_exec.causes.cause import Cause, Section

OPENING = (
    Cause(
        "sessions-in-use",
        "the ECS Exec agent runs and takes no session: most likely all sessions that a container may have at a time, 2"
        " by default, are in use",
        "wait for the others to end (aws ssm describe-sessions --state Active), or ask AWS for a higher quota",
    ),
    Cause(
        "not-aws",
        "what has answered is not AWS",
        "check endpoint-url and HTTPS_PROXY: curl shows who answers there",
    ),
    Cause(
        "no-answer",
        "no answer from the container within {seconds} s",
        "check that the task's exec agent is RUNNING and may reach SSM (ssmmessages), or raise connect-timeout",
    ),
    Cause(
        "begin-not-seen",
        "the command's begin was not seen within {seconds} s",
        "check whether the container is short of CPU, or raise connect-timeout",
    ),
)

RUNNING = (
    Cause(
        "task-vanished",
        "the task is gone, and ECS no longer knows it",
        "look for a deployment or scale-in; run long commands in a task of their own (aws ecs run-task)",
    ),
    Cause(
        "task-stopped-meanwhile",
        "the task has stopped ({how})",
        "the step Stopped Task Details explains the reason; run long commands in a task of their own",
    ),
    Cause(
        "container-stopped",
        "the container has stopped ({how})",
        "look at its log; the step Stopped Task Details explains the reason",
    ),
    Cause(
        "agent-stopped-meanwhile",
        "the ECS Exec agent in the container has stopped{because}",
        "start a new task: the agent is not started again in this one",
    ),
    Cause(
        "output-not-written",
        "the command's output cannot be written: {why}",
        "check the disk space of the Rundeck server, and its log",
    ),
)

SECTIONS = (
    Section("Opening the session", "Nothing has been started when one of these ends a job.", OPENING),
    Section("While a command runs", "A command may have run in part then; the plugin never runs it twice.", RUNNING),
)
