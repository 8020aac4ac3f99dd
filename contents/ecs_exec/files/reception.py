"""The server's end of a fetch: takes what the container's script sends, verifies it and writes it.

The script and its marks are in `fetch_script`. Whatever comes may be forged: each mark must fit the state, sizes and
counts are bounded, and names are checked in `staging`.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import NamedTuple

from ecs_exec.errors import CommandError
from ecs_exec.files.fetched_tree import SPECIAL, Budget, LeftOut, Tree
from ecs_exec.files.local_file import digest
from ecs_exec.files.receiver_marks import Said, SentBack, Separator
from ecs_exec.files.staging import Incoming, Meta, Staging, not_written, parts, refused
from ecs_exec.files.tar_reader import TarReader
from ecs_exec.files.unpacking import CutOff, Unpacker, decoded, decoder
from ecs_exec.streams import OutputStreams
from ecs_exec.text import LONGEST, one_line

OUTPUT = b"output"
"""Name of a command's output, unless the destination names a file."""

_TEXT_PER_BYTE = 7
"""Bytes on the wire for one byte of content, at most: twice two hexadecimal digits and a blank."""

_MORE_TEXT = 256 * 1024 * 1024
"""Bytes that any fetch may need beyond its content, on the wire or in an archive: names, and headers."""

_LONGEST_MARK = 20_000
"""Bytes of a mark with two paths of 4,096 bytes in hexadecimal digits."""

_LOG_EVERY = 30.0
"""Seconds between two lines about the progress."""

_DEBUG_EVERY = 2.0

_MOST_LINES = 20
"""Lines of tar that are shown."""


class Fetched(NamedTuple):
    """A file or a directory that was fetched."""

    name: str
    """In the container."""
    size: int
    sha256: str
    """Empty for a directory."""
    files: int
    """1 for a file."""
    path: bytes = b""
    """The same as the name, byte for byte."""


class _Part:
    """Content that is being received: of a file, of an archive, or the output of a command."""

    def __init__(self, name: str, packing: bytes, tool: str, expected: int | None = None) -> None:
        self.name = name
        self.packing, _, self.encoding = packing.decode("ascii").partition(":")
        if self.encoding not in ("", "e"):
            raise ValueError("an unknown encoding")
        Unpacker(self.packing)
        self.expected = expected
        """Bytes that the container announced."""
        self.sha256 = hashlib.sha256()
        self.sum = digest(tool) if tool != "-" else None
        self.again = hashlib.sha256()
        """Of the content that is sent a second time."""
        self.path = b""
        self.meta = Meta()
        self.incoming: Incoming | None = None
        self.tar: TarReader | None = None
        self.kept = 0
        self.times = 0
        """How often the content was sent completely."""
        self.status: int | None = None
        """Exit status of tar or of the command."""

    def is_same(self, there: str) -> bool:
        """Return whether the container's checksum is ours. Raises ValueError if it sent none."""
        if self.sum is not None and there != "-":
            return self.sum.hexdigest() == there
        if there == "=" and self.times > 1:
            return self.again.hexdigest() == self.sha256.hexdigest()
        if there == "-" and self.packing != "-":
            return True  # the compressed data hold a checksum, which was compared
        raise ValueError("no checksum")


