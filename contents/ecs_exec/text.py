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
