"""The step Logs as Rundeck starts it: of tasks and services, in the order of their time, filtered and followed."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping

import pytest

from e2e.checks import wait_for
from e2e.rundeck_launch import ACCESS_KEY, ALONE, CONTENTS, SECRET_KEY, run_script, started_by, variables
from e2e.test_run_task import Done
from emulator import Emulator

# They have one emulator.
pytestmark = pytest.mark.xdist_group("logs")

LOG = {"group": "/ecs/shop", "prefix": "shop"}
SCRIPT = CONTENTS / "logs.py"
SLOWLY = "n=0; while [ $n -lt 100000 ]; do echo $n; n=$((n+1)); [ $((n % 10000)) = 0 ] && sleep 0.2; done"
WORLD = {
    "clusters": {
        "c": {
            "services": {
                "web": {"desired": 2, "containers": {"app": {"log": LOG}, "side": {"log": LOG, "essential": False}}},
                "mute": {"containers": {"app": {"log": {"driver": "splunk"}}}},
            },
            "tasks": [
                {"family": "idle", "containers": {"app": {"log": LOG}}},
                {
                    "family": "many",
                    "launch_type": "EC2",
                    "count": 0,
                    "containers": {"app": {"command": ["sh", "-c", SLOWLY], "log": LOG}},
                },
            ],
        }
    }
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a service whose tasks have written by turns, and one line before all others."""
    with Emulator(world=WORLD, agent={"log_delay": 0.2}) as running:
        first, second = (running.task("c", "web", number) for number in range(2))
        now = int(time.time() * 1000)
        running.write_log(first, "app", [(now - 7_200_000, "long ago")])
        running.write_log(first, "app", [(now - 5000, "one ERROR"), (now - 3000, "three\r\nand more")])
        running.write_log(second, "app", [(now - 4000, "two"), (now - 2000, "four ERROR")])
        running.write_log(second, "side", [(now - 1000, "five")])
        yield running


def environment(emulator: Emulator, config: Mapping[str, str], node: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the whole environment of a start: of a node step with a node."""
    shared = {"region": emulator.region, "endpoint-url": emulator.endpoint_url, "access-key-id": ACCESS_KEY}
    environ = ALONE | variables("CONFIG", {**shared, "secret-access-key": SECRET_KEY, **config})
    return environ | (variables("NODE", {"name": "node", **node}) if node else {})


def start(emulator: Emulator, config: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the step as Rundeck does."""
    return subprocess.Popen(
        started_by(SCRIPT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(emulator, config),
    )


def show(emulator: Emulator, config: Mapping[str, str], node: Mapping[str, str] | None = None) -> Done:
    """Run the step to its end."""
    done = run_script(SCRIPT, environment(emulator, config, node), timeout=60)
    return Done(done.stdout.decode().split("\n")[:-1], done.stderr.decode().splitlines(), done.status)


def test_a_service_s_logs(emulator: Emulator) -> None:
    """The lines of all tasks and containers come in the order of their time, each with its task and container."""
    one, two = (emulator.task("c", "web", number).id[:8] for number in range(2))
    done = show(emulator, {"cluster": "c", "service": "web"})
    assert done == Done(
        [
            f"{one}/app: one ERROR",
            f"{two}/app: two",
            f"{one}/app: three",
            f"{one}/app: and more",
            f"{two}/app: four ERROR",
            f"{two}/side: five",
        ],
        [],
        0,
    )
    long = show(emulator, {"cluster": "c", "service": "web", "container": "app", "since": "1d", "timestamps": "true"})
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z {one}: long ago", long.out[0])
    assert len(long.out) == 6


def test_a_filter(emulator: Emulator) -> None:
    """CloudWatch searches; the order is the same."""
    one, two = (emulator.task("c", "web", number).id[:8] for number in range(2))
    done = show(emulator, {"cluster": "c", "service": "web", "filter": "ERROR"})
    assert done == Done([f"{one}/app: one ERROR", f"{two}/app: four ERROR"], [], 0)
    none = show(emulator, {"cluster": "c", "service": "web", "filter": "PANIC"})
    assert none.out == ["no log lines of service web in cluster c that match the filter within the last 900 s"]


@pytest.mark.parametrize(("since", "number"), [("0s", 0), ("999999d", 7)])
def test_the_ends_of_since(emulator: Emulator, since: str, number: int) -> None:
    """0s shows nothing that is there already. A time before 1970 shows everything."""
    done = show(emulator, {"cluster": "c", "service": "web", "since": since})
    assert (sum(": " in line for line in done.out), done.err, done.status) == (number, [], 0)


def test_a_node_s_logs(emulator: Emulator) -> None:
    """Its container's alone, without a prefix."""
    done = show(emulator, {}, emulator.node("c", "web", 1, "side"))
    assert done == Done(["five"], [], 0)
    none = show(emulator, {}, emulator.node("c", "idle"))
    task = emulator.task("c", "idle").id
    assert none == Done([f"no log lines of task {task} in cluster c within the last 900 s"], [], 0)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"service": "mute"}, ["its log driver is splunk", "[logs-not-in-cloudwatch]"]),
        (
            {"service": "web", "container": "x"},
            ["web:1 has no container x: it has app, side", "[container-not-defined]"],
        ),
        ({"family": "nothing"}, ["[no-task-with-logs]"]),
        ({"task": "f" * 32}, ["[task-not-found]"]),
        ({}, ["set one of them"]),
        ({"service": "web", "family": "web", "since": "soon"}, ["keep one of them", "since is 'soon'"]),
    ],
)
def test_failures(emulator: Emulator, config: Mapping[str, str], words: list[str]) -> None:
    """Each has one line."""
    done = show(emulator, {"cluster": "c", **config})
    assert (done.status, len(done.err)) == (125, 1)
    assert [word for word in words if word not in done.err[0]] == []


