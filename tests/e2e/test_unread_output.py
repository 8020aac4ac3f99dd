"""Nobody reads the plugin's output: the log's disk is full, or the server is stopped. The plugin still ends in time.

`PYTHONPATH=contents:tests python -m e2e.test_unread_output PATH-OF-SESSION-MANAGER-PLUGIN [TIMES]` goes through the
whole table so often, with an agent that sends at the real one's pace, and shows how long each case took.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import pytest

from e2e.checks import wait_for
from e2e.rundeck_launch import ACCESS_KEY, ALONE, CONTENTS, SECRET_KEY, started_by, variables
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputBlocked, OutputStreams
from emulator import Emulator

pytestmark = pytest.mark.xdist_group("e2e-unread-output")

TRANSPORTS = ("native", "session-manager-plugin")
STREAMS = ("stdout", "stderr", "both")
WAYS = [("node-executor", "SIGTERM"), ("file-copier", "SIGTERM"), ("run-script", "SIGTERM"), ("run-command", "SIGTERM")]
WAYS += [("node-executor", "timeout"), ("run-script", "timeout"), ("run-command", "timeout")]
TIMEOUT = 1
FLOOD = "yes err >&2 | yes out"
AT_ONCE = 3
SERVICES = [f"web{number}" for number in range(AT_ONCE)]
"""A case has a service for itself, so that what runs in its tasks is its own."""
WORLD: dict[str, Any] = {
    "clusters": {"c": {"services": {name: {"desired": 2, "containers": {"app": {}}} for name in SERVICES}}}
}
HABITS = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}

DELIVERY = 2.5
"""Seconds after a time limit in which a command may handle INT, and a slow reader may take the output so far."""

BUSY = 15.0
"""Seconds that a busy machine may add. Without a limit, a blocked write would never end."""


class Case(NamedTuple):
    """A program, the way it is ended, and the streams that nobody reads."""

    script: str
    end: str
    blocked: str
    transport: str


ALL = [Case(*way, blocked, transport) for way, blocked, transport in product(WAYS, STREAMS, TRANSPORTS)]
SOME = [ALL[(5 * number) % len(ALL)] for number in range(0, len(ALL), 3)]
"""Each way, each stream and each transport several times."""


@contextmanager
def unread_pipe(*, full: bool) -> Iterator[int]:
    """Give the end that can be written to of a pipe that is full from the start, or soon."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while full:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    try:
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


class Outcome(NamedTuple):
    """What became of a case: the plugin's exit status, and seconds since the end was asked for, or the command seen."""

    status: int
    took: float
    """Until the plugin ended."""
    ran: float
    """Until the last command in a container ended, after a time limit; else 0."""
    left: list[str]
    """Processes that are left in the containers."""


