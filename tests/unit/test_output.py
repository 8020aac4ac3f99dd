"""Bytes of a terminal to stdout, stderr and status, in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_exec.output import (
    MAX_PREAMBLE,
    Begin,
    Decoder,
    End,
    Event,
    Newlines,
    Refused,
    Restorer,
    Started,
    Stderr,
    Stdout,
    Taken,
)

MARK = b"\x1e0123456789abcdef0123456789abcdef"


def mark(text: bytes) -> bytes:
    """Build a mark."""
    return MARK + text + b"\n"


BEGUN = mark(b"Br") + mark(b"S")


def decoded(data: bytes, *, step: int = 0) -> list[Event]:
    """Decode at once or piece by piece; neighbouring texts of a kind are joined."""
    decoder = Decoder(MARK)
    step = step or len(data) or 1
    events: list[Event] = []
    for start in range(0, len(data), step):
        for event in decoder.feed(data[start : start + step]):
            add(events, event)
    for event in decoder.close():
        add(events, event)
    return events


def add(events: list[Event], event: Event) -> None:
    """Add an event, or join it to the last."""
    last = events[-1] if events else None
    if isinstance(event, Stdout) and isinstance(last, Stdout):
        events[-1] = Stdout(last.data + event.data)
    elif isinstance(event, Stderr) and isinstance(last, Stderr):
        events[-1] = Stderr(last.data + event.data)
    else:
        events.append(event)


STREAM = (
    b"noise\r\n"
    + mark(b"Br")
    + mark(b"A")
    + b"echo"
    + mark(b"S")
    + b"out 1\n"
    + mark(b"eerr 1")
    + b"out \xc3\xbc\r\n"
    + mark(b"ppart")
    + mark(b"e of it")
    + MARK[:20]
    + b"\x1e\n"
    + mark(b"X3")
    + b"after"
)


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7, 33, 34, 35, 50])
def test_a_whole_session_in_pieces(step: int) -> None:
    """Where the stream is cut makes no difference."""
    assert decoded(STREAM, step=step) == [
        Begin(raw=True),
        Taken(),
        Started(),
        Stdout(b"out 1\n"),
        Stderr(b"err 1\n"),
        Stdout(b"out \xc3\xbc\r\n"),
        Stderr(b"part of it\n"),
        Stdout(MARK[:20] + b"\x1e\n"),
        End(3),
    ]


@pytest.mark.parametrize("step", [0, 1, 2, 5])
def test_a_terminal_that_is_not_raw(step: int) -> None:
    r"""Its echo is dropped and its \r\n are undone, those of the marks and of stderr included."""
    stream = mark(b"Bc") + b"g\n" + mark(b"S") + b"a\n\rb\r\n\r" + mark(b"ee\r") + b"\nz" + mark(b"X0")
    assert decoded(stream.replace(b"\n", b"\r\n"), step=step) == [
        Begin(raw=False),
        Started(),
        Stdout(b"a\n\rb\r\n"),
        Stderr(b"e\r\n"),
        Stdout(b"\r\nz"),
        End(0),
    ]


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=12), st.integers(1, 80))
def test_whatever_is_printed_comes_back(pieces: list[tuple[bool, bytes]], step: int) -> None:
    """Any bytes but those that the wire itself changes, each stream in its order."""
    pieces = [(error, data.replace(b"\xef", b".").replace(b"\n", b"," if error else b"\n")) for error, data in pieces]
    stream = BEGUN + b"".join(mark(b"p" + data) if error else data for error, data in pieces) + mark(b"X7")
    events = decoded(stream, step=step)
    assert b"".join(event.data for event in events if isinstance(event, Stdout)) == b"".join(
        data for error, data in pieces if not error
    )
    assert b"".join(event.data for event in events if isinstance(event, Stderr)) == b"".join(
        data for error, data in pieces if error
    )
    assert events[-1] == End(7)


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_give_events_and_nothing_else(data: bytes, step: int) -> None:
    """A stranger at the other end cannot make it fail."""
    decoded(BEGUN + data.replace(b"~", MARK), step=step)


def test_the_end_mark_is_needed() -> None:
    """What was held back comes out, and there is no End."""
    assert decoded(BEGUN + b"abc" + MARK[:5]) == [Begin(raw=True), Started(), Stdout(b"abc" + MARK[:5])]


@pytest.mark.parametrize(
    ("text", "status"),
    [(b"X0", 0), (b"X255", 255), (b"X137", 137), (b"X265", 137), (b"X", None), (b"Xyz", None), (b"X1234", None)],
)
def test_exit_statuses(text: bytes, status: int | None) -> None:
    """As the shells write them; ksh93 tells signals as 256+n."""
    assert decoded(BEGUN + mark(text))[-1] == End(status)


def test_a_refusal_is_told() -> None:
    """Before the command's start."""
    assert decoded(mark(b"Br") + mark(b"Fd")) == [Begin(raw=True), Refused("d")]


def test_what_comes_in_place_of_the_begin_is_kept() -> None:
    """The last of it, for the error."""
    decoder = Decoder(MARK)
    decoder.feed(b"x" * 10_000 + b"sh: not found")
    assert decoder.preamble.endswith(b"xsh: not found")
    assert len(decoder.preamble) == MAX_PREAMBLE


def test_a_mark_without_an_end_is_output() -> None:
    """Memory stays bounded, and nothing is lost."""
    text = MARK + b"e" + b"y" * 10_000 + b"\n"
    assert decoded(BEGUN + text + mark(b"X0"), step=100) == [Begin(raw=True), Started(), Stdout(text), End(0)]


@pytest.mark.parametrize("step", [1, 2, 100])
@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"a\xefb", b"a\xef\xbf\xbdb"),
        (b"a\xef\n", b"a\xef\xbf\xbd\n"),
        (b"\xef", b"\xef\xbf\xbd"),
        (b"\xef\xbb\xbfbom", b"\xef\xbb\xbfbom"),
        (b"\xff\xfe\xefx", b"\xff\xfe\xefx"),
        ("grüße ".encode() * 900 + b"\xef.", "grüße ".encode() * 900 + b"\xef\xbf\xbd."),
    ],
)
def test_the_replacement_character_is_restored_in_text(wire: bytes, text: bytes, step: int) -> None:
    """The agent sends it as a lone EF, which binary data may hold as well."""
    restorer = Restorer()
    got = b"".join(restorer.feed(wire[start : start + step]) for start in range(0, len(wire), step))
    assert got + restorer.close() == text


@given(st.binary(max_size=50), st.integers(1, 5))
def test_line_ends_are_undone_exactly(data: bytes, step: int) -> None:
    r"""A terminal turns each \n into \r\n and nothing else."""
    wire = data.replace(b"\n", b"\r\n")
    newlines = Newlines()
    got = b"".join(newlines.feed(wire[start : start + step]) for start in range(0, len(wire), step))
    assert got + newlines.close() == data
