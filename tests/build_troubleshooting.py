"""Writes the tables of docs/troubleshooting.md from the causes that the plugin tells."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ecs_exec.causes import closing, readiness, sessions, stopped_tasks
from ecs_exec.causes.cause import Cause, Section

TABLES = {
    "a task": (Section("", "", readiness.CAUSES),),
    "opening and running": sessions.SECTIONS,
    "the end of a session": (Section("", "", closing.CAUSES),),
    "stopped tasks": stopped_tasks.SECTIONS,
}
"""What stands between the marks of that name."""


def page(present: str) -> str:
    """Return the page with its tables as they are to be. Raises ValueError for a table that has no place in it."""
    for mark, sections in TABLES.items():
        pattern = re.compile(rf"(<!-- causes of {mark} -->\n).*?(<!-- end of causes of {mark} -->)", re.DOTALL)
        if len(pattern.findall(present)) != 1:
            raise ValueError(f"the page needs the marks of causes of {mark} once")
        text = "\n".join(map(_section, sections))
        present = pattern.sub(lambda match, text=text: f"{match[1]}{text}{match[2]}", present)  # type: ignore[misc]
    return present


def _section(section: Section) -> str:
    title = f"#### {section.title}\n\n" if section.title else ""
    intro = f"{section.intro}\n\n" if section.intro else ""
    return f"{title}{intro}{_table(section.causes)}"


def _table(causes: Iterable[Cause]) -> str:
    rows = ["| Name | Cause | Cure |", "|---|---|---|", *map(_row, causes)]
    return "\n".join(rows) + "\n"


def _row(cause: Cause) -> str:
    return f'| <a id="{cause.name}"></a>`{cause.name}` | {_cell(cause.says)} | {_cell(cause.cure)} |'


def _cell(text: str) -> str:
    """Return a text for a cell: fields as `…`, nothing that Markdown would take for its own."""
    shown = re.sub(r"\{\w+\}", "…", text).replace("{{", "{").replace("}}", "}")
    return re.sub(r"([|<>*_])", r"\\\1", shown)
