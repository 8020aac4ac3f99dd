"""Looks at a target's task in ECS if something is or may be wrong: with few calls, whose failure is never fatal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ecs_exec.ecs import diagnosis
from ecs_exec.ecs.locate import Calls
from ecs_exec.ecs.target import Target
from ecs_exec.errors import AwsError
from ecs_exec.record import NamedTuple
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputStreams
from ecs_exec.task_description import Described

if TYPE_CHECKING:
    from ecs_exec.errors.causes.readiness import Found

_LOOK_WITHIN = 3.0
"""Seconds for one look during a session, which waits meanwhile."""

_REFUSED_LOOK_WITHIN = 8.0
"""Seconds for one look without a session: the operator waits for nothing but the cause."""

_PAUSES = (0.0, 1.0, 2.0, 3.0)
"""Seconds before each look at a task whose session has ended: ECS reports the end of a task a little late."""


class Refusal(NamedTuple):
    """What a task's description shows after a session was refused."""

    found: list[Found]
    """Causes, the likeliest first; empty if the description shows none."""
    final: bool
    """Whether a retry is useless: at least one cause will not pass by itself."""


class TaskProbe:
    """Finds out why a target cannot be reached, by ecs:DescribeTasks and, if allowed, ecs:DescribeTaskDefinition."""

    def __init__(self, calls: Calls, target: Target, interrupts: Interrupts, streams: OutputStreams) -> None:
        """Take the calls, the target, the signals and the output streams; no call is made."""
        self._calls = calls
        self._target = target
        self._interrupts = interrupts
        self._streams = streams
        self._definition: Mapping[str, Any] | None = None
        self._allowed = True

    def refusal(self) -> Refusal | None:
        """Return why no session can be opened; None if the task cannot be looked at. Raises Aborted."""
        seen, task = self._task(_REFUSED_LOOK_WITHIN)
        if not seen:
            return None
        from ecs_exec.errors.causes import readiness

        found = readiness.roots(readiness.find(task, self._described(task), self._target.container))
        return Refusal(found, any(cause.certain and not cause.passing for cause in found))

    def gone(self) -> Found | None:
        """Return why no output can come any more; None as long as it may still come. Raises Aborted."""
        seen, task = self._task()
        return diagnosis.gone(task, self._target.container) if seen else None

    def ended(self, reason: str) -> Found | None:
        """Return why a session ended while the command ran, None if that is not known. Raises Aborted.

        It waits a few seconds until ECS reports the end. `reason` holds the service's words about the end.
        """
        for pause in _PAUSES:
            with self._interrupts.immediate():
                time.sleep(pause)
            seen, task = self._task()
            if not seen:
                return None
            if why := diagnosis.gone(task, self._target.container):
                return why
            # If the service gave its own reason, and the task is not ending, there is nothing to wait for.
            if task is None or (reason and not diagnosis.ending(task)):
                return None
        return None

    def _task(self, within: float = _LOOK_WITHIN) -> tuple[bool, Described | None]:
        """Describe the task once.

        Returns whether that was possible within so many seconds, and the task's description, None if it does not exist.
        """
        if not self._allowed:
            return False, None
        found: list[dict[str, Any]] | None = None
        try:
            with self._interrupts.at_most(within), self._interrupts.immediate():
                found, _ = self._calls.describe_tasks(self._target.cluster, [self._target.task])
        except AwsError as error:
            self._allowed = error.transient
            self._streams.debug(f"the task cannot be described: {error}")
            return False, None
        if found is None:
            self._streams.debug(f"the task could not be described within {within:.0f} s")
            return False, None
        return True, found[0] if found else None

    def _described(self, task: Described | None) -> Mapping[str, Any] | None:
        if task is None or self._definition is not None:
            return self._definition
        self._definition = {}
        try:
            with self._interrupts.at_most(_LOOK_WITHIN), self._interrupts.immediate():
                self._definition = self._calls.describe_task_definition(str(task.get("taskDefinitionArn", "")))
        except AwsError as error:
            self._streams.debug(f"the diagnosis continues without the task definition: {error}")
        return self._definition