class Trial:
    """Runs cases against one emulator."""

    def __init__(self, emulator: Emulator, session_manager_plugin: Path, folder: Path) -> None:
        """Prepare a file that takes long to copy."""
        self._emulator = emulator
        self._plugin = session_manager_plugin
        self._file = folder / "large"
        self._file.write_bytes(os.urandom(30 << 20))
        self._free: SimpleQueue[str] = SimpleQueue()
        for name in SERVICES:
            self._free.put(name)

    def run(self, case: Case) -> Outcome:
        """Run one case."""
        service = self._free.get()
        with self.started(case, service) as process:
            seen: set[str] = set()
            wait_for(lambda: process.poll() is not None or self._begun(case, service, seen), timeout=90)
            time.sleep(0.3)  # for the output to fill what is there to be filled
            began, ran = time.monotonic(), 0.0
            if case.end == "SIGTERM":
                process.terminate()
            else:
                wait_for(lambda: not self._floods(service), timeout=60)
                ran = time.monotonic() - began
            status = process.wait(timeout=60)
            took = time.monotonic() - began
        with suppress(AssertionError):
            wait_for(lambda: not self._alive(service), timeout=5)
        left = self._alive(service)
        self._free.put(service)
        return Outcome(status, took, ran, left)

    def _begun(self, case: Case, service: str, seen: set[str]) -> bool:
        """Return whether each of the case's commands has begun: a time limit counts from the begin of its own command.

        On a busy machine the first command may have ended when the second begins, so `seen` keeps them.
        """
        if case.script == "file-copier":
            return bool(self._alive(service))
        seen |= self._floods(service)
        return len(seen) == (2 if case.script == "run-command" else 1)

    def _floods(self, service: str) -> set[str]:
        """Return the sessions whose command runs."""
        return {each["session"] for each in self._processes(service) if each["command"].startswith("yes")}

    def _alive(self, service: str) -> list[str]:
        return [each["command"] for each in self._processes(service)]

    def _processes(self, service: str) -> list[dict[str, Any]]:
        tasks = {self._emulator.task("c", service, number).id for number in (0, 1)}
        sessions = {each["sessionId"] for each in self._emulator.report()["sessions"] if each["task"] in tasks}
        return [each for each in self._emulator.processes() if each["session"] in sessions]

    @contextmanager
    def started(self, case: Case, service: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a case with the streams that nobody reads."""
        # A step for several tasks says what it does before it starts anything.
        with unread_pipe(full=case.script != "run-command") as unread:
            process = subprocess.Popen(
                started_by(CONTENTS / f"{case.script}.py"),
                stdin=subprocess.DEVNULL,
                stdout=unread if case.blocked != "stderr" else subprocess.DEVNULL,
                stderr=unread if case.blocked != "stdout" else subprocess.DEVNULL,
                env=self.environment(case, service),
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def environment(self, case: Case, service: str) -> dict[str, str]:
        """Give what Rundeck would start a case with."""
        node = self._emulator.node("c", service) if case.script != "run-command" else {}
        config = {
            "region": self._emulator.region,
            "endpoint-url": self._emulator.endpoint_url,
            "access-key-id": ACCESS_KEY,
            "secret-access-key": SECRET_KEY,
            "transport": case.transport,
            "session-manager-plugin": str(self._plugin),
            "connect-timeout": "120",
        }
        if case.end == "timeout":
            config["timeout"] = str(TIMEOUT)
        if case.script == "run-script":
            config["script"] = FLOOD
        if case.script == "run-command":
            config |= {"cluster": "c", "service": service, "all-tasks": "true", "command": FLOOD}
        return {
            "PATH": os.environ["PATH"],
            **ALONE,
            **(variables("NODE", {"name": "web", **node}) if node else {}),
            **variables("CONFIG", config),
            "RD_EXEC_COMMAND": FLOOD,
            "RD_FILE_COPY_FILE": str(self._file),
            "RD_FILE_COPY_DESTINATION": f"/tmp/unread-{service}",  # noqa: S108
        }


@pytest.fixture(scope="module")
def trial(session_manager_plugin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """Give a service of three tasks whose agents do not rest."""
    with Emulator(world=WORLD, agent=HABITS) as emulator:
        yield Trial(emulator, session_manager_plugin, tmp_path_factory.mktemp("unread"))


def faults(case: Case, outcome: Outcome, busy: float) -> list[str]:
    """Name what is wrong with an outcome.

    The step for several tasks takes from its commands what it can hold, so their output is not blocked at once.
    """
    after_limit = DELIVERY + 0.5 if case.script == "run-command" else 1.5
    wanted, within = (143, 1.0) if case.end == "SIGTERM" else (124, TIMEOUT + after_limit)
    found = [f"status {outcome.status}"] if outcome.status != wanted else []
    found += [f"{outcome.took:.2f} s"] if outcome.took > within + busy else []
    found += [f"the command ran {outcome.ran:.2f} s"] if outcome.ran > TIMEOUT + 0.5 + busy else []
    return found + [f"still runs: {command[:60]}" for command in outcome.left]


def test_ends_in_time(trial: Trial) -> None:
    """By a signal and by a time-out: command and plugin are over, whichever stream is full."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(trial.run, SOME))
    failed = {
        case: found for case, outcome in zip(SOME, outcomes, strict=True) if (found := faults(case, outcome, BUSY))
    }
    assert failed == {}


# --- A reader that is slow, but there


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_slow_reader_loses_nothing(trial: Trial, transport: str) -> None:
    """One that pauses for seconds, before and during the output, gets all of it."""
    case = Case("node-executor", "", "", transport)
    environ = trial.environment(case, SERVICES[0])
    environ["RD_EXEC_COMMAND"] = 'i=0; while [ $i -lt 20000 ]; do echo "out $i"; i=$((i+1)); done; echo err >&2; exit 7'
    command = started_by(CONTENTS / "node-executor.py")
    with subprocess.Popen(command, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as process:
        assert process.stdout is not None
        time.sleep(2)
        first = process.stdout.read(10_000)
        time.sleep(1.5)
        stdout, stderr = process.communicate(timeout=60)
    assert (first + stdout).splitlines() == [b"out %d" % number for number in range(20_000)]
    assert (stderr, process.returncode) == (b"err\n", 7)


# --- What writes


def test_a_write_waits_no_longer_than_its_time() -> None:
    """A line says what was not written."""
    reader, writer = os.pipe()
    with Interrupts() as interrupts:
        streams = OutputStreams(interrupts, stdout=writer)
        streams.limit(0.05)
        with pytest.raises(OutputBlocked) as blocked:
            streams.out(b"x" * (1 << 20))
        streams.drop_when_blocked = True
        streams.out(b"y" * (1 << 20))
    os.set_blocking(reader, False)
    read = len(os.read(reader, 1 << 20))
    assert read + len(blocked.value.rest) == 1 << 20
    os.close(reader)
    os.close(writer)


def main(arguments: list[str]) -> int:
    """Go through the whole table; print what each case took, and what is wrong."""
    times = int(arguments[1]) if len(arguments) > 1 else 20
    taken: dict[Case, list[Outcome]] = defaultdict(list)
    wrong = 0
    paced = {name: value for name, value in HABITS.items() if name != "pacing"}
    with Emulator(world=WORLD, agent=paced) as emulator, ThreadPoolExecutor(2) as pool:
        trial = Trial(emulator, Path(arguments[0]), Path(os.environ.get("TMPDIR", "/tmp")))  # noqa: S108
        for case, outcome in zip(ALL * times, pool.map(trial.run, ALL * times), strict=True):
            taken[case].append(outcome)
            if found := faults(case, outcome, 0.0):
                wrong += 1
                sys.stdout.write(f"{' '.join(case)}: {found}\n")
    for case, outcomes in taken.items():
        took = sorted(outcome.took for outcome in outcomes)
        ran = max(outcome.ran for outcome in outcomes)
        command = f"; the command at most {ran:.2f} s" if ran else ""
        sys.stdout.write(f"{' '.join(case):50} {took[0]:.2f} to {took[-1]:.2f} s, {len(took)} times{command}\n")
    sys.stdout.write(f"{wrong} of {len(ALL) * times} wrong\n")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
