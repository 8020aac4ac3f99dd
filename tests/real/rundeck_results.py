"""Results from the real Rundeck, as its own classes present them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One line of an execution's log.

    `level` is ERROR, WARN, NORMAL, VERBOSE or DEBUG. `source` is stdout or stderr for what a script wrote, rundeck for
    what Rundeck says itself. `at` counts seconds from the start of the execution to the arrival of the line.
    """

    level: str
    source: str
    text: str
    node: str | None
    at: float


@dataclass(frozen=True)
class Outcome:
    """How a step ended, on a node or (`node` is None) as a whole.

    `result_code` is what Rundeck keeps of the exit status: None where it keeps none (a configuration error, and any
    failed workflow step). `reason` and `message` are None on success.
    """

    success: bool
    result_code: int | None
    reason: str | None
    message: str | None
    at: float
    node: str | None


@dataclass(frozen=True)
class Execution:
    """A finished execution.

    `ended` is False where the execution outlived the patience of its abort. `nodes` and `steps` are in the order in
    which they ended; an aborted execution may be over before they are, so that only with `linger` they are here.
    `copied` has the remote paths a copier returned, by node.
    """

    success: bool
    ended: bool
    seconds: float
    thrown: str | None
    events: tuple[Event, ...]
    nodes: tuple[Outcome, ...]
    steps: tuple[Outcome, ...]
    copied: Mapping[str, Sequence[str]]
    interrupted_at: float | None
    interrupts: int
    returned_after: float | None

    @property
    def stdout(self) -> list[str]:
        """The lines scripts wrote to stdout."""
        return self._texts("stdout")

    @property
    def stderr(self) -> list[str]:
        """The lines scripts wrote to stderr."""
        return self._texts("stderr")

    @property
    def log(self) -> list[str]:
        """The lines Rundeck wrote itself."""
        return self._texts("rundeck")

    @property
    def result(self) -> Outcome:
        """The outcome on the only node, or of the step where it ran on none."""
        (only,) = self.nodes or self.steps
        return only

    def node(self, name: str) -> Outcome:
        """Return the outcome on a node."""
        return next(outcome for outcome in self.nodes if outcome.node == name)

    def _texts(self, source: str) -> list[str]:
        return [event.text for event in self.events if event.source == source]

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Execution:
        """Read what the harness wrote."""
        return cls(
            success=raw["success"],
            ended=raw["ended"],
            seconds=raw["seconds"],
            thrown=raw["thrown"],
            events=tuple(Event(**event) for event in raw["events"]),
            nodes=tuple(_outcome(outcome) for outcome in raw["nodes"]),
            steps=tuple(_outcome(outcome) for outcome in raw["steps"]),
            copied=raw.get("copied", {}),
            interrupted_at=raw.get("interruptedAt"),
            interrupts=raw.get("interrupts", 0),
            returned_after=raw.get("returnedAfter"),
        )


def _outcome(raw: Mapping[str, Any]) -> Outcome:
    return Outcome(
        success=raw["success"],
        result_code=raw["resultCode"],
        reason=raw["reason"],
        message=raw["message"],
        at=raw["at"],
        node=raw.get("node"),
    )


@dataclass(frozen=True)
class Node:
    """A node as Rundeck parsed it; `attributes` holds name, hostname, tags and the like as well."""

    name: str
    hostname: str | None
    username: str | None
    description: str | None
    tags: Sequence[str]
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """What a node source gave: its nodes by name, or the error Rundeck made of it."""

    nodes: Mapping[str, Node]
    error: str | None
    stderr: Sequence[str]
    seconds: float
    chosen: Sequence[str]
    """Names of those that fit the filter."""

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Found:
        """Read what the harness wrote."""
        return cls(
            nodes={node["name"]: Node(**node) for node in raw.get("found", [])},
            error=raw.get("error"),
            stderr=[event["text"] for event in raw["events"]],
            seconds=raw["seconds"],
            chosen=raw.get("chosen", []),
        )


@dataclass(frozen=True)
class Property:
    """A setting as Rundeck presents it."""

    name: str
    type: str
    title: str | None
    description: str | None
    required: bool
    default: str | None
    values: Sequence[str] | None
    labels: Mapping[str, str] | None
    scope: str | None
    rendering_options: Mapping[str, Any]


@dataclass(frozen=True)
class Provider:
    """A provider as Rundeck presents it, or the `error` that kept it from loading.

    `metadata` is the provider's own (icons), `plugin` that of the file (version, author, tags, ...). `resources` maps
    a file below resources/ to its text (.properties) or its size.
    """

    service: str
    name: str
    error: str | None
    title: str | None
    description: str | None
    properties: Mapping[str, Property]
    metadata: Mapping[str, str]
    plugin: Mapping[str, Any]
    resources: Mapping[str, str | int]
    project_mapping: Mapping[str, str]
    framework_mapping: Mapping[str, str]

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Provider:
        """Read what the harness wrote."""
        return cls(
            service=raw["service"],
            name=raw["name"],
            error=raw.get("error"),
            title=raw.get("title"),
            description=raw.get("description"),
            properties={each["name"]: _property(each) for each in raw.get("properties", [])},
            metadata=raw.get("metadata") or {},
            plugin=raw.get("plugin", {}),
            resources=raw.get("resources", {}),
            project_mapping=raw.get("projectMapping") or {},
            framework_mapping=raw.get("frameworkMapping") or {},
        )


def _property(raw: Mapping[str, Any]) -> Property:
    values = {key: value for key, value in raw.items() if key != "renderingOptions"}
    return Property(**values, rendering_options=raw["renderingOptions"] or {})


@dataclass(frozen=True)
class Catalogue:
    """Rundeck's view of the plugins: whether each file's metadata is valid, and each provider."""

    files: Mapping[str, bool]
    providers: Sequence[Provider]

    def provider(self, service: str, name: str) -> Provider:
        """Return one provider."""
        return next(each for each in self.providers if (each.service, each.name) == (service, name))

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Catalogue:
        """Read what the harness wrote."""
        return cls(
            files={file["name"]: file["valid"] for file in raw["files"]},
            providers=[Provider.from_json(provider) for provider in raw["providers"]],
        )
