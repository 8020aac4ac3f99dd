"""The only reader of the environment: what Rundeck says about the node, the configuration and the command.

Rundeck gives every configuration property as RD_CONFIG_<NAME> and every attribute of the node as RD_NODE_<NAME>, in
upper case, other characters than letters and digits turned into `_`. All faults are told at once.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, TypeVar, cast, get_args
from urllib.parse import urlsplit

from ecs_exec.errors import SettingsError

T = TypeVar("T")
TransportName = Literal["auto", "native", "session-manager-plugin"]

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Property:
    """A configuration property, its default, and the node attribute that overrides it."""

    name: str
    default: str = ""
    attribute: str = ""


ACCESS = (
    Property("region", attribute="ECS:Region"),
    Property("access-key-id"),
    Property("secret-access-key"),
    Property("session-token"),
    Property("profile"),
    Property("assume-role-arn", attribute="assume-role-arn"),
    Property("external-id"),
    Property("endpoint-url"),
)
"""Properties of every provider."""

RUN = (
    Property("transport", "auto", "ecs-transport"),
    Property("session-manager-plugin", "session-manager-plugin"),
    Property("shell", "/bin/sh", "ecs-shell"),
    Property("user", attribute="ecs-user"),
    Property("workdir", attribute="ecs-workdir"),
    Property("tty", "false", "ecs-tty"),
    Property("env", attribute="ecs-env"),
    Property("timeout", "0", "ecs-timeout"),
    Property("connect-timeout", "30", "ecs-connect-timeout"),
)
"""Properties of the providers that run commands."""

_PROPERTIES = {item.name: item for item in ACCESS + RUN}


@dataclass(frozen=True)
class Access:
    """How AWS is reached; empty texts leave the choice to boto's default chain."""

    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    profile: str = ""
    assume_role_arn: str = ""
    external_id: str = field(default="", repr=False)
    endpoint_url: str = ""


@dataclass(frozen=True)
class Wanted:
    """What the node's attributes say of the target; empty texts are left to be found out."""

    cluster: str = "default"
    """Name or ARN."""
    task: str = ""
    """Id or ARN."""
    service: str = ""
    family: str = ""
    container: str = ""
    runtime_id: str = ""


@dataclass(frozen=True)
class Run:
    """How a command is run."""

    transport: TransportName = "auto"
    session_manager_plugin: str = "session-manager-plugin"
    shell: str = "/bin/sh"
    """Empty: the words of the command are executed without a shell."""
    user: str = ""
    workdir: str = ""
    tty: bool = False
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables for the command, values and all."""
    timeout: int = 0
    """Seconds; 0: no limit."""
    connect_timeout: int = 30
    """Seconds."""


@dataclass(frozen=True)
class Execution:
    """All that the node executor is asked to do."""

    node: str
    command: str
    access: Access
    wanted: Wanted
    run: Run
    debug: bool


def complete_environment(environ: MutableMapping[str, str]) -> None:
    """Add HOME and PATH where Rundeck gives nothing but its own variables, as it does up to 5.5.

    The AWS configuration is looked for in HOME, session-manager-plugin and credential_process programs in PATH.
    """
    environ.setdefault("PATH", _SYSTEM_PATH)
    if "HOME" not in environ:
        try:
            environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:  # a container's arbitrary user id
            environ["HOME"] = "/"


def is_debug(environ: Mapping[str, str]) -> bool:
    """Tell whether the job's log level asks for details."""
    return environ.get("RD_JOB_LOGLEVEL", "").upper() in {"DEBUG", "VERBOSE"}


def read_execution(environ: Mapping[str, str]) -> Execution:
    """Read what the node executor needs. Raises SettingsError that names every fault."""
    reader = _Reader(environ)
    command = environ.get("RD_EXEC_COMMAND")
    if command is None:
        reader.fault("RD_EXEC_COMMAND is not set: this program is started by Rundeck as a node executor")
    execution = Execution(
        node=environ.get("RD_NODE_NAME", ""),
        command=command or "",
        access=_access(reader),
        wanted=_wanted(reader),
        run=_run(reader),
        debug=is_debug(environ),
    )
    reader.finish()
    return execution


