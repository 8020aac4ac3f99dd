"""Parses the answer to one HTTP request. Does no I/O: bytes go in, the answer comes out.

http.client of the standard library is not used: with what it imports, it takes as long as the rest of a call.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping

from ecs_exec.record import NamedTuple

_LONGEST_LINE = 16 * 1024
_MOST_HEADERS = 100
_MOST_INTERIM = 10
"""Most answers, such as 100 Continue, that announce another one."""

_MOST_AROUND = _MOST_HEADERS * _LONGEST_LINE
"""Most bytes of an answer that are not its body."""

_SWITCHING = 101
_NO_BODY = frozenset((_SWITCHING, 204, 304))
"""Statuses whose answers have no body. Behind 101, the bytes belong to another protocol."""


class NotHttp(ValueError):
    """The answer is not HTTP, or is not complete."""


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case. Values of a name that comes twice are joined with commas."""
    body: bytes
    reusable: bool
    """Whether the connection can carry another request."""

    def __repr__(self) -> str:
        """Show only the status: the body may hold keys."""
        return f"Answer({self.status})"


class AnswerParser:
    """Takes one answer in pieces."""

    def __init__(self, largest: int) -> None:
        """Take the largest body, in bytes."""
        self._largest = largest
        self._data = bytearray()
        self._taken = 0
        self.ended = False
        """The connection's end came."""
        self._parsing = self._parse()
        self._answer: Answer | None = None

    @property
    def rest(self) -> bytes:
        """The bytes behind the answer."""
        return bytes(self._data)

    def feed(self, data: bytes) -> Answer | None:
        """Take bytes, none at the connection's end; return the answer once it is complete. Raises NotHttp."""
        self._data += data
        self.ended = self.ended or not data
        if self._answer is None:
            self._taken += len(data)
            if self._taken > self._largest + _MOST_AROUND:
                raise NotHttp("the answer is too long")
            try:
                next(self._parsing)
            except StopIteration as stop:
                self._answer = stop.value
        return self._answer

    # Each of the following generators yields when it needs more bytes.

    def _parse(self) -> Generator[None, None, Answer]:
        for _ in range(_MOST_INTERIM):
            version, status = _status((yield from self._line()))
            headers = yield from self._headers()
            if status >= 200 or status in _NO_BODY:  # noqa: PLR2004 - the other statuses below announce another answer
                break
        else:
            raise NotHttp(f"no answer came behind {_MOST_INTERIM} that announce one")
        length = headers.get("content-length")
        if status == _SWITCHING and version == "HTTP/1.0":
            raise NotHttp("HTTP/1.0 cannot switch to another protocol")
        kept = version == "HTTP/1.1" and "close" not in headers.get("connection", "").lower()
        reusable = kept and status != _SWITCHING
        if status in _NO_BODY:
            body = b""
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            body = yield from self._chunks()
        elif length is not None:
            # Some gateways send the header twice.
            first, *others = {each.strip() for each in length.split(",")}
            body = yield from self._take(self._size("" if others else first, 10))
        else:
            body, reusable = (yield from self._all()), False
        return Answer(status, headers, body, reusable)

    def _line(self) -> Generator[None, None, str]:
        while (end := self._data.find(b"\n")) < 0:
            if len(self._data) > _LONGEST_LINE:
                raise NotHttp("the answer is not HTTP")
            yield from self._more()
        line = self._data[:end].decode("latin-1").rstrip("\r")
        del self._data[: end + 1]
        return line

    def _headers(self) -> Generator[None, None, dict[str, str]]:
        found: dict[str, str] = {}
        for _ in range(_MOST_HEADERS):
            line = yield from self._line()
            if not line:
                return found
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            found[name] = f"{found[name]}, {value}" if name in found else value
        raise NotHttp(f"the answer has more than {_MOST_HEADERS} headers")

    def _chunks(self) -> Generator[None, None, bytes]:
        body = bytearray()
        while size := self._size((yield from self._line()).partition(";")[0], 16):
            if len(body) + size > self._largest:
                raise NotHttp("the answer is too long")
            body += yield from self._take(size)
            yield from self._line()
        yield from self._headers()  # those behind the body say nothing
        return bytes(body)

    def _size(self, text: str, base: int) -> int:
        try:
            size = int(text.strip(), base)
        except ValueError:
            size = -1
        if size < 0:
            raise NotHttp("the answer does not say how long it is")
        if size > self._largest:
            raise NotHttp("the answer is too long")
        return size

    def _take(self, size: int) -> Generator[None, None, bytes]:
        while len(self._data) < size:
            yield from self._more()
        with memoryview(self._data) as all_, all_[:size] as piece:
            taken = bytes(piece)  # without a copy in between: bodies are large
        del self._data[:size]
        return taken

    def _all(self) -> Generator[None, None, bytes]:
        """Take all until the connection's end."""
        while not self.ended:
            if len(self._data) > self._largest:
                raise NotHttp("the answer is too long")
            yield
        return (yield from self._take(len(self._data)))

    def _more(self) -> Generator[None, None, None]:
        if self.ended:
            raise NotHttp("the connection was closed before a complete answer came")
        yield


def _status(line: str) -> tuple[str, int]:
    version, _, rest = line.partition(" ")
    status = rest.partition(" ")[0]
    if version not in {"HTTP/1.1", "HTTP/1.0"} or len(status) != 3 or not (status.isdecimal() and status.isascii()):  # noqa: PLR2004
        raise NotHttp("the answer is not HTTP")
    return version, int(status)
