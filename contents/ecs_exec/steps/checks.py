"""What the facts say of ECS Exec in a container: one line for each thing that it needs, with the cure. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ecs_exec.diagnosis import stopped
from ecs_exec.steps.check import Check, unseen
from ecs_exec.steps.checks_access import caller, role, way
from ecs_exec.steps.facts import Facts, Unseen, key_and_logs
from ecs_exec.target import Described, agents, short

_FARGATE_LINUX = (1, 4, 0)
_FARGATE_WINDOWS = (1, 0, 0)
_AGENT = (1, 50, 2)
"""Versions from which on ECS Exec works: Fargate's platforms, the ECS agent on instances."""

_KEYS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"})
_ANEW = (
    "aws ecs update-service --enable-execute-command --force-new-deployment, or aws ecs run-task"
    " --enable-execute-command"
)


def checks(facts: Facts) -> Iterator[Check]:
    """Yield every check that the facts allow, the roots of trouble first."""
    yield _credentials(facts)
    yield _task(facts)
    if facts.task is None or isinstance(facts.task, Unseen):
        yield from _cluster(facts)
        return
    yield from _platform(facts, facts.task)
    yield _enabled(facts.task)
    yield from _agents(facts.task, facts.container)
    yield from _definition(facts)
    yield from _cluster(facts)
    yield from caller(facts)
    yield role(facts)
    yield way(facts)


# --- The task


def _credentials(facts: Facts) -> Check:
    if isinstance(facts.identity, Unseen):
        return Check("failed", "credentials", facts.identity.why)
    return Check("ok", "credentials", f"{facts.identity}, region {facts.region}")


def _task(facts: Facts) -> Check:
    task = facts.task
    if isinstance(task, Unseen):
        if task.permission:
            return unseen("task", task, "its status, agent and platform")
        return Check("failed", "task", task.why)
    if task is None:
        return Check("failed", "task", f"there is none in cluster {short(facts.cluster)}")
    name, status = short(str(task.get("taskArn", ""))), str(task.get("lastStatus", ""))
    if status == "RUNNING":
        return Check("ok", "task", f"{name} is RUNNING in cluster {short(facts.cluster)}")
    if status == "STOPPED":
        return Check("failed", "task", f"{name} has stopped: {stopped(task) or 'no reason given'}; name a running one")
    return Check("failed", "task", f"{name} is {status or 'in no known state'}, not RUNNING: wait, or name another one")


def _platform(facts: Facts, task: Described) -> Iterator[Check]:
    if facts.instance is not None:
        yield _instance(facts.instance)
        return
    text = str(task.get("platformVersion") or "")
    windows = "windows" in str(task.get("platformFamily", "")).lower()
    needed = _FARGATE_WINDOWS if windows else _FARGATE_LINUX
    kind = f"{task.get('launchType') or 'unknown launch type'} {task.get('platformFamily') or ''}".strip()
    if not (version := _version(text)):
        yield Check("ok", "platform", f"{kind}{f' {text}' if text else ''}")
    elif version < needed:
        least = ".".join(map(str, needed))
        yield Check("failed", "platform", f"{kind} {text}: ECS Exec needs {least}; set platformVersion to LATEST")
    else:
        yield Check("ok", "platform", f"{kind} {text}")


