"""The protocol of an upload: its marks in every order, its words and secrets, and what happens to a script."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import random
import re
from contextlib import suppress
from pathlib import Path

import pytest

from ecs_exec.command import shell_wrapper
from ecs_exec.command.script_protocol import ScriptProtocol
from ecs_exec.errors import CommandError, EcsExecError
from ecs_exec.files.copier import WORDING, Destination
from ecs_exec.files.local_file import LocalFile
from ecs_exec.files.receiver import BOOTSTRAP, Receiver, for_destination, for_script
from ecs_exec.files.receiver_marks import Piece, Rest, Said, SentBack, Separator
from ecs_exec.files.upload import UploadProtocol
from unit.terminals import SHELLS, Recorder, program
from unit.test_shell_wrapper import single_program
from unit.uploads import Upload

NONCE = "0123456789abcdef" * 2
SHA = "sha256sum"


class Wire:
    """Keeps what is said."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.said = b""

    def send(self, data: bytes) -> None:
        """Keep it."""
        self.said += data


class Copy:
    """A copy whose other end is the test."""

    def __init__(self, content: bytes | LocalFile = b"content") -> None:
        """Begin, up to the moment at which the receiver's script is sent."""
        self.receiver: Receiver = for_destination("/x", "x", 0o644)
        wrapped = shell_wrapper.wrap("", nonce=NONCE, receiver=BOOTSTRAP)
        self.mark = wrapped.mark
        self.content = LocalFile.of_text(content) if isinstance(content, bytes) else content
        session = ScriptProtocol(wrapped, Recorder(), "the container", "/bin/sh", WORDING)
        self.talk = UploadProtocol(session, self.receiver, self.content, Destination("/x", self.content.name).objection)
        self.wire = Wire()
        self.talk.line = self.wire
        self.talk.ready()

    def session(self, mark: str) -> None:
        """Print a mark of the session."""
        self.talk.output(self.mark + mark.encode() + b"\n", 0.0)

    def receives(self, *marks: str) -> None:
        """Print marks of the receiver."""
        for mark in marks:
            self.talk.output(self.receiver.mark + mark.encode() + b"\n", 0.0)

    def up_to(self, moment: str) -> Copy:
        """Carry it on as the receiver does: `script`, `ready`, `going`, `sent`, `kept` or `in place`."""
        self.session("Br")
        self.session("A")
        moments = ("script", "ready", "going", "sent", "kept", "in place")
        steps = moments[: moments.index(moment) + 1]
        if "ready" in steps:
            self.receives(*["a"] * (len(self.receiver.lines) - 1), f"rd p - {SHA} - /")
        if "going" in steps:
            self.receives("g")
        if "sent" in steps:
            self.receives("k")
        if "kept" in steps:
            self.receives(f"v{len(self.content_bytes)} {self.content.checksum()}")
        if "in place" in steps:
            self.receives("ibusy")
        return self

    @property
    def content_bytes(self) -> bytes:
        """Return the file."""
        return self.content.head(1000)


def test_a_copy_in_order_is_one() -> None:
    """What the table of orders rests on: this one succeeds, in place too, and nothing is kept before it is verified."""
    copy = Copy().up_to("kept")
    assert copy.wire.said.endswith(b"c\n")
    copy.session("X0")
    assert copy.talk.status == 0
    copy = Copy().up_to("in place")
    copy.receives(f"v7 {copy.content.checksum()}")
    copy.session("X0")
    assert copy.talk.status == 0


@pytest.mark.parametrize("moment", ["script", "ready", "going", "sent", "kept", "in place"])
def test_a_receiver_gets_no_word_but_its_own(moment: str) -> None:
    """It would stop on any other: it is not asked for a sign of life, and no input keeps the session alive."""
    copy = Copy().up_to(moment)
    before = copy.wire.said
    copy.talk.ping(0.0)
    assert not copy.talk.still_here()
    assert copy.wire.said == before


