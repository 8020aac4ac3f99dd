"""The job steps in the real rundeck-core, with the emulator as ECS."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from emulator import Emulator
from real.projects import KEYS, for_steps
from real.rundeck import Execution, Lanes, NodeStep, Run, Rundeck, Server, WorkflowStep

WORLD = {
    "vpc_endpoints": ["ssmmessages"],
    "clusters": {
        "demo": {
            "services": {
                "web": {"desired": 3, "containers": {"nginx": {"log": {"group": "/ecs/web", "prefix": "web"}}}}
            },
            "tasks": [
                {"family": "api", "count": 3, "containers": {"app": {}, "log": {"essential": False}}},
                {
                    "family": "report",
                    "launch_type": "EC2",
                    "count": 0,
                    "containers": {
                        "app": {
                            "command": [
                                "sh",
                                "-c",
                                'echo "$RD_OPTION_WORD"; [ "$SLOW" ] && exec sleep 60; exit $STATUS',
                            ],
                            "log": {"group": "/ecs/report", "prefix": "report"},
                        }
                    },
                },
                {
                    "family": "unpulled",
                    "launch_type": "EC2",
                    "count": 0,
                    "start_fails": "CannotPullContainerError: failed to resolve ref example/app:7: not found",
                    "containers": {"app": {}},
                },
                {"family": "locked", "exec_enabled": False, "containers": {"app": {}}},
                {
                    "family": "migration",
                    "last_status": "STOPPED",
                    "stop_code": "EssentialContainerExited",
                    "stopped_reason": "Essential container in task exited",
                    "containers": {
                        "migrate": {
                            "exit_code": 1,
                            "reason": "OutOfMemoryError: Container killed due to memory usage",
                        }
                    },
                },
            ],
        },
        "shut": {
            "deny": ["ecs:StopTask", "ecs:ListTasks"],
            "tasks": [{"family": "api", "containers": {"app": {}}}],
        },
    },
}
JOB = {
    "job": {"name": "Restart web", "group": "ops", "execid": "42", "username": "admin", "project": "demo"},
    "option": {"task": "", "word": "it's $x"},
}


@pytest.fixture(scope="module")
def emulator(rundeck: Rundeck) -> Iterator[Emulator]:
    """Give each core a world to stop tasks in, which takes them a moment; the agents do not rest."""
    assert rundeck
    habits = {"start_delay": 0, "pacing": 0, "fail_pause": 0, "session_limit": 0, "stop_takes": 1.5}
    with Emulator(world=WORLD, agent=habits) as running:
        now = int(time.time() * 1000)
        for number, text in enumerate(("oldest", "ERROR it's $x", "newest")):
            task = running.task("demo", "web", number % 2)
            running.write_log(task, "nginx", [(now - 5000 + number, text)])
        yield running


@pytest.fixture(scope="module")
def server(plugin_zip: Path, emulator: Emulator) -> Server:
    """Give a project that has credentials and endpoint for all steps, with nodes of the emulator's."""
    gone = emulator.node("demo", "web") | {"ECS:Task-ARN": f"arn:aws:ecs:us-east-1:123456789012:task/demo/{'f' * 32}"}
    nodes = {
        "web": emulator.node("demo", "web"),
        "app": emulator.node("demo", "api"),
        "locked": emulator.node("demo", "locked"),
        "shut": emulator.node("shut", "api"),
        "gone": gone,
        "service": {"ecs-cluster": "demo", "ecs-service": "web"},
    }
    return Server(
        plugins=[plugin_zip],
        nodes={name: {"hostname": name, **attributes} for name, attributes in nodes.items()},
        keys=KEYS,
        project_properties=for_steps(emulator),
    )


def workflow(provider: str, config: Mapping[str, str], **more: str) -> WorkflowStep:
    """Make a workflow step of a job."""
    return WorkflowStep(provider, {**config, **more}, run=Run(context=JOB))


