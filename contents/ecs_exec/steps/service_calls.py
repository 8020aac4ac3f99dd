"""The AWS calls about one service, for the steps that deploy and scale it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from ecs_exec.ecs.api import list_field, whole_list
from ecs_exec.ecs.failures import THROTTLED
from ecs_exec.errors import AwsError, TargetError, Where
from ecs_exec.retry import CALL
from ecs_exec.settings.target import ARN
from ecs_exec.signals import Interrupts
from ecs_exec.steps.calls import PATIENCE, Caller
from ecs_exec.steps.deployment import Service
from ecs_exec.task_description import Described, short

_PAGE = 100
_LOST = 3
"""How often a deployment whose answer was lost is requested again."""
_BETWEEN_LOOKS = 2.0
"""Seconds between looks at the service after an answer was lost."""

_EARLIER = timedelta(minutes=1)
"""Service deployments are listed from so long before the deployment: the two times may differ."""


class ServiceCalls:
    """Makes the calls about a service. All of them raise AwsError or Aborted."""

    def __init__(self, caller: Caller, interrupts: Interrupts, cluster: str, service: str) -> None:
        """Take the service: a name or an ARN."""
        self.cluster, self.service = cluster, service
        self.name = f"service {short(service)} in cluster {short(cluster)}"
        self._caller = caller
        self._interrupts = interrupts

    def _call(self, action: str, **parameters: Any) -> Mapping[str, Any]:  # noqa: ANN401 - AWS's own
        return self._caller.patiently(lambda: self._caller.aws.call("ecs", action, self.name, **parameters))

    # --- The service

    def describe(self) -> Service:
        """Describe the service. Raises TargetError if there is none."""
        answer = self._call("DescribeServices", cluster=self.cluster, services=[self.service])
        found: list[Service] = list_field(answer, "services", "ecs:DescribeServices", Mapping)
        if found:
            return found[0]
        where = Where(short(self.cluster), region=self._caller.aws.region)
        raise TargetError(name="service-not-described", where=where, service=short(self.service))

    def update(self, **parameters: Any) -> Service:  # noqa: ANN401 - AWS's own
        """Update the service, without a retry. The answer describes it."""
        with self._interrupts.immediate():
            answer = self._caller.aws.call(
                "ecs", "UpdateService", self.name, cluster=self.cluster, service=self.service, **parameters
            )
        service = answer.get("service")
        if not isinstance(service, Mapping):
            raise AwsError(name="not-aws", said="the answer of ecs:UpdateService contains no service")
        return service

    def scale(self, count: int) -> Service:
        """Set the number of tasks. A repeated call does no harm: the number is an absolute one."""
        return self._caller.patiently(lambda: self.update(desiredCount=count))

    def deploy(self, has_begun: Callable[[Service], bool], within: float, **parameters: Any) -> Service:  # noqa: ANN401
        """Force a new deployment, and return the service.

        If the answer is lost, ECS may have received the call: it is repeated only if no new deployment is seen to begin
        within so many seconds.
        """
        until = self._caller.clock() + PATIENCE
        lost = 0
        for tries in count(1):
            try:
                return self.update(forceNewDeployment=True, **parameters)
            except AwsError as error:
                if not error.transient or lost >= _LOST or self._caller.clock() + CALL.most(tries) >= until:
                    raise
                if error.code not in THROTTLED:
                    lost += 1
                    self._caller.line("ecs:UpdateService was not answered; looking for the new deployment")
                    found = self._look_for_new(has_begun, within)
                    if found is not None:
                        return found
                    self._caller.line("ECS has no new deployment; calling ecs:UpdateService again")
                    until = self._caller.clock() + PATIENCE
            self._caller.pause(CALL.delay(tries))
        raise AssertionError  # counting has no end

    def _look_for_new(self, has_begun: Callable[[Service], bool], within: float) -> Service | None:
        until = self._caller.clock() + within
        while self._caller.clock() < until:
            service = self.describe()
            if has_begun(service):
                return service
            self._caller.pause(_BETWEEN_LOOKS)
        return None

    def tasks(self, *, stopped: bool, known: frozenset[str] = frozenset()) -> list[Described]:
        """Describe the tasks of the service whose desired status is RUNNING or STOPPED, except `known` ones."""
        status = "STOPPED" if stopped else "RUNNING"
        parameters = {"cluster": self.cluster, "serviceName": short(self.service), "desiredStatus": status}

        def page(token: str) -> tuple[list[str], str]:
            more = {"nextToken": token} if token else {}
            answer = self._call("ListTasks", **parameters, maxResults=_PAGE, **more)
            return list_field(answer, "taskArns", "ecs:ListTasks"), str(answer.get("nextToken") or "")

        arns = whole_list("ecs:ListTasks", self.name, page)
        return list(self._caller.tasks(self.cluster, [arn for arn in arns if arn not in known]))

    # --- Service deployments

    def current_record(self, service: Service, before: str) -> Mapping[str, Any] | None:
        """Describe the current service deployment of a service; None if it is `before`, or if there is none."""
        current = str(service.get("currentServiceDeployment") or "")
        return self.record(current) if current and current != before else None

    def targets(self) -> dict[str, str]:
        """Return the newest service deployments: their ARNs, with the ids of the deployments that they aim at."""
        return self._listed({})

    def _listed(self, only: Mapping[str, Any]) -> dict[str, str]:
        parameters = {"cluster": self.cluster, "service": self.service, "maxResults": _PAGE}
        answer = self._call("ListServiceDeployments", **parameters, **only)
        listed = list_field(answer, "serviceDeployments", "ecs:ListServiceDeployments", Mapping)
        return {str(each.get("serviceDeploymentArn")): _target(each.get("targetServiceRevisionArn")) for each in listed}

    def find_record(self, deployment: str, since: object) -> str:
        """Return the ARN of the service deployment of a deployment; empty if it is not listed (yet).

        Its target revision has the number of the deployment, ecs-svc/NUMBER: AWS documents neither, but Terraform's
        provider, whose code for it was written at AWS, relies on it (findPrimaryDeploymentARN), and tasks have the same
        id in startedBy.
        """
        after = {"createdAt": {"after": since - _EARLIER}} if isinstance(since, datetime) else {}
        return next((arn for arn, target in self._listed(after).items() if target == deployment), "")

    def record(self, arn: str) -> Mapping[str, Any] | None:
        """Describe a service deployment; None if ECS does not know it."""
        answer = self._call("DescribeServiceDeployments", serviceDeploymentArns=[arn])
        found = list_field(answer, "serviceDeployments", "ecs:DescribeServiceDeployments", Mapping)
        return found[0] if found else None

    def roll_back(self, arn: str) -> None:
        """Ask ECS to return to the revision before. A second request does no harm."""
        self._call("StopServiceDeployment", serviceDeploymentArn=arn, stopType="ROLLBACK")

    # --- Task definitions

    def definition(self, name: str) -> tuple[dict[str, Any], list[Any]]:
        """Return a task definition and its tags."""
        where = f"task definition {short(name)}"
        answer = self._caller.patiently(
            lambda: self._caller.aws.call("ecs", "DescribeTaskDefinition", where, taskDefinition=name, include=["TAGS"])
        )
        found = answer.get("taskDefinition")
        if not isinstance(found, Mapping) or not isinstance(found.get("containerDefinitions"), list):
            raise AwsError(name="not-aws", said="the answer of ecs:DescribeTaskDefinition contains no task definition")
        return dict(found), list(answer.get("tags") or [])

    def register(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Register a revision, and return it. Only a throttled call is repeated: no other one is without effect."""
        where = f"task definition {content.get('family')}"
        answer = self._caller.patiently(
            lambda: self._caller.aws.call("ecs", "RegisterTaskDefinition", where, **content),
            lambda error: error.code in THROTTLED,
        )
        found = answer.get("taskDefinition")
        if not isinstance(found, Mapping) or not found.get("taskDefinitionArn"):
            raise AwsError(name="not-aws", said="the answer of ecs:RegisterTaskDefinition contains no task definition")
        return found

    # --- Application Auto Scaling

    def scaling(self, service: Service) -> tuple[int, int] | None:
        """Return the least and the most tasks of Application Auto Scaling; None if it does not scale the service."""
        arn = str(service.get("serviceArn") or "")
        found = ARN.fullmatch(arn)
        cluster = short(str(service.get("clusterArn") or self.cluster))
        name = short(found["path"]) if found else short(self.service)
        answer = self._caller.patiently(
            lambda: self._caller.aws.call(
                "application-autoscaling",
                "DescribeScalableTargets",
                self.name,
                ServiceNamespace="ecs",
                ResourceIds=[f"service/{cluster}/{name}"],
                ScalableDimension="ecs:service:DesiredCount",
            )
        )
        targets = list_field(answer, "ScalableTargets", "application-autoscaling:DescribeScalableTargets", Mapping)
        if not targets:
            return None
        return int(targets[0].get("MinCapacity") or 0), int(targets[0].get("MaxCapacity") or 0)


def target_of(record: Mapping[str, Any]) -> str:
    """Return the id of the deployment that a service deployment aims at; empty if it does not say."""
    revision = record.get("targetServiceRevision")
    return _target(revision.get("arn")) if isinstance(revision, Mapping) else ""


def _target(revision: object) -> str:
    number = short(str(revision or ""))
    return f"ecs-svc/{number}" if number else ""
