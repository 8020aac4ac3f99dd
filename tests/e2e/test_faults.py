"""A bad link: output complete and in order, or 125 and a reason; the command never starts twice."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commands import Result
from e2e.checks import wait_for
from e2e.rundeck_launch import Launcher
from emulator import Emulator

pytestmark = pytest.mark.xdist_group("e2e-faults")

HABITS = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}
NUMBERS = "".join(f"{number}\n" for number in range(1, 3001)).encode()


@pytest.fixture(scope="module")
def bad() -> Iterator[Emulator]:
    """Give the sample world, whose faults each test sets for the sessions that it starts."""
    with Emulator(agent=HABITS) as running:
        yield running
        assert running.report()["violations"] == []


SURVIVED: dict[str, dict[str, Any]] = {
    "frames lost": {"to_client": {"drop": 0.3}, "to_agent": {"drop": 0.3}},
    "frames repeated": {"to_client": {"duplicate": 0.5}, "to_agent": {"duplicate": 0.5}},
    "frames reordered": {"to_client": {"reorder": 0.3, "hold": 0.01}, "to_agent": {"reorder": 0.3, "hold": 0.01}},
    "frames delayed": {"to_client": {"delay": 0.5}, "to_agent": {"delay": 0.5}},
    "some acknowledgements lost": {"to_client": {"lose_acks": 0.5}, "to_agent": {"lose_acks": 0.5}},
    "all acknowledgements of ours lost": {"to_agent": {"lose_acks": 1.0}},
    "all acknowledgements of the agent's lost": {"to_client": {"lose_acks": 1.0}},
    "cut once": {"cut_after_frames": 12},
    "cut many times": {"cut_after_frames": 9, "cuts": 6},
    "cut right after the begin mark": {"cut_on": "Br"},
    "cut with the first numbers": {"cut_on": "\n17\n"},
    "cut right before the end mark": {"cut_on": "\n3000\n"},
    "cut, and resuming fails twice": {"cut_after_frames": 12, "refuse_resume": 2},
    "the agent is cut off": {"agent_cut_after_frames": 12},
    "the agent is cut off twice, and so are we": {
        "agent_cut_after_frames": 12,
        "agent_cuts": 2,
        "cut_after_frames": 20,
    },
    "opening is refused twice": {"refuse_open": 2},
    "throttled, then unavailable": {"api_errors": {"ExecuteCommand": ["ThrottlingException", "ServerException"]}},
    "everything at once": {
        "to_client": {"drop": 0.03, "duplicate": 0.1, "reorder": 0.1, "delay": 0.1, "lose_acks": 0.1, "hold": 0.01},
        "to_agent": {"drop": 0.03, "duplicate": 0.1, "reorder": 0.1, "delay": 0.1, "lose_acks": 0.1, "hold": 0.01},
        "cut_probability": 0.02,
        "cuts": 2,
        "agent_cut_probability": 0.02,
        "refuse_resume": 1,
    },
}

LOST: dict[str, tuple[dict[str, Any], str]] = {
    "resuming is refused": ({"cut_on": "\n1500\n", "refuse_resume": -1}, "could not be resumed"),
    "resuming gives no token": ({"cut_on": "\n1500\n", "empty_resume_token": True}, "the session had already ended"),
    "a frame is damaged": ({"to_client": {"corrupt": 1.0}}, "digest"),
}


@dataclass(frozen=True)
class Outcome:
    """What became of one command."""

    result: Result
    starts: int
    """How often it was started, counted in the container."""
    sessions: tuple[Mapping[str, Any], ...]
    """The emulator's report of its sessions."""

    def __str__(self) -> str:
        """Show what failed tests are about."""
        counts = [{name: session[name] for name in ("opens", "resumes", "framesResent")} for session in self.sessions]
        return f"{self.result}, {self.starts} starts, {counts}"