MARKS = ("a", "g", "k", "<", ">", "v7 0", "ibusy", f"rd p - {SHA} - /", "", "?", "x7 0")
RIGHT = {
    "script": ("a",),
    "ready": ("g",),
    "going": ("k", "<", "v"),
    "sent": ("<", "v"),
    "kept": ("i",),
    "in place": ("<", "v"),
}


@pytest.mark.parametrize("moment", RIGHT)
def test_a_mark_out_of_order_is_a_fault(moment: str) -> None:
    """Every kind of mark at every moment: the receiver is stopped, and the copy fails."""
    for mark in MARKS:
        if mark[:1] in RIGHT[moment] and mark:
            continue
        copy = Copy().up_to(moment)
        with pytest.raises(CommandError, match="wrong order"):
            copy.receives(mark)
        assert copy.wire.said.endswith(b"x" + b" " * 126 + b"\n")
        assert copy.talk.status is None


@pytest.mark.parametrize("moment", RIGHT)
def test_an_end_before_the_file_is_kept_is_no_success(moment: str) -> None:
    """A command that begins without its script is no success either."""
    if moment != "kept":
        copy = Copy().up_to(moment)
        with pytest.raises(EcsExecError):
            copy.session("X0")
        copy = Copy().up_to(moment)
        with pytest.raises(EcsExecError):
            copy.session("S")
    assert Copy().up_to(moment).talk.status is None


def test_more_acknowledgements_than_pieces_are_a_fault() -> None:
    """They would let a sender hold the whole file in memory, and send it at once."""
    copy = Copy(os.urandom(1_000_000)).up_to("going")
    copy.receives(*["k"] * 4)
    copy = Copy().up_to("sent")
    with pytest.raises(CommandError, match="wrong order"):
        copy.receives("k")


@pytest.mark.parametrize(
    "text",
    ["", "d", "d p - sha256sum - ", "z p - sha256sum - /", "d p - sha3 - /", "d p - sha256sum - etc", "d" * 5000],
)
def test_an_odd_answer_is_a_fault_with_a_line(text: str) -> None:
    """And no internal error."""
    copy = Copy()
    copy.session("Br")
    copy.session("A")
    copy.receives(*["a"] * (len(copy.receiver.lines) - 1))
    with pytest.raises(CommandError, match="wrong order"):
        copy.receives(f"r{text}"[:3000])


def test_any_marks_end_in_a_line() -> None:
    """3,000 streams of marks, the session's too: each ends as a failure, never as a success or an internal error."""
    rng = random.Random(5)  # noqa: S311 - repeatable
    for _ in range(3_000):
        copy = Copy()
        copy.session("Br")
        copy.session("A")
        with suppress(EcsExecError):
            for _ in range(rng.randint(1, 12)):
                if rng.random() < 0.2:
                    copy.session(rng.choice(("A", "S", "X0", "X1", "X", "Fd", "e", "pz", "Bc")))
                else:
                    copy.receives(rng.choice((*MARKS, "a", "a", "k", "f", "fw no", "v7 ", "r")))
        assert copy.talk.status is None


def test_the_separator_takes_pieces_of_any_size() -> None:
    """Marks, the file sent back, and all else, whole and byte by byte, on a raw terminal and on another."""
    mark = b"\x1eword"
    for raw, end in ((True, b"\n"), (False, b"\r\n")):
        text = b"before\x1e" + mark + b"k" + end + b"x" + mark + b"<" + end + b"a" + end + b"\x1eb" + mark + b">" + end
        whole = Separator(mark).feed(text + b"after", raw=raw)
        assert whole == [
            Rest(b"before\x1e"),
            Said(b"k"),
            Rest(b"x"),
            Said(b"<"),
            SentBack(b"a\n\x1eb"),
            Said(b">"),
            Rest(b"after"),
        ]
        separator, single = Separator(mark), io.BytesIO()
        said = []
        for byte in text:
            for piece in separator.feed(bytes([byte]), raw=raw):
                if isinstance(piece, Said):
                    said.append(piece.text)
                else:
                    single.write(piece.data)
        assert said == [b"k", b"<", b">"]
        assert single.getvalue() == b"before\x1exa\n\x1eb"
    long = mark + b"k" * 5000
    assert b"".join(piece.data for piece in Separator(mark).feed(long, raw=True) if isinstance(piece, Rest)) == long


