"""Causes of tasks that a step started and that did not end well. Does no I/O."""

from __future__ import annotations

from ecs_exec.errors.causes.cause import Cause, Section

SECTIONS = (
    Section(
        "Running tasks",
        "The steps *Run Task* and *Logs* print these. If a task never ran, the step prints the causes of stopped tasks,"
        " below.",
        (
            Cause(
                "task-definition-inactive",
                "task definition {definition} is INACTIVE: somebody deregistered it, so ECS starts no new task of it",
                "set task-definition to an active revision, or to the family; a service in like-service may still use"
                " the old one until its next deployment",
            ),
            Cause(
                "task-not-placed",
                "ECS did not start the task",
                "look at ECS's words at the end of the line, and at the cluster's instances and capacity providers",
            ),
            Cause(
                "container-without-exit-code",
                "container {container} has no exit code: it never ran, or ECS did not see its end",
                "look at ECS's words; if the task did run, check its result before you run it again",
            ),
            Cause(
                "task-stopped-early",
                "container {container} ended with exit code 0 because the task was stopped, so its work may not be done"
                " ({how})",
                "check its result before you run it again; a Spot task needs another capacity provider if it must not"
                " be interrupted",
            ),
            Cause(
                "exit-code-out-of-range",
                "container {container} ended with exit code {number}, which a process on this server cannot have",
                "look up this exit code of the container's program; Windows programs have such codes",
            ),
            Cause(
                "tasks-not-described",
                "ECS could not describe the tasks for ten minutes, so their end was not seen",
                "look at them with aws ecs describe-tasks, and check their result before you run them again",
            ),
            Cause(
                "no-task-with-logs",
                "{owner} has no task, and none that stopped within the last hour",
                "check its name, the cluster and the region; older streams are in the log group of its task definition",
            ),
            Cause(
                "logs-not-in-cloudwatch",
                "the output of no container can be read: {why}",
                "set the log driver awslogs in the task definition, or look where its log driver sends the output",
            ),
        ),
    ),
)
