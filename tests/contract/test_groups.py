"""Checks pytest-xdist: it must append a group's name to a test's name, or it does not keep groups together."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("kept-together")
def test_groups_are_known(request: pytest.FixtureRequest) -> None:
    """Without groups, each process would repeat the batches of all modules. The tests would pass, but take longer."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@kept-together")
