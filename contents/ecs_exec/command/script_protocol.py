"""The protocol inside one session, without its transport: how to begin, what comes back, how to stop.

`ScriptProtocol` talks to the script of `shell_wrapper`. `RawProtocol` talks to a command that was executed without a
shell.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from ecs_exec.command import shell_wrapper
from ecs_exec.command.decoder import (
    Begin,
    Decoder,
    Disorder,
    End,
    Event,
    Newlines,
    NotStarted,
    Refused,
    ReplacementCharRestorer,
    Started,
    Stderr,
    Stdout,
    Taken,
)
from ecs_exec.ecs import diagnosis
from ecs_exec.errors import CommandError, SessionDisturbed, SessionEnded
from ecs_exec.record import NamedTuple
from ecs_exec.settings.run import WORKING_SHELLS
from ecs_exec.streams import OutputStreams
from ecs_exec.text import one_line

_WINDOW = 24
"""Unacknowledged lines of a long command at a time. Each line is one frame: the agent reads 1,024 bytes at a time."""

_STILL_HERE_EVERY = 5.0
"""Seconds between two STILL_HERE. The script waits five times as long (25 s) after the end mark."""


class Line(Protocol):
    """Takes the words that a protocol sends."""

    def send(self, data: bytes) -> None:
        """Queue bytes for the terminal's input."""


class SessionProtocol(Protocol):
    """The client's side of one session. The owner sets `line` before it calls any method."""

    line: Line
    what: str
    """What the session runs, for lines to the operator: "the command"."""

    @property
    def committed(self) -> bool:
        """Whether the command may have been started: then nobody may start it again."""

    @property
    def begun(self) -> bool:
        """Whether the command has been started."""

    @property
    def status(self) -> int | None:
        """The command's exit status, once it is over and all of its output was seen."""

    def ready(self) -> None:
        """Handle the moment from which the terminal takes input."""

    def output(self, data: bytes, now: float) -> None:
        """Take bytes that the terminal printed; `now` is a time in seconds of the owner's clock."""

    def closed(self, reason: str) -> None:
        """Handle the end of the session. Raises SessionEnded if the command's end was not seen."""

    def still_here(self) -> bool:
        """Send input that the command does not see: input keeps a session from ending as idle.

        Returns False if there is no way to do so.
        """

    def ping(self, now: float) -> None:
        """Ask the container's side for a sign of life, which comes as output. Does nothing if it cannot answer.

        `now` is a time in seconds of the owner's clock.
        """

    def interrupt(self) -> None:
        """Ask the command to stop."""

    def kill(self) -> None:
        """Stop the command."""

    def farewell(self) -> None:
        """Let the container's side exit."""


class Wording(NamedTuple):
    """How lines to the operator name what a session runs."""

    what: str
    end: str
    not_done: str
    """Beginning of an error; the container's name follows."""


COMMAND = Wording("the command", "the command's end", "the command was not run in")

COMMAND_MAY_HAVE_RUN = "the command may have run, completely or in part"


