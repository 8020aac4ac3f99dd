"""U+FFFD in a stream, against the rule as it is written down: one byte at a time, and slow."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ecs_exec.output import Restorer

HISTORY = 4096
CONTINUATIONS = bytes(range(0x80, 0xC0))
ATOMS = [b"\xef", b"\xef\xbf\xbd", b"a", b"\x80", "é".encode(), b"\xe2\x82", b"\xff", "😀".encode(), b"\xef\xbb"]
LONG = [b"x" * 4000, b"y" * 4096, b"\x80" * 4090, "é".encode() * 2050, b"\xef" * 20]

streams = st.lists(st.sampled_from(ATOMS + LONG), max_size=30).map(b"".join)


def restored(stream: bytes) -> bytes:
    """Restore each EF that no continuation byte follows, where what was given out before it is text."""
    out = bytearray()
    for at, byte in enumerate(stream):
        lone = byte == 0xEF and stream[at + 1 : at + 2] not in [bytes([each]) for each in CONTINUATIONS]
        out += b"\xef\xbf\xbd" if lone and is_text(bytes(out[-HISTORY:])) else bytes([byte])
    return bytes(out)


def is_text(history: bytes) -> bool:
    """Return whether the bytes before an EF are UTF-8; a character may be cut at the beginning."""
    try:
        (history.lstrip(CONTINUATIONS) if len(history) == HISTORY else history).decode()
    except UnicodeDecodeError:
        return False
    return True


@given(streams, st.lists(st.integers(0, 20_000), max_size=4))
def test_every_lone_ef_is_judged_by_what_is_before_it(stream: bytes, cuts: list[int]) -> None:
    """However the stream is cut into pieces."""
    restorer = Restorer()
    places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    got = b"".join(restorer.feed(stream[start:end]) for start, end in itertools.pairwise(places))
    assert got + restorer.close() == restored(stream)
