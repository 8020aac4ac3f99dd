"""What the step Run Task requests, and what it makes of the end of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import botocore.session
import pytest
from botocore.validate import ParamValidator

from e2e.rundeck_launch import variables
from ecs_exec.ecs.api import Aws
from ecs_exec.errors import AwsError, SettingsError, TargetError, Where
from ecs_exec.settings.run_task import RunTask, read_run_task
from ecs_exec.signals import Interrupts
from ecs_exec.steps import log_streams, run_task, task_request
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.task_end import end_of
from ecs_exec.streams import OutputStreams

TASK = "arn:aws:ecs:eu-west-1:123456789012:task/prod/0123456789abcdef0123456789abcdef"
DEFINITION = {
    "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/report:7",
    "networkMode": "awsvpc",
    "containerDefinitions": [{"name": "app"}, {"name": "side", "essential": False}],
}
SERVICE = {
    "taskDefinition": "report:7",
    "launchType": "FARGATE",
    "platformVersion": "1.4.0",
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}},
    "tags": [{"key": "team", "value": "shop"}, {"key": "aws:cloudformation:stack-name", "value": "x"}],
}


def asked(environ: Mapping[str, str] | None = None, **config: str) -> RunTask:
    """Read the settings of a step."""
    given = {"cluster": "prod", "task-definition": "report", "region": "eu-west-1"}
    given |= {name.replace("_", "-"): value for name, value in config.items()}
    return read_run_task(variables("CONFIG", given) | dict(environ or {}))


# --- Settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("php artisan report --month=5", ("php", "artisan", "report", "--month=5")),
        ("sh -c 'a && b'", ("sh", "-c", "a && b")),
        ('["sh", "-c", "a  b"]', ("sh", "-c", "a  b")),
    ],
)
def test_commands(text: str, words: tuple[str, ...]) -> None:
    """Words as in a shell, or a list of JSON."""
    assert asked(command=text).overrides.command == words


def test_variables() -> None:
    """One a line; a value keeps its blanks and equals signs. Variables of Rundeck come with them, never secure ones."""
    environ = {"RD_OPTION_DAY": "5", "RD_OPTION_KEY": "k", "RD_SECUREOPTION_KEY": "k"}
    found = asked(environ, environment="A= x=y \r\n\r\nB=", env="RD_OPTION_*").overrides.environment
    assert found == {"A": " x=y ", "B": "", "RD_OPTION_DAY": "5"}


def test_no_fault_shows_a_value() -> None:
    """Commands and variables may hold secure options."""
    with pytest.raises(SettingsError) as caught:
        asked(environment="A=s3cret\ns3cret", command="echo 's3cret")
    assert "environment, line 2: expected NAME=value" in str(caught.value)
    assert "a quote is not closed" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(asked(environment="A=s3cret"))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"task_definition": ""}, "task-definition and like-service are both empty"),
        ({"count": "11"}, "count is '11'"),
        ({"launch_type": "EC2", "capacity_provider": "x"}, "keep one of them"),
        ({"security_groups": "sg-1"}, "set subnets"),
        ({"tags": "team"}, "expected key=value"),
        ({"tags": "aws:x=1"}, "expected key=value"),
        ({"subnets": "mine"}, "subnet-0a1b2c3d"),
        ({"command": "[x"}, "not a JSON list"),
        ({"command": "[" * 3000}, "not a JSON list"),
        ({"command": '["a\\u0000b"]'}, "contains a NUL character"),
        ({"command": '["\\ud800"]'}, "not Unicode text"),
        ({"environment": "A=1\nB=\udcff"}, "environment, line 2: the value is not UTF-8 text"),
        ({"like_service": "arn:aws:ecs:eu-west-1:123456789012:service/other/web"}, "names cluster other"),
    ],
)
def test_faults(config: Mapping[str, str], words: str) -> None:
    """Each is found before anything is called."""
    with pytest.raises(SettingsError, match=words):
        asked({}, **config)


# --- The request


def test_a_service_s_place() -> None:
    """Its network, launch type, platform and tags, except those of AWS; fields of the form come first."""
    made = task_request.request(asked(like_service="web"), DEFINITION, SERVICE, "app", "t" * 32)
    assert made["networkConfiguration"]["awsvpcConfiguration"] == {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}
    assert (made["launchType"], made["platformVersion"], made["count"]) == ("FARGATE", "1.4.0", 1)
    assert made["tags"] == [{"key": "team", "value": "shop"}]
    assert "overrides" not in made
    own = asked(like_service="web", capacity_provider="SPOT", subnets="subnet-2", assign_public_ip="true", cpu="512")
    made = task_request.request(own, DEFINITION, SERVICE, "app", "t" * 32)
    assert made["capacityProviderStrategy"] == [{"capacityProvider": "SPOT"}]
    assert "launchType" not in made
    network = made["networkConfiguration"]["awsvpcConfiguration"]
    assert (network["subnets"], network["assignPublicIp"]) == (["subnet-2"], "ENABLED")
    assert made["overrides"] == {"containerOverrides": [{"name": "app", "cpu": 512}]}


CONSTRAINT = {"type": "memberOf", "expression": "attribute:ecs.instance-type =~ c5.*"}
VOLUME = {"roleArn": "arn:aws:iam::123456789012:role/ecsInfrastructureRole", "sizeInGiB": 20}
ON_INSTANCES: dict[str, Any] = {
    **SERVICE,
    "launchType": "EC2",
    "placementConstraints": [CONSTRAINT, {"type": "distinctInstance"}],
    "placementStrategy": [{"type": "spread", "field": "attribute:ecs.availability-zone"}],
    "enableECSManagedTags": True,
    "propagateTags": "TASK_DEFINITION",
    "deployments": [
        {
            "status": "PRIMARY",
            "volumeConfigurations": [
                {
                    "name": "data",
                    "managedEBSVolume": {
                        **VOLUME,
                        "tagSpecifications": [{"resourceType": "volume", "propagateTags": "SERVICE"}],
                    },
                },
                {"name": "other", "managedEBSVolume": VOLUME},
            ],
        },
        {"status": "ACTIVE", "volumeConfigurations": [{"name": "data", "managedEBSVolume": {"roleArn": "old"}}]},
    ],
}
WITH_VOLUME = {**DEFINITION, "volumes": [{"name": "data", "configuredAtLaunch": True}, {"name": "other"}]}


def request(service: Mapping[str, Any], definition: Mapping[str, Any] = WITH_VOLUME, **config: str) -> dict[str, Any]:
    """Make a request like a service. It is one of botocore's model."""
    made = task_request.request(asked({}, like_service="web", **config), definition, service, "app", "t" * 32)
    shape = botocore.session.get_session().get_service_model("ecs").operation_model("RunTask").input_shape
    report = ParamValidator().validate(made, shape)
    assert not report.has_errors(), report.generate_report()
    return made


