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
from ecs_exec.files.local_file import Digest, digest
from ecs_exec.files.receiver_marks import Said, SentBack, Separator
from ecs_exec.files.staging import Incoming, Meta, Staging, not_written, parts
from ecs_exec.files.unpacking import Unpacker, decoded, decoder
from ecs_exec.streams import OutputStreams
from ecs_exec.text import LONGEST, one_line

MOST_FILES = 100_000
"""Files of one fetch. A container that sends names without end would fill the disk with them."""

_TEXT_PER_BYTE = 7
"""Bytes on the wire for one byte of content, at most: twice two hexadecimal digits and a blank."""

_MORE_TEXT = 64 * 1024 * 1024
"""Bytes on the wire that any fetch may need beyond its content."""

_LOG_EVERY = 30.0
"""Seconds between two lines about the progress."""

_DEBUG_EVERY = 2.0


class Fetched(NamedTuple):
    """A file that was fetched."""

    name: str
    """In the container."""
    size: int
    sha256: str
    whole: bool
    """False: the file grew, and only its beginning was fetched."""


class _File:
    """The file that is just being received."""

    def __init__(self, name: str, meta: Meta, expected: int | None, packing: str, sums: tuple[Digest, ...]) -> None:
        self.name = name
        self.meta = meta
        self.expected = expected
        """Bytes that the container announced."""
        self.packing = packing
        self.sums = sums
        self.incoming: Incoming | None = None
        self.sent = 0
        """Bytes of content that came, also those behind `expected`."""
        self.kept = 0
        self.times = 0
        """How often the content was sent completely."""


class Limits(NamedTuple):
    """What a fetch may bring."""

    size: int
    """Bytes of content in all."""
    files: int = MOST_FILES


