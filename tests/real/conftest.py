"""Fixtures that build the real parts."""

import os
import shutil

import pytest

from real.rundeck import CORES, Core, Rundeck


@pytest.fixture(scope="module", params=CORES, ids=lambda core: core.version.split("-")[0])
def rundeck(request: pytest.FixtureRequest) -> Rundeck:
    """Give each released rundeck-core in turn; without Java and Maven skip, but never in CI.

    Of a module and not of the session: a module's emulators then serve both.
    """
    core: Core = request.param
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"the real Rundeck needs {' and '.join(missing)}")
    return Rundeck.build(core)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let one test process run all tests of a core: it starts one JVM, and makes each module's emulators once."""
    core = item.callspec.params.get("rundeck") if hasattr(item, "callspec") else None
    if isinstance(core, Core):
        item.add_marker(pytest.mark.xdist_group(f"rundeck-core {core.version}"))
