"""`make release` builds the zip, and puts beside it everything that a release needs."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import build_dist
import build_release
from documents import ROOT


def test_all_files_of_a_release(tmp_path: Path) -> None:
    """The checksum is the zip's; the list of libraries is the one in the zip."""
    root = tmp_path / "root"
    root.mkdir()
    for path in ROOT.iterdir():
        if path.name != "CHANGELOG.md":
            (root / path.name).symlink_to(path)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.sub(r"(?s)(## \[Unreleased\]\n).*?(?=## \[)", r"\1\n", changelog)
    (root / "CHANGELOG.md").write_text(released, encoding="utf-8")
    found = build_release.build(root, tmp_path / "out", ROOT / "build" / "wheels")
    name = f"rundeck-ecs-exec-{build_dist.plugin_version(ROOT)}"
    assert [path.name for path in found] == [
        f"{name}.zip",
        f"{name}.zip.sha256",
        f"{name}.cdx.json",
        *("release-notes.md", "repository.json", "topics.json", "social.png"),
    ]
    archive, checksum, bill, *_ = found
    assert checksum.read_text() == f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n"
    assert json.loads(bill.read_text())["bomFormat"] == "CycloneDX"
