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


def aws() -> Aws:
    """Return calls that go nowhere."""
    return Aws(Access("r", "AKIAEXAMPLE", "secret", endpoint_url="http://127.0.0.1:1"))