def test_a_service_s_placement_and_volumes() -> None:
    """The task gets what ecs:RunTask accepts: no SERVICE tags, and only volumes that the definition leaves open."""
    made = request(ON_INSTANCES)
    assert made["placementConstraints"] == [CONSTRAINT, {"type": "distinctInstance"}]
    assert made["placementStrategy"] == [{"type": "spread", "field": "attribute:ecs.availability-zone"}]
    (volume,) = made["volumeConfigurations"]
    assert volume == {"name": "data", "managedEBSVolume": {**VOLUME, "tagSpecifications": [{"resourceType": "volume"}]}}
    assert (made["enableECSManagedTags"], made["propagateTags"]) == (True, "TASK_DEFINITION")
    assert "propagateTags" not in request({**ON_INSTANCES, "propagateTags": "SERVICE"})
    assert "volumeConfigurations" not in request(ON_INSTANCES, DEFINITION)


@pytest.mark.parametrize(
    ("changed", "config"),
    [
        ({"launchType": "FARGATE"}, {}),
        ({"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}, {}),
        ({}, {"launch_type": "FARGATE"}),
        ({}, {"capacity_provider": "FARGATE"}),
    ],
)
def test_no_placement_on_fargate(changed: Mapping[str, Any], config: Mapping[str, str]) -> None:
    """ECS would refuse it there; the form may send a service's task to Fargate."""
    made = request({**ON_INSTANCES, **changed}, WITH_VOLUME, **config)
    assert "placementConstraints" not in made
    assert "placementStrategy" not in made
    assert "volumeConfigurations" in made


def test_too_many_constraints() -> None:
    """The line counts both places; nothing is called."""
    definition = {**WITH_VOLUME, "placementConstraints": [{"type": "memberOf", "expression": "x"}] * 9}
    with pytest.raises(
        SettingsError, match="the service has 2 placement constraints and task definition report:7 has 9"
    ):
        request(ON_INSTANCES, definition)


def test_a_network_is_needed() -> None:
    """ECS would refuse the task; the line names the setting."""
    with pytest.raises(SettingsError, match="set subnets, or like-service"):
        task_request.request(asked(), DEFINITION, {}, "app", "t")


def test_the_container_whose_exit_code_counts() -> None:
    """It is never guessed among several."""
    assert task_request.container_of(asked(), DEFINITION) == "app"
    assert task_request.container_of(asked(container="side"), DEFINITION) == "side"
    with pytest.raises(TargetError, match=r"app, side\).*\[container-not-chosen\]"):
        task_request.container_of(asked(), {**DEFINITION, "containerDefinitions": [{"name": "app"}, {"name": "side"}]})
    with pytest.raises(TargetError, match=r"it has app, side.*\[container-not-defined\]"):
        task_request.container_of(asked(container="x"), DEFINITION)


# --- Logs


def test_where_the_output_is() -> None:
    """Streams of awslogs, with a prefix or with the ID of the container on EC2; other drivers are named."""
    options = {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}
    definition = {
        "containerDefinitions": [
            {"name": "app", "logConfiguration": {"logDriver": "awslogs", "options": options}},
            {"name": "old", "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g"}}},
            {"name": "fire", "logConfiguration": {"logDriver": "awsfirelens"}},
            {"name": "none"},
        ]
    }
    task = {"taskArn": TASK, "containers": [{"name": "old"}]}
    assert log_streams.shown(definition) == ["app", "old"]
    assert [one.container for one in log_streams.hidden(definition)] == ["fire", "none"]
    stream = log_streams.stream_of(task, definition, "app")
    assert stream == log_streams.LogStream("us-east-1", "g", "p/app/0123456789abcdef0123456789abcdef")
    assert log_streams.stream_of(task, definition, "old") is None
    begun = {"taskArn": TASK, "containers": [{"name": "old", "runtimeId": "f" * 64}]}
    assert log_streams.stream_of(begun, definition, "old") == log_streams.LogStream("", "g", "f" * 64)


