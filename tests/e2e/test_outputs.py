"""What the documentation shows is what the steps print."""

from __future__ import annotations

import build_outputs


def test_outputs_in_the_documentation_are_true() -> None:
    """Run anew, the steps print what docs/steps.md says; else: make outputs."""
    present = build_outputs.PAGE.read_text(encoding="utf-8")
    assert build_outputs.page(present, build_outputs.outputs()) == present
