"""Makes texts safe for people and logs: one line, and no password of a URL."""

from __future__ import annotations

import re

_USER = r"(?<=://)[^\s'\"<>]*@"


def printable(text: str, instead: str = " ") -> str:
    """Return a text on one line: line ends and control characters, of whatever kind, become `instead`."""
    return text if text.isprintable() else "".join(char if char.isprintable() else instead for char in text)


def squeezed(text: str) -> str:
    """Return a printable text on one line, with one blank between its words."""
    return " ".join(printable(text).split())


def shortened(text: str, most: int, mark: str = "...") -> str:
    """Return a text of at most `most` characters; `mark` shows that its end is missing."""
    return text if len(text) <= most else f"{text[: most - len(mark)]}{mark}"


def without_user(text: str) -> str:
    """Return a text with `***` instead of the user and the password in its URLs.

    A password may hold `@` or `/` if somebody forgot to encode it. So everything up to the last `@` of a word is
    replaced.
    """
    return re.sub(_USER, "***@", text) if "@" in text else text


LONGEST = 2000
"""Most characters of a foreign text that are read. Its author decides its length, and regular expressions take time."""


def one_line(text: str, most: int = 500) -> str:
    """Return a foreign text, of an error or a container, on one line of at most `most` characters."""
    # Passwords are searched in twice as much, so that one that the cut divides is still recognised.
    known = without_user(text[: 2 * LONGEST])[:LONGEST]
    return shortened(squeezed(known), most)
