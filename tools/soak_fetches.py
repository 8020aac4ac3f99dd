"""`make soak-fetches`: fetch large files and a tree of 1,000 files, which is too slow for each test run.

Each shell runs with all tools, and busybox also without each of them in turn. Everything must come unchanged, over both
transports, and nothing may stay behind.
"""

from __future__ import annotations

import argparse
import random
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import busybox
from e2e.rundeck_launch import CONTENTS, Launcher
from emulator import Emulator
from real import session_manager_plugin

_MB = 1_000_000
_TRANSPORTS = ("native", "session-manager-plugin")
_TOOLS = (
    "base64 openssl od head cat dd stat ls wc gzip xz tar tee sed readlink sha256sum sha512sum sha1sum md5sum cksum"
)
_SHELLS = ("dash", "bash", "busybox", *(f"busybox without {tool}" for tool in _TOOLS.split()))
_FAST: dict[str, object] = {"session_limit": 0, "start_delay": 0, "pacing": 0}


class _Source(NamedTuple):
    """A file or a directory of the container."""

    name: str
    path: Path
    large: bool
    """Only dash, bash and busybox with all its tools fetch it, at the agent's real pace."""


def main() -> int:
    """Fetch each source over each transport with each shell; return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shells", default=";".join(_SHELLS), help="with semicolons between (%(default)s)")
    parser.add_argument("--transports", default=",".join(_TRANSPORTS), help="comma-separated (%(default)s)")
    parser.add_argument("--small", action="store_true", help="leave out the large files")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [source for source in _sources(folder / "sources") if not (options.small and source.large)]
        for shell in options.shells.split(";"):
            program = _program(folder, shell)
            for transport in options.transports.split(","):
                wanted = [source for source in sources if "without" not in shell or not source.large]
                failed += _fetch_all(wanted, folder, program, shell, transport)
    return 1 if failed else 0


def _sources(folder: Path) -> Iterator[_Source]:
    chance = random.Random(3)  # noqa: S311 - the same each time
    folder.mkdir()
    for name, content in (
        ("empty", b""),
        ("1 byte", b"\n"),
        ("all byte values", bytes(range(256)) * 100),
        ("1 MB of random bytes", chance.randbytes(_MB)),
        ("50 MB of random bytes", chance.randbytes(50 * _MB)),
        ("200 MB of text", b"".join(b"%d %d\n" % (number, number**2) for number in range(12_000_000))[: 200 * _MB]),
    ):
        path = folder / name
        path.write_bytes(content)
        path.chmod(0o640)
        yield _Source(name, path, len(content) > _MB)
    sparse = folder / "a sparse file of 100 MB"
    with sparse.open("wb") as file:
        file.seek(50 * _MB)
        file.write(b"in the middle")
        file.truncate(100 * _MB)
    yield _Source(sparse.name, sparse, large=False)
    tree = folder / "a tree of 1,000 files"
    for number in range(1000):
        path = tree / f"d{number % 7}" / f"ünï {number % 3}'" / f"-{number} \\ $x *?[{number}].log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(number))
        path.chmod(0o600 + number % 64)
    yield _Source(tree.name, tree, large=False)


def _program(folder: Path, shell: str) -> str:
    if not shell.startswith("busybox"):
        return f"/bin/{shell}"
    place = folder / shell.replace(" ", "-")
    place.mkdir(exist_ok=True)
    return str(busybox.without(place, [shell.partition(" without ")[2]]))


def _fetch_all(sources: list[_Source], folder: Path, program: str, shell: str, transport: str) -> int:
    """Fetch the sources with one shell; return the number of those that differ."""
    failed = 0
    for habits in ({"session_limit": 0}, _FAST):
        chosen = [source for source in sources if source.large == (habits is not _FAST)]
        container = {"env": {"PATH": "/nowhere"}} if "busybox" in shell else {}
        world = {"clusters": {"c": {"tasks": [{"family": "f", "containers": {"app": container}}]}}}
        if not chosen:
            continue
        with Emulator(world, agent=habits) as emulator:
            failed += sum(not _fetched(source, folder, emulator, (shell, program), transport) for source in chosen)
    return failed


def _fetched(source: _Source, folder: Path, emulator: Emulator, shells: tuple[str, str], transport: str) -> bool:
    shell, program = shells
    goal = folder / "goal"
    launcher = Launcher(emulator.endpoint_url, emulator.region, script=CONTENTS / "fetch-file.py")
    config = {"transport": transport, "session-manager-plugin": str(session_manager_plugin.build())}
    config |= {"source": str(source.path), "destination": "x", "fetch-folder": str(goal), "shell": program}
    begun = time.monotonic()
    with launcher.start(emulator.node("c", "f"), "", config) as process:
        stdout, stderr = process.communicate(timeout=1800)
    seconds = time.monotonic() - begun
    there = goal / "x"
    meta = "without stat" not in shell
    same = process.returncode == 0 and _listing(there, meta=meta) == _listing(source.path, meta=meta)
    same = same and list(goal.iterdir()) == [there] and not emulator.processes()
    said = "" if same else f" {process.returncode} {stdout!r} {stderr!r} {emulator.report()['violations']}"
    sys.stdout.write(f"{'same' if same else 'DIFFERS'} {shell}, {transport}, {source.name}: {seconds:.1f} s{said}\n")
    sys.stdout.flush()
    shutil.rmtree(goal, ignore_errors=True)
    return same


def _listing(top: Path, *, meta: bool) -> dict[str, tuple[object, ...]]:
    """Return content, permissions and times of a file or of all files of a directory."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [top, *sorted(top.rglob("*"))]:
        status = path.stat()
        more = (stat.S_IMODE(status.st_mode), int(status.st_mtime)) if meta and path.is_file() else ()
        found[str(path.relative_to(top))] = (path.read_bytes() if path.is_file() else b"", *more)
    return found


if __name__ == "__main__":
    sys.exit(main())
