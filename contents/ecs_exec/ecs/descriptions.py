"""Checks the types of the values in AWS's descriptions. Does no I/O.

An endpoint that is not AWS may answer with any JSON. Code that reads a description relies on the types of its values.
So they are checked once, and long texts are cut, see `text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ecs_exec.text import LONGEST

_LISTS = frozenset(
    (
        "tasks",
        "attachments",
        "attributes",
        "containerDefinitions",
        "containerOverrides",
        "containers",
        "details",
        "environment",
        "failures",
        "managedAgents",
        "networkBindings",
        "networkInterfaces",
        "secrets",
        "tags",
        "volumes",
    )
)
"""Fields that are lists of objects."""

_TEXTS = frozenset(
    (
        "agentVersion",
        "arn",
        "availabilityZone",
        "capacityProviderName",
        "clusterArn",
        "connectivity",
        "containerArn",
        "containerInstanceArn",
        "desiredStatus",
        "family",
        "group",
        "healthStatus",
        "image",
        "imageDigest",
        "key",
        "lastStatus",
        "launchType",
        "name",
        "networkMode",
        "pidMode",
        "platformFamily",
        "platformVersion",
        "reason",
        "runtimeId",
        "startedBy",
        "status",
        "stopCode",
        "stoppedReason",
        "taskArn",
        "taskDefinitionArn",
        "taskRoleArn",
        "type",
        "value",
    )
)
_NUMBERS = frozenset(("exitCode", "revision"))
_OBJECTS = frozenset(("overrides", "versionInfo"))
_DEEPEST = 16
"""Deepest nesting of objects and lists; AWS's descriptions have nine levels."""


def checked(value: object, name: str = "", depth: int = 0) -> Any:  # noqa: ANN401 - what JSON holds
    """Return a description without its nulls and with long texts cut, after all types were checked.

    Raises ValueError, which names the first field of a wrong type.
    """
    if depth > _DEEPEST:
        raise ValueError(f"{name} is nested too deep")
    if isinstance(value, Mapping):
        found = {key: checked(item, key, depth + 1) for key, item in value.items() if item is not None}
        for key, item in found.items():
            _check(key, item)
        return found
    if isinstance(value, list):
        return [checked(item, name, depth + 1) for item in value]
    return value[:LONGEST] if isinstance(value, str) else value


def _check(key: str, value: object) -> None:
    """Raise ValueError if the value of a field has another type than AWS's."""
    if key in _LISTS:
        right = isinstance(value, list) and all(isinstance(item, Mapping) for item in value)
    elif key in _OBJECTS:
        right = isinstance(value, Mapping)
    elif key in _TEXTS:
        right = isinstance(value, str)
    elif key in _NUMBERS:
        right = isinstance(value, int)
    else:
        right = not key.endswith("At") or isinstance(value, datetime)
    if not right:
        raise ValueError(f"{key} is a {type(value).__name__}")
