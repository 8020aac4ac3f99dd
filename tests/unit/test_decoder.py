"""From a terminal's bytes to stdout, stderr and status, in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_exec.command.decoder import (
    MAX_MARK,
    MAX_PREAMBLE,
    Begin,
    Decoder,
    Disorder,
    End,
    Event,
    Newlines,
    NotStarted,
    Refused,
    ReplacementCharRestorer,
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
    """Add an event, or join it to the last; none is empty."""
    assert not isinstance(event, (Stdout, Stderr)) or event.data
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


# --- Answers to a PING

ANSWER = mark(b"L")


def answered(stream: bytes, *, step: int = 0, answers: int = 1) -> list[Event]:
    """Decode what follows the start of a command, which was asked for some signs of life."""
    decoder = Decoder(MARK)
    decoder.feed(BEGUN)
    for _ in range(answers):
        decoder.expect_answer()
    step = step or len(stream) or 1
    events: list[Event] = []
    for start in range(0, len(stream), step):
        for event in decoder.feed(stream[start : start + step]):
            add(events, event)
    for event in decoder.close():
        add(events, event)
    return events


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_an_answer_comes_anywhere(newline: bytes) -> None:
    """In the middle of output, of a mark and of a frame: nothing shows that it was there."""
    stream = b"out\x1e\r\n\n" + mark(b"eerr") + MARK[:9] + "ü".encode() + mark(b"ppart") + b"\n"
    end = mark(b"X3")
    wanted = answered(stream + end, answers=0)
    for at in range(len(stream) + 1):
        wire = stream[:at] + ANSWER[:-1] + newline + stream[at:] + end
        for step in (0, 1, 2, 3, 7, 33, 34, 35, 50):
            assert answered(wire, step=step) == wanted, (at, step)
        for cut in range(len(wire)):
            decoder = Decoder(MARK)
            decoder.feed(BEGUN)
            decoder.expect_answer()
            events: list[Event] = []
            for event in decoder.feed(wire[:cut]) + decoder.feed(wire[cut:]):
                add(events, event)
            assert events == wanted, (at, cut)


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=12),
    st.lists(st.integers(0, 999), max_size=4),
    st.integers(1, 80),
)
def test_any_number_of_answers_comes_anywhere(pieces: list[tuple[bool, bytes]], places: list[int], step: int) -> None:
    """Two at one place, too; bytes that the wire itself changes are left out."""
    pieces = [(error, data.replace(b"\xef", b".").replace(b"~", b"\x1e")) for error, data in pieces]
    stream = b"".join(mark(b"p" + data.replace(b"\n", b",")) if error else data for error, data in pieces)
    wanted = answered(stream + mark(b"X7"), answers=0)
    wire = stream
    for place in sorted((min(place, len(stream)) for place in places), reverse=True):
        wire = wire[:place] + ANSWER + wire[place:]
    assert answered(wire + mark(b"X7"), step=step, answers=len(places)) == wanted


@pytest.mark.parametrize("before", [b"", b"out\n", mark(b"eerr"), MARK[:7]])
def test_an_answer_may_be_cut_off_at_the_end(before: bytes) -> None:
    """If the session breaks off. Its beginning is no output."""
    wanted = answered(before, answers=0)
    for cut in range(1, len(ANSWER)):
        for step in (0, 1, 2, 33, 34, 50):
            assert answered(before + ANSWER[:cut], step=step) == wanted, (cut, step)


def test_only_expected_answers_are_removed() -> None:
    """A process that knows the session's word cannot hide among them. Beginnings of marks stay the command's output."""
    assert answered(ANSWER + b"a" + ANSWER + mark(b"X0")) == [Stdout(b"a"), Disorder("L")]
    assert answered(MARK[:9] + mark(b"eerr") + MARK[:9] + b"z" + ANSWER + MARK[:9] + mark(b"X0")) == [
        Stdout(MARK[:9]),
        Stderr(b"err\n"),
        Stdout(MARK[:9] + b"z" + MARK[:9]),
        End(0),
    ]
    assert answered(b"a" + ANSWER + b"b", answers=3) == [Stdout(b"ab")]


def test_output_is_not_held_back_for_an_answer() -> None:
    """Only what may be the beginning of one waits."""
    decoder = Decoder(MARK)
    decoder.feed(BEGUN)
    decoder.expect_answer()
    assert decoder.feed(b"prompt> ") == [Stdout(b"prompt> ")]
    assert decoder.feed(b"a" + ANSWER[:-1]) == [Stdout(b"a")]
    assert decoder.feed(b"\nb") == [Stdout(b"b")]


def test_the_end_mark_is_needed() -> None:
    """What was held back comes out, and there is no End."""
    assert decoded(BEGUN + b"abc" + MARK[:5]) == [Begin(raw=True), Started(), Stdout(b"abc" + MARK[:5])]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        *((b"X%d" % status, status) for status in (0, 1, 99, 128, 137, 255)),
        (b"X256", 128),
        (b"X265", 137),
        (b"X383", 255),
        (b"X384", 128),
        (b"X393", 137),
        (b"X007", 7),
        *((b"X" + text, None) for text in (b"", b"yz", b"1234", b"12a", b"a12", b"-1", b" 1", b"1 ", b"nn", b"1\r1")),
    ],
)
def test_exit_statuses(text: bytes, status: int | None) -> None:
    """As the shells write them; ksh93 reports signals as 256+n, yash as 384+n."""
    for end in (b"", b"\r", b"\r\r"):
        assert decoded(BEGUN + mark(text + end))[-1] == End(status)


def test_a_refusal_is_reported() -> None:
    """Before the command's start."""
    assert decoded(mark(b"Br") + mark(b"Fd")) == [Begin(raw=True), Refused("d")]


