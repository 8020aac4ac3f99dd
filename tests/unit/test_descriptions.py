"""What AWS describes, and what other endpoints answer."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from unittest import mock

import pytest

from ecs_exec.ecs.api import MOST_PAGES, Aws
from ecs_exec.ecs.descriptions import checked
from ecs_exec.errors import AwsError
from ecs_exec.settings import Access
from ecs_exec.steps.calls import Caller
from ecs_exec.task_description import essential_names

TASK: dict[str, Any] = {
    "taskArn": "arn",
    "startedAt": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "overrides": {"containerOverrides": [{"name": "app", "environment": [{"name": "A", "value": "b"}]}]},
    "containers": [{"name": "app", "exitCode": 1, "managedAgents": [{"name": "agent", "lastStatus": "RUNNING"}]}],
    "unknown": [[1, {"x": None}]],
}


def test_what_aws_describes_stays_as_it_is() -> None:
    """Fields that the plugin does not know, too; null counts as absent."""
    assert checked(TASK | {"stopCode": None}) == {**TASK, "unknown": [[1, {}]]}


def test_texts_are_cut() -> None:
    """Patterns are matched with them."""
    assert checked({"containers": [{"reason": "x" * 5000}]}) == {"containers": [{"reason": "x" * 2000}]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("containers", {"name": "app"}),
        ("containers", ["app"]),
        ("lastStatus", {}),
        ("lastStatus", 7),
        ("overrides", []),
        ("startedAt", "yesterday"),
        ("exitCode", "1"),
        ("deep", [[[[[[[[[[[[[[[[[["x"]]]]]]]]]]]]]]]]]]),
    ],
)
def test_another_kind_of_value_is_named(field: str, value: object) -> None:
    """Rather than end in a fault of the plugin's own, or in a wrong cause."""
    answer = mock.patch.object(Aws, "_call", return_value={"tasks": [{field: value}]})
    with answer, pytest.raises(AwsError, match=rf"ecs:DescribeTasks cannot be read: {field} .*\[not-aws\]") as caught:
        aws().describe_tasks("c", ["t"])
    assert not caught.value.transient


@pytest.mark.parametrize("tasks", ["x", {"a": 1}, [None], [1], [[]]])
def test_tasks_that_are_no_list_of_objects(tasks: object) -> None:
    """The whole answer may be of another kind."""
    answer = mock.patch.object(Aws, "_call", return_value={"tasks": tasks})
    with answer, pytest.raises(AwsError, match="cannot be read"):
        aws().describe_tasks("c", ["t"])


def test_a_list_without_an_end_is_given_up() -> None:
    """An endpoint that names another page with each page."""
    pages = mock.Mock(return_value={"taskArns": ["t"], "nextToken": "more"})
    with mock.patch.object(Aws, "_call", pages), pytest.raises(AwsError, match="still has more"):
        aws().list_running_tasks("c", service="s")
    assert pages.call_count == MOST_PAGES


@pytest.mark.parametrize("items", [None, "x", {}, [1], [None], [[]]])
def test_lists_that_are_no_lists_of_texts(items: object) -> None:
    """The ARNs of clusters and tasks."""
    with mock.patch.object(Aws, "_call", return_value={"taskArns": items, "clusterArns": items}):
        with pytest.raises(AwsError, match="contains no taskArns"):
            aws().list_tasks("c", "", {})
        with pytest.raises(AwsError, match="contains no clusterArns"):
            aws().list_clusters("")


@pytest.mark.parametrize("items", ["x", {"a": 1}, [1], [None]])
def test_failures_that_are_no_list_of_objects(items: object) -> None:
    """A node source reads them without the check of a whole description."""
    answer = mock.patch.object(Aws, "_call", return_value={"tasks": [], "failures": items})
    with answer, pytest.raises(AwsError, match="contains no failures"):
        aws().describe_raw("c", ["t"])
    with mock.patch.object(Aws, "_call", return_value={"tasks": [5], "failures": None}):
        assert aws().describe_raw("c", ["t"]) == ([5], [])


@pytest.mark.parametrize("task", [None, 1, [], {"containers": "x"}, {"containers": [None]}, {"stoppedAt": "now"}])
def test_a_stopped_task_is_checked(task: object) -> None:
    """The step shows its parts."""
    caller = Caller(aws(), mock.MagicMock(), mock.MagicMock())
    answer = mock.patch.object(Aws, "_call", return_value={"task": task})
    with answer, pytest.raises(AwsError, match="the answer of ecs:StopTask"):
        caller.stop("c", "t", "why")


def test_a_container_without_a_name() -> None:
    """It is not the one that a command goes to."""
    assert essential_names({"containerDefinitions": [{}, {"name": "app"}]}) == ["", "app"]


def aws() -> Aws:
    """Return calls that go nowhere."""
    return Aws(Access("r", "AKIAEXAMPLE", "secret", endpoint_url="http://127.0.0.1:1"))
