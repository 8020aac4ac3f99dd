"""Restarts an entry script in a newer Python of this server, if `python3` is too old.

`python3` of RHEL 9 and Amazon Linux 2023 is 3.9, and those systems need that version. An old Python reads this module
and `server`: Python 3.5 can parse both, and they import only os and sys, which are loaded anyway.
"""

import os
import sys

from ecs_exec.server import is_reduced, server_environment

TYPE_CHECKING = False  # as in server
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OPTIONS = ("-I", "-S", "-u")
"""Python's options for every entry script: isolated from the server's PYTHON* variables and user packages, without
site-packages, unbuffered."""

EXIT_NOT_RUN = 125
"""The same as errors.EXIT_NOT_RUN, which an old Python cannot import."""

_VARIABLE = "ECS_EXEC_PYTHON"
_MINORS = range(40, 9, -1)
_FOLDERS = (
    "/usr/local/bin",
    "/usr/bin",
    "/usr/local/*/bin",
    "/opt/*/bin",
    "/opt/*/*/bin",  # /opt/bitnami/python, /opt/python/3.12.4
    "/opt/rh/*/root/usr/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "~/.local/bin",  # `uv python install` puts its links here
    "~/.pyenv/versions/*/bin",
)
"""Directories that are searched for a newer Python after PATH. Those in the home of the user that runs Rundeck come
last."""

_USABLE = 73
"""An exit status with which no other program ends by chance."""
_ANSWER = "\nsys.exit(73 if sys.version_info >= (3, 10) else 1)"
_IMPORTS = "import sys, _socket, _ssl, select, zlib"
"""Imports that must work in a usable Python. They fail in one that was built without OpenSSL, in a Debian -minimal
package, and in a pyenv shim of a version that is not selected."""

_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
_PACKAGES = {
    "amzn": ((2023,), "dnf install python3.12"),
    "rhel": ((8,), "dnf install python3.12"),
    "fedora": ((8,), "dnf install python3.12"),
    "ubuntu": ((22, 4), "apt-get install python3"),
    "debian": ((12,), "apt-get install python3"),
    "alpine": ((3, 16), "apk add python3"),
    "suse": ((15, 5), "zypper install python311"),
    "sles": ((15, 5), "zypper install python311"),
}
"""By the name in os-release: the first release that has a package, and the command that installs it. Oracle Linux names
fedora as its like but numbers its releases as RHEL does, so fedora has RHEL's number here."""


def go_on_in_newer(environ: "Mapping[str, str]") -> None:
    """Replace this process with the same script in a newer Python. Without one, say what to do and exit with 125."""
    if is_reduced(environ):
        environ = dict(server_environment(environ), **environ)
    named = environ.get(_VARIABLE, "")
    found = _find(named, environ)
    if found:
        os.execv(found, [found] + list(OPTIONS) + sys.argv)  # noqa: RUF005, S606 - no shell
    if named:
        told = _VARIABLE + " is " + named + ", which is not a complete Python 3.10 or later: correct it"
    else:
        version = ".".join(str(number) for number in sys.version_info[:3])
        told = "python3 on this server is " + version + ", and 3.10 or later was not found: " + advice()
    _refuse(told)


def _refuse(text: str) -> None:
    os.write(2, ("ecs-exec: " + text + " [python-too-old]\n").encode("utf-8", "backslashreplace"))
    os._exit(EXIT_NOT_RUN)


def advice(files: "tuple[str, ...]" = _OS_RELEASE) -> str:
    """Return the advice how to install a newer Python on this system; `files` are the places of os-release."""
    release = _os_release(files)
    system = release.get("PRETTY_NAME", "this system")
    command = _package(release)
    if command:
        return (
            "install it beside the old one (" + system + ": " + str(command) + "), or set ECS_EXEC_PYTHON to its path"
        )
    return (
        "install it beside the old one, or set ECS_EXEC_PYTHON to its path; "
        + system
        + " has no package of it that the plugin knows, but 'uv python install 3.12' works without one"
    )


def _package(release: "dict[str, str]") -> str:
    """Return the command that installs a newer Python, empty if there is none. The first known name decides."""
    version = tuple(int(part) for part in release.get("VERSION_ID", "").split(".") if part.isdigit())
    for name in [release.get("ID", "")] + release.get("ID_LIKE", "").split():  # noqa: RUF005 - old Pythons parse this
        if name in _PACKAGES:
            since, command = _PACKAGES[name]
            return command if version >= since else ""
    return ""


def _os_release(files: "tuple[str, ...]") -> "dict[str, str]":
    for name in files:
        try:
            with open(name, "rb") as file:
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            continue
        pairs = (line.partition("=") for line in lines)
        return {key: value.strip().strip("\"'") for key, _, value in pairs}
    return {}


def _find(named: str, environ: "Mapping[str, str]") -> str:
    """Return the path of a newer Python, empty if there is none. The newest on PATH comes first.

    `named` is the value of ECS_EXEC_PYTHON; if it is set, only that program counts.
    """
    path = [folder for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder.startswith("/")]
    if named:
        names = [named] if "/" in named else [os.path.join(folder, named) for folder in path]
        return _first(names)
    names = ["python3." + str(minor) for minor in _MINORS]
    home = environ.get("HOME") or os.path.expanduser("~")
    return _first(os.path.join(folder, name) for name in names for folder in path) or _first(
        os.path.join(folder, name) for folders in [_usual(home)] for name in names for folder in folders
    )


def _first(names: "Iterable[str]") -> str:
    for name in names:
        if os.path.isfile(name) and os.access(name, os.X_OK) and _works(name):
            return name
    return ""


def _usual(home: str) -> "list[str]":
    return [folder for pattern in _FOLDERS for folder in _matching(pattern.replace("~", home, 1))]


def _matching(pattern: str) -> "list[str]":
    """Return the directories that match a pattern. The module glob would take longer to load than Python to start."""
    before, star, after = pattern.partition("/*")
    if not star:
        return [before]
    try:
        names = sorted(os.listdir(before), reverse=True)
    except OSError:
        return []
    return [folder for name in names for folder in _matching(before + "/" + name + after)]


def _works(path: str) -> bool:
    """Return whether a program is a complete Python of 3.10 or later. Takes some ten milliseconds."""
    child = os.fork()
    if child == 0:
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(null, descriptor)
            os.execv(path, [path, "-I", "-S", "-c", _IMPORTS + _ANSWER])  # noqa: S606 - no shell
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == _USABLE << 8
