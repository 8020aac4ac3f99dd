"""`make soak-fetches`: fetch files of up to 200 MB and a tree of 1,000 files, which is too slow for each test run.

Each shell runs with all tools, busybox without each of them in turn, and bash and busybox without any. Everything must
come unchanged, over both transports, and nothing may stay behind. Large files come at the agent's real pace, unless a
tool is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import busybox
from e2e.rundeck_launch import CONTENTS, Launcher
from emulator import Emulator
from real import session_manager_plugin

_MB = 1_000_000
_TRANSPORTS = ("native", "session-manager-plugin")
_TOOLS = (
    "base64 openssl od head cat dd stat ls wc gzip xz tar tee sed readlink stty"
    " sha256sum sha512sum sha1sum md5sum cksum"
)
_WHOLE = ("dash", "bash", "busybox")
_ALONE = ("bash alone", "busybox alone")
"""Shells in an image without any tool. They do not fetch the sparse file: its NULs would take hours."""
_SHELLS = (*_WHOLE, *(f"busybox without {tool}" for tool in _TOOLS.split()), *_ALONE)
_REAL: dict[str, object] = {"session_limit": 0}
_FAST: dict[str, object] = {"session_limit": 0, "start_delay": 0, "pacing": 0}
_LARGE = ("random", "text")
_PROGRESS = re.compile(r"^ecs-exec: fetched \d+ bytes in .*\n", re.MULTILINE)
_HOLES = 2 * _MB
"""Most bytes on the disk of the sparse file, here and there."""


class _Container(NamedTuple):
    """What fetches run in."""

    shell: str
    """By its name in the arguments."""
    program: str
    emulator: Emulator

    def knows(self, tool: str) -> bool:
        """Return whether the image has a tool."""
        return self.shell not in (*_ALONE, f"busybox without {tool}")


def main() -> int:
    """Fetch each source over each transport with each shell; return 1 if anything differs."""
    parser = argparse.ArgumentParser(
        description="Fetch files with each shell over each transport, and compare content, permissions and times."
    )
    parser.add_argument("--shells", default=";".join(_SHELLS), help="semicolon-separated (%(default)s)")
    parser.add_argument("--transports", default=",".join(_TRANSPORTS), help="comma-separated (%(default)s)")
    parser.add_argument("--sources", default=",".join(_SOURCES), help="comma-separated (%(default)s)")
    parser.add_argument("--small", action="store_true", help=f"leave out the large files: {', '.join(_LARGE)}")
    options = parser.parse_args()
    names = [name for name in options.sources.split(",") if not (options.small and name in _LARGE)]
    done = failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "sources").mkdir()
        sources = {name: _SOURCES[name](folder / "sources" / f"it's {name}") for name in names}
        for shell in options.shells.split(";"):
            program = _program(folder, shell)
            for transport in options.transports.split(","):
                for same in _fetch_all(sources, folder, program, shell, transport):
                    done += 1
                    failed += not same
    sys.stdout.write(f"{done} fetches, {failed} of them differ or failed\n")
    return 1 if failed or not done else 0


# --- Sources


def _file(content: Callable[[], bytes]) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(content())
        path.chmod(0o640)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        return path

    return write


def _random(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - the same each time


def _text() -> bytes:
    return b"".join(b"%d %d\n" % (number, number**2) for number in range(12_000_000))[: 200 * _MB]


def _sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.seek(50 * _MB)
        file.write(b"in the middle")
        file.truncate(100 * _MB)
    return path


def _tree(top: Path) -> Path:
    odd = ("ünï", "it's", "two  blanks ", "-rf", "..dots", ".hidden", "*?[x]", "$x `y`", "back\\slash", '"', "~", "%s#")
    for number in range(1000):
        name = os.fsencode(f"{odd[number % 12]}{number}") + (b"", b"\xe4\xff", b" ", b"n" * 230)[number % 4]
        path = top / f"{odd[number % 7]}" / f"{odd[number % 11]}" / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_random(number))
        path.chmod(0o600 + number % 64)
        os.utime(path, (1_600_000_000 + number, 1_600_000_000 + number))
    (top / "a link").symlink_to("ünï")
    return top


_SOURCES: dict[str, Callable[[Path], Path]] = {
    "empty": _file(lambda: b""),
    "one": _file(lambda: b"\n"),
    "values": _file(lambda: bytes(range(256)) * 100),
    "megabyte": _file(lambda: _random(_MB)),
    "sparse": _sparse,
    "tree": _tree,
    "random": _file(lambda: _random(50 * _MB)),
    "text": _file(_text),
}
"""An empty file, a newline, all byte values, 1 MB of random bytes, a sparse file of 100 MB, a tree of 1,000 files with
odd names, 50 MB of random bytes, 200 MB of text."""


# --- Fetches


def _program(folder: Path, shell: str) -> str:
    if not shell.startswith("busybox"):
        name = shell.removesuffix(" alone")
        return shutil.which(name) or name
    place = folder / shell.replace(" ", "-")
    place.mkdir(exist_ok=True)
    missing = _TOOLS.split() if shell in _ALONE else [shell.partition(" without ")[2]]
    return str(busybox.without(place, missing))


def _fetch_all(sources: dict[str, Path], folder: Path, program: str, shell: str, transport: str) -> Iterator[bool]:
    """Fetch the sources with one shell; yield for each whether it came unchanged."""
    for habits in (_FAST, _REAL):
        chosen = {
            name: path
            for name, path in sources.items()
            if (shell in _WHOLE and name in _LARGE) == (habits is _REAL) and (shell not in _ALONE or name != "sparse")
        }
        container = {} if shell in ("dash", "bash") else {"env": {"PATH": "/nowhere"}}
        world = {"clusters": {"c": {"tasks": [{"family": "f", "containers": {"app": container}}]}}}
        if not chosen:
            continue
        with Emulator(world, agent=habits) as emulator:
            for name, path in chosen.items():
                yield _fetched(name, path, folder / "goal", _Container(shell, program, emulator), transport)


def _fetched(name: str, source: Path, goal: Path, container: _Container, transport: str) -> bool:
    emulator = container.emulator
    launcher = Launcher(emulator.endpoint_url, emulator.region, script=CONTENTS / "fetch-file.py")
    config = {"transport": transport, "session-manager-plugin": str(session_manager_plugin.build())}
    config |= {"source": str(source), "destination": "x", "fetch-folder": str(goal), "shell": container.program}
    before = _names(source.parent)
    begun = time.monotonic()
    with launcher.start(emulator.node("c", "f"), "", config) as process:
        stdout, stderr = process.communicate(timeout=3600)
    seconds = time.monotonic() - begun
    there = goal / "x"
    wrong = [
        what
        for what, right in {
            "exit status": process.returncode == 0,
            "output": stdout.decode() == f"{there}: {_described(source)}\n"
            and _PROGRESS.sub("", stderr.decode()) == _said(container, name),
            "files": _listing(there, container, name) == _listing(source, container, name),
            "something is left on the server": _names(goal) == [there, *_names(there)],
            "something is left in the container": _names(source.parent) == before and not emulator.processes(),
            "protocol": not emulator.report()["violations"],
        }.items()
        if not right
    ]
    size = sum(path.stat().st_size for path in (source, *source.rglob("*")) if path.is_file())
    rate = f"{size / seconds / _MB:.2f} MB/s, " if name in _LARGE else ""
    checksum = f", sha256 {_sha256(source)[:12]}" if source.is_file() else ""
    more = f": {', '.join(wrong)}; {process.returncode} {stdout!r} {stderr!r}" if wrong else ""
    sys.stdout.write(
        f"{'DIFFERS' if wrong else 'same'}\t{container.shell}, {transport}, {name}: {size} bytes{checksum},"
        f" {rate}{seconds:.1f} s{more}\n"
    )
    sys.stdout.flush()
    shutil.rmtree(goal, ignore_errors=True)
    return not wrong


def _described(source: Path) -> str:
    """Return what the step must print about a source, behind its path."""
    files = [path for path in (source, *source.rglob("*")) if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    return f"{size} bytes, {f'{len(files)} files' if source.is_dir() else f'sha256 {_sha256(source)}'}"


def _said(container: _Container, name: str) -> str:
    """Return what the step must print on stderr: without tar and readlink, links are left out."""
    if name != "tree" or container.knows("tar") or container.knows("readlink"):
        return ""
    return "ecs-exec: left out a link: the image has no readlink, so the targets of symbolic links are unknown\n"


def _names(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def _sha256(path: Path) -> str:
    checksum = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_MB):
            checksum.update(piece)
    return checksum.hexdigest()


def _listing(top: Path, container: _Container, name: str) -> dict[str, tuple[object, ...]]:
    """Return content, permissions and times of a file, or of all files of a directory.

    Without stat, times are unknown; without ls, too, permissions; without tar and readlink, links.
    """
    found: dict[str, tuple[object, ...]] = {}
    for path in [top, *_names(top)]:
        if not os.path.lexists(path):
            continue
        status = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else _sha256(path) if path.is_file() else "a directory"
        if path.is_symlink() and not (container.knows("tar") or container.knows("readlink")):
            continue
        meta: tuple[object, ...] = ()
        if not path.is_symlink() and (container.knows("stat") or container.knows("ls")):
            meta = (stat.S_IMODE(status.st_mode),)
        if not path.is_symlink() and container.knows("stat"):
            meta = (*meta, int(status.st_mtime))
        if name == "sparse":
            meta = (*meta, status.st_blocks * 512 < _HOLES)
        found[str(path.relative_to(top))] = content, *meta
    return found


if __name__ == "__main__":
    sys.exit(main())
