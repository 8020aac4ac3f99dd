"""The job steps as Rundeck starts them: many tasks in parallel, and aborts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from e2e.rundeck_launch import ACCESS_KEY, ALONE, CONTENTS, SECRET_KEY, started_by, variables
from emulator import Emulator

# They have one emulator, and tasks that stop.
pytestmark = pytest.mark.xdist_group("steps")

WORLD = {
    "clusters": {
        "c": {
            "services": {"web": {"desired": 4, "containers": {"app": {"env": {"GREETING": "hello"}}}}},
            "tasks": [
                {"family": "job", "containers": {"app": {}}},
                {"family": "mixed", "containers": {"app": {}}},
                {"family": "mixed", "exec_enabled": False, "containers": {"app": {}}},
                {"family": "mixed", "last_status": "PENDING", "containers": {"app": {}}},
            ],
        }
    }
}
ALL = {"cluster": "c", "service": "web", "all-tasks": "true"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a service of four tasks, with agents that do not rest, and tasks that take long to stop."""
    habits = {"start_delay": 0, "pacing": 0, "fail_pause": 0, "session_limit": 0, "stop_takes": 60}
    with Emulator(world=WORLD, agent=habits) as running:
        yield running


def start(emulator: Emulator, script: str, config: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a workflow step as Rundeck does."""
    shared = {"region": emulator.region, "endpoint-url": emulator.endpoint_url, "access-key-id": ACCESS_KEY}
    environ = ALONE | variables("CONFIG", {**shared, "secret-access-key": SECRET_KEY, **config})
    return subprocess.Popen(
        started_by(CONTENTS / f"{script}.py"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
    )


def run(emulator: Emulator, config: Mapping[str, str], command: str) -> tuple[list[str], list[str], int]:
    """Run a command in all tasks to its end; give the lines of stdout and stderr, and the exit status."""
    process = start(emulator, "run-command", {**ALL, **config, "command": command})
    stdout, stderr = process.communicate(timeout=60)
    return stdout.decode().split("\n")[:-1], stderr.decode().split("\n")[:-1], process.returncode


def children(pid: int) -> list[int]:
    """Give the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_lines_are_whole_and_have_their_task(emulator: Emulator) -> None:
    """Four tasks print at the same time, on both streams. Each line comes out once and whole."""
    count, width = 300, 3000
    command = f"n=0; while [ $n -lt {count} ]; do printf '%0{width}d\\n' $n; echo err $n >&2; n=$((n+1)); done"
    stdout, stderr, status = run(emulator, {}, command)
    assert status == 0
    short = {emulator.task("c", "web", number).id[:8] for number in range(4)}
    lines = [line for line in stdout if re.fullmatch(rf"[0-9a-f]{{8}}: 0*\d{{1,{width}}}", line)]
    assert Counter(line[:8] for line in lines) == dict.fromkeys(short, count)
    assert {len(line) for line in lines} == {10 + width}
    assert len(stdout) == 1 + 4 + len(lines) + 1
    assert Counter(line[:14] for line in stderr) == {f"{name}: err ": count for name in short}


def test_line_ends(emulator: Emulator) -> None:
    """A line that a carriage return ends has its task as well, and so has one without an end."""
    stdout, _, _ = run(emulator, {"family": "job", "service": ""}, r"printf '10%%\r20%%\r\nlast'")
    name = emulator.task("c", "job").id[:8]
    assert stdout[2:-1] == [f"{name}: 10%", f"{name}: 20%", f"{name}: last"]


def test_the_highest_exit_status(emulator: Emulator, tmp_path: Path) -> None:
    """It is the exit status of the step, and a line names each failed task."""
    command = f"for n in 0 5 7 3; do mkdir {tmp_path}/$n 2>/dev/null && exit $n; done"
    stdout, _, status = run(emulator, {}, command)
    assert status == 7
    assert stdout[-1].startswith("3 of 4 failed, with exit status ")
    assert sorted(re.findall(r": (\d)", stdout[-1])) == ["3", "5", "7"]


def test_no_more_than_so_many_at_a_time(emulator: Emulator, tmp_path: Path) -> None:
    """With one, none meets another."""
    lock = tmp_path / "lock"
    command = f"mkdir {lock} || exit 9; sleep 0.1; rmdir {lock}"
    assert run(emulator, {"parallel": "1"}, command)[2] == 0


def test_a_task_that_cannot_be_reached_is_a_failure(emulator: Emulator) -> None:
    """The others still run. A command that has not begun is left out, and a line says so."""
    stdout, stderr, status = run(emulator, {"family": "mixed", "service": ""}, "echo out")
    names = [emulator.task("c", "mixed", number).id for number in range(3)]
    assert status == 125
    assert f"skipped: task {names[2]} is PENDING" in stdout
    assert f"{names[0][:8]}: out" in stdout
    assert f"1 of 2 failed, with exit status {names[1][:8]}: 125" in stdout
    assert len(stderr) == 1
    assert stderr[0].startswith(f"{names[1][:8]}: ecs-exec: ")


def test_every_task_is_checked(emulator: Emulator) -> None:
    """Each has a line with its cause, what they share has one, and one that is not ready is a failure."""
    names = [emulator.task("c", "mixed", number).id for number in range(3)]
    before = Counter(call["action"] for call in emulator.report()["calls"])
    process = start(emulator, "check-exec", {"cluster": "c", "family": "mixed"})
    stdout, stderr = process.communicate(timeout=60)
    lines = stdout.decode().splitlines()
    assert (process.returncode, stderr) == (125, b"")
    assert lines[:2] == [
        f"skipped: task {names[2]} is PENDING",
        "checking 2 running tasks of family mixed in cluster c",
    ]
    kinds = Counter(line[15:33].strip() for line in lines[2:-3])
    assert kinds.pop("your permissions") == 2
    assert set(kinds.values()) == {1}
    ran, failed = sorted(lines[-3:-1], reverse=True)
    assert ran == f"ok             task {names[0][:8]}     container app: true ran"
    assert failed.startswith(
        f"failed         task {names[1][:8]}     container app: ECS Exec is not enabled on the task: "
    )
    assert failed.endswith(" [exec-not-enabled]")
    assert lines[-1] == f"1 of 2 running tasks of family mixed in cluster c is not ready: {names[1][:8]}"
    calls = Counter(call["action"] for call in emulator.report()["calls"]) - before
    assert (calls["ListTasks"], calls["ExecuteCommand"], calls["SimulatePrincipalPolicy"]) == (1, 2, 3)
    # One call describes all tasks; the refused session's diagnosis takes another one.
    assert calls["DescribeTasks"] == 2


def test_nothing_to_check_is_a_failure(emulator: Emulator) -> None:
    """A family without a running task does not pass as ready."""
    process = start(emulator, "check-exec", {"cluster": "c", "family": "none"})
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (125, b"")
    assert stderr.decode().rstrip().endswith("[no-running-task]")


@pytest.mark.parametrize("everybody", [False, True], ids=["up to 5.5", "from 5.6"])
def test_an_abort_reaches_every_container(emulator: Emulator, everybody: bool) -> None:
    """Rundeck may signal the started process alone, or first its descendants. The step ends in a second or two."""
    process = start(emulator, "run-command", {**ALL, "command": "trap '' INT TERM; echo begun; sleep 60 & wait"})
    assert process.stdout is not None
    begun = 0
    while begun < 4:
        line = process.stdout.readline()
        assert line, process.communicate()
        begun += line.endswith(b": begun\n")
    sent = time.monotonic()
    for pid in [*(children(process.pid) if everybody else []), process.pid]:
        os.kill(pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 143
    assert time.monotonic() - sent < 3
    assert stderr.count(b"aborted by SIGTERM") == 4
    until = time.monotonic() + 3
    while left := emulator.processes():
        assert time.monotonic() < until, left
        time.sleep(0.02)


def test_an_abort_while_a_task_stops(emulator: Emulator) -> None:
    """The abort ends the wait, and a line says that ECS still stops the task."""
    process = start(emulator, "stop-task", {"cluster": "c", "task": emulator.task("c", "job").id})
    assert process.stdout is not None
    assert b"stopping" in process.stdout.readline()
    assert b"DEACTIVATING" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (
        143,
        b"ecs-exec: aborted by SIGTERM; ECS received the request to stop the task and continues to stop it\n",
    )
