"""Answers of HTTP: http.client of the standard library reads them as the plugin does."""

from __future__ import annotations

import http.client
import io
import random
import socket
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecs_exec.http_answer import AnswerParser, NotHttp

MOST = 2000
_VALUES = st.text("abc XYZ;/=-0123456789", max_size=30).map(str.strip)
_NAMES = st.sampled_from(["Content-Type", "x-amzn-ErrorType", "Date", "X-Y"])


class _Connection:
    """Stands for a socket that http.client reads."""

    def __init__(self, stream: bytes) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._stream)


@st.composite
def _answers(draw: st.DrawFn) -> bytes:
    body = draw(st.binary(max_size=400))
    status = draw(st.sampled_from([200, 200, 204, 302, 400, 403, 500, 503]))
    lines = [f"HTTP/1.{draw(st.integers(0, 1))} {status} {draw(_VALUES)}"]
    lines += [
        f"{name}:{' ' * draw(st.integers(0, 2))}{value}"
        for name, value in draw(st.dictionaries(_NAMES, _VALUES)).items()
    ]
    kind = draw(st.sampled_from(["length", "chunked", "end"]))
    if status == 204:
        kind, body = "none", b""
    if kind == "length":
        lines.append(f"Content-Length: {len(body)}")
    if kind == "chunked":
        lines.append("Transfer-Encoding: chunked")
        parts = [body[at : at + 70] for at in range(0, len(body), 70)]
        body = b"".join(b"%x%s\r\n%s\r\n" % (len(part), draw(st.sampled_from([b"", b";a=b"])), part) for part in parts)
        body += b"0\r\n" + draw(st.sampled_from([b"", b"X: y\r\n"])) + b"\r\n"
    early = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    return early + "\r\n".join([*lines, "", ""]).encode() + body


@settings(max_examples=200)
@given(_answers(), st.randoms(use_true_random=False))
def test_the_standard_library_reads_the_same(stream: bytes, rng: random.Random) -> None:
    """Status, headers and body, in whatever pieces they come."""
    theirs = http.client.HTTPResponse(cast("socket.socket", _Connection(stream)), method="POST")
    theirs.begin()
    body = theirs.read()
    parser, answer, at = AnswerParser(MOST), None, 0
    while answer is None:
        size = rng.choice((1, 5, 100, 5000))
        answer = parser.feed(stream[at : at + size])
        at += size
    assert (answer.status, answer.body) == (theirs.status, body)
    assert dict(answer.headers) == {name.lower(): value.strip() for name, value in theirs.getheaders()}
    assert not (answer.reusable and theirs.will_close)


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"", "closed before"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (b"HTTP/1.1 2000 x\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\nab", "closed before"),
        (b"HTTP/1.1 200 x\r\nContent-Length: -5\r\n\r\nab", "how long"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "how long"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 5000\r\n\r\nab", "too long"),
        (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n", "too long"),
        (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "how long"),
        (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "closed before"),
        (b"HTTP/1.1 200 x\r\n\r\n" + b"y" * 3000, "too long"),
        (b"HTTP/1.1 200 x\r\n" + b"a: b\r\n" * 200, "more than 100 headers"),
        (b"HTTP/1.1 200 " + b"x" * 20_000, "not HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, "no answer came"),
        (b"HTTP/1.0 101 x\r\nUpgrade: websocket\r\n\r\n", "cannot switch"),
        (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 200, "more than 100 headers"),
        (
            b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"1;%s\r\na\r\n" % (b"x" * 16_000)) * 110,
            "too long",
        ),
    ],
)
def test_what_is_no_complete_answer(stream: bytes, why: str) -> None:
    """A cut-off answer is never taken for a whole one."""
    parser = AnswerParser(MOST)

    def read() -> None:
        assert parser.feed(stream) is None
        parser.feed(b"")

    with pytest.raises(NotHttp, match=why):
        read()


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 x\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 200 x\r\nConnection: Upgrade, Close\r\n", False),
        (b"HTTP/1.0 200 x\r\n", False),
        (b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\n", False),
    ],
)
def test_which_connections_are_kept(head: bytes, reusable: bool) -> None:
    """Only those that the server keeps, and that still speak HTTP."""
    answer = AnswerParser(MOST).feed(head + b"Content-Length: 0\r\n\r\n")
    assert answer is not None
    assert answer.reusable == reusable


def test_a_length_that_comes_twice() -> None:
    """Some gateways add their own header."""
    answer = AnswerParser(MOST).feed(b"HTTP/1.1 200 x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab")
    assert answer is not None
    assert (answer.body, answer.reusable) == (b"ab", True)
