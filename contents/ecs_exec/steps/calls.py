"""The AWS calls of the steps, with retries."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, TypeVar

from ecs_exec.ecs.api import Aws, described, list_field, whole_list
from ecs_exec.errors import AwsError, TargetError, Where
from ecs_exec.retry import CALL
from ecs_exec.settings.target import Wanted
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputStreams
from ecs_exec.task_description import Described, short
from ecs_exec.text import printable, without_user

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds for which a call is retried after transient failures."""
_PAGE = 100


class Caller:
    """Makes calls for a step, and retries them after transient failures. A signal ends each wait with Aborted."""

    def __init__(
        self, aws: Aws, interrupts: Interrupts, streams: OutputStreams, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the AWS client, and the clock for the retries."""
        self.aws = aws
        self.clock = clock
        self._interrupts = interrupts
        self._streams = streams

    def pause(self, seconds: float) -> None:
        """Wait. Raises Aborted."""
        with self._interrupts.immediate():
            time.sleep(max(0.0, seconds))

    def line(self, text: str) -> None:
        """Print one line. Raises OutputClosed, or Aborted while it blocks."""
        self._streams.out(f"{without_user(printable(text))}\n".encode(errors="backslashreplace"))

    def once(self, call: Callable[[], T], until: float = math.inf) -> T:
        """Make a call without retries, for callers that look again anyway. Raises AwsError or Aborted.

        It ends at `until`, a time of the clock, even if AWS does not answer.
        """
        with self._interrupts.immediate():
            if until == math.inf:
                return call()
            with self._interrupts.at_most(max(0.001, until - self.clock())):
                return call()
        raise AwsError("AWS did not answer before the end of the step's timeout", transient=True)

    def patiently(
        self, call: Callable[[], T], passing: Callable[[AwsError], bool] = lambda error: error.transient
    ) -> T:
        """Make a call; retry it for half a minute after passing failures. Raises AwsError or Aborted."""
        until = self.clock() + PATIENCE
        for tries in count(1):
            try:
                return self.once(call)
            except AwsError as error:
                if not passing(error) or self.clock() + CALL.most(tries) >= until:
                    raise
                self._streams.debug(f"{error}; trying again")
            self.pause(CALL.delay(tries))
        raise AssertionError  # counting has no end

    # --- Tasks

    def task(self, cluster: str, task: str) -> Described:
        """Describe a task, running or stopped. Raises TargetError if ECS does not know it, or AwsError."""
        found, _ = self.patiently(lambda: self.aws.describe_tasks(cluster, [task]))
        if found:
            return found[0]
        where = Where(short(cluster), region=self.aws.region)
        raise TargetError(name="task-not-found", where=where, task=short(task))

    def tasks(self, cluster: str, arns: list[str]) -> list[dict[str, Any]]:
        """Describe tasks. Tasks that no longer exist are left out. Raises AwsError."""
        return self.patiently(lambda: self.aws.describe_tasks(cluster, arns))[0] if arns else []

    def running(self, wanted: Wanted) -> list[dict[str, Any]]:
        """Describe the tasks of a service or a family whose desired status is RUNNING. Raises AwsError."""
        kind = {"service": wanted.service} if wanted.service else {"family": wanted.family}
        return self.tasks(wanted.cluster, self.patiently(lambda: self.aws.list_running_tasks(wanted.cluster, **kind)))

    def stopped(self, wanted: Wanted) -> list[dict[str, Any]]:
        """Describe the tasks of a service, a family or the cluster that have stopped or are stopping.

        ECS filters by a service or by a family, not by both: if both are given, by the service. Raises AwsError.
        """
        where, only = f"cluster {short(wanted.cluster)}", {}
        if wanted.service or wanted.family:
            kind, name = ("service", wanted.service) if wanted.service else ("family", wanted.family)
            where = f"{kind} {short(name)} in {where}"
            only = {"serviceName" if kind == "service" else "family": short(name)}
        parameters = {"desiredStatus": "STOPPED", "maxResults": _PAGE, "cluster": wanted.cluster, **only}

        def page(token: str) -> tuple[list[str], str]:
            more = {"nextToken": token} if token else {}
            answer = self.patiently(lambda: self.aws.call("ecs", "ListTasks", where, **parameters, **more))
            return list_field(answer, "taskArns", "ecs:ListTasks"), str(answer.get("nextToken") or "")

        return self.tasks(wanted.cluster, whole_list("ecs:ListTasks", where, page))

    def stop(self, cluster: str, task: str, reason: str) -> Described:
        """Request the stop of a task, and return its description. A second request does no harm. Raises AwsError."""
        where = f"task {short(task)} in cluster {short(cluster)}"
        parameters = {"cluster": cluster, "task": task, "reason": reason}
        answer = self.patiently(lambda: self.aws.call("ecs", "StopTask", where, **parameters))
        if not isinstance(answer.get("task"), Mapping):
            raise AwsError(name="not-aws", said="the answer of ecs:StopTask contains no task")
        return described({"tasks": [answer["task"]]}, "tasks", "ecs:StopTask")[0]
