"""Writes docs/troubleshooting.md from the plugin's table of causes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ecs_exec.errors.causes import sections
from ecs_exec.errors.causes.cause import Cause, Section

_HEAD = """# Troubleshooting

This page explains the errors that the plugin prints, and says what to do about each.

An error is one line on stderr that begins with `ecs-exec: `. It says the cause, the place, what it means for the
command, and the cure. AWS's own words follow, shortened if they are long. The **name** of the cause is at the end, in
brackets: `[exec-not-enabled]`. Search this page for that name. `…` stands for text that varies. `make manifest` writes
this page from `contents/ecs_exec/errors/causes`.

Three things help with any error:

- **The step *AWS / ECS / Check Exec Readiness***, run on the node, checks task, agent, task definition, permissions and
  network. It prints one line for each.
- **Log level *Debug*** of the job shows AWS's words in full, further causes, each attempt, the session's id, and each
  proxy that is used. It shows no secrets.
- **Exit status** 125: the command was not run, or its end was not seen. 124: it timed out. 143: it was aborted. Any
  other exit status is the command's own.

In the commands below, write your own region, cluster, task and names. Run them with the same credentials as Rundeck: as
the user that runs Rundeck on its server, or with the profile or role from the settings.
"""


_BY_HAND = "## What Rundeck itself says\n"
"""From here on the page is written by hand: these messages are not in the code."""


def page(present: str) -> str:
    """Return the whole page; its end is kept. Raises ValueError if the beginning of the end is not found."""
    _, title, end = present.partition(_BY_HAND)
    if not title:
        raise ValueError(f"the page needs the title {_BY_HAND!r}")
    return "\n".join([_HEAD, *map(_section, sections()), _actions(sections()), title + end])


def _actions(found: Iterable[Section]) -> str:
    """Return the IAM actions whose absence is a cause, with links to the causes."""
    causes = [cause for section in found for cause in section.causes if cause.action]
    rows = ["## Missing IAM actions\n", "| Action | Names of the causes |", "|---|---|"]
    for action in sorted({cause.action for cause in causes}):
        names = ", ".join(f"[`{cause.name}`](#{cause.name})" for cause in causes if cause.action == action)
        rows.append(f"| `{action}` | {names} |")
    return "\n".join(rows) + "\n"


def _section(section: Section) -> str:
    parts = [f"{'#' * section.level} {section.title}\n"]
    parts += [f"{section.intro}\n"] if section.intro else []
    parts += [_table(section.causes)] if section.causes else []
    return "\n".join(parts)


def _table(causes: Iterable[Cause]) -> str:
    rows = ["| Name | Cause | Cure |", "|---|---|---|", *map(_row, causes)]
    return "\n".join(rows) + "\n"


def _row(cause: Cause) -> str:
    return f'| <a id="{cause.name}"></a>`{cause.name}` | {_cell(cause.says)} | {_cell(cause.cure)} |'


def _cell(text: str) -> str:
    """Return a text for a cell: fields become `…`, and Markdown's own characters are escaped."""
    shown = re.sub(r"\{\w+\}", "…", text).replace("{{", "{").replace("}}", "}")
    return re.sub(r"([|<>*_])", r"\\\1", shown)
