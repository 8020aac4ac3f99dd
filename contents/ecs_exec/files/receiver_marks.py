r"""Separates what the receiver of a file prints from the rest of a session's output; see `receiver` for its marks."""

from __future__ import annotations

from ecs_exec.command.decoder import MAX_MARK, Newlines, held_back
from ecs_exec.record import Record


class Said(Record):
    """A mark of the receiver; see `receiver` for the kinds."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        """Take the mark's text, without the random word."""
        self.text = text


class SentBack(Record):
    """Bytes of the received file, sent back for comparison."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Take one byte or more."""
        self.data = data


class Rest(Record):
    """Output that the receiver did not print: that of the session's script or of a startup file."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Take one byte or more."""
        self.data = data


Piece = Said | SentBack | Rest


class Separator:
    """Finds the receiver's marks in a session's output, which comes in pieces of any size. Does no I/O."""

    def __init__(self, mark: bytes, most: int = MAX_MARK) -> None:
        """Take the beginning of each mark of the receiver, and the most bytes of one."""
        self._mark = mark
        self._most = most
        self._pending = b""
        self._between = False
        self._newlines = Newlines(undo=False)

    def feed(self, data: bytes, *, raw: bool) -> list[Piece]:
        r"""Return the pieces that `data` completes. If not `raw`, the terminal prints \r\n for \n."""
        self._newlines.undo = not raw
        pending = self._pending + data
        pieces: list[Piece] = []
        start = 0
        while (at := pending.find(self._mark, start)) >= 0:
            self._take_plain(pending[start:at], pieces)
            start = at
            end = pending.find(b"\n", at, at + self._most)
            if end < 0 and len(pending) - at < self._most:
                break
            if end < 0:  # text that looks like a mark
                start = at + len(self._mark)
                self._take_plain(pending[at:start], pieces)
                continue
            self._take_mark(pending[at + len(self._mark) : end], pieces)
            start = end + 1
        if at < 0:
            end = len(pending) - held_back(pending, self._mark)
            self._take_plain(pending[start:end], pieces)
            start = max(start, end)
        self._pending = pending[start:]
        return pieces

    def close(self) -> bytes:
        """Return the bytes that were held back as the possible beginning of a mark."""
        held, self._pending = self._pending, b""
        return held

    def _take_plain(self, data: bytes, pieces: list[Piece]) -> None:
        if self._between:
            data = self._newlines.feed(data)
        if data:
            pieces.append(SentBack(data) if self._between else Rest(data))

    def _take_mark(self, mark: bytes, pieces: list[Piece]) -> None:
        text = mark.removesuffix(b"\r") if self._newlines.undo else mark
        if self._between and (held := self._newlines.close()):
            pieces.append(SentBack(held))
        self._between = text == b"<"
        pieces.append(Said(text))
