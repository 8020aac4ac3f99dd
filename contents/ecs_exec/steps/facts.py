"""What is known of a container and of all that ECS Exec needs there. Pure; `inquiry` looks it up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ecs_exec.target import Described

CONTROL = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
"""What the SSM agent in a container does with the task's role."""

OPEN_CHANNEL = "ssmmessages:OpenDataChannel"
"""What the caller's signature of the data channel is checked for, on the session's ARN."""


@dataclass(frozen=True)
class Unseen:
    """What could not be looked up."""

    permission: str
    """The action that would show it; empty where it is something else."""
    why: str


@dataclass(frozen=True)
class Decisions:
    """What the policies of a user or a role allow."""

    who: str
    """Its ARN."""
    denied: tuple[str, ...]
    allowed: tuple[str, ...]
    missing: tuple[str, ...]
    """Condition keys that policies ask for and nobody could tell."""


@dataclass
class Facts:
    """What was found; an absent thing is None, and what could not be looked up is Unseen."""

    region: str
    cluster: str
    identity: str | Unseen = ""
    """The ARN of the credentials."""
    task: Described | Unseen | None = None
    """Unseen without a permission: there is no such task, and `why` says so."""
    container: str = ""
    definition: Mapping[str, Any] | Unseen = field(default_factory=dict)
    settings: Mapping[str, Any] | Unseen = field(default_factory=dict)
    """The cluster's executeCommandConfiguration; empty for the default one."""
    instance: Mapping[str, Any] | Unseen | None = None
    """The container instance of a task on EC2."""
    caller: Decisions | Unseen | None = None
    role: Decisions | Unseen | None = None
    """None: the task has no role of its own."""
    endpoints: list[Mapping[str, Any]] | Unseen | None = None
    """The endpoints of the task's VPC; None: the task has no network interface of its own."""


def principal(identity: str) -> str:
    """Return the user or role behind an identity, whose policies can be asked about; empty for others.

    A session of a role does not tell the role's path, so a role with one cannot be found.
    """
    if found := re.fullmatch(r"(arn:[\w-]+):sts::(\d+):assumed-role/([^/]+)/.+", identity):
        return f"{found[1]}:iam::{found[2]}:role/{found[3]}"
    return identity if re.fullmatch(r"arn:[\w-]+:iam::\d+:user/.+", identity) else ""


def key_and_logs(settings: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return a cluster's KMS key, empty if there is none, and where it logs sessions of ECS Exec, empty if nowhere."""
    logs = settings.get("logConfiguration") or {} if settings.get("logging") == "OVERRIDE" else {}
    return str(settings.get("kmsKeyId") or ""), logs
