"""Prints what happens to a service: events, counts and failed tasks, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ecs_exec.errors import AwsError, DeploymentError
from ecs_exec.signals import Interrupts
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.deployment import Outcome, Service, failure, has_failed, identity
from ecs_exec.steps.service_calls import ServiceCalls
from ecs_exec.streams import OutputStreams
from ecs_exec.task_description import Described

T = TypeVar("T")

_LOOK_EVERY = 2.0
_LATER_EVERY = 6.0
"""Seconds between looks. After `_LATER`, looks are rarer: the account shares the rate of the calls."""
_LATER = 60.0

_NOT_FOUND = "ServiceNotFoundException"
"""ecs:ListTasks fails so for a service that was deleted since it was described; the next description shows that."""

_FAILED_LOOKS = 10
"""Looks in a row that may fail for a passing reason, each after half a minute of retries."""


class Watch:
    """Knows what was printed, and how much time is left."""

    def __init__(self, calls: ServiceCalls, caller: Caller, interrupts: Interrupts, limit: int) -> None:
        """Take the limit in seconds, from now on; 0: no limit."""
        self._calls, self._caller, self._interrupts = calls, caller, interrupts
        self._limit = limit
        self._began = caller.clock()
        self._events: set[str] = set()
        self._tasks: set[str] = set()
        self._told: set[str] = set()
        self._shown = ""

    # --- Time

    @property
    def passed(self) -> float:
        """The seconds since the beginning."""
        return self._caller.clock() - self._began

    @property
    def is_over(self) -> bool:
        """Whether the limit is over."""
        return bool(self._limit) and self.passed >= self._limit

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """Leave the block when the limit is over, even if a call of AWS hangs."""
        if not self._limit:
            yield
            return
        with self._interrupts.at_most(max(self._limit - self.passed, 0.001)):
            yield

    def pause(self) -> None:
        """Wait until the next look, but not beyond the limit. Raises Aborted."""
        pause = _LOOK_EVERY if self.passed < _LATER else _LATER_EVERY
        self._caller.pause(min(pause, self._limit - self.passed) if self._limit else pause)

    def follow(self, look: Callable[[], T], judge: Callable[[T], Outcome | None]) -> Outcome | None:
        """Look again and again until the judge gives an outcome; return it, None when the limit is over.

        Failures that pass do not end it. Raises EcsExecError or Aborted.
        """
        failed = 0
        while not self.is_over:
            seen: list[T] = []
            try:
                with self.in_time():
                    seen.append(look())
            except AwsError as error:
                failed += 1
                deleted = error.code == _NOT_FOUND
                if not (error.transient or deleted) or failed > _FAILED_LOOKS:
                    raise
                if not deleted:
                    self.once(f"ECS cannot be asked at the moment: {error}; trying again")
            else:
                if not seen:
                    return None
                failed = 0
                if (outcome := judge(seen[0])) is not None:
                    return outcome
            if not self.is_over:
                self.pause()
        return None

    # --- Lines

    def once(self, text: str) -> None:
        """Print a line unless the same text was printed before."""
        if text not in self._told:
            self._told.add(text)
            self.line(text)

    def line(self, text: str) -> None:
        """Print a line with the time since the beginning."""
        self._caller.line(f"{self.passed:5.0f} s  {text}")

    def state(self, text: str) -> None:
        """Print a line about the state if it differs from the last one."""
        if text != self._shown:
            self._shown = text
            self.line(text)

    def known(self, service: Service, tasks: Iterable[Described]) -> None:
        """Take events and tasks that were there before: they are not printed."""
        self._events |= {_event_id(event) for event in _events(service)}
        self._tasks |= {str(task.get("taskArn")) for task in tasks}

    def events(self, service: Service) -> None:
        """Print the new events of a service, the oldest first."""
        for event in reversed(_events(service)):
            if _event_id(event) not in self._events:
                self._events.add(_event_id(event))
                self.line(str(event.get("message") or ""))

    def stopped(self) -> list[Described]:
        """Return the tasks that have stopped since the last look."""
        found = self._calls.tasks(stopped=True, known=frozenset(self._tasks))
        ended = [task for task in found if task.get("lastStatus") == "STOPPED"]
        return sorted(ended, key=lambda task: str(task.get("stoppedAt") or ""))

    def failures(self, tasks: Iterable[Described], ours: str) -> None:
        """Explain the tasks of a deployment that have failed."""
        for task in tasks:
            arn = str(task.get("taskArn"))
            if arn in self._tasks:
                continue
            self._tasks.add(arn)
            if task.get("startedBy") == ours and has_failed(task):
                self._explain(task)

    def _explain(self, task: Described) -> None:
        first, *more = failure(task)
        self.line(first)
        for line in more:
            if line not in self._told:  # A service that fails starts tasks again and again, which end in the same way.
                self._told.add(line)
                self._caller.line(line)


def report(streams: OutputStreams, outcome: Outcome, where: str, **more: object) -> None:
    """Say on stderr why a deployment or a change of the number of tasks did not succeed."""
    from ecs_exec.errors.causes.line import line

    fields: dict[str, Any] = {**more, **outcome.fields}
    streams.say(line(DeploymentError(name=outcome.cause, where=where, said=outcome.said, **fields)))


def _events(service: Service) -> list[Mapping[str, Any]]:
    found = service.get("events")
    return [event for event in found if isinstance(event, Mapping)] if isinstance(found, list) else []


def _event_id(event: Mapping[str, Any]) -> str:
    return identity(event) or str(event.get("message"))
