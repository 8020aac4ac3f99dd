"""A local file on its way: its pieces, packed or not, and what is to be compared with the copy."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import zlib
from pathlib import Path
from typing import Protocol, final

from ecs_exec import shell
from ecs_exec.errors import SettingsError
from ecs_exec.local_files import open_regular

_SAMPLE = 256 * 1024
"""Bytes from whose packing it is guessed what packing would make of the whole."""

_WORTH_PACKING = 1024
"""Bytes that packing must save: at least one frame less."""

_LEVEL = 4
"""Packs faster than any channel carries, and little worse than 6."""

_GZIP = 31
"""zlib's word for a gzip file with the largest window."""

_READ = 256 * 1024
_ESCAPE = 5
"""Bytes of an octal escape; a backslash stands nowhere else."""


class Readable(Protocol):
    """What a content is read from."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, nothing at the end."""

    def seek(self, offset: int, /) -> object:
        """Go somewhere."""

    def tell(self) -> int:
        """Return where it is."""

    def close(self) -> object:
        """Close it."""


class Digest(Protocol):
    """What makes a checksum."""

    def update(self, data: bytes, /) -> object:
        """Take more of the file."""

    def hexdigest(self) -> str:
        """Give the checksum as the container's tool prints it."""


def _state(status: os.stat_result) -> tuple[int, ...]:
    """Return what is another after a file was replaced, written, truncated or grown."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@final
class Content:
    """A local file, read from its beginning as often as `begin` is called."""

    def __init__(self, file: Readable, name: str, size: int, mode: int, path: str = "") -> None:
        """Take an open file; `name` is without folders, `mode` its permissions. A text in memory has no `path`."""
        self._file = file
        self._path = path
        self._state = _state(os.stat(file.fileno())) if path else ()
        self.name = name
        self.size = size
        self.mode = mode
        self.read = 0
        """Bytes read since `begin`."""
        self._packer: zlib._Compress | None = None
        self._ended = False
        self._held = b""
        self._digest: Digest

    @classmethod
    def open(cls, path: str, below: str = "") -> Content:
        """Open a file, which must lie in the folder `below` if that is given. Raises SettingsError."""
        descriptor = open_regular(path, below)
        status = os.fstat(descriptor)
        file = os.fdopen(descriptor, "rb")
        return cls(file, Path(path).name, status.st_size, stat.S_IMODE(status.st_mode) & 0o777, path)

    @classmethod
    def of_text(cls, text: bytes) -> Content:
        """Hold a text as if it were a file, in memory alone: it may contain secrets."""
        return cls(io.BytesIO(text), "script", len(text), 0o700)

    def as_unix_text(self) -> Content:
        """Return the same file as an interpreter in a container can read it, see `unix_text`. Raises SettingsError."""
        from ecs_exec import unix_text  # only scripts need it

        try:
            size = unix_text.size_as_unix_text(self._file)
        except OSError as error:
            raise self._unreadable(error) from error
        if size is not None:
            self._file = unix_text.UnixText(self._file)
            self.size = size
        return self

    def __enter__(self) -> Content:
        """Begin to use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def change(self) -> str:
        """Return how the file on this server changed since it was opened, empty if it did not."""
        if not self._path:
            return ""
        try:
            state = _state(os.stat(self._path))
        except OSError:
            state = ()
        if state == self._state and self.read == self.size:
            return ""
        how = "replaced or removed" if state[:2] != self._state[:2] else "changed"
        return f"{self._path} was {how} on this server while it was copied; nothing was put in place"

    def head(self, size: int) -> bytes:
        """Give the first bytes."""
        self._file.seek(0)
        return self._file.read(size)

    def worth_packing(self) -> bool:
        """Tell whether gzip makes the file smaller, as far as its beginning tells."""
        sample = self.head(_SAMPLE)
        saved = len(sample) - len(zlib.compress(sample, _LEVEL))
        return saved >= _WORTH_PACKING and saved >= len(sample) // 50

    def begin(self, digest: Digest, *, packed: bool) -> None:
        """Go to the beginning; from now on `piece` gives the file's bytes or those of its gzip file."""
        self._file.seek(0)
        self.read = 0
        self._digest = digest
        self._ended = False
        self._held = b""
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP) if packed else None

    def piece(self, size: int) -> bytes:
        """Give the next bytes, `size` of them unless they are the last; nothing at the end. Raises SettingsError."""
        while len(self._held) < size and not self._ended:
            data = self._read_on()
            self.read += len(data)
            if self.read > self.size or not (data or self.read == self.size):
                raise SettingsError(self.change(), name="file-changed")
            self._digest.update(data)
            self._ended = not data
            self._held += self._packed(data)
        piece, self._held = self._held[:size], self._held[size:]
        return piece

    def escaped(self, size: int) -> bytes:
        """Give the next bytes as `shell.encode` writes them, in at most `size` bytes; nothing at the end."""
        data = self.piece(size)
        text = shell.encode(data)[:size]
        cut = text.rfind(b"\\", size - _ESCAPE + 1)
        text = text[:cut] if cut >= 0 else text
        self._held = data[len(text) - (_ESCAPE - 1) * text.count(b"\\") :] + self._held
        return text

    def checksum(self) -> str:
        """Give the checksum of what was read."""
        return self._digest.hexdigest()

    def _read_on(self) -> bytes:
        try:
            return self._file.read(_READ)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> SettingsError:
        return SettingsError(name="file-unreadable", path=self.name, why=error.strerror)

    def _packed(self, data: bytes) -> bytes:
        """Pack more of the file, nothing at its end."""
        if self._packer is None:
            return data
        return self._packer.compress(data) if data else self._packer.flush()