def joined(pieces: list[Piece]) -> list[tuple[str, bytes]]:
    """Return pieces without the cuts in texts."""
    found: list[tuple[str, bytes]] = []
    for piece in pieces:
        kind, text = type(piece).__name__, piece.text if isinstance(piece, Said) else piece.data
        if found and found[-1][0] == kind != "Said":
            text = found.pop()[1] + text
        found.append((kind, text))
    return found


@pytest.mark.parametrize("raw", [True, False])
def test_the_separator_at_every_cut(*, raw: bool) -> None:
    r"""Nothing is lost or doubled. Each \r belongs to the file, except those of the terminal."""
    mark, end = b"\x1eword", b"\n" if raw else b"\r\n"
    back = b"a\r\n\n\xef\x1e\x1ewor\r"
    wire = b"be\r\nfore\x1e" + mark + b"<<" + end + b"x" + mark + b"<" + end
    wire += back if raw else back.replace(b"\n", b"\r\n")
    wire += mark + b">" + end + b"\r\n" + mark + b"k\r" + end + mark[:3]
    wanted = [
        ("Rest", b"be\r\nfore\x1e"),
        ("Said", b"<<"),
        ("Rest", b"x"),
        ("Said", b"<"),
        ("SentBack", back),
        ("Said", b">"),
        ("Rest", b"\r\n"),
        ("Said", b"k\r"),
    ]
    for cut in range(len(wire)):
        separator = Separator(mark)
        pieces = separator.feed(wire[:cut], raw=raw) + separator.feed(wire[cut:], raw=raw)
        assert all(isinstance(piece, Said) or piece.data for piece in pieces)
        assert joined(pieces) == wanted, cut
        assert separator.close() == mark[:3]
        assert separator.close() == b""
    # The file at once after its mark, and the mark after a \r of the file in another piece.
    separator = Separator(mark)
    assert joined(separator.feed(mark + b"<\r\na\r", raw=False)) == [("Said", b"<"), ("SentBack", b"a")]
    assert joined(separator.feed(mark + b">\r\n", raw=False)) == [("SentBack", b"\r"), ("Said", b">")]


@pytest.mark.parametrize("more", [0, 1])
def test_the_longest_mark_of_a_receiver(more: int) -> None:
    """4,096 bytes with its newline; a longer one is other output."""
    mark = b"\x1eword"
    frame = mark + b"f" * (4096 - len(mark) - 1 + more) + b"\n"
    for cut in (0, len(mark), len(frame) - 1, len(frame)):
        separator = Separator(mark)
        pieces = separator.feed(frame[:cut], raw=True) + separator.feed(frame[cut:] + mark + b"k\n", raw=True)
        first = ("Rest", frame) if more else ("Said", frame[len(mark) : -1])
        assert joined(pieces) == [first, ("Said", b"k")]


# --- The size and the checksum


def refused(copy: Copy, name: str) -> str:
    """See that a copy is given up and the receiver stopped, whatever its script says then; return the error."""
    assert copy.wire.said.endswith(2 * (b"x" + b" " * 126 + b"\n"))
    sent = len(copy.wire.said)
    copy.receives("k", "g", "v7 0")  # what was on its way
    assert copy.wire.said[sent:] in (b"", copy.wire.said[-256:])
    with pytest.raises(CommandError) as caught:
        copy.session("X0")
    assert caught.value.name == name
    with pytest.raises(CommandError) as caught:
        copy.talk.closed("")
    assert caught.value.name == name
    assert copy.talk.status is None
    return str(caught.value)