# --- The end


@pytest.mark.parametrize(
    ("code", "stop_code", "status", "cause"),
    [
        (0, "EssentialContainerExited", 0, ""),
        (3, "EssentialContainerExited", 3, ""),
        (137, "UserInitiated", 137, ""),
        (0, "UserInitiated", 125, "task-stopped-early"),
        (0, "SpotInterruption", 125, "task-stopped-early"),
        (0, "", 125, "task-stopped-early"),
        (256, "EssentialContainerExited", 125, "exit-code-out-of-range"),
        (-1073741510, "EssentialContainerExited", 125, "exit-code-out-of-range"),
        (None, "TaskFailedToStart", 125, "container-without-exit-code"),
        (None, "EssentialContainerExited", 125, "container-without-exit-code"),
    ],
)
def test_the_end_of_a_task(code: int | None, stop_code: str, status: int, cause: str) -> None:
    """Only a container that ended by itself, with 0, is a success."""
    container = {"name": "app"} if code is None else {"name": "app", "exitCode": code}
    task = {"taskArn": TASK, "stopCode": stop_code, "containers": [container, {"name": "side", "exitCode": 0}]}
    end = end_of(task, "app", Where("prod"))
    assert (end.status, end.fault.name if end.fault else "") == (status, cause)


# --- The calls


class Far:
    """AWS's API, which answers as it is told."""

    region = "eu-west-1"

    def __init__(self, **answers: Any) -> None:  # noqa: ANN401 - answers, or errors to raise
        """Take an answer or an error by action."""
        self.answers = answers
        self.calls: list[tuple[str, Mapping[str, Any]]] = []

    def describe_task_definition(self, _name: str) -> Mapping[str, Any]:
        """Give the definition."""
        return {**DEFINITION, "networkMode": "bridge"}

    def describe_tasks(self, _cluster: str, arns: list[str]) -> tuple[list[Mapping[str, Any]], list[Any]]:
        """Give tasks that this step started, and the foreign ones."""
        starter = next(p["startedBy"] for action, p in self.calls if action == "RunTask")
        return [{"taskArn": arn, "startedBy": "ann" if "foreign" in arn else starter} for arn in arns], []

    def call(self, _service: str, action: str, _where: str, **parameters: object) -> Mapping[str, Any]:
        """Give the answer of an action."""
        self.calls.append((action, parameters))
        answer = self.answers[action]
        if isinstance(answer, BaseException):
            raise answer
        return cast("Mapping[str, Any]", answer)


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        self.now += 5
        return self.now


