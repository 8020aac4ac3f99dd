"""Why ECS Exec does not work for a container: the causes that descriptions and texts of AWS show. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ecs_exec.target import Described, agents

_ENABLE = (
    "enable it and start the task anew (aws ecs update-service --enable-execute-command --force-new-deployment,"
    " or aws ecs run-task --enable-execute-command)"
)
_FARGATE_FROM = {"linux": (1, 4, 0), "windows": (1, 0, 0)}
_KEYS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"})
_CHANNELS = "ssmmessages:CreateControlChannel, CreateDataChannel, OpenControlChannel and OpenDataChannel"
_MOST = 3
"""Causes told in one line."""

_STARTING = frozenset({"PROVISIONING", "PENDING", "ACTIVATING"})
_GONE = frozenset({"STOPPED", "DEPROVISIONING"})
"""States of a task whose containers have ended."""


class Cause(NamedTuple):
    """Something that keeps ECS Exec from working."""

    text: str
    """With its cure."""
    passing: bool = False
    """Will be over by itself."""
    certain: bool = True
    """Whether nothing can work while it is so."""


def causes(task: Described | None, definition: Mapping[str, Any] | None, container: str) -> list[Cause]:
    """Return what the descriptions show, the likeliest first.

    `task` is what ecs:DescribeTasks gives, None if there is no such task; `definition` what
    ecs:DescribeTaskDefinition gives, None if that was not asked for or is not allowed.
    """
    if task is None:
        return [Cause(_REPLACED)]
    found = list(_of_task(task, container))
    if any(cause.certain for cause in found):
        return found
    return [*_platform(task), *_definition(task, definition or {}, container), *_agent(task, container), *found]


def told(found: Iterable[Cause]) -> str:
    """Return causes in one line, empty if there is none."""
    return "; also, ".join(cause.text for cause in list(found)[:_MOST])


_REPLACED = (
    "there is no such task in this cluster and region: it may have been replaced; refresh the project's nodes, or use"
    " the attribute ecs-service in place of a task"
)


def stopped(task: Described) -> str:
    """Return how a task that has stopped came to its end: its code, its reason, and those of its containers."""
    parts = [str(task[name]) for name in ("stopCode", "stoppedReason") if task.get(name)]
    for item in task.get("containers", []):
        details = [f"exit code {item['exitCode']}"] if item.get("exitCode") is not None else []
        details += [str(item["reason"])] if item.get("reason") else []
        if details:
            parts.append(f"container {item.get('name')}: {', '.join(details)}")
    return "; ".join(parts)


def gone(task: Described | None, container: str) -> str:
    """Return why nothing can come from a container any more; empty while it may still be there."""
    if task is None:
        return "the task is gone, and ECS no longer knows it"
    if task.get("lastStatus") in _GONE:
        return f"the task has stopped ({stopped(task) or 'no reason given'})"
    mine: Described = next((item for item in task.get("containers", []) if item.get("name") == container), {})
    if mine.get("lastStatus") == "STOPPED":
        return f"the container has stopped ({stopped({'containers': [mine]}) or 'no reason given'})"
    agent = agents(task).get(container, {})
    if agent.get("lastStatus") == "STOPPED":
        because = f" ({agent['reason']})" if agent.get("reason") else ""
        return f"the ECS Exec agent in the container has stopped{because}"
    return ""


def ending(task: Described) -> bool:
    """Tell whether a task is on its way to its end."""
    return task.get("desiredStatus") == "STOPPED" or task.get("lastStatus") in {"DEACTIVATING", "STOPPING"}


def _of_task(task: Described, container: str) -> Iterator[Cause]:
    """Yield what is wrong with the task as it is."""
    status = str(task.get("lastStatus", ""))
    if status in _GONE:
        yield Cause(f"the task has stopped ({stopped(task) or 'no reason given'})")
    elif status and status != "RUNNING":
        yield Cause(f"the task is {status}, not RUNNING", passing=status in _STARTING)
    names = sorted(str(item.get("name")) for item in task.get("containers", []))
    if container and container not in names:
        yield Cause(f"the task has no container {container}, it has {', '.join(names)}; check ECS:Container-Name")
    if not task.get("enableExecuteCommand"):
        yield Cause(f"ECS Exec is not enabled on the task: {_ENABLE}")


def _platform(task: Described) -> Iterator[Cause]:
    version = str(task.get("platformVersion") or "")
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        return
    windows = "windows" in str(task.get("platformFamily", "")).lower()
    needed = _FARGATE_FROM["windows" if windows else "linux"]
    if tuple(int(part) for part in version.split(".")) < needed:
        least = ".".join(map(str, needed))
        yield Cause(
            f"the task runs on Fargate platform version {version}, and ECS Exec needs {least} or later: set the"
            " service's platform version to LATEST and deploy it anew"
        )


def _definition(task: Described, definition: Mapping[str, Any], container: str) -> Iterator[Cause]:
    """Yield what in the task definition keeps the agent from working, for all that can be known from it."""
    family = f"{definition.get('family')}:{definition.get('revision')}"
    for item in definition.get("containerDefinitions", []):
        if container and item.get("name") != container:
            continue
        if item.get("readonlyRootFilesystem"):
            yield Cause(
                f"the container's root file system is read-only (readonlyRootFilesystem in {family}), and the SSM"
                " agent must be able to write: make it writable, or mount volumes at /managed-agents,"
                " /var/lib/amazon/ssm and /var/log/amazon/ssm",
                certain=False,
            )
        if found := sorted(_KEYS & _variables(item, task)):
            yield Cause(
                f"{', '.join(found)} in the container's environment ({family}) take the place of the task role for"
                " the SSM agent: remove them, or give those credentials the ssmmessages permissions",
                certain=False,
            )
    if definition.get("pidMode") == "task":
        yield Cause(
            f"the task's containers share a PID namespace (pidMode task in {family}): ECS Exec works in one of them"
            " only, the first that was connected to; remove pidMode, or use that container",
            certain=False,
        )
    if definition and not definition.get("taskRoleArn") and not task.get("overrides", {}).get("taskRoleArn"):
        instance = "" if task.get("launchType") == "FARGATE" else " (or the instance's role)"
        yield Cause(
            f"the task definition {family} has no task role: give it one{instance} with {_CHANNELS}", certain=False
        )


def _variables(definition: Mapping[str, Any], task: Described) -> set[str]:
    """Return the names in a container's environment: its definition's, its secrets', and those put in at the start."""
    overrides = task.get("overrides", {}).get("containerOverrides", [])
    sources = [definition, *(item for item in overrides if item.get("name") == definition.get("name"))]
    items = (item for source in sources for kind in ("environment", "secrets") for item in source.get(kind, []))
    return {str(item.get("name")) for item in items}


