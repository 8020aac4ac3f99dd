r"""What session-manager-plugin prints around a session's own bytes, taken out again.

It prints everything on stdout, unmarked (session-manager-plugin 1.3, `sessionhandler.go`, `streaming.go`):

    \nStarting session with SessionId: ID\n       at the start, before the channel is open
    This session is encrypted using AWS KMS.\n     after a handshake, or another text of the agent's
    \n\nExiting session with sessionId: ID.\n\n    at an ordinary end
    \n\nSessionId: ID : TEXT\n\n                  at an end for a reason
    Session: ID timed out.\n                        when the session could not be resumed
    Cannot perform start session: TEXT\n           when its own input failed; the remote command goes on
"""

from __future__ import annotations

import re

from ecs_exec.text import LONGEST

MAX_END = 16 * 1024
"""Longest end banner, in bytes: what begins like one and is longer was the session's own."""

_TAIL = 1024
"""Bytes kept of what was given out, to find a refusal in at the program's end."""

_REFUSAL = rb"Cannot perform start session: [^\r\n]+"
"""Held back only as the first words of all: it holds no id, so a command may print it, too."""

_REFUSES = b"Cannot perform start session: "

_ENCRYPTED = b"This session is encrypted using AWS KMS.\n"


class Banners:
    """Takes the program's stdout in pieces of any size and gives the session's bytes. Does no I/O."""

    def __init__(self, session_id: str) -> None:
        """Take the id that the banners hold."""
        name = session_id.encode()
        self._start = b"\nStarting session with SessionId: " + name + b"\n"
        ordinary = b"\n\nExiting session with sessionId: " + name + b".\n\n"
        self._ends = (
            ordinary,
            b"\n\nSessionId: " + name + b" : ",
            b"Session: " + name + b" timed out.",
        )
        self._heads = [_ENCRYPTED]
        self._pending = b""
        self._tail = b""
        self._given = False
        self.opened = False
        """The program has begun the session."""
        self.reason = ""
        """After `close`: what the program says of the end, empty for an ordinary one."""
        self.ended = False
        """After `close`: the program said that the session is over."""

    def feed(self, data: bytes) -> bytes:
        """Return the session's bytes so far as known; what may be a banner waits for more."""
        self._pending += data
        if not self._begun() or self._refused():
            return b""
        at = self._possible_end(self._pending)
        ready, self._pending = self._pending[:at], self._pending[at:]
        self._tail = (self._tail + ready)[-_TAIL:]
        self._given = self._given or bool(ready)
        return ready

    @property
    def waiting(self) -> bool:
        """Tell whether bytes are held back that may be the beginning of the program's last words."""
        if not self._pending or not self._begun():
            return False
        if not self._given and self._pending.startswith(_REFUSES):
            return False
        return not self._pending.startswith(self._ends)

    def release(self) -> bytes:
        """Return what is held back: the program has fallen silent, and prints each of its banners in one piece."""
        ready, self._pending = self._pending, b""
        self._given = True
        return ready

    def close(self) -> bytes:
        """Return what is left of the session's bytes at the program's end, and read its last words."""
        left, self._pending = self._pending, b""
        if not self.opened:
            return b""
        for end in self._ends:
            at = left.rfind(end)
            if at >= 0:
                words = left[at:].decode(errors="replace").strip()[:LONGEST]
                self.ended = True
                self.reason = "" if end == self._ends[0] else re.sub(r"^SessionId: \S+ : ", "", words)
                return left[:at]
        if refusal := re.search(_REFUSAL, self._tail + left):
            self.reason = refusal[0].decode(errors="replace")[:LONGEST]
            return left if self._given else b""
        return left

    def _refused(self) -> bool:
        """Tell whether the program's refusal, or its beginning, stands in place of any output."""
        if self._given or not self._pending or len(self._pending) > MAX_END:
            return False
        return self._pending.startswith(_REFUSES) or _REFUSES.startswith(self._pending)

    def _begun(self) -> bool:
        """Return whether it is known where the session's bytes begin; what the program prints before them is dropped.

        Before its first words a program that is not AWS's may print anything, its environment too.
        """
        if not self.opened:
            before, start, after = self._pending.partition(self._start)
            self.opened = bool(start)
            self._pending = after if start else before[-len(self._start) :]
        return self.opened and self._past_heads()

    def _past_heads(self) -> bool:
        """Drop the note of encryption; return whether it is known whether there is one."""
        while self._heads:
            head = self._heads[0]
            if not self._pending.startswith(head):
                if head.startswith(self._pending):
                    return False
                self._heads.clear()
                break
            self._pending = self._pending[len(head) :]
            self._heads.pop(0)
        return True

    def _possible_end(self, data: bytes) -> int:
        """Return where what may be an end banner begins."""
        at = len(data)
        for end in self._ends:
            first = data.rfind(end)
            if first >= 0 and len(data) - first <= MAX_END:
                at = min(at, first)
            at = min(at, _begins_at(data, end))
        return at


def _begins_at(data: bytes, text: bytes) -> int:
    """Return where the longest end of `data` that begins `text` stands; its length if there is none."""
    start = max(0, len(data) - len(text) + 1)
    while (start := data.find(text[:1], start)) >= 0:
        if text.startswith(data[start:]):
            return start
        start += 1
    return len(data)
