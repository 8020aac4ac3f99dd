"""What imports what: the protocol core does no I/O, and a command waits for no more than it needs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ecs_exec.ssm

CONTENTS = Path(ecs_exec.ssm.__path__[0]).parents[1]
SOURCES = sorted(Path(ecs_exec.ssm.__path__[0]).glob("*.py"))

ALLOWED = {
    "__future__",
    "base64",
    "binascii",
    "collections",
    "collections.abc",
    "dataclasses",
    "ecs_exec.errors",
    "ecs_exec.record",
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
    """Modules of the core import each other, the errors, the records and pure parts of the standard library, nothing else."""
    beyond = {name for name in _imported(source) - ALLOWED if not name.startswith("ecs_exec.ssm")}
    assert beyond == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_ssm_draws_nothing_random(source: Path) -> None:
    """Ids come from outside, so that a conversation can be replayed."""
    drawn = {node.attr for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Attribute)}
    assert drawn.isdisjoint({"uuid1", "uuid4", "urandom", "monotonic", "time"})


PURE = ("check", "checks", "checks_access", "explanations", "facts", "lines", "stopped", "tables")


@pytest.mark.parametrize("name", PURE)
def test_what_steps_tell_is_pure(name: str) -> None:
    """Tables, explanations and checks are made of descriptions; nothing of a process, a clock or a call."""
    imported = _imported(CONTENTS / "ecs_exec" / "steps" / f"{name}.py")
    assert imported.isdisjoint({"os", "subprocess", "sys", "time", "botocore", "ecs_exec.aws", "ecs_exec.steps.calls"})
    within = {item.removeprefix("ecs_exec.steps.") for item in imported if item.startswith("ecs_exec.steps.")}
    assert within <= set(PURE)


def test_a_command_waits_for_no_step() -> None:
    """What only job steps need is not imported by the node executor: start-up is part of every command."""
    code = (
        "import sys; sys.path.append('lib'); import ecs_exec.main, ecs_exec.run;"
        " print([name for name in sys.modules if 'ecs_exec' in name and 'step' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CONTENTS, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
