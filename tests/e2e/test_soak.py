"""A tenth of `make soak`."""

from __future__ import annotations

import os
from collections.abc import Callable

from soak import soak

SESSIONS = 100
SEED = int(os.environ.get("ECS_EXEC_SOAK_SEED", "1"))


def test_sessions_over_bad_links(record_property: Callable[[str, object], None]) -> None:
    """A hundred sessions of random output with random faults: none wrong, none hanging."""
    record_property("told", soak(SESSIONS, SEED, 24, lambda _: None))
