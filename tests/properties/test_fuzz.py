"""A twentieth of `make fuzz`, of requests a fortieth. ECS_EXEC_FUZZ_SEED draws another one."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from fuzz import COUNTS, fuzz

SEED = int(os.environ.get("ECS_EXEC_FUZZ_SEED", "1"))


@pytest.mark.parametrize("part", COUNTS)
def test_nothing_does_harm(part: str, record_property: Callable[[str, object], None]) -> None:
    """Events, or an error of the plugin's own in a line, in its time and its memory."""
    record_property("told", fuzz(part, COUNTS[part] // (40 if part == "requests" else 20), SEED))
