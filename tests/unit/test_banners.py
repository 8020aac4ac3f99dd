"""Separates session-manager-plugin's own words from the session's bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_exec.transport.banners import MAX_END, Banners

ID = "ecs-execute-command-0abc"
START = f"\nStarting session with SessionId: {ID}\n".encode()
KMS = b"This session is encrypted using AWS KMS.\n"
END = f"\n\nExiting session with sessionId: {ID}.\n\n".encode()


def filtered(data: bytes, step: int = 0) -> tuple[bytes, Banners]:
    """Give the session's bytes of what the program printed."""
    banners = Banners(ID)
    step = step or len(data) or 1
    got = b"".join(banners.feed(data[start : start + step]) for start in range(0, len(data), step))
    return got + banners.close(), banners


@pytest.mark.parametrize("step", [0, 1, 2, 3, 5, 8, 13, 40])
@pytest.mark.parametrize(
    ("printed", "text", "reason", "ended"),
    [
        (START + b"hello\r\n" + END, b"hello\r\n", "", True),
        (START + KMS + b"hello" + END, b"hello", "", True),
        (START + KMS[:10] + b"hello" + END, KMS[:10] + b"hello", "", True),
        (START + END, b"", "", True),
        (START + b"\n\n\n\n" + END, b"\n\n\n\n", "", True),
        (START + b"x" + f"\n\nSessionId: {ID} : it is\nover\n\n".encode(), b"x", "it is\nover", True),
        (START + f"Session: {ID} timed out.\n".encode(), b"", f"Session: {ID} timed out.", True),
        (
            START + b"part\nCannot perform start session: EOF\n",
            b"part\nCannot perform start session: EOF\n",
            "Cannot perform start session: EOF",
            False,
        ),
        (
            START + b"Cannot perform start session: broken pipe\n",
            b"",
            "Cannot perform start session: broken pipe",
            False,
        ),
        (START + b"Cannot per" + END, b"Cannot per", "", True),
        (START + b"cut off", b"cut off", "", False),
        (START[:9], b"", "", False),
        (b"AWS_SECRET_ACCESS_KEY=x\n" + KMS, b"", "", False),
        (b"Cannot perform start session: AWS_SECRET_ACCESS_KEY=x\n", b"", "", False),
        (END + b"AWS_SECRET_ACCESS_KEY=x\n", b"", "", False),
        (b"a warning of its own\n" * 9 + START + KMS + b"hello" + END, b"hello", "", True),
        (START + END.replace(b"0abc", b"1abc") + b"more" + END, END.replace(b"0abc", b"1abc") + b"more", "", True),
    ],
)
def test_what_is_the_sessions_and_what_is_not(printed: bytes, text: bytes, reason: str, ended: bool, step: int) -> None:
    """However the program's output is cut into pieces."""
    got, banners = filtered(printed, step)
    assert (got, banners.reason, banners.ended) == (text, reason, ended)


@given(st.binary(max_size=80), st.integers(1, 30))
def test_any_output_passes(data: bytes, step: int) -> None:
    """Between the banners nothing is changed."""
    data = data.replace(b"Session", b"")
    got, banners = filtered(START + data + END, step)
    assert got == (data.removeprefix(KMS))
    assert banners.ended


def test_output_is_not_held_back() -> None:
    """Only what may be the beginning of a banner waits, and not for ever."""
    banners = Banners(ID)
    assert banners.feed(START + b"prompt: ") == b"prompt: "
    assert banners.feed(b"a\n") == b"a"
    assert banners.feed(b"b\n\n") == b"\nb"
    fake = END[:-3] + b"x" * MAX_END
    assert len(banners.feed(fake + b"y" * 100)) > MAX_END


def test_the_programs_silence_ends_the_waiting() -> None:
    """A banner comes in one piece, so what is still alone after a while is the session's."""
    banners = Banners(ID)
    assert banners.feed(START[:5]) == b""
    assert not banners.waiting
    assert banners.feed(START[5:] + b"line\n") == b"line"
    assert banners.waiting
    assert banners.release() == b"\n"
    assert not banners.waiting
    assert banners.feed(b"\nmore") == b"\nmore"
    assert banners.feed(END) == b""
    assert not banners.waiting
    assert banners.close() == b""


def test_first_words_like_the_programs_wait_a_little() -> None:
    """They are its refusal when they are all of it, and are released when nothing follows."""
    banners = Banners(ID)
    assert banners.feed(START + b"Can") == b""
    assert banners.waiting
    assert banners.release() == b"Can"
    assert banners.feed(b"not perform start session: no") == b"not perform start session: no"


def test_a_refusal_that_goes_on_is_output() -> None:
    """It is not held back for ever, nor kept in memory."""
    banners = Banners("id")
    banners.feed(b"\nStarting session with SessionId: id\n")
    given = b"".join(banners.feed(b"Cannot perform start session: " + b"x" * 1000) for _ in range(100))
    assert len(given) > 80_000
    banners.close()
    assert len(banners.reason) <= 2000
