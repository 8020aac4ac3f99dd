"""Filters that decide which tasks and containers become nodes. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

NARROW_AT_MOST = 10
"""Most services or families that are listed one by one. If there are more, all tasks are listed and filtered here."""


class Filters(NamedTuple):
    """The filters to include, or with `exclude` to leave out. In each text `*` matches any characters."""

    exclude: bool = False
    services: tuple[str, ...] = ()
    task_definitions: tuple[str, ...] = ()
    """`family` or `family:revision`."""
    containers: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    """Key and value of tasks' tags; the value `*` matches any."""
    exec_ready_only: bool = False
    whole_tasks: bool = False
    """`containers` selects tasks with all their containers, not single containers."""


class Choice:
    """Filters, compiled for many tasks.

    A container is included if it matches each kind of filter that is set: at least one text of each kind, and for tags
    at least one value of each key. It is excluded if it matches any text of any kind.
    """

    def __init__(self, filters: Filters) -> None:
        """Compile the filters."""
        self._exclude = filters.exclude
        self._services = _any_of(filters.services)
        self._definitions = _any_of(text if ":" in text else f"{text}:*" for text in filters.task_definitions)
        self._containers = _any_of(filters.containers)
        self._whole_tasks = filters.whole_tasks
        self._tags = [(_any_of([key]), _any_of(values)) for key, values in _by_key(filters).items()]
        self.exec_ready_only = filters.exec_ready_only

    def of_task(self, service: str, definition: str, tags: Mapping[str, str], containers: Iterable[str]) -> bool:
        """Return whether containers of a task can become nodes; `definition` is `family:revision`.

        `containers` holds the names of all containers of the task.
        """
        fits = []
        if self._services:
            fits.append(bool(service and self._services.fullmatch(service)))
        if self._definitions:
            fits.append(self._definitions.fullmatch(definition) is not None)
        if self._whole_tasks and self._containers:
            fits.append(any(self._containers.fullmatch(name) for name in containers))
        fits += [_has(tags, key, value) for key, value in self._tags if key and value]
        return not any(fits) if self._exclude else all(fits)

    def of_container(self, name: str) -> bool:
        """Return whether a container becomes a node, if its task passes the filters."""
        if self._containers is None or self._whole_tasks:
            return True
        return (self._containers.fullmatch(name) is None) == self._exclude


def list_filters(filters: Filters) -> list[dict[str, str]]:
    """Return the parameters of the ecs:ListTasks calls that together list all tasks of a cluster that may pass.

    One call takes one service or one family, not both, and no patterns.
    """
    if not filters.exclude:
        for parameter, names in (
            ("serviceName", set(filters.services)),
            ("family", {text.partition(":")[0] for text in filters.task_definitions}),
        ):
            if 0 < len(names) <= NARROW_AT_MOST and not any("*" in name for name in names):
                return [{parameter: name} for name in sorted(names)]
    return [{}]


def pattern(text: str) -> str:
    """Return the regular expression for a text in which `*` matches any characters."""
    return ".*".join(re.escape(part) for part in text.split("*"))


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Return the regular expression that matches any of the texts, None if there are none."""
    parts = [pattern(text) for text in texts]
    return re.compile("|".join(parts), re.DOTALL) if parts else None


def _by_key(filters: Filters) -> dict[str, list[str]]:
    """Return the values of the tag filters by key: of several values one must match."""
    values: dict[str, list[str]] = {}
    for key, value in filters.tags:
        values.setdefault(key, []).append(value)
    return values


def _has(tags: Mapping[str, str], key: re.Pattern[str], value: re.Pattern[str]) -> bool:
    return any(key.fullmatch(name) and value.fullmatch(text) for name, text in tags.items())
