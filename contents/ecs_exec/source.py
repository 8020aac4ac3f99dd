"""The node source: from settings to the nodes of all containers, written once all of them are known."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ecs_exec.aws import Aws
from ecs_exec.errors import Incomplete
from ecs_exec.filters import Choice, narrowing
from ecs_exec.nodes import Origin, Shape, nodes_of
from ecs_exec.settings.source import Source
from ecs_exec.settings.target import ARN
from ecs_exec.survey import WORKERS, Place, Survey
from ecs_exec.target import Described, short

_CHUNK = 1 << 20
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


class Row(NamedTuple):
    """A node as it will be written. Ten thousands of them are held until the last is known."""

    cluster: str
    name: str
    created: str
    container_arn: str
    body: bytes
    """The attributes as JSON."""


def read_nodes(source: Source, debug: Callable[[str], None]) -> list[Row]:
    """Return all nodes. Raises Incomplete, RefreshTimeout, or AwsError where not even a client can be made."""
    begun = time.monotonic()
    rows: list[Row] = []
    shape = Shape(Choice(source.filters), source.name, source.mapping)

    def take(place: Place, tasks: Iterable[Described]) -> None:
        rows.extend(_rows(place, tasks, shape))

    survey = Survey(_places(source), narrowing(source.filters), take, source.refresh_timeout)
    survey.read()
    debug(f"{len(rows)} nodes by {survey.calls} calls in {time.monotonic() - begun:.2f} s")
    return rows


def _places(source: Source) -> list[Place]:
    """Return every region of every account, with the clusters that can be in it; their clients are made here."""
    places = []
    for role in source.roles or ("",):
        access = source.access._replace(assume_role_arn=role, region=_first_region(source))
        calls = Aws(access, connections=WORKERS, raw=True)
        for region, clusters in _by_region(source, role, calls).items():
            there = calls.in_region(region)
            places.append(Place(there, there.region, role, clusters))
    return places


def _first_region(source: Source) -> str:
    """Return a region to begin with: roles are assumed there."""
    arns = [match["region"] for cluster in source.clusters if (match := ARN.fullmatch(cluster))]
    return next(iter([*source.regions, *arns]), source.access.region)


def _by_region(source: Source, role: str, calls: Aws) -> dict[str, tuple[str, ...]]:
    """Return the clusters to look for in each region; an ARN is of one region and of one account."""
    arns = {cluster: match["region"] for cluster in source.clusters if (match := ARN.fullmatch(cluster))}
    names = tuple(cluster for cluster in source.clusters if cluster not in arns)
    found: dict[str, tuple[str, ...]] = {}
    if names or not source.clusters:
        found = dict.fromkeys(source.regions or (calls.region,), names)
    for arn, region in arns.items():
        if not role or _account(arn) == _account(role):
            found[region] = (*found.get(region, ()), arn)
    return found


def _account(arn: str) -> str:
    return arn.split(":")[4]


def _rows(place: Place, tasks: Iterable[Described], shape: Shape) -> Iterator[Row]:
    for task in tasks:
        cluster = str(task.get("clusterArn", ""))
        shared: object = None
        head = ""
        for node in nodes_of(Origin(cluster, place.region, place.role), task, shape):
            if node.shared is not shared:
                shared, head = node.shared, _ENCODE(node.shared)[:-1]
            body = f"{head}{',' if node.shared else ''}{_ENCODE(node.own)[1:]}"
            yield Row(cluster, node.name, node.created, node.container_arn, body.encode())


def document(rows: list[Row]) -> Iterator[bytes]:
    """Yield Rundeck's resourcejson of all nodes, in an order that stays the same while the nodes do."""
    parts = [b"{"]
    size, first = 0, True
    for name, row in _named(rows):
        parts += [b"\n" if first else b",\n", _ENCODE(name).encode(), b":", row.body]
        size, first = size + len(row.body), False
        if size >= _CHUNK:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join([*parts, b"\n}\n"])


def _named(rows: list[Row]) -> Iterator[tuple[str, Row]]:
    """Yield each container once, under a name of its own: of several with one name the oldest keeps it.

    Rundeck would make one node of two with the same name.
    """
    rows.sort(key=lambda row: (row.cluster, row.name, row.created, row.container_arn))
    owners: dict[str, Row] = {}
    for row in rows:
        owner = owners.setdefault(row.name, row)
        if (row.created, row.container_arn) < (owner.created, owner.container_arn):
            owners[row.name] = row
    written: set[str] = set()
    names: set[str] = set()
    for row in rows:
        if row.container_arn in written:  # two roles lead to one account
            continue
        written.add(row.container_arn)
        owner = owners[row.name]
        name = row.name if owner.container_arn == row.container_arn else f"{row.name}-{short(row.container_arn)}"
        if name in names:
            raise Incomplete([f"several nodes would have the name {name}: change node-name"])
        names.add(name)
        yield name, row
