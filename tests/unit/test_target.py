"""The task and the container that a node means, and the number of calls to find them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ecs_exec.ecs.locate import locate, with_runtime_id
from ecs_exec.ecs.target import Target, choose_task
from ecs_exec.errors import AwsError, TargetError
from ecs_exec.settings import Wanted


def container(name: str, agent: str = "RUNNING") -> dict[str, Any]:
    """Describe a container."""
    agents = [{"name": "ExecuteCommandAgent", "lastStatus": agent}] if agent else []
    return {"name": name, "runtimeId": f"run-{name}", "managedAgents": agents, "lastStatus": "RUNNING"}


def task(number: int, *containers: dict[str, Any], started: int = 0, **more: object) -> dict[str, Any]:
    """Describe a task."""
    return {
        "taskArn": f"arn:aws:ecs:us-east-1:123456789012:task/demo/{number:032x}",
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/api:3",
        "lastStatus": "RUNNING",
        "enableExecuteCommand": True,
        "startedAt": datetime.fromtimestamp(started, timezone.utc),
        "containers": list(containers) or [container("app")],
        **more,
    }


class Calls:
    """Answers from a list of tasks, and remembers what was asked."""

    def __init__(self, *tasks: dict[str, Any], essential: tuple[str, ...] = (), allowed: bool = True) -> None:
        """Take what there is."""
        self.tasks = {item["taskArn"]: item for item in tasks}
        self.essential = essential
        self.allowed = allowed
        self.made: list[str] = []

    def describe_tasks(self, cluster: str, tasks: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Describe those asked for."""
        self.made.append(f"DescribeTasks {cluster}")
        return [self.tasks[name] for name in tasks if name in self.tasks], []

    def list_running_tasks(self, cluster: str, *, service: str = "", family: str = "") -> list[str]:
        """List all."""
        self.made.append(f"ListTasks {cluster} {service}{family}")
        return list(self.tasks)

    def describe_task_definition(self, arn: str) -> dict[str, Any]:
        """Describe which containers are essential."""
        self.made.append(f"DescribeTaskDefinition {arn.rpartition('/')[2]}")
        if not self.allowed:
            raise AwsError("no", code="AccessDeniedException")
        names = {item["name"] for found in self.tasks.values() for item in found["containers"]}
        return {"containerDefinitions": [{"name": name, "essential": name in self.essential} for name in names]}


def arn(number: int) -> str:
    """Name a task."""
    return str(task(number)["taskArn"])


def test_a_full_node_takes_no_call() -> None:
    """The node's own values are used unchanged."""
    calls = Calls()
    wanted = Wanted("demo", arn(1), container="app", runtime_id="r")
    assert locate(wanted, calls) == Target("demo", arn(1), "app", "r")
    assert with_runtime_id(Target("demo", arn(1), "app", "r"), calls).ssm_name == f"ecs:demo_{1:032x}_r"
    assert calls.made == []


def test_the_only_container() -> None:
    """One call finds it, and the runtime id with it."""
    calls = Calls(task(1))
    assert locate(Wanted("demo", arn(1)), calls) == Target("demo", arn(1), "app", "run-app")
    assert calls.made == ["DescribeTasks demo"]


def test_the_only_essential_container() -> None:
    """A sidecar does not make it necessary to say which."""
    calls = Calls(task(1, container("app"), container("logs")), essential=("app",))
    assert locate(Wanted("demo", arn(1)), calls).container == "app"
    assert calls.made == ["DescribeTasks demo", "DescribeTaskDefinition api:3"]


@pytest.mark.parametrize("allowed", [True, False])
def test_several_containers_are_listed(allowed: bool) -> None:
    """The choice is the operator's, with or without the permission to look further."""
    calls = Calls(task(1, container("b"), container("a")), essential=("a", "b"), allowed=allowed)
    with pytest.raises(TargetError, match=r"a, b.*ECS:Container-Name"):
        locate(Wanted("demo", arn(1)), calls)


def test_a_wrong_container_is_told_with_the_right_ones() -> None:
    """The names that would have worked."""
    calls = Calls(task(1, container("app"), container("logs")))
    with pytest.raises(TargetError, match="no container web: it has app, logs"):
        with_runtime_id(Target("demo", arn(1), "web"), calls)
    with pytest.raises(TargetError, match="none of its tasks has a container web: they have app, logs"):
        locate(Wanted("demo", service="svc", container="web"), calls)


def test_a_task_that_is_gone() -> None:
    """The usual reason is a deployment."""
    with pytest.raises(TargetError, match=r"no task 0{31}9 .*cluster demo.*replaced"):
        locate(Wanted("demo", arn(9)), Calls())


def test_a_service_is_its_newest_ready_task() -> None:
    """Not one whose agent does not run, nor one that is stopping."""
    tasks = [
        task(1, started=100),
        task(2, started=300),
        task(3, container("app", "PENDING"), started=500),
        task(4, started=400, lastStatus="DEACTIVATING"),
        task(5, container("app", ""), started=600),
    ]
    for order in (tasks, tasks[::-1]):
        calls = Calls(*order)
        assert locate(Wanted("demo", service="web"), calls) == Target("demo", arn(2), "app", "run-app")
        assert calls.made == ["ListTasks demo web", "DescribeTasks demo"]


def test_of_tasks_of_one_age_always_the_same_is_chosen() -> None:
    """Whatever order the API lists them in."""
    tasks = [task(number, started=5) for number in (3, 1, 2)]
    assert {str(choose_task(order, "", "x")["taskArn"]) for order in (tasks, tasks[::-1])} == {arn(1)}


def test_the_agent_of_the_container_that_is_meant_counts() -> None:
    """A sidecar's agent is no help."""
    tasks = [
        task(1, container("app"), container("logs"), started=1),
        task(2, container("app", "STOPPED"), container("logs"), started=2),
    ]
    assert locate(Wanted("demo", family="api", container="app"), Calls(*tasks)).task == arn(1)
    assert locate(Wanted("demo", family="api", container="logs"), Calls(*tasks)).task == arn(2)


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([], "service web in cluster demo has no running task"),
        ([task(1, lastStatus="PENDING")], "none of its tasks is RUNNING yet .1 in state PENDING."),
        ([task(1, container("app", ""), enableExecuteCommand=False)], "not enabled.*--enable-execute-command"),
        ([task(1, container("app", "STOPPED"))], "agent runs in none.*ssmmessages"),
    ],
)
def test_why_a_service_has_no_task_to_use(tasks: list[dict[str, Any]], words: str) -> None:
    """The cause, and the cure."""
    with pytest.raises(TargetError, match=words):
        locate(Wanted("demo", service="web"), Calls(*tasks))


def test_a_runtime_id_is_looked_up_where_it_is_needed() -> None:
    """session-manager-plugin's target has it inside."""
    calls = Calls(task(1, container("app"), container("logs")))
    assert with_runtime_id(Target("demo", arn(1), "logs"), calls).runtime_id == "run-logs"


def test_a_container_without_a_runtime_id_is_not_there_yet() -> None:
    """It is still being pulled."""
    starting = container("app") | {"runtimeId": "", "lastStatus": "PENDING"}
    with pytest.raises(TargetError, match="no runtime id yet: it is PENDING"):
        with_runtime_id(Target("demo", arn(1), "app"), Calls(task(1, starting)))