def _agent(task: Described, container: str) -> Iterator[Cause]:
    agent = agents(task).get(container)
    if agent is None:
        if task.get("enableExecuteCommand"):
            yield Cause(
                f"container {container} has no ECS Exec agent: the task was started before it was enabled; {_ENABLE}"
            )
        return
    status, reason = str(agent.get("lastStatus", "")), str(agent.get("reason") or "")
    because = f" ({reason})" if reason else ""
    if status == "PENDING":
        yield Cause("the ECS Exec agent is still starting in it: try again in a moment", passing=True)
    elif status != "RUNNING":
        yield Cause(
            f"the ECS Exec agent in it is {status or 'in no known state'}{because}: check that the task role has"
            f" {_CHANNELS}, that the task may reach SSM (ssmmessages), and start the task anew"
        )


# --- What the service says at a session's end

_TEXTS: tuple[tuple[str, str], ...] = (
    (
        r"timed out due to inactivity",
        "no input reached the session for 20 minutes: check that nothing holds this server's connections up",
    ),
    (
        r"Plugin with name .* not found",
        (
            "the SSM agent in the container is damaged: its disk or /tmp is full, or the image is of another processor"
            " architecture; start the task anew"
        ),
    ),
    (
        r"Fetching data key failed.*(AccessDenied|not authorized)",
        "the task role may not use the cluster's key: grant it kms:Decrypt on that key",
    ),
    (
        r"Fetching data key failed",
        (
            "the agent could not decrypt the session's data key: check that the task role has kms:Decrypt, and that"
            " the task may reach KMS"
        ),
    ),
    (
        r"KMSEncryption failed on client",
        "grant kms:GenerateDataKey on the cluster's key to these credentials",
    ),
    (
        r"(?i)handshake timed out|random challenge",
        "the other end of this session did not shake hands as the agent requires: look at the lines before",
    ),
    (
        r"encryption is not set up on the selected CloudWatch Logs log group",
        (
            "encrypt the log group of the cluster's executeCommandConfiguration, or set its cloudWatchEncryptionEnabled"
            " to false"
        ),
    ),
    (
        r"encryption is not set up on the selected Amazon S3 bucket",
        "encrypt the bucket of the cluster's executeCommandConfiguration, or set its s3EncryptionEnabled to false",
    ),
    (
        r"(?i)(log group|cloudwatch|s3 bucket|bucket).*(AccessDenied|not authorized|not found|does not exist)",
        (
            "the cluster's executeCommandConfiguration logs sessions, and the task role may not write there: grant it"
            " logs:DescribeLogGroups, CreateLogStream, DescribeLogStreams, PutLogEvents, or s3:PutObject and"
            " GetEncryptionConfiguration"
        ),
    ),
)
"""Patterns of what ends a session, and the cure; the first that fits."""


def cure(reason: str) -> str:
    """Return what to do about a session that was ended with this text; empty where that is not known."""
    return next((text for pattern, text in _TEXTS if re.search(pattern, reason, re.DOTALL)), "")
