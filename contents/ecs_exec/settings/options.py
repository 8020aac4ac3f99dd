"""Which names the options of jobs offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ecs_exec.errors import SettingsError
from ecs_exec.settings import option_properties as properties
from ecs_exec.settings.access import Access, read_server_identity
from ecs_exec.settings.reader import Reader, matching, several
from ecs_exec.settings.target import CLUSTER, FAMILY, SERVICE, Wanted, with_cluster

PROPERTIES = {
    "clusters": properties.CLUSTERS,
    "services": properties.SERVICES,
    "families": properties.FAMILIES,
    "containers": properties.CONTAINERS,
}
"""The properties by kind of names; the kind is the argument in plugin.yaml."""


class Options(NamedTuple):
    """What to list."""

    kind: str
    """A key of PROPERTIES."""
    access: Access
    wanted: Wanted
    """Cluster, service and family."""
    names: tuple[str, ...]
    """Patterns with `*`; empty: all names."""


_PATTERN = matching(r"[A-Za-z0-9_*-]{1,255}", "names, like web or shop-*")


def read_options(kind: str, environ: Mapping[str, str]) -> Options:
    """Read the settings. Raises SettingsError that names every fault."""
    if kind not in PROPERTIES:
        raise SettingsError(f"the first argument is not one of {', '.join(PROPERTIES)}")
    reader = Reader(environ, PROPERTIES[kind])
    wanted = Wanted(
        cluster=reader.setting("cluster", CLUSTER) if reader.has("cluster") else "",
        service=reader.setting("service", SERVICE) if reader.has("service") else "",
        family=reader.setting("family", FAMILY) if reader.has("family") else "",
    )
    if wanted.service and wanted.family:
        reader.fault("service and family are set: keep one of them")
    wanted = with_cluster(wanted, reader, "cluster")
    asked = Options(
        kind=kind,
        access=read_server_identity(reader, (wanted.service, wanted.cluster)),
        wanted=wanted,
        names=reader.setting("names", several(_PATTERN)),
    )
    reader.finish()
    return asked
