"""The checks of ECS Exec: what each fact makes of its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ecs_exec.steps.checks import checks
from ecs_exec.steps.facts import Decisions, Facts, Unavailable, principal

ACCOUNT = "123456789012"
TASK_ARN = f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/demo/0123456789abcdef0123456789abcdef"
SECRET = Unavailable("", "it fell over")


def facts() -> Facts:
    """Give the facts of a container in which all is well."""
    return Facts(
        region="us-east-1",
        cluster="demo",
        identity=f"arn:aws:iam::{ACCOUNT}:user/rundeck",
        task={
            "taskArn": TASK_ARN,
            "lastStatus": "RUNNING",
            "launchType": "FARGATE",
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "enableExecuteCommand": True,
            "containers": [
                {"name": name, "managedAgents": [{"name": "ExecuteCommandAgent", "lastStatus": "RUNNING"}]}
                for name in ("app", "log")
            ],
        },
        container="app",
        definition={
            "family": "web",
            "revision": 7,
            "taskRoleArn": f"arn:aws:iam::{ACCOUNT}:role/web",
            "containerDefinitions": [
                {"name": "app", "linuxParameters": {"initProcessEnabled": True}, "environment": []},
                {"name": "log", "readonlyRootFilesystem": True},
            ],
        },
        caller=Decisions("me", ("ssm:StartSession",), ("ecs:ExecuteCommand", "ssm:ResumeSession"), ()),
        role=Decisions("role/web", (), ("ssmmessages:OpenDataChannel",), ()),
        endpoints=[],
    )


def task(**changes: Any) -> Callable[[Facts], Facts]:  # noqa: ANN401
    """Change the task."""
    return lambda given: replace(given, task={**given.task, **changes})  # type: ignore[dict-item]


def definition(*, of_app: dict[str, Any] | None = None, **changes: Any) -> Callable[[Facts], Facts]:  # noqa: ANN401
    """Change the task definition, and the container's in it."""

    def change(given: Facts) -> Facts:
        assert not isinstance(given.definition, Unavailable)
        app, log = given.definition["containerDefinitions"]
        changed = {**given.definition, "containerDefinitions": [{**app, **(of_app or {})}, log], **changes}
        return replace(given, definition=changed)

    return change


def fact(**changes: Any) -> Callable[[Facts], Facts]:  # noqa: ANN401
    """Change a fact."""
    return lambda given: replace(given, **changes)


def agent(**changes: str) -> Callable[[Facts], Facts]:
    """Change the exec agent of the container."""
    return task(containers=[{"name": "app", "managedAgents": [{"name": "ExecuteCommandAgent", **changes}]}])


def both(*changes: Callable[[Facts], Facts]) -> Callable[[Facts], Facts]:
    """Make several changes."""

    def change(given: Facts) -> Facts:
        for each in changes:
            given = each(given)
        return given

    return change


def endpoint(**changes: Any) -> Callable[[Facts], Facts]:  # noqa: ANN401
    """Give the VPC an endpoint for SSM's messages."""
    known = {"ServiceName": "com.amazonaws.us-east-1.ssmmessages", "State": "available", "VpcEndpointId": "vpce-1"}
    return fact(endpoints=[{**known, "PrivateDnsEnabled": True, **changes}])


def test_all_is_well() -> None:
    """Then every line is ok."""
    assert {check.state for check in checks(facts())} == {"ok"}


