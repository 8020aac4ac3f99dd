"""The local emulator and what is started against it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.rundeck_launch import Launcher
from emulator import Emulator


def _shells(folder: Path) -> dict[str, str]:
    """Give a path for each shell that holds nothing but the shell."""
    link = folder / "ash"
    link.symlink_to(shutil.which("busybox") or "/no/busybox")
    return {name: shutil.which(name) or f"/no/{name}" for name in ("dash", "bash")} | {"busybox": str(link)}


@pytest.fixture(scope="session")
def shells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the shells of containers, by name."""
    return _shells(tmp_path_factory.mktemp("shells"))


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """Give the sample world with the agent's habits as they are, but for the limit on sessions at a time."""
    with Emulator(agent={"session_limit": 0}) as running:
        yield running


@pytest.fixture(scope="session")
def fast() -> Iterator[Emulator]:
    """Give the sample world with an agent that does not rest."""
    habits = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}
    with Emulator(agent=habits) as running:
        yield running


@pytest.fixture(scope="session")
def launcher(emulator: Emulator) -> Launcher:
    """Start executions against the emulator."""
    return Launcher(emulator.endpoint_url, emulator.region)


@pytest.fixture(scope="session")
def quick(fast: Emulator) -> Launcher:
    """Start executions against the emulator that does not rest."""
    return Launcher(fast.endpoint_url, fast.region)
