"""Reads the environment of the Rundeck server's process: Rundeck up to 5.5 passes only RD_* of it to executors.

An old Python imports this module, too: see `interpreter`.
"""

import os

TYPE_CHECKING = False  # an old Python takes longer to load typing than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping

_SWITCH = "ECS_EXEC_SERVER_ENVIRONMENT"
"""A variable of the server. If it is false, the plugin reads nothing from the server's process."""

_GENERATIONS = 4
"""Parents that are looked at. Usually the server itself starts the plugin; a wrapper between them has the same reduced
environment."""


def is_reduced(environ: "Mapping[str, str]") -> bool:
    """Return whether an environment lacks PATH or HOME, which each service has.

    Rundeck 5.6 and later pass on all of the server's environment. A wrapper around Python, such as a pyenv shim, sets
    PATH by itself, but not HOME.
    """
    return "PATH" not in environ or "HOME" not in environ


def server_environment(own: "Mapping[str, str]", proc: str = "/proc") -> "Mapping[str, str]":
    """Return the variables with which the server's process was started.

    Empty if this user may not read them, or if the server or this process has switched the reading off.
    """
    process, environ = os.getppid(), own
    for _ in range(_GENERATIONS):
        if _is_off(environ):
            break
        try:
            environ = _environment(proc + "/" + str(process))
            process = _parent(proc + "/" + str(process))
        except (OSError, ValueError):
            break
        if not is_reduced(environ):
            return {} if _is_off(environ) else environ
    return {}


def _is_off(environ: "Mapping[str, str]") -> bool:
    return environ.get(_SWITCH, "").strip().lower() in {"0", "false", "no", "off"}


def _environment(folder: str) -> "dict[str, str]":
    """Return a process's environment. Raises OSError for another user's process: its variables are not for this one."""
    if os.stat(folder).st_uid != os.geteuid():
        raise OSError
    with open(folder + "/environ", "rb") as file:
        pairs = (os.fsdecode(entry).partition("=") for entry in file.read().split(b"\0"))
        return {name: value for name, equals, value in pairs if equals}


def _parent(folder: str) -> int:
    """Return the parent's process id, read after the last bracket: a program's name may hold blanks and brackets."""
    with open(folder + "/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])
