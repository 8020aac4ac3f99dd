"""Long and quiet commands live on; those whose task, container or agent goes away do not keep anyone waiting."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands import Result, locally
from e2e.checks import wait_for
from e2e.rundeck_launch import Launcher
from emulator import Emulator

pytestmark = pytest.mark.xdist_group("e2e-survival")

PACED = Path(__file__).with_name("paced.py")
TRANSPORTS = ("native", "session-manager-plugin")
NEVER = 1000.0
IDLE = 2
"""Seconds after which the emulator's service ends a session without input; 20 minutes in AWS."""

HABITS = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}
REASON = "Essential container in task exited"
KILLED = "OutOfMemoryError: Container killed due to memory usage"


def world(bare: Path) -> dict[str, Any]:
    """Describe a cluster with a task for each test."""

    def task(family: str, **container: Any) -> dict[str, Any]:  # noqa: ANN401 - as the world's file has them
        return {"family": family, "containers": {"app": container}}

    silent = {"agent": {"stop_closes": False}}
    kinds = [f"{kind}-{transport}" for kind in ("stopped", "silent", "agent") for transport in TRANSPORTS]
    return {
        "agent": HABITS,
        "clusters": {
            "c": {
                "tasks": [
                    task("idle", agent={"idle_timeout": IDLE}),
                    task("bare", agent={"idle_timeout": IDLE}, path=[str(bare)]),
                    task("quiet"),
                    *(task(kind, **({} if kind.startswith("stopped") else silent)) for kind in kinds),
                ]
            },
            "blind": {"deny": ["ecs:DescribeTasks"], "tasks": [task("quiet")]},
        },
    }


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Give the cluster; the image of one task has nothing but `sleep`, so that no terminal is made raw."""
    bare = tmp_path_factory.mktemp("bare")
    (bare / "sleep").symlink_to(shutil.which("sleep") or "/bin/sleep")
    with Emulator(world=world(bare)) as running:
        yield running
        assert running.report()["violations"] == []


@pytest.fixture(scope="module")
def start(emulator: Emulator, session_manager_plugin: Path) -> Launcher:
    """Start executions against it."""
    return Launcher(
        emulator.endpoint_url, emulator.region, config={"session-manager-plugin": str(session_manager_plugin)}
    )


def paced(launcher: Launcher, **pace: float) -> Launcher:
    """Give a launcher that looks after silent sessions at another pace."""
    seconds = {"keep_alive": NEVER, "probe": NEVER, "look": NEVER, "look_again": NEVER} | pace
    return replace(launcher, script=PACED, environ={"PACE": json.dumps(seconds)})


def run_all(launcher: Launcher, runs: Mapping[Any, tuple[dict[str, str], str, dict[str, str]]]) -> dict[Any, Result]:
    """Run commands side by side, and give the results under the same keys."""
    with ThreadPoolExecutor(len(runs)) as pool:
        return dict(zip(runs, pool.map(lambda run: launcher.run(*run), runs.values()), strict=True))


# --- Idle

KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "quiet": ("idle", "echo begun; sleep 4; echo done; exit 3", {}),
    "with a terminal": ("idle", "echo begun; sleep 4; echo done; exit 3", {"tty": "true"}),
    "without stty": ("bare", "echo begun; sleep 4; echo done; exit 3", {}),
    "without a shell": ("idle", "sh -c 'echo begun; sleep 4; echo done'", {"shell": "none"}),
}


def test_quiet_commands_outlive_the_idle_limit(start: Launcher, emulator: Emulator) -> None:
    """On any terminal, the plugin sends input that the command does not see."""
    runs = {
        (name, transport): (emulator.node("c", family), command, {**config, "transport": transport})
        for name, (family, command, config) in KINDS.items()
        for transport in TRANSPORTS
    }
    for (name, transport), result in run_all(paced(start, keep_alive=0.6), runs).items():
        assert result.stdout == b"begun\ndone\n", f"{name}, {transport}: {result}"
        assert result.status == (0 if "shell" in KINDS[name][2] else 3), f"{name}, {transport}: {result}"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_session_that_ended_as_idle_is_reported(start: Launcher, emulator: Emulator, transport: str) -> None:
    """If no input reached the session, the error has the service's words."""
    result = paced(start).run(emulator.node("c", "idle"), "sleep 4; echo done", {"transport": transport})
    assert (result.stdout, result.status) == (b"", 125), result
    assert b"timed out due to inactivity" in result.stderr


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_looking_after_a_quiet_command_takes_no_call(start: Launcher, emulator: Emulator, transport: str) -> None:
    """Natively the agent's own acknowledgement is enough; through the program the script in the container answers."""
    before = len(emulator.report()["calls"])
    quick = paced(start, probe=0.2, look=1.0, look_again=0.5)
    result = quick.run(emulator.node("c", "quiet"), "sleep 4; echo done; echo err >&2", {"transport": transport})
    assert result == Result(b"done\n", b"err\n", 0)
    assert [call["action"] for call in emulator.report()["calls"][before:]] == ["ExecuteCommand"]