class ScriptProtocol:
    """The client's side of a session with the script that `shell_wrapper.wrap` made."""

    def __init__(
        self,
        wrapped: shell_wrapper.Wrapped,
        streams: OutputStreams,
        where: str,
        shell_name: str,
        wording: Wording = COMMAND,
    ) -> None:
        """Take the script and the output streams; `where` names the container for errors, `shell_name` its shell."""
        self.line: Line
        self.what = wording.what
        self.committed = False
        self.begun = False
        self.status: int | None = None
        self.streams = streams
        self.where = where
        self.not_done = f"{wording.not_done} {where}"
        """Beginning of an error that nothing was started."""
        self.doubt = COMMAND_MAY_HAVE_RUN
        """What may have happened if the session is lost after the beginning."""
        self.raw = False
        """The terminal is in raw mode: it has no line buffer, and does not echo."""
        self.window = 1
        """Most unacknowledged lines that the terminal takes."""
        self._end = wording.end
        self._decoder = Decoder(wrapped.mark)
        self._go = wrapped.go
        self._terminal = wrapped.terminal
        self._payload = deque(wrapped.payload)
        self._on_their_way = 0
        self._shell = shell_name
        self._spoken = 0.0

    def ready(self) -> None:
        """Send the first word: from here on the command may run, so it is committed."""
        self.say(self._go)
        self.committed = True

    def output(self, data: bytes, now: float) -> None:
        """Take bytes that the terminal printed. Raises CommandError if the script could not start the command."""
        for mark in self.marks(data):
            self.take(mark, now)
        self.keep_waiting(now)

    def marks(self, data: bytes) -> Iterator[Event]:
        """Pass on the command's output among bytes that the terminal printed, and yield the script's marks."""
        for event in self._decoder.feed(data):
            if isinstance(event, (Stdout, Stderr)):
                self.pass_on(event)
            else:
                yield event

    def pass_on(self, event: Stdout | Stderr) -> None:
        """Pass on the command's output."""
        (self.streams.out if isinstance(event, Stdout) else self.streams.err)(event.data)

    def keep_waiting(self, now: float) -> None:
        """Send STILL_HERE if it is due, so that the script goes on waiting for us after the end mark."""
        if self.begun and now - self._spoken >= _STILL_HERE_EVERY:
            self._spoken = now
            self.still_here()

    def take(self, event: Event, now: float) -> None:
        """Act on a mark. Raises CommandError if it reports a failure, SessionDisturbed if it is out of order."""
        if isinstance(event, Begin):
            self.raw = event.raw
            # A terminal that echoes has a line buffer, so it gets the next line only after the script has read one.
            self.window = _WINDOW if event.raw else 1
            self._send_payload()
        elif isinstance(event, Taken) and self._on_their_way:
            self._on_their_way -= 1
            self._send_payload()
        elif isinstance(event, Started):
            self.begun = True
            self._spoken = now
        elif isinstance(event, Refused):
            self.say(shell_wrapper.BYE)  # otherwise the script would wait for it before it exits
            raise self._refused(event.code)
        elif isinstance(event, NotStarted):
            self.say(shell_wrapper.BYE)
            raise self._refused("s")
        elif isinstance(event, End) and self.begun:
            if event.status is None:
                raise CommandError(
                    f"the command ran in {self.where}, but its exit status is unknown", name="status-unknown"
                )
            self.status = event.status
        else:
            raise self._disturbed(event)

    def _refused(self, code: str) -> CommandError:
        """Return the error for the letter by which the script reports why it did not start the command."""
        name, why = _REFUSALS.get(code, ("", code))
        return CommandError(f"{self.not_done}: {why}", name=name)

    def _disturbed(self, event: Event) -> SessionDisturbed:
        """Return the error for a mark out of order: the script cannot have printed it now."""
        kind = event.kind if isinstance(event, Disorder) else type(event).__name__
        return SessionDisturbed(
            f"a mark of kind {one_line(kind)!r} came out of order from {self.where}: a process there knows the"
            " session's secret word and writes to the session;"
            f" {self.doubt if self.begun else 'the command was not started'}"
        )

    def _send_payload(self) -> None:
        """Send lines of the command until the window is full. The last line, which holds the lengths, gets no `A`."""
        while self._payload and self._on_their_way < self.window:
            self._on_their_way += 1
            self.say(self._payload.popleft())

    def expect_receiver(self) -> None:
        """Expect the `A` by which a script with a receiver asks for the receiver's lines, even without a payload."""
        if not self._payload:
            self._on_their_way = 1

    def is_receiving(self) -> bool:
        """Return whether the script has acknowledged the payload, and the `A` for the receiver's lines has come."""
        return not self._payload and self._on_their_way == 0

    def closed(self, reason: str) -> None:
        """Raise SessionEnded with the reason for the missing end mark; output that was held back is passed on first."""
        for event in self._decoder.close():
            if isinstance(event, (Stdout, Stderr)):
                self.pass_on(event)
        if self.begun:
            raise SessionEnded(
                f"the session ended before {self._end} was seen in {self.where}{_because(reason)}",
                effect=self.doubt,
                reason=reason,
            )
        name, why = self._why_not(reason)
        raise SessionEnded(f"{self.not_done}: {why}", name=name, reason=reason)

    def _why_not(self, reason: str) -> tuple[str, str]:
        """Return the name of the cause, empty if it is not known, and the words for the operator."""
        # A terminal that echoes has repeated our first word, which holds the session's secret word.
        said = one_line(self._decoder.preamble.replace(self._go.rstrip(), b"").decode(errors="replace"))
        greeted = _GREETING in said
        said = said.replace(_GREETING, "").strip()
        if re.search(_NO_PROCESS, said):
            name, why = _REFUSALS["p"]
            return name, f"{why} (it said {said!r})"
        if re.search(r"Failed to start pty|executable file not found|no such file", reason):
            return "shell-missing", (
                f"the shell {self._shell} cannot be executed there ({one_line(reason)});"
                " set shell to a shell that the image has, or to none if it has no shell"
            )
        if said and not reason and not greeted:
            return "shell-unusable", (
                f"{self._shell} ended before it read the plugin's script (it said {said!r}); if it is not a POSIX"
                f" shell, set shell or ecs-shell to one of {WORKING_SHELLS}"
            )
        parts = [one_line(reason), f"it said {said!r}" if said and said not in reason else "", diagnosis.cure(reason)]
        return "", ", ".join(part for part in parts if part) or "the session was closed without a reason"

    def still_here(self) -> bool:
        """Send a word that the script skips, but not to a terminal that would echo it into the output."""
        if self.begun and self.raw:
            self.say(shell_wrapper.STILL_HERE)
            return True
        return False

    def ping(self, now: float) -> None:
        """Send PING; the decoder removes the answer from the output.

        Sends nothing if the command has a terminal, because a program may read the word there.
        """
        if self.begun and self.raw and not self._terminal:
            self._spoken = now
            self._decoder.expect_answer()
            self.say(shell_wrapper.PING)

    def interrupt(self) -> None:
        """Have INT sent to the command's process group. A script that still receives the command exits instead."""
        if self._payload:
            self._payload.clear()
            self.say(shell_wrapper.BYE)
        self.say(shell_wrapper.INTERRUPT)

    def kill(self) -> None:
        """Have KILL sent to the command's process group."""
        self.say(shell_wrapper.KILL)

    def farewell(self) -> None:
        """Send the word that the end mark was seen, so that the script exits."""
        self.say(shell_wrapper.BYE)

    def say(self, word: bytes) -> None:
        """Send a word, or a line, to the script."""
        self.line.send(word)


