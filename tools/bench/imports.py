"""What the start of a command loads: the time of each part, as Python's own `-X importtime` counts it."""

from __future__ import annotations

import re
import statistics
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.clients import Bench

_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| *(\S+)")
_RUNS = 9

_OURS = r"ecs_exec\.(%s)(\..*)?"
_PARTS = (
    ("the plugin: settings, signals, output", r"ecs_exec(\.(main|errors|settings|signals|streams|endpoint|text).*)?"),
    ("the plugin: the script in the container and its marks", _OURS % "command|files|record|interpreter"),
    ("the plugin: AWS's calls", _OURS % "ecs|signing|retry|task_description|tls|http_answer"),
    ("the plugin: the data channel", _OURS % "ssm|transport"),
    ("TLS, sockets, hashes", r"_?ssl|_?socket|select.*|array|math|_?hashlib|_blake2|_sha.*|hmac|binascii|base64"),
    ("JSON, URLs, threads, random numbers", r"_?json.*|urllib.*|ipaddress|threading|_?weakref.*|_?random|copy"),
)
_REST = "Python's start, typing, regular expressions"


@dataclass(frozen=True)
class Part:
    """A part of the start."""

    name: str
    modules: int
    milliseconds: float
    """Median of several runs. The counting itself makes each import slower."""


def imports(work: Path) -> Iterator[Part]:
    """Run `true` a few times; yield each part, and last the sum."""
    with Bench(1, {"start_delay": 0}, work) as bench:
        program = bench.ours("true")
        interpreter, *rest = program.arguments
        runs = [_counted([interpreter, "-X", "importtime", *rest], dict(program.environment)) for _ in range(_RUNS)]
    names = [*(name for name, _ in _PARTS), _REST]
    for name in names:
        yield Part(name, runs[0][0][name], statistics.median(times[name] for _, times in runs) / 1000)
    total = statistics.median(sum(times.values()) for _, times in runs) / 1000
    yield Part("**all**", sum(runs[0][0].values()), total)


def _counted(arguments: list[str], environment: dict[str, str]) -> tuple[Counter[str], Counter[str]]:
    """Run a command once; return the number of modules of each part, and their microseconds."""
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    modules: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for took, name in _LINE.findall(done.stderr):
        part = next((part for part, pattern in _PARTS if re.fullmatch(pattern, name)), _REST)
        modules[part] += 1
        times[part] += int(took)
    return modules, times