class Reception:
    """Takes the output of a fetch script. Feed it in order; call `finish` after the script has ended."""

    def __init__(
        self,
        mark: bytes,
        staging: Staging,
        limits: Limits,
        streams: OutputStreams,
        where: str,
        *,
        exact: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the beginning of the script's marks, and the place for the files; `where` names the container.

        `exact`: of a file that has grown, only the bytes that it had at the beginning are kept.
        """
        self._staging = staging
        self._limits = limits
        self._streams = streams
        self._where = where
        self._exact = exact
        self._clock = clock
        self._separator = Separator(mark)
        self._encoding = self._tool = ""
        self._text = self._content = 0
        self._file: _File | None = None
        self._between = False
        self._over = False
        self.fetched: list[Fetched] = []
        self._began = self._told = self._debugged = clock()

    # --- Incoming

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the script's output. Raises CommandError if the fetch cannot succeed any more."""
        self._text += len(data)
        if self._text > self._limits.size * _TEXT_PER_BYTE + _MORE_TEXT:
            raise self._too_large()
        for piece in self._separator.feed(data, raw=True):
            if isinstance(piece, Said):
                self._hear(piece.text)
            elif isinstance(piece, SentBack):
                self._take(piece.data)
        self._tell_progress()

    def _hear(self, text: bytes) -> None:
        kind, rest = text[:1].decode("ascii", "replace"), text[1:]
        acts = {"r": self._ready, "p": self._announce, "<": self._open, ">": self._close, "v": self._verify}
        acts |= {"s": self._leave_out, "e": self._end, "f": self._fail}
        early = not self._encoding and kind not in "rf"
        if kind not in acts or self._over or early or (self._between and kind != ">"):
            raise self._broken(f"a mark of kind {kind!r} out of order")
        try:
            acts[kind](rest)
        except ValueError as error:
            raise self._broken(str(error)) from error

    def _ready(self, text: bytes) -> None:
        if self._encoding:
            raise ValueError("a second beginning")
        self._encoding, self._tool, pattern = text.decode("ascii").split(" ")
        decoder(self._encoding)
        if self._tool != "-":
            digest(self._tool)
        self._staging.prepare(several=pattern == "g")
        self._streams.debug(f"the container encodes with {_ENCODINGS[self._encoding]} and verifies with {self._tool}")

    def _announce(self, text: bytes) -> None:
        if self._file is not None:
            raise ValueError("a file in a file")
        if len(self.fetched) >= self._limits.files:
            raise CommandError(name="fetch-too-many-files", where=self._where, count=self._limits.files)
        mode, moment, size, packing, name = text.split(b" ", 4)
        path = decoded(name, self._encoding)
        expected = _number(size) or None  # a file of /proc has the size 0 and a content
        Unpacker(packing.decode("ascii"))
        sums = (hashlib.sha256(), digest(self._tool)) if self._tool != "-" else (hashlib.sha256(),)
        if expected is not None and self._content + expected > self._limits.size:
            raise self._too_large()
        own = parts(path.rstrip(b"/").rpartition(b"/")[2])
        if len(own) != 1:
            raise CommandError(name="fetch-name-refused", file=ascii(path)[:200])
        shown = path.decode(errors="backslashreplace")
        self._file = _File(shown, Meta(_mode(mode), _number(moment)), expected, packing.decode("ascii"), sums)
        self._file.incoming = self._staging.create(own[0])

    def _open(self, text: bytes) -> None:
        file = self._file
        if text or file is None or file.times > 1:
            raise ValueError("data without a file")
        self._between = True
        self._decoder = decoder(self._encoding)
        self._unpacker = Unpacker("-" if file.times else file.packing)
        self._again = hashlib.sha256()
        file.sent = 0

    def _take(self, data: bytes) -> None:
        try:
            for piece in self._unpacker.feed(self._decoder.feed(data)):
                self._keep(piece)
        except ValueError as error:
            raise self._broken(str(error)) from error

    def _keep(self, piece: bytes) -> None:
        """Write content, up to the size that the file had at the beginning."""
        file = self._file
        assert file is not None  # noqa: S101 - for mypy: `_open` checked it
        file.sent += len(piece)
        if self._exact and file.expected is not None and file.sent > file.expected:
            piece = piece[: max(0, len(piece) - (file.sent - file.expected))]
        if file.times:
            self._again.update(piece)
            return
        self._content += len(piece)
        if self._content > self._limits.size:
            raise self._too_large()
        for one in file.sums:
            one.update(piece)
        file.kept += len(piece)
        if file.incoming is not None:
            try:
                file.incoming.write(piece)
            except OSError as error:
                raise not_written(error, file.name) from error

    def _close(self, text: bytes) -> None:
        if text or self._file is None or not self._between:
            raise ValueError("an end without a beginning")
        self._between = False
        for piece in self._unpacker.feed(self._decoder.close()):
            self._keep(piece)
        self._unpacker.close()
        self._file.times += 1

    def _verify(self, text: bytes) -> None:
        """Compare size and checksum, and finish the file."""
        file = self._file
        if file is None or not file.times:
            raise ValueError("a checksum without data")
        size, there = text.decode("ascii").split(" ")
        now = _number(size.encode())
        if file.expected is not None and file.kept < file.expected:
            raise CommandError(
                name="fetch-source-changed",
                where=self._where,
                file=file.name,
                how=f"it had {file.expected} bytes, and only {file.kept} could be read",
            )
        if not self._is_same(file, there):
            raise CommandError(
                name="fetch-source-changed",
                where=self._where,
                file=file.name,
                how=f"{file.kept} bytes came, and its checksum is another one now",
            )
        self._finish(file, grown=now is not None and now > file.kept and file.expected is not None)

    def _is_same(self, file: _File, there: str) -> bool:
        """Return whether the container's checksum is ours. Raises ValueError if it sent none."""
        if self._tool != "-":
            return file.sums[1].hexdigest() == there
        if there == "=" and file.times > 1:
            return self._again.hexdigest() == file.sums[0].hexdigest()
        if there == "-" and file.packing != "-":
            return True  # the compressed data hold a checksum, which was compared
        raise ValueError("no checksum")

    def _finish(self, file: _File, *, grown: bool) -> None:
        if file.incoming is not None:
            try:
                file.incoming.finish(file.meta)
            except OSError as error:
                raise not_written(error, file.name) from error
        self.fetched.append(Fetched(file.name, file.kept, file.sums[0].hexdigest(), not grown))
        self._file = None
        if grown:
            self._streams.say(f"{file.name} grew while it was fetched: its first {file.kept} bytes were fetched")

    def _leave_out(self, text: bytes) -> None:
        why, _, name = text.partition(b" ")
        shown = one_line(decoded(name, self._encoding).decode(errors="backslashreplace"))
        self._streams.say(f"left out {shown}: it is {_LEFT_OUT.get(why, 'not a regular file')}")

    def _end(self, text: bytes) -> None:
        if text or self._file is not None:
            raise ValueError("an end inside a file")
        if not self.fetched:
            raise CommandError(name="fetch-source-missing", where=self._where, file="a file that the pattern matches")
        self._over = True

    def _fail(self, text: bytes) -> None:
        code = text[:1].decode("ascii", "replace")
        name = _FAILURES.get(code)
        if name is None:
            raise ValueError("an unknown failure")
        raise CommandError(name=name, where=self._where, file=one_line(text[1:LONGEST].decode(errors="replace")))

    # --- The end

    def finish(self, status: int) -> None:
        """Raise CommandError unless everything came. `status` is the exit status of the script's shell."""
        if not self._over:
            raise CommandError(name="fetch-incomplete", where=self._where, status=status)

    def _too_large(self) -> CommandError:
        return CommandError(name="fetch-too-large", where=self._where, size=self._limits.size)

    def _broken(self, why: str) -> CommandError:
        return CommandError(name="fetch-stream-broken", where=self._where, why=one_line(why))

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
        file = self._file
        done = f"{len(self.fetched)} files and " if len(self.fetched) > 1 else ""
        text = f"fetched {done}{self._content} bytes in {now - self._began:.0f} s"
        if file is None or not file.expected or not file.kept:
            return text
        left = (now - self._began) * (file.expected - file.kept) / self._content
        return f"{text}; {file.name}: {100 * file.kept // file.expected} %, about {left:.0f} s left"


_ENCODINGS = {"b": "Base64", "h": "hexadecimal digits", "r": "raw bytes"}

_LEFT_OUT = {b"d": "a directory", b"k": "not a regular file"}

_FAILURES = {
    "m": "fetch-source-missing",
    "d": "fetch-source-directory",
    "k": "fetch-source-not-a-file",
    "r": "fetch-source-unreadable",
    "h": "fetch-home-unknown",
    "j": "fetch-name-refused",
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
    """Return the permissions of an octal number or of what `ls` prints; None if they are unknown."""
    if re.fullmatch(rb"[0-7]{1,5}", text):
        return int(text, 8)
    if not re.fullmatch(rb"[-a-zA-Z]{10}.?", text):
        return None
    bits = 0
    for char, unset in zip(text[1:10].decode(), "---------", strict=True):
        bits = bits << 1 | (char not in (unset, "S", "T"))
    return bits
