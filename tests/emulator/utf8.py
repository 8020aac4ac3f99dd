"""The effect of the agent's conversion to characters and back on a stream of bytes."""

from __future__ import annotations

from collections.abc import Iterator

_LONGEST = 4  # bytes of a character
_REPLACEMENT = "�".encode()


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
        if data.isascii() or _is_plain(data):
            return data
        return b"".join(self._pieces(data))

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            end = _valid_until(data, at)
            if end > at:
                yield data[at:end]
                at = end
                continue
            if len(data) - at < _LONGEST:
                self.held = data[at:]
                return
            yield data[at : at + 1]
            at += len(_REPLACEMENT) if data.startswith(_REPLACEMENT, at) else 1


def _is_plain(data: bytes) -> bool:
    if _REPLACEMENT in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _valid_until(data: bytes, start: int) -> int:
    """Return where the run of valid characters other than U+FFFD that begins at start ends."""
    stop = data.find(_REPLACEMENT, start)
    stop = len(data) if stop < 0 else stop
    try:
        data[start:stop].decode()
    except UnicodeDecodeError as exc:
        return start + exc.start
    return stop
