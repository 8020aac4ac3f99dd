"""CONTRIBUTING.md draws the folders and modules of contents/ecs_exec ("rooms"), and their imports."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

from documents import ROOT

PACKAGE = ROOT / "contents" / "ecs_exec"
MOST_FOLDERS = 9


def modules() -> dict[str, Path]:
    """Give the files of the package by their dotted names below it."""
    found = {path.relative_to(PACKAGE).with_suffix(""): path for path in PACKAGE.rglob("*.py")}
    names = {".".join(part for part in place.parts if part != "__init__"): path for place, path in found.items()}
    return {name: path for name, path in names.items() if name}


def imported(path: Path, known: Iterable[str], *, late: bool = True) -> set[str]:
    """Give the modules of the package that a file imports; with `late`, also those that it imports in a function."""
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if late else tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE.name:
            below = (node.module or "").partition(".")[2]
            inner = {f"{below}.{alias.name}".lstrip(".") for alias in node.names}
            names |= {name if name in known else below for name in inner}
        elif isinstance(node, ast.Import):
            names |= {alias.name.removeprefix(f"{PACKAGE.name}.") for alias in node.names}
    return names & set(known)


def room(module: str) -> str:
    """Give the folder of a module, or the module itself if it is in no folder."""
    top = module.partition(".")[0]
    return f"{top}/" if (PACKAGE / top).is_dir() else top


def arrows() -> dict[str, set[str]]:
    """Give the rooms that each room imports."""
    found = modules()
    drawn: dict[str, set[str]] = {room(name): set() for name in found}
    for name, path in found.items():
        drawn[room(name)] |= {room(other) for other in imported(path, found)} - {room(name)}
    return drawn


def floors(drawn: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Put each room above all that it imports. Raises graphlib.CycleError."""
    sorter = TopologicalSorter({name: set(below) for name, below in drawn.items()})
    sorter.prepare()
    built = []
    while sorter.is_active():
        floor = sorted(sorter.get_ready())
        built.append(floor)
        sorter.done(*floor)
    return built[::-1]


def drawing() -> str:
    """Draw the floors, the entry at the top."""
    drawn = arrows()
    lines = []
    for floor in floors(drawn):
        lines += [f"{name:17} {' '.join(sorted(drawn[name]))}".rstrip() for name in floor]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def test_no_room_imports_one_above_it() -> None:
    """Imports point down only, between folders and between modules; else CycleError names the circle."""
    found = modules()
    assert floors({name: imported(path, found, late=False) - {name} for name, path in found.items()})
    assert floors(arrows())[0] == ["main"]


def test_the_folders_can_be_surveyed() -> None:
    """The folders are few enough to read at once."""
    assert len([name for name in arrows() if name.endswith("/")]) <= MOST_FOLDERS


def test_the_drawing_is_true() -> None:
    """CONTRIBUTING.md shows each room with what it imports."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"```text\n{drawing()}```" in text, drawing()
