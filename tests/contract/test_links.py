"""Where the documentation's links lead to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/*/*.md")]
)
"""Those in tests/emulator are a page of users', too."""


def anchors(path: Path) -> set[str]:
    """Give the anchors of a page: its headings, and its rows that have a name."""
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", path.read_text(encoding="utf-8"))
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    rows = re.findall(r'<a id="([\w-]+)"></a>', text)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}.union(rows)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Links lead to files of this repository, and to headings or rows that exist there; pictures, too."""
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", (ROOT / page).read_text(encoding="utf-8"))
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def links(page: str) -> set[str]:
    """Give the pages of this repository that a page links to."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [
        link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?://", link)
    ]
    return {((ROOT / page).parent / name).resolve().relative_to(ROOT).as_posix() for name in found if name}


def test_every_page_can_be_reached_from_the_first() -> None:
    """By links alone, in both directions of a reader: each page of docs also links back or on."""
    reached, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.endswith(".md"):
            reached.add(page)
            waiting += links(page)
    assert set(PAGES) - reached == set()
    assert [page for page in PAGES if page.startswith("docs/") and not links(page)] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_a_page_begins_with_what_it_is_for(page: str) -> None:
    """In its first paragraph."""
    title, first, *_ = (ROOT / page).read_text(encoding="utf-8").split("\n\n")
    assert title.startswith("# ")
    assert re.match(r"This (page|folder) (is for|describes|explains|helps|holds) ", first), first
