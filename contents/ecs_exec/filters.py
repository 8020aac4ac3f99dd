"""Which tasks and containers become nodes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NARROW_AT_MOST = 10
"""Services or families that are asked for one by one; of more, all tasks are listed and chosen from here."""


@dataclass(frozen=True)
class Filters:
    """What is wanted, or with `exclude` what is not; each text may hold `*` for any characters."""

    exclude: bool = False
    services: tuple[str, ...] = ()
    task_definitions: tuple[str, ...] = ()
    """`family` or `family:revision`."""
    containers: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    """Key and value of tasks' tags; the value `*` takes any."""
    exec_ready_only: bool = False


class Choice:
    """Filters made ready for many tasks.

    To be included a container must fit each kind of filter that is set, and within a kind one of its texts; of tags one
    text for each key. To be excluded it must fit any text of any kind.
    """

    def __init__(self, filters: Filters) -> None:
        """Take the filters."""
        self._exclude = filters.exclude
        self._services = _any_of(filters.services)
        self._definitions = _any_of(text if ":" in text else f"{text}:*" for text in filters.task_definitions)
        self._containers = _any_of(filters.containers)
        self._tags = [(_any_of([key]), _any_of(values)) for key, values in _by_key(filters).items()]
        self.exec_ready_only = filters.exec_ready_only

    def of_task(self, service: str, definition: str, tags: Mapping[str, str]) -> bool:
        """Tell whether containers of a task can become nodes; `definition` is `family:revision`."""
        fits = []
        if self._services:
            fits.append(bool(service and self._services.fullmatch(service)))
        if self._definitions:
            fits.append(self._definitions.fullmatch(definition) is not None)
        fits += [_has(tags, key, value) for key, value in self._tags if key and value]
        return not any(fits) if self._exclude else all(fits)

    def of_container(self, name: str) -> bool:
        """Tell whether a container of a task that fits becomes a node."""
        return self._containers is None or (self._containers.fullmatch(name) is None) == self._exclude


def narrowing(filters: Filters) -> list[dict[str, str]]:
    """Return the parameters of the ecs:ListTasks calls that together list all that can be wanted in a cluster.

    ECS takes one service or one family in a call, not both, and knows no patterns.
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
    """Return the regular expression of a text in which `*` stands for any characters."""
    return ".*".join(re.escape(part) for part in text.split("*"))


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Return the expression that matches any of some texts, None if there are none."""
    parts = [pattern(text) for text in texts]
    return re.compile("|".join(parts), re.DOTALL) if parts else None


def _by_key(filters: Filters) -> dict[str, list[str]]:
    """Return the values wanted by key."""
    values: dict[str, list[str]] = {}
    for key, value in filters.tags:
        values.setdefault(key, []).append(value)
    return values


def _has(tags: Mapping[str, str], key: re.Pattern[str], value: re.Pattern[str]) -> bool:
    return any(key.fullmatch(name) and value.fullmatch(text) for name, text in tags.items())
