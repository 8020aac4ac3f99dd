"""The effect of the agent's conversion to characters and back on a stream of bytes."""

from __future__ import annotations

_LONGEST = 4  # bytes of a character
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Utf8Carry:
    """Bytes of the terminal to payloads, read by read.

    A character split by the end of a read is held back for the next one. Invalid bytes pass unchanged, except where
    one is among the last three bytes of a read: from there on all is held back, and lost if nothing follows. U+FFFD
    looks like an invalid byte, so only the first of its three bytes is passed on.
    """

    def __init__(self) -> None:
        """Start with nothing held back."""
        self.held = b""

    def feed(self, data: bytes) -> bytes:
        """Take one read's bytes, return the payload to send; it may be empty."""
        data = self.held + data
        self.held = b""
        if data.isascii():
            return data
        text = data.decode(errors="surrogateescape")
        end = _end(text)
        if end < len(text):
            self.held = text[end:].encode(errors="surrogateescape")
            text = text[:end]
        return text.encode(errors="surrogateescape").replace(_REPLACEMENT.encode(), _REPLACEMENT.encode()[:1])


def _end(text: str) -> int:
    """Return the index of the first invalid byte or U+FFFD that begins less than four bytes before the end."""
    end = at = len(text)
    size = 0
    while at:
        char = text[at - 1]
        size += len(char.encode(errors="surrogateescape"))
        if size >= _LONGEST:
            break
        at -= 1
        if char == _REPLACEMENT or "\udc80" <= char <= "\udcff":
            end = at
    return end
