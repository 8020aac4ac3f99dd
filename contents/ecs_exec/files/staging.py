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
from ecs_exec.text import one_line

Path = tuple[str, ...]
"""A path in the staging directory, by its parts. The first is an item: a file or a directory that was asked for."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_PERMISSIONS = 0o777
"""The bits of a mode that are kept: no setuid, setgid or sticky bit comes out of a container."""

_OWN = 0o700
"""What Rundeck's user may always do in a directory: otherwise nobody could remove it."""

_DEEPEST = 100
"""Most parts of a path. Each directory of it is opened, and a container may send many such paths."""

_LATEST = 253402300799
"""The last second of the year 9999. Before 1970 times are negative."""

_MOST_OPEN = 200
"""Directories that are opened until it is given up that others remove them at the same time."""

_PIECE = 256 * 1024

_CONTROL = frozenset(map(chr, (*range(0x20), 0x7F)))

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ODD = frozenset({errno.ELOOP, errno.ENOTDIR})
_TAKEN = frozenset({errno.EEXIST, errno.EISDIR, *_ODD})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
"""Errors of file systems that have no hard links."""


class Meta(NamedTuple):
    """Permissions and time of a file; None if the container does not know them."""

    mode: int | None = None
    time: int | None = None


def parts(name: bytes) -> Path:
    """Return the parts of a relative name that a container sent. Raises CommandError if the name leads elsewhere."""
    text = os.fsdecode(name)
    found = tuple(part for part in text.split("/") if part not in ("", "."))
    if text.startswith("/") or ".." in found or len(found) > _DEEPEST or not _CONTROL.isdisjoint(text):
        raise refused(name)
    return found


def refused(name: bytes) -> CommandError:
    """Return the error for a name that is not taken."""
    return CommandError(name="fetch-name-refused", file=ascii(os.fsdecode(name))[:200])


def stays_inside(depth: int, target: bytes) -> bool:
    """Return whether a link leads to a place below its item's top. `depth` directories lie between the two.

    `..` may only come first: behind another link it would lead out of that link's directory. All directories above a
    link are real ones, so its first steps are known.
    """
    steps = [step for step in os.fsdecode(target).split("/") if step not in ("", ".")]
    up = next((number for number, step in enumerate(steps) if step != ".."), len(steps))
    plain = _CONTROL.isdisjoint(os.fsdecode(target)) and target != b""
    return plain and not target.startswith(b"/") and up <= depth and ".." not in steps[up:]


class Incoming:
    """A file that is being written."""

    def __init__(self, descriptor: int, path: str) -> None:
        """Take the descriptor of a new file, and the path that it is to get."""
        self._descriptor = descriptor
        self.path = path
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

    def finish(self, meta: Meta, *, sync: bool) -> None:
        """Set size, permissions and time, and close the file. Raises OSError."""
        os.ftruncate(self._descriptor, self.size)
        _set(self._descriptor, meta)
        if sync:
            os.fsync(self._descriptor)
        self.close()

    def close(self) -> None:
        """Close the file. Raises OSError: network file systems may report a full disk only now."""
        descriptor, self._descriptor = self._descriptor, -1  # even then it is closed
        if descriptor >= 0:
            os.close(descriptor)


