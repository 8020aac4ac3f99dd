"""Scale Service: it succeeds only if exactly so many tasks run, and says what autoscaling does."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.rundeck_launch import ALONE, CONTENTS, started_by
from e2e.service_steps import Ended, calls, environ
from e2e.service_steps import run as run_in_process
from ecs_exec.ecs.api import Aws
from ecs_exec.settings.steps import read_scale
from ecs_exec.steps import scale
from emulator import Emulator

# They have one emulator, whose services change.
pytestmark = pytest.mark.xdist_group("scale")


def service(**rollout: Any) -> dict[str, Any]:  # noqa: ANN401 - as the world's file has it
    """Describe a service of two tasks."""
    return {"desired": 2, "containers": {"app": {}}, "rollout": {"takes": 0.02, **rollout}}


WORLD = {
    "clusters": {
        "c": {
            "services": {
                "grows": service(),
                "shrinks": service(drains=0.6),
                "hangs": service(drains=-1),
                "fails": service(fails=-1, takes=0.7),
                "bounded": service(scaling="1-4"),
                "undone": service(scaling="1-4", undone=1.0, takes=0.3),
                "slow": service(takes=30),
                "lost": service(),
                "external": service(controller="EXTERNAL"),
            }
        }
    }
}

Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give services that are scaled in different ways."""
    with Emulator(world=WORLD) as running:
        yield running


@pytest.fixture(scope="module")
def aws(emulator: Emulator) -> Aws:
    """Give one client for all runs in this process: making botocore's takes long."""
    return Aws(read_scale(environ(emulator, "grows", {"desired-count": "1"})).access)


@pytest.fixture
def run(emulator: Emulator, aws: Aws, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run the step in this process."""

    def run_step(name: str, count: str, **config: str) -> Ended:
        asked = read_scale(environ(emulator, name, {"desired-count": count, **config}))
        return run_in_process(scale, asked, aws, capfdbinary)

    return run_step


def running(emulator: Emulator, name: str) -> list[str]:
    """Give the states of the tasks of a service that have not stopped."""
    tasks = [task for task in emulator.tasks() if task.group.service == name]
    return [task.last_status for task in tasks if task.last_status != "STOPPED"]


def test_numbers(run: Run, emulator: Emulator) -> None:
    """They are absolute, or changes of the present number, never below 0."""
    for count, left in (("3", 3), ("+2", 5), ("-3", 2), ("2", 2), ("-9", 0), ("1", 1)):
        ended = run("grows", count)
        assert ended.status == 0, ended
        assert running(emulator, "grows") == ["RUNNING"] * left
    assert ended.out[0] == "scaling service grows in cluster c: 0 -> 1 task"
    assert ended.out[-1].endswith("s  service grows in cluster c has 1 task")
    assert "Scaling" not in "".join(ended.out)
    assert ended.err == ""


def test_tasks_that_end_are_waited_for(run: Run, emulator: Emulator) -> None:
    """The counts of ECS leave out tasks that drain."""
    ended = run("shrinks", "1")
    assert ended.status == 0, ended
    assert "1 running, 1 wanted; tasks that end: 1 DEACTIVATING" in "".join(ended.out)
    assert running(emulator, "shrinks") == ["RUNNING"]


@pytest.mark.parametrize(
    ("name", "count", "status", "words"),
    [
        ("hangs", "1", 124, ["does not have 1 running tasks after 60 s", "[scale-timeout]"]),
        ("fails", "4", 124, ["[scale-timeout]"]),
        ("undone", "9", 3, ["Application Auto Scaling or somebody else", "to 4 after", "set 9", "[count-changed]"]),
        ("external", "3", 125, ["EXTERNAL", "[deployment-controller]"]),
        ("nothing", "3", 125, ["there is no service nothing", "[service-not-described]"]),
    ],
)
def test_failure(run: Run, name: str, count: str, status: int, words: list[str]) -> None:
    """Each has its exit status and one line."""
    ended = run(name, count, wait_timeout="60" if status == 124 else "300")
    assert ended.status == status, ended
    (line,) = ended.err.splitlines()
    assert [word for word in words if word not in line] == []
    assert (" failed: EssentialContainerExited" in "".join(ended.out)) == (name == "fails")
    assert ("it will undo 9" in "".join(ended.out)) == (name == "undone")


def test_autoscaling_is_told_of(run: Run, emulator: Emulator) -> None:
    """Within its limits, beyond them, and if the permission to look is missing."""
    assert "between 1 and 4 tasks; its policies may change the number again" in run("bounded", "3").out[1]
    assert "between 1 and 4 tasks: it will undo 5" in run("bounded", "5").out[1]
    emulator.set_faults({"api_errors": {"DescribeScalableTargets": ["AccessDeniedException"]}})
    ended = run("bounded", "4")
    assert ended.status == 0, ended
    assert "DescribeScalableTargets failed (AccessDeniedException)" in ended.out[1]


def test_a_lost_answer(run: Run, emulator: Emulator) -> None:
    """The call is repeated, because its number is absolute: +1 is one more, not two."""
    before = calls(emulator, "UpdateService")
    emulator.set_faults({"lost_answers": {"UpdateService": 1}})
    ended = run("lost", "+1")
    assert ended.status == 0, ended
    assert running(emulator, "lost") == ["RUNNING"] * 3
    assert calls(emulator, "UpdateService") == before + 2


@pytest.mark.parametrize(("action", "words"), [("ListTasks", "nothing was changed"), ("UpdateService", "may have")])
def test_no_answer(run: Run, emulator: Emulator, action: str, words: str) -> None:
    """After the limit, the line never says that ECS goes on with a change that it may not know."""
    emulator.set_faults({"api_delays": {action: 1.5}})
    ended = run("slow", "7", wait_timeout="1")
    emulator.set_faults({})
    assert ended.status == 124
    assert words in ended.err
    assert "[deployment-unanswered]" in ended.err


def test_abort(emulator: Emulator) -> None:
    """The step ends at once; ECS goes on."""
    script = started_by(Path(CONTENTS) / "scale.py")
    environment = ALONE | environ(emulator, "slow", {"desired-count": "3"})
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    while b"wanted" not in process.stdout.readline():
        assert process.poll() is None, process.communicate()
    sent = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, time.monotonic() - sent < 3) == (143, True)
    assert stderr == b"ecs-exec: aborted by SIGTERM; ECS goes on to change the number of tasks to 3\n"
