"""Blocks and commands of the documentation's pages, for tests that run them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Block(NamedTuple):
    """What stands between two fences."""

    page: str
    line: int
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Return the commands of a shell's block, each on one line, without comments."""
        joined = self.text.replace("\\\n", " ")
        lines = (re.sub(r"(^|\s+)#\s.*", "", line).strip() for line in joined.splitlines())
        return [line for line in lines if line]


def blocks(page: str, language: str = "") -> list[Block]:
    """Return the blocks of a page in the repository, of one language or all; those within lists, too."""
    return [block for block in _blocks(page) if language in {"", block.language}]


def _blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in re.finditer(r"(?ms)^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found["language"], textwrap.dedent(found["text"]))


def table(page: str, heading: str) -> dict[str, str]:
    """Return the rows of the first table under a heading: their second column by their first."""
    _, _, text = (ROOT / page).read_text(encoding="utf-8").partition(f"\n{heading}\n")
    rows = re.findall(r"(?m)^\| (.*?) \| (.*?) \|$", text.partition("\n#")[0])
    return dict(rows[1:])
