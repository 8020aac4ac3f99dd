"""Reads a text file with Windows line ends, or a byte order mark, as a Unix file."""

from __future__ import annotations

from typing import final

from ecs_exec.content import Readable

MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, which editors on Windows write. It hides the `#!` behind it from every reader."""

_READ = 256 * 1024


def size_as_unix_text(file: Readable) -> int | None:
    """Return how large a file is as a Unix text; None if it is one already, or no text: it holds a NUL.

    Raises OSError.
    """
    file.seek(0)
    size = removed = 0
    last = b""
    while data := file.read(_READ):
        if b"\0" in data:
            return None
        if not size and data.startswith(MARK):
            removed += len(MARK)
        removed += data.count(b"\r\n") + (last == b"\r" and data[:1] == b"\n")
        size += len(data)
        last = data[-1:]
    return size - removed if removed else None


def as_unix_text(text: bytes) -> bytes:
    """Return a text without a byte order mark and with LF for CRLF."""
    return text.removeprefix(MARK).replace(b"\r\n", b"\n")


@final
class UnixText:
    """A text file, read as a Unix text."""

    def __init__(self, file: Readable) -> None:
        """Take the open file."""
        self._file = file
        self._held = b""

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()

    def tell(self) -> int:
        """Return where the file itself is read."""
        return self._file.tell()

    def seek(self, offset: int, /) -> None:
        """Go to the beginning, which is the only place there is."""
        self._file.seek(offset)
        self._held = b""

    def read(self, size: int, /) -> bytes:
        """Return up to so many of the next bytes, nothing at the end. Raises OSError."""
        at_start = self._file.tell() == 0
        while data := self._file.read(size - len(self._held)):
            data = self._held + data
            data = data.removeprefix(MARK) if at_start else data
            at_start = False
            self._held = b"\r" if data.endswith(b"\r") else b""
            data = data[: len(data) - len(self._held)].replace(b"\r\n", b"\n")
            if data:
                return data
        data, self._held = self._held, b""
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
