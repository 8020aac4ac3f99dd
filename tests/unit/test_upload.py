"""The talk of an upload: its marks in every order, what it says and keeps to itself, and what a script becomes."""

from __future__ import annotations

import io
import os
import random
from contextlib import suppress
from pathlib import Path

import pytest

from ecs_exec.command import shell_wrapper
from ecs_exec.errors import CommandError, EcsExecError
from ecs_exec.files.copier import Copying
from ecs_exec.files.local_file import Content
from ecs_exec.files.receiver import BOOTSTRAP, Receiver, for_destination, for_script
from ecs_exec.files.receiver_marks import Rest, Said, SentBack, Separator
from unit.terminals import SHELLS, Recorder, program
from unit.test_shell import single_program
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

    def __init__(self, content: bytes = b"content") -> None:
        """Begin, up to the moment at which the receiver's script is sent."""
        self.receiver: Receiver = for_destination("/x", "x", 0o644)
        wrapped = shell_wrapper.wrap("", nonce=NONCE, receiver=BOOTSTRAP)
        self.mark = wrapped.mark
        self.content = Content.of_text(content)
        self.talk = Copying(
            wrapped, self.receiver, self.content, Recorder(), "the container", shell_name="/bin/sh", destination="/x"
        )
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
    """Every kind at every moment; the receiver is told to stop, and the copy is no success."""
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
    """Nor is a command that begins without its script."""
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
