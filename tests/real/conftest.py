"""Fixtures that build the real parts."""

import os
import shutil

import pytest

from real.rundeck import Rundeck


@pytest.fixture(scope="session")
def rundeck() -> Rundeck:
    """Give the released rundeck-core; without Java and Maven skip, but never in CI."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"the real Rundeck needs {' and '.join(missing)}")
    return Rundeck.build()
