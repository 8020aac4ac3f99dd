"""The step Run Task as Rundeck starts it: tasks that end well, badly or never, and their logs."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from e2e.rundeck_launch import ACCESS_KEY, ALONE, CONTENTS, SECRET_KEY, run_script, started_by, variables
from emulator import Emulator, Task

# They have one emulator, whose tasks they count.
pytestmark = pytest.mark.xdist_group("run-task")

LOG = {"group": "/ecs/batch", "prefix": "batch"}
EC2 = {"launch_type": "EC2", "count": 0}


def shell(script: str, **more: object) -> dict[str, Any]:
    """Describe a container that runs a script of the shell."""
    return {"command": ["sh", "-c", script], "log": LOG, **more}


WORLD = {
    "clusters": {
        "c": {
            "tags": {},
            "services": {"web": {"desired": 1, "tags": {"team": "shop"}, "containers": {"app": shell("echo $WHO")}}},
            "tasks": [
                {"family": "report", **EC2, "containers": {"app": shell("echo one; echo two >&2; exit $STATUS")}},
                {
                    "family": "pair",
                    **EC2,
                    "containers": {
                        "app": shell("echo from app"),
                        "side": shell("trap 'echo side ends; exit 9' TERM; echo side; while :; do sleep 0.05; done"),
                        "quiet": {"log": {"driver": "awsfirelens"}, "essential": False},
                    },
                },
                {"family": "greedy", **EC2, "containers": {"app": shell("echo eats; kill -9 $$")}},
                {"family": "slow", **EC2, "containers": {"app": shell("echo begun; exec sleep 60")}},
                {
                    "family": "gentle",
                    **EC2,
                    "containers": {"app": shell("trap 'exit 0' TERM; echo begun; while :; do sleep 0.05; done")},
                },
                {"family": "lost", **EC2, "refused": "RESOURCE:MEMORY", "containers": {"app": {}}},
                {"family": "far", **EC2, "refused": "AGENT", "containers": {"app": {}}},
                {"family": "nowhere", **EC2, "refused": "UNKNOWN", "containers": {"app": {}}},
                {
                    "family": "unpulled",
                    **EC2,
                    "start_fails": "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to"
                    " resolve ref example/app:7: not found",
                    "containers": {"app": {"log": LOG}},
                },
                {"family": "absent", **EC2, "containers": {"app": {"command": ["nothing-there"], "log": LOG}}},
                {
                    "family": "many",
                    **EC2,
                    "containers": {"app": shell("n=0; while [ $n -lt 30000 ]; do echo $n; n=$((n+1)); done")},
                },
            ],
        }
    }
}
JOB = {"name": "Report", "group": "nightly", "execid": "4711", "username": "ann", "project": "shop"}
SCRIPT = CONTENTS / "run-task.py"
WHO = "job nightly/Report, execution 4711, project shop, by ann"


class Done(NamedTuple):
    """What a step printed, and its exit status."""

    out: list[str]
    err: list[str]
    status: int


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give task definitions, and CloudWatch Logs that show lines a moment after they were written."""
    habits = {"kill_after": 0.3, "log_delay": 0.3, "start_takes": 0.1}
    with Emulator(world=WORLD, agent=habits) as running:
        yield running


def environment(emulator: Emulator, family: str, config: Mapping[str, str]) -> dict[str, str]:
    """Give the whole environment of a start."""
    shared = {"region": emulator.region, "endpoint-url": emulator.endpoint_url, "access-key-id": ACCESS_KEY}
    shared |= {"cluster": "c", "task-definition": family, "log-wait": "1"}
    return ALONE | variables("CONFIG", {**shared, "secret-access-key": SECRET_KEY, **config}) | variables("JOB", JOB)