class Batch:
    """Commands that run side by side, each under faults of its own."""

    def __init__(self, emulator: Emulator, folder: Path, config: Mapping[str, str]) -> None:
        """Start none yet."""
        self._emulator = emulator
        self._folder = folder
        self._launcher = Launcher(emulator.endpoint_url, emulator.region, config=config)
        self._running: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}

    def start(self, name: str, faults: Mapping[str, Any], command: str) -> None:
        """Start a command, and return when its session has got the faults."""
        flag = self._folder / str(len(self._running))
        self._emulator.set_faults(faults)
        node = self._emulator.node("demo", "web")
        process = self._launcher.start(node, f"echo start >> {flag}; {command}")
        self._running[name] = process, flag
        wait_for(lambda: bool(self._sessions(flag)))
        self._emulator.set_faults({})

    def outcomes(self) -> dict[str, Outcome]:
        """Wait for all of them."""
        with ThreadPoolExecutor(len(self._running)) as pool:
            results = pool.map(lambda running: running[0].communicate(timeout=90), self._running.values())
            return {
                name: Outcome(
                    Result(stdout, stderr, process.returncode),
                    len(flag.read_text().split()) if flag.exists() else 0,
                    tuple(self._sessions(flag)),
                )
                for (name, (process, flag)), (stdout, stderr) in zip(self._running.items(), results, strict=True)
            }

    def _sessions(self, flag: Path) -> list[Mapping[str, Any]]:
        return [session for session in self._emulator.report()["sessions"] if f" {flag};" in session["command"]]


@pytest.fixture(scope="module")
def outcomes(bad: Emulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Run a command under each kind of fault, natively."""
    batch = Batch(bad, tmp_path_factory.mktemp("starts"), {"transport": "native"})
    for name, faults in {**SURVIVED, **{name: faults for name, (faults, _) in LOST.items()}}.items():
        batch.start(name, faults, "seq 1 3000; echo err >&2; exit 3")
    return batch.outcomes()


@pytest.mark.parametrize("name", SURVIVED)
def test_output_is_whole(outcomes: dict[str, Outcome], name: str) -> None:
    """With every fault of the link, the command has its usual result, and was started once."""
    outcome = outcomes[name]
    assert (outcome.result, outcome.starts) == (Result(NUMBERS, b"err\n", 3), 1), str(outcome)


def test_the_faults_were_there(outcomes: dict[str, Outcome]) -> None:
    """Sessions with planned cuts were resumed, and frames with planned losses were sent again."""
    for name, outcome in outcomes.items():
        (session,) = outcome.sessions
        if "cut_after_frames" in SURVIVED.get(name, {}) or "cut_on" in SURVIVED.get(name, {}):
            assert session["resumes"] >= 1, name
        # Of the other links a session may by chance be spared by what is to happen to single frames.
        if name.startswith(("frames lost", "all acknowledgements of ours")):
            assert session["framesResent"] >= 1, name
    assert outcomes["cut many times"].sessions[0]["resumes"] >= 3


@pytest.mark.parametrize("name", LOST)
def test_what_is_lost_is_reported(outcomes: dict[str, Outcome], name: str) -> None:
    """The result is 125, the container, a reason and its effect. Received output is the beginning of the output."""
    outcome = outcomes[name]
    assert outcome.result.status == 125, str(outcome)
    assert NUMBERS.startswith(outcome.result.stdout)
    (line,) = outcome.result.stderr.decode().splitlines()
    assert re.search(r"container \S+ of task \S+ in cluster demo\b", line), line
    assert LOST[name][1] in line
    assert "may have run, completely or in part" in line or not outcome.starts
    assert outcome.starts <= 1


def test_the_program_never_loses_output_unseen(bad: Emulator, session_manager_plugin: Path, tmp_path: Path) -> None:
    """Over a link that cuts once, wherever it does: all output and the status, or 125 and a reason."""
    config = {"transport": "session-manager-plugin", "session-manager-plugin": str(session_manager_plugin)}
    batch = Batch(bad, tmp_path, config)
    places: dict[str, dict[str, Any]] = {
        f"after {frames} frames": {"cut_after_frames": frames} for frames in (1, 2, 3, 4, 6, 9, 13, 19, 27)
    }
    places |= {"at the end mark": {"cut_on": "\n3000\n"}, "at the begin mark": {"cut_on": "Br"}}
    for name, faults in places.items():
        batch.start(name, faults, "seq 1 3000")
    for name, outcome in batch.outcomes().items():
        assert outcome.starts <= 1, f"{name}: {outcome}"
        if outcome.result == Result(NUMBERS, b"", 0):
            # Through the cut, or past it: before the command could have begun another session is opened.
            assert len(outcome.sessions) > 1 or outcome.sessions[0]["resumes"] >= 1, f"{name}: {outcome}"
        else:
            assert outcome.result.status == 125, f"{name}: {outcome}"
            assert outcome.result.stderr.startswith(b"ecs-exec: "), f"{name}: {outcome}"