def steps(emulator: Emulator) -> dict[str, NodeStep | WorkflowStep]:
    """Name the steps that are run, in their order."""
    second, third = emulator.task("demo", "api", 1), emulator.task("demo", "api", 2)
    form = {"cluster": "demo", "task": second.id}
    web, everywhere = {"cluster": "demo", "service": "web"}, {"all-tasks": "true"}
    nowhere = {"cluster": "nowhere", "service": "web"}
    report = {"cluster": "demo", "task-definition": "report", "env": "RD_OPTION_WORD", "log-wait": "1"}
    return {
        "check": NodeStep("ecs-check-exec", on=["web"]),
        "check locked": NodeStep("ecs-check-exec", on=["locked"]),
        "check gone": NodeStep("ecs-check-exec", on=["gone"]),
        "check service": NodeStep("ecs-check-exec", on=["service"], config={"user": "nobody-there"}),
        "run": workflow("ecs-run-command", web, command='echo "$RD_OPTION_WORD"; exit 3', env="RD_OPTION_WORD"),
        "run everywhere": workflow("ecs-run-command", web, command="echo $((1 + 1)); echo err >&2", **everywhere),
        "run nowhere": workflow("ecs-run-command", nowhere, command="true"),
        "run nobody": workflow("ecs-run-command", {"cluster": "demo", "family": "x"}, command="true", **everywhere),
        "run locked": workflow("ecs-run-command", {"cluster": "demo", "family": "locked"}, command="true"),
        "run faulty": workflow("ecs-run-command", {"cluster": "demo"}, command=" "),
        "run aborted": WorkflowStep(
            "ecs-run-command",
            {**web, **everywhere, "command": "trap '' TERM INT; echo begun; sleep 60"},
            run=Run(interrupt_on="begun", patience=20, linger=4),
        ),
        "logs": workflow("ecs-logs", web),
        "logs of node": NodeStep("ecs-logs", on=["web"], config={"filter": "ERROR"}),
        "logs nowhere": workflow("ecs-logs", {"cluster": "demo", "family": "api"}),
        "logs faulty": workflow("ecs-logs", {"cluster": "demo", "since": "soon"}),
        "logs aborted": WorkflowStep("ecs-logs", {**web, "follow": "1h"}, run=Run(interrupt_on="oldest", patience=20)),
        "task": workflow("ecs-run-task", report, environment="STATUS=0", data="true"),
        "task fails": workflow("ecs-run-task", report, environment="STATUS=1"),
        "task killed": workflow("ecs-run-task", report, command="sh -c 'kill -9 $$'"),
        "task never runs": workflow("ecs-run-task", report, **{"task-definition": "unpulled"}),
        "task late": workflow("ecs-run-task", report, environment="SLOW=1", timeout="2"),
        "task nowhere": workflow("ecs-run-task", report, cluster="nowhere"),
        "task faulty": workflow("ecs-run-task", report, count="11", environment="wrong"),
        "task aborted": WorkflowStep(
            "ecs-run-task",
            {**report, "environment": "SLOW=1\nRD_OPTION_WORD=begun"},
            run=Run(context=JOB | {"option": {}}, interrupt_on="begun", patience=20, linger=4),
        ),
        "stop": NodeStep("ecs-stop-task", on=["app"], run=Run(context=JOB)),
        "stop again": NodeStep("ecs-stop-task", on=["app"], run=Run(context=JOB)),
        "stop form": workflow("ecs-stop-task", form, reason="for ${option.word}", wait="false"),
        "stop late": workflow("ecs-stop-task", form, task=third.id, **{"wait-timeout": "1"}),
        "stop blank": workflow("ecs-stop-task", form, task="${option.task}"),
        "stop nowhere": workflow("ecs-stop-task", form, cluster="nowhere"),
        "stop gone": NodeStep("ecs-stop-task", on=["gone"]),
        "stop refused": NodeStep("ecs-stop-task", on=["shut"]),
        "stop several": NodeStep("ecs-stop-task", on=["service"]),
        "show": workflow("ecs-stopped-tasks", {"cluster": "demo", "family": "migration"}, data="true"),
        "show html": workflow("ecs-stopped-tasks", {"cluster": "demo", "container": "migrate", "format": "html"}),
        "show none": workflow(
            "ecs-stopped-tasks", {"cluster": "demo", "family": "migration", "since": "1s"}, data="true"
        ),
        "show nowhere": workflow("ecs-stopped-tasks", {"cluster": "nowhere"}),
        "show nothing": workflow("ecs-stopped-tasks", {"cluster": "demo", "service": "nothing"}),
        "show refused": workflow("ecs-stopped-tasks", {"cluster": "shut"}),
        "show faulty": workflow("ecs-stopped-tasks", {"cluster": "demo", "since": "soon", "limit": "x"}),
    }


