"""Reading streams of CloudWatch Logs: each event once and in order, whatever the pages look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import pytest

from e2e.rundeck_launch import variables
from ecs_exec.ecs.api import Aws
from ecs_exec.errors import AwsError, SettingsError, TargetError
from ecs_exec.settings.logs import read_logs
from ecs_exec.settings.target import Wanted
from ecs_exec.signals import Interrupts
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.log_calls import LogCalls
from ecs_exec.steps.log_reader import LogReader
from ecs_exec.steps.log_streams import LogStream
from ecs_exec.steps.logs import Show, Tail
from ecs_exec.streams import OutputStreams

STREAM = LogStream("", "/ecs/app", "app/app/1")
GONE = AwsError(code="ResourceNotFoundException")


class Logs:
    """CloudWatch Logs, which gives answers in their order."""

    region = "eu-west-1"

    def __init__(self, *answers: Mapping[str, Any] | AwsError) -> None:
        """Take the answers, or errors to raise."""
        self._answers = list(answers)
        self.calls: list[Mapping[str, Any]] = []
        self.regions: list[str] = []

    def call(self, _service: str, _action: str, _where: str, /, **parameters: object) -> Mapping[str, Any]:
        """Give the next answer."""
        self.calls.append(parameters)
        answer = self._answers.pop(0)
        if isinstance(answer, AwsError):
            raise answer
        return answer

    def in_region(self, region: str) -> Logs:
        """Note the region."""
        self.regions.append(region)
        return self


def page(token: str, *messages: str, field: str = "nextForwardToken") -> dict[str, Any]:
    """Make an answer, whose events have their messages as IDs and the numbers in them as times."""
    events = [{"timestamp": int(re.findall(r"\d+", text)[0]), "message": text, "eventId": text} for text in messages]
    return {"events": events, **({field: token} if token else {})}


def caller(logs: Logs, interrupts: Interrupts) -> Caller:
    """Make a caller that does not wait."""
    made = Caller(cast("Aws", logs), interrupts, OutputStreams(interrupts))
    made.pause = lambda _seconds: None  # type: ignore[method-assign, assignment]
    return made


def test_reading_goes_on_where_it_ended() -> None:
    """Pages may be empty in the middle. The end is a page with the same token."""
    logs = Logs(GONE, page("a", "1"), page("b"), page("c", "2", "3\n4"), page("c"), page("d", "5"), page("d"))
    written: list[bytes] = []
    with Interrupts() as interrupts:
        reader = LogReader(caller(logs, interrupts), written.append)
        reader.add(STREAM, "container app", "app: ")
        assert reader.read() == (0, False)  # the stream does not exist yet
        assert reader.read() == (3, False)
        assert reader.read() == (1, False)
    assert b"".join(written) == b"app: 1\napp: 2\napp: 3\napp: 4\napp: 5\n"
    assert [call.get("nextToken") for call in logs.calls] == [None, None, "a", "b", "c", "c", "d"]


def test_a_step_with_a_timeout_does_not_wait_for_logs() -> None:
    """A failed call is not retried at once, no call begins after the timeout, and nothing is lost."""
    passing = AwsError(name="too-many-calls", code="ThrottlingException", transient=True)
    logs = Logs(passing, page("a", "1"), page("a"))
    written: list[bytes] = []
    with Interrupts() as interrupts:
        made = caller(logs, interrupts)
        reader = LogReader(made, written.append)
        reader.add(STREAM, "container app", "")
        assert reader.read(made.clock() + 60) == (0, False)
        assert len(logs.calls) == 1
        assert reader.read(made.clock() - 1) == (0, False)
        assert len(logs.calls) == 1
        assert reader.read(made.clock() + 60) == (1, False)
    assert written == [b"1\n"]


def test_a_failure_that_passes_loses_nothing() -> None:
    """The stream is read again from the same place. A refusal gives the stream up."""
    throttled = AwsError(name="too-many-calls", transient=True)
    denied = AwsError(name="denied-not-allowed", action="logs:GetLogEvents")
    logs = Logs(page("a", "1"), throttled, page("b", "2"), throttled, page("b"), denied)
    written: list[bytes] = []
    with Interrupts() as interrupts:
        reader = LogReader(caller(logs, interrupts), written.append)
        reader.add(STREAM, "container app", "")
        assert reader.read() == (2, False)
        assert not reader.sources[0].given_up
        assert reader.read() == (0, False)
        assert reader.sources[0].given_up
        assert reader.read() == (0, False)
    assert b"".join(written) == b"1\n2\n"
    assert [call.get("nextToken") for call in logs.calls] == [None, "a", "a", "b", "b", "b"]


def test_a_filter_gives_late_events_once() -> None:
    """The time before the last event is searched again, because CloudWatch shows some events late."""
    old = {"field": "nextToken"}
    first = (page("x", "100000", "100001", **old), page("", "100002", **old))
    again = page("", "late 99999", "100000", "100001", "100002", "100003", **old)
    logs = Logs(*first, again, page("", "100003", **old))
    with Interrupts() as interrupts:
        tail = Tail(LogCalls(caller(logs, interrupts)), STREAM, 90_000, "ERROR")
        assert [event.message for event in tail.new()] == ["100000", "100001", "100002"]
        assert [event.message for event in tail.new()] == ["late 99999", "100003"]
        assert list(tail.new()) == []
    assert [call["startTime"] for call in logs.calls] == [90_000, 90_000, 90_000, 90_000]


class Service:
    """A service whose tasks and task definitions change while its logs are followed."""

    region = "eu-west-1"

    def __init__(self, *tasks: list[str], lost: str = "") -> None:
        """Take the running tasks at each look, as NUMBER:REVISION, and a task definition that ECS has deleted."""
        self._tasks, self._lost, self._now = list(tasks), lost, 0.0

    def clock(self) -> float:
        """Give the time, which passes when somebody waits."""
        return self._now

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds

    def list_running_tasks(self, _cluster: str, **_of: str) -> list[str]:
        """Give the tasks of this look; those of the last one stay."""
        return self._tasks.pop(0) if len(self._tasks) > 1 else self._tasks[0]

    def describe_tasks(self, _cluster: str, arns: list[str]) -> tuple[list[dict[str, Any]], list[Any]]:
        """Describe tasks."""
        found = [
            {"taskArn": f"t/{arn[0]}", "taskDefinitionArn": f"d/web{arn[1:]}", "lastStatus": "RUNNING"} for arn in arns
        ]
        return found, []

    def describe_task_definition(self, arn: str) -> dict[str, Any]:
        """Describe a task definition, unless it was deleted."""
        if arn == self._lost:
            raise AwsError(name="call-failed", code="ClientException", said="Unable to describe task definition.")
        options = {"awslogs-group": "g", "awslogs-stream-prefix": "p"}
        container = {"name": "app", "logConfiguration": {"logDriver": "awslogs", "options": options}}
        return {"taskDefinitionArn": arn, "containerDefinitions": [container]}

    def call(self, _service: str, action: str, where: str, /, **parameters: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """List no stopped task, and give one line of each task."""
        if action == "ListTasks":
            return {"taskArns": []}
        return page("end") if parameters.get("nextToken") else page("end", f"1 {where.split()[2]}")


def shown(service: Service, capfd: pytest.CaptureFixture[str], **config: str) -> list[str]:
    """Show the logs of a service; give the lines."""
    asked = read_logs(variables("CONFIG", {"service": "web", "region": "eu-west-1", **config}))
    with Interrupts() as interrupts:
        streams = OutputStreams(interrupts)
        made = Caller(cast("Aws", service), interrupts, streams, service.clock)
        made.pause = service.wait  # type: ignore[method-assign]
        assert Show(asked, made, streams).run() == 0
    return capfd.readouterr().out.splitlines()


def test_following_a_service_without_tasks(capfd: pytest.CaptureFixture[str]) -> None:
    """A service that was scaled to 0 is followed on: its next task may come."""
    lines = shown(Service(["1:1"], [], [], ["2:1"]), capfd, follow="2m")
    assert lines == ["1: 1 p/app/1", "2: 1 p/app/2"]
    with pytest.raises(TargetError, match=r"\[no-task-with-logs\]"):
        shown(Service([]), capfd)


def test_a_task_definition_that_was_deleted(capfd: pytest.CaptureFixture[str]) -> None:
    """A line names it. The logs of the other tasks are shown."""
    lines = shown(Service(["1:1", "2:2"], lost="d/web:1"), capfd)
    assert lines == [
        "the output of tasks of web:1 is not shown: ECS has no such task definition",
        "2: 1 p/app/2",
    ]


def test_the_region_of_the_stream() -> None:
    """A task may write its logs into another region."""
    logs = Logs(page("a"), page("a"))
    with Interrupts() as interrupts:
        calls = LogCalls(caller(logs, interrupts))
        calls.get(STREAM._replace(region="us-east-1"), "", 0)
        calls.get(STREAM._replace(region="eu-west-1"), "", 0)
    assert logs.regions == ["us-east-1"]


@pytest.mark.parametrize("answer", [{}, {"events": [7]}, {"events": [{"message": 7}]}, {"events": "x"}])
def test_an_answer_of_something_else(answer: Mapping[str, Any]) -> None:
    """It is not taken for the end of the log."""
    with Interrupts() as interrupts, pytest.raises(AwsError, match=r"\[not-aws\]"):
        LogCalls(caller(Logs(answer), interrupts)).get(STREAM, "", 0)


def test_a_node_and_a_form() -> None:
    """The node step takes its container from the node, the workflow step only from its fields."""
    node = variables("NODE", {"name": "n", "ecs-cluster": "prod", "ecs-service": "web", "ecs-container": "app"})
    found = read_logs(node | variables("CONFIG", {"follow": "5m"}))
    assert found.wanted == Wanted("prod", service="web", container="app")
    assert (found.since, found.follow) == (900, 300)
    assert read_logs(node | variables("CONFIG", {"service": "api"})).wanted == Wanted("default", service="api")
    with pytest.raises(SettingsError, match="set one of them"):
        read_logs(node | variables("CONFIG", {"service": ""}))
