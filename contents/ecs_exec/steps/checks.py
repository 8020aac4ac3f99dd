"""Makes the checks of the facts: one line for each thing that ECS Exec needs, with the cure. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ecs_exec.errors.causes import readiness
from ecs_exec.errors.causes.readiness import Found
from ecs_exec.steps.check import Check, unseen, warning
from ecs_exec.steps.checks_access import caller, role, way
from ecs_exec.steps.facts import Facts, Unavailable, key_and_logs
from ecs_exec.task_description import Described, agents, short

_LINES = {
    "task-stopped": "task",
    "task-not-running": "task",
    "container-missing": "container",
    "container-not-named": "container",
    "exec-not-enabled": "ECS Exec",
    "platform-too-old": "platform",
    "instance-agent-too-old": "platform",
    "instance-agent-gone": "platform",
    "root-read-only": "read-only root",
    "keys-in-environment": "AWS keys",
    "pid-mode-task": "PID namespace",
    "task-role-missing": "task role",
    "agent-missing": "exec agent",
    "agent-starting": "exec agent",
    "agent-stopped": "exec agent",
}
"""The line of the table that shows a cause."""

_WARNINGS = frozenset({"keys-in-environment", "pid-mode-task"})
"""Causes with which sessions in this container may still work."""


def checks(facts: Facts) -> Iterator[Check]:
    """Yield every check that the facts allow, root causes first."""
    yield _credentials(facts)
    if facts.task is None or isinstance(facts.task, Unavailable):
        yield _no_task(facts)
        yield from _cluster(facts)
        return
    found = _found(facts, facts.task)
    yield from _told(found, "task") or [_runs(facts, facts.task)]
    yield from _told(found, "container")
    yield from _told(found, "platform") or [_platform(facts, facts.task)]
    yield from _told(found, "ECS Exec") or [Check("ok", "ECS Exec", "enabled on the task")]
    yield from _told(found, "exec agent") or _agents(facts.task, facts.container)
    yield from _definition(facts, found)
    yield from _cluster(facts)
    yield from caller(facts)
    yield from _told(found, "task role") or [role(facts)]
    yield way(facts)


def _found(facts: Facts, task: Described) -> list[Found]:
    """Return the causes that the diagnosis of a refused session would find, and those of the instance."""
    definition = {} if isinstance(facts.definition, Unavailable) else facts.definition
    found = readiness.find(task, definition, facts.container)
    if facts.instance is not None and not isinstance(facts.instance, Unavailable):
        found += readiness.of_instance(task, facts.instance)
    return found


def _told(found: list[Found], what: str) -> list[Check]:
    return [_check(cause) for cause in found if _LINES[cause.name] == what]


def _check(cause: Found) -> Check:
    state: Literal["warning", "failed"] = "warning" if cause.name in _WARNINGS else "failed"
    if cause.name == "task-role-missing" and cause.fields["instance"]:
        state = "warning"  # the instance's role may have the permissions
    return Check(state, _LINES[cause.name], f"{cause.says}: {cause.cure} [{cause.name}]")


# --- The task


def _credentials(facts: Facts) -> Check:
    if isinstance(facts.identity, Unavailable):
        return Check("failed", "credentials", facts.identity.why)
    return Check("ok", "credentials", f"{facts.identity}, region {facts.region}")


def _no_task(facts: Facts) -> Check:
    if isinstance(facts.task, Unavailable):
        if facts.task.permission:
            return unseen("task", facts.task, "its status, agent and platform")
        return Check("failed", "task", facts.task.why)
    return Check("failed", "task", f"there is none in cluster {short(facts.cluster)} [task-gone]")


def _runs(facts: Facts, task: Described) -> Check:
    return Check("ok", "task", f"{short(str(task.get('taskArn', '')))} is RUNNING in cluster {short(facts.cluster)}")


def _platform(facts: Facts, task: Described) -> Check:
    if isinstance(facts.instance, Unavailable):
        return unseen("platform", facts.instance, "the version of the ECS agent on the instance")
    kind = f"{task.get('launchType') or 'unknown launch type'} {task.get('platformFamily') or ''}".strip()
    if facts.instance is not None:
        agent = (facts.instance.get("versionInfo") or {}).get("agentVersion") or "of an unknown version"
        where = readiness.instance_name(facts.instance)
        return Check("ok", "platform", f"{kind}, {where}, ECS agent {agent}")
    text = str(task.get("platformVersion") or "")
    return Check("ok", "platform", f"{kind}{f' {text}' if text else ''}")


def _agents(task: Described, container: str) -> Iterator[Check]:
    """Yield a line for the container's agent if it runs; without a container, for each agent that runs."""
    for name, agent in agents(task).items():
        if agent.get("lastStatus") == "RUNNING" and (not container or name == container):
            since = agent.get("lastStartedAt")
            when = f" since {since:%Y-%m-%d %H:%M:%S}" if since else ""
            yield Check("ok", "exec agent", f"RUNNING in container {name}{when}")


# --- The task definition


def _definition(facts: Facts, found: list[Found]) -> Iterator[Check]:
    if isinstance(facts.definition, Unavailable):
        yield unseen("task definition", facts.definition, "init process, read-only root, keys, PID mode")
        return
    yield from _told(found, "read-only root") or [Check("ok", "read-only root", "no")]
    yield from _init_process(facts.definition, facts.container)
    yield from _told(found, "AWS keys") or [Check("ok", "AWS keys", "none in the container's environment")]
    shared = "not shared" if facts.definition.get("pidMode") else "the container's own"
    yield from _told(found, "PID namespace") or [Check("ok", "PID namespace", shared)]


def _init_process(definition: Mapping[str, Any], container: str) -> Iterator[Check]:
    family = f"{definition.get('family')}:{definition.get('revision')}"
    for item in definition.get("containerDefinitions", []):
        if item.get("name") != container:
            continue
        if (item.get("linuxParameters") or {}).get("initProcessEnabled"):
            yield Check("ok", "init process", "initProcessEnabled is true")
        else:
            text = f"not enabled: ended sessions may leave zombies; set linuxParameters.initProcessEnabled in {family}"
            yield warning("init process", text, "init-process-missing")


# --- The cluster


def _cluster(facts: Facts) -> Iterator[Check]:
    settings = facts.settings
    if isinstance(settings, Unavailable):
        if settings.permission:
            yield unseen("session logs", settings, "encryption and logs of sessions")
        else:
            yield Check("failed", "cluster", settings.why)
        return
    key, logs = key_and_logs(settings)
    yield Check("ok", "encryption", f"sessions use KMS key {key}" if key else "TLS; no KMS key is configured")
    yield _logs(str(settings.get("logging") or "DEFAULT"), logs)


def _logs(logging: str, logs: Mapping[str, Any]) -> Check:
    if logging != "OVERRIDE":
        if logging == "NONE":
            return Check("ok", "session logs", "none")
        return Check("ok", "session logs", "by the container's awslogs log driver, if it has one")
    places = [f"S3 bucket {logs['s3BucketName']}"] if logs.get("s3BucketName") else []
    places += [f"log group {logs['cloudWatchLogGroupName']}"] if logs.get("cloudWatchLogGroupName") else []
    text = f"{' and '.join(places) or 'nowhere'}; the image must have script and cat, or logs stay empty"
    return Check("ok", "session logs", text) if places else warning("session logs", text, "logs-without-place")
