"""Before the command begins, the plugin waits for conditions that may end. After that, nothing starts it again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import Result
from e2e.checks import one_line, wait_for
from e2e.rundeck_launch import Launcher
from emulator import Emulator

pytestmark = pytest.mark.xdist_group("e2e-waiting")

TRANSPORTS = ("native", "session-manager-plugin")
HABITS = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}
WORLD: dict[str, Any] = {
    "agent": HABITS,
    "clusters": {
        "c": {
            "tasks": [
                {"family": "plain", "containers": {"app": {}}},
                {"family": "full", "containers": {"app": {"agent": {"session_limit": 1}}}},
                {"family": "agent-starting", "containers": {"app": {"agent_status": "PENDING"}}},
                {"family": "task-starting", "last_status": "PENDING", "containers": {"app": {}}},
            ],
            "services": {"deploying": {"desired": 1, "last_status": "PENDING", "containers": {"app": {}}}},
        }
    },
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a cluster in which some things are on their way."""
    with Emulator(world=WORLD) as running:
        yield running
        assert running.report()["violations"] == []


@pytest.fixture
def start(emulator: Emulator, session_manager_plugin: Path) -> Iterator[Launcher]:
    """Start executions against it; afterwards the faults are gone."""
    yield Launcher(
        emulator.endpoint_url,
        emulator.region,
        config={"session-manager-plugin": str(session_manager_plugin), "transport": "native"},
    )
    emulator.set_faults({})


def executions(emulator: Emulator, since: int) -> int:
    """Count the calls that open sessions."""
    return [call["action"] for call in emulator.report()["calls"][since:]].count("ExecuteCommand")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_slot_is_waited_for(start: Launcher, emulator: Emulator, transport: str, tmp_path: Path) -> None:
    """Sessions of a container are few: the next command says what it waits for, and runs when it can."""
    node, config = emulator.node("c", "full"), {"transport": transport}
    until = tmp_path / "the second one waits"
    first = start.start(node, f"echo begun; while [ ! -e '{until}' ]; do sleep 0.1; done; echo first", config)
    assert first.stdout is not None
    assert first.stdout.readline() == b"begun\n"
    second = start.start(node, "echo second", config)
    assert second.stderr is not None
    line = second.stderr.readline().decode()
    until.touch()
    assert first.communicate(timeout=30) == (b"first\n", b"")
    assert second.communicate(timeout=30) == (b"second\n", b"")
    assert second.returncode == 0
    assert "waiting up to" in line
    assert "all sessions of the container are in use" in line


def test_a_slot_is_not_waited_for_without_end(start: Launcher, emulator: Emulator) -> None:
    """After connect-timeout the error names the likely cause."""
    node = emulator.node("c", "full")
    first = start.start(node, "echo begun; sleep 30")
    assert first.stdout is not None
    assert first.stdout.readline() == b"begun\n"
    asked = time.monotonic()
    result = start.run(node, "echo second", {"connect-timeout": "2"})
    assert 1.5 < time.monotonic() - asked < 6
    first.terminate()
    first.communicate(timeout=10)
    waiting, line = result.stderr.decode().splitlines()
    assert (result.stdout, result.status) == (b"", 125)
    assert "waiting up to" in waiting
    assert "all sessions of the container are in use" in line
    assert "TargetNotConnectedException" in line


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"ecs-family": "agent-starting"}, "no task to run commands in"),
        ({"task": "agent-starting"}, "the ECS Exec agent in container app is still starting"),
        ({"task": "task-starting"}, "the task is PENDING"),
        ({"ecs-service": "deploying"}, "none of its tasks is RUNNING yet"),
    ],
)
def test_what_is_starting_is_waited_for(
    start: Launcher, emulator: Emulator, attributes: dict[str, str], words: str
) -> None:
    """The task, or its agent, is not ready yet. A line says what the plugin waits for."""
    family = next(iter(attributes.values()))
    task = emulator.task("c", family)
    node = {"ecs-cluster": "c", **attributes}
    if "task" in attributes:
        node = emulator.node("c", family)
    before = len(emulator.report()["calls"])
    process = start.start(node, "echo done")
    wait_for(lambda: len(emulator.report()["calls"]) >= before + 2)
    time.sleep(0.2)
    task.last_status = "RUNNING"
    task.change_containers(agent_status="RUNNING")
    stdout, stderr = process.communicate(timeout=40)
    task.change_containers(agent_status="PENDING" if family == "agent-starting" else "RUNNING")
    assert (stdout, process.returncode) == (b"done\n", 0), stderr
    (line,) = stderr.decode().splitlines()
    assert "waiting up to" in line
    assert words in line


