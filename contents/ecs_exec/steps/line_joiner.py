"""Joins pieces of output to whole lines, for several commands that share one log. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MAX_LINE = 1 << 20
"""Bytes of the longest line; longer ones are split, so that no command can fill the memory."""

_ENDS = re.compile(rb"\r\n|\n|\r(?!\Z)")
r"""Rundeck ends a line at `\r`, too. After a `\r` at the end of a piece, the next piece may begin with its `\n`."""


class Lines:
    r"""Takes pieces of one stream, and returns its lines with a prefix, each with one `\n` at its end."""

    def __init__(self, prefix: str) -> None:
        """Take the prefix of each line."""
        self._prefix = prefix.encode()
        self._rest = b""

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Take a piece; yield the lines that are complete."""
        *lines, self._rest = _ENDS.split(self._rest + data)
        while len(self._rest) > MAX_LINE:
            lines.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        for line in lines:
            yield self._prefix + line + b"\n"

    def finish(self) -> Iterator[bytes]:
        """Yield the last line if it has no line end."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        if rest:
            yield self._prefix + rest + b"\n"


def short_names(ids: Iterable[str], least: int = 8) -> dict[str, str]:
    """Return the shortest prefix of each id with which all ids differ, but at least `least` characters."""
    found = list(ids)
    length = least
    while len({name[:length] for name in found}) < len(set(found)):
        length += 1
    return {name: name[:length] for name in found}