_GREETING = "ecs-exec"
"""Text that the script prints before it knows the session's word, see `shell`."""

_NO_PROCESS = r"(?i)\bfork\b|cannot make a child process|Resource temporarily unavailable"
"""Matches the messages of shells that cannot start a process."""

_REFUSALS = {
    "d": (
        "workdir-missing",
        "the directory in workdir does not exist there or cannot be entered; check workdir or ecs-workdir",
    ),
    "g": ("group-unknown", "the group after the user's name (user:group) does not exist there; check user or ecs-user"),
    "l": ("command-incomplete", "it arrived incomplete and nothing of it was started; run the job again"),
    "n": ("user-unknown", "the user does not exist there; check user or ecs-user"),
    "p": (
        "no-processes-left",
        (
            f"the container has no processes left: a session needs {shell_wrapper.NEEDED_PROCESSES}; end some"
            " processes, or raise the limit (pids limit, ulimit -u)"
        ),
    ),
    "r": (
        "shell-restricted",
        f"the shell there is restricted; set shell or ecs-shell to an unrestricted shell: {WORKING_SHELLS}",
    ),
    "s": (
        "no-processes-left",
        (
            "the processes that a session needs could not be started, probably because of the container's process"
            f" limit (pids limit, ulimit -u); a session needs {shell_wrapper.NEEDED_PROCESSES}"
        ),
    ),
    "u": (
        "user-not-switched",
        (
            "the container's user may not switch to that user, or the image has none of setpriv, runuser, su,"
            " chroot, gosu and su-exec"
        ),
    ),
}
"""By the letter that the script reports if it did not start the command: the name of the cause, and the words."""

_INTERRUPT_KEY = b"\x03"  # Ctrl-C: the terminal sends INT to the command
_END_OF_INPUT = b"\x04"  # Ctrl-D: the end of input, at the beginning of a line


class RawProtocol:
    """The client's side of a session whose command runs on the terminal itself.

    There are no marks, so there is no exit status, and stderr comes with stdout.
    """

    what = "the command"

    def __init__(self, streams: OutputStreams, where: str, *, announced: bool) -> None:
        """Take the output streams; `where` names the container for errors.

        `announced` says whether the transport reports when the terminal is there. If not, the command counts as begun.
        """
        self.line: Line
        self.committed = True
        """The command starts as soon as the session exists."""
        self.begun = not announced
        self.status: int | None = None
        self._streams = streams
        self._where = where
        self._newlines = Newlines()
        self._restorer = ReplacementCharRestorer()

    def ready(self) -> None:
        """Send the end of input: the command's input is the terminal, and nothing will be typed."""
        self.begun = True
        self.line.send(_END_OF_INPUT)

    def output(self, data: bytes, now: float) -> None:  # noqa: ARG002 - see SessionProtocol
        """Pass on bytes that the terminal printed, as the command wrote them."""
        self._streams.out(self._restorer.feed(self._newlines.feed(data)))

    def closed(self, reason: str) -> None:
        """Count an ordinary end as success, because nothing else is known. Raises SessionEnded for any other end."""
        self._streams.out(self._restorer.feed(self._newlines.close()) + self._restorer.close())
        if reason:
            raise SessionEnded(f"the command did not finish in {self._where}{_because(reason)}", reason=reason)
        self._streams.say("the command has ended; it ran without a shell, so its exit status is unknown")
        self.status = 0

    def still_here(self) -> bool:
        """Do nothing, because the command would see any input."""
        return False

    def ping(self, now: float) -> None:
        """Do nothing: nobody would answer."""

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.line.send(_INTERRUPT_KEY)

    def kill(self) -> None:
        """Do nothing: the end of the session kills the command."""

    def farewell(self) -> None:
        """Do nothing: the session is over."""


def _because(reason: str) -> str:
    parts = [part for part in (one_line(reason), diagnosis.cure(reason)) if part]
    return f": {', '.join(parts)}" if parts else ""
