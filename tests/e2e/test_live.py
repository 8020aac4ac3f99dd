"""The check of a user's own container, tried on one of the emulator's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import live
from e2e.rundeck_launch import ACCESS_KEY, SECRET_KEY
from emulator import Emulator


def environ(emulator: Emulator, **more: str) -> dict[str, str]:
    """Name a container and its place."""
    node = emulator.node("demo", "web")
    return {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "LIVE_ENDPOINT_URL": emulator.endpoint_url,
        "LIVE_REGION": emulator.region,
        "LIVE_CLUSTER": "demo",
        "LIVE_TASK": node["ECS:Task-ARN"],
        **more,
    }


def test_a_report_is_made(
    fast: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the prerequisites and each command; nothing stays behind, and no secret is in it."""
    monkeypatch.setattr(live, "REPORT", tmp_path / "live" / "live.txt")
    before = set(Path("/tmp").glob("rundeck-ecs-exec-live-*"))  # noqa: S108 - the promised place
    assert live.main(["--only", "^(pipe|both at once|invalid bytes|exit 42)$"], environ(fast)) == 0
    text = live.REPORT.read_text()
    assert text.strip() in capsys.readouterr().out
    assert "4 commands, 0 failed" in text
    assert all(f"ok     {name}\n" in text for name in ("pipe", "both at once", "invalid bytes", "exit 42"))
    assert SECRET_KEY not in text
    assert set(Path("/tmp").glob("rundeck-ecs-exec-live-*")) == before  # noqa: S108


def test_a_difference_is_reported(
    fast: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that does not give the same twice fails the report."""
    monkeypatch.setattr(live, "COMMANDS", {"clock": "date +%s%N"})
    assert live.main([], environ(fast)) == 1
    assert "FAILED clock" in capsys.readouterr().out


def test_a_container_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The error refers to --help, which says how."""
    assert live.main([], {}) == 2
    assert "--help" in capsys.readouterr().err
