"""`make soak-files`: copy large files, which is too slow for each test run, and check that they arrive unchanged."""

from __future__ import annotations

import argparse
import random
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import busybox
from e2e.rundeck_launch import CONTENTS, Launcher
from emulator import Emulator
from real import session_manager_plugin

_MB = 1_000_000
_TRANSPORTS = ("native", "session-manager-plugin")
_WITHOUT = {
    "busybox": [],
    "busybox without dd": ["dd"],
    "busybox without head": ["head"],
    "busybox without base64": ["base64"],
    "busybox without gzip": ["gzip", "gunzip", "zcat"],
    "busybox without sha256sum": ["sha256sum"],
    "busybox without dd, head, base64": ["dd", "head", "base64"],
}
_SHELLS = ("dash", "bash", *_WITHOUT)


def main() -> int:
    """Copy each file over each transport into each shell; return 1 if a copy differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shells", default=";".join(_SHELLS), help="with semicolons between (%(default)s)")
    parser.add_argument("--transports", default=",".join(_TRANSPORTS), help="comma-separated (%(default)s)")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = list(_files(folder))
        programs = _programs(folder)
        for shell in options.shells.split(";"):
            for transport in options.transports.split(","):
                failed += sum(not _copied(file, folder, programs[shell], shell, transport) for file in files)
    return 1 if failed else 0


def _files(folder: Path) -> Iterator[Path]:
    chance = random.Random(3)  # noqa: S311 - the same each time
    for name, content in (
        ("1 MB of random bytes", chance.randbytes(_MB)),
        ("50 MB of random bytes", chance.randbytes(50 * _MB)),
        (
            "100 MB of text",
            b"".join(b"%d %d\n" % (number, number * number) for number in range(6_000_000))[: 100 * _MB],
        ),
    ):
        path = folder / name
        path.write_bytes(content)
        path.chmod(0o640)
        yield path


def _programs(folder: Path) -> dict[str, str]:
    found = {"dash": "/bin/dash", "bash": "/bin/bash"}
    for number, (name, tools) in enumerate(_WITHOUT.items()):
        place = folder / f"busybox-{number}"
        place.mkdir()
        found[name] = str(busybox.without(place, tools))
    return found


def _copied(file: Path, folder: Path, program: str, shell: str, transport: str) -> bool:
    """Copy a file with an agent at its real pace; return whether the result is correct."""
    world = {"clusters": {"c": {"tasks": [{"family": "f", "containers": {"app": {"programs": {"/bin/sh": program}}}}]}}}
    goal = folder / "goal" / file.name
    with Emulator(world, agent={"session_limit": 0}) as emulator:
        launcher = Launcher(emulator.endpoint_url, emulator.region, script=CONTENTS / "file-copier.py")
        config = {"transport": transport, "session-manager-plugin": str(session_manager_plugin.build())}
        begun = time.monotonic()
        variables = {"RD_FILE_COPY_FILE": str(file), "RD_FILE_COPY_DESTINATION": str(goal)}
        with launcher.start(emulator.node("c", "f"), "", config, **variables) as process:
            stdout, stderr = process.communicate(timeout=900)
        seconds = time.monotonic() - begun
        complaints = emulator.report()["violations"]
    same = process.returncode == 0 and goal.read_bytes() == file.read_bytes()
    same = same and stat.S_IMODE(goal.stat().st_mode) == 0o640 and list(goal.parent.iterdir()) == [goal]
    rate = file.stat().st_size / seconds / _MB
    said = "" if same else f" {stdout!r} {stderr!r} {complaints}"
    sys.stdout.write(
        f"{'same' if same else 'DIFFERS'} {shell}, {transport}, {file.name}: {seconds:.1f} s, {rate:.1f} MB/s{said}\n"
    )
    sys.stdout.flush()
    goal.unlink(missing_ok=True)
    return same and not complaints


if __name__ == "__main__":
    sys.exit(main())