@pytest.fixture(scope="module")
def ran(rundeck: Rundeck, server: Server, emulator: Emulator) -> Mapping[str, Execution]:
    """Give the result of each step by name; one server runs all of them, those with different first words at once."""
    named = steps(emulator)
    kinds = ("task", "run", "stop", "show", "check", "logs")
    lanes = {kind: [step for name, step in named.items() if name.split()[0] == kind] for kind in kinds}
    assert sum(map(len, lanes.values())) == len(named)
    results = rundeck.run(server, Lanes(*lanes.values()))
    return {name: results[step] for name, step in named.items()}


def test_stopping_a_node_s_task(ran: Mapping[str, Execution]) -> None:
    """Each change of status is printed, with the job as the reason. A task that has already stopped is no failure."""
    lines = ran["stop"].stdout
    assert ran["stop"].success, ran["stop"]
    assert lines[0].endswith("reason: Stopped by Rundeck: job ops/Restart web, execution 42, project demo, by admin")
    seen = [line.split()[-1] for line in lines[1:-1]]
    assert seen[0] == "DEACTIVATING"
    assert seen[-1] == "STOPPED"
    assert "has stopped: UserInitiated; Stopped by Rundeck" in lines[-1]
    assert lines[-1].endswith("container app: exit code 137; container log: exit code 137")
    assert ran["stop again"].success
    assert "has already stopped: UserInitiated" in ran["stop again"].stdout[0]


def test_stopping_a_task_by_form(ran: Mapping[str, Execution]) -> None:
    """With a reason of its own, and without waiting."""
    assert ran["stop form"].success, ran["stop form"]
    first, last = ran["stop form"].stdout
    assert first.endswith("reason: for it's $x")
    assert last.endswith("is DEACTIVATING and will stop")


def test_stopped_task_details(ran: Mapping[str, Execution], emulator: Emulator) -> None:
    """As text and as data for Rundeck's renderers, with data lines; and filters that fit nothing."""
    task = emulator.task("demo", "migration")
    lines = ran["show"].stdout
    assert ran["show"].success
    assert lines[1].split()[2:] == [task.id, "migration:1", "EssentialContainerExited", "1"]
    assert lines[3].split() == ["migrate", "OutOfMemoryError:", "Container", "killed", "due", "to", "memory", "usage"]
    assert lines[5].split()[:3] == ["to", "do", "raise"]
    data = dict(line.split(" = ") for line in lines if line.startswith("RUNDECK:DATA:"))
    assert data["RUNDECK:DATA:ecs-stopped-count"] == "1"
    assert data["RUNDECK:DATA:ecs-stopped-task"].endswith(task.id)
    assert [line for line in ran["show html"].stdout if line.startswith("RUNDECK:DATA:")] == []
    marks = [line for line in ran["show html"].stdout if line.startswith("#")]
    assert marks == ["#BEGIN:RUNDECK:DATATYPE:text/html", "#END:RUNDECK:DATATYPE"]
    assert ran["show none"].success
    assert ran["show none"].stdout[-1] == "RUNDECK:DATA:ecs-stopped-count = 0"


def test_running_a_command(ran: Mapping[str, Execution], emulator: Emulator) -> None:
    """It runs in a service's newest task with the command's exit status, or in all tasks with each line's task."""
    assert ran["run"].stdout == ["it's $x"]
    assert "result code was: 3" in str(ran["run"].steps[0].message)
    short = sorted(emulator.task("demo", "web", number).id[:8] for number in range(3))
    lines = ran["run everywhere"].stdout
    assert ran["run everywhere"].success, ran["run everywhere"]
    assert sorted(lines[4:-1]) == [f"{name}: 2" for name in short]
    assert lines[-1] == "all 3 succeeded"
    assert sorted(ran["run everywhere"].stderr) == [f"{name}: err" for name in short]


def test_an_aborted_job_leaves_nothing_behind(ran: Mapping[str, Execution], emulator: Emulator) -> None:
    """Rundeck's interrupt reaches every container."""
    assert not ran["run aborted"].success
    assert emulator.processes() == []


def test_logs(ran: Mapping[str, Execution], emulator: Emulator) -> None:
    """Of a service in the order of their time; of a node, with a filter. An abort ends the step."""
    first, second = (emulator.task("demo", "web", number).id[:8] for number in range(2))
    assert ran["logs"].success, ran["logs"]
    assert ran["logs"].stdout == [f"{first}: oldest", f"{second}: ERROR it's $x", f"{first}: newest"]
    assert ran["logs of node"].success, ran["logs of node"]
    task = emulator.task("demo", "web").id
    assert ran["logs of node"].stdout == [
        f"no log lines of task {task} in cluster demo that match the filter within the last 900 s"
    ]
    assert not ran["logs aborted"].success


