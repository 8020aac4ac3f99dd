"""The figures of the file copier and the script step."""

from __future__ import annotations

import base64
import os
import random
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.clients import Bench
from bench.executor import Figure, ratio
from bench.measure import Program, Spread, run
from e2e.rundeck_launch import CONTENTS, started_by

SIZE = 10_000_000
_REAL: dict[str, object] = {}
_UNPACED: dict[str, object] = {"start_delay": 0, "pacing": 0}
_PEER_WITHIN = 240.0
_END = b"the-end-of-the-file"


def figures(runs: int) -> Iterator[Figure]:
    """Measure; yield each figure as soon as it is known."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = {"random bytes": write_random(folder / "random"), "text": write_text(folder / "text")}
        for habits, agent in ((_REAL, "the agent's pace"), (_UNPACED, "no pace")):
            with Bench(1, habits, folder) as bench:
                for kind, file in files.items():
                    yield from _upload(bench, file, f"upload of 10 MB of {kind}, {agent}", min(runs, 3))
        with Bench(1, _REAL, folder) as bench:
            yield _script_step(bench, folder, runs)


def _upload(bench: Bench, file: Path, name: str, runs: int) -> Iterator[Figure]:
    goal = file.with_name("goal")
    peer = rate(_peer_upload(bench, file, goal) for _ in range(1))
    for transport in ("native", "session-manager-plugin"):
        program = _copy(bench, file, goal, transport)
        ours = rate(run(program).wall for _ in range(runs))
        if goal.read_bytes() != file.read_bytes():
            raise RuntimeError("a copy differs")
        goal.unlink()
        yield Figure(f"{name}, {transport}", ours, peer, "MB/s", ours.middle / peer.middle, 1.0, "at least")


def rate(seconds: Iterator[float]) -> Spread:
    """Return MB a second for files of SIZE bytes."""
    return Spread.of(SIZE / each / 1_000_000 for each in seconds)


def _copy(bench: Bench, file: Path, goal: Path, transport: str = "native") -> Program:
    """Give the file copier, as Rundeck starts it."""
    program = bench.ours("", transport=transport)
    environment = {
        **program.environment,
        "RD_FILE_COPY_FILE": str(file),
        "RD_FILE_COPY_DESTINATION": str(goal),
    }
    return Program(started_by(CONTENTS / "file-copier.py"), environment)


def _script_step(bench: Bench, folder: Path, runs: int) -> Figure:
    """Compare one session with those of Rundeck's own script step, which follow each other."""
    script = "#!/bin/sh\necho done\n"
    local, there = folder / "script", folder / "script there"
    local.write_text(script)
    steps = [_copy(bench, local, there)]
    steps += [bench.ours(command) for command in (f"chmod +x '{there}'", f"'{there}'", f"rm -f '{there}'")]
    one = bench.ours("")
    ours = replace(
        one,
        arguments=started_by(CONTENTS / "run-script.py"),
        environment={**one.environment, "RD_CONFIG_SCRIPT": script},
    )
    pairs = [(run(ours).wall, sum(run(step).wall for step in steps)) for _ in range(runs)]
    return ratio(
        "a script step: one session for Rundeck's four",
        Spread.of(pair[0] for pair in pairs),
        Spread.of(pair[1] for pair in pairs),
        "s",
        0.4,
    )


# --- The peer


def _peer_upload(bench: Bench, file: Path, goal: Path) -> float:
    """Type a file as a here-document into a shell that `aws ecs execute-command` opened; return the seconds.

    Raises RuntimeError if the file differs afterwards.
    """
    program = bench.peer("/bin/sh")
    typed = b"base64 -d >%s <<%s\n" % (os.fsencode(goal), _END)
    typed += base64.encodebytes(file.read_bytes()) + _END + b"\nexit\n"
    ours, theirs = os.openpty()
    begun = time.monotonic()
    with subprocess.Popen(
        program.arguments,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=dict(program.environment),
        start_new_session=True,
    ) as process:
        os.close(theirs)
        os.set_blocking(ours, False)
        _type(ours, typed, begun + _PEER_WITHIN)
        os.close(ours)
        process.kill()
    seconds = time.monotonic() - begun
    if not goal.exists() or goal.read_bytes() != file.read_bytes():
        raise RuntimeError("the peer's copy differs")
    goal.unlink()
    return seconds


def _type(terminal: int, typed: bytes, until: float) -> None:
    """Type when a prompt appears, and read until the program closes its terminal."""
    rest = memoryview(typed)
    prompted = False
    while time.monotonic() < until:
        writing = [terminal] if prompted and rest else []
        readable, writable, _ = select.select([terminal], writing, [], 1)
        if writable:
            with suppress(BlockingIOError):
                rest = rest[os.write(terminal, rest[:4096]) :]
        if readable:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                return
            prompted = prompted or b"# " in data or b"$ " in data
            if not data:
                return
    raise RuntimeError("the peer has not ended")


# --- Files


def write_random(path: Path) -> Path:
    """Write random bytes."""
    path.write_bytes(random.Random(1).randbytes(SIZE))  # noqa: S311 - the same each time
    return path


def write_text(path: Path) -> Path:
    """Write lines like those of a server's log."""
    chance = random.Random(1)  # noqa: S311 - the same each time
    lines = (
        f"10.0.{chance.randrange(256)}.{chance.randrange(256)} - - [24/Nov/2026:22:{chance.randrange(60):02}:00 +0000]"
        f' "GET /item/{chance.randrange(10**6)} HTTP/1.1" 200 {chance.randrange(10**5)}\n'
        for _ in range(SIZE // 70)
    )
    path.write_bytes("".join(lines).encode()[:SIZE].ljust(SIZE, b"\n"))
    return path