class _Reader:
    """Takes values out of the environment and keeps the faults found."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._faults: list[str] = []

    def fault(self, text: str) -> None:
        """Keep a fault."""
        self._faults.append(text)

    def finish(self) -> None:
        """Raise SettingsError if there was any fault."""
        if self._faults:
            raise SettingsError("; ".join(self._faults))

    def attribute(self, name: str) -> str:
        """Give a node attribute, empty if there is none."""
        return self.environ.get(f"RD_NODE_{_variable(name)}", "").strip()

    def setting(self, name: str, parse: Callable[[str], T]) -> T:
        """Give a property, the node's attribute before the configuration before the default.

        `parse` raises ValueError with the accepted form. The default goes through it, too.
        """
        known = _PROPERTIES[name]
        text, source = self.attribute(known.attribute) if known.attribute else "", known.attribute
        if not text:
            text, source = self.environ.get(f"RD_CONFIG_{_variable(name)}", "").strip(), name
        return self.parsed(source, text or known.default, parse, parse(known.default) if known.default else None)

    def parsed(self, source: str, text: str, parse: Callable[[str], T], default: T | None = None) -> T:
        """Give what `parse` makes of a text; a fault is kept under the name of where the text came from."""
        try:
            return parse(text)
        except ValueError as error:
            hint = " (Rundeck found no value for the reference)" if re.search(r"\$\{[^}]*\}", text) else ""
            self.fault(f"{source} is {_shown(source, text)}{hint}: {error}")
        return default if default is not None else parse("")


_SECRET = frozenset({"secret-access-key", "session-token", "external-id"})


def _shown(source: str, text: str) -> str:
    """Show a faulty value on one line, a secret one not at all."""
    if source in _SECRET:
        return "not usable"
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")  # noqa: PLR2004


def _variable(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name).upper()


def _matching(pattern: str, form: str) -> Callable[[str], str]:
    """Make a parser that takes an empty text or one of a form."""

    def parse(text: str) -> str:
        if text and not re.fullmatch(pattern, text):
            raise ValueError(f"expected {form}")
        return text

    return parse


# --- AWS

_REGION = _matching(r"[a-z0-9][a-z0-9-]{0,62}", "a region like us-east-1")
_KEY_ID = _matching(r"[!-~]{1,128}", "an access key id like AKIA...")
_PROFILE = _matching(r"[^\x00-\x1f\x7f]+", "the name of a profile")
_ROLE = _matching(r"arn:aws[a-z-]*:iam::\d{12}:role/\S+", "a role like arn:aws:iam::123456789012:role/name")
_EXTERNAL_ID = _matching(r"[\w+=,.@:/-]{2,1224}", "2 to 1,224 letters, digits and any of +=,.@:/-_")


def _secret(text: str) -> str:
    if text.startswith("keys/"):
        raise ValueError("Rundeck gave the Key Storage path in place of its content; store it there as a password")
    if not text.isprintable() or not text.isascii() or " " in text:
        raise ValueError("expected one word of ASCII characters; look at what Key Storage holds")
    return text


def _url(text: str) -> str:
    if not text:
        return text
    parts = urlsplit(text)  # raises ValueError itself for a broken IPv6 address
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("expected a URL like https://host or http://127.0.0.1:4566")
    return text


def _access(reader: _Reader) -> Access:
    access = Access(
        region=_region(reader),
        access_key_id=reader.setting("access-key-id", _KEY_ID),
        secret_access_key=reader.setting("secret-access-key", _secret),
        session_token=reader.setting("session-token", _secret),
        profile=reader.setting("profile", _PROFILE),
        assume_role_arn=reader.setting("assume-role-arn", _ROLE),
        external_id=reader.setting("external-id", _EXTERNAL_ID),
        endpoint_url=reader.setting("endpoint-url", _url),
    )
    if bool(access.access_key_id) != bool(access.secret_access_key):
        present, missing = ("access-key-id", "secret-access-key")[:: 1 if access.access_key_id else -1]
        reader.fault(f"{present} is set and {missing} is not: set both, or neither")
    if access.session_token and not access.access_key_id:
        reader.fault("session-token is set without access-key-id and secret-access-key, to which it belongs")
    if access.profile and access.access_key_id:
        reader.fault("profile and access-key-id are both set: keep one of them")
    return access


def _region(reader: _Reader) -> str:
    """Give the region: the attribute's, an ARN's, the configuration's, AWS_REGION's, else empty.

    botocore goes on with AWS_DEFAULT_REGION and the profile, but knows no AWS_REGION.
    """
    configured = reader.setting("region", _REGION)
    if reader.attribute("ECS:Region"):
        return configured
    for name in ("ECS:Task-ARN", "ecs-task", "ECS:Cluster-ARN", "ecs-cluster"):
        if found := _ARN.fullmatch(reader.attribute(name)):
            return found["region"]
    return configured or reader.parsed("AWS_REGION", reader.environ.get("AWS_REGION", ""), _REGION)


# --- Target

_ARN = re.compile(r"arn:aws[a-z-]*:ecs:(?P<region>[a-z0-9-]+):\d{12}:(?P<kind>[a-z-]+)/(?P<path>\S+)")
_NAME = r"[A-Za-z0-9_-]{1,255}"
_CLUSTER = _matching(rf"{_NAME}|arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{{12}}:cluster/{_NAME}", "a cluster's name or ARN")
_TASK = _matching(
    rf"[A-Za-z0-9-]{{1,64}}|arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{{12}}:task/({_NAME}/)?[A-Za-z0-9-]{{1,64}}",
    "a task's id or ARN",
)
_SERVICE = _matching(
    rf"{_NAME}|arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{{12}}:service/({_NAME}/)?{_NAME}", "a service's name or ARN"
)
_FAMILY = _matching(_NAME, "a task definition's family, without a revision")
_CONTAINER = _matching(_NAME, "a container's name")
_RUNTIME_ID = _matching(r"[A-Za-z0-9-]{1,255}", "a runtime id like 0123abcd-1234567890")


def _wanted(reader: _Reader) -> Wanted:
    def first(parse: Callable[[str], str], *names: str) -> str:
        name = next((name for name in names if reader.attribute(name)), names[0])
        return reader.parsed(name, reader.attribute(name), parse)

    wanted = Wanted(
        cluster=first(_CLUSTER, "ECS:Cluster-ARN", "ecs-cluster"),
        task=first(_TASK, "ECS:Task-ARN", "ecs-task"),
        service=first(_SERVICE, "ecs-service"),
        family=first(_FAMILY, "ecs-family"),
        container=first(_CONTAINER, "ECS:Container-Name", "ecs-container"),
        runtime_id=first(_RUNTIME_ID, "ECS:Runtime-ID"),
    )
    if not any(reader.attribute(name) for name in ("ECS:Task-ARN", "ecs-task", "ecs-service", "ecs-family")):
        reader.fault(
            "the node names no task: give it one of the attributes ECS:Task-ARN, ecs-task, ecs-service, ecs-family"
        )
    return _with_cluster(wanted, reader)


def _with_cluster(wanted: Wanted, reader: _Reader) -> Wanted:
    """Take the cluster from the task's ARN where no attribute names it; two that differ are a fault."""
    found = _ARN.fullmatch(wanted.task)
    inside = found["path"].rpartition("/")[0] if found else ""
    cluster = wanted.cluster or inside or "default"
    if inside and cluster.rpartition("/")[2] != inside:
        reader.fault(f"the task's ARN is of cluster {inside} and the node's cluster attribute says {cluster}")
    return Wanted(cluster, wanted.task, wanted.service, wanted.family, wanted.container, wanted.runtime_id)


