"""Converts the steps of jobs. The formats give each step as a `Step`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from migration.names import KEYS, is_path, plain, step_successor
from migration.report import Report, shown


class Step(Protocol):
    """A plugin step of a job."""

    place: str
    type: str

    def config(self) -> list[tuple[str, str | None]]:
        """Return its settings in their order; None for a value that is no text."""

    def rename(self, old: str, new: str) -> None:
        """Give a setting another name."""

    def retype(self, new: str) -> None:
        """Make it a step of another plugin."""

    def filters(self) -> list[str]:
        """Return the types of its log filters."""


def convert_steps(steps: Iterable[Step], given: Mapping[str, str], report: Report) -> None:
    """Convert those that are of Enterprise's ECS plugins."""
    for step in steps:
        found = step_successor(step.type, given)
        old = shown(step.type)
        if found is None:
            continue
        if not found.name:
            report.left(step.place, f"{old} is not known; if it has a counterpart, name it: --provider {old}=NAME")
            continue
        step.retype(found.name)
        renamed = rename_keys(step, found.name, report)
        report.done(step.place, "; ".join([f"{old} is now {found.name}", *renamed]))
        if not found.certain:
            report.check(step.place, f"{old} was recognised by its words only: compare the step with the old one")
        if found.name == "ecs-stopped-tasks":
            for each in step.filters():
                report.left(
                    step.place, f"log filter {shown(each)} reads a text that ecs-stopped-tasks words differently"
                )


def note_others(steps: Iterable[Step], options: Iterable[tuple[str, str]], report: Report) -> None:
    """Tell what needs other plugins of Enterprise's for AWS. `options` holds place and plugin of options' values."""
    for step in steps:
        if step.type.startswith("aws-"):
            report.note(step.place, f"{shown(step.type)} is of another plugin, which this server needs, too")
    for place, plugin in options:
        if plugin.startswith("aws-"):
            report.left(place, f"its values come from {shown(plugin)}, a plugin of Enterprise's")


def rename_keys(step: Step, provider: str, report: Report) -> list[str]:
    """Give the settings of a step the names of this plugin, and return a text for each change."""
    known = KEYS.get(provider, {})
    taken = {key for key, _ in step.config() if known.get(plain(key)) == key}
    texts = []
    for key, value in step.config():
        new = known.get(plain(key))
        if new == key:
            continue
        if fault := _fault(new, value, taken):
            report.left(step.place, f"setting {shown(key)} {fault}")
            continue
        assert new is not None  # noqa: S101 - _fault has excluded it
        step.rename(key, new)
        taken.add(new)
        texts.append(f"{shown(key)} is now {new}")
    return texts


def _fault(new: str | None, value: str | None, taken: set[str]) -> str:
    """Return why a setting keeps its name; empty if it gets a new one."""
    if new is None:
        return "has no counterpart and was kept"
    if value is None:
        return "is no plain text and was kept"
    if new in taken:
        return f"was kept, because {new} is set already"
    if new == "secret-access-key" and value and not is_path(value):
        return "holds no Key Storage path and was kept: store the secret in Key Storage"
    return ""