def test_a_denied_call(emulator: Emulator) -> None:
    """Lines that could not be read are a failure."""
    emulator.set_faults({"api_errors": {"GetLogEvents": ["AccessDeniedException"]}})
    done = show(emulator, {}, emulator.node("c", "web", 1, "side"))
    emulator.set_faults({})
    assert done.status == 125
    assert "grant logs:GetLogEvents" in done.err[0]


def test_following_a_task_that_writes(emulator: Emulator) -> None:
    """100,000 lines come in order, none twice and none missing; the step ends by itself after the task has."""
    shared = {"region": emulator.region, "endpoint-url": emulator.endpoint_url, "access-key-id": ACCESS_KEY}
    run = {**shared, "secret-access-key": SECRET_KEY, "cluster": "c", "task-definition": "many", "wait": "false"}
    subprocess.run(
        started_by(CONTENTS / "run-task.py"),
        env=ALONE | variables("CONFIG", run),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    task = emulator.task("c", "many").id
    done = show(emulator, {"cluster": "c", "task": task, "follow": "1m"})
    assert (done.status, done.err) == (0, [])
    assert done.out == [str(number) for number in range(100_000)]


@pytest.mark.parametrize("pattern", ["", "late"])
def test_following_a_service(emulator: Emulator, pattern: str) -> None:
    """New lines come as they are written, each once, until the time is over or the job is aborted."""
    task = emulator.task("c", "web")
    process = start(emulator, {"cluster": "c", "service": "web", "follow": "1h", "since": "1s", "filter": pattern})
    assert process.stdout is not None
    wait_for(lambda: bool(emulator.report()["calls"]))
    for number in range(2):
        emulator.write_log(task, "app", [(int(time.time() * 1000), f"late {pattern} {number}")])
        while not (line := process.stdout.readline()).endswith(f"late {pattern} {number}\n".encode()):
            assert line, process.communicate()
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (143, b"")
    assert stderr == b"ecs-exec: aborted by SIGTERM while the logs were read\n"