# --- Running


def _transport(text: str) -> TransportName:
    for name in get_args(TransportName):
        if text == name:
            return cast("TransportName", name)
    raise ValueError("expected auto, native or session-manager-plugin")


def _shell(text: str) -> str:
    if text == "none":
        return ""
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f]+", text):
        raise ValueError("expected one program without arguments like /bin/bash, or none")
    return text


def _switch(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError("expected true or false")
    return text.lower() == "true"


def _seconds(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
            raise ValueError(f"expected a whole number of seconds, {least} or more")
        return int(text)

    return parse


_BINARY = _matching(r"[^\x00-\x1f\x7f]+", "the path or name of the session-manager-plugin program")
_USER = _matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", "a user's name or number")
_WORKDIR = _matching(r"/[^\x00-\x1f\x7f]*", "an absolute path")


def _run(reader: _Reader) -> Run:
    run = Run(
        transport=reader.setting("transport", _transport),
        session_manager_plugin=reader.setting("session-manager-plugin", _BINARY),
        shell=reader.setting("shell", _shell),
        user=reader.setting("user", _USER),
        workdir=reader.setting("workdir", _WORKDIR),
        tty=reader.setting("tty", _switch),
        env=reader.setting("env", lambda text: _environment(text, reader.environ)),
        timeout=reader.setting("timeout", _seconds(0)),
        connect_timeout=reader.setting("connect-timeout", _seconds(1)),
    )
    if not run.shell:
        for name, value in (("user", run.user), ("workdir", run.workdir), ("env", run.env)):
            if value:
                reader.fault(f"{name} needs a shell in the container, and shell is none")
    return run


# --- The command's environment

_NEVER = re.compile(
    r"RD_(SECUREOPTION|PRIVATE|CONFIG|NODEEXECUTOR|FILECOPIER)_.*|RD_EXEC_COMMAND|RD_PLUGIN_.*|.*[^A-Z0-9a-z_].*"
)
"""Secure options, the plugin's own configuration (which holds credentials), what is of no use in a container, and
names that a shell cannot export."""


def _environment(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that the patterns in `text` name; a secure one is never among them."""
    chosen: dict[str, str] = {}
    for pattern in re.split(r"[\s,]+", text):
        if not pattern:
            continue
        if not re.fullmatch(r"RD_[A-Za-z0-9_*]*|\*", pattern):
            raise ValueError("expected names of RD_* variables, * for any characters, with commas between")
        if "*" not in pattern and _is_secure(pattern, environ):
            raise ValueError(f"{pattern} is secure or the plugin's own and is never handed on")
        names = (name for name in environ if name.startswith("RD_") and fnmatchcase(name, pattern))
        chosen |= {name: environ[name] for name in sorted(names) if not _is_secure(name, environ)}
    return chosen


def _is_secure(name: str, environ: Mapping[str, str]) -> bool:
    """Tell a secure variable: Rundeck gives an exposed secure option as an ordinary one, too."""
    if _NEVER.fullmatch(name):
        return True
    option = name.removeprefix("RD_OPTION_")
    return option != name and (f"RD_SECUREOPTION_{option}" in environ or f"RD_PRIVATE_{option}" in environ)