def start(emulator: Emulator, family: str, config: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the step as Rundeck does."""
    return subprocess.Popen(
        started_by(SCRIPT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(emulator, family, config),
    )


def run(emulator: Emulator, family: str, **config: str) -> Done:
    """Run the step to its end."""
    named = {name.replace("_", "-"): value for name, value in config.items()}
    done = run_script(SCRIPT, environment(emulator, family, named), timeout=60)
    return Done(done.stdout.decode().splitlines(), done.stderr.decode().splitlines(), done.status)


def tasks(emulator: Emulator, family: str) -> list[Task]:
    """Give the tasks of a family, in the order of their starts."""
    return [task for task in emulator.tasks() if task.group.family == family and not task.group.service]


def output(done: Done) -> list[str]:
    """Give the lines of a step without its own."""
    own = r"started task |task \w+ of | *\d+ s  |the output of |no output of |RUNDECK:DATA:|cause: "
    return [line for line in done.out if not re.match(own, line)]


@pytest.mark.parametrize("status", [0, 1, 137, 255])
def test_the_exit_code_is_the_container_s(emulator: Emulator, status: int) -> None:
    """The step shows both streams in order, and each status of the task."""
    done = run(emulator, "report", environment=f"STATUS={status}", data="true")
    task = tasks(emulator, "report")[-1]
    assert (done.status, done.err) == (status, [])
    assert output(done) == ["one", "two"]
    assert done.out[0] == f"started task {task.id} of report:1 in cluster c"
    arn = f"arn:aws:ecs:us-east-1:123456789012:task/c/{task.id}"
    assert done.out[1] == f"RUNDECK:DATA:ecs-task-arn = {arn}"
    assert [line for line in done.out if re.fullmatch(r" *\d+ s  STOPPED", line)]
    assert f"RUNDECK:DATA:ecs-exit-code = {status}" in done.out
    how = f"task {task.id} of report:1 has stopped: EssentialContainerExited; Essential container in task exited"
    assert f"{how}; container app: exit code {status}" in "\n".join(done.out)


def test_out_of_memory(emulator: Emulator) -> None:
    """The cause and the cure are those of the table of causes."""
    done = run(emulator, "greedy")
    assert (done.status, output(done)) == (137, ["eats"])
    assert "[out-of-memory]" in done.out[-1]


def test_several_containers(emulator: Emulator) -> None:
    """Each line has its container. What cannot be shown is said, and the named container gives the exit code."""
    done = run(emulator, "pair", container="side")
    assert done.status == 9
    assert sorted(output(done)) == ["app: from app", "side: side", "side: side ends"]
    assert "the output of container quiet is not shown: its log driver is awsfirelens" in "\n".join(done.out)
    unnamed = run(emulator, "pair")
    assert (unnamed.status, unnamed.out) == (125, [])
    assert unnamed.err[0].endswith("[container-not-chosen]")
    assert len(tasks(emulator, "pair")) == 1


def test_several_tasks(emulator: Emulator) -> None:
    """They run at the same time; the highest exit code counts."""
    done = run(emulator, "report", count="3", command="sh -c 'echo out; mkdir /proc/self/x 2>/dev/null; exit 4'")
    names = [task.id[:8] for task in tasks(emulator, "report")[-3:]]
    assert done.status == 4
    assert sorted(output(done)) == sorted(f"{name}: out" for name in names)


@pytest.mark.parametrize(
    ("family", "status", "cause"),
    [
        ("lost", 125, "no-capacity"),
        ("far", 125, "agent-disconnected"),
        ("nowhere", 125, "task-not-placed"),
        ("unpulled", 125, "image-not-found"),
        ("absent", 125, "command-not-found"),
    ],
)
def test_a_task_that_never_runs(emulator: Emulator, family: str, status: int, cause: str) -> None:
    """One line has the cause; nothing of it is a success."""
    done = run(emulator, family)
    assert done.status == status
    assert len(done.err) == 1
    assert done.err[0].endswith(f"[{cause}]"), done


def test_like_a_service(emulator: Emulator) -> None:
    """Definition, network and tags are the service's. Values of the form are in no line."""
    done = run(emulator, "", like_service="web", environment="WHO=s3cret", tags="env=prod", command="printenv STAGE")
    assert done.status == 1
    call = next(call for call in reversed(emulator.report()["calls"]) if call["action"] == "RunTask")["parameters"]
    tags = {tag["key"]: tag["value"] for tag in call["tags"]}
    assert tags == {
        "team": "shop",
        "env": "prod",
        "rundeck-project": "shop",
        "rundeck-job": "nightly/Report",
        "rundeck-execution": "4711",
        "rundeck-user": "ann",
    }
    assert call["networkConfiguration"]["awsvpcConfiguration"]["subnets"] == ["subnet-0123456789abcdef0"]
    assert call["launchType"] == "FARGATE"
    assert "s3cret" not in "\n".join(done.out + done.err)


def test_a_lost_answer_starts_nothing_twice(emulator: Emulator) -> None:
    """The request is repeated with the same token, and the task is counted on the far side."""
    before = len(tasks(emulator, "report"))
    emulator.set_faults({"cut_answers": {"RunTask": 2}})
    done = run(emulator, "report", environment="STATUS=0")
    emulator.set_faults({})
    assert (done.status, output(done)) == (0, ["one", "two"])
    assert len(tasks(emulator, "report")) == before + 1


def test_an_abort_stops_the_task(emulator: Emulator) -> None:
    """ECS gets the job and the user as the reason."""
    process = start(emulator, "slow", {})
    assert process.stdout is not None
    while (line := process.stdout.readline()) != b"begun\n":
        assert line, process.communicate()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    (task,) = tasks(emulator, "slow")
    said = f"aborted by SIGTERM; ECS received the request to stop task {task.id} and continues to stop it"
    assert (process.returncode, stderr.decode()) == (143, f"ecs-exec: {said}\n")
    stop = next(call for call in reversed(emulator.report()["calls"]) if call["action"] == "StopTask")
    assert stop["parameters"]["reason"] == f"Stopped by Rundeck: {WHO}"


def test_a_timeout_stops_the_task(emulator: Emulator) -> None:
    """Even if the container then ends with exit code 0, the status is 124."""
    done = run(emulator, "gentle", timeout="2")
    (task,) = tasks(emulator, "gentle")
    assert done.status == 124
    assert done.err == [f"ecs-exec: timed out after 2 s; ECS received the request to stop task {task.id}"]
    assert f"UserInitiated; Timed out after 2 s: {WHO}; container app: exit code 0" in done.out[-1]


def test_somebody_else_s_stop_is_no_success(emulator: Emulator) -> None:
    """A container that handles SIGTERM ends with exit code 0, although its work is not done."""
    process = start(emulator, "gentle", {})
    assert process.stdout is not None
    while (line := process.stdout.readline()) != b"begun\n":
        assert line, process.communicate()
    run_stop = {"cluster": "c", "task": tasks(emulator, "gentle")[-1].id, "reason": "mine"}
    shared = {"region": emulator.region, "endpoint-url": emulator.endpoint_url, "access-key-id": ACCESS_KEY}
    environ = ALONE | variables("CONFIG", {**shared, "secret-access-key": SECRET_KEY, **run_stop})
    subprocess.run(started_by(CONTENTS / "stop-task.py"), env=environ, stdout=subprocess.DEVNULL, check=True)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 125
    assert stderr.decode().rstrip().endswith("[task-stopped-early]")


def test_without_waiting(emulator: Emulator) -> None:
    """The step ends as soon as ECS has accepted the task."""
    done = run(emulator, "report", wait="false")
    assert (done.status, len(done.out)) == (0, 1)


def test_a_long_log_while_it_is_written(emulator: Emulator) -> None:
    """30,000 lines come in their order, none twice, none missing; the test of the step Logs takes more."""
    done = run(emulator, "many")
    assert done.status == 0
    assert output(done) == [str(number) for number in range(30_000)]


def test_logs_that_may_not_be_read(emulator: Emulator) -> None:
    """The exit code still counts; a line says why the output is missing."""
    emulator.set_faults({"api_errors": {"GetLogEvents": ["AccessDeniedException"]}})
    done = run(emulator, "report", environment="STATUS=3")
    emulator.set_faults({})
    assert (done.status, output(done)) == (3, [])
    assert len(done.err) == 1
    assert "the output of container app is not complete" in done.err[0]
