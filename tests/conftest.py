"""Parts that several kinds of tests need."""

from __future__ import annotations

import os
import signal
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import build_dist
from real.session_manager_plugin import NoGoError, build


def pytest_configure() -> None:
    """Restore SIGINT for started programs: a shell turns it off in programs that it starts with `&`.

    hypothesis sets no time for an example: on a busy machine any takes long now and then.
    """
    hypothesis.settings.register_profile("busy", deadline=None)
    hypothesis.settings.load_profile("busy")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def session_manager_plugin() -> Path:
    """Give AWS's own program, built from its source. Without Go it is skipped on a user's machine, never in CI."""
    try:
        return build()
    except NoGoError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """Give a folder of this module's own that every user may write to, as /tmp is in a container of its own."""
    with tempfile.TemporaryDirectory(prefix="scratch-") as name:
        path = Path(name)
        path.chmod(0o1777)
        yield path


@pytest.fixture(scope="session")
def plugin_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the zip of this checkout, as users put it into libext."""
    root = Path(__file__).parents[1]
    return build_dist.build_zip(root, tmp_path_factory.mktemp("dist"), root / "build" / "wheels")


@pytest.fixture(scope="session")
def zip_contents(plugin_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the zip's contents as Rundeck unpacks them: no file is executable."""
    folder = tmp_path_factory.mktemp("expanded")
    with zipfile.ZipFile(plugin_zip) as archive:
        archive.extractall(folder)  # Python's zipfile keeps no modes either
    contents = folder / plugin_zip.stem / "contents"
    for path in contents.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    return contents


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests have recorded under `told`, from all test processes."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(str(value))
