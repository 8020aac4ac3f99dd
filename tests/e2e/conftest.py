"""The local emulator, and launchers of executions against it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2e.rundeck_launch import FORKS, Launcher
from emulator import Emulator

FORKS.wanted = True

_FOLDER = Path(__file__).parents[2] / "build" / "shells"
"""All test processes share this folder, because messages of shells contain their path."""


@pytest.fixture(scope="session")
def shells() -> dict[str, str]:
    """Give the path of each shell that containers have."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    link = _FOLDER / "ash"
    with suppress(FileExistsError):
        link.symlink_to(_found("busybox"))
    return {"dash": _found("dash"), "bash": _found("bash"), "busybox": str(link)}


def _found(name: str) -> str:
    path = shutil.which(name)
    if path is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed")
    assert path is not None, f"{name} is not installed"
    return path


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """Give the sample world. The agent has its real habits, except the limit on concurrent sessions."""
    with Emulator(agent={"session_limit": 0}) as running:
        yield running


@pytest.fixture(scope="session")
def fast() -> Iterator[Emulator]:
    """Give the sample world with an agent without delays."""
    habits = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}
    with Emulator(agent=habits) as running:
        yield running


@pytest.fixture(scope="session")
def launcher(emulator: Emulator) -> Launcher:
    """Start executions against the emulator."""
    return Launcher(emulator.endpoint_url, emulator.region)


@pytest.fixture(scope="session")
def quick(fast: Emulator) -> Launcher:
    """Start executions against the emulator without delays."""
    return Launcher(fast.endpoint_url, fast.region)
