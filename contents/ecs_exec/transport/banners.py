r"""Removes the lines that session-manager-plugin prints around a session's own bytes.

It prints everything on stdout without marks (session-manager-plugin 1.3, `sessionhandler.go`, `streaming.go`):

    \nStarting session with SessionId: ID\n       at the start, before the channel is open
    This session is encrypted using AWS KMS.\n     after a handshake; the agent may send another text
    \n\nExiting session with sessionId: ID.\n\n    at an ordinary end
    \n\nSessionId: ID : TEXT\n\n                  at an end for a reason
    Session: ID timed out.\n                        when the session could not be resumed
    Cannot perform start session: TEXT\n           when its own input failed; the remote command goes on
"""

from __future__ import annotations

import re

from ecs_exec.text import LONGEST

MAX_END = 16 * 1024
"""Longest end banner, in bytes. A longer text that begins like one is the session's own."""

_TAIL = 1024
"""Bytes of the last output that are kept: at the program's end a refusal is searched there."""

_REFUSAL = rb"Cannot perform start session: [^\r\n]+"
"""Held back only at the very beginning of the output. It holds no session id, so a command may print it, too."""

_REFUSES = b"Cannot perform start session: "

_ENCRYPTED = b"This session is encrypted using AWS KMS.\n"


class Banners:
    """Takes the program's stdout in pieces of any size, and returns the session's bytes. Does no I/O."""

    def __init__(self, session_id: str) -> None:
        """Take the session's id, which the banners hold."""
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
        """After `close`: the program's reason for the end, empty for an ordinary end."""
        self.ended = False
        """After `close`: the program reported that the session is over."""

    def feed(self, data: bytes) -> bytes:
        """Return the session's bytes. Bytes that may be the beginning of a banner are held back."""
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
        """Whether bytes are held back that may be the beginning of an end banner."""
        if not self._pending or not self._begun():
            return False
        if not self._given and self._pending.startswith(_REFUSES):
            return False
        return not self._pending.startswith(self._ends)

    def release(self) -> bytes:
        """Return the bytes that are held back, after a silence.

        They are not a banner then: the program prints each of its banners in one piece.
        """
        ready, self._pending = self._pending, b""
        self._given = True
        return ready

    def close(self) -> bytes:
        """Return the rest of the session's bytes at the program's end; sets `ended` and `reason`."""
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
        """Return whether the output begins with the program's refusal, or with a part of it."""
        if self._given or not self._pending or len(self._pending) > MAX_END:
            return False
        return self._pending.startswith(_REFUSES) or _REFUSES.startswith(self._pending)

    def _begun(self) -> bool:
        """Return whether the beginning of the session's bytes is known. Everything before it is dropped.

        Before the first banner a program that is not AWS's may print anything, even its environment.
        """
        if not self.opened:
            before, start, after = self._pending.partition(self._start)
            self.opened = bool(start)
            self._pending = after if start else before[-len(self._start) :]
        return self.opened and self._past_heads()

    def _past_heads(self) -> bool:
        """Drop the line about encryption; return False while it is not known whether there is one."""
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
        """Return the index at which a possible end banner begins, the length of `data` if there is none."""
        at = len(data)
        for end in self._ends:
            first = data.rfind(end)
            if first >= 0 and len(data) - first <= MAX_END:
                at = min(at, first)
            at = min(at, _begins_at(data, end))
        return at


def _begins_at(data: bytes, text: bytes) -> int:
    """Return the index of the longest suffix of `data` that is a prefix of `text`; `data`'s length if there is none."""
    start = max(0, len(data) - len(text) + 1)
    while (start := data.find(text[:1], start)) >= 0:
        if text.startswith(data[start:]):
            return start
        start += 1
    return len(data)
