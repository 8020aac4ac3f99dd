"""What the steps' forms make of their fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from e2e.rundeck_launch import variables
from ecs_exec.errors import SettingsError
from ecs_exec.settings import steps
from ecs_exec.settings.logs import read_logs
from ecs_exec.settings.run_task import read_run_task
from ecs_exec.settings.script import read_script
from ecs_exec.settings.target import Wanted

ECS = "arn:aws:ecs:eu-west-1:123456789012"
TASK = "0123456789abcdef0123456789abcdef"
ARN = f"arn:aws:ecs:eu-west-1:123456789012:task/prod/{TASK}"
NODE = {"name": "n", "ECS:Task-ARN": ARN, "assume-role-arn": "arn:aws:iam::123456789012:role/x"}


def test_a_node_s_task() -> None:
    """The node step takes it from the attributes, with the role and the region."""
    asked = steps.read_stop_task(variables("NODE", NODE))
    assert asked.wanted == Wanted("prod", ARN)
    assert (asked.access.region, asked.access.assume_role_arn) == ("eu-west-1", NODE["assume-role-arn"])


def test_the_node_s_role_comes_first() -> None:
    """A node names the role that reaches its account, whatever the form says."""
    node = {"RD_NODE_NAME": "web", "RD_NODE_ECS_TASK": "0123456789abcdef0123456789abcdef"}
    roles = [f"arn:aws:iam::123456789012:role/{name}" for name in ("node", "form")]
    form = {"RD_CONFIG_ASSUME_ROLE_ARN": roles[1]}
    assert steps.read_stop_task(node | form).access.assume_role_arn == roles[1]
    both = node | form | {"RD_NODE_ASSUME_ROLE_ARN": roles[0]}
    assert steps.read_stop_task(both).access.assume_role_arn == roles[0]


def test_a_form_s_task() -> None:
    """The workflow step takes it only from its fields. The ARN gives cluster and region."""
    environ = variables("NODE", NODE | {"ECS:Task-ARN": ARN.replace("0", "1")}) | variables("CONFIG", {"task": ARN})
    asked = steps.read_stop_task(environ)
    assert asked.wanted == Wanted("prod", ARN)
    assert (asked.access.region, asked.access.assume_role_arn) == ("eu-west-1", "")


def test_a_service_s_arn() -> None:
    """The ARN gives cluster and region, too. The old form of ARN contains no cluster."""
    service = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web"
    asked = steps.read_stopped_tasks(variables("CONFIG", {"service": service}))
    assert (asked.wanted.cluster, asked.access.region) == ("prod", "eu-west-1")
    old = steps.read_stopped_tasks(variables("CONFIG", {"service": service.replace("prod/", ""), "cluster": "c"}))
    assert old.wanted.cluster == "c"


def test_an_empty_field_is_no_node() -> None:
    """A reference that Rundeck found no value for must not stop the task of some node."""
    with pytest.raises(SettingsError, match="task is empty"):
        steps.read_stop_task(variables("NODE", NODE) | {"RD_CONFIG_TASK": ""})


@pytest.mark.parametrize(
    ("read", "config", "words"),
    [
        (steps.read_scale, {"service": "c/web", "desired-count": "4.0"}, "service is 'c/web'"),
        (steps.read_stop_task, {"task": "a b"}, "task is 'a b'"),
        (steps.read_run_command, {"command": "id", "family": "web:1"}, "family is 'web:1'"),
        (steps.read_redeploy, {"service": "web", "container": "app", "image": "a b"}, "image is 'a b'"),
        (steps.read_scale, {"service": "web", "desired-count": "1", "access-key-id": "A B"}, "access-key-id is 'A B'"),
        (read_logs, {"task": "web/1"}, "task is 'web/1'"),
        (read_run_task, {"task-definition": "web:latest"}, "task-definition is 'web:latest'"),
        (read_script, {"script-file": "not/absolute"}, "script-file is 'not/absolute'"),
    ],
)
def test_a_wrong_value_is_not_missing(
    read: Callable[[Mapping[str, str]], object], config: Mapping[str, str], words: str
) -> None:
    """The fault is the value. A further line that the field is empty, or not set, would be untrue."""
    with pytest.raises(SettingsError, match=words) as caught:
        read(variables("CONFIG", config))
    assert not re.search("empty|set one of them|is not: set|neither", str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("read", "config", "kinds"),
    [
        (steps.read_scale, {"desired-count": "1"}, ("service", "cluster")),
        (read_run_task, {"task-definition": f"{ECS}:task-definition/web:1"}, ("task-definition", "cluster")),
    ],
)
def test_arns_of_two_regions(
    read: Callable[[Mapping[str, str]], object], config: Mapping[str, str], kinds: tuple[str, str]
) -> None:
    """No call can reach both. One region of an ARN would be ignored without a word."""
    arns = {"cluster": "arn:aws:ecs:us-west-2:123456789012:cluster/c"}
    arns |= {"service": f"{ECS}:service/c/web"} if "service" in kinds else {}
    with pytest.raises(SettingsError) as caught:
        read(variables("CONFIG", {**config, **arns}))
    assert f"the {kinds[0]}'s ARN is in region eu-west-1, but the {kinds[1]}'s ARN is in region us-west-2" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (
            {"name": "Restart", "group": "ops/web", "execid": "7", "username": "ann", "project": "shop"},
            "Stopped by Rundeck: job ops/web/Restart, execution 7, project shop, by ann",
        ),
        ({"execid": "7", "username": "ann"}, "Stopped by Rundeck: execution 7, by ann"),
        ({}, "Stopped by Rundeck"),
        ({"name": "x" * 400}, f"Stopped by Rundeck: job {'x' * (255 - 25)}…"),
    ],
)
def test_the_reason(job: Mapping[str, str], reason: str) -> None:
    """Without one of its own it names job, execution and user, and is no longer than ECS takes."""
    asked = steps.read_stop_task(variables("JOB", job) | variables("CONFIG", {"task": TASK}))
    assert asked.reason == reason
    assert len(asked.reason) <= steps.MAX_REASON


def test_a_reason_of_its_own() -> None:
    """The reason is put on one line."""
    asked = steps.read_stop_task(variables("CONFIG", {"task": TASK, "reason": " a\n b "}))
    assert asked.reason == "a b"


@pytest.mark.parametrize(("text", "seconds"), [("", 0), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400)])
def test_a_time_window(text: str, seconds: int) -> None:
    """The duration is a number and a unit."""
    assert steps.read_stopped_tasks(variables("CONFIG", {"since": text})).since == seconds


RUN: Mapping[str, str] = {"command": "true", "cluster": "c"}


@pytest.mark.parametrize(
    ("read", "config", "words"),
    [
        (
            steps.read_stop_task,
            {"task": "a b", "wait": "x", "wait-timeout": "-1"},
            ["task is", "wait is", "wait-timeout is"],
        ),
        (steps.read_stop_task, {"task": ARN, "cluster": "other"}, ["cluster prod", "cluster names other"]),
        (
            steps.read_stopped_tasks,
            {"since": "15", "format": "xml", "limit": "-1"},
            ["since is", "format is", "limit is"],
        ),
        (
            steps.read_stopped_tasks,
            {"secret-access-key": "hush hush", "access-key-id": "A"},
            ["secret-access-key is not usable"],
        ),
        (steps.read_run_command, {**RUN, "command": "\n"}, ["command is empty"]),
        (steps.read_run_command, RUN, ["task, service and family are all empty"]),
        (steps.read_run_command, {**RUN, "task": TASK, "service": "web"}, ["task and service are set"]),
        (steps.read_run_command, {**RUN, "task": TASK, "all-tasks": "true"}, ["all-tasks", "service or family"]),
        (steps.read_run_command, {**RUN, "service": "web", "parallel": "0"}, ["parallel is '0'", "from 1 to 100"]),
        (steps.read_run_command, {**RUN, "service": "web", "timeout": "x"}, ["timeout is 'x'"]),
        (steps.read_redeploy, {"cluster": "c"}, ["service is empty"]),
        (
            steps.read_redeploy,
            {"service": "web", "image": "a:1", "tag": "2", "desired-count": "0", "on-abort": "x", "wait-timeout": "x"},
            ["image and tag are set", "desired-count is '0'", "on-abort is 'x'", "wait-timeout is 'x'"],
        ),
        (
            steps.read_redeploy,
            {"service": "web", "container": "app", "task-definition": "web:x"},
            ["neither image nor tag", "task-definition is 'web:x'"],
        ),
        (steps.read_scale, {"cluster": "c"}, ["service is empty", "desired-count is empty"]),
        (steps.read_scale, {"service": "web", "desired-count": "two"}, ["desired-count is 'two'", "like 4, +2 or -1"]),
        (steps.read_redeploy, {"service": "web", "tag": "a/b"}, ["tag is 'a/b'"]),
        (steps.read_check_exec_of_node, {"connect-timeout": "0"}, ["names no task", "connect-timeout is '0'"]),
        (steps.read_check_exec, {"parallel": "0"}, ["task, service and family are all empty", "parallel is '0'"]),
        (steps.read_check_exec, {"task": "a" * 32, "service": "web"}, ["task and service are set"]),
    ],
)
def test_faults(read: Callable[[Mapping[str, str]], object], config: Mapping[str, str], words: list[str]) -> None:
    """One error names all faults, and shows no secret."""
    with pytest.raises(SettingsError) as caught:
        read(variables("CONFIG", config))
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_redeployment() -> None:
    """Everything is optional except the service, whose ARN gives cluster and region."""
    service = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web"
    asked = steps.read_redeploy(variables("CONFIG", {"service": service}))
    assert (asked.wanted.cluster, asked.access.region) == ("prod", "eu-west-1")
    assert (asked.desired_count, asked.on_abort, asked.wait_timeout) == (None, "leave", 1800)
    digest = f"sha256:{'0' * 64}"
    config = {"service": "web", "tag": digest, "container": "app", "desired-count": "3"}
    more = steps.read_redeploy(variables("CONFIG", config))
    assert (more.tag, more.wanted.container, more.desired_count) == (digest, "app", 3)


@pytest.mark.parametrize(
    ("text", "number", "relative"), [("4", 4, False), ("0", 0, False), ("+2", 2, True), ("-1", -1, True)]
)
def test_a_number_of_tasks(text: str, number: int, relative: bool) -> None:
    """A sign makes it a change."""
    asked = steps.read_scale(variables("CONFIG", {"service": "web", "desired-count": text}))
    assert (asked.number, asked.relative) == (number, relative)


def test_a_command_is_taken_as_it_is() -> None:
    """With its lines and spaces."""
    command = "  cat <<E\n x\nE\n"
    assert (
        steps.read_run_command(variables("CONFIG", {**RUN, "family": "f", "command": command})).execution.command
        == command
    )
