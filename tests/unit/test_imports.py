"""Imports: the protocol core does no I/O, and a command loads only the modules that it needs."""

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
    "ecs_exec.text",
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
    """Modules of the core import each other, errors, records and pure parts of the standard library, nothing else."""
    beyond = {name for name in _imported(source) - ALLOWED if not name.startswith("ecs_exec.ssm")}
    assert beyond == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_ssm_draws_nothing_random(source: Path) -> None:
    """Ids come from outside, so that a conversation can be replayed."""
    drawn = {node.attr for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Attribute)}
    assert drawn.isdisjoint({"uuid1", "uuid4", "urandom", "monotonic", "time"})


PURE = (
    *("check", "checks", "checks_access", "facts", "line_joiner", "log_streams", "stopped", "tables", "task_end"),
    "task_request",
)


@pytest.mark.parametrize("name", PURE)
def test_what_steps_tell_is_pure(name: str) -> None:
    """Tables, explanations and checks are made of descriptions; nothing of a process, a clock or a call."""
    imported = _imported(CONTENTS / "ecs_exec" / "steps" / f"{name}.py")
    assert imported.isdisjoint(
        {"os", "subprocess", "sys", "time", "botocore", "ecs_exec.ecs.api", "ecs_exec.steps.calls"}
    )
    within = {item.removeprefix("ecs_exec.steps.") for item in imported if item.startswith("ecs_exec.steps.")}
    assert within <= set(PURE)


def test_a_command_waits_for_no_step() -> None:
    """The node executor imports nothing that only job steps need: its start is part of every command."""
    code = (
        "import sys; sys.path.append('lib'); import ecs_exec.main, ecs_exec.command.runner;"
        " print([name for name in sys.modules if 'ecs_exec' in name and 'step' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CONTENTS, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_cause_is_loaded_before_something_failed() -> None:
    """The table of causes is part of no command that goes well."""
    code = (
        "import sys; sys.path.append('lib');"
        " import ecs_exec.main, ecs_exec.command.runner, ecs_exec.command.session_driver, ecs_exec.ecs.api;"
        " print([name for name in sys.modules if 'causes' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CONTENTS, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def _python(code: str) -> str:
    """Run code as the entry scripts run, and return what it prints."""
    code = f"import sys; sys.path[:0] = ['.', 'lib']\n{code}"
    run = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.run(run, cwd=CONTENTS, capture_output=True, text=True, check=True).stdout


SELDOM = {
    *("botocore", "urllib3", "websockets", "yaml", "http.client", "email", "urllib.request", "xml", "html"),
    *("asyncio", "calendar", "configparser", "dataclasses", "datetime", "inspect", "locale", "logging", "pathlib"),
    *("platform", "secrets", "stringprep", "subprocess", "tempfile", "traceback", "uuid"),
}
"""Modules that no ordinary command needs. Each takes a part of its start."""


def test_an_ordinary_command_loads_no_module_that_it_does_not_use() -> None:
    """Keys of the settings, a call that fails at once, and the parts of a session."""
    printed = _python("""
import os
os.environ.clear()
os.environ["HOME"] = "/nonexistent"
import ecs_exec.main, ecs_exec.command.runner, ecs_exec.command.session_driver, ecs_exec.transport.native
import ecs_exec.transport.encryption
from ecs_exec.ecs.api import Aws
from ecs_exec.ecs.direct_client import NotMade
from ecs_exec.settings import Access
aws = Aws(Access("eu-west-1", "AKIAIOSFODNN7EXAMPLE", "secret", endpoint_url="http://127.0.0.1:1"))
assert aws.region == "eu-west-1"
try:
    aws._direct.call("ecs", "ExecuteCommand", {})
except NotMade:
    print(*sys.modules)
""")
    loaded = set(printed.split())
    assert "ecs_exec.transport.websocket" in loaded
    assert sorted(SELDOM & loaded) == []


def test_a_command_makes_no_dataclass() -> None:
    """A dataclass makes its methods at import, which takes a millisecond of each command's start."""
    printed = _python("""
import ecs_exec.main, ecs_exec.command.runner, ecs_exec.command.session_driver, ecs_exec.transport.native
import ecs_exec.ecs.api
for name, module in list(sys.modules.items()):
    if name.startswith("ecs_exec"):
        own = [item for item in vars(module).values() if getattr(item, "__module__", "") == name]
        print(*(item for item in own if hasattr(item, "__dataclass_fields__")), end="")
""")
    assert printed == ""
