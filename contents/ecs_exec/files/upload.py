"""The client's side of a receiver: sends a file into the container, and verifies the copy there."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable

from ecs_exec.command import shell_wrapper
from ecs_exec.command.decoder import Begin, End, Event, Started, Taken
from ecs_exec.command.script_protocol import COMMAND_MAY_HAVE_RUN, Line, ScriptProtocol
from ecs_exec.errors import EXIT_ABORTED, CommandError, SettingsError
from ecs_exec.files.local_file import EchoDigest, LocalFile, digest
from ecs_exec.files.receiver import HEADER, Receiver
from ecs_exec.files.receiver_marks import Rest, Said, SentBack, Separator
from ecs_exec.text import LONGEST, one_line

_BLOCK = 64 * 1024
"""Bytes of a block with its header. The container starts a program for each block, so blocks are large."""

_UNIT = 1024
"""Blocks are multiples of this many bytes, see `transport.session_manager_plugin`. It is also a frame's largest
payload."""

_BLOCKS_ON_THEIR_WAY = 4
"""Unacknowledged blocks at a time: enough for a few MB/s over long distances, and few to wait for before a stop takes
effect."""

_LINES_ON_THEIR_WAY = 24
"""Unacknowledged lines at a time, as many as of a long command. A terminal that echoes holds only one."""

_WORD = 64
_WORDS = 14
"""Base64 is sent in words of a length that every decoder reads as a line. This many words fit into a line of ours."""

_PLAIN = 900
"""Most bytes in a line of octal escapes."""

_PROGRESS_EVERY = 2.0

_STOP = 2 * (b"x".ljust(HEADER - 1) + b"\n")
"""Stops the receiver. The first line ends its reading of blocks, the second its wait for the word to keep the file."""

_LEAVE = b"\n" + shell_wrapper.BYE
"""Makes the script exit after a failure. The newline comes first because an unfinished line may stand before it."""


_NOT_IN_PLACE = "the file was not put in place"
_PERHAPS_IN_PLACE = "it is not known whether the file is in place"


def _no_objection(_is_directory: bool, _base: str) -> str:
    return ""


class UploadProtocol:
    """The client's side of a session that begins with an upload. A command may follow; see `SessionProtocol`.

    It uses a `ScriptProtocol` for the script of the session. It handles the receiver's marks itself.
    """

    def __init__(
        self,
        session: ScriptProtocol,
        receiver: Receiver,
        content: LocalFile,
        objection: Callable[[bool, str], str] = _no_objection,
    ) -> None:
        """Take the session's protocol, the script that receives the file, and the file.

        `objection` returns why the file must not be sent to its destination, empty if it may be. Its first argument
        says whether the destination is a directory. The second is the directory where a relative destination begins,
        or the home directory that a ~ stands for.
        """
        self._session = session
        self._say = session.say
        self._streams = session.streams
        self._not_done = session.not_done
        self._objection = objection
        session.expect_receiver()
        session.doubt = _NOT_IN_PLACE
        self.what = session.what
        self._mark = receiver.mark
        self._script = deque(receiver.lines)
        self._script_on_its_way = 0
        self._separator = Separator(receiver.mark)
        self._last = ""
        self._content = content
        self._reader = self._encoding = ""
        self._tool = ""
        self._on_the_way = 0
        self._rest = b""
        self._all_sent = False
        self._back: EchoDigest | None = None
        self._kept = False
        self._in_place = False
        self._running = False
        self._stopping = False
        self._trouble = ""
        self._cause = "copy-failed"
        self._told = 0.0

    # --- The session's state

    @property
    def line(self) -> Line:
        """The way to the terminal's input."""
        return self._session.line

    @line.setter
    def line(self, line: Line) -> None:
        self._session.line = line

    @property
    def committed(self) -> bool:
        """Whether the session's script may have been started."""
        return self._session.committed

    @property
    def begun(self) -> bool:
        """Whether the receiver has begun."""
        return self._session.begun

    @property
    def status(self) -> int | None:
        """The command's exit status. Without a command: 0 after the upload, EXIT_ABORTED after a stop."""
        return self._session.status

    def ready(self) -> None:
        """Start the session's script."""
        self._session.ready()

    def farewell(self) -> None:
        """Let the session's script exit."""
        self._session.farewell()

    # --- Incoming

    def output(self, data: bytes, now: float) -> None:
        """Take bytes that the terminal printed. Raises CommandError if the file could not be received."""
        if self._running:
            self._read(data, now)
            return
        for piece in self._separator.feed(data, raw=self._session.raw):
            if isinstance(piece, Rest):
                self._read(piece.data, now)
            elif isinstance(piece, SentBack):
                if self._back is not None:
                    self._back.update(piece.data)
            elif self._running:
                self._read(self._mark + piece.text + b"\n", now)
            else:
                self._hear(piece)
        if self._running and (held := self._separator.close()):
            self._read(held, now)

    def _read(self, data: bytes, now: float) -> None:
        """Take bytes that are not the receiver's."""
        for mark in self._session.marks(data):
            self._take(mark, now)
        if self._running:  # before, the receiver would stop on the word
            self._session.keep_waiting(now)

    def _take(self, mark: Event, now: float) -> None:
        """Act on a mark of the session's script."""
        if isinstance(mark, End) and not self._running:
            self._end_without_command(mark)
            return
        if isinstance(mark, Started):
            if not self._kept:
                raise self._disorder("the command")
            self._running = True
            self._session.doubt = COMMAND_MAY_HAVE_RUN
        if self._stopping and isinstance(mark, Begin):
            return
        self._session.take(mark, now)
        if isinstance(mark, Taken) and self._session.is_receiving():
            self._send_script()

    def _hear(self, said: Said) -> None:
        text = said.text.decode(errors="surrogateescape")
        kind, text = text[:1], text[1:]
        if self._stopping or self._trouble:
            if kind == "g":  # bash has read, and lost, the stop that came right behind the line with the choice
                self._say(_STOP)
            return  # the receiver got the word to stop: other marks do not count any more
        if not self._in_order(kind):
            raise self._disorder(kind)
        self._last = kind
        self._act_on(kind, text)

    def _act_on(self, kind: str, text: str) -> None:
        if kind == "a":
            self._script_on_its_way -= 1
            self._send_script()
        elif kind == "r":
            self._plan(text)
        elif kind == "g":
            self._told = time.monotonic()
            self._send_on()
        elif kind == "k":
            self._on_the_way -= 1
            self._send_on()
        elif kind == "<":
            self._back = EchoDigest(without_nuls=self._tool == "read")
        elif kind == "v":
            self._compare(text)
        elif kind == "i":
            self._take_in_place(text)
        elif kind == "f":
            self._say(_LEAVE)
            raise self._failed(text)

    def _in_order(self, kind: str) -> bool:
        """Return whether the receiver may print a mark of this kind now."""
        if not kind or kind not in _AFTER[self._last]:
            return False
        if kind == "a":
            return self._script_on_its_way > 0
        if kind == "r":
            return not self._script and self._script_on_its_way == 1  # the last line is not acknowledged
        if kind == "k":
            return self._on_the_way > self._end_on_the_way()
        if kind in "<v":
            return self._all_sent and self._on_the_way == self._end_on_the_way()
        return kind != "i" or (self._kept and not self._in_place)

    def _end_on_the_way(self) -> int:
        """Return 1 if the end was sent but gets no acknowledgement, which it gets only with the reader `h`.

        That reader acknowledges each first line of a block, and the end is one.
        """
        return int(self._all_sent and self._reader != "h")

    def _disorder(self, what: str) -> CommandError:
        """Stop the receiver, and return the error for a mark that it cannot have printed now."""
        self._say(_STOP)
        return CommandError(
            f"{self._not_done}: the upload's marks came in the wrong order ({what!r} after"
            f" {self._last!r}); another program there may have written to the session; {self._session.doubt}",
            name="copy-failed",
        )

    def closed(self, reason: str) -> None:
        """Raise CommandError with the reason why the session is over."""
        if self._trouble:
            raise CommandError(self._trouble, name=self._cause)
        self._session.closed(reason)

    def _end_without_command(self, end: End) -> None:
        if self._trouble:
            raise CommandError(self._trouble, name=self._cause)
        if self._stopping:
            self._session.status = EXIT_ABORTED
        elif self._kept and end.status == 0:
            self._session.status = 0
        else:
            why = f"{self._not_done}: the shell there ended with status {end.status}"
            raise CommandError(why, name="copy-failed")

    # --- Outgoing

    def _send_script(self) -> None:
        """Send lines of the receiver's script, as many as the window allows. The last, with the length, gets no `a`."""
        while self._script and self._script_on_its_way < self._session.window:
            self._script_on_its_way += 1
            self._say(self._script.popleft())

    def _plan(self, text: str) -> None:
        """Read the receiver's abilities, choose how to send the file, and send that choice to the receiver."""
        said = re.fullmatch(_ABILITIES, text, re.DOTALL)
        if said is None:
            raise self._disorder("r")
        self._reader, self._encoding, gzip, self._tool, named, folder = said.groups()
        self._session.begun = True
        if objection := self._objection(named == "n", folder):
            self._refuse(objection, "destination-unclear")
            return
        packed = gzip == "z" and self._content.worth_packing()
        self._content.begin(digest(self._tool), packed=packed)
        form = _FORMS.get(self._reader, {}).get(self._encoding, "raw bytes")
        self._streams.debug(
            f"sending {self._content.size} bytes as {form}{', packed' if packed else ''};"
            f" the copy will be verified with {self._tool}"
        )
        self._say(f"{self._reader} {'z' if packed else '-'}\n".encode())

    def _send_on(self) -> None:
        """Send as much as the window allows. A local file that cannot be read any more stops the upload."""
        try:
            self._send_pieces()
        except SettingsError as error:
            from ecs_exec.errors.causes.line import says  # only where something failed

            self._refuse(says(error), error.name)
            return
        self._tell_progress()

    def _send_pieces(self) -> None:
        """Send pieces of the file until the window is full. The end counts as one piece."""
        window = _BLOCKS_ON_THEIR_WAY if self._reader in "de" else 1
        if self._reader == "l" and self._session.raw:
            window = _LINES_ON_THEIR_WAY
        while not self._all_sent and self._on_the_way < window:
            self._say(self._line() if self._reader == "l" else self._block())
            self._on_the_way += 1

    def _block(self) -> bytes:
        if self._rest:
            body, self._rest = self._rest, b""
            return body
        data = self._content.piece(_BLOCK - HEADER)
        if not data:
            return self._end()
        padding = -(HEADER + len(data)) % _UNIT
        header = _header(f"b {len(data)} {padding}")
        body = data + bytes(padding)
        if self._reader == "h":
            self._rest = body
            return header
        return header + body

    def _line(self) -> bytes:
        if self._encoding == "p":
            data = self._content.escaped(_PLAIN)
            return b"bp" + data + b"\n" if data else self._end()
        text = b64encode(self._content.piece(_WORD * _WORDS // 4 * 3))
        words = [text[start : start + _WORD] for start in range(0, len(text), _WORD)]
        return b"bb" + b" ".join(words) + b"\n" if words else self._end()

    def _end(self) -> bytes:
        self._all_sent = True
        return b"e\n" if self._reader == "l" else _header("e")

    def _compare(self, text: str) -> None:
        """Compare size and checksum; the receiver keeps the file only if both are right."""
        size, _, there = text.partition(" ")
        here = self._content.checksum()
        if self._back is not None:
            there = self._back.hexdigest()
        if change := self._content.change():
            self._refuse(change, "file-changed")
        elif there == here and size in ("-", str(self._content.read)):
            self._streams.debug(f"the copy has the same {self._content.read} bytes: {self._tool} {here}")
            self._kept = True
            self._session.doubt = _PERHAPS_IN_PLACE
            self._say(b"c\n")
        else:
            self._refuse(
                f"the copy differs: {self._content.read} bytes with {self._tool} {here} were sent, {size} bytes with"
                f" {there or 'no checksum'} arrived; the copy was removed",
                "upload-incomplete",
            )

    def _take_in_place(self, text: str) -> None:
        """Note that the file was written into the existing one. That one will be compared, too."""
        self._kept, self._in_place = False, True
        self._streams.say(
            f"the existing file in {self._session.where} cannot be replaced ({one_line(text)}): its content is"
            " overwritten; it keeps its owner and permissions"
        )

    def _refuse(self, why: str, cause: str) -> None:
        self._trouble, self._cause = f"{self._not_done}: {why}", cause
        self._say(_STOP)

    def _failed(self, text: str) -> CommandError:
        """Return the error for the code and the message by which the receiver reports a failure."""
        code, message = text[:1], one_line(re.sub(r"\d+\+\d+ records (in|out)", "", text[1:LONGEST]))
        name, why = _FAILURES.get(code, ("copy-failed", code))
        found = next(((name, hint) for words, name, hint in _HINTS if words in message.lower()), None)
        said = f" ({message})" if message else ""
        name, hint = found or (name, "")
        return CommandError(f"{self._not_done}: {why}{said}{hint}", name=name)

    def _tell_progress(self) -> None:
        now = time.monotonic()
        if now - self._told >= _PROGRESS_EVERY:
            self._told = now
            self._streams.debug(f"sent {self._content.read} of {self._content.size} bytes")

    # --- Stopping

    def still_here(self) -> bool:
        """Send the word only while a command runs: the receiver would stop on it."""
        return self._running and self._session.still_here()

    def ping(self, now: float) -> None:
        """Send the word only while a command runs: the receiver would stop on it."""
        if self._running:
            self._session.ping(now)

    def interrupt(self) -> None:
        """Stop the upload, or the command after it."""
        if self._running or not self.begun:
            self._session.interrupt()
        elif not self._stopping:
            self._say(_STOP)
        self._stopping = True

    def kill(self) -> None:
        """Kill the command. A receiver already got the word to stop."""
        if self._running:
            self._session.kill()


def _header(words: str) -> bytes:
    return words.encode().ljust(HEADER - 1) + b"\n"


_ABILITIES = r"([dehl]) ([bop]) ([z-]) (sha256sum|sha512sum|openssl|sha1sum|md5sum|cksum|cat|read) ([n-]) (/.*)"
"""The receiver's abilities in its mark `r`, see `receiver`."""

_AFTER = {
    "": "af",
    "a": "arf",
    "r": "gf",
    "g": "k<vf",
    "k": "k<vf",
    "<": ">",
    ">": "v",
    "v": "if",
    "i": "<vf",
}
"""Kinds of marks that may follow each kind. `f` is always the last."""

_FORMS = {"l": {"b": "Base64", "o": "Base64", "p": "octal escapes"}}

_FAILURES = {
    "d": ("destination-taken", "a directory with that name exists there; choose another destination"),
    "n": ("destination-taken", "the destination exists there and is not a regular file; choose another one"),
    "m": ("destination-not-writable", "the destination's directory does not exist there and cannot be created"),
    "t": (
        "no-temporary-directory",
        "there is no writable directory for temporary files; make /tmp writable there, or mount a volume at /tmp",
    ),
    "s": ("terminal-not-raw", "the terminal there cannot be set to raw mode; the image's stty does not work"),
    "w": ("destination-not-writable", "the file cannot be written there"),
    "v": ("destination-not-writable", "the file arrived completely, but cannot be renamed to its destination"),
    "o": (
        "destination-not-replaced",
        (
            "the existing file cannot be replaced by a rename, and its content cannot be backed up before it is"
            " overwritten"
        ),
    ),
    "b": (
        "destination-damaged",
        "the existing file could not be overwritten, and its old content could not be restored: it is saved in",
    ),
    "h": (
        "destination-unclear",
        "the home directory of the user in the destination is unknown there; use an absolute path",
    ),
    "p": (
        "destination-unclear",
        "the path of the working directory contains a newline; use an absolute path for the destination",
    ),
    "k": (
        "destination-unclear",
        "the destination is a symbolic link that cannot be resolved there; give the path of the file itself",
    ),
    "l": (
        "destination-changed",
        "the destination's directory changed during the copy: a link or a directory is in the file's place; try again",
    ),
}
"""By the code of the receiver's mark `f`: the name of the cause, and the words."""

_HINTS = (
    ("no space left on device", "destination-full", ": the file system there is full"),
    (
        "read-only file system",
        "destination-read-only",
        ": the file system there is read-only; choose a destination on a volume",
    ),
    (
        "permission denied",
        "destination-not-writable",
        ": check the destination's directory, and user or ecs-user",
    ),
    ("disk quota exceeded", "destination-full", ": the user's quota there is used up"),
    ("status 153", "destination-full", ": the limit on file sizes there is reached (ulimit -f)"),
    ("file too large", "destination-full", ": the limit on file sizes there is reached (ulimit -f)"),
)
"""Words of programs in the receiver's message that say more than its code: the name of the cause, and added words."""
