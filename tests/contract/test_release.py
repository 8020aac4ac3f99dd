"""A release's version, date and addresses are the same in all places."""

from __future__ import annotations

import json
import re
import struct
import zlib
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

import build_dist
import build_release
import social_picture
from trim_libraries import Fault

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


ABOUT = yaml.safe_load((ROOT / ".github" / "repository.yaml").read_text(encoding="utf-8"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
RELEASED = CHANGELOG.replace(SECTIONS[0].text, "\n")
"""The changelog without changes that are not released."""


def test_the_repository_s_description_is_the_plugin_s() -> None:
    """GitHub accepts twenty topics of lower-case letters, digits and hyphens, and a description of 350 letters."""
    assert ABOUT["description"] == MANIFEST["description"]
    assert ABOUT["homepage"] == MANIFEST["docsLink"]
    assert len(ABOUT["description"]) <= 350
    assert ABOUT["topics"] == sorted(set(ABOUT["topics"]))
    assert len(ABOUT["topics"]) <= 20
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,49}", topic) for topic in ABOUT["topics"])
    assert "rundeck-plugin" in ABOUT["topics"]


def test_the_social_picture() -> None:
    """A PNG of the size that GitHub recommends, below its limit of a megabyte, the same each time."""
    data = social_picture.picture(ABOUT["title"], ABOUT["lines"])
    assert data == social_picture.picture(ABOUT["title"], ABOUT["lines"])
    assert struct.unpack(">II", data[16:24]) == (1280, 640)
    assert len(data) < 1 << 20
    (length,) = struct.unpack(">I", data[33:37])
    pixels = zlib.decompress(data[41 : 41 + length])
    assert len(pixels) == 640 * (1 + 3 * 1280)
    for title, text in (("x" * 30, ""), ("title", "UMLAUT")):
        with pytest.raises(ValueError, match=r"no room|no letter"):
            social_picture.picture(title, [text])


def test_notes_of_a_release() -> None:
    """They are the changelog's section, with how to verify the zip."""
    text = build_release.notes(RELEASED, SECTIONS[1].version)
    assert text.startswith(SECTIONS[1].text.strip())
    assert "sha256sum --check" in text
    with pytest.raises(Fault, match="no section"):
        build_release.notes(RELEASED, "9.9.9")
    with pytest.raises(Fault, match="Unreleased"):
        build_release.notes("## [Unreleased]\n\n- x\n\n## [1.0.0] - 2026-01-01\n", "1.0.0")


def test_files_of_a_release(tmp_path: Path) -> None:
    """They are what the page for maintainers lists, beside the zip."""
    (tmp_path / "CHANGELOG.md").write_text(RELEASED, encoding="utf-8")
    (tmp_path / ".github").symlink_to(ROOT / ".github")
    found = build_release.files(tmp_path, SECTIONS[1].version)
    page = (ROOT / "docs" / "publish.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in found)
    assert json.loads(found["topics.json"]) == {"names": ABOUT["topics"]}
    assert json.loads(found["repository.json"])["description"] == ABOUT["description"]


def test_the_page_for_maintainers_names_this_version() -> None:
    """In its commands, with the repository of plugin.yaml."""
    text = (ROOT / "docs" / "publish.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\d+\.\d+\.\d+", text)) == {SECTIONS[1].version}
    assert set(re.findall(r"repos/([\w-]+/[\w-]+)", text)) == {MANIFEST["url"].removeprefix("https://github.com/")}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_forms_of_issues(path: Path) -> None:
    """GitHub reads them: each field has a kind, a label, and an ID of its own. Links lead to this repository."""
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert all(link["url"].startswith(MANIFEST["url"]) for link in form["contact_links"])
        pages = [link["url"].partition("/blob/main/")[2] for link in form["contact_links"]]
        assert all((ROOT / page).exists() for page in pages if page)
        return
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)


def test_the_form_for_bugs_asks_for_the_live_report() -> None:
    """It names the file that `make live` writes, and the variables that it needs."""
    import live

    (form,) = (path.read_text(encoding="utf-8") for path in FORMS if path.name == "bug.yml")
    assert "make live" in form
    assert live.REPORT.relative_to(live.ROOT).as_posix() in form
    assert set(re.findall(r"LIVE_\w+", form)) <= set(live._NODE)
