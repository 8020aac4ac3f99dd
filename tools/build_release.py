"""`make release`: everything that a release needs, in dist/.

The zip, its checksum and the list of its libraries, as `make dist` writes them; the notes from the changelog; and what
GitHub shows about the repository.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import build_dist
import social_picture
from trim_libraries import Fault

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Write a release of this checkout and return the exit status."""
    try:
        for path in build(ROOT, ROOT / "dist", ROOT / "build" / "wheels"):
            print(path.relative_to(ROOT))
    except (Fault, OSError) as fault:
        print(f"build_release: {fault}", file=sys.stderr)
        return 2
    return 0


def build(root: Path, out: Path, cache: Path) -> list[Path]:
    """Write all files of a release into a folder and return their paths. Raises Fault if the changelog is not ready."""
    version = build_dist.plugin_version(root)
    texts = files(root, version)  # before the zip, which takes longer
    target = build_dist.build_zip(root, out, cache)
    for name, data in texts.items():
        (out / name).write_bytes(data)
    beside = [target.with_name(f"{target.name}.sha256"), target.with_name(f"{target.stem}.cdx.json")]
    return [target, *beside, *(out / name for name in texts)]


def files(root: Path, version: str) -> Mapping[str, bytes]:
    """Return the files of a release beside the zip, by name."""
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    about = yaml.safe_load((root / ".github" / "repository.yaml").read_text(encoding="utf-8"))
    return {
        "release-notes.md": notes(changelog, version).encode(),
        "repository.json": _json({"description": about["description"], "homepage": about["homepage"]}),
        "topics.json": _json({"names": about["topics"]}),
        "social.png": social_picture.picture(about["title"], about["lines"]),
    }


def notes(changelog: str, version: str) -> str:
    """Return the changelog's section of a version, with how to install and verify the zip. Raises Fault."""
    sections = dict(re.findall(r"(?ms)^## \[([^\]]+)\][^\n]*\n(.*?)(?=^## |\Z)", changelog))
    if sections.get("Unreleased", "").strip():
        raise Fault(
            "CHANGELOG.md has changes under [Unreleased]: give them a version and a date, and set it in plugin.yaml"
        )
    if version not in sections:
        raise Fault(f"CHANGELOG.md has no section [{version}], which is the version in plugin.yaml")
    name = f"rundeck-ecs-exec-{version}"
    verify = (
        f"Copy `{name}.zip` into `libext` of the server, under this name. `sha256sum --check {name}.zip.sha256`"
        f" verifies it. `{name}.cdx.json` lists its libraries for scanners.\n"
    )
    return f"{sections[version].strip()}\n\n### Install\n\n{verify}"


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


if __name__ == "__main__":
    sys.exit(main())
