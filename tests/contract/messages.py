"""The causes that the plugin's source names, and the fields that it gives them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ecs_exec import errors

PACKAGE = Path(errors.__file__).parents[1]
ERRORS = {
    name
    for name, thing in vars(errors).items()
    if isinstance(thing, type) and issubclass(thing, errors.EcsExecError) and thing is not errors.EcsExecError
}
_NO_FIELDS = {"name", "where", "effect", "said", "also", "code", "transient", "reason", "refused", None}


class Named(NamedTuple):
    """An error that is made with a cause's name."""

    name: str
    fields: frozenset[str]
    whole: bool
    """The error has no text of its own, so all fields of the cause's text are needed."""
    place: str
    """File and line."""


def named() -> list[Named]:
    """Return every error of the package that is made with a name, as a literal."""
    return [found for path in sorted(PACKAGE.rglob("*.py")) for found in _of_file(path)]


def _of_file(path: Path) -> Iterator[Named]:
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in ERRORS:
            continue
        given = {each.arg: each.value for each in call.keywords}
        name = given.get("name")
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            fields = frozenset(str(each) for each in given if each not in _NO_FIELDS)
            yield Named(name.value, fields, not call.args, f"{path.relative_to(PACKAGE)}:{call.lineno}")
