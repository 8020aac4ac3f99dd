"""U+FFFD in a stream, against the rule as it is written down: one byte at a time, and slow."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_exec.command.decoder import ReplacementCharRestorer

HISTORY = 4096
CONTINUATIONS = bytes(range(0x80, 0xC0))
ATOMS = [b"\xef", b"\xef\xbf\xbd", b"a", b"\x80", "é".encode(), b"\xe2\x82", b"\xff", "😀".encode(), b"\xef\xbb"]
LONG = [b"x" * 4000, b"y" * 4096, b"\x80" * 4090, "é".encode() * 2050, b"\xef" * 20]

streams = st.lists(st.sampled_from(ATOMS + LONG), max_size=30).map(b"".join)


def restored(stream: bytes) -> bytes:
    """Restore each EF that no continuation byte follows, if the output before it is text."""
    out = bytearray()
    for at, byte in enumerate(stream):
        lone = byte == 0xEF and not 0x80 <= next(iter(stream[at + 1 : at + 2]), 0) < 0xC0
        out += b"\xef\xbf\xbd" if lone and is_text(bytes(out[-HISTORY:])) else bytes([byte])
    return bytes(out)


def is_text(history: bytes) -> bool:
    """Return whether the bytes before an EF are UTF-8; a character may be cut at the beginning."""
    try:
        (history.lstrip(CONTINUATIONS) if len(history) == HISTORY else history).decode()
    except UnicodeDecodeError:
        return False
    return True


def pieces_of(stream: bytes, *cuts: int) -> bytes:
    """Restore a stream that is cut at some places."""
    restorer = ReplacementCharRestorer()
    got = b"".join(restorer.feed(stream[start:end]) for start, end in itertools.pairwise([0, *cuts, len(stream)]))
    return got + restorer.close() + restorer.close()


def test_all_short_streams() -> None:
    """Of bytes that matter: an EF, what may follow it and what may not, a beginning without an end, a wrong byte."""
    for length in range(6):
        for each in itertools.product(b"\xef\x80\xbf\xc3a\xff", repeat=length):
            stream = bytes(each)
            wanted = restored(stream)
            assert pieces_of(stream) == wanted, stream
            assert pieces_of(stream, *range(1, length)) == wanted, stream


@pytest.mark.parametrize("before", [b"", b"a", b"\xef.", b"\xff", b"\xff\xef.", b"\xff\xef" * 3])
def test_every_byte_behind_an_ef(before: bytes) -> None:
    """A continuation byte makes it no lone one; text and binary data before it make a difference."""
    for byte in range(256):
        for behind in (b"", b"a", b"\xbf", b"\xef"):
            stream = before + bytes([0xEF, byte]) + behind
            assert pieces_of(stream) == pieces_of(stream, len(before) + 1) == restored(stream), stream


@pytest.mark.parametrize("far", [1, 2, HISTORY - 1, HISTORY, HISTORY + 1])
@pytest.mark.parametrize(
    "filler", [b"a", b"\n", "é".encode(), "€".encode(), "😀".encode(), "\uffff".encode(), "\uf000".encode()]
)
def test_how_far_a_wrong_byte_counts(far: int, filler: bytes) -> None:
    """Just as far as the history, for the first lone EF behind it and for the one behind that."""
    between = (filler * HISTORY)[-(far - 1) :] if far > 1 else b""
    for start in (b"\xff", b"a\xff\xef"):
        stream = start + between + b"\xef." + between + b"\xef." + b"\xef"
        wanted = restored(stream)
        for cuts in ((), (len(start),), (len(start) + len(between),), (len(start) + len(between) + 1, len(stream) - 1)):
            assert pieces_of(stream, *cuts) == wanted


def test_characters_at_the_edge_of_a_step() -> None:
    """Long text is decoded in steps: a character at the end of one may begin with the byte of a lone EF."""
    for at in range(4 * HISTORY - 3, 4 * HISTORY + 3):
        for odd in (b"\xef\xbb\xbf", b"\xef", b"\xef\xef", "😀".encode(), b"\xff", b"\xef\x80"):
            stream = b"\xef" + b"a" * (at - 1) + odd + b"bc\xef."
            assert pieces_of(stream) == restored(stream)


@given(streams, st.lists(st.integers(0, 20_000), max_size=4))
def test_every_lone_ef_is_judged_by_what_is_before_it(stream: bytes, cuts: list[int]) -> None:
    """However the stream is cut into pieces."""
    assert pieces_of(stream, *sorted(cut for cut in cuts if cut < len(stream))) == restored(stream)
