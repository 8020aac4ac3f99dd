"""The AWS calls about one service, for the steps that deploy and scale it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from ecs_exec.ecs.api import list_field, whole_list
from ecs_exec.errors import AwsError, TargetError, Where
from ecs_exec.retry import CALL
from ecs_exec.settings.target import ARN
from ecs_exec.signals import Interrupts
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.deployment import Service, identity, primary
from ecs_exec.task_description import Described, short

_PAGE = 100
_CERTAIN = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"})
"""Refusals after which a call certainly had no effect."""

_LOOKS = 3
_BETWEEN_LOOKS = 2.0
"""How often, and after how many seconds, the service is looked at after an answer was lost."""

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

    def deploy(self, before: frozenset[str], **parameters: Any) -> Service:  # noqa: ANN401 - AWS's own
        """Force a new deployment, and return the service.

        If the answer is lost, ECS may have received the call: it is repeated only if no new deployment is there.
        """
        for tries in count(1):
            try:
                return self.update(forceNewDeployment=True, **parameters)
            except AwsError as error:
                if not error.transient or tries > _LOOKS:
                    raise
                if error.code not in _CERTAIN:
                    self._caller.line("ecs:UpdateService was not answered; looking for the new deployment")
                    found = self._look_for_new(before)
                    if found is not None:
                        return found
                    self._caller.line("ECS has no new deployment; calling ecs:UpdateService again")
            self._caller.pause(CALL.delay(tries))
        raise AssertionError  # counting has no end

    def _look_for_new(self, before: frozenset[str]) -> Service | None:
        for _ in range(_LOOKS):
            service = self.describe()
            if identity(primary(service)) not in before:
                return service
            self._caller.pause(_BETWEEN_LOOKS)
        return None

    def tasks(self, *, stopped: bool, known: frozenset[str] = frozenset()) -> list[Described]:
        """Describe the tasks of the service whose desired status is RUNNING or STOPPED, except `known` ones."""
        status = "STOPPED" if stopped else "RUNNING"
        parameters = {"cluster": self.cluster, "serviceName": self.service, "desiredStatus": status}

        def page(token: str) -> tuple[list[str], str]:
            more = {"nextToken": token} if token else {}
            answer = self._call("ListTasks", **parameters, maxResults=_PAGE, **more)
            return list_field(answer, "taskArns", "ecs:ListTasks"), str(answer.get("nextToken") or "")

        arns = whole_list("ecs:ListTasks", self.name, page)
        return list(self._caller.tasks(self.cluster, [arn for arn in arns if arn not in known]))

    # --- Service deployments

    def find_record(self, service: Service, before: str) -> str:
        """Return the ARN of the service deployment of the newest deployment; empty if it is not listed.

        `before` is the ARN of the one that was current before. The ARN of the target revision ends with the number of
        the deployment, ecs-svc/NUMBER.
        """
        newest = primary(service)
        wanted = short(identity(newest))
        created = newest.get("createdAt")
        after = {"createdAt": {"after": created - _EARLIER}} if isinstance(created, datetime) else {}
        answer = self._call("ListServiceDeployments", cluster=self.cluster, service=self.service, **after)
        listed = list_field(answer, "serviceDeployments", "ecs:ListServiceDeployments", Mapping)
        exact = [each for each in listed if short(str(each.get("targetServiceRevisionArn") or "")) == wanted]
        current = str(service.get("currentServiceDeployment") or "")
        if not exact and current and current != before:
            return current
        later = [each for each in listed if each.get("serviceDeploymentArn") != before and _began(each, created)]
        chosen = exact or (later if len(later) == 1 else [])
        return str(chosen[0].get("serviceDeploymentArn") or "") if chosen else ""

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
        """Register a revision, without a retry, and return it."""
        where = f"task definition {content.get('family')}"
        with self._interrupts.immediate():
            answer = self._caller.aws.call("ecs", "RegisterTaskDefinition", where, **content)
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


def _began(each: Mapping[str, Any], created: object) -> bool:
    began = each.get("createdAt")
    near = timedelta(seconds=5)
    return isinstance(began, datetime) and isinstance(created, datetime) and began >= created - near