DATA = b"some content"
RIGHT_SUM = hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("moment", ["sent", "in place"])
@pytest.mark.parametrize(
    "said",
    [
        f"11 {RIGHT_SUM}",
        f"13 {RIGHT_SUM}",
        f"0 {RIGHT_SUM}",
        f"120 {RIGHT_SUM}",
        f"012 {RIGHT_SUM}",
        f"+12 {RIGHT_SUM}",
        f" {RIGHT_SUM}",
        f"-- {RIGHT_SUM}",
        RIGHT_SUM,
        "12",
        "12 ",
        "- ",
        f"12 {RIGHT_SUM}0",
        f"12 {RIGHT_SUM[:-1]}",
        f"12 {RIGHT_SUM} ",
        f"12  {RIGHT_SUM}",
        f"12 {hashlib.sha256(DATA[:-1]).hexdigest()}",
        f"11 {hashlib.sha256(DATA[:-1]).hexdigest()}",
    ],
)
def test_a_copy_of_another_size_or_sum_is_refused(said: str, moment: str) -> None:
    """Size and checksum must both be right. The error names both the sent and the arrived values."""
    copy = Copy(DATA).up_to(moment)
    copy.receives(f"v{said}")
    error = refused(copy, "upload-incomplete")
    assert f"the copy differs: 12 bytes with sha256sum {RIGHT_SUM} were sent" in error
    size, _, there = said.partition(" ")
    assert f"{size} bytes with {there or 'no checksum'} arrived; the copy was removed" in error


def test_no_command_begins_after_a_refusal() -> None:
    """It would run with a file that is not there, and its status would count."""
    copy = Copy(DATA).up_to("sent")
    copy.receives(f"v11 {RIGHT_SUM}")
    with pytest.raises(CommandError, match="wrong order"):
        copy.session("S")
    with pytest.raises(CommandError, match="the copy differs"):
        copy.session("X0")
    assert copy.talk.status is None


@pytest.mark.parametrize("moment", ["sent", "in place"])
@pytest.mark.parametrize("size", ["12", "-"])
def test_a_copy_of_the_same_size_and_sum_is_kept(size: str, moment: str) -> None:
    """An image without wc cannot count: then the checksum decides alone."""
    copy = Copy(DATA).up_to(moment)
    copy.receives(f"v{size} {RIGHT_SUM}")
    assert copy.wire.said.endswith(b"c\n")
    copy.session("X0")
    assert copy.talk.status == 0


@pytest.mark.parametrize("moment", ["kept", "in place"])
def test_a_shell_that_fails_in_the_end_is_no_success(moment: str) -> None:
    """Although the copy was compared; nor is a file in place that was not compared there."""
    for end in ("X1", "X0")[: 1 if moment == "kept" else 2]:
        copy = Copy().up_to(moment)
        with pytest.raises(CommandError, match="the shell there ended with status"):
            copy.session(end)
        assert copy.talk.status is None


@pytest.mark.parametrize("tool", ["cat", "read"])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_that_is_sent_back_is_compared(tool: str, *, in_place: bool) -> None:
    """Each time from its beginning. What the agent and the shell change does not count, and all else does."""
    data = b"a\0b\xef\xbf\xbdc\n"
    back = data.replace(b"\xef\xbf\xbd", b"\xef").replace(b"\0", b"" if tool == "read" else b"\0")

    def compared(*texts: bytes, size: str = "8") -> Copy:
        copy = Copy(data)
        copy.session("Br")
        copy.session("A")
        copy.receives(*["a"] * (len(copy.receiver.lines) - 1), f"rd p - {tool} - /", "g", "k")
        for number, text in enumerate(texts):
            if number:
                copy.receives("ibusy")
            mark = copy.receiver.mark
            copy.talk.output(mark + b"<\n" + text + mark + b">\n" + mark + f"v{size} -\n".encode(), 0.0)
        return copy

    before = (back,) if in_place else ()
    copy = compared(*before, back)
    assert copy.wire.said.endswith(b"c\n")
    copy.session("X0")
    assert copy.talk.status == 0
    for wrong in (back + b"\n", back[:-1], b"", b"x" + back, back + back):
        refused(compared(*before, wrong), "upload-incomplete")
    refused(compared(*before, back, size="9"), "upload-incomplete")