# --- Checksums

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ALL_ONES = 0xFFFFFFFF


class Cksum:
    """POSIX's `cksum`: the CRC of Ethernet, bits the other way round, begun at 0, with the length behind the data."""

    def __init__(self) -> None:
        """Begin."""
        self._state = _ALL_ONES  # zlib inverts it at both ends of a call: this is 0 for its register
        self._length = 0

    def update(self, data: bytes, /) -> None:
        """Take more of the file."""
        self._state = zlib.crc32(data.translate(_REVERSED), self._state)
        self._length += len(data)

    def hexdigest(self) -> str:
        """Give the checksum, in decimal digits as the tool does."""
        length = self._length.to_bytes((self._length.bit_length() + 7) // 8, "little")
        register = zlib.crc32(length.translate(_REVERSED), self._state) ^ _ALL_ONES
        return str(int(f"{register:032b}"[::-1], 2) ^ _ALL_ONES)


_MANGLED = re.compile(rb"\xef(?:\xbf\xbd)+")
_MAY_GO_ON = re.compile(rb"\xef(?:\xbf\xbd)*\xbf?\Z")


class ReadBack:
    """A file as the agent sends it: it turns U+FFFD into a lone EF. Without NULs, where a shell reads it aloud."""

    def __init__(self, *, without_nuls: bool) -> None:
        """Begin."""
        self._digest = hashlib.sha256()
        self._held = b""
        self._without_nuls = without_nuls

    def update(self, data: bytes, /) -> None:
        """Take more of the file, as it is or as the agent has sent it."""
        data = self._held + (data.replace(b"\0", b"") if self._without_nuls else data)
        tail = _MAY_GO_ON.search(data)
        end = tail.start() if tail else len(data)
        self._held = data[end:]
        self._digest.update(_MANGLED.sub(b"\xef", data[:end]))

    def hexdigest(self) -> str:
        """Give what can be compared with that of another."""
        done = self._digest.copy()
        done.update(_MANGLED.sub(b"\xef", self._held))
        return done.hexdigest()


def digest(tool: str) -> Digest:
    """Make what computes as a tool of the container does, see `receiver`. Raises ValueError for an unknown one."""
    if tool in ("cat", "read"):
        return ReadBack(without_nuls=tool == "read")
    if tool == "cksum":
        return Cksum()
    name = {"openssl": "sha256", "sha1sum": "sha1", "md5sum": "md5"}.get(tool, tool.removesuffix("sum"))
    return hashlib.new(name, usedforsecurity=False)
