"""Shows stopped tasks as text for a log, and as data for Rundeck's log filters. Does no I/O.

The log filter Render Formatted Data shows the lines between its two marks. It removes HTML that could do harm: tables
without a head of their own and classes are kept, scripts are removed.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from ecs_exec.settings.steps import Format
from ecs_exec.steps.stopped import Ended, Stopped
from ecs_exec.text import printable

_BEGIN = "#BEGIN:RUNDECK:DATATYPE:"
_END = "#END:RUNDECK:DATATYPE"
_SEPARATORS = re.compile(r"[\x7f-\x9f\u2028\u2029]")
_TYPES = {"json": "application/json", "markdown": "text/x-markdown", "html": "text/html"}

_HEAD = ("Task", "Service or family", "Stopped (UTC)", "Stop code", "Reason", "Containers", "What to do")
_WIDTH = 110
"""Characters in a line of explanations. The log viewer would break longer ones in the middle of a word."""


def render(form: Format, tasks: Sequence[Stopped]) -> Iterator[str]:
    """Yield the lines that show the tasks in a format."""
    if form == "text":
        yield from _text(tasks)
        return
    yield f"{_BEGIN}{_TYPES[form]}"
    yield from {"json": _json, "markdown": _markdown, "html": _html}[form](tasks)
    yield _END


def data_lines(tasks: Sequence[Stopped]) -> Iterator[str]:
    """Yield the lines for the log filter Key Value Data, which accepts no empty values."""
    values = {"ecs-stopped-count": str(len(tasks))}
    if tasks:
        newest = tasks[0]
        values |= {"ecs-stopped-task": newest.arn, "ecs-stopped-at": _iso(newest) or newest.status}
        values |= {"ecs-stopped-code": newest.code, "ecs-stopped-reason": _why(newest)}
    for name, value in values.items():
        if value:
            yield f"RUNDECK:DATA:{name} = {printable(value)}"


def _why(task: Stopped) -> str:
    """Return a task's reason, and the reasons of its containers."""
    parts = [task.reason, *(f"container {item.name}: {_end(item)}" for item in task.containers if item.reason)]
    return "; ".join(part for part in parts if part)


def _end(item: Ended) -> str:
    """Return a container's exit code and reason."""
    code = "no exit code" if item.exit_code is None else f"exit code {item.exit_code}"
    return f"{code}, {item.reason}" if item.reason else code


def _iso(task: Stopped) -> str:
    return f"{task.at:%Y-%m-%dT%H:%M:%SZ}" if task.at else ""


# --- Text


def _text(tasks: Sequence[Stopped]) -> Iterator[str]:
    """Yield one line of columns for each task, and below it the reasons, which are too long for a column."""
    rows = [("STOPPED (UTC)", "TASK", "SERVICE OR FAMILY", "STOP CODE", "EXIT CODES")]
    rows += [(task.moment, task.task, task.owner, task.code or "-", _codes(task)) for task in tasks]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if number:
            yield from _details(tasks[number - 1])


def _codes(task: Stopped) -> str:
    """Return the containers' exit codes, with names if there are several containers."""
    codes = [(item.name, "-" if item.exit_code is None else str(item.exit_code)) for item in task.containers]
    return codes[0][1] if len(codes) == 1 else ", ".join(f"{name} {code}" for name, code in codes)


def _details(task: Stopped) -> Iterator[str]:
    details = [("reason", task.reason)]
    details += [(item.name, item.reason) for item in task.containers if item.reason]
    for one in task.explanations:
        details += [("cause", f"{one.cause} [{one.name}]"), ("to do", one.cure)]
    details = [(name, text) for name, text in details if text]
    width = max((len(name) for name, _ in details), default=0)
    for name, text in details:
        first, *more = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        yield f"    {name.ljust(width)}  {first}"
        yield from (f"    {' ' * width}  {line}" for line in more)


# --- For the log filter


def _json(tasks: Sequence[Stopped]) -> Iterator[str]:
    text = json.dumps([_as_json(task) for task in tasks], indent=2, ensure_ascii=False)
    # JSON allows these characters in a string, but some readers end a line at them.
    yield from _SEPARATORS.sub(lambda found: f"\\u{ord(found[0]):04x}", text).split("\n")


def _as_json(task: Stopped) -> dict[str, str]:
    """Return texts under short names. Rundeck draws a table, and sorts its columns by these names."""
    ends, advice = _summary(task)
    return {
        "at": _iso(task) or task.status,
        "cause": ", ".join(one.name for one in task.explanations),
        "code": task.code,
        "containers": ends,
        "owner": task.owner,
        "reason": task.reason,
        "task": task.task,
        "toDo": advice,
    }


def _summary(task: Stopped) -> tuple[str, str]:
    """Return how the containers ended, and the causes with their cures."""
    ends = "; ".join(f"{item.name}: {_end(item)}" for item in task.containers)
    return ends, "; ".join(f"{one.cause}: {one.cure}" for one in task.explanations)


def _cells(task: Stopped) -> tuple[str, ...]:
    ends, advice = _summary(task)
    return task.task, task.owner, task.moment, task.code, task.reason, ends, advice


def _markdown(tasks: Sequence[Stopped]) -> Iterator[str]:
    yield from map(_row, [_HEAD, ("---",) * len(_HEAD)])
    yield from (_row(map(_escaped, _cells(task))) for task in tasks)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    r"""Escape Markdown's special characters; `_` within a word is not special."""
    return re.sub(r"([\\`*\[\]<>|~#!&])|(?<!\w)_|_(?!\w)", lambda found: "\\" + found[0], text)


def _html(tasks: Sequence[Stopped]) -> Iterator[str]:
    yield '<table class="table table-striped table-condensed"><tbody>'
    yield f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in _HEAD)}</tr>"
    for task in tasks:
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(task))}</tr>"
    yield "</tbody></table>"
