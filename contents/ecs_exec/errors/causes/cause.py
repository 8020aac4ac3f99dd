"""The form of a cause, and of a section of causes. Does no I/O."""

from __future__ import annotations

from typing import NamedTuple


class Cause(NamedTuple):
    """A cause of an error, in words for an operator."""

    name: str
    """Short and stable: error lines end with it, and docs/troubleshooting.md has an anchor for it."""
    says: str
    """What is wrong, in one sentence without a full stop. Fields are in braces, as for str.format."""
    cure: str
    """What to do about it, in the same form."""
    action: str = ""
    """The missing IAM action, if that is the cause."""


class Section(NamedTuple):
    """Causes that belong together, as docs/troubleshooting.md shows them."""

    title: str
    intro: str
    """Empty, or a paragraph above the table."""
    causes: tuple[Cause, ...]
    level: int = 2
    """The level of the title."""