def test_answers_are_no_output(start: Launcher, emulator: Emulator) -> None:
    """Commands that print now and then come out exactly, though the script is asked all the time."""
    burst = "i=0; while [ $i -lt 40 ]; do printf 'o\\357\\277\\275\\036%s' $i; echo \"é $i\" >&2; i=$((i + 1)); done"
    command = f"for n in 1 2 3 4 5; do {burst}; sleep 0.$n; done; printf 'end\\036'; exit 3"
    quick = paced(start, probe=0.01)
    config = {"transport": "session-manager-plugin"}
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(quick.run, emulator.node("c", "quiet"), command, config) for _ in range(8)]
    expected = locally(command, ["/bin/sh"], os.environ)
    assert [run.result() for run in runs] == [expected] * 8


LOOKED_AT = {name: run for name, run in KINDS.items() if name != "quiet"}


@pytest.mark.parametrize("name", LOOKED_AT)
def test_if_the_script_cannot_answer_the_task_is_looked_at(start: Launcher, emulator: Emulator, name: str) -> None:
    """Through the program: some commands would see the word, and some terminals would echo it. Looks become rarer."""
    family, command, config = LOOKED_AT[name]
    config = {**config, "transport": "session-manager-plugin"}
    before = len(emulator.report()["calls"])
    quick = paced(start, keep_alive=0.6, probe=0.2, look=0.5, look_again=0.5, look_later=1.0)
    result = quick.run(emulator.node("c", family), command, config)
    assert result.stdout == b"begun\ndone\n", result
    looks = [call for call in emulator.report()["calls"][before:] if call["action"] == "DescribeTasks"]
    assert 2 <= len(looks) <= 6  # after 0.5, 1, 2, 3 and 4 seconds; 8 and more without the longer intervals


def test_a_quiet_command_needs_no_permission_to_look(start: Launcher, emulator: Emulator) -> None:
    """Without ecs:DescribeTasks the command continues, and the task is not looked up again."""
    before = len(emulator.report()["calls"])
    quick = paced(start, probe=0.1, look=0.2, look_again=0.2)
    node, config = emulator.node("blind", "quiet"), {"transport": "session-manager-plugin", "tty": "true"}
    assert quick.run(node, "sleep 2; echo done", config) == Result(b"done\n", b"", 0)
    looks = [call for call in emulator.report()["calls"][before:] if call["action"] == "DescribeTasks"]
    assert len(looks) == 1


# --- Gone


def test_what_goes_away_is_noticed(start: Launcher, emulator: Emulator) -> None:
    """Within 15 seconds, with the default intervals: a task that stops, a silent task, an agent that dies."""
    command = "echo begun; sleep 300"
    kinds = [(kind, transport) for kind in ("stopped", "silent", "agent") for transport in TRANSPORTS]
    running = {}
    for kind, transport in kinds:
        node = emulator.node("c", f"{kind}-{transport}")
        running[kind, transport] = process = start.start(node, command, {"transport": transport})
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
    stopped = time.monotonic()
    for kind, transport in kinds:
        task = emulator.task("c", f"{kind}-{transport}")
        if kind == "agent":
            emulator.stop_agent(task, "the agent was killed")
        else:
            emulator.stop_task(task, "EssentialContainerExited", REASON, 137, KILLED)
    for (kind, transport), process in running.items():
        stdout, stderr = process.communicate(timeout=60)
        assert time.monotonic() - stopped < 17, (kind, transport)  # and two for a busy machine
        (line,) = stderr.decode().splitlines()
        words = ["agent", "the agent was killed"] if kind == "agent" else [REASON, "exit code 137", KILLED]
        words += ["cluster c", "container app"] + ([] if kind == "agent" else ["EssentialContainerExited"])
        assert (stdout, process.returncode) == (b"", 125), (kind, transport, line)
        assert [word for word in words if word not in line] == [], (kind, transport, line)


def test_a_task_that_stops_at_the_end_changes_nothing(start: Launcher, emulator: Emulator) -> None:
    """What has come out whole is not called lost."""
    before = len(emulator.report()["sessions"])
    process = start.start(emulator.node("c", "quiet"), "sleep 1; echo done; exit 4", {"transport": "native"})
    wait_for(lambda: [one["endedBy"] for one in emulator.report()["sessions"][before:]] == ["command ended"])
    emulator.stop_task(emulator.task("c", "quiet"), "UserInitiated", "Scaling activity")
    stdout, stderr = process.communicate(timeout=20)
    assert (stdout, stderr, process.returncode) == (b"done\n", b"", 4)
