"""Texts for people and logs: one line, and no password of a URL."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^\s'\"<>]*@")


def printable(text: str) -> str:
    """Return a text on one line: whatever some reader takes for a line's end, or for a command, becomes a blank."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def without_user(text: str) -> str:
    """Return a text with `***` for the user and the password in its URLs.

    A password may hold `@` or `/` where somebody forgot to encode it, so all up to the last `@` of a word is left out.
    """
    return _USER.sub("***@", text) if "@" in text else text


LONGEST = 2000
"""Characters of another's text that are looked at. Its author decides how long it is, and patterns take their time."""


def one_line(text: str, most: int = 500) -> str:
    """Return another's text, an error's or a container's, on one line of at most so many characters."""
    # Twice as much, so that a password that the cut divides is still seen to be one.
    known = without_user(text[: 2 * LONGEST])[:LONGEST]
    line = " ".join(printable(known).split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
