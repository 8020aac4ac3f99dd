"""Selectors: names for values of a container, its task or its node in the settings of a node source. Does no I/O.

ECS:Service-Name,ECS:Task-Definition-Family     the first that has a value
name+'-'+availabilityZone                       values and quoted texts, joined
tags/team                                       a tag of the task
task.lastStatus                                 a field of ecs:DescribeTasks, of the task and not the container
attachments.privateIPv4Address                  in lists: a number, or the name that an entry has
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from ecs_exec.text import printable

CONTAINER_FIELDS = frozenset(
    [
        "containerArn",
        "cpu",
        "exitCode",
        "gpuIds",
        "gpuSharingStrategy",
        "healthStatus",
        "image",
        "imageDigest",
        "lastStatus",
        "managedAgents",
        "memory",
        "memoryReservation",
        "name",
        "networkBindings",
        "networkInterfaces",
        "neuronDeviceIds",
        "reason",
        "runtimeId",
        "taskArn",
    ]
)
"""Fields of a container in ecs:DescribeTasks."""

TASK_FIELDS = frozenset(
    [
        "attachments",
        "attributes",
        "availabilityZone",
        "capacityProviderName",
        "clusterArn",
        "connectivity",
        "connectivityAt",
        "containerInstanceArn",
        "containers",
        "cpu",
        "createdAt",
        "desiredStatus",
        "enableExecuteCommand",
        "ephemeralStorage",
        "executionStoppedAt",
        "fargateEphemeralStorage",
        "group",
        "healthStatus",
        "inferenceAccelerators",
        "lastStatus",
        "launchType",
        "memory",
        "overrides",
        "platformFamily",
        "platformVersion",
        "pullStartedAt",
        "pullStoppedAt",
        "startedAt",
        "startedBy",
        "stopCode",
        "stoppedAt",
        "stoppedReason",
        "stoppingAt",
        "tags",
        "taskArn",
        "taskDefinitionArn",
        "trustedExecutionSummary",
        "version",
    ]
)
"""Fields of a task in ecs:DescribeTasks."""

_FIELDS = {"task": TASK_FIELDS, "container": CONTAINER_FIELDS}
_TAG_PREFIXES = ("tags/", "ECS:Task-Tag:")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


class Subject(NamedTuple):
    """The values that selectors can name: of a container, its task with its tags, and the node's own attributes."""

    task: Mapping[str, Any]
    container: Mapping[str, Any]
    tags: Mapping[str, str]
    node: Mapping[str, Any]


class Path(NamedTuple):
    """A name for one value."""

    scope: str
    """tags, node, task or container; empty: the container, then the task."""
    steps: tuple[str, ...]

    def value(self, subject: Subject) -> str:
        """Return the value, empty if there is none."""
        if self.scope == "tags":
            return subject.tags.get(self.steps[0], "")
        if self.scope == "node":
            return _text(subject.node.get(self.steps[0]))
        places = {"task": (subject.task,), "container": (subject.container,)}
        for place in places.get(self.scope, (subject.container, subject.task)):
            if found := _text(_walk(place, self.steps)):
                return found
        return ""


class Joined(NamedTuple):
    """Values and literal texts, joined; empty if one of the values is missing."""

    parts: tuple[Path | Selector | str, ...]

    def value(self, subject: Subject) -> str:
        """Return the text, empty if there is none."""
        texts = []
        for part in self.parts:
            text = part if isinstance(part, str) else part.value(subject)
            if not text and not isinstance(part, str):
                return ""
            texts.append(text)
        return "".join(texts)


class Selector(NamedTuple):
    """Alternatives: the first one with a value counts."""

    alternatives: tuple[Joined, ...]

    def value(self, subject: Subject) -> str:
        """Return the value, empty if no alternative has one."""
        return next((text for each in self.alternatives if (text := each.value(subject))), "")


def parse(text: str, attributes: frozenset[str]) -> Selector:
    """Parse a selector; `attributes` holds the names of the nodes' own attributes.

    Raises ValueError, which names the part that is wrong.
    """
    alternatives = split(text, ",")
    return Selector(tuple(_joined(part, attributes) for part in alternatives))


