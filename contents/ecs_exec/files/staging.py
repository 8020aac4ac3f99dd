"""Writes files that a container sends, below one folder of this server. The container chooses names and content.

Nothing follows a symbolic link below that folder: each directory is opened inside the one above it, and a link there is
an error. Files are written into a directory with a random name, beside the place where they belong. After everything
was verified, they get there by renaming.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, final

from ecs_exec.errors import CommandError
from ecs_exec.settings.fetch import Place

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_PERMISSIONS = 0o777
"""The bits of a mode that are kept: no setuid, setgid or sticky bit comes out of a container."""

_LATEST = 253402300799
"""The last second of the year 9999."""

_CONTROL = frozenset(map(chr, (*range(0x20), 0x7F)))

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ODD = frozenset({errno.ELOOP, errno.ENOTDIR})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
"""Errors of file systems that have no hard links."""


class Meta(NamedTuple):
    """Permissions and time of a file; None if the container does not know them."""

    mode: int | None = None
    time: int | None = None


def parts(name: bytes) -> tuple[str, ...]:
    """Return the parts of a relative name that a container sent. Raises CommandError if the name leads elsewhere."""
    text = os.fsdecode(name)
    found = tuple(part for part in text.split("/") if part not in ("", "."))
    if text.startswith("/") or ".." in found or not _CONTROL.isdisjoint(text):
        raise CommandError(name="fetch-name-refused", file=ascii(text)[:200])
    return found


class Incoming:
    """A file that is being written."""

    def __init__(self, descriptor: int) -> None:
        """Take the descriptor of a new file."""
        self._descriptor = descriptor
        self.size = 0
        """Bytes so far."""

    def write(self, data: bytes) -> None:
        """Append bytes. Zeros become a hole. Raises OSError."""
        rest = memoryview(data if data.strip(b"\0") else b"")
        if not rest:
            os.lseek(self._descriptor, len(data), os.SEEK_CUR)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.size += len(data)

    def finish(self, meta: Meta) -> None:
        """Set size, permissions and time, and close the file. Raises OSError."""
        os.ftruncate(self._descriptor, self.size)
        if meta.mode is not None:
            os.fchmod(self._descriptor, meta.mode & _PERMISSIONS)
        if meta.time is not None:
            moment = min(max(meta.time, 0), _LATEST)
            os.utime(self._descriptor, (moment, moment))
        os.fsync(self._descriptor)
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@final
class Staging:
    """Files on their way to their place. The end of the `with` block removes everything that was not placed.

    All methods raise CommandError if something cannot be written.
    """

    def __init__(self, place: Place) -> None:
        """Take the place. Nothing is made before the first file."""
        self._wanted = place
        self._made: list[tuple[int, str]] = []
        """Directories that were made: the descriptor of the one above each, and its name."""
        self._open: list[int] = []
        self._place = -1
        """The directory that gets the files."""
        self._name = ""
        """The file's name there; empty: each keeps its own."""
        self._temporary = f".ecs-exec-{secrets.token_hex(8)}"
        self._staging = -1
        self._incoming: Incoming | None = None
        self._items: list[str] = []
        self.placed: list[str] = []
        """Paths of what was placed."""

    def __enter__(self) -> Staging:
        """Return this object."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was not placed, and the directories that were made for it."""
        if self._incoming is not None:
            self._incoming.close()
        if self._staging >= 0:
            with suppress(OSError):
                _remove(self._place, self._temporary)
        for above, name in reversed(() if self.placed else self._made):
            with suppress(OSError):
                os.rmdir(name, dir_fd=above)
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()

    # --- Making

    def prepare(self, *, several: bool) -> None:
        """Make the directories. With `several` files the path names a directory."""
        wanted = self._wanted
        with self._errors():
            os.makedirs(wanted.folder, 0o700, exist_ok=True)
            self._place = self._keep(os.open(wanted.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            whole = several or wanted.is_directory or not wanted.path
            for part in wanted.path if whole else wanted.path[:-1]:
                self._enter(part)
            if not whole:
                self._name = wanted.path[-1]
                if (found := self._found(self._name)) and stat.S_ISDIR(found.st_mode):
                    self._enter(self._name)
                    self._name = ""
            os.mkdir(self._temporary, 0o700, dir_fd=self._place)
            self._staging = self._keep(os.open(self._temporary, _DIRECTORY, dir_fd=self._place))

    def _enter(self, name: str) -> None:
        """Go into a directory of the place, and make it if it does not exist."""
        above = self._place
        try:
            os.mkdir(name, 0o700, dir_fd=above)
        except FileExistsError:
            pass
        else:
            self._made.append((above, name))
        self._place = self._keep(os.open(name, _DIRECTORY, dir_fd=above))

    def _keep(self, descriptor: int) -> int:
        self._open.append(descriptor)
        return descriptor

    def _found(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._place, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def create(self, name: str) -> Incoming:
        """Begin a file; `name` is its own name. Only one can be written at a time."""
        with self._errors():
            self._check(self._name or name, directory=False)
            descriptor = os.open(name, _NEW, 0o600, dir_fd=self._staging)
        self._items.append(name)
        self._incoming = Incoming(descriptor)
        return self._incoming

    def _check(self, name: str, *, directory: bool) -> None:
        """Raise CommandError if an item must not get this name in its place."""
        found = self._found(name)
        if found is None:
            return
        if stat.S_ISLNK(found.st_mode) or stat.S_ISDIR(found.st_mode) != directory:
            raise CommandError(name="fetch-destination-taken", file=self._path(name))
        if not self._wanted.overwrite:
            raise CommandError(name="fetch-destination-exists", file=self._path(name))

    # --- Placing

    def place(self) -> None:
        """Give all files their final names."""
        for name in self._items:
            final = self._name or name
            with self._errors():
                self._check(final, directory=False)
                if self._wanted.overwrite:
                    os.rename(name, final, src_dir_fd=self._staging, dst_dir_fd=self._place)
                else:
                    self._link(name, final)
            self.placed.append(self._path(final))

    def _link(self, name: str, final: str) -> None:
        """Give a file its final name, which must be new, although somebody else may just be taking it."""
        try:
            os.link(name, final, src_dir_fd=self._staging, dst_dir_fd=self._place, follow_symlinks=False)
        except FileExistsError:
            raise CommandError(name="fetch-destination-exists", file=self._path(final)) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.close(os.open(final, _NEW, 0o600, dir_fd=self._place))  # takes the name, or fails if it is taken
            os.rename(name, final, src_dir_fd=self._staging, dst_dir_fd=self._place)

    def _path(self, name: str) -> str:
        path = self._wanted.path if not self._name else self._wanted.path[:-1]
        return "/".join((self._wanted.folder.rstrip("/"), *path, name))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of the file system into CommandError."""
        try:
            yield
        except OSError as error:
            raise not_written(error, self._path(self._name)) from error


def not_written(error: OSError, path: str) -> CommandError:
    """Return the error for a file that cannot be written on this server."""
    if error.errno in _FULL:
        return CommandError(name="fetch-disk-full", file=path, why=error.strerror)
    if error.errno in _ODD:
        return CommandError(name="fetch-destination-taken", file=path)
    return CommandError(name="fetch-not-written", file=path, why=error.strerror)


def _remove(above: int, name: str) -> None:
    """Remove a directory and all that is in it, without following links. Raises OSError."""
    for _, directories, files, descriptor in os.fwalk(name, topdown=False, follow_symlinks=False, dir_fd=above):
        for file in files:
            os.unlink(file, dir_fd=descriptor)
        for directory in directories:
            try:
                os.rmdir(directory, dir_fd=descriptor)
            except NotADirectoryError:  # a link to a directory
                os.unlink(directory, dir_fd=descriptor)
    os.rmdir(name, dir_fd=above)
