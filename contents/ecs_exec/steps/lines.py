"""Whole lines out of pieces of output, for several commands that share one log. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MAX_LINE = 1 << 20
"""Bytes of a line that are waited for; a longer one is cut, so that no command can fill the memory."""

_ENDS = re.compile(rb"\r\n|\n|\r(?!\Z)")
r"""Rundeck ends a line at `\r`, too. One at the very end of a piece may have its `\n` in the next."""


class Lines:
    r"""Takes pieces of one stream, gives its lines with a prefix, each with one `\n` at its end."""

    def __init__(self, prefix: str) -> None:
        """Take what each line begins with."""
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
        """Yield what is left, a line without an end."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        if rest:
            yield self._prefix + rest + b"\n"


def short_names(ids: Iterable[str], least: int = 8) -> dict[str, str]:
    """Return, by id, its first characters: as few as tell all of them apart."""
    found = list(ids)
    length = least
    while len({name[:length] for name in found}) < len(set(found)):
        length += 1
    return {name: name[:length] for name in found}
