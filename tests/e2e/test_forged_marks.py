"""A process in the container reads the session's word from memory and writes marks: none is an end or a status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.checks import wait_for
from e2e.rundeck_launch import Launcher
from emulator import Emulator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can read other processes' memory here")

KINDS = ("Br", "Bc", "A", "Fu", "Fp", "S", "L", "U<", "k", "", "X0 ")
"""Each out of order while the command runs."""

_FORGER = r"""
import os, re, sys, time
kind = sys.argv[1].encode()
words, terminals, pid = set(), set(), os.getpid()
while pid > 1:
    status = open(f"/proc/{pid}/status").read()
    try:
        for line in open(f"/proc/{pid}/maps"):
            if "[heap]" in line or "[stack]" in line:
                start, end = (int(each, 16) for each in line.split()[0].split("-"))
                with open(f"/proc/{pid}/mem", "rb", 0) as memory:
                    memory.seek(start)
                    words |= set(re.findall(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", memory.read(end - start)))
        terminals |= {path for fd in os.listdir(f"/proc/{pid}/fd")
                      if (path := os.readlink(f"/proc/{pid}/fd/{fd}")).startswith("/dev/pts/")}
    except OSError:
        pass
    pid = int(re.search(r"PPid:\s(\d+)", status)[1]) if terminals == set() or len(words) < 2 else 1
print("forging", flush=True)
for terminal in terminals:
    with open(terminal, "wb", 0) as line:
        for word in words:
            line.write(b"\x1e" + word + kind + b"\n")
time.sleep(60)
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a container in which Python runs."""
    habits = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}
    with Emulator(
        world={"agent": habits, "clusters": {"c": {"tasks": [{"family": "app", "containers": {"app": {}}}]}}}
    ) as running:
        yield running


def test_forged_marks_are_no_end(emulator: Emulator) -> None:
    """Known words make a fault, others output; the command is stopped, and its status is never 0."""
    start = Launcher(emulator.endpoint_url, emulator.region, config={"transport": "native"})
    node = emulator.node("c", "app")

    def by_root(kind: str) -> str:
        result = start.run(node, f"exec {sys.executable} -c '{_FORGER}' '{kind}'", {"timeout": "60"})
        assert result.status == 125, (kind, result)
        return result.stderr.decode().split()[-1]

    def by_nobody(kind: str) -> str:
        forged = f"printf '\\036%032d{kind}\\n' 0"
        result = start.run(node | {"ecs-user": "nobody"}, f"{forged}; {forged} >&2; exec sleep 60", {"timeout": "1"})
        assert result.status == 124, (kind, result)
        return result.stderr.decode().split()[-1]

    with ThreadPoolExecutor(4) as pool:
        known, unknown = pool.map(by_root, KINDS), pool.map(by_nobody, KINDS)
    assert list(known) == ["[session-disturbed]"] * (len(KINDS) - 1) + ["[status-unknown]"]
    assert set(unknown) == {"[timed-out]"}
    wait_for(lambda: not emulator.processes(), timeout=20)
