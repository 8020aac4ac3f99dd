r"""From the bytes of a session's terminal to stdout, stderr and the exit status.

What `shell` makes the container print. All that comes before the begin mark is dropped. NONCE is the session's random
word. The container's side learns it from the client's first word, so nothing that runs before can print a mark.

    \x1e NONCE B r \n    begin; `r`: the terminal is raw, `c`: it could not be made so and prints \r\n for \n
    \x1e NONCE A \n      one line of a command that is sent through the channel was taken
    \x1e NONCE F x \n    the command was not started, for the reason x
    \x1e NONCE S \n      the command is being started; what came before was no output of its own
    \x1e NONCE e TEXT \n one line of stderr
    \x1e NONCE p TEXT \n a piece of stderr with no newline of its own
    \x1e NONCE X n \n    end, with the exit status n; without it the end was not seen. `n` itself: it was not started
    all else             stdout

A mark that cannot come at its place was made by someone who has read the word in the memory of the container's side. It
ends the session, and counts for nothing else: see `_MAY_FOLLOW`.

A frame of stderr and a mark are each written in one piece to the pipe that leads to the terminal, so stdout is never in
the middle of one, however busy both are.
"""

from __future__ import annotations

import re

from ecs_exec.record import Record

MAX_MARK = 4096
"""Longest mark or stderr frame, in bytes; the container's side makes none longer than 512."""

MAX_PREAMBLE = 2048
"""Bytes kept of what came before the begin mark, to tell what the container said in place of it."""

_HISTORY = 4096
"""Bytes before a lone EF that decide whether the stream is text."""


class Begin(Record):
    """The container's side is ready."""

    __slots__ = ("raw",)

    def __init__(self, raw: bool) -> None:
        """If not `raw`, the terminal echoes its input and holds no line longer than 4,095 bytes."""
        self.raw = raw


class Taken(Record):
    """One line of a command sent through the channel has arrived."""

    __slots__ = ()


class Refused(Record):
    """The command was not started."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        """Take why, see `dialogue`."""
        self.code = code


class Started(Record):
    """The command is being started; what is printed from now on is its own."""

    __slots__ = ()


class NotStarted(Record):
    """The command was not started, as the processes around it could not be."""

    __slots__ = ()


class Disorder(Record):
    """A mark came where the container's side makes none of its kind; nothing that follows counts."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        """Take the kind of that mark."""
        self.kind = kind


class Stdout(Record):
    """Bytes of the command's stdout."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Take any number of them."""
        self.data = data


class Stderr(Record):
    """Bytes of the command's stderr."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Take any number of them."""
        self.data = data


class End(Record):
    """The command is over and all of its output was seen."""

    __slots__ = ("status",)

    def __init__(self, status: int | None) -> None:
        """Take its exit status, 128+n where signal n ended it; None where the container's side could not tell."""
        self.status = status


Event = Begin | Taken | Refused | Started | NotStarted | Disorder | Stdout | Stderr | End

_MAY_FOLLOW = {b"": (b"B",), b"B": (b"A", b"F", b"S", b"X"), b"S": (b"e", b"p", b"X")}
"""The marks that may come first, after the begin, and after the command was started."""


