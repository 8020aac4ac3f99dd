"""The interpreters on this machine: those that the plugin promises to run on, and older ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

_SHOW = "import sys; print('.'.join(map(str, sys.version_info[:3]))); print(sys.executable)"


def pythons() -> dict[str, str]:
    """Return the paths of interpreters by version, the oldest first, one for each version."""
    names = [sys.executable, "/usr/bin/python3", *(f"python3.{minor}" for minor in range(10, 20)), *_of_pyenv()]
    return {version: path for version, path in _found(names).items() if _parts(version) >= [3, 10]}


def old_pythons() -> dict[str, str]:
    """Return those that are too old but may be a server's python3, by version."""
    names = [*(f"python3.{minor}" for minor in range(5, 10)), *_of_pyenv()]
    return {version: path for version, path in _found(names).items() if [3, 5] <= _parts(version) < [3, 10]}


def _of_pyenv() -> list[str]:
    return [str(path) for path in Path.home().glob(".pyenv/versions/*/bin/python3")]


@cache
def _version(name: str) -> tuple[str, ...]:
    """Return version and path of an interpreter; nothing if it does not work."""
    done = subprocess.run([name, "-I", "-c", _SHOW], capture_output=True, text=True, check=False)
    return tuple(done.stdout.splitlines()) if done.returncode == 0 else ()


def _found(names: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in filter(shutil.which, names):
        if told := _version(name):
            found.setdefault(*told)
    return dict(sorted(found.items(), key=lambda item: _parts(item[0])))


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
