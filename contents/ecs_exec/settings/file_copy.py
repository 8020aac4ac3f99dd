"""What the file copier needs to copy one file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ecs_exec.settings.access import read_access
from ecs_exec.settings.execution import Execution, is_debug
from ecs_exec.settings.properties import ACCESS, COPY, SHARED_SECRETS
from ecs_exec.settings.reader import Reader
from ecs_exec.settings.run import read_run
from ecs_exec.settings.target import read_wanted

_WITHOUT_VALUE = re.compile(r"\$\{(?:data|export|globals|job|node|option)\.[^{}]*\}")
"""A reference that Rundeck leaves in a Copy File step's destination because it found no value."""


class FileCopy(NamedTuple):
    """One file and its destination."""

    file: str
    """Path on this server."""
    destination: str
    """Path in the container, as Rundeck passed it."""
    execution: Execution


def read_file_copy(environ: Mapping[str, str]) -> FileCopy:
    """Read the settings of the file copier. Raises SettingsError that names every fault."""
    reader = Reader(environ, ACCESS + SHARED_SECRETS + COPY)
    file = environ.get("RD_FILE_COPY_FILE", "")
    destination = environ.get("RD_FILE_COPY_DESTINATION", "")
    for name, value in (("RD_FILE_COPY_FILE", file), ("RD_FILE_COPY_DESTINATION", destination)):
        if not value:
            reader.fault(f"{name} is not set: only Rundeck can start this program, as a file copier")
    if reference := _WITHOUT_VALUE.search(destination):
        reader.fault(f"the destination contains {reference[0]}, for which Rundeck found no value: give it one")
    execution = Execution(
        node=environ.get("RD_NODE_NAME", ""),
        command="",
        access=read_access(reader),
        wanted=read_wanted(reader),
        run=read_run(reader, "copying a file"),
        debug=is_debug(environ),
    )
    reader.finish()
    return FileCopy(file, destination, execution)
