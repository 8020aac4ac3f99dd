"""The documentation shows the real output of the steps."""

from __future__ import annotations

import build_outputs


def test_outputs_in_the_documentation_are_true() -> None:
    """A new run of the steps prints the outputs in docs/steps.md; else: make outputs."""
    present = build_outputs.PAGE.read_text(encoding="utf-8")
    assert build_outputs.page(present, build_outputs.outputs()) == present
