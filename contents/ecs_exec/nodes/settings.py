"""What the node source reads, and the nodes that it makes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ecs_exec.nodes import mapping, selectors
from ecs_exec.nodes.attributes import ATTRIBUTES
from ecs_exec.nodes.filters import Filters
from ecs_exec.nodes.mapping import NodeMapping
from ecs_exec.nodes.selectors import Joined
from ecs_exec.settings.access import REGION, ROLE, Access, ExternalIds, external_ids, read_identity
from ecs_exec.settings.properties import NODE_NAME, NODE_SOURCE
from ecs_exec.settings.reader import Reader, matching, seconds, several, switch
from ecs_exec.settings.target import ARN


class Source(NamedTuple):
    """What to read, and how to make nodes of it."""

    access: Access
    """Its region is the configured one; it has no role and no external ID."""
    regions: tuple[str, ...]
    """Empty: the region of the AWS configuration."""
    roles: tuple[str, ...]
    """Empty: only the account of the credentials."""
    clusters: tuple[str, ...]
    """Names, names with `*`, ARNs; empty: all."""
    filters: Filters
    name: Joined | None
    """None: the default, which is the container's name and id."""
    mapping: NodeMapping | None
    refresh_timeout: int
    """Seconds."""
    debug: bool = False
    external_ids: ExternalIds = ExternalIds()


_NAME = r"[A-Za-z0-9_*-]{1,255}"
_CLUSTER = matching(
    rf"{_NAME}|arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{{12}}:cluster/[A-Za-z0-9_-]{{1,255}}", "names or ARNs of clusters"
)
_SERVICE = matching(_NAME, "names of services, like web or worker-*")
_DEFINITION = matching(rf"{_NAME}(:(\d+|\*))?", "families, or family:revision, like api or web:12")
_CONTAINER = matching(_NAME, "names of containers, like app or *-sidecar")


def read_source(environ: Mapping[str, str]) -> Source:
    """Read the settings of the node source. Raises SettingsError that names every fault."""
    reader = Reader(environ, NODE_SOURCE)
    access = read_identity(reader)
    regions = reader.setting("regions", several(REGION)) or ((access.region,) if access.region else ())
    source = Source(
        access=access,
        regions=regions,
        roles=reader.setting("assume-role-arn", several(ROLE)),
        clusters=reader.setting("clusters", several(_CLUSTER)),
        filters=_filters(reader),
        name=reader.setting("node-name", _name),
        mapping=_mapping(reader),
        refresh_timeout=reader.setting("refresh-timeout", seconds(1)),
        debug=reader.setting("debug", switch),
        external_ids=reader.setting("external-id", external_ids),
    )
    _check_accounts(reader, source)
    reader.finish()
    return source


def _filters(reader: Reader) -> Filters:
    return Filters(
        exclude=reader.setting("filter-behavior", _one_of("exclude", "include")),
        services=reader.setting("services", several(_SERVICE)),
        task_definitions=reader.setting("task-definitions", several(_DEFINITION)),
        containers=reader.setting("containers", several(_CONTAINER)),
        whole_tasks=reader.setting("container-filter", _one_of("task", "container")),
        tags=reader.setting("tags", _tags),
        exec_ready_only=reader.setting("exec-ready-only", switch),
    )


def _one_of(yes: str, no: str) -> Callable[[str], bool]:
    """Return a parser of a choice between two words; True for the first."""

    def parse(text: str) -> bool:
        if text.lower() not in {yes, no}:
            raise ValueError(f"expected {no} or {yes}")
        return text.lower() == yes

    return parse


def _tags(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for entry in several(str)(text):
        key, equals, value = entry.partition("=")
        if not key.strip():
            raise ValueError("expected tags like team=web,env=prod")
        pairs.append((key.strip(), value.strip() if equals else "*"))
    return tuple(pairs)


def _name(text: str) -> Joined | None:
    return selectors.template(text, ATTRIBUTES) if text != NODE_NAME.default else None


def _mapping(reader: Reader) -> NodeMapping | None:
    """Read `mapping`, `mapping-file` and `static-attributes`; None if none of them changes the nodes."""
    of_file = reader.setting("mapping-file", _mapping_file)
    found = reader.setting("mapping", lambda text: mapping.read(text, ATTRIBUTES, of_file))
    static = reader.setting("static-attributes", lambda text: mapping.with_static(NodeMapping(), text, ATTRIBUTES))
    found = replace(found, static=static.static, static_tags=static.static_tags)
    return found if found != NodeMapping() else None


_LONGEST_FILE = 1 << 20


def _mapping_file(path: str) -> str:
    """Return the text of the mapping file, checked. Raises ValueError."""
    if not path:
        return ""
    try:
        # O_NONBLOCK: opening a pipe without a writer would wait for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), encoding="utf-8-sig") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("expected the path of a regular file")
            text = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("expected a file in UTF-8") from None
    if len(text) > _LONGEST_FILE:
        raise ValueError("expected a file of at most 1 MiB")
    mapping.read_file(text, ATTRIBUTES)
    return text


def _check_accounts(reader: Reader, source: Source) -> None:
    """Report ARNs of clusters in accounts for which there is no role."""
    accounts = {role.split(":")[4] for role in source.roles}
    for cluster in source.clusters:
        if accounts and (found := ARN.fullmatch(cluster)) and cluster.split(":")[4] not in accounts:
            reader.fault(
                f"clusters names {found['path']} in account {cluster.split(':')[4]}, but no role in assume-role-arn"
                " belongs to this account"
            )