class Decoder:
    """Takes a session's output as it comes, in pieces of any size, and gives events in order. Does no I/O."""

    def __init__(self, mark: bytes) -> None:
        """Take what begins each mark of this session."""
        self._mark = mark
        self._pending = b""
        self._preamble = b""
        self._newlines = Newlines()
        self._stdout = Restorer()
        self._stderr = Restorer()
        self._state = b""
        """The last mark that changed what may follow: none, B or S."""
        self.ended = False

    @property
    def started(self) -> bool:
        """Return whether the command is being started, or was."""
        return self._state == b"S"

    @property
    def preamble(self) -> bytes:
        """The last of what came in place of, or before, the command's own output."""
        return self._preamble if self.started else (self._preamble + self._pending)[-MAX_PREAMBLE:]

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes. What follows the end mark is dropped."""
        if self.ended:
            return []
        pending = self._pending + data
        events: list[Event] = []
        start = 0
        while not self.ended:
            at = pending.find(self._mark, start)
            if at < 0:
                start = self._take_plain(pending, start, len(pending) - held_back(pending, self._mark), events)
                break
            start = self._take_plain(pending, start, at, events)
            end = pending.find(b"\n", at, at + MAX_MARK)
            if end < 0 and len(pending) - at < MAX_MARK:
                break
            if end < 0:  # no mark of ours: text that looks like one
                start = self._take_plain(pending, at, at + len(self._mark), events)
                continue
            self._take_mark(pending[at + len(self._mark) : end], events)
            start = end + 1
        self._pending = pending[start:]
        return events

    def close(self) -> list[Event]:
        """Return what was held back, at a session's end without an end mark."""
        events: list[Event] = []
        if not self.ended:
            self._take_plain(self._pending, 0, len(self._pending), events)
            self._pending = b""
            self._flush(events)
        return events

    def _take_plain(self, data: bytes, start: int, end: int, events: list[Event]) -> int:
        """Take what stands between marks; return where it ends."""
        if end <= start:
            return start
        if not self.started:  # an echo, or what the container says in place of the begin mark
            self._preamble = (self._preamble + data[start:end])[-MAX_PREAMBLE:]
        elif text := self._stdout.feed(self._newlines.feed(data[start:end])):
            events.append(Stdout(text))
        return end

    def _take_mark(self, mark: bytes, events: list[Event]) -> None:
        kind, text = mark[:1], mark[1:]
        if kind not in _MAY_FOLLOW[self._state]:
            self.ended = True
            events.append(Disorder(kind.decode("ascii", "replace")))
        elif kind in b"ep":
            text = text.removesuffix(b"\r") if self._newlines.undo else text
            if data := self._stderr.feed(text + b"\n" if kind == b"e" else text):
                events.append(Stderr(data))
        else:
            # The command may have made the terminal print \r\n; no mark holds a \r of its own.
            self._take_change(kind, text.rstrip(b"\r"), events)

    def _take_change(self, kind: bytes, text: bytes, events: list[Event]) -> None:
        """Take a mark that is no output."""
        if kind == b"A":
            events.append(Taken())
        elif kind == b"F":
            events.append(Refused(text.decode("ascii", "replace")))
        elif kind == b"X":
            self._flush(events)
            self.ended = True
            events.append(NotStarted() if text == b"n" else End(_exit_status(text)))
        else:
            self._state = kind
            events.append(Started() if kind == b"S" else self._begin(text))

    def _begin(self, text: bytes) -> Begin:
        self._newlines.undo = text != b"r"
        return Begin(text == b"r")

    def _flush(self, events: list[Event]) -> None:
        if text := self._stdout.feed(self._newlines.close()) + self._stdout.close():
            events.append(Stdout(text))
        if text := self._stderr.close():
            events.append(Stderr(text))


def held_back(data: bytes, mark: bytes) -> int:
    """Return how many bytes at the end of `data` may be the beginning of a mark."""
    at = data.rfind(mark[:1], max(0, len(data) - len(mark) + 1))
    return len(data) - at if at >= 0 and mark.startswith(data[at:]) else 0


def _exit_status(text: bytes) -> int | None:
    """Read the status that the container's shell gave. For a signal ksh93 gives 256+n, yash 384+n, the others 128+n."""
    if not re.fullmatch(rb"[0-9]{1,3}", text):
        return None
    status = int(text)
    return status if status <= 255 else 128 + (status - 256) % 128  # noqa: PLR2004


class Newlines:
    r"""Undoes what a terminal with ONLCR does: exactly, as it prints every \n as \r\n and leaves all else alone."""

    def __init__(self, *, undo: bool = True) -> None:
        """Begin as the terminal does; whoever learns that it is raw sets `undo` to False."""
        self.undo = undo
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        r"""Return `data` with each \r\n as \n; a \r at its end waits for what follows."""
        data = self._held + data
        self._held = b""
        if not self.undo:
            return data
        if data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        return data.replace(b"\r\n", b"\n")

    def close(self) -> bytes:
        """Return what was held back."""
        held, self._held = self._held, b""
        return held