def test_what_comes_in_place_of_the_begin_is_kept() -> None:
    """The last of it, for the error."""
    decoder = Decoder(MARK)
    for data in (b"x" * 10_000 + b"sh:", b" not", b" found" + MARK[:7]):
        decoder.feed(data)
    text = b"xsh: not found" + MARK[:7]
    assert decoder.preamble == text.rjust(MAX_PREAMBLE, b"x")
    decoder.feed(mark(b"Br")[7:] + b"g\r\n")
    assert decoder.preamble == (b"xsh: not foundg\r\n").rjust(MAX_PREAMBLE, b"x")
    assert not decoder.started
    assert Stdout(b"out") in decoder.feed(mark(b"S") + b"out" + MARK[:9])
    assert decoder.started
    assert decoder.preamble == (b"xsh: not foundg\r\n").rjust(MAX_PREAMBLE, b"x")


KINDS = (b"B", b"A", b"F", b"S", b"e", b"p", b"X", b"L", b"", b"?", b"\xff", b"b")


@pytest.mark.parametrize(
    ("before", "right"),
    [
        (b"", b"B"),
        (mark(b"Br"), b"AFSX"),
        (mark(b"Bc") + mark(b"A"), b"AFSX"),
        (BEGUN, b"epX"),
        (BEGUN + mark(b"ptext"), b"epX"),
    ],
)
def test_a_mark_out_of_order_ends_the_session(before: bytes, right: bytes) -> None:
    """It is reported as what it is. Later bytes do not count, and it has no other effect."""
    for kind in KINDS:
        decoder = Decoder(MARK)
        decoder.feed(before)
        events = decoder.feed(mark(kind + b"1") + mark(b"X0") if kind else mark(kind) + mark(b"X0"))
        if kind and kind in right:
            assert not any(isinstance(event, Disorder) for event in events[:1])
        else:
            assert events == [Disorder(kind.decode("ascii", "replace"))]
            assert decoder.ended
            assert decoder.feed(b"more" + mark(b"X0")) == decoder.close() == []