@pytest.mark.parametrize("code", ["ThrottlingException", "ServerException", "TargetNotConnectedException"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_failure_that_may_pass_is_followed_by_another_attempt(
    start: Launcher, emulator: Emulator, code: str, transport: str
) -> None:
    """The command still runs only once."""
    before = len(emulator.report()["calls"])
    emulator.set_faults({"api_errors": {"ExecuteCommand": [code, code]}})
    result = start.run(emulator.node("c", "plain"), "echo done", {"transport": transport})
    assert (result.stdout, result.status) == (b"done\n", 0), result
    assert executions(emulator, before) == 3


def test_without_a_shell_nothing_is_repeated_that_may_have_begun(start: Launcher, emulator: Emulator) -> None:
    """There a session is the command; only a refusal that rules it out is followed by another attempt."""
    config, node = {"shell": "none"}, emulator.node("c", "plain")
    before = len(emulator.report()["calls"])
    emulator.set_faults({"api_errors": {"ExecuteCommand": ["ServerException"]}})
    assert "ServerException" in one_line(start.run(node, "echo done", config))
    assert executions(emulator, before) == 1
    emulator.set_faults({"api_errors": {"ExecuteCommand": ["ThrottlingException"]}})
    assert start.run(node, "echo done", config).stdout == b"done\n"
    assert executions(emulator, before) == 3
    emulator.set_faults({"refuse_open": 2})
    assert start.run(node, "echo done", config).stdout == b"done\n"
    assert executions(emulator, before) == 4
    emulator.set_faults({"refuse_open": -1})
    assert "503" in one_line(start.run(node, "echo done", config | {"connect-timeout": "2"}))
    assert executions(emulator, before) == 5


def test_connection_errors_are_waited_out(start: Launcher, emulator: Emulator) -> None:
    """A data channel that opens only later takes another session, never another command."""
    emulator.set_faults({"refuse_open": -1})
    process = start.start(emulator.node("c", "plain"), "echo done", {"connect-timeout": "9"})
    sessions = len(emulator.report()["sessions"])
    wait_for(lambda: len(emulator.report()["sessions"]) > sessions)
    emulator.set_faults({})
    assert process.communicate(timeout=40) == (b"done\n", b"")


def test_auto_goes_on_with_the_program_where_the_channel_does_not_open(start: Launcher, emulator: Emulator) -> None:
    """A line says so. If the program cannot connect either, the plugin gives up in time."""
    emulator.set_faults({"refuse_open": -1})
    process = start.start(
        emulator.node("c", "plain"), "echo done; exit 3", {"transport": "auto", "connect-timeout": "9"}
    )
    sessions = len(emulator.report()["sessions"])
    wait_for(lambda: len(emulator.report()["sessions"]) > sessions)
    emulator.set_faults({})
    stdout, stderr = process.communicate(timeout=40)
    result = Result(stdout, stderr, process.returncode)
    assert (result.stdout, result.status) == (b"done\n", 3), result
    assert b"continuing with session-manager-plugin" in result.stderr


def test_a_client_that_vanishes_leaves_no_second_start(start: Launcher, emulator: Emulator, tmp_path: Path) -> None:
    """Killed at any moment, the plugin starts a command once or not at all."""
    flag = tmp_path / "flag"
    for wait in (0.0, 0.01, 0.03):
        sessions = len(emulator.report()["sessions"])
        process = start.start(emulator.node("c", "plain"), f"echo start >> {flag}; sleep 0.1")
        wait_for(lambda sessions=sessions: len(emulator.report()["sessions"]) > sessions)  # type: ignore[misc]
        time.sleep(wait)
        process.kill()
        process.communicate(timeout=10)
        time.sleep(0.3)
        assert not flag.exists() or flag.read_text() == "start\n"
        flag.unlink(missing_ok=True)
    assert start.run(emulator.node("c", "plain"), "echo out") == Result(b"out\n", b"", 0)
