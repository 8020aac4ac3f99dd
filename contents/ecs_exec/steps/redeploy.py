"""Deploys a service again, and follows this deployment until it is complete, rolled back, replaced or failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Any, TypeVar

from ecs_exec.ecs.failures import THROTTLED
from ecs_exec.errors import EXIT_ABORTED, EXIT_TIMEOUT, AwsError, DeploymentError, EcsExecError, TargetError
from ecs_exec.retry import CALL
from ecs_exec.settings.steps import Redeploy
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.steps import deployment, revision, stages
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.deployment import Outcome, Service, View, identity, primary
from ecs_exec.steps.service_calls import ServiceCalls, target_of
from ecs_exec.steps.service_watch import Watch, report
from ecs_exec.streams import OutputStreams
from ecs_exec.task_description import Described, short

T = TypeVar("T")

_FAREWELL = 5.0
"""Seconds for the calls after an abort. Rundeck up to 5.5 waits for the end of the step."""

_UNSEEN = 60.0
"""Seconds for which ECS may still show the state before the deployment."""

_REGISTRATIONS = 3
"""How often a registration whose answer was lost is repeated."""

_SOON = 5.0
"""Seconds within which ECS shows a deployment that starts tasks at once."""

_LOOK_EVERY = 2.0
"""Seconds between looks for the new deployment."""


def run(asked: Redeploy, caller: Caller, interrupts: Interrupts, streams: OutputStreams) -> int:
    """Deploy, follow the deployment, and return the exit status. Raises EcsExecError."""
    return _Redeployment(asked, caller, interrupts, streams).run()


class _Redeployment:
    def __init__(self, asked: Redeploy, caller: Caller, interrupts: Interrupts, streams: OutputStreams) -> None:
        self._asked, self._caller, self._interrupts, self._streams = asked, caller, interrupts, streams
        self._calls = ServiceCalls(caller, interrupts, asked.wanted.cluster, asked.wanted.service)
        self._watch = Watch(self._calls, caller, interrupts, asked.wait_timeout)
        self._name = self._calls.name
        self._ours = ""
        """Id of the deployment; empty until ECS has answered."""
        self._before: frozenset[str] = frozenset()
        self._old_definition = ""
        self._wanted = ""
        self._definition = ""
        """The task definitions that were asked for, and that the deployment has."""
        self._old_count = 0
        self._old_record = ""
        self._old_records: frozenset[str] | None = None
        """The service deployments before this one; None if they were not listed."""
        self._record = ""
        self._no_records = False
        """The service deployment API cannot be used."""
        self._seen = False
        """ECS has shown the deployment as the PRIMARY one."""
        self._stage = ""
        self._failed = False
        self._rolling_back = False
        self._sent = False

    @property
    def _place(self) -> str:
        return f"{self._name}, {self._caller.aws.region}"

    def run(self) -> int:
        try:
            outcome = self._deploy_and_follow()
        except Aborted:
            self._abort()
            return EXIT_ABORTED
        except EcsExecError as error:
            if self._ours:
                error.add_effect(f"the step no longer follows deployment {self._ours}; ECS may go on with it")
            elif self._sent and error.transient:
                error.add_effect("ECS may have received the request to deploy")
            raise
        if outcome.cause:
            report(self._streams, outcome, self._place, id=self._ours)
        else:
            definition = short(self._definition or self._wanted)
            self._watch.line(f"{self._name} runs {definition}: the deployment is complete, and no old task is left")
        return outcome.status

    def _deploy_and_follow(self) -> Outcome:
        service: Service = {}
        with self._watch.in_time():
            service = self._deploy()
        if service:
            return self._follow(service)
        effect = "it may have begun a deployment" if self._sent else "nothing was deployed"
        fields = {"seconds": self._asked.wait_timeout, "effect_on_service": effect}
        return Outcome(EXIT_TIMEOUT, "deployment-unanswered", fields)

    # --- The deployment

    def _deploy(self) -> Service:
        """Check the service, register a revision if an image is given, and begin the deployment."""
        service = self._calls.describe()
        self._check(service)
        self._before = frozenset(map(identity, deployment.deployments(service)))
        self._old_definition = str(service.get("taskDefinition") or "")
        self._old_count = deployment.number(service.get("desiredCount"))
        self._old_record = str(service.get("currentServiceDeployment") or "")
        self._watch.known(service, self._calls.tasks(stopped=True))
        if stages.may_begin_late(service) and (records := self._asking(self._calls.targets)) is not None:
            self._old_records = frozenset(records)
        parameters = self._parameters()
        self._wanted = str(parameters.get("taskDefinition") or self._old_definition)
        self._caller.line(f"deploying {self._name}: {short(self._old_definition)} -> {short(self._wanted)}")
        for text in stages.announcement(service, self._asked.wait_timeout):
            self._caller.line(text)
        self._sent = True
        within = _UNSEEN if stages.may_begin_late(service) else _SOON
        return self._accept(self._calls.deploy(self._has_begun, within, **parameters))

    def _check(self, service: Service) -> None:
        """Raise TargetError if the service cannot be deployed; tell if somebody else deploys it."""
        state = str(service.get("status") or "ACTIVE")
        if state != "ACTIVE":
            raise TargetError(name="service-not-active", where=self._place, state=state)
        controller = str((service.get("deploymentController") or {}).get("type") or "ECS")
        if controller != "ECS":
            raise TargetError(name="deployment-controller", where=self._place, controller=controller)
        count = self._asked.desired_count
        if service.get("schedulingStrategy") == "DAEMON":
            self._check_daemon(service)
        elif not (deployment.number(service.get("desiredCount")) if count is None else count):
            raise TargetError(name="desired-count-zero", where=self._place)
        newest = primary(service)
        if newest.get("rolloutState") == "IN_PROGRESS":
            definition = short(str(newest.get("taskDefinition") or ""))
            self._caller.line(
                f"somebody else's deployment {identity(newest)} of {definition} is in progress; this one replaces it"
            )

    def _check_daemon(self, service: Service) -> None:
        """Raise TargetError if a number is asked for, or if no container instance matches."""
        if self._asked.desired_count is not None:
            raise TargetError(name="daemon-not-scalable", where=self._place)
        if not deployment.number(service.get("desiredCount")):
            raise TargetError(name="daemon-without-instances", where=self._place)

    def _parameters(self) -> dict[str, Any]:
        """Return the parameters of ecs:UpdateService."""
        asked = self._asked
        found: dict[str, Any] = {}
        name = asked.task_definition
        if asked.image or asked.tag:
            name = self._revision(name or self._old_definition)
        if name:
            found["taskDefinition"] = name
        if asked.desired_count is not None:
            found["desiredCount"] = asked.desired_count
        return found

    def _revision(self, base: str) -> str:
        """Register a revision with the new image, and return its ARN; none is registered if nothing changes."""
        definition, tags = self._calls.definition(base)
        what = revision.change(definition, self._asked.wanted.container, self._asked.image, self._asked.tag)
        arn = str(definition.get("taskDefinitionArn") or base)
        if what.old == what.new:
            self._caller.line(f"{short(arn)} has the image {what.new} already: no new revision")
            return arn
        registered = self._register(revision.content(definition, tags, what))
        self._caller.line(
            f"registered {short(registered)} from {short(arn)}: container {what.container}: {what.old} -> {what.new}"
        )
        return registered

    def _register(self, content: dict[str, Any]) -> str:
        """Register a revision. If an answer is lost, look first: ECS may have registered it."""
        for tries in count(1):
            try:
                return str(self._calls.register(content)["taskDefinitionArn"])
            except AwsError as error:
                if not error.transient or error.code in THROTTLED or tries > _REGISTRATIONS:
                    raise
                self._caller.line("ecs:RegisterTaskDefinition was not answered; looking for the new revision")
            newest, _ = self._calls.definition(str(content["family"]))
            if revision.has_content(newest, content):
                return str(newest["taskDefinitionArn"])
            self._caller.pause(CALL.delay(tries))
        raise AssertionError  # counting has no end

    def _accept(self, service: Service) -> Service:
        """Find this step's deployment, and return the newest description of the service.

        ECS may list it late: when traffic is shifted or hooks run, no new task starts at first. Raises DeploymentError
        if there is none after a minute, or if it is another one.
        """
        until = self._watch.passed + _UNSEEN
        while not self._take(service):
            if self._watch.passed >= until:
                raise DeploymentError(name="deployment-not-begun", where=self._place)
            self._watch.once("ECS accepted the request, but does not show a new deployment yet")
            self._caller.pause(_LOOK_EVERY)
            service = self._calls.describe()
        named = short(self._definition or self._wanted)
        self._watch.line(f"deployment {self._ours} of {named} has begun")
        return service

    def _take(self, service: Service) -> bool:
        """Take a deployment that was not there before as this step's; return whether there is one."""
        new = [each for each in deployment.deployments(service) if identity(each) not in self._before]
        newest = next((each for each in new if each.get("status") == "PRIMARY"), new[0] if new else {})
        if newest:
            self._ours = identity(newest)
            self._check_definition(newest)
            return True
        for record, target in self._new_records(service).items():
            if target and target not in self._before:
                self._ours, self._record = target, record
        return bool(self._ours)

    def _has_begun(self, service: Service) -> bool:
        """Return whether a deployment has begun that was not there before."""
        new = {identity(each) for each in deployment.deployments(service)} - self._before
        return bool(new or self._new_records(service))

    def _new_records(self, service: Service) -> dict[str, str]:
        """Return the service deployment that has begun, with the id of its deployment; empty if that is not clear."""
        if self._old_records is not None:
            found = self._asking(self._calls.targets) or {}
            new = {arn: target for arn, target in found.items() if arn not in self._old_records}
            return new if len(new) == 1 else {}
        record = self._asking(lambda: self._calls.current_record(service, self._old_record))
        return {str(record.get("serviceDeploymentArn")): target_of(record)} if record else {}

    def _check_definition(self, found: Mapping[str, Any]) -> None:
        """Take the task definition of this step's deployment. Raises DeploymentError if it was not asked for."""
        runs = str(found.get("taskDefinition") or "")
        if not self._is_wanted(runs):
            other, self._ours = identity(found), ""
            raise DeploymentError(name="deployment-unknown", where=self._place, other=other, runs=short(runs))
        self._definition = runs

    def _asking(self, call: Callable[[], T]) -> T | None:
        """Make a call of the service deployment API; return None if it cannot be used, and say so once."""
        if self._no_records:
            return None
        try:
            return call()
        except AwsError as error:
            if error.transient:
                raise
            self._no_records = True
            why = f"{error.effect}: {error.code}" if error.code else str(error)
            self._watch.once(
                f"the service deployment API is not usable ({why}); looking at deployments and tasks alone"
            )
            return None

    # --- Following it

    def _follow(self, service: Service) -> Outcome:
        """Look until the deployment has ended or the time is over. Raises EcsExecError or Aborted."""
        first = [service]  # the answer of ecs:UpdateService, which is the newest description at the beginning
        look = partial(self._look, first)
        return self._watch.follow(look, lambda seen: self._judge(*seen)) or self._late()

    def _look(self, first: list[Service]) -> tuple[View, list[Described]]:
        """Ask ECS for everything that the verdict needs; return it, and the tasks that have stopped since."""
        service = first.pop() if first else self._calls.describe()
        if not deployment.is_active(service):
            return View(service, self._ours, self._before), []  # ECS does not list the tasks of a deleted service
        record = self._find_record(service)
        if record is not None and record.get("status") == "STOPPED":
            # The first answer may be older than the deployment that replaced this one.
            service = self._calls.describe()
        stopped = self._watch.stopped()
        seen = self._seen or identity(primary(service)) == self._ours
        view = View(service, self._ours, self._before, record, failed_before=self._failed, was_primary=seen)
        if deployment.looks_complete(view):
            running = self._calls.tasks(stopped=False)
            view = view._replace(tasks=(*running, *self._calls.tasks(stopped=True)))
        return view, stopped

    def _find_record(self, service: Service) -> Any:  # noqa: ANN401 - AWS's own
        """Return the service deployment; None if ECS has none, or does not show it to these credentials."""
        if not self._record:
            since = deployment.find(service, self._ours).get("createdAt")
            self._record = self._asking(lambda: self._calls.find_record(self._ours, since)) or ""
            if not self._record and self._watch.passed >= _UNSEEN and not self._no_records:
                self._no_records = True
                self._watch.once("ECS lists no service deployment of it; looking at deployments and tasks alone")
        return self._asking(lambda: self._calls.record(self._record)) if self._record else None

    def _judge(self, view: View, stopped: list[Described]) -> Outcome | None:
        """Print what is new, and return the outcome; None while the deployment goes on."""
        mine = identity(primary(view.service)) == self._ours
        self._seen = self._seen or mine
        found = deployment.find(view.service, self._ours)
        if found and not self._definition:
            self._check_definition(found)
        if not (found or view.record) and not self._seen and self._watch.passed < _UNSEEN:
            return None  # ECS still shows the state before
        self._failed = self._failed or found.get("rolloutState") == "FAILED"
        self._rolling_back = deployment.is_rolling_back(view)
        self._watch.failures(stopped, self._ours)
        self._watch.events(view.service)
        self._tell_stage(view)
        self._watch.state(self._state(view))
        return deployment.verdict(view)

    def _tell_stage(self, view: View) -> None:
        if (text := stages.stage(view.record)) not in ("", self._stage):
            self._stage = text
            self._watch.line(text)
        for pause in stages.pauses(view.record):
            self._watch.once(pause)

    def _state(self, view: View) -> str:
        """Return the line about the deployment at this moment."""
        if self._rolling_back:
            return "ECS returns to the old revision"
        newest = identity(primary(view.service))
        if newest != self._ours and not deployment.is_not_primary_yet(view):
            return f"the newest deployment is {newest}"
        if not deployment.find(view.service, self._ours):
            return "ECS lists no new task yet"
        text = str(deployment.counts(view.service, self._ours))
        old = deployment.split(view)[0] if view.tasks is not None else []
        leaving = f"; old tasks: {deployment.states(old)}" if old else ""
        return f"{text}{leaving}"

    # --- The end

    def _late(self) -> Outcome:
        cause = "rollback-timeout" if self._rolling_back else "deployment-timeout"
        return Outcome(EXIT_TIMEOUT, cause, {"seconds": self._asked.wait_timeout}, self._stage.partition(":")[0])

    def _abort(self) -> None:
        """Do what on-abort says, and say what ECS does now."""
        name = self._interrupts.name
        self._interrupts.acknowledge()
        if not self._sent:
            self._streams.say(f"aborted by {name}; nothing was deployed")
        elif self._asked.on_abort == "leave":
            self._streams.say(f"aborted by {name}; {self._left_behind()}")
        else:
            done = ""
            try:
                with self._interrupts.at_most(_FAREWELL):
                    done = self._roll_back()
            except EcsExecError as error:
                done = f"the rollback failed: {error}"
            self._streams.say(f"aborted by {name}; {done or 'ECS did not confirm the rollback in time: look at it'}")

    def _left_behind(self) -> str:
        if self._ours:
            return f"ECS goes on with deployment {self._ours}"
        return "ECS may have received the request to deploy"

    def _roll_back(self) -> str:
        """Ask ECS to return to the old revision; return what it does, in words."""
        service = self._calls.describe()
        newest = identity(primary(service))
        if newest not in self._before:
            if self._ours and newest != self._ours:
                return f"nothing was rolled back: somebody else's deployment {newest} is the newest one"
            if not self._ours and not self._is_wanted(str(primary(service).get("taskDefinition") or "")):
                return f"nothing was rolled back: deployment {newest} may be somebody else's"
        ours = self._ours or newest
        refused = ""
        try:
            if record := self._record or self._record_to_stop(service, ours):
                self._calls.roll_back(record)
                return f"ECS rolls deployment {ours} back"
        except AwsError as error:
            if error.transient:
                raise
            refused = f"; {error.effect}: {error.code}"
        if newest in self._before and not deployment.find(service, self._ours):
            return "the service is at its old revision"
        return f"{self._go_back(ours)}{refused}"

    def _record_to_stop(self, service: Service, ours: str) -> str:
        if ours not in self._before:
            return self._calls.find_record(ours, deployment.find(service, ours).get("createdAt"))
        record = self._calls.current_record(service, self._old_record)
        return str((record or {}).get("serviceDeploymentArn") or "")

    def _is_wanted(self, definition: str) -> bool:
        """Return whether a task definition is the one that was asked for, as ARN, as family:revision or as family."""
        wanted, runs = short(self._wanted), short(definition)
        return runs == wanted or (":" not in wanted and runs.partition(":")[0] == wanted)

    def _go_back(self, newest: str) -> str:
        """Deploy the old revision: ECS has no service deployment that could be rolled back."""
        if short(self._wanted) == short(self._old_definition) and self._asked.desired_count is None:
            return f"ECS goes on with deployment {newest}: it runs the same revision as before"
        parameters: dict[str, Any] = {"taskDefinition": self._old_definition}
        if self._asked.desired_count is not None:
            parameters["desiredCount"] = self._old_count
        self._calls.update(**parameters)
        return f"ECS deploys {short(self._old_definition)} again"
