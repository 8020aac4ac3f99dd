"""A busybox that lacks some of its programs: Debian's shell finds them inside itself, with any PATH."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

_FIRST = b"[\0[[\0"
_END = b"\0\0"


def without(folder: Path, programs: Iterable[str]) -> Path:
    """Copy busybox into a folder as `ash`, without some programs: their names in its sorted list are changed."""
    content = bytearray(Path(shutil.which("busybox") or "busybox").read_bytes())
    start = content.index(_FIRST)
    names = bytes(content[start : content.index(_END, start)]).split(b"\0")
    for name in map(str.encode, programs):
        if name not in names:
            continue  # Debian's lacks it anyway
        at = names.index(name)
        position = start + sum(len(each) + 1 for each in names[:at])
        names[at] = _between(names[at - 1], name, [*names, b"\xff"][at + 1])
        content[position : position + len(name)] = names[at]
    path = folder / "ash"
    path.unlink(missing_ok=True)  # a link there may lead to the busybox of this machine
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def _between(before: bytes, name: bytes, after: bytes) -> bytes:
    """Make another name of the same length that keeps the list sorted, because busybox uses a binary search."""
    for last in range(0x21, 0x7F):
        other = name[:-1] + bytes([last])
        if other != name and before < other < after:
            return other
    raise ValueError(f"there is no name between {before!r} and {after!r}")
