r"""Decodes the bytes of a session's terminal into stdout, stderr and the exit status.

These are the marks that the script of `shell_wrapper` prints. All output before the begin mark is dropped. NONCE is the
session's random word. The container's side learns it from the client's first word, so nothing that runs before can
print a mark.

    \x1e NONCE B r \n    begin; `r`: the terminal is raw, `c`: it could not be made so and prints \r\n for \n
    \x1e NONCE A \n      one line of a command that is sent through the channel was received
    \x1e NONCE F x \n    the command was not started, for the reason x
    \x1e NONCE S \n      the command is being started; output before this mark is not the command's
    \x1e NONCE e TEXT \n one line of stderr
    \x1e NONCE p TEXT \n a piece of stderr with no newline of its own
    \x1e NONCE L \n      the answer to a PING
    \x1e NONCE X n \n    end, with the exit status n; without it the end was not seen. `n` itself: it was not started
    everything else      stdout

A mark out of order was made by a process that has read the word in the memory of the container's side. It ends the
session and has no other effect: see `_MAY_FOLLOW`.

A frame of stderr and a mark are each written in one piece to the pipe that leads to the terminal. So stdout never comes
in the middle of one, however busy both are.

The answer to a PING is the exception: it goes to the terminal directly. The process that reads the pipe writes pieces
that may end anywhere, so an answer may come in the middle of a frame, of a mark or of a character. So answers are
removed before anything else is decoded.
"""

from __future__ import annotations

import re

from ecs_exec.record import Record

MAX_MARK = 4096
"""Longest mark or stderr frame that is accepted, in bytes. The container's side makes none longer than 512."""

MAX_PREAMBLE = 2048
"""Bytes that are kept of the output before the command's start. An error quotes them if the start fails."""

_HISTORY = 4096
"""Bytes before a lone EF byte that decide whether the stream is text."""


class Begin(Record):
    """The container's side is ready."""

    __slots__ = ("raw",)

    def __init__(self, raw: bool) -> None:
        """Take whether the terminal is raw. If not, it echoes its input and holds no line longer than 4,095 bytes."""
        self.raw = raw


class Taken(Record):
    """One line of a command sent through the channel has arrived."""

    __slots__ = ()


class Refused(Record):
    """The command was not started."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        """Take the letter of the reason; `script_protocol` has the words."""
        self.code = code


class Started(Record):
    """The command is being started; from now on the output is the command's."""

    __slots__ = ()


class NotStarted(Record):
    """The command was not started, because the processes around it could not be started."""

    __slots__ = ()


class Disorder(Record):
    """A mark came out of order; nothing that follows counts."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        """Take the mark's kind, its first character."""
        self.kind = kind


class Stdout(Record):
    """Bytes of the command's stdout."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Take one byte or more."""
        self.data = data


class Stderr(Record):
    """Bytes of the command's stderr."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Take one byte or more."""
        self.data = data


class End(Record):
    """The command is over, and all of its output was decoded."""

    __slots__ = ("status",)

    def __init__(self, status: int | None) -> None:
        """Take its exit status, 128+n if signal n ended it; None if the container's side did not report a number."""
        self.status = status


Event = Begin | Taken | Refused | Started | NotStarted | Disorder | Stdout | Stderr | End

_MAY_FOLLOW = {b"": (b"B",), b"B": (b"A", b"F", b"S", b"X"), b"S": (b"e", b"p", b"X")}
"""Kinds of marks that may come first, after the begin mark, and after the command was started."""


