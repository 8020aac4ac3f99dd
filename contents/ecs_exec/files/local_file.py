"""A local file that is sent: its pieces, compressed or not, and its checksum for comparison with the copy."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import zlib
from pathlib import Path
from typing import Protocol, final

from ecs_exec.command import shell_wrapper
from ecs_exec.errors import SettingsError
from ecs_exec.files.server_files import Readable, open_regular

_SAMPLE = 256 * 1024
"""Bytes at a file's beginning that are compressed to estimate how small the whole file becomes."""

_WORTH_PACKING = 1024
"""Bytes that compression must save: at least one frame less."""

_LEVEL = 4
"""zlib's compression level. It is faster than any channel, and compresses little worse than level 6."""

_GZIP = 31
"""zlib's number (wbits) for a gzip file with the largest window."""

_READ = 256 * 1024
_ESCAPE = 5
"""Bytes of an octal escape. In escaped text a backslash occurs nowhere else."""


class Digest(Protocol):
    """A checksum in the making."""

    def update(self, data: bytes, /) -> object:
        """Add the next bytes of the file."""

    def hexdigest(self) -> str:
        """Return the checksum as the container's tool prints it."""


def _state(status: os.stat_result) -> tuple[int, ...]:
    """Return values that differ after a file was replaced, written, truncated or extended."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@final
class LocalFile:
    """A local file, or a text in memory.

    Each call of `begin` starts reading at its beginning: each session's attempt sends all of it.
    """

    def __init__(self, file: Readable, name: str, size: int, mode: int, path: str = "") -> None:
        """Take an open file.

        `name` is its name without directories, `size` its length in bytes, `mode` its permissions. `path` is empty for
        a text in memory.
        """
        self._file = file
        self._path = path
        self._state = _state(os.stat(file.fileno())) if path else ()
        self.name = name
        self.size = size
        self.mode = mode
        self.read = 0
        """Bytes that were read since `begin`."""
        self._packer: zlib._Compress | None = None
        self._ended = False
        self._held = b""
        self._digest: Digest

    @classmethod
    def open(cls, path: str, below: str = "") -> LocalFile:
        """Open a file, which must lie below the directory `below` if that is given. Raises SettingsError."""
        descriptor = open_regular(path, below)
        status = os.fstat(descriptor)
        file = os.fdopen(descriptor, "rb")
        return cls(file, Path(path).name, status.st_size, stat.S_IMODE(status.st_mode) & 0o777, path)

    @classmethod
    def of_text(cls, text: bytes) -> LocalFile:
        """Make one from a text in memory. It is never written to a local file, because it may hold secrets."""
        return cls(io.BytesIO(text), "script", len(text), 0o700)

    def as_unix_text(self) -> LocalFile:
        """Convert the file for interpreters in a container, see `unix_text`, and return it. Raises SettingsError."""
        from ecs_exec.files import unix_text  # only scripts need it

        try:
            size = unix_text.size_as_unix_text(self._file)
        except OSError as error:
            raise self._unreadable(error) from error
        if size is not None:
            self._file = unix_text.UnixText(self._file)
            self.size = size
        return self

    def __enter__(self) -> LocalFile:
        """Return this object; the end of the `with` block closes the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def change(self) -> str:
        """Return the sentence for a file that changed on this server since it was opened, empty if it did not."""
        if not self._path:
            return ""
        try:
            state = _state(os.stat(self._path))
        except OSError:
            state = ()
        if state == self._state and self.read == self.size:
            return ""
        how = "replaced or removed" if state[:2] != self._state[:2] else "changed"
        return f"{self._path} was {how} on this server while it was copied; the file was not put in place"

    def head(self, size: int) -> bytes:
        """Return up to `size` bytes of the beginning. Moves the position; `begin` sets it back."""
        self._file.seek(0)
        return self._file.read(size)

    def worth_packing(self) -> bool:
        """Return whether gzip saves enough of the file's beginning: a frame, and two percent."""
        sample = self.head(_SAMPLE)
        saved = len(sample) - len(zlib.compress(sample, _LEVEL))
        return saved >= _WORTH_PACKING and saved >= len(sample) // 50

    def begin(self, digest: Digest, *, packed: bool) -> None:
        """Go to the beginning. From now on `piece` returns the file's bytes, with `packed` those of its gzip file."""
        self._file.seek(0)
        self.read = 0
        self._digest = digest
        self._ended = False
        self._held = b""
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP) if packed else None

    def piece(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only at the end, none after it.

        Raises SettingsError if the file changed or cannot be read.
        """
        while len(self._held) < size and not self._ended:
            data = self._read_on()
            self.read += len(data)
            # The file has become longer or shorter since it was opened.
            if self.read > self.size or not (data or self.read == self.size):
                raise SettingsError(self.change(), name="file-changed")
            self._digest.update(data)
            self._ended = not data
            self._held += self._packed(data)
        piece, self._held = self._held[:size], self._held[size:]
        return piece

    def escaped(self, size: int) -> bytes:
        """Return the next bytes as `shell_wrapper.encode` writes them, at most `size` bytes of text, none at the end.

        Raises SettingsError as `piece` does.
        """
        data = self.piece(size)
        text = shell_wrapper.encode(data)[:size]
        # An escape that the limit would cut, and all bytes behind it, wait for the next call.
        cut = text.rfind(b"\\", size - _ESCAPE + 1)
        text = text[:cut] if cut >= 0 else text
        self._held = data[len(text) - (_ESCAPE - 1) * text.count(b"\\") :] + self._held
        return text

    def checksum(self) -> str:
        """Return the checksum of the bytes that were read since `begin`."""
        return self._digest.hexdigest()

    def _read_on(self) -> bytes:
        try:
            return self._file.read(_READ)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> SettingsError:
        return SettingsError(name="file-unreadable", path=self.name, why=error.strerror)

    def _packed(self, data: bytes) -> bytes:
        """Return the next bytes compressed, if they are to be. No bytes mean the end of the file."""
        if self._packer is None:
            return data
        return self._packer.compress(data) if data else self._packer.flush()


# --- Checksums

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ALL_ONES = 0xFFFFFFFF


class Cksum:
    """POSIX's `cksum`: Ethernet's CRC with reversed bits, a start value of 0, and the length behind the data."""

    def __init__(self) -> None:
        """Begin with no bytes."""
        self._state = _ALL_ONES  # zlib inverts the value at both ends of a call: this is 0 in its register
        self._length = 0

    def update(self, data: bytes, /) -> None:
        """Add the next bytes of the file."""
        self._state = zlib.crc32(data.translate(_REVERSED), self._state)
        self._length += len(data)

    def hexdigest(self) -> str:
        """Return the checksum in decimal digits, as the tool prints it."""
        length = self._length.to_bytes((self._length.bit_length() + 7) // 8, "little")
        register = zlib.crc32(length.translate(_REVERSED), self._state) ^ _ALL_ONES
        return str(int(f"{register:032b}"[::-1], 2) ^ _ALL_ONES)


_MANGLED = re.compile(rb"\xef(?:\xbf\xbd)+")
_MAY_GO_ON = re.compile(rb"\xef(?:\xbf\xbd)*\xbf?\Z")


class EchoDigest:
    """SHA-256 of a file in the form in which the agent sends it back: it turns U+FFFD into a lone EF byte.

    Both sides of a comparison are converted to that form. With `without_nuls` NULs do not count: a shell that sends the
    file back with `read` loses them.
    """

    def __init__(self, *, without_nuls: bool) -> None:
        """Begin with no bytes."""
        self._digest = hashlib.sha256()
        self._held = b""
        self._without_nuls = without_nuls

    def update(self, data: bytes, /) -> None:
        """Add the next bytes of the file, as they are here or as the agent has sent them."""
        data = self._held + (data.replace(b"\0", b"") if self._without_nuls else data)
        tail = _MAY_GO_ON.search(data)
        end = tail.start() if tail else len(data)
        self._held = data[end:]
        self._digest.update(_MANGLED.sub(b"\xef", data[:end]))

    def hexdigest(self) -> str:
        """Return the digest so far, for comparison with another one of this class."""
        done = self._digest.copy()
        done.update(_MANGLED.sub(b"\xef", self._held))
        return done.hexdigest()


def digest(tool: str) -> Digest:
    """Return a digest that computes as the container's `tool` does, see `receiver`. Raises ValueError if unknown."""
    if tool in ("cat", "read"):
        return EchoDigest(without_nuls=tool == "read")
    if tool == "cksum":
        return Cksum()
    name = {"openssl": "sha256", "sha1sum": "sha1", "md5sum": "md5"}.get(tool, tool.removesuffix("sum"))
    return hashlib.new(name, usedforsecurity=False)
