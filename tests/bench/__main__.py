"""`python -m bench`: measure, print the table, and keep it as JSON."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path

from bench import files, node_source
from bench.executor import Figure, figures, growth
from bench.measure import Spread

_JSON = Path(__file__).parents[2] / "build" / "bench.json"
_HEAD = "| Figure | Ours: min, median, max | Peer: min, median, max | Ratio or value | Must be |\n|---|---|---|---|---|"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="runs of each program (10)")
    options = parser.parse_args(argv)
    print(_machine(), _HEAD, sep="\n\n", flush=True)
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for figure in chain(
            figures(Path(folder), options.runs), node_source.figures(options.runs), files.figures(options.runs)
        ):
            found.append(figure)
            print(_row(figure), flush=True)
        print("\n| Executions at once | Executions a second | Processor time of one, ms |\n|---|---|---|")
        grown = list(growth(Path(folder)))
        for count, rate, cpu in grown:
            print(f"| {count} | {rate:.1f} | {cpu * 1000:.0f} |", flush=True)
    content = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": _machine(),
        "figures": [asdict(figure) | {"reached": figure.reached} for figure in found],
        "growth": [{"atOnce": count, "perSecond": rate, "cpu": cpu} for count, rate, cpu in grown],
    }
    _JSON.parent.mkdir(exist_ok=True)
    _JSON.write_text(json.dumps(content, indent=2))
    return 0 if all(figure.reached for figure in found) else 1


def _machine() -> str:
    import os

    return f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _row(figure: Figure) -> str:
    peer = _spread(figure.peer, figure) if figure.peer else ""
    missed = "" if figure.reached else " **missed**"
    return (
        f"| {figure.name} | {_spread(figure.ours, figure)} | {peer}"
        f" | {figure.value:.3g} | {figure.bound} {figure.mark:g}{missed} |"
    )


def _spread(spread: Spread, figure: Figure) -> str:
    numbers = (f"{value:.{figure.digits}f}" for value in (spread.low, spread.middle, spread.high))
    return f"{', '.join(numbers)} {figure.unit}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
