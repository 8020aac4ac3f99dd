"""The figures of the node source: ten thousand tasks of two containers, against a plain script of boto3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.executor import MB, Figure, ratio
from bench.measure import Program, Spread, peak_memory, run
from e2e.rundeck_launch import ALONE, started_by

_HERE = Path(__file__).parent
_CONTENTS = _HERE.parents[1] / "contents"
_REGION = "us-east-1"
_CLUSTERS, _TASKS_EACH = 10, 1000
_TASKS = _CLUSTERS * _TASKS_EACH
_CALL = 0.020
_MOST_CALLS = 2 * _TASKS // 100 + 1
"""A page of clusters, and for each hundred tasks a page that lists and one that describes them."""


def figures(runs: int) -> Iterator[Figure]:
    """Measure; yield each figure as soon as it is known."""
    with _many_tasks() as url:
        ours, peer = _ours(url), _peer(url)
        run(ours)
        counted = [_calls(url)]
        costs = [(run(ours), run(peer)) for _ in range(max(3, runs // 3))]
        name = f"nodes of {_TASKS:,} tasks, {_CALL * 1000:.0f} ms a call"
        yield ratio(
            name, Spread.of(each.wall for each, _ in costs), Spread.of(each.wall for _, each in costs), "s", 0.25
        )
        rates = Spread.of(2 * _TASKS / each.wall for each, _ in costs)
        theirs = Spread.of(2 * _TASKS / each.wall for _, each in costs)
        yield Figure("nodes a second", rates, theirs, "", rates.middle, 4000, "at least", digits=0)
        made = float(sum(counted[0].values()))
        yield Figure("AWS calls for them", Spread(made, made, made), None, "", made, _MOST_CALLS, digits=0)
        memory = Spread.of(peak_memory(ours) / MB for _ in range(3))
        yield Figure("peak memory", memory, Spread.of([peak_memory(peer) / MB]), "MB", memory.high, 200, digits=0)


@contextmanager
def _many_tasks() -> Iterator[str]:
    """Yield the URL of an ECS in its own process that answers with almost no work."""
    command = [sys.executable, str(_HERE / "many_tasks.py"), str(_CLUSTERS), str(_TASKS_EACH), str(_CALL)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


def _calls(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/calls") as answer:  # noqa: S310 - our own server
        counted: dict[str, int] = json.load(answer)
    return counted


def _ours(url: str) -> Program:
    config = {
        "RD_CONFIG_ENDPOINT_URL": url,
        "RD_CONFIG_REGION": _REGION,
        "RD_CONFIG_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "RD_CONFIG_SECRET_ACCESS_KEY": "example",
    }
    return Program(started_by(_CONTENTS / "node-source.py"), {"PATH": os.defpath, **ALONE, **config})


def _peer(url: str) -> Program:
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
    }
    return Program([sys.executable, str(_HERE / "sequential.py")], {"PATH": os.defpath, **environment})