CASES: list[tuple[Callable[[Facts], Facts], str, str, str]] = [
    (fact(identity=SECRET), "credentials", "failed", "it fell over"),
    (fact(task=Unavailable("ecs:DescribeTasks", "no")), "task", "not checkable", "grant ecs:DescribeTasks"),
    (fact(task=SECRET), "task", "failed", "it fell over"),
    (task(lastStatus="PENDING"), "task", "failed", "PENDING"),
    (task(lastStatus="STOPPED", stopCode="UserInitiated"), "task", "failed", "UserInitiated"),
    (task(platformVersion="1.3.0"), "platform", "failed", "1.4.0"),
    (task(platformVersion="1.0.0", platformFamily="WINDOWS_SERVER_2019_CORE"), "platform", "ok", "1.0.0"),
    (fact(instance={"versionInfo": {"agentVersion": "1.49.0"}}), "platform", "failed", "1.50.2"),
    (fact(instance={"versionInfo": {"agentVersion": "1.102.0"}}), "platform", "ok", "1.102.0"),
    (fact(instance={"agentConnected": False}), "platform", "failed", "not connected"),
    (
        fact(instance=Unavailable("ecs:DescribeContainerInstances", "")),
        "platform",
        "not checkable",
        "grant ecs:Describe",
    ),
    (task(enableExecuteCommand=False), "ECS Exec", "failed", "--enable-execute-command"),
    (agent(lastStatus="PENDING"), "exec agent", "failed", "still starting"),
    (agent(lastStatus="STOPPED", reason="broken pipe"), "exec agent", "failed", "broken pipe"),
    (task(containers=[{"name": "app"}]), "exec agent", "failed", "start a new task"),
    (fact(container="nobody"), "container", "failed", "it has app, log"),
    (fact(container=""), "container", "failed", "app, log"),
    (fact(definition=Unavailable("ecs:DescribeTaskDefinition", "")), "task definition", "not checkable", "grant"),
    (definition(of_app={"readonlyRootFilesystem": True}), "read-only root", "failed", "/managed-agents"),
    (definition(of_app={"linuxParameters": {}}), "init process", "warning", "initProcessEnabled in web:7"),
    (definition(of_app={"environment": [{"name": "AWS_ACCESS_KEY_ID"}]}), "AWS keys", "warning", "AWS_ACCESS_KEY_ID"),
    (definition(pidMode="task"), "PID namespace", "warning", "remove pidMode"),
    (
        fact(settings=Unavailable("ecs:DescribeClusters", "")),
        "session logs",
        "not checkable",
        "grant ecs:DescribeClusters",
    ),
    (fact(settings=SECRET), "cluster", "failed", "it fell over"),
    (fact(settings={"kmsKeyId": "key-1"}), "encryption", "ok", "key-1"),
    (fact(settings={"kmsKeyId": "alias/exec"}), "your permissions", "not checkable", "use the key's id or ARN"),
    (fact(settings={"logging": "NONE"}), "session logs", "ok", "none"),
    (
        fact(settings={"logging": "OVERRIDE", "logConfiguration": {"s3BucketName": "audit"}}),
        "session logs",
        "ok",
        "S3 bucket audit; the image must have script",
    ),
    (fact(settings={"logging": "OVERRIDE"}), "session logs", "warning", "nowhere"),
    (
        fact(caller=Unavailable("iam:SimulatePrincipalPolicy", "")),
        "your permissions",
        "not checkable",
        "grant iam:Simulate",
    ),
    (
        fact(caller=Decisions("me", ("ecs:ExecuteCommand",), (), ("aws:ResourceTag/team",))),
        "your permissions",
        "warning",
        "me lacks ecs:ExecuteCommand: grant it (policies depend on aws:ResourceTag/team",
    ),
    (
        fact(caller=Decisions("me", ("ssm:TerminateSession",), (), ())),
        "your permissions",
        "warning",
        "cannot end a session",
    ),
    (fact(caller=Decisions("me", (), ("ssm:StartSession",), ())), "your permissions", "warning", "deny it"),
    (definition(taskRoleArn=""), "task role", "failed", "ssmmessages:CreateControlChannel"),
    (both(task(launchType="EC2"), definition(taskRoleArn="")), "task role", "warning", "instance's role"),
    (
        both(task(launchType="MANAGED_INSTANCES"), definition(taskRoleArn="")),
        "task role",
        "failed",
        "has no task role: give it a task role with ssmmessages",
    ),
    (
        both(task(launchType="MANAGED_INSTANCES", platformVersion=None), fact(instance={"ec2InstanceId": "i-1"})),
        "platform",
        "ok",
        "MANAGED_INSTANCES Linux, EC2 instance i-1",
    ),
    (
        definition(of_app={"secrets": [{"name": "AWS_ACCESS_KEY_ID", "valueFrom": "x"}]}),
        "AWS keys",
        "warning",
        "AWS_ACCESS_KEY_ID",
    ),
    (
        task(overrides={"containerOverrides": [{"name": "app", "environment": [{"name": "AWS_SECRET_ACCESS_KEY"}]}]}),
        "AWS keys",
        "warning",
        "AWS_SECRET_ACCESS_KEY",
    ),
    (fact(role=Decisions("r", ("ssmmessages:OpenDataChannel",), (), ())), "task role", "warning", "OpenDataChannel"),
    (
        fact(caller=Decisions("me", ("ssmmessages:OpenDataChannel",), (), ())),
        "your permissions",
        "warning",
        "me lacks ssmmessages:OpenDataChannel on the session: without it AWS may refuse the data channel",
    ),
    (fact(role=Unavailable("iam:SimulatePrincipalPolicy", "")), "task role", "not checkable", "grant iam:Simulate"),
    (fact(endpoints=None), "route to SSM", "not checkable", "instance's network"),
    (
        fact(endpoints=Unavailable("ec2:DescribeVpcEndpoints", "")),
        "route to SSM",
        "not checkable",
        "grant ec2:Describe",
    ),
    (endpoint(), "route to SSM", "ok", "vpce-1"),
    (endpoint(ServiceName="com.amazonaws.us-east-1.ecr.dkr"), "route to SSM", "warning", "none for"),
    (endpoint(State="pending"), "route to SSM", "warning", "pending"),
    (endpoint(PrivateDnsEnabled=False), "route to SSM", "warning", "private DNS"),
]


@pytest.mark.parametrize(
    ("change", "what", "state", "words"), CASES, ids=[f"{what}-{state}-{words}" for _, what, state, words in CASES]
)
def test_what_is_wrong(change: Callable[[Facts], Facts], what: str, state: str, words: str) -> None:
    """A changed fact shows in its line, with the cure or with the permission that would show the fact."""
    found = [(check.state, check.text) for check in checks(change(facts())) if check.what == what]
    assert [text for told, text in found if told == state and words in text], found


@pytest.mark.parametrize(
    ("identity", "source"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/ops/rundeck", f"arn:aws:iam::{ACCOUNT}:user/ops/rundeck"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/rundeck/i-0123", f"arn:aws:iam::{ACCOUNT}:role/rundeck"),
        (f"arn:aws-cn:sts::{ACCOUNT}:assumed-role/r/s", f"arn:aws-cn:iam::{ACCOUNT}:role/r"),
        (f"arn:aws:iam::{ACCOUNT}:root", ""),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/x", ""),
    ],
)
def test_whose_policies(identity: str, source: str) -> None:
    """A role's session is asked about as its role; root and federated users have no policies to ask about."""
    assert principal(identity) == source
