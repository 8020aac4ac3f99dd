"""The names of the Rundeck server's own node. No container may have such a name."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_NAME = re.compile(r"\s*framework\.server\.(?:name|hostname)\s*[=:\s]\s*(\S+)\s*")


def server_names(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the names in lower case.

    Rundeck names its own node by `framework.server.name`, and merges nodes of all sources that have the same name. A
    container with this name would get the steps for the server, or the server's node would get the container's
    attributes.
    """
    host = socket.gethostname()
    names = ["localhost", host, host.partition(".")[0]]
    # The packages, the Docker image and the war have the file in one of these folders.
    for folder in (f"{environ.get('RD_RUNDECK_BASE') or environ.get('RDECK_BASE') or ''}/etc", "/etc/rundeck"):
        names += _configured(Path(folder, "framework.properties"))
    return frozenset(name.lower() for name in names if name)


def _configured(path: Path) -> Iterator[str]:
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if found := _NAME.fullmatch(line):
                yield found[1]