def test_a_file_that_changes_here_is_refused(tmp_path: Path) -> None:
    """While it is sent, and after that, even if the copy is the same as what was read."""
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with LocalFile.open(str(path)) as content:
        copy = Copy(content).up_to("sent")
        path.write_bytes(DATA + b"!")
        copy.receives(f"v12 {RIGHT_SUM}")
        assert f"{path} was changed on this server" in refused(copy, "file-changed")
    path.write_bytes(bytes(1_000_000))
    with LocalFile.open(str(path)) as content:
        copy = Copy(content).up_to("going")
        os.truncate(path, 300_000)
        copy.receives(*["k"] * 4)
        assert f"{path} was changed on this server" in refused(copy, "file-changed")
        assert copy.wire.said.count(b"b 65408") < 8


def test_a_destination_that_cannot_be_reported_is_refused() -> None:
    """Before anything is sent; in a directory the name of the file counts."""
    for named, destination_is_refused in (("n", True), ("-", False)):
        copy = Copy(LocalFile(io.BytesIO(DATA), "a\nb", len(DATA), 0o644))
        copy.session("Br")
        copy.session("A")
        copy.receives(*["a"] * (len(copy.receiver.lines) - 1))
        sent = len(copy.wire.said)
        copy.receives(f"rd p - {SHA} {named} /")
        if destination_is_refused:
            assert len(copy.wire.said) == sent + 256
            refused(copy, "destination-unclear")
        else:
            assert copy.wire.said[sent:] == b"d -\n"


# --- What is sent, read as the receiver reads it


class Far:
    """The receiver's way of reading, in Python."""

    def __init__(self, copy: Copy, reader: str, coding: str, gzip_: str, *, raw: bool) -> None:
        """Begin a copy up to the line with the choice."""
        self._copy, self._reader, self._coding = copy, reader, coding
        copy.session("Br" if raw else "Bc")
        copy.session("A")
        lines = copy.receiver.lines
        assert self.script_lines() == (min(24, len(lines)) if raw else 1)
        copy.receives(*["a"] * (len(lines) - 1))
        assert copy.wire.said.endswith(b"".join(lines))
        self._read = len(copy.wire.said)
        copy.receives(f"r{reader} {coding} {gzip_} {SHA} - /")
        choice = self.line()
        assert choice[:2] == reader.encode() + b" "
        self.packed = choice == f"{reader} z\n".encode()

    def script_lines(self) -> int:
        """Return how many lines of the receiver's script have come."""
        return self._copy.wire.said.count(b"\n") - 1

    def line(self) -> bytes:
        """Read a line."""
        end = self._copy.wire.said.index(b"\n", self._read) + 1
        return self.take(end - self._read)

    def take(self, size: int) -> bytes:
        """Read some bytes, which must have come."""
        data = self._copy.wire.said[self._read : self._read + size]
        assert len(data) == size
        self._read += size
        return data

    @property
    def waits(self) -> bool:
        """Return whether there is nothing to read."""
        return self._read == len(self._copy.wire.said)

    def file(self, window: int) -> bytes:
        """Read the file, and acknowledge its pieces as late as the window allows."""
        data = bytearray()
        self._copy.receives("g")
        while True:
            pieces = 0
            while not self.waits:
                piece = self.piece()
                if piece is None:
                    assert self.waits
                    assert pieces < window  # the end counts as a piece
                    self._copy.receives(*["k"] * (pieces + (self._reader == "h")))
                    return gzip.decompress(data) if self.packed else bytes(data)
                data += piece
                pieces += 1
            assert pieces == window  # neither more than it can take, nor less than makes it fast
            self._copy.receives(*["k"] * pieces)

    def piece(self) -> bytes | None:
        """Read one piece; None is the end."""
        if self._reader == "l":
            return self.words()
        header = self.take(128)
        assert header.endswith(b" \n")
        kind, *numbers = header.split()
        if kind == b"e":
            assert numbers == []
            return None
        size, padding = map(int, numbers)
        assert kind == b"b"
        assert 0 < size <= 65_408
        assert (128 + size + padding) % 1024 == 0 <= padding < 1024
        if self._reader == "h":
            assert self.waits
            self._copy.receives("k")
        body = self.take(size + padding)
        assert body[size:] == bytes(padding)
        return body[:size]

    def words(self) -> bytes | None:
        """Read a line of text."""
        line = self.line()
        assert len(line) <= 1024
        if line == b"e\n":
            return None
        if self._coding == "p":
            assert line.startswith(b"bp")
            return re.sub(rb"\\0([0-7]{3})", lambda found: bytes([int(found[1], 8)]), line[2:-1])
        assert line.startswith(b"bb")
        words = line[2:-1].split(b" ")
        assert all(0 < len(word) <= 64 for word in words)
        return base64.b64decode(b"".join(words), validate=True)