def _instance(instance: Mapping[str, Any] | Unseen) -> Check:
    if isinstance(instance, Unseen):
        return unseen("platform", instance, "the version of the ECS agent on the instance")
    name = f"EC2 instance {instance.get('ec2InstanceId', 'unknown')}"
    agent = str((instance.get("versionInfo") or {}).get("agentVersion") or "")
    if not instance.get("agentConnected", True):
        return Check("failed", "platform", f"the ECS agent on {name} is not connected: restart it, or the instance")
    version = _version(agent)
    if version and version < _AGENT:
        least = ".".join(map(str, _AGENT))
        return Check("failed", "platform", f"{name} has ECS agent {agent}: ECS Exec needs {least}; update the agent")
    return Check("ok", "platform", f"{name}, ECS agent {agent or 'of an unknown version'}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("."))) if re.fullmatch(r"\d+(\.\d+)*", text) else ()


def _enabled(task: Described) -> Check:
    if task.get("enableExecuteCommand"):
        return Check("ok", "ECS Exec", "enabled on the task")
    return Check("failed", "ECS Exec", f"not enabled on the task, and only a new task can have it: {_ANEW}")


def _agents(task: Described, container: str) -> Iterator[Check]:
    """Look at the container's agent; of several containers at all of them where none is named."""
    found = agents(task)
    names = [str(item.get("name")) for item in task.get("containers", [])]
    if container and container not in names:
        yield Check("failed", "container", f"the task has no container {container}, it has {', '.join(names)}")
        return
    if not container:
        text = f"the task has several ({', '.join(names)}): name one in ECS:Container-Name or ecs-container"
        yield Check("failed", "container", text)
    for name in [container] if container else names:
        yield _agent(name, found.get(name), enabled=bool(task.get("enableExecuteCommand")))


def _agent(name: str, agent: Mapping[str, Any] | None, *, enabled: bool) -> Check:
    what = "exec agent"
    if agent is None:
        cure = "start the task anew" if enabled else "enable ECS Exec first"
        return Check("failed", what, f"container {name} has none: {cure}")
    status, reason = str(agent.get("lastStatus") or "in no known state"), str(agent.get("reason") or "")
    if status == "RUNNING":
        since = agent.get("lastStartedAt")
        return Check("ok", what, f"RUNNING in container {name}{f' since {since:%Y-%m-%d %H:%M:%S}' if since else ''}")
    if status == "PENDING":
        return Check("failed", what, f"PENDING in container {name}: wait a moment; if it stays so, see the task role")
    because = f" ({reason})" if reason else ""
    return Check(
        "failed", what, f"{status} in container {name}{because}: see the task role and the way to SSM, start a new task"
    )


# --- The task definition


def _definition(facts: Facts) -> Iterator[Check]:
    if isinstance(facts.definition, Unseen):
        yield unseen("task definition", facts.definition, "init process, read-only root, keys, PID mode")
        return
    family = f"{facts.definition.get('family')}:{facts.definition.get('revision')}"
    for item in facts.definition.get("containerDefinitions", []):
        if item.get("name") == facts.container:
            yield from _container(item, family)
    yield _pid_mode(facts.definition, family)


def _container(item: Mapping[str, Any], family: str) -> Iterator[Check]:
    what = "read-only root"
    if item.get("readonlyRootFilesystem"):
        text = (
            f"readonlyRootFilesystem is true in {family}, and the SSM agent must write: set it to false, or mount"
            " writable volumes at /managed-agents, /var/lib/amazon/ssm and /var/log/amazon/ssm"
        )
        yield Check("failed", what, text)
    else:
        yield Check("ok", what, "no")
    what = "init process"
    if (item.get("linuxParameters") or {}).get("initProcessEnabled"):
        yield Check("ok", what, "initProcessEnabled is true")
    else:
        text = f"not enabled: ended sessions may leave zombies; set linuxParameters.initProcessEnabled in {family}"
        yield Check("warning", what, text)
    what = "AWS keys"
    if found := sorted(_KEYS.intersection(one.get("name") for one in item.get("environment", []))):
        text = (
            f"{', '.join(found)} in the container's environment: the SSM agent takes that in place of the task role;"
            " remove it, or give those credentials the ssmmessages permissions"
        )
        yield Check("warning", what, text)
    else:
        yield Check("ok", what, "none in the container's environment")


def _pid_mode(definition: Mapping[str, Any], family: str) -> Check:
    if definition.get("pidMode") == "task" and len(definition.get("containerDefinitions", [])) > 1:
        text = f"containers share one (pidMode task in {family}), and sessions go to one of them only: remove pidMode"
        return Check("warning", "PID namespace", text)
    return Check("ok", "PID namespace", "the container's own" if not definition.get("pidMode") else "not shared")


# --- The cluster


def _cluster(facts: Facts) -> Iterator[Check]:
    settings = facts.settings
    if isinstance(settings, Unseen):
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
        return Check("ok", "session logs", "by the awslogs driver of the container, where it has one")
    places = [f"S3 bucket {logs['s3BucketName']}"] if logs.get("s3BucketName") else []
    places += [f"log group {logs['cloudWatchLogGroupName']}"] if logs.get("cloudWatchLogGroupName") else []
    text = f"{' and '.join(places) or 'nowhere'}; the image must hold script and cat for it, or logs stay empty"
    return Check("ok" if places else "warning", "session logs", text)
