"""A release's version, date and addresses are the same in all places."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

import build_dist

ROOT = Path(__file__).parents[2]
MANIFEST = yaml.safe_load((ROOT / "plugin.yaml").read_bytes())
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
"""Kinds of changes in Keep a Changelog, in its order."""


class Release(NamedTuple):
    """One section of the changelog."""

    version: str
    """Empty for changes that are not released yet."""
    day: str
    text: str

    @property
    def number(self) -> tuple[int, ...]:
        """Return the sort key of the version; a release comes after its own candidates."""
        main, _, candidate = self.version.partition("-")
        return (*map(int, main.split(".")), 0 if candidate else 1)


def releases(changelog: str) -> list[Release]:
    """Read the sections of a changelog, in their order. Raises ValueError for a heading of another form."""
    parts = re.split(r"(?m)^## ", changelog)[1:]
    found = []
    for part in parts:
        heading, _, text = part.partition("\n")
        release = re.fullmatch(r"\[(\d+\.\d+\.\d+(?:-\w+)?)\] - (\d{4}-\d\d-\d\d)", heading)
        if release is None and heading != "[Unreleased]":
            raise ValueError(f"no heading of a release: {heading}")
        found.append(Release(release[1], release[2], text) if release else Release("", "", text))
    return found


SECTIONS = releases(CHANGELOG)


def test_what_comes_next_has_its_section() -> None:
    """The section exists once, at the top, even if it is empty."""
    assert [section.version for section in SECTIONS].index("") == 0
    assert len([section for section in SECTIONS if not section.version]) == 1
    assert len(SECTIONS) > 1


def test_releases_are_in_order() -> None:
    """The newest version comes first, by version and by day. Each day exists in the calendar."""
    released = SECTIONS[1:]
    numbers, days = [each.number for each in released], [date.fromisoformat(each.day) for each in released]
    assert numbers == sorted(set(numbers), reverse=True)
    assert days == sorted(days, reverse=True)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.version or "unreleased")
def test_a_section_has_kinds_of_changes(section: Release) -> None:
    """Each heading occurs once, is a known one, and has changes. No change is outside of a heading."""
    before, *parts = re.split(r"(?m)^### ", section.text)
    kinds = [part.partition("\n")[0] for part in parts]
    assert not before.strip()
    assert kinds == sorted(set(kinds), key=KINDS.index)
    assert all(re.search(r"(?m)^- \S", part) for part in parts)
    assert bool(kinds) or not section.version


def test_the_version_is_the_newest_release_s() -> None:
    """plugin.yaml, the changelog and the zip's name agree, and the day that Rundeck shows is the release's."""
    newest = SECTIONS[1]
    assert build_dist.plugin_version(ROOT) == newest.version
    assert MANIFEST["date"] == f"{newest.day}T00:00:00Z"


def test_the_manifest_names_what_the_zip_carries() -> None:
    """Rundeck shows it beside the plugin's licence."""
    assert MANIFEST["thirdPartyDependencies"].split(", ") == list(build_dist.pins(ROOT))


def test_links_of_the_manifest_are_of_one_place() -> None:
    """A fork changes all of them."""
    assert MANIFEST["url"].startswith("https://")
    assert MANIFEST["docsLink"].startswith(MANIFEST["url"])
    assert MANIFEST["sourceLink"].startswith(MANIFEST["url"])


def test_the_least_version_is_readme_s() -> None:
    """Rundeck leaves the plugin out before it, instead of failing later."""
    assert MANIFEST["rundeckPluginVersion"] == "2.0"
    assert MANIFEST["targetHostCompatibility"] == "unix"
    least = MANIFEST["rundeckCompatibilityVersion"].removesuffix("+")
    assert f"Rundeck {least} or later" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("heading", ["[1.0.0]", "1.0.0 - 2026-11-24", "[1.0] - 2026-11-24", "[1.0.0] - 24.11.2026"])
def test_another_heading_is_a_fault(heading: str) -> None:
    """Otherwise the tests could overlook a section."""
    with pytest.raises(ValueError, match="no heading"):
        releases(f"# Changelog\n\n## {heading}\n")
