"""Reads a text file with Windows line ends or a byte order mark as a Unix text."""

from __future__ import annotations

from typing import final

from ecs_exec.files.server_files import Readable

MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, which editors on Windows write. A `#!` behind it is not recognised."""

_READ = 256 * 1024


def size_as_unix_text(file: Readable) -> int | None:
    """Return the size of a file as a Unix text, in bytes.

    Returns None if it is one already, or not a text because it holds a NUL. Raises OSError.
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
    """Return a text without its byte order mark, and with LF for each CRLF."""
    return text.removeprefix(MARK).replace(b"\r\n", b"\n")


@final
class UnixText:
    """A text file that is converted to a Unix text while it is read."""

    def __init__(self, file: Readable) -> None:
        """Take the open file, at its beginning."""
        self._file = file
        self._held = b""

    def fileno(self) -> int:
        """Return the descriptor of the file itself."""
        return self._file.fileno()

    def tell(self) -> int:
        """Return the position in the file itself, not in the converted text."""
        return self._file.tell()

    def seek(self, offset: int, /) -> None:
        """Go to the beginning: 0 is the only offset that makes sense here."""
        self._file.seek(offset)
        self._held = b""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` of the next converted bytes, none at the end. Raises OSError."""
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
        """Close the file itself."""
        self._file.close()