def test_running_a_task(ran: Mapping[str, Execution], emulator: Emulator) -> None:
    """Its output, its exit code and its ARN; after an abort it stops, and ECS has the job as the reason."""
    found = [task for task in emulator.tasks() if task.group.family == "report"]
    assert ran["task"].success, ran["task"]
    lines = ran["task"].stdout
    assert "it's $x" in lines
    assert f"RUNDECK:DATA:ecs-task-arn = arn:aws:ecs:us-east-1:123456789012:task/demo/{found[0].id}" in lines
    assert "RUNDECK:DATA:ecs-exit-code = 0" in lines
    assert "[out-of-memory]" in str(ran["task killed"].stdout)
    for name, status in (("task fails", 1), ("task killed", 137)):
        assert f"result code was: {status}" in str(ran[name].steps[0].message), ran[name]
        assert ran[name].stderr == []
    assert not ran["task aborted"].success
    assert {task.last_status for task in found} == {"STOPPED"}
    reasons = [task.stopped_reason for task in found if task.stop_code == "UserInitiated"]
    whose = "job ops/Restart web, execution 42, project demo, by admin"
    assert reasons == [f"Timed out after 2 s: {whose}", f"Stopped by Rundeck: {whose}"]


def test_checking_exec(ran: Mapping[str, Execution]) -> None:
    """One line for each prerequisite, and success only where a command has run."""
    assert ran["check"].success, ran["check"]
    assert ran["check"].stdout[-1].startswith("ok             command           true ran in container nginx")
    assert not [line for line in ran["check"].stdout if line.startswith("failed")]
    assert [line.split()[1:3] for line in ran["check locked"].stdout if line.startswith("failed")] == [
        ["ECS", "Exec"],
        ["command", "the"],
    ]


@pytest.mark.parametrize(
    ("step", "status", "words"),
    [
        ("check locked", 125, ["--enable-execute-command"]),
        ("check gone", 125, ["f" * 32]),
        ("check service", 125, ["check user"]),
        ("run nowhere", 125, ["nowhere", "ClusterNotFoundException"]),
        ("run nobody", 125, ["family x", "no running task"]),
        ("run locked", 125, ["locked", "--enable-execute-command"]),
        ("run faulty", 125, ["command is empty", "set one of them"]),
        ("logs nowhere", 125, ["logConfiguration", "awslogs"]),
        ("logs faulty", 125, ["since is 'soon'", "set one of them"]),
        ("task never runs", 125, ["no such image", "never ran"]),
        ("task late", 124, ["timed out after 2 s", "to stop task"]),
        ("task nowhere", 125, ["nowhere", "ClusterNotFoundException"]),
        ("task faulty", 125, ["count is '11'", "environment, line 1"]),
        ("stop late", 124, ["still", "wait-timeout"]),
        ("stop blank", 125, ["task is empty"]),
        ("stop nowhere", 125, ["nowhere", "ClusterNotFoundException", "region"]),
        ("stop gone", 125, ["f" * 32, "(cluster demo, us-east-1)"]),
        ("stop refused", 125, ["ecs:StopTask", "grant"]),
        ("stop several", 125, ["3 running tasks", "ECS:Task-ARN"]),
        ("show nowhere", 125, ["nowhere", "ClusterNotFoundException"]),
        ("show nothing", 125, ["nothing", "ServiceNotFoundException"]),
        ("show refused", 125, ["ecs:ListTasks", "grant"]),
        ("show faulty", 125, ["since is 'soon'", "limit is 'x'"]),
    ],
)
def test_failures(ran: Mapping[str, Execution], step: str, status: int, words: list[str]) -> None:
    """Each has its status, and one line that says what failed, where, and what to do."""
    execution = ran[step]
    assert not execution.success
    outcome = execution.nodes[0] if execution.nodes else execution.steps[0]
    assert outcome.reason == "NonZeroResultCode", execution
    assert f"result code was: {status}" in str(outcome.message), execution
    (line,) = execution.stderr
    assert line.startswith("ecs-exec: ")
    assert [word for word in words if word not in line] == [], line