_NOISE = random.Random(17).randbytes(300_000)  # noqa: S311 - the same each time
FILES = [b"", b"a", _NOISE[:65_408], _NOISE[:65_409], _NOISE, b"text\n\\0\0" * 15_000]


@pytest.mark.parametrize(
    ("reader", "coding", "gzip_", "window"),
    [
        ("d", "p", "-", 4),
        ("d", "b", "z", 4),
        ("e", "p", "z", 4),
        ("h", "p", "-", 1),
        ("h", "o", "z", 1),
        ("l", "b", "z", 24),
        ("l", "o", "-", 24),
        ("l", "p", "-", 24),
    ],
)
def test_every_way_of_sending_sends_the_file(reader: str, coding: str, gzip_: str, window: int) -> None:
    """Exactly, in blocks and lines that the receiver can read, and no more at a time than it can take."""
    for data in FILES:
        if reader == "l" and len(data) > 100_000 and not data.startswith(b"text"):
            continue  # many lines, and the same as the shorter ones
        copy = Copy(data)
        far = Far(copy, reader, coding, gzip_, raw=True)
        assert far.packed == (gzip_ == "z" and data.startswith(b"text"))
        assert far.file(window) == data
        assert far.waits
        copy.receives(f"v{len(data)} {hashlib.sha256(data).hexdigest()}")
        copy.session("X0")
        assert copy.talk.status == 0


def test_a_terminal_that_echoes_gets_one_line_at_a_time() -> None:
    """It holds no more."""
    for data in (_NOISE[:5000], b""):
        copy = Copy(data)
        assert Far(copy, "l", "b", "-", raw=False).file(1) == data


def test_an_end_without_its_acknowledgement_is_none() -> None:
    """A reader of one block at a time acknowledges the first line of each, and the end is one."""
    copy = Copy(DATA)
    far = Far(copy, "h", "p", "-", raw=True)
    copy.receives("g")
    assert far.piece() == DATA
    copy.receives("k")
    assert far.piece() is None
    with pytest.raises(CommandError, match="wrong order"):
        copy.receives(f"v12 {RIGHT_SUM}")


# --- What others in the container see


@pytest.mark.parametrize("name", SHELLS)
def test_the_word_is_nowhere_but_with_the_receiver(name: str, tmp_path: Path) -> None:
    """Neither in the string for the API, nor in the arguments or the environment of a process."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(2_000_000))
    with Upload(source, f"{tmp_path}/there", program(name), inner=single_program(name, tmp_path)) as upload:
        upload.until(lambda: upload.blocks() >= 3)
        words = [upload.receiver.mark[1:17], upload.receiver.mark[17:]]
        for pid in upload.left_over():
            for file in ("cmdline", "environ"):
                with suppress(FileNotFoundError, ProcessLookupError):
                    held = Path(f"/proc/{pid}/{file}").read_bytes()
                    assert not any(word in held for word in words), (pid, file)
        upload.finish()
    wrapped = shell_wrapper.wrap("true", nonce=NONCE, receiver=BOOTSTRAP)
    assert not any(word.decode() in wrapped.command for word in words)


def test_every_receiver_has_words_of_its_own() -> None:
    """And a temporary file of its own."""
    receivers = [for_script() for _ in range(100)]
    assert len({receiver.mark for receiver in receivers}) == 100
    assert len({receiver.lines for receiver in receivers}) == 100
    assert all(len(line) <= shell_wrapper.LINE + 2 for receiver in receivers for line in receiver.lines)
