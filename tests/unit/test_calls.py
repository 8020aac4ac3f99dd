"""Answers that a proxy gives in AWS's place: JSON, but not the fields that AWS always sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from ecs_exec.ecs.api import Aws
from ecs_exec.errors import AwsError
from ecs_exec.settings.target import Wanted
from ecs_exec.signals import Interrupts
from ecs_exec.steps.calls import Caller
from ecs_exec.streams import OutputStreams


class Answers:
    """AWS's API with one answer to everything."""

    region = "eu-west-1"

    def __init__(self, answer: Mapping[str, Any]) -> None:
        """Take the answer."""
        self._answer = answer

    def call(self, *_: str, **__: object) -> Mapping[str, Any]:
        """Give it."""
        return self._answer


ASK: dict[str, Callable[[Caller], object]] = {
    "stopped tasks": lambda caller: caller.stopped(Wanted(cluster="c")),
    "stop a task": lambda caller: caller.stop("c", "t", "why"),
}


@pytest.mark.parametrize("answer", [{}, {"taskArns": "x", "task": "x"}, {"taskArns": None, "task": []}])
@pytest.mark.parametrize("ask", ASK)
def test_an_answer_of_something_else_is_no_success(ask: str, answer: Mapping[str, Any]) -> None:
    """Neither no stopped tasks, nor a task that was stopped."""
    with Interrupts() as interrupts, pytest.raises(AwsError, match=r"contains no task.*\[not-aws\]"):
        ASK[ask](Caller(cast("Aws", Answers(answer)), interrupts, OutputStreams(interrupts)))
