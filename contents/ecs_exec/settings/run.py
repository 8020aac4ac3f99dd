"""The settings of the providers that run commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, cast, get_args

from ecs_exec.record import NamedTuple
from ecs_exec.settings.reader import Reader, matching, seconds, switch

TransportName = Literal["auto", "native", "session-manager-plugin"]

WORKING_SHELLS = "dash, bash, busybox ash, ksh93, mksh, yash and zsh"
"""Shells that the wrapper runs in; all of them are tested."""


class Run(NamedTuple):
    """How a command is run."""

    transport: TransportName = "auto"
    session_manager_plugin: str = "session-manager-plugin"
    shell: str = "/bin/sh"
    """Empty: the command is split into words and started without a shell."""
    user: str = ""
    workdir: str = ""
    tty: bool = False
    env: Mapping[str, str] = MappingProxyType({})
    """Variables for the command, with their values."""
    timeout: int = 0
    """Seconds; 0: no limit."""
    connect_timeout: int = 30
    """Seconds."""

    def __repr__(self) -> str:
        """Show nothing: variables may be secret."""
        return "Run(...)"


def _transport(text: str) -> TransportName:
    for name in get_args(TransportName):
        if text == name:
            return cast("TransportName", name)
    raise ValueError("expected auto, native or session-manager-plugin")


def _shell(text: str) -> str:
    if text == "none":
        return ""
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f]+", text):
        raise ValueError("expected one program without arguments, like /bin/bash, or none")
    if text.rpartition("/")[2] in _NO_SHELLS:
        raise ValueError(f"expected an unrestricted POSIX shell: {WORKING_SHELLS}")
    return text


_NO_SHELLS = (
    *("csh", "elvish", "fish", "ion", "nu", "osh", "powershell", "pwsh", "rc", "tcsh", "xonsh", "ysh"),
    *("rbash", "rksh", "rksh93", "rmksh", "rzsh"),
)
"""Names of shells that cannot read the plugin's POSIX script, and of restricted shells, which forbid redirections."""

_BINARY = matching(
    r"/[^\x00-\x1f\x7f]+|[^/\x00-\x1f\x7f]+",
    "an absolute path of the session-manager-plugin program, or its name on PATH",
)
_USER = matching(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?",
    "a user's name or number, or user:group",
)
_WORKDIR = matching(r"/[^\x00-\x1f\x7f]*", "an absolute path")


def read_run(reader: Reader, needs_shell: str = "") -> Run:
    """Read the settings for running a command. The reader collects the faults.

    `needs_shell` names the work that is not possible without a shell, like "copying a file"; empty if there is none.
    """
    run = Run(
        transport=reader.setting("transport", _transport),
        session_manager_plugin=reader.setting("session-manager-plugin", _BINARY),
        shell=reader.setting("shell", _shell),
        user=reader.setting("user", _USER),
        workdir=reader.setting("workdir", _WORKDIR),
        tty=reader.has("tty") and reader.setting("tty", switch),
        env=reader.setting("env", lambda text: rundeck_variables(text, reader.environ)) if reader.has("env") else {},
        timeout=reader.setting("timeout", seconds(0)),
        connect_timeout=reader.setting("connect-timeout", seconds(1)),
    )
    if needs_shell and not run.shell:
        reader.fault(f"{needs_shell} needs a shell in the container, but shell (or ecs-shell) is none")
    elif not run.shell:
        for name, value in (("user", run.user), ("workdir", run.workdir), ("env", run.env)):
            if value:
                reader.fault(f"{name} needs a shell in the container, but shell is none")
    return run


# --- The command's environment

_NEVER = r"RD_(SECUREOPTION|PRIVATE|CONFIG|NODEEXECUTOR|FILECOPIER)_.*|RD_EXEC_COMMAND|RD_PLUGIN_.*|.*[^A-Z0-9a-z_].*"
"""Secure options, the plugin's own configuration (it holds credentials), variables that are useless in a container,
and names that a shell cannot export."""


def rundeck_variables(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the patterns in `text` match. Secure variables are never returned."""
    chosen: dict[str, str] = {}
    for pattern in re.split(r"[\s,]+", text):
        if not pattern:
            continue
        if not re.fullmatch(r"RD_[A-Za-z0-9_*]*|\*", pattern):
            raise ValueError("expected comma-separated names of RD_* variables; * matches any characters")
        if "*" not in pattern and _is_secure(pattern, environ):
            raise ValueError(f"{pattern} is secure or the plugin's own variable and is never passed to the command")
        variable = re.compile(pattern.replace("*", ".*"), re.DOTALL)
        names = (name for name in environ if name.startswith("RD_") and variable.fullmatch(name))
        chosen |= {name: environ[name] for name in sorted(names) if not _is_secure(name, environ)}
    return chosen


def _is_secure(name: str, environ: Mapping[str, str]) -> bool:
    """Return whether a variable is secure. Rundeck passes an exposed secure option as an ordinary option, too."""
    if re.fullmatch(_NEVER, name):
        return True
    option = name.removeprefix("RD_OPTION_")
    return option != name and (f"RD_SECUREOPTION_{option}" in environ or f"RD_PRIVATE_{option}" in environ)
