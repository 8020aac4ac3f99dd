"""Decodes and decompresses what a container sends, in pieces of bounded size. Does no I/O.

Everything here is checked: a container may send anything. All errors are ValueError.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

try:
    import lzma
except ImportError:  # a Python that was built without it
    lzma = None  # type: ignore[assignment]

PIECE = 256 * 1024
"""Most bytes that come out of a decompressor at once, however well they were compressed."""

_GZIP = 31
"""zlib's number (wbits) for a gzip file with the largest window. It compares the checksum and length at its end."""

_XZ_MEMORY = 64 * 1024 * 1024
"""Most memory for xz. Level 6, the default of the tool, needs 9 MB."""

_ERRORS: tuple[type[Exception], ...] = (zlib.error,) if lzma is None else (zlib.error, lzma.LZMAError)

_BLANKS = b" \t\r\n"
_BASE64 = bytes(range(0x41, 0x5B)) + bytes(range(0x61, 0x7B)) + b"0123456789+/"
_HEX = b"0123456789abcdef"


class CutOff(ValueError):
    """The end of compressed data is missing."""


class Decoder(Protocol):
    """Decodes a text that comes in pieces."""

    def feed(self, data: bytes) -> bytes:
        """Return the bytes that `data` completes."""

    def close(self) -> bytes:
        """Return the last bytes. The text is over."""


class _Digits:
    """Decodes groups of digits, with blanks anywhere between them."""

    def __init__(self, digits: bytes, group: int, decode: Callable[[bytes], bytes]) -> None:
        self._digits = digits
        self._group = group
        self._decode = decode
        self._held = b""
        self._over = False

    def feed(self, data: bytes) -> bytes:
        text = self._held + data.translate(None, _BLANKS)
        end = len(text) - len(text) % self._group
        self._held = text[end:]
        if not end:
            return b""
        text = text[:end]
        if self._over:
            raise ValueError("data behind the end")
        self._over = text.endswith(b"=")
        if text.rstrip(b"=").translate(None, self._digits):
            raise ValueError("characters that are not of this encoding")
        return self._decode(text)

    def close(self) -> bytes:
        if self._held:
            raise ValueError("its end is missing")
        return b""


class _Escaped:
    """Decodes EF and another byte as one byte."""

    escapes: Mapping[bytes, bytes] = {b"\xef\x81": b"\x1e", b"\xef\x80": b"\xef"}
    """The one for EF comes last."""
    ignored = b""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        data = self._held + data.translate(None, self.ignored)
        self._held = b"\xef" if data.endswith(b"\xef") else b""
        data = data[: len(data) - len(self._held)]
        if data.count(b"\xef") != sum(map(data.count, self.escapes)):
            raise ValueError("an unknown escape")
        for escape, byte in self.escapes.items():
            data = data.replace(escape, byte)
        return data

    def close(self) -> bytes:
        if self._held:
            raise ValueError("its end is missing")
        return b""


class _EscapedLines(_Escaped):
    """Decodes three more escapes. Newlines are not part of the data."""

    escapes: Mapping[bytes, bytes] = {
        b"\xef\x82": b"\0",
        b"\xef\x83": b"\n",
        b"\xef\x84": b"\1",
        **_Escaped.escapes,
    }
    ignored = b"\n"


class _Plain:
    def feed(self, data: bytes) -> bytes:
        return data

    def close(self) -> bytes:
        return b""


def decoder(encoding: str) -> Decoder:
    """Return the decoder of an encoding, see `fetch_script`. Raises ValueError if there is none."""
    if encoding == "b":
        return _Digits(_BASE64, 4, binascii.a2b_base64)
    if encoding == "h":
        return _Digits(_HEX, 2, binascii.unhexlify)
    if encoding == "r":
        return _Plain()
    if encoding == "e":
        return _Escaped()
    if encoding == "t":
        return _EscapedLines()
    raise ValueError(f"an unknown encoding {encoding!r}")


def decoded(text: bytes, encodings: str) -> bytes:
    """Decode a whole text that begins with the letter of its encoding, one of `encodings`; `=` means plain."""
    letter, rest = text[:1].decode("ascii", "replace"), text[1:]
    if letter == "=":
        return rest
    if not letter or letter not in encodings:
        raise ValueError("a name of an unknown encoding")
    known = decoder(letter)
    return known.feed(rest) + known.close()


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


class _Gzip:
    """zlib's decompressor, with the methods of the one for xz."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def packings() -> tuple[str, ...]:
    """Return the ways to compress that this Python can read, the best first.

    zstd would not pay: docs/steps.md has the figures.
    """
    return ("gzip",) if lzma is None else ("xz", "gzip")


def _decompressor(packing: str) -> _Decompressor:
    if packing == "gzip":
        return _Gzip()
    if packing == "xz" and lzma is not None:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)
    raise ValueError(f"an unknown compression {packing!r}")


class Unpacker:
    """Decompresses a stream."""

    def __init__(self, packing: str) -> None:
        """Take `gzip`, `xz`, or `-` for a stream that is not compressed. Raises ValueError for anything else."""
        self._decompressor = None if packing == "-" else _decompressor(packing)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the bytes that `data` completes, in pieces."""
        if self._decompressor is not None:
            yield from self._decompressed(self._decompressor, data)
        else:
            for start in range(0, len(data), PIECE):
                yield data[start : start + PIECE]

    def _decompressed(self, decompressor: _Decompressor, data: bytes) -> Iterator[bytes]:
        piece = b""
        while data or len(piece) == PIECE or not (decompressor.needs_input or decompressor.eof):
            if decompressor.eof:
                raise ValueError("data behind the end of the compressed data")
            try:
                piece = decompressor.decompress(data, PIECE)
            except _ERRORS as error:
                raise ValueError(f"the compressed data are damaged: {error}") from error
            data = decompressor.unused_data
            if piece:
                yield piece

    def close(self) -> None:
        """Raise ValueError unless the stream is complete."""
        if self._decompressor is not None and not self._decompressor.eof:
            raise CutOff("the compressed data are incomplete")