def _set(descriptor: int, meta: Meta, always: int = 0) -> None:
    """Set permissions and time of an open file or directory; `always` are bits that it has in any case."""
    if meta.mode is not None:
        os.fchmod(descriptor, meta.mode & _PERMISSIONS | always)
    if meta.time is not None:
        moment = min(max(meta.time, -_LATEST), _LATEST)
        os.utime(descriptor, (moment, moment))


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
        """The directory that gets the items."""
        self._name = ""
        """The item's name there; empty: each keeps its own."""
        self._temporary = f".ecs-exec-{secrets.token_hex(8)}"
        self._staging = -1
        self._incoming: Incoming | None = None
        self._items: dict[str, None] = {}
        self._directories: list[tuple[Path, Meta]] = []
        self._last: tuple[Path, int] = ((), -1)
        """The directory that was used last, and its descriptor: files of one directory follow each other."""
        self._moved: list[tuple[Path, str]] = []
        """Paths below the place that got their file, and the name in the staging directory of the file that was there
        before; empty if there was none."""
        self.placed: list[str] = []
        """Paths of the items that were placed."""

    def __enter__(self) -> Staging:
        """Return this object."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was not placed, and the directories that were made for it."""
        if self._incoming is not None:
            with suppress(OSError):
                self._incoming.close()
        self._close_last()
        if self._staging >= 0:
            with suppress(OSError):
                _remove(self._place, self._temporary)
        for above, name in reversed(() if self.placed else self._made):
            with suppress(OSError):
                os.rmdir(name, dir_fd=above)
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()
        self._staging = -1

    # --- The place

    def prepare(self, *, several: bool) -> None:
        """Make the directories. With `several` files the path names a directory."""
        folder = self._wanted.folder
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise CommandError(name="fetch-folder-no-directory", file=folder) from error
        except OSError as error:
            raise not_written(error, folder) from error
        with self._errors():
            while self._staging < 0:
                self._place = self._keep(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                try:
                    self._enter_all(several=several)
                except FileNotFoundError:
                    # Another fetch has failed and removed a directory that it had made: both nodes have the same one.
                    if len(self._open) > _MOST_OPEN:
                        raise

    def _enter_all(self, *, several: bool) -> None:
        """Go into the directory that gets the items, and make the staging directory there. Raises OSError."""
        wanted = self._wanted
        self._name = ""
        whole = several or wanted.is_directory or not wanted.path
        for part in wanted.path if whole else wanted.path[:-1]:
            self._enter(part)
        if not whole:
            self._name = wanted.path[-1]
            if (found := _found(self._name, self._place)) and stat.S_ISDIR(found.st_mode):
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

    # --- Files on their way

    def begin(self, item: str, *, directory: bool = False) -> None:
        """Begin an item. Raises CommandError if it could not be placed at the end."""
        with self._errors():
            self._check(self._name or item, directory=directory)
        if item in self._items:
            raise CommandError(name="fetch-name-twice", file=_shown((item,)))
        self._items[item] = None

    def create(self, path: Path) -> Incoming:
        """Begin a file. Only one can be written at a time."""
        with self._errors(path):
            descriptor = os.open(path[-1], _NEW, 0o600, dir_fd=self._directory(path[:-1]))
        self._incoming = Incoming(descriptor, "/".join((self._path(self._name or path[0]), *path[1:])))
        return self._incoming

    def make_directory(self, path: Path, meta: Meta) -> None:
        """Make a directory. It gets its permissions and time at the end."""
        with self._errors(path):
            self._directory(path)
        self._directories.append((path, meta))

    def make_link(self, path: Path, target: bytes) -> None:
        """Make a symbolic link; the caller has checked its target."""
        with self._errors(path):
            os.symlink(target, os.fsencode(path[-1]), dir_fd=self._directory(path[:-1]))

    def make_hard_link(self, path: Path, of: Path) -> bool:
        """Make a second name of a file that was created before. Return False if this disk allows no other name."""
        with self._errors(path):
            source = os.open(of[-1], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory(of[:-1]))
            try:
                if not stat.S_ISREG(os.fstat(source).st_mode):
                    raise refused(os.fsencode("/".join(of)))
                above = self._directory(path[:-1])
                os.link(f"/proc/self/fd/{source}", path[-1], dst_dir_fd=above, follow_symlinks=True)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return False
            finally:
                os.close(source)
        return True

    def pieces(self, of: Path) -> Iterator[bytes]:
        """Yield the content of a file that was created before."""
        with self._errors(of):
            descriptor = os.open(of[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory(of[:-1]))
            try:
                while data := os.read(descriptor, _PIECE):
                    yield data
            finally:
                os.close(descriptor)

    def _directory(self, path: Path) -> int:
        """Return the descriptor of a directory in the staging directory, and make what is missing. Raises OSError."""
        if not path:
            return self._staging
        if self._last[0] == path:
            return self._last[1]
        descriptor = self._staging
        for name in path:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=descriptor)
            above, descriptor = descriptor, os.open(name, _DIRECTORY, dir_fd=descriptor)
            if above != self._staging:
                os.close(above)
        self._close_last()
        self._last = path, descriptor
        return descriptor

    def _close_last(self) -> None:
        if self._last[1] >= 0:
            os.close(self._last[1])
        self._last = (), -1

    # --- Placing

    def place(self) -> None:
        """Give all items their final names. If one of them cannot get it, none keeps it."""
        with self._errors():
            for path, meta in sorted(self._directories, key=lambda one: len(one[0]), reverse=True):
                _set(self._directory(path), meta, _OWN)
            for name in self._items:
                self._check(self._name or name, directory=self._is_directory(name))
            try:
                for name in self._items:
                    self._put(name, self._name or name)
                    self.placed.append(self._path(self._name or name))
            except BaseException:
                self._take_back()
                raise

    def _take_back(self) -> None:
        """Remove what was placed, and put back what was there before."""
        self.placed.clear()
        while self._moved:
            path, before = self._moved.pop()
            with suppress(OSError), _below(self._place, path[:-1]) as above:
                if before:
                    os.rename(before, path[-1], src_dir_fd=self._staging, dst_dir_fd=above)
                else:
                    os.rename(path[-1], self._new_name(), src_dir_fd=above, dst_dir_fd=self._staging)

    def _new_name(self) -> str:
        """Return a name in the staging directory that no container can know."""
        return f"{self._temporary}-{secrets.token_hex(8)}"

    def _is_directory(self, name: str) -> bool:
        found = _found(name, self._staging)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def _check(self, name: str, *, directory: bool) -> None:
        """Raise CommandError if an item must not get this name in its place."""
        found = _found(name, self._place)
        if found is None:
            return
        if stat.S_ISLNK(found.st_mode) or stat.S_ISDIR(found.st_mode) != directory:
            raise CommandError(name="fetch-destination-taken", file=self._path(name))
        if not self._wanted.overwrite:
            raise CommandError(name="fetch-destination-exists", file=self._path(name))

    def _put(self, name: str, final_name: str) -> None:
        if _found(final_name, self._place) is not None and self._is_directory(name):
            self._merge(self._staging, name, self._place, (final_name,), check=True)
            self._merge(self._staging, name, self._place, (final_name,), check=False)
        elif self._wanted.overwrite or self._is_directory(name):
            self._move(self._staging, name, self._place, (final_name,))
        else:
            self._link(name, final_name)

    def _move(self, source: int, name: str, above: int, path: Path) -> None:
        """Give a file or directory its final name, the last part of the path, in the directory `above`.

        A file that has this name is replaced at once. It gets a second name in the staging directory first.
        """
        before = ""
        if _found(path[-1], above) is not None:
            before = self._new_name()
            try:
                os.link(path[-1], before, src_dir_fd=above, dst_dir_fd=self._staging, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                os.rename(name, path[-1], src_dir_fd=source, dst_dir_fd=above)
                return
        os.rename(name, path[-1], src_dir_fd=source, dst_dir_fd=above)
        self._moved.append((path, before))

    def _link(self, name: str, final_name: str) -> None:
        """Give a file its final name, which must be new, although somebody else may just be taking it."""
        try:
            os.link(name, final_name, src_dir_fd=self._staging, dst_dir_fd=self._place, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.close(os.open(final_name, _NEW, 0o600, dir_fd=self._place))  # takes the name, or fails if it is taken
            self._moved.append(((final_name,), ""))
            os.rename(name, final_name, src_dir_fd=self._staging, dst_dir_fd=self._place)
        else:
            self._moved.append(((final_name,), ""))

    def _merge(self, source: int, name: str, above: int, path: Path, *, check: bool) -> None:
        """Move the files of a directory into an existing one, where they replace files of the same names.

        With `check` nothing is moved. Raises OSError if a directory is in the place of a file, or the other way round.
        """
        here = os.open(name, _DIRECTORY, dir_fd=source)
        there = os.open(path[-1], _DIRECTORY, dir_fd=above)
        try:
            for entry in os.listdir(here):
                found, mine = _found(entry, there), os.stat(entry, dir_fd=here, follow_symlinks=False)
                if found is not None and stat.S_ISDIR(found.st_mode) != stat.S_ISDIR(mine.st_mode):
                    raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                if found is not None and stat.S_ISDIR(mine.st_mode):
                    self._merge(here, entry, there, (*path, entry), check=check)
                elif not check:
                    self._move(here, entry, there, (*path, entry))
        finally:
            os.close(here)
            os.close(there)

    def _path(self, name: str) -> str:
        path = self._wanted.path if not self._name else self._wanted.path[:-1]
        return "/".join((self._wanted.folder.rstrip("/"), *path, name)).rstrip("/")

    @contextmanager
    def _errors(self, path: Path = ()) -> Iterator[None]:
        """Turn errors of the file system into CommandError. `path` is one in the staging directory."""
        try:
            yield
        except OSError as error:
            # Nobody but the container has chosen the names there, or the server's disk ignores their case.
            if path and error.errno in _TAKEN:
                raise CommandError(name="fetch-name-twice", file=_shown(path)) from error
            raise not_written(error, self._path(self._name)) from error


def not_written(error: OSError, path: str) -> CommandError:
    """Return the error for a file that cannot be written on this server."""
    if error.errno in _FULL:
        return CommandError(name="fetch-disk-full", file=path, why=error.strerror)
    if error.errno in _ODD:
        return CommandError(name="fetch-destination-taken", file=path)
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
        return CommandError(name="fetch-destination-exists", file=path)
    if error.errno == errno.ENAMETOOLONG:
        return CommandError(name="fetch-name-too-long", file=one_line(path))
    return CommandError(name="fetch-not-written", file=path, why=error.strerror)


def _shown(path: Path) -> str:
    """Return a path that a container has chosen for a message."""
    return one_line(os.fsencode("/".join(path)).decode(errors="backslashreplace"))


def _found(name: str, above: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return None


@contextmanager
def _below(top: int, path: Path) -> Iterator[int]:
    """Open a directory by its path in another one, without following links. Raises OSError."""
    descriptor = os.dup(top)
    try:
        for name in path:
            above, descriptor = descriptor, os.open(name, _DIRECTORY, dir_fd=descriptor)
            os.close(above)
        yield descriptor
    finally:
        os.close(descriptor)


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
