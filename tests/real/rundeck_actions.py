"""A test's requests to the real Rundeck: a server, and actions on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from real.rundeck_results import Catalogue, Execution, Found

R = TypeVar("R")


@dataclass(frozen=True)
class Key:
    """One entry of the key storage; `type` is password, private or public."""

    content: str
    type: str = "password"


@dataclass(frozen=True)
class Server:
    """What the Rundeck server has: plugins in libext, one project, keys and nodes.

    `nodes` maps a node's name to its attributes (tags as one comma-separated string), or is the text of a resource
    YAML file. A key given as a string is a password.
    """

    plugins: Sequence[Path] = ()
    nodes: Mapping[str, Mapping[str, str]] | str = field(default_factory=dict)
    keys: Mapping[str, Key | str] = field(default_factory=dict)
    project_properties: Mapping[str, str] = field(default_factory=dict)
    framework_properties: Mapping[str, str] = field(default_factory=dict)
    project: str = "demo"

    def to_json(self) -> dict[str, Any]:
        """Return this part of the scenario."""
        keys = {path: Key(key) if isinstance(key, str) else key for path, key in self.keys.items()}
        nodes = self.nodes
        if not isinstance(nodes, str):
            # Rundeck's YAML wants the name among the attributes too; JSON is YAML.
            named = {name: {"nodename": name, **attributes} for name, attributes in nodes.items()}
            nodes = json.dumps(named, ensure_ascii=False) if named else ""
        return {
            "plugins": [str(path) for path in self.plugins],
            "nodes": nodes,
            "keys": {path: {"content": key.content, "type": key.type} for path, key in keys.items()},
            "projectProperties": dict(self.project_properties),
            "frameworkProperties": dict(self.framework_properties),
            "project": self.project,
        }


class Action(Generic[R]):
    """Something the server does; `Results` gives its result, of type R, for it."""

    def to_json(self) -> dict[str, Any]:
        """Return this action of the scenario."""
        raise NotImplementedError

    def result(self, raw: Mapping[str, Any]) -> R:
        """Read what the harness wrote for this action."""
        raise NotImplementedError


class Lanes:
    """Actions that run side by side, a few at a time: each lane's own ones one after the other."""

    def __init__(self, *lanes: Sequence[Action[Any]]) -> None:
        """Take the lanes; those that take longest come first."""
        self.lanes = lanes

    def to_json(self) -> dict[str, Any]:
        """Return this part of the scenario."""
        return {"lanes": [[action.to_json() for action in lane] for lane in self.lanes]}


@dataclass(frozen=True, eq=False)
class Describe(Action[Catalogue]):
    """List the plugins, their providers, settings and resources."""

    def to_json(self) -> dict[str, Any]:
        """Return this action of the scenario."""
        return {"type": "describe"}

    def result(self, raw: Mapping[str, Any]) -> Catalogue:
        """Read what the harness wrote for this action."""
        return Catalogue.from_json(raw)


@dataclass(frozen=True, eq=False)
class Validate(Action[Mapping[str, str]]):
    """Hold a step's settings to its form, as a server does that imports a job; gives the faults by setting.

    With `of_project`, hold a project's settings of a provider to it, as a server does that saves the configuration.
    """

    service: str
    provider: str
    config: Mapping[str, str] = field(default_factory=dict)
    of_project: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return this action of the scenario."""
        form = {"service": self.service, "provider": self.provider, "config": dict(self.config)}
        return {"type": "validateproject" if self.of_project else "validate", **form}

    def result(self, raw: Mapping[str, Any]) -> Mapping[str, str]:
        """Read what the harness wrote for this action."""
        return dict(raw["errors"])


@dataclass(frozen=True, eq=False)
class NodeSource(Action[Found]):
    """Refresh a node source with `config` as its stored properties; `keep` gives its nodes to later actions.

    `filter` is a node filter as a user writes it, by which Rundeck chooses among the nodes.
    """

    provider: str
    config: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False
    filter: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return this action of the scenario."""
        values = {"type": "nodes", "provider": self.provider, "config": dict(self.config), "keep": self.keep}
        return _present({**values, "filter": self.filter})

    def result(self, raw: Mapping[str, Any]) -> Found:
        """Read what the harness wrote for this action."""
        return Found.from_json(raw)


@dataclass(frozen=True, eq=False)
class OptionValues(Action[Mapping[str, str]]):
    """List the values of a job's option; gives them by their labels."""

    provider: str

    def to_json(self) -> dict[str, Any]:
        """Return this action of the scenario."""
        return {"type": "optionvalues", "provider": self.provider}

    def result(self, raw: Mapping[str, Any]) -> Mapping[str, str]:
        """Read what the harness wrote for this action."""
        return {str(each["name"]): str(each["value"]) for each in raw["values"]}


