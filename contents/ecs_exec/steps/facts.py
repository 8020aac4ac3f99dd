"""The facts about a container and everything that ECS Exec needs there. Does no I/O; `inquiry` collects them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ecs_exec.task_description import Described

CONTROL = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
"""The actions that the SSM agent in a container needs in the task role."""

OPEN_CHANNEL = "ssmmessages:OpenDataChannel"
"""The action that AWS checks for the signature of the data channel, on the session's ARN."""


class Unavailable(NamedTuple):
    """A fact that could not be looked up."""

    permission: str
    """The missing IAM action; empty if the reason is another one."""
    why: str


class Decisions(NamedTuple):
    """The actions that the policies of a user or a role allow and deny."""

    who: str
    """The ARN of the user or role."""
    denied: tuple[str, ...]
    allowed: tuple[str, ...]
    missing: tuple[str, ...]
    """Condition keys in the policies whose values the simulation does not know."""


@dataclass
class Facts:
    """What was found. None: it does not exist. Unavailable: it could not be looked up."""

    region: str
    cluster: str
    identity: str | Unavailable = ""
    """The ARN of the credentials."""
    task: Described | Unavailable | None = None
    """Unavailable without a permission: there is no such task; `why` is the error."""
    container: str = ""
    definition: Mapping[str, Any] | Unavailable = field(default_factory=dict)
    settings: Mapping[str, Any] | Unavailable = field(default_factory=dict)
    """The cluster's executeCommandConfiguration; empty for the default one."""
    instance: Mapping[str, Any] | Unavailable | None = None
    """The container instance of a task on EC2."""
    caller: Decisions | Unavailable | None = None
    role: Decisions | Unavailable | None = None
    """None: the task has no role of its own."""
    endpoints: list[Mapping[str, Any]] | Unavailable | None = None
    """The endpoints of the task's VPC; None: the task has no network interface of its own."""


def principal(identity: str) -> str:
    """Return the ARN of the user or role behind an identity, whose policies can be simulated; empty for others.

    The ARN of a role's session does not contain the role's path, so a role with a path cannot be found.
    """
    if found := re.fullmatch(r"(arn:[\w-]+):sts::(\d+):assumed-role/([^/]+)/.+", identity):
        return f"{found[1]}:iam::{found[2]}:role/{found[3]}"
    return identity if re.fullmatch(r"arn:[\w-]+:iam::\d+:user/.+", identity) else ""


def key_and_logs(settings: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return a cluster's KMS key, empty if it has none, and its logConfiguration, empty without OVERRIDE."""
    logs = settings.get("logConfiguration") or {} if settings.get("logging") == "OVERRIDE" else {}
    return str(settings.get("kmsKeyId") or ""), logs