def step(far: Far, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the step against answers; give its exit status and what it says on stderr."""
    with Interrupts() as interrupts:
        streams = OutputStreams(interrupts)
        caller = Caller(cast("Aws", far), interrupts, streams, Clock())
        caller.pause = lambda _seconds: None  # type: ignore[method-assign, assignment]
        status = run_task.run(asked({"RD_JOB_EXECID": "42"}), caller, interrupts, streams)
    return status, capfd.readouterr().err


def test_a_refusal_is_not_repeated(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing was started."""
    far = Far(RunTask=AwsError(name="denied-not-allowed", action="ecs:RunTask"))
    with pytest.raises(AwsError, match="grant ecs:RunTask"):
        step(far, capfd)
    assert [action for action, _ in far.calls] == ["RunTask"]


@pytest.mark.parametrize("error", [AwsError(name="aws-unreachable", transient=True), AwsError(name="not-aws")])
def test_no_answer_at_all(error: AwsError, capfd: pytest.CaptureFixture[str]) -> None:
    """Each request has the same token. At last the line says that it is not known, and how to find a task."""
    far = Far(RunTask=error)
    with pytest.raises(AwsError, match="not known whether ECS started a task: look for tasks that rundeck/42/"):
        step(far, capfd)
    tokens = {parameters["clientToken"] for _, parameters in far.calls}
    assert len(far.calls) > 2
    assert len(tokens) == 1


THROTTLED = AwsError(name="too-many-calls", code="ThrottlingException", transient=True)
LOST = AwsError(name="aws-unreachable", transient=True)
DENIED = AwsError(name="denied-not-allowed", action="ecs:RunTask", code="AccessDeniedException")


@pytest.mark.parametrize(
    ("answers", "unknown"),
    [([THROTTLED], False), ([LOST], True), ([THROTTLED, LOST, THROTTLED], True), ([LOST, DENIED], True)],
)
def test_what_is_known_after_failures(
    answers: list[AwsError],
    unknown: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A throttled request started nothing. After a lost answer a task may run, whatever the last answer says."""
    last, given = answers[-1], iter(answers)
    far = Far()
    far.call = lambda *_, **__: (_ for _ in ()).throw(next(given, last))  # type: ignore[method-assign]
    for error in answers:
        error.effect = ""
    with pytest.raises(AwsError) as caught:
        step(far, capfd)
    assert ("not known whether ECS started a task" in str(caught.value)) == unknown


def test_a_definition_that_was_deregistered(capfd: pytest.CaptureFixture[str]) -> None:
    """ECS would refuse it; nothing is started."""
    far = Far()
    far.describe_task_definition = lambda _: {**DEFINITION, "status": "INACTIVE"}  # type: ignore[method-assign, assignment]
    with pytest.raises(TargetError, match=r"report:7 is INACTIVE.*\[task-definition-inactive\]"):
        step(far, capfd)
    assert far.calls == []


def test_an_abort_before_the_answer(capfd: pytest.CaptureFixture[str]) -> None:
    """Tasks that the request may have started are looked for, and stopped; never those of others."""
    from ecs_exec.signals import Aborted

    far = Far(
        RunTask=Aborted(), ListTasks={"taskArns": [f"{TASK}-foreign", TASK]}, StopTask={"task": {"taskArn": TASK}}
    )
    status, said = step(far, capfd)
    assert status == 143
    assert [action for action, _ in far.calls] == ["RunTask", "ListTasks", "StopTask"]
    assert far.calls[1][1]["startedBy"] == far.calls[0][1]["startedBy"]
    assert "ECS received the request to stop task 0123456789abcdef0123456789abcdef" in said
    nothing = Far(RunTask=Aborted(), ListTasks={"taskArns": []})
    status, said = step(nothing, capfd)
    assert (status, "it is not known whether ECS started a task" in said) == (143, True)


def test_one_of_two_tasks_is_not_stopped(capfd: pytest.CaptureFixture[str]) -> None:
    """The line names this one alone: the other one is being stopped."""
    from ecs_exec.signals import Aborted

    other = f"{TASK[:-1]}0"
    far = Far(RunTask=Aborted(), ListTasks={"taskArns": [TASK, other]})
    answer = far.call

    def call(service: str, action: str, where: str, **parameters: object) -> Mapping[str, Any]:
        far.answers["StopTask"] = DENIED if parameters.get("task") == other else {"task": {"taskArn": TASK}}
        return answer(service, action, where, **parameters)

    far.call = call  # type: ignore[method-assign, assignment]
    status, said = step(far, capfd)
    assert (status, said.count("\n")) == (143, 1)
    assert f"not stopped: task {other.rpartition('/')[2]}: " in said


def test_a_task_that_cannot_be_described(capfd: pytest.CaptureFixture[str]) -> None:
    """The line says that it was not stopped."""
    far = Far(RunTask={"tasks": [{"taskArn": TASK}], "failures": []})
    far.describe_tasks = lambda *_: (_ for _ in ()).throw(AwsError(name="credentials-expired"))  # type: ignore[method-assign]
    with pytest.raises(AwsError, match="not stopped: task 0123456789abcdef0123456789abcdef"):
        step(far, capfd)
