"""The environment of the Rundeck server's process, of which Rundeck up to 5.5 hands executors nothing but RD_*.

An old Python imports this module, too: see `interpreter`.
"""

import os

TYPE_CHECKING = False  # typing takes an old Python longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping

_SWITCH = "ECS_EXEC_SERVER_ENVIRONMENT"
"""A variable of the server; false if nothing is to be read from its process."""

_GENERATIONS = 4
"""A server starts the plugin itself; where a wrapper stands between them, it has the same reduced environment."""


def is_reduced(environ: "Mapping[str, str]") -> bool:
    """Return whether an environment lacks what a service has: Rundeck 5.6 and later hand on all of the server's.

    A wrapper around Python, such as a pyenv shim, makes itself a PATH, but no HOME.
    """
    return "PATH" not in environ or "HOME" not in environ


def server_environment(own: "Mapping[str, str]", proc: str = "/proc") -> "Mapping[str, str]":
    """Return the variables that the server's process was started with.

    None where this user may not read them, or where the server or this process has the switch off.
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
    """Raise OSError for a process of another user: what it holds is not for this one."""
    if os.stat(folder).st_uid != os.geteuid():
        raise OSError
    with open(folder + "/environ", "rb") as file:
        pairs = (os.fsdecode(entry).partition("=") for entry in file.read().split(b"\0"))
        return {name: value for name, equals, value in pairs if equals}


def _parent(folder: str) -> int:
    """Return the number of the parent; the program's name before it may hold blanks and brackets."""
    with open(folder + "/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])