class Reception:
    """Takes the output of a fetch script. Feed it in order; call `finish` after the script has ended."""

    def __init__(
        self,
        mark: bytes,
        staging: Staging,
        budget: Budget,
        streams: OutputStreams,
        where: str,
        *,
        exact: bool,
        directories: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the beginning of the script's marks, and the place for the files; `where` names the container.

        `exact`: of a file that has grown, only the bytes that it had at the beginning are kept. `directories`: they may
        come, too.
        """
        self._staging = staging
        self._budget = budget
        self._streams = streams
        self._where = where
        self._exact = exact
        self._directories = directories
        self._clock = clock
        self._separator = Separator(mark, _LONGEST_MARK)
        self._encoding = self._tool = ""
        self._text = 0
        self._part: _Part | None = None
        self._tree: Tree | None = None
        self._tree_name = ""
        self._between = False
        self._over = False
        self._left_out = LeftOut()
        self._lines = 0
        self._strange = False
        """tar said more than that files changed."""
        self.fetched: list[Fetched] = []
        self._failure = ""
        self.status = 0
        """Exit status of the job's own command, if that failed."""
        self._began = self._told = self._debugged = clock()

    # --- Incoming

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the script's output. Raises CommandError if the fetch cannot succeed any more."""
        self._text += len(data)
        if self._text > self._budget.size * _TEXT_PER_BYTE + _MORE_TEXT:
            raise CommandError(name="fetch-too-large", where=self._where, size=self._budget.size)
        try:
            for piece in self._separator.feed(data, raw=True):
                if isinstance(piece, Said):
                    self._hear(piece.text)
                elif isinstance(piece, SentBack):
                    self._take(piece.data)
        except ValueError as error:
            if self._encoding == "r" and self._part is not None:
                raise self._changed(self._part.name, "") from error
            if isinstance(error, CutOff):
                raise self._cut_off(self._part) from error
            raise CommandError(name="fetch-stream-broken", where=self._where, why=one_line(str(error))) from error
        except CommandError as error:
            error.where = error.where or self._where
            raise
        self._tell_progress()

    def _hear(self, text: bytes) -> None:
        kind, rest = text[:1].decode("ascii", "replace"), text[1:]
        acts = {"r": self._ready, "p": self._announce, "t": self._announce_tree, "u": self._announce_in_tree}
        acts |= {"<": self._open, ">": self._close, "x": self._note_status, "v": self._verify, "w": self._warn}
        acts |= {"b": self._note_failure, "c": self._announce_output}
        acts |= {"d": self._make_directory, "l": self._make_link, "y": self._end_tree}
        acts |= {"s": self._leave_out, "e": self._end, "f": self._fail}
        early = not self._encoding and kind not in "rfb"
        if self.status and kind == "e":
            return
        if kind not in acts or self._over or early or (self._between and kind != ">"):
            raise ValueError(f"a mark of kind {kind!r} out of order")
        acts[kind](rest)

    def _ready(self, text: bytes) -> None:
        if self._encoding:
            raise ValueError("a second beginning")
        self._encoding, self._tool, pattern = text.decode("ascii").split(" ")
        decoder(self._encoding)
        if self._tool != "-":
            digest(self._tool)
        self._staging.prepare(several=pattern == "g")
        self._streams.debug(f"the container encodes with {_ENCODINGS[self._encoding]} and verifies with {self._tool}")

    # --- Announced

    def _name(self, text: bytes) -> bytes:
        return decoded(text, self._encoding)

    def _begin(self, text: bytes) -> tuple[_Part, bytes]:
        """Read the mark of a file or an archive; return it with its path in the container."""
        if self._part is not None:
            raise ValueError("a file in a file")
        mode, moment, size, packing, name = text.split(b" ", 4)
        path = self._name(name)
        if b"\0" in path:
            raise refused(path)
        expected = _number(size) or None  # a file of /proc has the size 0 and a content
        part = _Part(path.decode(errors="backslashreplace"), packing, self._tool, expected)
        part.path, part.meta = path, Meta(_mode(mode), _number(moment))
        self._budget.check(expected or 0)
        return part, path

    def _item(self, path: bytes, *, directory: bool = False) -> str:
        """Begin an item, which has the last part of its path as its name."""
        own = parts(path.rstrip(b"/").rpartition(b"/")[2])
        if len(own) != 1 or self._tree is not None:
            raise refused(path)
        self._budget.take_file()
        self._staging.begin(own[0], directory=directory)
        return own[0]

    def _announce(self, text: bytes) -> None:
        part, path = self._begin(text)
        part.incoming = self._staging.create((self._item(path),))
        self._part = part

    def _announce_output(self, text: bytes) -> None:
        """Begin the output of a command. It has no name of its own."""
        if self._part is not None or self.fetched:
            raise ValueError("a command in a file")
        self._part = _Part("the command's output", text, self._tool)
        self._part.incoming = self._staging.create((self._item(OUTPUT),))

    def _note_failure(self, text: bytes) -> None:
        """Note that the command in `before` has failed."""
        if self._encoding:
            raise ValueError("a command behind the beginning")
        self._fail_with("before", _number(text))

    def _fail_with(self, what: str, status: int | None) -> None:
        self._failure = f"{what} ended with exit status {status}; nothing was fetched"
        status = status or 1
        # ksh93 reports 256+n and yash 384+n for a command that signal n ended.
        self.status = status if 0 < status <= 255 else 128 + status % 128  # noqa: PLR2004
        self._over = True

    def _announce_tree(self, text: bytes) -> None:
        """Begin a directory: as an archive, or, without a compression, file by file."""
        mode, moment, packing, name = text.split(b" ", 3)
        path = self._name(name)
        if not self._directories:
            raise CommandError(
                name="fetch-directory-not-removed", file=one_line(path.decode(errors="backslashreplace"))
            )
        item = self._item(path, directory=True)
        self._tree = Tree(self._staging, item, self._budget, self._left_out)
        self._tree_name = path.decode(errors="backslashreplace")
        self._tree.directory(b"", Meta(_mode(mode), _number(moment)))
        if packing != b"walk":
            self._part = _Part(self._tree_name, packing, self._tool)
            self._part.tar = TarReader()

    def _announce_in_tree(self, text: bytes) -> None:
        part, name = self._begin(text)
        tree = self._in_tree()
        self._budget.take_file()
        path = tree.path(name)
        if len(path) == 1:
            raise refused(name)
        part.incoming = self._staging.create(path)
        self._part = part

    def _in_tree(self) -> Tree:
        if self._tree is None or (self._part is not None and self._part.tar is not None):
            raise ValueError("a part of a directory outside of one")
        return self._tree

    def _make_directory(self, text: bytes) -> None:
        mode, moment, name = text.split(b" ", 2)
        self._in_tree().directory(self._name(name), Meta(_mode(mode), _number(moment)))

    def _make_link(self, text: bytes) -> None:
        name, _, target = text.partition(b"\t")
        if b"\t" in target:
            raise refused(text)
        self._budget.take_file()
        self._in_tree().link(self._name(name), self._name(target))

    def _end_tree(self, text: bytes) -> None:
        tree = self._in_tree()
        if text or self._part is not None:
            raise ValueError("the end of a directory inside a file")
        self.fetched.append(Fetched(self._tree_name, tree.size, "", tree.files))
        self._tree = None

    # --- Content

    def _open(self, text: bytes) -> None:
        part = self._part
        if text or part is None or part.times > 1:
            raise ValueError("data without a file")
        self._between = True
        self._decoder = decoder(self._encoding if part.times else part.encoding or self._encoding)
        self._unpacker = Unpacker("-" if part.times else part.packing)
        self._sent = 0

    def _take(self, data: bytes) -> None:
        for piece in self._unpacker.feed(self._decoder.feed(data)):
            self._keep(piece)

    def _keep(self, piece: bytes) -> None:
        """Write content, up to the size that the file had at the beginning."""
        part = self._part
        if part is None:
            raise ValueError("data without a file")
        self._sent += len(piece)
        if self._exact and part.expected is not None and self._sent > part.expected:
            piece = piece[: max(0, len(piece) - (self._sent - part.expected))]
        if part.times:
            part.again.update(piece)
            return
        part.kept += len(piece)
        part.sha256.update(piece)
        if part.sum is not None:
            part.sum.update(piece)
        if part.tar is not None and self._tree is not None:
            if part.kept > 2 * self._budget.size + _MORE_TEXT:
                raise CommandError(name="fetch-too-large", size=self._budget.size)
            for event in part.tar.feed(piece):
                self._tree.take(event)
            return
        self._budget.take(len(piece))
        if part.incoming is not None:
            try:
                part.incoming.write(piece)
            except OSError as error:
                raise not_written(error, part.incoming.path) from error

    def _close(self, text: bytes) -> None:
        if text or self._part is None or not self._between:
            raise ValueError("an end without a beginning")
        self._between = False
        for piece in self._unpacker.feed(self._decoder.close()):
            self._keep(piece)
        self._unpacker.close()
        self._part.times += 1

    def _note_status(self, text: bytes) -> None:
        status = _number(text)
        if self._part is None or status is None:
            raise ValueError("a status without a program")
        self._part.status = status

    def _warn(self, text: bytes) -> None:
        """Show a line of tar. A file that it padded with zeros is not what the container has."""
        line = one_line(text[:LONGEST].decode(errors="replace"))
        if "padding with zeros" in line:
            raise self._changed(self._part.name if self._part else "a file", f"tar said {line!r}")
        self._lines += 1
        self._strange = self._strange or not line.endswith(_CHANGES)
        if self._lines <= _MOST_LINES:
            self._streams.say(line)

    def _changed(self, name: str, how: str) -> CommandError:
        """Return the error for content that is not the container's."""
        if self._encoding == "r":
            return CommandError(name="fetch-bytes-lost", where=self._where, file=name)
        return CommandError(name="fetch-source-changed", where=self._where, file=name, how=how)

    def _cut_off(self, part: _Part | None) -> CommandError:
        """Return the error for content after which a program of the container has failed."""
        return CommandError(name="fetch-cut-off", where=self._where, file=part.name if part else "a file")

    def _verify(self, text: bytes) -> None:
        """Compare size and checksum, and finish the file."""
        part = self._part
        if part is None or not part.times:
            raise ValueError("a checksum without data")
        size, read, there = text.split(b" ")
        now = _number(size)
        if part.path:
            self._check_size(part, _number(read))
        if there in (b"?", b""):
            raise self._cut_off(part)
        if not part.is_same(there.decode("ascii")):
            raise self._changed(part.name, f"{part.kept} bytes came, and its checksum is another one now")
        if not part.path and part.status is None:
            what = f"tar in the directory {part.name}" if part.tar is not None else "the command"
            raise CommandError(name="fetch-status-unknown", where=self._where, file=what)
        self._part = None
        if part.tar is None and part.status:
            self._fail_with("the command", part.status)
        elif part.tar is not None:
            self._finish_archive(part, part.tar)
        else:
            self._finish_file(part, grown=part.expected is not None and now is not None and now > part.kept)

    def _check_size(self, part: _Part, read: int | None) -> None:
        """Compare the size of a file with what the container knows of it: before it was read, or after that.

        Without it a shell that loses NULs would send the same wrong content twice.
        """
        known = part.expected if self._exact and part.expected is not None else read
        if known is None:
            raise CommandError(name="fetch-not-verifiable", where=self._where, why=_NOT_VERIFIABLE["s"])
        if part.kept != known:
            raise self._changed(part.name, f"it had {known} bytes, and {part.kept} came")

    def _finish_archive(self, part: _Part, tar: TarReader) -> None:
        # With status 1, GNU tar has said that files changed. Other tars end with it after any error.
        if part.status and (part.status != 1 or self._strange or not self._lines):
            raise CommandError(name="fetch-tar-failed", where=self._where, file=part.name, status=part.status)
        tar.close()

    def _finish_file(self, part: _Part, *, grown: bool) -> None:
        if part.incoming is not None:
            try:
                part.incoming.finish(part.meta, sync=self._tree is None)
            except OSError as error:
                raise not_written(error, part.incoming.path) from error
        if self._tree is None:
            self.fetched.append(Fetched(part.name, part.kept, part.sha256.hexdigest(), 1, part.path))
        else:
            self._tree.files += 1
            self._tree.size += part.kept
        if grown:
            self._streams.say(f"{part.name} grew while it was fetched: its first {part.kept} bytes were fetched")

    # --- The rest

    def _leave_out(self, text: bytes) -> None:
        why, _, name = text.partition(b" ")
        self._left_out.add(_LEFT_OUT.get(why, SPECIAL), self._name(name))

    def _end(self, text: bytes) -> None:
        if text or self._part is not None or self._tree is not None:
            raise ValueError("an end inside a file")
        if not self.fetched:
            raise CommandError(name="fetch-source-missing", where=self._where, file="file that the pattern matches")
        for line in self._left_out.lines():
            self._streams.say(line)
        self._over = True

    def _fail(self, text: bytes) -> None:
        name = _FAILURES.get(text[:1])
        if name is None:
            raise ValueError("an unknown failure")
        rest = one_line(text[1:LONGEST].decode(errors="replace"))
        if name == "fetch-not-verifiable":
            raise CommandError(name=name, where=self._where, why=_NOT_VERIFIABLE.get(rest.strip(), "an unknown reason"))
        raise CommandError(name=name, where=self._where, file=rest)

    def finish(self, status: int) -> None:
        """Raise CommandError unless everything came. `status` is the exit status of the script's shell."""
        if not self._over:
            raise CommandError(name="fetch-incomplete", where=self._where, status=status)
        if self._failure:  # now that all of its stderr was seen
            self._streams.say(self._failure)

    # --- Progress

    def _tell_progress(self) -> None:
        now = self._clock()
        if now - self._told >= _LOG_EVERY:
            self._told = self._debugged = now
            self._streams.say(self._progress(now))
        elif now - self._debugged >= _DEBUG_EVERY:
            self._debugged = now
            self._streams.debug(self._progress(now))

    def _progress(self, now: float) -> str:
        """Return bytes, and of a file with a known size share and time left."""
        part = self._part
        text = f"fetched {self._budget.bytes} bytes in {now - self._began:.0f} s"
        if part is None or not part.expected or not part.kept:
            return text
        left = (now - self._began) * (part.expected - part.kept) / self._budget.bytes
        return f"{text}; {part.name}: {100 * part.kept // part.expected} %, about {left:.0f} s left"


_ENCODINGS = {"b": "Base64", "h": "hexadecimal digits", "t": "the shell alone", "r": "raw bytes"}

_LEFT_OUT = {
    b"l": "the image has no readlink, so the targets of symbolic links are unknown",
    b"d": "symbolic links to files that do not exist are not fetched",
}

_NOT_VERIFIABLE = {
    "f": "it has no base64, openssl or od, and no checksum tool, and its shell cannot send every byte",
    "c": "for the output of a command it has no gzip or xz that compress may use, and no tee with a checksum tool",
    "s": "it has no stat and no ls that report the size of a file, and /proc does not show it",
}
"""Why an image cannot verify a file, the output of a command, or a size."""

_CHANGES = ("file changed as we read it", "File removed before we read it")
"""Messages of GNU tar after which the archive still holds a file as it was, or no longer has it."""

_FAILURES = {
    b"m": "fetch-source-missing",
    b"k": "fetch-source-not-a-file",
    b"r": "fetch-source-unreadable",
    b"h": "fetch-home-unknown",
    b"v": "fetch-not-verifiable",
    b"t": "fetch-tar-missing",
    b"j": "fetch-name-refused",
    b"n": "fetch-bytes-lost",
    b"p": "fetch-path-too-long",
}
"""By the code of the script's mark `f`: the name of the cause."""


def _number(text: bytes) -> int | None:
    """Return a number, None for `-`. Raises ValueError for anything else."""
    if text == b"-":
        return None
    if not re.fullmatch(rb"-?[0-9]{1,18}", text):
        raise ValueError("a size or a time that is not a number")
    return int(text)


def _mode(text: bytes) -> int | None:
    """Parse the permissions in octal form or in the form of `ls`; return None if they are unknown."""
    if re.fullmatch(rb"[0-7]{1,5}", text):
        return int(text, 8)
    if not re.fullmatch(rb"[-a-zA-Z]{10}.?", text):
        return None
    bits = 0
    for char in text[1:10].decode():
        bits = bits << 1 | (char not in "-ST")
    return bits
