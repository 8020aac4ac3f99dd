"""The figures of the step Fetch File."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.clients import Bench
from bench.executor import Figure
from bench.files import SIZE, rate, write_random, write_text
from bench.measure import Program, run
from e2e.rundeck_launch import CONTENTS, started_by

_REAL: dict[str, object] = {}
_MARKS = {"random bytes": 1.2, "text": 3.0}
"""How many times faster than the peer a fetch must be."""
_SHARE = 0.7
"""The part of the channel's rate that incompressible bytes must reach: Base64 makes them a third longer."""


def figures(runs: int) -> Iterator[Figure]:
    """Measure at the agent's pace; yield each figure as soon as it is known."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = {"random bytes": write_random(folder / "random"), "text": write_text(folder / "text")}
        with Bench(1, _REAL, folder) as bench:
            ceiling = rate(run(bench.ours(f"cat {files['text']}")).wall for _ in range(1))
            for kind, file in files.items():
                peer = rate(_peer(bench, file) for _ in range(1))
                for transport in ("native", "session-manager-plugin"):
                    ours = rate(_fetched(bench, file, folder / "fetched", transport) for _ in range(min(runs, 3)))
                    row = f"fetch of 10 MB of {kind}, the agent's pace, {transport}"
                    yield Figure(row, ours, peer, "MB/s", ours.middle / peer.middle, _MARKS[kind], "at least")
                    if kind == "random bytes":
                        share = ours.middle / ceiling.middle
                        yield Figure(
                            f"{row}: share of the channel's rate", ours, ceiling, "MB/s", share, _SHARE, "at least"
                        )


def _fetched(bench: Bench, file: Path, folder: Path, transport: str) -> float:
    """Fetch a file; return the seconds. Raises RuntimeError if it differs."""
    program = bench.ours("", transport=transport)
    config = {"SOURCE": str(file), "DESTINATION": "x", "FETCH_FOLDER": str(folder), "OVERWRITE": "true"}
    environment = {**program.environment, **{f"RD_CONFIG_{name}": value for name, value in config.items()}}
    ours = replace(program, arguments=started_by(CONTENTS / "fetch-file.py"), environment=environment)
    seconds = run(ours).wall
    if (folder / "x").read_bytes() != file.read_bytes():
        raise RuntimeError("a fetched file differs")
    return seconds


def _peer(bench: Bench, file: Path) -> float:
    """Print a file as Base64 through `aws ecs execute-command`; return the seconds.

    Raises RuntimeError if it differs.
    """
    printed: list[bytes] = []
    program: Program = bench.peer(f"base64 {file}")
    seconds = run(program, printed.append).wall
    text = b"".join(printed).replace(b"\r", b"")
    lines = [line for line in text.split(b"\n") if re.fullmatch(rb"[A-Za-z0-9+/]{76}|[A-Za-z0-9+/]*={1,2}", line)]
    if base64.b64decode(b"".join(lines))[-SIZE:] != file.read_bytes():
        raise RuntimeError("the peer's file differs")
    return seconds
