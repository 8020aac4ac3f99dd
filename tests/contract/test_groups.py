"""What pytest-xdist must do for us: it puts a group's name at the end of a test's, or groups are not kept together."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("kept-together")
def test_groups_are_known(request: pytest.FixtureRequest) -> None:
    """Without them each process makes the batches of all modules anew, and nothing but time tells."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@kept-together")
