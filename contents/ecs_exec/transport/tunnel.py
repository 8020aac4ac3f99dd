"""TLS inside TLS, for a proxy that is itself reached by https: Python's ssl cannot wrap its own sockets."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_READ_SIZE = 64 * 1024


class TunnelledTls:
    """The methods of an `SSLSocket` that the plugin uses, over a socket that speaks TLS already. Nothing blocks.

    Raises SSLWantReadError and SSLWantWriteError as an `SSLSocket` does.
    """

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, host: str) -> None:
        """Take a socket whose TLS handshake is done, and the host name that the inner certificate must have."""
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = b""
        self._accepted = 0  # bytes that are encrypted in `_unsent` while `send` has not yet returned their number

    def fileno(self) -> int:
        """Return the descriptor to poll, that of the outer socket."""
        return self._outer.fileno()

    def pending(self) -> int:
        """Return a number above 0 if there are bytes to read that polling does not show."""
        return self._inner.pending() or self._incoming.pending or self._outer.pending()

    def do_handshake(self) -> None:
        """Continue the inner handshake."""
        self._run(self._inner.do_handshake)
        self._flush()

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes that are there; none at the connection's end."""
        try:
            return self._run(lambda: self._inner.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def send(self, data: bytes | bytearray) -> int:
        """Write bytes; return how many were taken. After SSLWantWriteError, call it with the same bytes or more."""
        self._flush()
        if not self._accepted:
            self._accepted = self._run(lambda: self._inner.write(data))
            self._flush()
        taken, self._accepted = self._accepted, 0
        return taken

    def close(self) -> None:
        """Close the outer socket."""
        self._outer.close()

    def _run(self, action: Callable[[], T]) -> T:
        """Call something of the inner TLS, and feed it received bytes until it needs no more."""
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._outer.recv(_READ_SIZE)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()

    def _flush(self) -> None:
        self._unsent += self._outgoing.read()
        while self._unsent:
            self._unsent = self._unsent[self._outer.send(self._unsent) :]
