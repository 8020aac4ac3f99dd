"""The protocol inside one session, without its transport: how to begin, what comes back, how to stop.

`ScriptProtocol` talks to the script of `shell_wrapper`. `RawProtocol` talks to a command that was executed without a
shell.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Protocol

from ecs_exec.command import shell_wrapper
from ecs_exec.command.decoder import (
    Begin,
    Decoder,
    Disorder,
    End,
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
from ecs_exec.settings.run import WORKING_SHELLS
from ecs_exec.streams import OutputStreams
from ecs_exec.text import one_line

_WINDOW = 24
"""Unacknowledged lines of a long command at a time. Each line is one frame: the agent reads 1,024 bytes at a time."""

_STILL_HERE_EVERY = 5.0
"""Seconds between two STILL_HERE. The script waits five times as long (25 s) after the end mark."""


class Line(Protocol):
    """Takes the words that a dialogue sends."""

    def send(self, data: bytes) -> None:
        """Queue bytes for the terminal's input."""


class SessionProtocol(Protocol):
    """The client's side of one session. The owner sets `line` before it calls any method."""

    line: Line
    what: str
    """What the session runs, for lines to the operator: "the command"."""
    committed: bool
    """The command may have been started: nobody may start it again."""
    begun: bool
    """The command has been started."""
    status: int | None
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

    def interrupt(self) -> None:
        """Ask the command to stop."""

    def kill(self) -> None:
        """Stop the command."""

    def farewell(self) -> None:
        """Let the container's side exit."""


class ScriptProtocol:
    """The client's side of a session with the script that `shell_wrapper.wrap` made."""

    what = "the command"
    end = "the command's end"
    not_done = "the command was not run in"
    doubt = "the command may have run, completely or in part"

    def __init__(self, wrapped: shell_wrapper.Wrapped, streams: OutputStreams, where: str, shell_name: str) -> None:
        """Take the script and the sink for output; `where` names the container for errors, `shell_name` its shell."""
        self.line: Line
        self.committed = False
        self.begun = False
        self.status: int | None = None
        self._decoder = Decoder(wrapped.mark)
        self._go = wrapped.go
        self._payload = deque(wrapped.payload)
        self._on_their_way = 0
        self._window = 1
        self._raw = False
        self._streams = streams
        self._where = where
        self._shell = shell_name
        self._spoken = 0.0

    def ready(self) -> None:
        """Send the first word: from here on the command may run, so it is committed."""
        self._say(self._go)
        self.committed = True

    def output(self, data: bytes, now: float) -> None:
        """Take bytes that the terminal printed. Raises CommandError if the script could not start the command."""
        for event in self._decoder.feed(data):
            if isinstance(event, Stdout):
                self._print(event.data)
            elif isinstance(event, Stderr):
                self._streams.err(event.data)
            else:
                self._take(event, now)
        if self.begun and now - self._spoken >= _STILL_HERE_EVERY:
            self._spoken = now
            self.still_here()

    def _print(self, data: bytes) -> None:
        """Pass on the command's stdout."""
        self._streams.out(data)

    def _take(self, event: object, now: float) -> None:
        if isinstance(event, Begin):
            self._raw = event.raw
            # A terminal that echoes has a line buffer, so it gets the next line only after the script has read one.
            self._window = _WINDOW if event.raw else 1
            self._send_payload()
        elif isinstance(event, Taken) and self._on_their_way:
            self._on_their_way -= 1
            self._send_payload()
        elif isinstance(event, Started):
            self.begun = True
            self._spoken = now
        elif isinstance(event, Refused):
            self._say(shell_wrapper.BYE)  # otherwise the script would wait for it before it exits
            raise self._refused(event.code)
        elif isinstance(event, NotStarted):
            self._say(shell_wrapper.BYE)
            raise self._refused("s")
        elif isinstance(event, End) and self.begun:
            if event.status is None:
                raise CommandError(
                    f"the command ran in {self._where}, but its exit status is unknown", name="status-unknown"
                )
            self.status = event.status
        else:
            raise self._disturbed(event)

    def _refused(self, code: str) -> CommandError:
        """Return the error for the letter by which the script reports why it did not start the command."""
        name, why = _REFUSALS.get(code, ("", code))
        return CommandError(f"{self.not_done} {self._where}: {why}", name=name)

    def _disturbed(self, event: object) -> SessionDisturbed:
        """Return the error for a mark out of order: the script cannot have printed it now."""
        kind = event.kind if isinstance(event, Disorder) else type(event).__name__
        return SessionDisturbed(
            f"a mark of kind {one_line(kind)!r} came out of order from {self._where}: a process there knows the"
            " session's secret word and writes to the session;"
            f" {self.doubt if self.begun else 'the command was not started'}"
        )

    def _send_payload(self) -> None:
        """Send lines of the command until the window is full. The last line, which holds the lengths, gets no `A`."""
        while self._payload and self._on_their_way < self._window:
            self._on_their_way += 1
            self._say(self._payload.popleft())

    def closed(self, reason: str) -> None:
        """Raise SessionEnded with the reason for the missing end mark; output that was held back is passed on first."""
        for event in self._decoder.close():
            (self._print if isinstance(event, Stdout) else self._streams.err)(getattr(event, "data", b""))
        if self.begun:
            raise SessionEnded(
                f"the session ended before {self.end} was seen in {self._where}{_because(reason)}",
                effect=self.doubt,
                reason=reason,
            )
        name, why = self._why_not(reason)
        raise SessionEnded(f"{self.not_done} {self._where}: {why}", name=name, reason=reason)

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
        if self.begun and self._raw:
            self._say(shell_wrapper.STILL_HERE)
            return True
        return False

    def interrupt(self) -> None:
        """Have INT sent to the command's process group. A script that still receives the command exits instead."""
        if self._payload:
            self._payload.clear()
            self._say(shell_wrapper.BYE)
        self._say(shell_wrapper.INTERRUPT)

    def kill(self) -> None:
        """Have KILL sent to the command's process group."""
        self._say(shell_wrapper.KILL)

    def farewell(self) -> None:
        """Send the word that the end mark was seen, so that the script exits."""
        self._say(shell_wrapper.BYE)

    def _say(self, word: bytes) -> None:
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
        """Take the sink for output; `where` names the container for errors.

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
