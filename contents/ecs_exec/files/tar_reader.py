"""Reads a tar archive that comes in pieces from a container. Does no I/O, and keeps no more than one header.

It reads what tar writes: the formats ustar, GNU and pax, for files, directories and links. Anything else is a
ValueError. Names are returned as they are; their owner must check them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

_BLOCK = 512
_MOST_EXTRA = 64 * 1024
"""Most bytes of a long name, or of a pax header. A path of Linux has at most 4,096."""

_USED = (b"path", b"linkpath", b"size", b"mtime")
"""What is taken from a pax header. A container may send any number of others."""

Kind = Literal["file", "directory", "link", "hard link", "other"]

_KINDS: dict[bytes, Kind] = {
    **dict.fromkeys((b"0", b"\0", b"7"), "file"),
    b"1": "hard link",
    b"2": "link",
    **dict.fromkeys((b"3", b"4", b"6"), "other"),
    b"5": "directory",
}


class Entry(NamedTuple):
    """The header of a file. The content of a `file` follows as bytes."""

    kind: Kind
    name: bytes
    mode: int
    time: int
    size: int
    target: bytes
    """Of a link."""


class TarReader:
    """Yields entries, contents as bytes, and None at the end of each content. Raises ValueError for anything else."""

    def __init__(self) -> None:
        """Begin with no bytes."""
        self._held = b""
        self._left = 0
        """Bytes of content that are still to come."""
        self._padding = 0
        self._extra: dict[bytes, bytes] = {}
        """What a long name or a pax header says about the next entry."""
        self._zeros = 0
        self.ended = False
        """The mark of the end has come."""

    def feed(self, data: bytes) -> Iterator[Entry | bytes | None]:
        """Yield what `data` completes."""
        data = self._held + data
        at = 0
        while True:
            if self._left or self._padding:
                content, at = self._content(data, at)
                if content:
                    yield content
                    if not self._left:
                        yield None
                if self._left or self._padding:
                    break
            end = self._block_end(data, at)
            if end > len(data):
                break
            entry = self._header(data[at:end])
            at = end
            if entry is not None:
                yield entry
                if entry.kind == "file" and not entry.size:
                    yield None
        self._held = data[at:]

    def _content(self, data: bytes, at: int) -> tuple[bytes, int]:
        content = data[at : at + self._left]
        self._left -= len(content)
        at += len(content)
        skipped = 0 if self._left else min(self._padding, len(data) - at)
        self._padding -= skipped
        return content, at + skipped

    def _block_end(self, data: bytes, at: int) -> int:
        """Return the index behind the next header, with the bytes of a long name or a pax header."""
        head = data[at : at + _BLOCK]
        if len(head) < _BLOCK or head[156:157] not in (b"L", b"K", b"x", b"g"):
            return at + _BLOCK
        size = _number(head[124:136])
        if size > _MOST_EXTRA:
            raise ValueError("a name in the archive is too long")
        return at + _BLOCK + size + -size % _BLOCK

    def _header(self, data: bytes) -> Entry | None:
        head, body = data[:_BLOCK], data[_BLOCK:]
        if not head.strip(b"\0"):
            self._zeros += 1
            self.ended = self._zeros > 1
            return None
        if self._zeros:
            raise ValueError("data behind the archive's end")
        if _number(head[148:156]) != sum(head[:148]) + 8 * 0x20 + sum(head[156:]):
            raise ValueError("a header in the archive is damaged")
        kind = head[156:157]
        if kind in (b"L", b"K"):
            self._extra[b"path" if kind == b"L" else b"linkpath"] = body[: _number(head[124:136])].rstrip(b"\0")
            return None
        if kind in (b"x", b"g"):
            if kind == b"x":
                for key, value in _records(body[: _number(head[124:136])]):
                    if key.startswith(b"GNU.sparse"):
                        raise ValueError("a sparse file in the archive")
                    if key in _USED:
                        self._extra[key] = value
            return None
        return self._entry(head)

    def _entry(self, head: bytes) -> Entry:
        extra, self._extra = self._extra, {}
        if head[156:157] not in _KINDS:
            raise ValueError("an entry of an unknown kind in the archive")
        kind = _KINDS[head[156:157]]
        size = int(extra[b"size"]) if b"size" in extra else _number(head[124:136])
        if kind != "file":
            size = 0
        if size < 0:
            raise ValueError("a negative size in the archive")
        time = extra.get(b"mtime", b"").partition(b".")[0]
        self._left, self._padding = size, -size % _BLOCK
        name, prefix = _text(head[:100]), _text(head[345:500]) if head[257:263] == b"ustar\0" else b""
        return Entry(
            kind,
            extra.get(b"path", prefix + b"/" + name if prefix else name),
            _number(head[100:108]),
            int(time) if time else _number(head[136:148]),
            size,
            extra.get(b"linkpath", _text(head[157:257])),
        )

    def close(self) -> None:
        """Raise ValueError unless the archive is complete."""
        if not self.ended or self._left or self._held.strip(b"\0"):
            raise ValueError("the archive is incomplete")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Return a number in octal digits, or in base 256, which tar uses for large and for negative ones."""
    if field[:1] in (b"\x80", b"\xff"):
        return int.from_bytes(field[1:], "big", signed=field[0] == 0xFF)  # noqa: PLR2004
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise ValueError("a number in the archive is damaged")
    return int(digits or b"0", 8)


def _records(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records of a pax header, lines of the form `LENGTH KEY=VALUE`."""
    while body:
        found = re.match(rb"([1-9][0-9]{0,5}) ([^=\n]+)=", body)
        length = int(found[1]) if found else 0
        if found is None or length <= found.end() or body[length - 1 : length] != b"\n":
            raise ValueError("a pax header in the archive is damaged")
        yield found[2], body[found.end() : length - 1]
        body = body[length:]
