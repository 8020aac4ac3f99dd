"""The node source: reads the nodes of all containers, and writes them once all of them are known."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from ecs_exec.ecs.api import Aws
from ecs_exec.nodes.attributes import Origin, Shape, nodes_of
from ecs_exec.nodes.filters import Choice, list_filters
from ecs_exec.nodes.scan import WORKERS, ClusterScan, Place
from ecs_exec.nodes.selectors import plain
from ecs_exec.nodes.settings import Source
from ecs_exec.settings.target import ARN
from ecs_exec.task_description import Described, short

_CHUNK = 1 << 20
_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
"""Attributes hold only texts and lists of texts, so there is no cycle to look for."""


class Row(NamedTuple):
    """A node, encoded for writing. Tens of thousands are held in memory until the last one is known.

    The order of the fields is the order of the nodes.
    """

    cluster: str
    name: str
    created: str
    container_arn: str
    body: bytes
    """The attributes as JSON."""
    by_tag: bool = False
    """A tag of the task has determined the name."""


def read_nodes(source: Source, say: Callable[[str], None], debug: Callable[[str], None]) -> list[Row]:
    """Return all nodes. `say` gets a line for each task whose description cannot be read.

    Raises Incomplete or RefreshTimeout, or AwsError if not even a client can be made.
    """
    begun = time.monotonic()
    rows: list[Row] = []
    shape = Shape(Choice(source.filters), source.name, source.mapping)

    def take(place: Place, tasks: Iterable[Described]) -> None:
        rows.extend(rows_of(place, tasks, shape, say))

    # The clients' own start counts, too: otherwise its caller's limit, which is for credentials, might come first.
    scan = ClusterScan(_places(source), list_filters(source.filters), take, source.refresh_timeout, begun=begun)
    scan.read()
    for cluster in dict.fromkeys(scan.inactive):
        debug(f"cluster {short(cluster)} is listed but INACTIVE: it has no nodes")
    debug(f"read {len(rows)} nodes with {scan.calls} calls in {time.monotonic() - begun:.2f} s")
    return rows


def _places(source: Source) -> list[Place]:
    """Return each region of each account with the clusters that may be in it, and make the clients for them."""
    places = []
    for role in source.roles or ("",):
        external_id = source.external_ids.of(role)
        access = source.access._replace(assume_role_arn=role, external_id=external_id, region=_first_region(source))
        calls = Aws(access, connections=WORKERS, raw=True)
        for region, clusters in _by_region(source, role, calls).items():
            there = calls.in_region(region)
            places.append(Place(there, there.region, role, clusters))
    return places


def _first_region(source: Source) -> str:
    """Return the region in which roles are assumed."""
    arns = [match["region"] for cluster in source.clusters if (match := ARN.fullmatch(cluster))]
    return next(iter([*source.regions, *arns]), source.access.region)


def _by_region(source: Source, role: str, calls: Aws) -> dict[str, tuple[str, ...]]:
    """Return the clusters to read in each region. An ARN belongs to one region and one account."""
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


def rows_of(place: Place, tasks: Iterable[Described], shape: Shape, say: Callable[[str], None]) -> Iterator[Row]:
    """Yield the rows of all tasks. `say` gets a line for each task that is left out, as it cannot be read."""
    for task in tasks:
        try:
            yield from _rows(place, task, shape)
        except _UNREADABLE as error:
            say(_left_out(place, task, error))


def _rows(place: Place, task: Described, shape: Shape) -> list[Row]:
    """Return all rows of a task. Raises one of _UNREADABLE if a part of its description cannot be read."""
    cluster = plain(task.get("clusterArn"))
    shared: object = None
    head = ""
    rows = []
    for node in nodes_of(Origin(cluster, place.region, place.role), task, shape):
        if node.shared is not shared:
            shared, head = node.shared, _ENCODE(node.shared)[:-1]
        body = f"{head}{',' if node.shared else ''}{_ENCODE(node.own)[1:]}"
        rows.append(Row(cluster, node.name, node.created, node.container_arn, body.encode(), node.by_tag))
    return rows


_UNREADABLE = (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)
"""Errors that a description raises if it is not as AWS documents it."""


_LONGEST_ARN = 2048


def _left_out(place: Place, task: object, error: Exception) -> str:
    arn = plain(task.get("taskArn")) if isinstance(task, Mapping) else ""
    return (
        f"left out task {arn[:_LONGEST_ARN] or 'without an ARN'} in {place}: its description cannot be read"
        f" ({type(error).__name__}: {plain(str(error))[:200]}); the other tasks are nodes"
    )


def document(rows: list[Row], reserved: Collection[str] = ()) -> Iterator[bytes]:
    """Yield pieces of Rundeck's resourcejson of all nodes. The order is the same as long as the nodes are.

    `reserved` holds names in lower case that no container may have: those of the server's own node.
    """
    parts = [b"{"]
    size, first = 0, True
    for name, row in _named(rows, reserved):
        parts += [b"\n" if first else b",\n", _ENCODE(name).encode(), b":", row.body]
        size, first = size + len(row.body), False
        if size >= _CHUNK:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join([*parts, b"\n}\n"])


def _named(rows: list[Row], reserved: Collection[str]) -> Iterator[tuple[str, Row]]:
    """Yield each container once, under a unique name: Rundeck would make one node of two with the same name.

    If several containers want one name, the oldest gets it. A container that has it without a tag comes before all
    that have it by a tag: whoever may tag a task must not take over the name of another node. The others get the
    container's id added.
    """
    rows.sort()
    ids = {short(row.container_arn) for row in rows}
    owners: dict[str, Row] = {}
    for row in rows:
        if row.name.lower() in reserved or (row.by_tag and _has_foreign_id(row, ids)):
            continue
        owner = owners.setdefault(row.name, row)
        if owner is not row and _claim(row) < _claim(owner):
            owners[row.name] = row
    written: set[str] = set()
    names = set(owners)
    for row in rows:
        if row.container_arn in written:  # two roles lead to one account
            continue
        written.add(row.container_arn)
        holder = owners.get(row.name)
        name = row.name if holder and holder.container_arn == row.container_arn else _free_name(row, names)
        names.add(name)
        yield name, row


def _claim(row: Row) -> tuple[bool, str, str]:
    """Return the sort key that decides who gets a name: the lowest does."""
    return row.by_tag, row.created, row.container_arn


def _has_foreign_id(row: Row, ids: Collection[str]) -> bool:
    """Return whether a name ends with another container's id.

    It might be the name that the other container gets with its id, so a tag must not determine it.
    """
    pieces = row.name.split("-")
    own = short(row.container_arn)
    return any((end := "-".join(pieces[at:])) in ids and end != own for at in range(1, len(pieces)))


def _free_name(row: Row, names: Collection[str]) -> str:
    """Return the wanted name with the container's id, or with its whole ARN if that name is taken, too."""
    name = f"{row.name}-{short(row.container_arn)}"
    return name if name not in names else f"{row.name}-{row.container_arn}"
