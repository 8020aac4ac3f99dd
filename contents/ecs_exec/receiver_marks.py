r"""Separates what the receiver of a file prints from the rest of a session's output; see `receiver` for its marks."""

from __future__ import annotations

from ecs_exec.output import MAX_MARK, Newlines, held_back
from ecs_exec.record import Record


class Said(Record):
    """A mark of the receiver."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        """Take what stands behind the word."""
        self.text = text


class SentBack(Record):
    """Bytes of the file, as it was received."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Take any number of them."""
        self.data = data


class Rest(Record):
    """What the receiver did not print."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Take any number of bytes."""
        self.data = data


Piece = Said | SentBack | Rest


class Separator:
    """Takes a session's output as it comes, in pieces of any size. Does no I/O."""

    def __init__(self, mark: bytes) -> None:
        """Take what begins each mark of the receiver."""
        self._mark = mark
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
            end = pending.find(b"\n", at, at + MAX_MARK)
            if end < 0 and len(pending) - at < MAX_MARK:
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
        """Return what was held back."""
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
