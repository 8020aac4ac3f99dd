"""Stopping a command, at any moment and by any means: nothing is left in the container, and the plugin ends at once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import wait_for
from e2e.rundeck_launch import Launcher
from emulator import Emulator

pytestmark = pytest.mark.xdist_group("e2e-abort")

TRANSPORTS = ("native", "session-manager-plugin")
AT_ONCE = 2
"""Cases at a time: times are measured."""

ENDS_WITHIN = 1.0
GONE_WITHIN = 2.0
BUSY = 0.7
"""Seconds that a busy machine may add."""

WORLD: dict[str, Any] = {
    "agent": {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0},
    "clusters": {
        "c": {
            "tasks": [
                {"family": "free", "containers": {"app": {}}},
                {"family": "denied", "containers": {"app": {"deny": ["ssm:TerminateSession"]}}},
            ]
        }
    },
}


class Running:
    """One execution under way."""

    def __init__(self, process: subprocess.Popen[bytes], marker: str, emulator: Emulator) -> None:
        """Take the process, and the word that is in its command only."""
        self.process = process
        self.marker = marker
        self.emulator = emulator

    def sessions(self) -> list[str]:
        """Give the ids of its sessions."""
        report = self.emulator.report()["sessions"]
        return [session["sessionId"] for session in report if self.marker in session["command"]]

    def calls(self) -> int:
        """Count its calls of ecs:ExecuteCommand."""
        calls = [call for call in self.emulator.report()["calls"] if call["action"] == "ExecuteCommand"]
        return sum(self.marker in call["parameters"]["command"] for call in calls)

    def left(self) -> list[str]:
        """Give what lives of it in the container."""
        mine = set(self.sessions())
        return [process["command"] for process in self.emulator.processes() if process["session"] in mine]

    def read(self, words: bytes) -> None:
        """Read output up to some words."""
        assert self.process.stdout is not None
        seen = b""
        while words not in seen:
            data = os.read(self.process.stdout.fileno(), 4096)
            assert data, seen
            seen = (seen + data)[-8192:]

    def descendants(self) -> list[int]:
        """Give the processes that it has started, and their descendants."""
        found = [self.process.pid]
        for pid in found:
            with suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found[1:]


def begun(running: Running) -> None:
    """Wait for the command's first word."""
    running.read(b"begun\n")


def asked(running: Running) -> None:
    """Wait for the call that opens the session."""
    wait_for(lambda: running.calls() > 0)


def opened(running: Running) -> None:
    """Wait for the session."""
    wait_for(lambda: bool(running.sessions()))
    time.sleep(0.2)


def terminated(running: Running) -> None:
    """Stop it as an abort does."""
    running.process.terminate()


def by(number: signal.Signals) -> Callable[[Running], None]:
    """Stop it by another signal."""
    return lambda running: running.process.send_signal(number)


def as_rundeck_does(running: Running) -> None:
    """Stop its descendants first."""
    for child in running.descendants():
        os.kill(child, signal.SIGTERM)
    time.sleep(0.05)
    running.process.terminate()


def by_reading_no_more(running: Running) -> None:
    """Close the other end of its stdout."""
    assert running.process.stdout is not None
    running.process.stdout.close()


@dataclass(frozen=True)
class Case:
    """A situation, and how it is ended."""

    command: str
    until: Callable[[Running], None] = begun
    stop: Callable[[Running], None] = terminated
    family: str = "free"
    faults: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    status: int = 143
    ends_within: float = ENDS_WITHIN
    orphans: bool = False
    """The session opens after the plugin has ended. Its script waits for a word that never comes."""


QUIET = "echo begun; sleep 300 & sleep 300"
DEAF = "trap '' INT TERM HUP; echo begun; sleep 300 & sleep 300"
FLOOD = "echo begun; yes flood"