class Decoder:
    """Decodes a session's output, which comes in pieces of any size, into events in order. Does no I/O."""

    def __init__(self, mark: bytes) -> None:
        """Take the beginning of each mark of this session: the byte 1E and the random word."""
        self._mark = mark
        self._pending = b""
        self._preamble = b""
        self._newlines = Newlines()
        self._stdout = ReplacementCharRestorer()
        self._stderr = ReplacementCharRestorer()
        self._state = b""
        """Kind of the last mark that changed which marks may follow: none, B or S."""
        self._unanswered = 0
        self.ended = False

    @property
    def started(self) -> bool:
        """Return whether the mark of the command's start has come."""
        return self._state == b"S"

    @property
    def preamble(self) -> bytes:
        """The last MAX_PREAMBLE bytes that came before, or instead of, the command's own output."""
        return self._preamble if self.started else (self._preamble + self._pending)[-MAX_PREAMBLE:]

    def expect_answer(self) -> None:
        """Expect one more answer to a PING. An answer that nobody expects is a mark out of order."""
        self._unanswered += 1

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes. Bytes behind the end mark are dropped."""
        if self.ended:
            return []
        pending, late = self._without_answers(self._pending + data)
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
            if end < 0:  # longer than any mark of ours: the command's text that looks like one
                start = self._take_plain(pending, at, at + len(self._mark), events)
                continue
            self._take_mark(pending[at + len(self._mark) : end], events)
            start = end + 1
        self._pending = pending[start:] + late
        return events

    def _without_answers(self, pending: bytes) -> tuple[bytes, bytes]:
        """Return bytes without the expected answers, and apart from them the end that may be part of an answer."""
        if not self._unanswered:
            return pending, b""
        answer = re.escape(self._mark) + rb"L\r?\n"
        pending, found = re.subn(answer, b"", pending, count=self._unanswered)
        self._unanswered -= found
        whole = len(pending) - self._late(pending)
        return pending[:whole], pending[whole:]

    def _late(self, pending: bytes) -> int:
        """Return how many bytes at the end of `pending` may be the beginning of an expected answer."""
        return held_back(pending, self._mark + b"L\r\n") if self._unanswered else 0

    def close(self) -> list[Event]:
        """Return the output that was held back, after a session ended without an end mark."""
        events: list[Event] = []
        if not self.ended:
            self._take_plain(self._pending, 0, len(self._pending) - self._late(self._pending), events)
            self._pending = b""
            self._flush(events)
        return events

    def _take_plain(self, data: bytes, start: int, end: int, events: list[Event]) -> int:
        """Take the bytes between marks, from `start` to `end`; return the index behind them."""
        if end <= start:
            return start
        if not self.started:  # an echo of the input, or a message that comes instead of the begin mark
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
            # The command may have made the terminal print \r\n. No mark holds a \r of its own, so it can go.
            self._take_change(kind, text.rstrip(b"\r"), events)

    def _take_change(self, kind: bytes, text: bytes, events: list[Event]) -> None:
        """Take a mark that carries no output."""
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
    """Return how many bytes at the end of `data` may be the beginning of a mark: they wait for the next piece."""
    at = data.rfind(mark[:1], max(0, len(data) - len(mark) + 1))
    return len(data) - at if at >= 0 and mark.startswith(data[at:]) else 0


def _exit_status(text: bytes) -> int | None:
    """Return the exit status from the end mark, None if it is not a number.

    For a command that signal n ended, ksh93 reports 256+n and yash 384+n: these become 128+n, as the others report.
    """
    if not re.fullmatch(rb"[0-9]{1,3}", text):
        return None
    status = int(text)
    return status if status <= 255 else 128 + (status - 256) % 128  # noqa: PLR2004


class Newlines:
    r"""Undoes exactly what a terminal with ONLCR does: it prints every \n as \r\n and changes nothing else."""

    def __init__(self, *, undo: bool = True) -> None:
        """Begin as the terminal does. The owner sets `undo` to False once it learns that the terminal is raw."""
        self.undo = undo
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        r"""Return `data` with each \r\n as \n. A \r at its end is held back until the next byte is known."""
        data = self._held + data
        self._held = b""
        if not self.undo:
            return data
        if data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        return data.replace(b"\r\n", b"\n")

    def close(self) -> bytes:
        r"""Return the \r that was held back, if any."""
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
"""Bytes that are decoded in one step. Without this limit a stream that turns binary again behind every lone EF would be
decoded to its end for each of them."""


class ReplacementCharRestorer:
    """Restores U+FFFD (EF BF BD) in text: the agent sends it as a lone EF byte.

    An EF without a continuation byte behind it becomes U+FFFD, unless the 4,096 bytes before it hold other bytes that
    are not UTF-8. Then the stream is taken for binary, and the EF stays. Both cases look the same on the wire.
    """

    def __init__(self) -> None:
        """Begin with no history."""
        self._held = b""
        self._history = b""

    def feed(self, data: bytes) -> bytes:
        """Return the restored bytes. An EF at the end is held back until the next byte is known."""
        data = self._held + data
        self._held = b""
        if data.endswith(b"\xef"):
            data, self._held = data[:-1], b"\xef"
        return self._restore(data)

    def close(self) -> bytes:
        """Return the byte that was held back, restored, if any."""
        held, self._held = self._held, b""
        return self._restore(held)

    def _restore(self, data: bytes) -> bytes:
        """Return `data` with each U+FFFD restored.

        It handles many lone EFs in one step, so that they cost little more time than other bytes.
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
        """Append the next bytes of the stream, and keep the last 4,096 of the stream as history."""
        pieces.append(piece)
        self._history = (self._history + piece)[-_HISTORY:] if len(piece) < _HISTORY else piece[-_HISTORY:]

    def _is_text(self) -> bool:
        """Return whether the history is UTF-8. A character that is cut at the history's beginning does not count."""
        history = self._history.lstrip(_CONTINUATIONS) if len(self._history) == _HISTORY else self._history
        try:
            history.decode()
        except UnicodeDecodeError:
            return False
        return True


def _text_from(data: bytes, at: int) -> tuple[str, int]:
    """Return the UTF-8 text that begins with the lone EF at `at`, and the index of its end.

    Each lone EF in it is a surrogate. The decoder handles any number of them without a step of Python for each.
    """
    end = min(at + _STRETCH, len(data))
    if end < len(data) and data[end - 1] == _EF:
        end -= 1  # the next byte decides whether it is a lone one
    text = data[at:end].decode(errors="surrogateescape")
    other = _ESCAPED_OTHERS.search(text)
    if other is None:
        return text, end
    before = other.start()
    # An EF with too few continuation bytes is a wrong byte, not a lone EF.
    before -= text[before - 1] == _ESCAPED_EF and other[0] <= _LAST_ESCAPED_CONTINUATION
    text = text[:before]
    return text, at + len(text.encode(errors="surrogateescape"))


def _end_of_binary(data: bytes, at: int) -> int:
    """Return the index behind the last lone EF of a chain that begins at `at`.

    In binary data each lone EF makes the history of the next one binary, if that is at most a history away.
    """
    while later := _LAST_LONE.match(data, at + 1):
        at = later.end() - 1
    return at + 1