_LONE = re.compile(rb"\xef(?![\x80-\xbf])")
_LAST_LONE = re.compile(rb"(?s:.{0,%d})\xef(?![\x80-\xbf])" % (_HISTORY - 1))
_CONTINUATIONS = bytes(range(0x80, 0xC0))
_EF = 0xEF
_ESCAPED_EF = "\udcef"
_ESCAPED_OTHERS = re.compile("[\udc80-\udcee\udcf0-\udcff]")
_LAST_ESCAPED_CONTINUATION = "\udcbf"
_STRETCH = 4 * _HISTORY
"""Bytes that are looked at in one go: what turns binary behind every lone EF is not read to its end each time."""


class Restorer:
    """Gives U+FFFD back in text: the agent sends it as a lone EF.

    An EF that no continuation byte follows is restored unless the 4,096 bytes before it hold other bytes that are not
    UTF-8: then the stream is binary and the EF was there. The wire does not tell the two apart.
    """

    def __init__(self) -> None:
        """Begin with no history."""
        self._held = b""
        self._history = b""

    def feed(self, data: bytes) -> bytes:
        """Return the stream so far as known; an EF at its end waits for what follows."""
        data = self._held + data
        self._held = b""
        if data.endswith(b"\xef"):
            data, self._held = data[:-1], b"\xef"
        return self._restore(data)

    def close(self) -> bytes:
        """Return what was held back."""
        held, self._held = self._held, b""
        return self._restore(held)

    def _restore(self, data: bytes) -> bytes:
        """Return `data` with what was U+FFFD.

        It goes through lone EFs a stretch at a time, so that they cost little more than other bytes.
        """
        pieces: list[bytes] = []
        start = 0
        while lone := _LONE.search(data, start):
            at = lone.start()
            self._give(pieces, data[start:at])
            if self._is_text():
                text, start = _text_from(data, at)
                self._give(pieces, text.replace(_ESCAPED_EF, "\ufffd").encode())
            else:
                start = _end_of_binary(data, at)
                self._give(pieces, data[at:start])
        self._give(pieces, data[start:])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _give(self, pieces: list[bytes], piece: bytes) -> None:
        """Give out the next bytes of the stream."""
        pieces.append(piece)
        self._history = (self._history + piece)[-_HISTORY:] if len(piece) < _HISTORY else piece[-_HISTORY:]

    def _is_text(self) -> bool:
        """Return whether the history is UTF-8, except for a character cut at its beginning."""
        history = self._history.lstrip(_CONTINUATIONS) if len(self._history) == _HISTORY else self._history
        try:
            history.decode()
        except UnicodeDecodeError:
            return False
        return True


def _text_from(data: bytes, at: int) -> tuple[str, int]:
    """Return the UTF-8 that begins with the lone EF at `at`, and where it ends; each lone EF in it is a surrogate.

    Decoding goes over any number of them without a step of Python for each.
    """
    end = min(at + _STRETCH, len(data))
    if end < len(data) and data[end - 1] == _EF:
        end -= 1  # what follows tells whether it is a lone one
    text = data[at:end].decode(errors="surrogateescape")
    other = _ESCAPED_OTHERS.search(text)
    if other is None:
        return text, end
    before = other.start()
    # An EF whose continuation bytes are too few is a wrong byte and not a lone one.
    before -= text[before - 1] == _ESCAPED_EF and other[0] <= _LAST_ESCAPED_CONTINUATION
    text = text[:before]
    return text, at + len(text.encode(errors="surrogateescape"))


def _end_of_binary(data: bytes, at: int) -> int:
    """Return the end of the last lone EF of a chain that begins at `at`.

    Each makes the history of the next one binary that is not farther than a history away.
    """
    while later := _LAST_LONE.match(data, at + 1):
        at = later.end() - 1
    return at + 1
