"""CONTRIBUTING.md: where things are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from documents import ROOT, table

SOURCES = (".ci", "contents", "docs", "requirements", "resources", "tests", "tools")
OF_OTHERS = {"lib", "__pycache__", "rundeck", "session-manager-plugin", "worlds"}
"""Made by make, or explained by the README or the module beside them."""


def folders(top: Path) -> set[str]:
    """Give a folder and those in it, as the table names them."""
    below = {each for path in top.iterdir() if path.is_dir() and path.name not in OF_OTHERS for each in folders(path)}
    return {top.relative_to(ROOT).as_posix()} | below


def test_the_table_names_every_folder() -> None:
    """A new folder gets its row."""
    rows = table("CONTRIBUTING.md", "## Where things are")
    named = [f"{path}/" for row in rows.items() for path in re.findall("`([^`]+?)/?`", " ".join(row))]
    found = {each for name in SOURCES for each in folders(ROOT / name)}
    assert {folder for folder in found if not any(path.startswith(f"{folder}/") for path in named)} == set()


def is_plain_dataclass(node: ast.ClassDef) -> bool:
    """Say whether a class is a frozen dataclass that could be a NamedTuple."""
    calls = {ast.unparse(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
    frozen = "dataclass(frozen=True)" in map(ast.unparse, node.decorator_list)
    return frozen and not node.bases and "field" not in calls


def test_plain_values_are_named_tuples() -> None:
    """The rule for value classes says so."""
    sources = (ROOT / "contents" / "ecs_exec").rglob("*.py")
    nodes = [node for path in sources for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    assert [node.name for node in nodes if isinstance(node, ast.ClassDef) and is_plain_dataclass(node)] == []
