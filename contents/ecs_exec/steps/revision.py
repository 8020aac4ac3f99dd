"""Makes the content of a new revision of a task definition from an existing one. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ecs_exec.errors import TargetError
from ecs_exec.task_description import essential_names

_READ_ONLY = frozenset(
    {
        "compatibilities",
        "deleteRequestedAt",
        "deregisteredAt",
        "registeredAt",
        "registeredBy",
        "requiresAttributes",
        "revision",
        "status",
        "taskDefinitionArn",
    }
)
"""Fields that ecs:DescribeTaskDefinition shows and ecs:RegisterTaskDefinition does not accept."""


class Change(NamedTuple):
    """The image of a container in a new revision."""

    container: str
    old: str
    new: str


def change(definition: Mapping[str, Any], container: str, image: str, tag: str) -> Change:
    """Return the change of the named container, else of the only essential one. Raises TargetError.

    One of `image` and `tag` is given. A tag may be a digest, sha256:...
    """
    containers = {str(item.get("name")): item for item in definition["containerDefinitions"]}
    names = [container] if container else essential_names(definition)
    runs, known = name_of(definition), ", ".join(containers)
    if container and container not in containers:
        raise TargetError(name="container-not-in-definition", container=container, definition=runs, names=known)
    if len(names) != 1:
        raise TargetError(name="container-to-change-unclear", definition=runs, names=known)
    old = str(containers[names[0]].get("image") or "")
    return Change(names[0], old, image or with_tag(old, tag))


def with_tag(image: str, tag: str) -> str:
    """Return an image with another tag or digest."""
    folder, slash, last = image.partition("@")[0].rpartition("/")
    separator = "@" if tag.startswith("sha256:") else ":"
    return f"{folder}{slash}{last.partition(':')[0]}{separator}{tag}"


def content(definition: Mapping[str, Any], tags: Sequence[Any], what: Change) -> dict[str, Any]:
    """Return the parameters of ecs:RegisterTaskDefinition: only one image differs from the old revision.

    AWS's own tags (aws:...) cannot be set by anybody else.
    """
    kept = {name: value for name, value in definition.items() if name not in _READ_ONLY}
    kept["containerDefinitions"] = [
        {**item, "image": what.new} if item.get("name") == what.container else item
        for item in definition["containerDefinitions"]
    ]
    mine = [tag for tag in tags if not str(tag.get("key") or "").startswith("aws:")]
    return kept | ({"tags": mine} if mine else {})


def has_content(definition: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether a revision has the content, apart from its tags."""
    found = {name: value for name, value in definition.items() if name not in _READ_ONLY}
    return found == {name: value for name, value in wanted.items() if name != "tags"}


def name_of(definition: Mapping[str, Any]) -> str:
    """Return family and revision, as web:7."""
    return str(definition.get("taskDefinitionArn") or "").rpartition("/")[2]
