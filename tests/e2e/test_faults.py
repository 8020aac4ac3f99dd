"""What networks and services do to a session: output complete and in order, or 125 and a reason; never a second start."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands import Result
from e2e.checks import one_line, wait_for, wait_until_gone
from e2e.rundeck_launch import Launcher
from emulator import Emulator

HABITS = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}
NUMBERS = "".join(f"{number}\n" for number in range(1, 3001)).encode()
PACED = Path(__file__).with_name("paced.py")
TRANSPORTS = ("native", "session-manager-plugin")


@pytest.fixture(scope="module")
def bad() -> Iterator[Emulator]:
    """Give the sample world, whose faults each test sets for the sessions that it starts."""
    with Emulator(agent=HABITS) as running:
        yield running
        assert running.report()["violations"] == []


@pytest.fixture
def start(bad: Emulator) -> Iterator[Launcher]:
    """Start executions against it; afterwards the faults are gone."""
    yield Launcher(bad.endpoint_url, bad.region, config={"transport": "native"})
    bad.set_faults({})


def counted(flag: Path, command: str) -> str:
    """Make a command leave a line behind each time it starts."""
    return f"echo start >> {flag}; {command}"


# --- The link

SURVIVED: dict[str, dict[str, Any]] = {
    "frames lost": {"to_client": {"drop": 0.05}, "to_agent": {"drop": 0.05}},
    "frames repeated": {"to_client": {"duplicate": 0.5}, "to_agent": {"duplicate": 0.5}},
    "frames reordered": {"to_client": {"reorder": 0.3, "hold": 0.01}, "to_agent": {"reorder": 0.3, "hold": 0.01}},
    "frames delayed": {"to_client": {"delay": 0.5}, "to_agent": {"delay": 0.5}},
    "some acknowledgements lost": {"to_client": {"lose_acks": 0.5}, "to_agent": {"lose_acks": 0.5}},
    "all acknowledgements of ours lost": {"to_agent": {"lose_acks": 1.0}},
    "all acknowledgements of the agent's lost": {"to_client": {"lose_acks": 1.0}},
    "cut once": {"cut_after_frames": 12},
    "cut many times": {"cut_after_frames": 9, "cuts": 6},
    "cut right after the begin mark": {"cut_on": "Br\n"},
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
    "resuming gives no token": ({"cut_on": "\n1500\n", "empty_resume_token": True}, "the session was over"),
    "a frame is damaged": ({"to_client": {"corrupt": 1.0}}, "digest"),
}


@pytest.fixture(scope="module")
def survived(bad: Emulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Result, int]]:
    """Give, for each kind of fault, what came out and how often the command was started; all run side by side."""
    folder = tmp_path_factory.mktemp("starts")
    launcher = Launcher(bad.endpoint_url, bad.region, config={"transport": "native"})
    node = bad.node("demo", "web")
    faults = {**SURVIVED, **{name: faults for name, (faults, _) in LOST.items()}}

    def result(running: Any, flag: Path) -> tuple[Result, int]:  # noqa: ANN401 - a Popen of bytes
        stdout, stderr = running.communicate(timeout=90)
        return Result(stdout, stderr, running.returncode), len(flag.read_text().split()) if flag.exists() else 0

    started = {}
    with ThreadPoolExecutor(len(faults)) as pool:
        for number, (name, fault) in enumerate(faults.items()):
            sessions = len(bad.report()["sessions"])
            bad.set_faults(fault)
            flag = folder / str(number)
            process = launcher.start(node, counted(flag, "seq 1 3000; echo err >&2; exit 3"))
            wait_for(lambda sessions=sessions: len(bad.report()["sessions"]) > sessions)  # type: ignore[misc]
            started[name] = pool.submit(result, process, flag)
    bad.set_faults({})
    return {name: running.result() for name, running in started.items()}


@pytest.mark.parametrize("name", SURVIVED)
def test_output_is_whole(survived: dict[str, tuple[Result, int]], name: str) -> None:
    """Whatever the link does, the command comes out as ever, and was started once."""
    result, starts = survived[name]
    assert (result, starts) == (Result(NUMBERS, b"err\n", 3), 1), str(result)


@pytest.mark.parametrize("name", LOST)
def test_what_is_lost_is_told(survived: dict[str, tuple[Result, int]], name: str) -> None:
    """Where there is no going on, 125 and a reason; what came is the beginning of the output."""
    result, starts = survived[name]
    assert result.status == 125, str(result)
    assert NUMBERS.startswith(result.stdout)
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("ecs-exec: ")
    assert LOST[name][1] in lines[0]
    assert starts <= 1
