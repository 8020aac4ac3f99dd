"""What a cause is. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Cause(NamedTuple):
    """Something that can be wrong, as an operator reads it."""

    name: str
    """Short and stable: it stands at the end of a line, and is the anchor in docs/troubleshooting.md."""
    says: str
    """What is wrong, in one sentence without a full stop. Fields stand in braces, as str.format takes them."""
    cure: str
    """What to do about it, the same way."""
    action: str = ""
    """The IAM action that is missing, where that is the cause."""


class Section(NamedTuple):
    """Causes that belong together, as docs/troubleshooting.md shows them."""

    title: str
    intro: str
    """Empty, or a paragraph above the table."""
    causes: tuple[Cause, ...]
    level: int = 2
    """Of the title."""
