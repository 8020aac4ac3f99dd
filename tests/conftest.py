"""Parts that several kinds of tests need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from real.session_manager_plugin import NoGoError, build


@pytest.fixture(scope="session")
def session_manager_plugin() -> Path:
    """Give AWS's own program, built from its source. Without Go it is skipped on a user's machine, never in CI."""
    try:
        return build()
    except NoGoError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
