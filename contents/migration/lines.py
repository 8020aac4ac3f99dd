"""Java properties files, line by line: what is not changed is written as it was read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_KEY = re.compile(r"(?:\\.|[^\\:=\s])*", re.DOTALL)


class Entry(NamedTuple):
    """A property, a comment or an empty line."""

    raw: str
    """Its physical lines, with their ends."""
    key: str = ""
    """Empty for a comment or an empty line."""
    value: str = ""


def read(text: str) -> list[Entry]:
    """Read a file."""
    return list(_entries(text))


def write(entries: Iterable[Entry]) -> str:
    """Return the text of a file."""
    return "".join(entry.raw for entry in entries)


def entry(key: str, value: str) -> Entry:
    """Make a property."""
    name = re.sub(r"([\\:=#!\s])", r"\\\1", key)
    text = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    text = re.sub(r"^ ", r"\\ ", text)
    return Entry(_ascii(f"{name}={text}\n"), key, value)


def _ascii(text: str) -> str:
    """Return a text in ASCII: some versions of Rundeck read a file as Latin-1, others as UTF-8."""
    units = text.encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)  # noqa: PLR2004 - ASCII


def _entries(text: str) -> Iterator[Entry]:
    lines = iter(re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$", text))
    for line in lines:
        raw, content = line, line.strip(" \t\f\r\n")
        if not content or content[0] in "#!":
            yield Entry(raw)
            continue
        content = line.lstrip(" \t\f").rstrip("\r\n")
        while _continues(content):
            following = next(lines, "")
            raw += following
            content = content[:-1] + following.lstrip(" \t\f").rstrip("\r\n")
            if not following:
                break
        found = _KEY.match(content)
        key = found[0] if found else ""
        value = re.sub(r"\s*[:=]?\s*", "", content[len(key) :], count=1)
        yield Entry(raw, _unescaped(key), _unescaped(value))


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, code)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", plain, text, flags=re.DOTALL)
