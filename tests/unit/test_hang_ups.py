"""A share of `make soak-hang-ups`."""

from __future__ import annotations

import os
from collections.abc import Callable

from hang_ups import soak

SEED = int(os.environ.get("ECS_EXEC_SOAK_SEED", "1"))


def test_sessions_that_end_at_any_moment(record_property: Callable[[str, object], None]) -> None:
    """Commands, scripts and copies in every shell: nothing runs on, no file is left."""
    record_property("told", soak(6, SEED, lambda _: None))
