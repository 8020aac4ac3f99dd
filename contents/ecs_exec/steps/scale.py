"""Changes the number of a service's tasks, and waits until so many run and the others have ended."""

from __future__ import annotations

from typing import NamedTuple

from ecs_exec.errors import EXIT_ABORTED, EXIT_TIMEOUT, AwsError, EcsExecError, TargetError
from ecs_exec.errors.causes.readiness import GONE
from ecs_exec.settings.steps import Scale
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.steps import deployment
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.deployment import EXIT_FAILED, EXIT_REPLACED, Outcome, Service, identity, number, primary
from ecs_exec.steps.service_calls import ServiceCalls
from ecs_exec.steps.service_watch import Watch, report
from ecs_exec.streams import OutputStreams
from ecs_exec.task_description import Described

_UNSEEN = 30.0
"""Seconds for which ECS may still show the old number."""

_SCALING = "application-autoscaling:DescribeScalableTargets"


def run(asked: Scale, caller: Caller, interrupts: Interrupts, streams: OutputStreams) -> int:
    """Scale, wait, and return the exit status. Raises EcsExecError."""
    return _Scaling(asked, caller, interrupts, streams).run()


class _View(NamedTuple):
    """What ECS shows at one moment."""

    service: Service
    stopped: list[Described]
    """Tasks that have stopped since the last look."""
    tasks: list[Described] | None
    """The tasks whose containers have not ended; None if the counts show that the service is not ready."""


class _Scaling:
    def __init__(self, asked: Scale, caller: Caller, interrupts: Interrupts, streams: OutputStreams) -> None:
        self._asked, self._caller, self._interrupts, self._streams = asked, caller, interrupts, streams
        self._calls = ServiceCalls(caller, interrupts, asked.wanted.cluster, asked.wanted.service)
        self._watch = Watch(self._calls, caller, interrupts, asked.wait_timeout)
        self._count = 0
        self._seen = False
        self._sent = False
        self._accepted = False
        self._limits: tuple[int, int] | None = None

    def run(self) -> int:
        try:
            outcome = self._scale_and_wait()
        except Aborted:
            goes_on = f"ECS goes on to change the number of tasks to {self._count}"
            if self._sent and not self._accepted:
                goes_on = f"ECS may have received the request for {deployment.tasks_in_words(self._count)}"
            done = goes_on if self._sent else "nothing was changed"
            self._streams.say(f"aborted by {self._interrupts.name}; {done}")
            return EXIT_ABORTED
        except EcsExecError as error:
            if self._accepted:
                error.add_effect(f"the step no longer follows the service; ECS may go on to set {self._count} tasks")
            elif self._sent and error.transient:
                error.add_effect(self._unanswered)
            raise
        if outcome.cause:
            report(self._streams, outcome, f"{self._calls.name}, {self._caller.aws.region}", count=self._count)
        else:
            self._watch.line(f"{self._calls.name} has {deployment.tasks_in_words(self._count)}")
        return outcome.status

    def _scale_and_wait(self) -> Outcome:
        service: Service = {}
        with self._watch.in_time():
            service = self._scale()
        limit = {"seconds": self._asked.wait_timeout}
        if not service:
            fields = {**limit, "effect_on_service": self._unanswered}
            return Outcome(EXIT_TIMEOUT, "deployment-unanswered", fields)
        return self._watch.follow(self._look, self._judge) or Outcome(EXIT_TIMEOUT, "scale-timeout", limit)

    @property
    def _unanswered(self) -> str:
        """What has happened to the service if ECS did not accept the number."""
        return (
            f"it may have received the request for {deployment.tasks_in_words(self._count)}"
            if self._sent
            else "nothing was changed"
        )

    # --- The change

    def _scale(self) -> Service:
        """Check the service, say what autoscaling will do, and set the number."""
        service = self._calls.describe()
        state = str(service.get("status") or "ACTIVE")
        if state != "ACTIVE":
            raise TargetError(name="service-not-active", where=self._calls.name, state=state)
        if service.get("schedulingStrategy") == "DAEMON":
            raise TargetError(name="daemon-not-scalable", where=self._calls.name)
        controller = str((service.get("deploymentController") or {}).get("type") or "ECS")
        if controller == "EXTERNAL":
            raise TargetError(name="deployment-controller", where=self._calls.name, controller=controller)
        present = number(service.get("desiredCount"))
        self._count = max(0, present + self._asked.number) if self._asked.relative else self._asked.number
        self._watch.known(service, self._calls.tasks(stopped=True))
        self._caller.line(f"scaling {self._calls.name}: {present} -> {deployment.tasks_in_words(self._count)}")
        self._tell_autoscaling(service)
        self._sent = True
        service = self._calls.scale(self._count)
        self._accepted = True
        return service

    def _tell_autoscaling(self, service: Service) -> None:
        """Say whether Application Auto Scaling will change the number again."""
        try:
            self._limits = self._calls.scaling(service)
        except AwsError as error:
            why = error.code or str(error)
            self._caller.line(f"not known whether autoscaling will undo it: {_SCALING} failed ({why})")
            return
        if self._limits is None:
            return
        least, most = self._limits
        text = f"Application Auto Scaling keeps the service between {least} and {most} tasks"
        if least <= self._count <= most:
            self._caller.line(f"{text}; its policies may change the number again")
        else:
            self._caller.line(f"{text}: it will undo {self._count}; change its limits to keep this number")

    # --- Waiting

    def _look(self) -> _View:
        service = self._calls.describe()
        if not deployment.is_active(service):
            return _View(service, [], None)  # ECS does not list the tasks of a deleted service
        stopped = self._watch.stopped()
        running, pending = number(service.get("runningCount")), number(service.get("pendingCount"))
        tasks: list[Described] | None = None
        if running == self._count and not pending:
            every = [*self._calls.tasks(stopped=False), *self._calls.tasks(stopped=True)]
            tasks = [task for task in every if task.get("lastStatus") not in GONE]
        return _View(service, stopped, tasks)

    def _judge(self, view: _View) -> Outcome | None:
        """Print what is new, and return the outcome; None while ECS starts or stops tasks."""
        service, wanted = view.service, number(view.service.get("desiredCount"))
        self._seen = self._seen or wanted == self._count
        self._watch.failures(view.stopped, identity(primary(service)))
        self._watch.events(service)
        if not deployment.is_active(service):
            return Outcome(EXIT_FAILED, "service-deleted", {"state": service["status"]})
        if wanted != self._count:
            if not self._seen and self._watch.passed < _UNSEEN:
                return None  # ECS still shows the state before
            return Outcome(EXIT_REPLACED, "count-changed", {"other": wanted, "who": self._who(wanted)})
        self._watch.state(self._state(view))
        running = [task for task in view.tasks or () if task.get("lastStatus") == "RUNNING"]
        ready = view.tasks is not None and len(view.tasks) == len(running) == self._count
        return Outcome(0) if ready else None

    def _who(self, count: int) -> str:
        """Return who has probably changed the number."""
        if self._limits and self._limits[0] <= count <= self._limits[1]:
            return "Application Auto Scaling or somebody else"
        return "somebody else"

    def _state(self, view: _View) -> str:
        service = view.service
        running, pending = number(service.get("runningCount")), number(service.get("pendingCount"))
        more = f", {pending} pending" if pending else ""
        leaving = [task for task in view.tasks or () if task.get("lastStatus") != "RUNNING"]
        ends = f"; tasks that end: {deployment.states(leaving)}" if leaving else ""
        return f"{running} running{more}, {self._count} wanted{ends}"