def test_marks_before_the_start() -> None:
    """A begin that is not for a raw terminal, a refusal of any text, and an end with a reason."""
    for text, raw in ((b"r", True), (b"r\r", True), (b"c", False), (b"", False), (b"x", False), (b"rr", False)):
        assert decoded(mark(b"B" + text)) == [Begin(raw=raw)]
    assert decoded(mark(b"Br") + mark(b"Fd\xff\r")) == [Begin(raw=True), Refused("d\ufffd")]
    assert decoded(mark(b"Br") + mark(b"Xn")) == [Begin(raw=True), NotStarted()]
    assert decoded(mark(b"Br") + mark(b"X1")) == [Begin(raw=True), End(1)]
    assert decoded(BEGUN + mark(b"Xn")) == [Begin(raw=True), Started(), NotStarted()]


def test_nothing_comes_after_an_end() -> None:
    """Neither from later bytes, nor from the ones that were held back; nor twice."""
    decoder = Decoder(MARK)
    assert decoder.feed(BEGUN + b"a" + mark(b"X0") + b"b")[-1] == End(0)
    assert decoder.ended
    assert decoder.feed(b"c" + mark(b"X1")) == decoder.close() == []
    decoder = Decoder(MARK)
    decoder.feed(BEGUN + b"a" + MARK[:9])
    assert decoder.close() == [Stdout(MARK[:9])]
    assert decoder.close() == []


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_longest_mark(more: int) -> None:
    """4,096 bytes with its newline; one byte more, and it is output. Wherever it is cut, and without delay."""
    text = b"y" * (MAX_MARK - len(MARK) - 2 + more)
    frame = mark(b"p" + text)
    wanted: list[Event] = [Stderr(text)] if more <= 0 else [Stdout(frame)]
    for cut in (0, 1, len(MARK), len(frame) - 2, len(frame) - 1, len(frame)):
        decoder = Decoder(MARK)
        decoder.feed(BEGUN)
        events: list[Event] = []
        for data in (frame[:cut], frame[cut:] + mark(b"X0")):
            for event in decoder.feed(data):
                add(events, event)
        assert events == [*wanted, End(0)], cut
    decoder = Decoder(MARK)
    decoder.feed(BEGUN)
    decoder.feed(frame[: MAX_MARK - 1])
    told = decoder.feed(frame[MAX_MARK - 1 : MAX_MARK])
    assert bool(told) == (more >= 0)  # the byte that makes it complete, or too long


def test_only_the_beginning_of_a_mark_waits() -> None:
    """All other bytes are passed on at once, those that look like one included: a prompt must be seen."""
    decoder = Decoder(MARK)
    decoder.feed(BEGUN)
    for data in (b"\x1e\x1eabc", b"abc\x1e0123x", MARK[:-1] + b"x", b"\x1e" * 40 + b"y"):
        assert decoder.feed(data) == [Stdout(data)]
    for cut in range(1, len(MARK)):
        assert decoder.feed(b"a\x1e" + MARK[:cut]) == [Stdout(b"a\x1e")]
        assert decoder.feed(b"z") == [Stdout(MARK[:cut] + b"z")]


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
    restorer = ReplacementCharRestorer()
    got = b"".join(restorer.feed(wire[start : start + step]) for start in range(0, len(wire), step))
    assert got + restorer.close() == text


# --- There and back: the wrapper's frames, the terminal and the agent, in one line each

SAMPLES = [
    b"text",
    b"\xef\xbf\xbd",
    b"a\xef\xbf\xbdb\n",
    b"\xef\xbf\xbd" * 5 + b"\n",
    b"\xef\xbf\xbd\r\n\xef\xbf\xbd\n\n",
    "\ufeffbom \ufffc\uffff\uf000\n".encode(),
    "é€😀\n\ufffd€\ufffdé".encode(),
    b"\xff\xfe\xef binary \xef\n",
    b"\xff\xef\xef",
    b"\xc3\n\xe2\x82\n\xf0\x9f\x98",
    b"\r\n\r\r\n\n\r",
    b"\x1e\x1e\n\x1e",
    MARK[:-1] + b"\n" + MARK[:9],
    b"\0\x03\x04\x7f\n",
]


