"""The protocol core does no I/O."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ecs_exec.ssm

SOURCES = sorted(Path(ecs_exec.ssm.__path__[0]).glob("*.py"))

ALLOWED = {
    "__future__",
    "base64",
    "binascii",
    "collections",
    "collections.abc",
    "dataclasses",
    "ecs_exec.errors",
    "enum",
    "hashlib",
    "json",
    "struct",
    "typing",
    "uuid",
}


def _imported(source: Path) -> set[str]:
    """Name the modules that a file imports, wherever in it that happens."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or ".")
    return names


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_ssm_imports_no_io(source: Path) -> None:
    """Modules of the core import each other, the errors and pure parts of the standard library, nothing else."""
    beyond = {name for name in _imported(source) - ALLOWED if not name.startswith("ecs_exec.ssm")}
    assert beyond == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_ssm_draws_nothing_random(source: Path) -> None:
    """Ids come from outside, so that a conversation can be replayed."""
    drawn = {node.attr for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Attribute)}
    assert drawn.isdisjoint({"uuid1", "uuid4", "urandom", "monotonic", "time"})
