"""`python -m bench`: measure, print the table, and keep it as JSON."""

from __future__ import annotations

import argparse
import json
import os
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

_ROOT = Path(__file__).parents[2]
_JSON = _ROOT / "build" / "bench.json"
_GROWTH_HEAD = "| Executions at once | Executions a second | Processor time of one, ms |\n|---|---|---|"
_HEAD = "| Figure | Ours: min, median, max | Peer: min, median, max | Ratio or value | Must be |\n|---|---|---|---|---|"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="runs of each program (10)")
    parser.add_argument("--only", choices=("executor", "nodes", "files"), help="measure one part")
    parser.add_argument("--write", action="store_true", help="put the tables into README.md and docs/capacity.md, too")
    options = parser.parse_args(argv)
    print(_machine(), _HEAD, sep="\n\n", flush=True)
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        parts = {
            "executor": figures(Path(folder), options.runs),
            "nodes": node_source.figures(options.runs),
            "files": files.figures(options.runs),
        }
        for figure in parts[options.only] if options.only else chain(*parts.values()):
            found.append(figure)
            print(_row(figure), flush=True)
        print(f"\n{_GROWTH_HEAD}")
        grown = list(growth(Path(folder)))
        print("\n".join(map(_growth_row, grown)), flush=True)
    content = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": _machine(),
        "figures": [asdict(figure) | {"reached": figure.reached} for figure in found],
        "growth": [{"atOnce": count, "perSecond": rate, "cpu": cpu} for count, rate, cpu in grown],
    }
    _JSON.parent.mkdir(exist_ok=True)
    _JSON.write_text(json.dumps(content, indent=2))
    if options.write:
        _write("README.md", [f"{content['date']}, {_machine()}:", "", _HEAD, *map(_row, found)])
        _write("docs/capacity.md", [_GROWTH_HEAD, *map(_growth_row, grown)])
    return 0 if all(figure.reached for figure in found) else 1


def _write(name: str, lines: Sequence[str]) -> None:
    """Put lines between the marks of a document."""
    path = _ROOT / name
    begin, end = "<!-- bench -->\n", "<!-- end of bench -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    path.write_text("".join([before, begin, *(f"{line}\n" for line in lines), end, after]), encoding="utf-8")


def _growth_row(row: tuple[int, float, float]) -> str:
    count, rate, cpu = row
    return f"| {count} | {rate:.1f} | {cpu * 1000:.0f} |"


def _machine() -> str:
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