def on_the_wire(stdout: bytes, stderr: bytes, *, raw: bool) -> bytes:
    """Write a session as the container's side does, and change what the terminal and the agent change."""
    *lines, rest = stderr.split(b"\n")
    frames = b"".join(mark(b"e" + line) for line in lines) + (mark(b"p" + rest) if rest else b"")
    printed = mark(b"Br" if raw else b"Bc") + mark(b"S") + stdout + frames + stdout + mark(b"X5")
    printed = printed if raw else printed.replace(b"\n", b"\r\n")
    return printed.replace(b"\xef\xbf\xbd", b"\xef")


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("stdout", SAMPLES)
def test_what_is_printed_comes_back_wherever_it_is_cut(stdout: bytes, *, raw: bool) -> None:
    """On each stream, whatever the other one holds. The frames of the channel cut the wire at any byte."""
    for stderr in (b"", stdout, SAMPLES[2], SAMPLES[7]):
        wire = on_the_wire(stdout, stderr, raw=raw)
        for cut in (*range(1, len(wire)), 0):
            decoder = Decoder(MARK)
            events = decoder.feed(wire[:cut]) + decoder.feed(wire[cut:])
            texts = {Stdout: b"", Stderr: b""}
            for event in events:
                if isinstance(event, (Stdout, Stderr)):
                    assert event.data
                    texts[type(event)] += event.data
            assert texts == {Stdout: stdout * 2, Stderr: stderr}, (stderr, cut)
            assert events[-1] == End(5)
        assert decoded(wire, step=1) == decoded(wire)


def test_held_bytes_come_before_the_end() -> None:
    """A carriage return, an EF, or both, of each stream: they wait for the next byte, which is the end's."""
    wire = mark(b"Bc\r") + mark(b"S\r") + b"a\xef\r" + mark(b"pb\xef\r") + mark(b"X0\r")
    wanted: list[Event] = [Stdout(b"a"), Stderr(b"b"), Stdout(b"\xef\xbf\xbd\r"), Stderr(b"\xef\xbf\xbd")]
    assert decoded(wire)[2:] == [*wanted, End(0)]
    wire = BEGUN + b"a\xef" + mark(b"pb\xef")
    wanted[2] = Stdout(b"\xef\xbf\xbd")
    assert decoded(wire + mark(b"X0"))[2:] == [*wanted, End(0)]
    assert decoded(wire)[2:] == wanted  # a session that ends without a mark loses none


def test_a_stream_is_judged_by_its_own_bytes() -> None:
    """Binary output on one stream makes the other one no binary stream."""
    wire = BEGUN + b"\xff\xef." + mark(b"e\xef.") + b"\xef." + mark(b"X0")
    assert decoded(wire)[2:] == [Stdout(b"\xff\xef."), Stderr(b"\xef\xbf\xbd.\n"), Stdout(b"\xef."), End(0)]


def test_a_terminal_that_turns_raw() -> None:
    r"""A \r that waited for its \n is passed on, and from then on nothing is undone."""
    newlines = Newlines()
    assert newlines.feed(b"a\r\nb\r") == b"a\nb"
    newlines.undo = False
    assert newlines.feed(b"\nc\r\n\r") == b"\r\nc\r\n\r"
    assert newlines.close() == b""
    newlines.undo = True
    assert newlines.feed(b"d\r") == b"d"
    assert newlines.close() == b"\r"
    assert newlines.close() == b""


@given(st.binary(max_size=50), st.integers(1, 5))
def test_line_ends_are_undone_exactly(data: bytes, step: int) -> None:
    r"""A terminal turns each \n into \r\n and nothing else."""
    wire = data.replace(b"\n", b"\r\n")
    newlines = Newlines()
    got = b"".join(newlines.feed(wire[start : start + step]) for start in range(0, len(wire), step))
    assert got + newlines.close() == data
