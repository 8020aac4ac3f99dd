"""Lines of several commands in one log."""

from __future__ import annotations

import pytest

from ecs_exec.steps import line_joiner
from ecs_exec.steps.line_joiner import Lines, short_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a\nb\n", [b"t: a\n", b"t: b\n"]),
        (b"a\r\nb", [b"t: a\n", b"t: b\n"]),
        (b"1%\r2%\r\n", [b"t: 1%\n", b"t: 2%\n"]),
        (b"\n\nx", [b"t: \n", b"t: \n", b"t: x\n"]),
        (b"end\r", [b"t: end\n"]),
        (b"", []),
    ],
)
def test_however_it_comes(text: bytes, expected: list[bytes]) -> None:
    """Whole, or byte by byte: the same lines."""
    for size in (1, 2, 3, len(text) or 1):
        taken = Lines("t: ")
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        found = [line for piece in pieces for line in taken.receive(piece)] + list(taken.finish())
        assert found == expected


def test_a_line_without_an_end_is_cut() -> None:
    """So that a command that prints no line end does not fill the memory."""
    taken = Lines("t: ")
    found = list(taken.receive(b"x" * (2 * line_joiner.MAX_LINE + 1)))
    assert [len(line) for line in found] == [line_joiner.MAX_LINE + 4] * 2
    assert list(taken.finish()) == [b"t: x\n"]


def test_short_names_tell_apart() -> None:
    """As long as it takes, and at least eight characters."""
    assert short_names(["0123456789a", "0123456788b"]) == {"0123456789a": "0123456789", "0123456788b": "0123456788"}
    assert short_names(["abcdefghijk"]) == {"abcdefghijk": "abcdefgh"}