@dataclass(frozen=True, kw_only=True)
class Run:
    """How an execution runs.

    `loglevel` is INFO or DEBUG, as a user chooses it. `context` is added to the data context by group (option,
    secureOption, job, globals), `private` are the secure authentication options. With `interrupt_after` seconds, or
    once a line holding `interrupt_on` was logged, the execution is aborted, and again each second until it ends or
    `patience` is over. `linger` goes on listening for so long after the end.
    """

    loglevel: str = "INFO"
    context: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    keepgoing: bool = False
    interrupt_after: float | None = None
    interrupt_on: str | None = None
    patience: float = 30
    linger: float = 0

    def to_json(self) -> dict[str, Any]:
        """Return this part of an action."""
        values = {
            "loglevel": self.loglevel,
            "context": {group: dict(values) for group, values in self.context.items()},
            "privateContext": {"option": dict(self.private)},
            "threads": self.threads,
            "keepgoing": self.keepgoing,
            "interruptAfter": self.interrupt_after,
            "interruptOn": self.interrupt_on,
            "patience": self.patience,
            "linger": self.linger,
        }
        return _present(values)


@dataclass(frozen=True, eq=False)
class _Job(Action[Execution]):
    def result(self, raw: Mapping[str, Any]) -> Execution:
        """Read what the harness wrote for this action."""
        return Execution.from_json(raw)


@dataclass(frozen=True, eq=False)
class Command(_Job):
    """The Command step on nodes: several of them are dispatched as `run` says."""

    command: str
    on: Sequence[str]
    run: Run = field(default_factory=Run)

    def to_json(self) -> dict[str, Any]:
        """Return this action of the scenario."""
        return {"type": "command", "command": self.command, "on": list(self.on), **self.run.to_json()}


@dataclass(frozen=True, eq=False)
class Script(_Job):
    """The Script step on nodes: inline (`script`) or a `file` of the server.

    `arguments` is the argument string of the form, `invocation` the invocation string, `quoted` its option to quote
    what follows, `extension` the file extension. `expand_tokens` is of files; inline scripts always are expanded.
    """

    on: Sequence[str]
    script: str | None = None
    file: Path | None = None
    arguments: str | None = None
    invocation: str | None = None
    quoted: bool = False
    extension: str | None = None
    expand_tokens: bool = False
    run: Run = field(default_factory=Run)

    def to_json(self) -> dict[str, Any]:
        """Return this action of the scenario."""
        values = {
            "type": "script",
            "on": list(self.on),
            "script": self.script,
            "file": str(self.file) if self.file else None,
            "arguments": self.arguments,
            "invocation": self.invocation,
            "quoted": self.quoted,
            "extension": self.extension,
            "expandTokens": self.expand_tokens,
        }
        return {**_present(values), **self.run.to_json()}


@dataclass(frozen=True, eq=False)
class Copy(_Job):
    """The Copy File step on nodes: one `file`, a text `content`, or `files` below a `folder`."""

    on: Sequence[str]
    destination: str | None = None
    file: Path | None = None
    content: str | None = None
    folder: Path | None = None
    files: Sequence[Path] = ()
    run: Run = field(default_factory=Run)

    def to_json(self) -> dict[str, Any]:
        """Return this action of the scenario."""
        values = {
            "type": "copy",
            "on": list(self.on),
            "destination": self.destination,
            "file": str(self.file) if self.file else None,
            "content": self.content,
            "folder": str(self.folder) if self.folder else None,
            "files": [str(file) for file in self.files] or None,
        }
        return {**_present(values), **self.run.to_json()}


@dataclass(frozen=True, eq=False)
class NodeStep(_Job):
    """A plugin's node step on nodes, with `config` as its form was filled in."""

    provider: str
    on: Sequence[str]
    config: Mapping[str, str] = field(default_factory=dict)
    run: Run = field(default_factory=Run)

    def to_json(self) -> dict[str, Any]:
        """Return this action of the scenario."""
        step = {"type": "nodestep", "provider": self.provider, "config": dict(self.config), "on": list(self.on)}
        return {**step, **self.run.to_json()}


@dataclass(frozen=True, eq=False)
class WorkflowStep(_Job):
    """A plugin's workflow step, with `config` as its form was filled in."""

    provider: str
    config: Mapping[str, str] = field(default_factory=dict)
    run: Run = field(default_factory=Run)

    def to_json(self) -> dict[str, Any]:
        """Return this action of the scenario."""
        return {
            "type": "workflowstep",
            "provider": self.provider,
            "config": dict(self.config),
            **self.run.to_json(),
        }


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