def split(text: str, separator: str) -> list[str]:
    """Split a text at separators outside quotes, and strip the parts. Raises ValueError for a quote without an end."""
    masked = _QUOTED.sub(lambda found: "\0" * len(found[0]), text)
    if "'" in masked or '"' in masked:
        raise ValueError(f"{text} has a quote that is not closed")
    edges = [-1, *(at for at, char in enumerate(masked) if char == separator), len(text)]
    return [text[start + 1 : end].strip() for start, end in pairwise(edges)]


def unquoted(text: str) -> str:
    """Return a text without the quotes around its quoted parts."""
    return _QUOTED.sub(lambda found: found[0][1:-1], text)


def template(text: str, attributes: frozenset[str]) -> Joined:
    """Parse a text with selectors in braces, like `{name}-{ECS:Container-ID}`. Raises ValueError."""
    parts: list[Selector | str] = []
    for number, piece in enumerate(re.split(r"\{([^{}]*)\}", text)):
        if number % 2:
            parts.append(parse(piece, attributes))
        elif "{" in piece or "}" in piece:
            raise ValueError(f"{text} has an unpaired brace")
        else:
            parts.append(piece)
    return Joined(tuple(parts))


def _joined(text: str, attributes: frozenset[str]) -> Joined:
    return Joined(tuple(_parse_part(part, attributes) for part in split(text, "+")))


def _parse_part(text: str, attributes: frozenset[str]) -> Path | str:
    if _QUOTED.fullmatch(text):
        return text[1:-1]
    name = unquoted(text)
    for prefix in _TAG_PREFIXES:
        if name.startswith(prefix) and name != prefix:
            return Path("tags", (name.removeprefix(prefix),))
    if name in attributes:
        return Path("node", (name,))
    scope, _, rest = name.partition(".")
    fields = _FIELDS.get(scope)
    path = Path(scope, tuple(rest.split("."))) if fields else Path("", tuple(name.split(".")))
    if path.steps[0] not in (fields or CONTAINER_FIELDS | TASK_FIELDS):
        raise ValueError(
            f"{f'there is no value {name}' if name else 'a name is missing'}: expected a node attribute like"
            " ECS:Service-Name, a field of ecs:DescribeTasks like launchType or container.image, or tags/KEY"
        )
    return path


def _walk(value: Any, steps: tuple[str, ...]) -> Any:  # noqa: ANN401 - any part of a description
    """Return the value at the end of a path, None if there is none.

    In a list a step is a number, or the name or key of an entry. Such names may hold dots, so all further steps count
    as one name.
    """
    for number, step in enumerate(steps):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit():
            value = value[int(step)] if int(step) < len(value) else None
        elif isinstance(value, list):
            return _entry(value, ".".join(steps[number:]))
        else:
            return None
    return value


def _entry(entries: list[Any], name: str) -> Any:  # noqa: ANN401
    """Return the value of a name in a list of pairs, or in a list inside one of its entries; None if it is missing."""
    for entry in entries:
        if not isinstance(entry, Mapping):
            continue
        if name in (entry.get("name"), entry.get("key")):
            return entry.get("value")
        if name in entry:
            return entry[name]
        for inner in entry.values():
            if isinstance(inner, list) and (found := _entry(inner, name)) is not None:
                return found
    return None


_LONGEST_NUMBER = 64
"""Most bits of a number. AWS has no larger ones, and Python refuses to convert very large ones to text."""


def plain(value: object) -> str:
    """Return a text, number or boolean as printable text on one line; empty for any other value."""
    if isinstance(value, str):
        return value if value.isprintable() else printable(value).strip()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if value.bit_length() <= _LONGEST_NUMBER else ""
    return str(value) if isinstance(value, float) and math.isfinite(value) else ""


def _text(value: Any) -> str:  # noqa: ANN401
    """Return a plain value as text, and a list of texts as comma-separated text; empty for any other value."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(map(plain, value))
    return plain(value)
