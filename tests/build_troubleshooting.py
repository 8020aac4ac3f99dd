"""Writes docs/troubleshooting.md from the causes that the plugin tells."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ecs_exec.causes import sections
from ecs_exec.causes.cause import Cause, Section

_HEAD = """# Troubleshooting

A line of the plugin begins with `ecs-exec: ` on stderr: the cause, the place, what it means for the command, the cure,
and AWS's own words, cut where they are long. At its end stands the **name** of the cause in brackets, like
`[exec-not-enabled]`. Search this page for that name. `…` stands for what varies. `make manifest` writes this page from
`contents/ecs_exec/causes`.

Three things help with any of them:

- **The step *AWS / ECS / Check Exec Readiness*** on the node looks at task, agent, task definition, permissions and
  network, a line each.
- **Log level *Debug*** of the job shows AWS's words in full, further causes, each attempt, the session's id and each
  proxy on the way. No secret is in it.
- **Exit status** 125: not run, or the end was not seen. 124: timed out. 143: aborted. All others are the command's own.

In the commands below put your own region, cluster, task and names. Run them with the same credentials as Rundeck: as
its user on its server, or with the profile or role of the settings.
"""


_BY_HAND = "## What Rundeck itself says\n"
"""From here on the page is written by hand: these messages are not in the code."""


def page(present: str) -> str:
    """Return the whole page, its end as it is. Raises ValueError where the end has no beginning."""
    _, title, end = present.partition(_BY_HAND)
    if not title:
        raise ValueError(f"the page needs the title {_BY_HAND!r}")
    return "\n".join([_HEAD, *map(_section, sections()), title + end])


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
    """Return a text for a cell: fields as `…`, nothing that Markdown would take for its own."""
    shown = re.sub(r"\{\w+\}", "…", text).replace("{{", "{").replace("}}", "}")
    return re.sub(r"([|<>*_])", r"\\\1", shown)