CASES: dict[str, Case] = {
    "before ExecuteCommand returns": Case(QUIET, asked, faults={"api_delays": {"ExecuteCommand": 0.4}}),
    "long before ExecuteCommand returns": Case(
        QUIET, asked, faults={"api_delays": {"ExecuteCommand": 2.5}}, orphans=True
    ),
    "while connecting": Case(QUIET, opened, faults={"open_delay": 4.0}),
    "quiet, TERM": Case(QUIET),
    "quiet, INT": Case(QUIET, stop=by(signal.SIGINT)),
    "quiet, HUP": Case(QUIET, stop=by(signal.SIGHUP)),
    "quiet, its children stopped first": Case(QUIET, stop=as_rundeck_does),
    "flooding": Case(FLOOD),
    "flooding, its children stopped first": Case(FLOOD, stop=as_rundeck_does),
    "flooding, nobody reads on": Case(FLOOD, stop=by_reading_no_more),
    "ignoring INT": Case(DEAF),
    "ignoring INT and flooding": Case("trap '' INT TERM HUP PIPE; " + FLOOD),
    "with a terminal": Case(QUIET, config={"tty": "true"}),
    "over time": Case(QUIET, stop=lambda _: None, config={"timeout": "1"}, status=124, ends_within=5.0),
    "over time, ignoring INT": Case(DEAF, stop=lambda _: None, config={"timeout": "1"}, status=124, ends_within=5.0),
    "over time, flooding": Case(FLOOD, stop=lambda _: None, config={"timeout": "1"}, status=124, ends_within=5.0),
} | {
    f"{name}; may not end sessions": case
    for name, case in {
        "quiet": Case(QUIET, family="denied"),
        "quiet, its children stopped first": Case(QUIET, stop=as_rundeck_does, family="denied"),
        "flooding": Case(FLOOD, family="denied"),
        "ignoring INT": Case(DEAF, family="denied"),
        "over time": Case(
            DEAF, stop=lambda _: None, family="denied", config={"timeout": "1"}, status=124, ends_within=5.0
        ),
    }.items()
}


@dataclass(frozen=True)
class Outcome:
    """How a case ended."""

    status: int
    took: float
    left: list[str]
    stderr: str


@pytest.fixture(scope="module")
def outcomes(session_manager_plugin: Path) -> Iterator[dict[tuple[str, str], Outcome]]:
    """Go through the table, a few cases at a time."""
    with Emulator(world=WORLD) as emulator, ThreadPoolExecutor(AT_ONCE) as pool:
        launcher = Launcher(
            emulator.endpoint_url,
            emulator.region,
            config={"session-manager-plugin": str(session_manager_plugin), "connect-timeout": "20"},
        )
        keys = [(transport, name) for name in CASES for transport in TRANSPORTS]
        lenient = [key for key in keys if not CASES[key[1]].faults]
        results = dict(zip(lenient, pool.map(lambda key: _outcome(launcher, emulator, *key), lenient), strict=True))
        for key in keys:  # faults are of all that starts at the time
            if key not in results:
                emulator.set_faults(CASES[key[1]].faults)
                results[key] = _outcome(launcher, emulator, *key)
                emulator.set_faults({})
        yield results
        assert emulator.report()["violations"] == []


def _outcome(launcher: Launcher, emulator: Emulator, transport: str, name: str) -> Outcome:
    case, marker = CASES[name], f"case-{transport}-{list(CASES).index(name)}-"
    process = launcher.start(
        emulator.node("c", case.family), f": {marker}; {case.command}", {**case.config, "transport": transport}
    )
    running = Running(process, marker, emulator)
    with process:
        case.until(running)
        stopped = time.monotonic()
        case.stop(running)
        if process.stdout is None or process.stdout.closed:
            process.stdout = None
        _, stderr = process.communicate(timeout=30)
        took = time.monotonic() - stopped
    until = time.monotonic() + GONE_WITHIN + BUSY - took
    while (left := running.left()) and time.monotonic() < until:
        time.sleep(0.05)
    return Outcome(process.returncode, took, left, stderr.decode())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_is_left(outcomes: dict[tuple[str, str], Outcome], transport: str, name: str) -> None:
    """The status shows what happened, within a second. Two seconds later no process is left in the container."""
    case, outcome = CASES[name], outcomes[transport, name]
    assert outcome.status == case.status, outcome
    assert outcome.took < case.ends_within + BUSY, outcome
    assert outcome.left == [] or case.orphans, outcome
    assert all(line.startswith("ecs-exec: ") for line in outcome.stderr.splitlines()), outcome
    assert len(outcome.stderr.splitlines()) == 1, outcome
