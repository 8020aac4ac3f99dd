"""`python -m bench`: measure, print the table, and keep it as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path

from bench import fetches, files, node_source
from bench.executor import Figure, Growth, figures, growth
from bench.imports import Part, imports
from bench.measure import Spread

_ROOT = Path(__file__).parents[2]
_JSON = _ROOT / "build" / "bench.json"
_GROWTH_HEAD = (
    "| Commands at once | Program | Commands per second | Time beyond the agent's second, ms: min, median, max"
    " | Processor time per command, ms | Memory of all, MB | Delay of an output line, ms: min, median, max |\n"
    "|---|---|---|---|---|---|---|"
)
_IMPORTS_HEAD = "| Part | Modules | Time, ms |\n|---|---|---|"
_HEAD = "| Figure | Ours: min, median, max | Peer: min, median, max | Ratio or value | Must be |\n|---|---|---|---|---|"


_PARTS = {"executor": "", "nodes": "The node source, ", "files": "Uploads, ", "fetches": "Fetches, "}
"""The parts with tables in README.md, each between marks of its own, and how the line above each table begins."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="runs of each program (10)")
    parser.add_argument(
        "--only", choices=("executor", "nodes", "files", "fetches", "growth", "imports"), help="measure one part"
    )
    parser.add_argument(
        "--write", action="store_true", help="put the measured tables into README.md and docs/capacity.md"
    )
    options = parser.parse_args(argv)
    found: dict[str, list[Figure]] = {}
    grown: list[Growth] = []
    loaded: list[Part] = []
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, Iterator[Figure]] = {
            "executor": figures(Path(folder), options.runs),
            "nodes": node_source.figures(options.runs),
            "files": files.figures(options.runs),
            "fetches": fetches.figures(options.runs),
        }
        wanted = [name for name in parts if options.only in (None, name)]
        if wanted:
            print(_machine(), _HEAD, sep="\n\n", flush=True)
        for name in wanted:
            for figure in parts[name]:
                found.setdefault(name, []).append(figure)
                print(_row(figure), flush=True)
        if options.only in {None, "growth"}:
            print(f"\n{_GROWTH_HEAD}", flush=True)
            for row in growth(Path(folder)):
                grown.append(row)
                print(_growth_row(row), flush=True)
        if options.only in {None, "imports"}:
            print(f"\n{_IMPORTS_HEAD}", flush=True)
            for part in imports(Path(folder)):
                loaded.append(part)
                print(_part_row(part), flush=True)
    every = [*chain.from_iterable(found.values())]
    content = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": _machine(),
        "figures": [asdict(figure) | {"reached": figure.reached} for figure in every],
        "growth": [asdict(row) for row in grown],
        "imports": [asdict(part) for part in loaded],
    }
    _JSON.parent.mkdir(exist_ok=True)
    _JSON.write_text(json.dumps(content, indent=2))
    if options.write:
        _write_all(str(content["date"]), found, grown, loaded)
    return 0 if all(figure.reached for figure in every) else 1


def _write_all(date: str, found: dict[str, list[Figure]], grown: Sequence[Growth], loaded: Sequence[Part]) -> None:
    """Write the measured tables. The others stay as they are."""
    for name, rows in found.items():
        _write("README.md", [f"{_PARTS[name]}{date}, {_machine()}:", "", _HEAD, *map(_row, rows)], f"bench {name}")
    if grown:
        _write("docs/capacity.md", [_GROWTH_HEAD, *map(_growth_row, grown)])
    if loaded:
        _write("docs/capacity.md", [_IMPORTS_HEAD, *map(_part_row, loaded)], "imports")


def _write(name: str, lines: Sequence[str], mark: str = "bench") -> None:
    """Put lines between the marks of a document. Raises ValueError if it does not have them."""
    path = _ROOT / name
    begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{name} has no marks for {mark}")
    path.write_text("".join([before, begin, *(f"{line}\n" for line in lines), end, after]), encoding="utf-8")


def _part_row(part: Part) -> str:
    return f"| {part.name} | {part.modules} | {part.milliseconds:.1f} |"


def _growth_row(row: Growth) -> str:
    delay = _numbers(row.delay, 1) if row.delay else ""
    return (
        f"| {row.count} | {row.program} | {row.rate:.1f} | {_numbers(row.beyond, 0)} | {row.cpu:.0f}"
        f" | {row.memory:.0f} | {delay} |"
    )


def _machine() -> str:
    return f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _row(figure: Figure) -> str:
    peer = _spread(figure.peer, figure) if figure.peer else ""
    missed = "" if figure.reached else " **missed**"
    return (
        f"| {figure.name} | {_spread(figure.ours, figure)} | {peer}"
        f" | {_short(figure.value)} | {figure.bound} {figure.mark:g}{missed} |"
    )


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _spread(spread: Spread, figure: Figure) -> str:
    return f"{_numbers(spread, figure.digits)} {figure.unit}".rstrip()


def _numbers(spread: Spread, digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in (spread.low, spread.middle, spread.high))


if __name__ == "__main__":
    sys.exit(main())
