"""What the node executor needs to run one command."""

from __future__ import annotations

from collections.abc import Mapping

from ecs_exec.record import NamedTuple
from ecs_exec.settings.access import Access, read_access
from ecs_exec.settings.properties import ACCESS, RUN, SHARED_SECRETS
from ecs_exec.settings.reader import Reader, unix_lines
from ecs_exec.settings.run import Run, read_run
from ecs_exec.settings.target import Wanted, read_wanted


class Execution(NamedTuple):
    """What the node executor needs to run one command."""

    node: str
    command: str
    access: Access
    wanted: Wanted
    run: Run
    debug: bool


def is_debug(environ: Mapping[str, str]) -> bool:
    """Return whether the job's log level is Debug or Verbose."""
    return environ.get("RD_JOB_LOGLEVEL", "").upper() in {"DEBUG", "VERBOSE"}


def read_execution(environ: Mapping[str, str]) -> Execution:
    """Read the settings of the node executor. Raises SettingsError that names every fault."""
    reader = Reader(environ, ACCESS + SHARED_SECRETS + RUN)
    command = environ.get("RD_EXEC_COMMAND")
    if command is None:
        reader.fault("RD_EXEC_COMMAND is not set: only Rundeck can start this program, as a node executor")
    execution = Execution(
        node=environ.get("RD_NODE_NAME", ""),
        command=unix_lines(command or ""),
        access=read_access(reader),
        wanted=read_wanted(reader),
        run=read_run(reader),
        debug=is_debug(environ),
    )
    reader.finish()
    return execution
