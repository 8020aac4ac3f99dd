"""Makes the line that an operator reads of an error. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ecs_exec.errors import EcsExecError
from ecs_exec.errors.causes import of
from ecs_exec.text import squeezed

MOST = 300
"""Characters of a line. Only AWS's words are cut to fit; the plugin's own words are short."""

_LEAST = 100
"""Characters of AWS's words that are always shown, so that users can search for them."""

_ALSO = 2
"""Further causes that a line shows."""


def line(error: EcsExecError) -> str:
    """Return the line: the cause, the place, the effect, the cure, and AWS's words, cut to fit.

    It ends with the names of the causes in brackets; they are anchors in docs/troubleshooting.md.
    """
    text = "; ".join(_parts(error))
    names = [name for name in (error.name, *(one.name for one in error.also[:_ALSO])) if name]
    tail = f" [{', '.join(names)}]" if names else ""
    if error.said:
        room = MOST - len(text) - len(tail) - len("; ")
        text = f"{text}; {cut(error.said, max(room, _LEAST))}"
    return text + tail


def says(error: EcsExecError) -> str:
    """Return the cause alone."""
    return error.what or _filled(error.name, error.fields)[0]


def details(error: EcsExecError) -> Iterator[str]:
    """Yield the details that the line leaves out, for the log level Debug."""
    if error.said and error.said not in line(error):
        yield f"in full: {squeezed(error.said)}"
    for one in error.also:
        cause, cure = _filled(one.name, one.fields)
        yield f"also possible: {cause}; {cure} [{one.name}]"


def cut(text: str, most: int) -> str:
    """Put a text on one line of at most `most` characters."""
    shown = squeezed(text)
    return shown if len(shown) <= most else f"{shown[: most - 1].rstrip()}…"


def _parts(error: EcsExecError) -> Iterator[str]:
    cause, cure = (error.what, "") if error.what else _filled(error.name, error.fields)
    where = str(error.where)
    yield f"{cause} ({where})" if where else cause
    if error.effect:
        yield error.effect
    if cure:
        yield cure
    for one in error.also[:_ALSO]:
        yield f"also: {_filled(one.name, one.fields)[0]}"


def _filled(name: str, fields: Mapping[str, object]) -> tuple[str, str]:
    cause, known = of(name), _Fields(fields)
    return cause.says.format_map(known), cause.cure.format_map(known)


class _Fields(dict[str, object]):
    """Fields for a sentence. A missing field becomes an ellipsis: it must not hide the error."""

    def __missing__(self, key: str) -> str:
        return "…"
