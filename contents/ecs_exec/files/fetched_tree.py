"""Writes a directory that a container sends, as a tar archive or file by file."""

from __future__ import annotations

from ecs_exec.errors import CommandError
from ecs_exec.files.staging import Incoming, Meta, Path, Staging, not_written, parts, refused, stays_inside
from ecs_exec.files.tar_reader import Entry
from ecs_exec.text import one_line

MOST_FILES = 100_000
"""Files, directories and links of one fetch. A container that sends names without end would fill the disk."""


class Budget:
    """What a fetch may still bring: bytes of content, and files."""

    def __init__(self, size: int, files: int = MOST_FILES) -> None:
        """Take the limits."""
        self.size = size
        self.bytes = 0
        """Bytes that came."""
        self._files = files
        self._count = 0

    def check(self, more: int) -> None:
        """Raise CommandError if so many bytes more are too many."""
        if self.bytes + more > self.size:
            raise CommandError(name="fetch-too-large", size=self.size)

    def take(self, size: int) -> None:
        """Count bytes. Raises CommandError."""
        self.check(size)
        self.bytes += size

    def take_file(self) -> None:
        """Count a file. Raises CommandError."""
        self._count += 1
        if self._count > self._files:
            raise CommandError(name="fetch-too-many-files", count=self._files)


class LeftOut:
    """What was not fetched, by reason."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._found: dict[str, tuple[str, int]] = {}

    def add(self, why: str, name: bytes) -> None:
        """Add a file."""
        first, count = self._found.get(why, (one_line(name.decode(errors="backslashreplace")), 0))
        self._found[why] = first, count + 1

    def lines(self) -> list[str]:
        """Return a line for each reason, with the first name."""
        return [
            f"left out {first}{f' and {count - 1} more' if count > 1 else ''}: {why}"
            for why, (first, count) in self._found.items()
        ]


OUTSIDE = "symbolic links that may lead out of the fetched directory are not made"
SPECIAL = "devices, pipes and sockets are not fetched"


class Tree:
    """A directory on its way. All methods raise CommandError for what a container must not send."""

    def __init__(self, staging: Staging, item: str, budget: Budget, left_out: LeftOut) -> None:
        """Take the name of the directory, and where to note what is left out."""
        self._staging = staging
        self._item = item
        self._budget = budget
        self._left_out = left_out
        self._incoming: Incoming | None = None
        self._meta = Meta()
        self.files = 0
        self.size = 0

    def path(self, name: bytes) -> Path:
        """Return the path of a file of the directory, by its name in it."""
        return (self._item, *parts(name))

    def take(self, event: Entry | bytes | None) -> None:
        """Take what a tar archive holds, see `TarReader`."""
        if isinstance(event, Entry):
            self._begin(event)
        elif event is not None:
            self._write(event)
        else:
            self._finish()

    def _begin(self, entry: Entry) -> None:
        self._budget.take_file()
        meta = Meta(entry.mode, entry.time)
        path = self.path(entry.name)
        if entry.kind == "directory":
            self._staging.make_directory(path, meta)
        elif len(path) == 1:
            raise refused(entry.name)
        elif entry.kind == "file":
            self._budget.check(entry.size)
            self._meta = meta
            self._incoming = self._staging.create(path)
        elif entry.kind == "link":
            self.link(entry.name, entry.target)
        elif entry.kind == "hard link":
            of = self.path(entry.target)
            if self._staging.make_hard_link(path, of):
                self.files += 1
            else:
                self._copy(path, of, meta)
        else:
            self._left_out.add(SPECIAL, entry.name)

    def _copy(self, path: Path, of: Path, meta: Meta) -> None:
        """Write a file again that has two names in the container. A copy needs its own room on the disk."""
        self._meta = meta
        self._incoming = self._staging.create(path)
        for data in self._staging.pieces(of):
            self._write(data)
        self._finish()

    def directory(self, name: bytes, meta: Meta) -> None:
        """Make a directory."""
        self._budget.take_file()
        self._staging.make_directory(self.path(name), meta)

    def link(self, name: bytes, target: bytes) -> None:
        """Make a symbolic link, if it leads to a place in the directory."""
        path = self.path(name)
        if len(path) > 1 and stays_inside(len(path) - 2, target):
            self._staging.make_link(path, target)
        else:
            self._left_out.add(OUTSIDE, name)

    def _write(self, data: bytes) -> None:
        self._budget.take(len(data))
        self.size += len(data)
        if self._incoming is not None:
            try:
                self._incoming.write(data)
            except OSError as error:
                raise not_written(error, self._incoming.path) from error

    def _finish(self) -> None:
        self.files += 1
        if self._incoming is not None:
            try:
                self._incoming.finish(self._meta, sync=False)
            except OSError as error:
                raise not_written(error, self._incoming.path) from error
        self._incoming = None
