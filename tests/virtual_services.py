"""The emulator's services without HTTP and without waiting: a step runs against them in this process.

Time only passes when somebody waits, so a deployment of an hour takes milliseconds. Requests and answers are checked
against botocore's model.
"""

from __future__ import annotations

import asyncio
import json
import selectors
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from math import inf
from tempfile import TemporaryFile
from types import ModuleType
from typing import Any, cast

import botocore.session
from botocore.validate import ParamValidator

from e2e.service_steps import Ended
from ecs_exec.ecs.client import Refused
from ecs_exec.ecs.failures import translated
from ecs_exec.errors import EcsExecError
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.steps.calls import Caller
from ecs_exec.streams import OutputStreams
from emulator.aws import ApiError, Request, Response, answer
from emulator.deployments import Deployments
from emulator.service import Service
from emulator.world import Cluster, Task, load, tasks_of

_NOW = 1_800_000_000.0
_CHECKED = 20
"""Calls of each action that are checked: later ones look alike."""
_CALL_TAKES = 0.05
"""Seconds of an AWS call."""


class _Warp(selectors.DefaultSelector):
    """Lets the time of a loop jump to the next timer instead of waiting for it."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Jump, a little too far: a sum that is rounded down would never get there."""
        self.loop.now += timeout + 1e-6 if timeout else 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes at once."""

    def __init__(self) -> None:
        """Begin at 0."""
        selector = _Warp()
        selector.loop = self
        self.now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        """Return the time of the loop."""
        return self.now


@lru_cache
def _model() -> Any:  # noqa: ANN401 - botocore's
    return botocore.session.get_session().get_service_model("ecs")


def _check(action: str, content: Mapping[str, Any], *, output: bool) -> None:
    operation = _model().operation_model(action)
    report = ParamValidator().validate(content, operation.output_shape if output else operation.input_shape)
    assert not report.has_errors(), f"{action}: {report.generate_report()}"


@dataclass
class VirtualEcs:
    """ECS with the services of a world; it takes the place of ecs_exec's client, and of the emulator's service."""

    world_file: Mapping[str, Any]
    region: str = "us-east-1"
    faults: dict[str, list[str]] = field(default_factory=dict)
    """Error codes of the next calls, by action. `lost` is an answer that is lost after the call had its effect."""
    calls: list[str] = field(default_factory=list)
    registered: list[str] = field(default_factory=list)
    """Task definitions that the step has registered."""

    def __post_init__(self) -> None:
        """Begin."""
        self.loop = VirtualLoop()
        self.world = load(self.world_file)
        self.tasks: list[Task] = tasks_of(self.world, self.clock())
        self.control = self
        self._definitions: dict[str, list[dict[str, Any]]] = {}
        for task in self.tasks:
            self._definitions.setdefault(task.group.family, [self._first_definition(task)])
        self.deployments = Deployments(cast("Service", self), self.clock)
        self.deployments.begin()

    # --- What the step calls

    def call(self, service: str, action: str, where: str, /, **parameters: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """Make a call."""
        return translated(
            f"{service}:{action}", where, lambda: self.region, lambda: self._call(service, action, parameters)
        )

    def describe_tasks(self, cluster: str, arns: list[str]) -> tuple[list[dict[str, Any]], list[Any]]:
        """Describe tasks."""
        assert cluster
        return [self._described(task) for task in self.tasks if self.task_arn(task) in arns], []

    def clock(self) -> float:
        """Return the time, in seconds since 1970."""
        return _NOW + self.loop.time()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run_until_complete(asyncio.sleep(max(0.0, seconds)))

    def _call(self, service: str, action: str, parameters: dict[str, Any]) -> Mapping[str, Any]:
        self.wait(_CALL_TAKES)
        self.calls.append(action)
        fault = self.faults[action].pop(0) if self.faults.get(action) else ""
        if fault and fault != "lost":
            raise Refused(fault, "as the test wants it", 400)
        checks = service == "ecs" and self.calls.count(action) < _CHECKED
        if checks:
            _check(action, parameters, output=False)
        handlers = {**self.deployments.handlers, "DescribeScalableTargets": self.deployments.scalable_targets}
        request = Request(service, action, self.region, "", _epochs(parameters), b"", {})
        try:
            found: Mapping[str, Any]
            if handler := handlers.get(action):
                found = _moments(json.loads(self.loop.run_until_complete(handler(request)).body))
            else:
                found = {
                    "ListTasks": self._list_tasks,
                    "DescribeTaskDefinition": self._describe_definition,
                    "RegisterTaskDefinition": self._register,
                }[action](parameters)
        except ApiError as error:
            raise Refused(error.code, error.message, error.status) from error
        if checks:
            _check(action, found, output=True)
        if fault:
            raise Refused("RequestTimeout", "the answer was lost", 400)
        return found

    # --- What the deployments ask the emulator's service for

    def arn(self, kind: str, path: str) -> str:
        """Return an ARN of ECS."""
        return f"arn:aws:ecs:{self.region}:{self.world.account}:{kind}/{path}"

    def task_arn(self, task: Task) -> str:
        """Return a task's ARN."""
        return self.arn("task", f"{task.group.cluster}/{task.id}")

    def cluster(self, request: Request) -> Cluster:
        """Return the cluster of a call."""
        return next(each for each in self.world.clusters if each.name == request.text("cluster").rpartition("/")[2])

    async def stop_task(self, task: Task, code: str, reason: str, exit_code: int | None = None) -> None:
        """Stop a task."""
        task.last_status, task.stop_code, task.stopped_reason = "STOPPED", code, reason
        task.stopped = self.clock()
        task.change_containers(exit_code=exit_code)

    async def json(self, request: Request) -> tuple[Response, dict[str, Any]]:
        """Answer about a service as moto does, without what the deployments add."""
        names = request.texts("services") or [request.text("service")]
        known = {group.service for group in self.cluster(request).groups}
        found = [self._service(request, name.rpartition("/")[2]) for name in names if name.rpartition("/")[2] in known]
        content = {"service": found[0]} if request.action == "UpdateService" else {"services": found}
        return answer(content), content

    async def images(self, definition: str) -> dict[str, str]:
        """Return the images of a task definition by container."""
        return {item["name"]: item["image"] for item in self._definition(definition)["containerDefinitions"]}

    async def add(self, task: Task, definition: str) -> None:
        """Do nothing: the task is in the list already."""

    def _service(self, request: Request, name: str) -> dict[str, Any]:
        cluster = self.cluster(request).name
        more = {}
        if request.text("taskDefinition"):
            more["taskDefinition"] = self._definition(request.text("taskDefinition"))["taskDefinitionArn"]
        arns = {"serviceArn": self.arn("service", f"{cluster}/{name}"), "clusterArn": self.arn("cluster", cluster)}
        return {"serviceName": name, **arns, **more}

    # --- Tasks and task definitions

    def _described(self, task: Task) -> dict[str, Any]:
        containers = [
            {"name": item.name, **({} if item.exit_code is None else {"exitCode": item.exit_code})}
            for item in task.group.containers
        ]
        found: dict[str, Any] = {
            "taskArn": self.task_arn(task),
            "lastStatus": task.last_status,
            "startedBy": task.deployment,
            "taskDefinitionArn": self.arn("task-definition", f"{task.group.family}:{task.revision}"),
            "createdAt": datetime.fromtimestamp(task.started, timezone.utc),
            "containers": containers,
        }
        return found | ({"stopCode": task.stop_code, "stoppedReason": task.stopped_reason} if task.stop_code else {})

    def _list_tasks(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        stopped = parameters.get("desiredStatus") == "STOPPED"
        name = parameters["serviceName"].rpartition("/")[2]
        mine = [task for task in self.tasks if task.group.service == name]
        if not self.deployments.is_active(parameters["cluster"], name):
            raise ApiError("ServiceNotFoundException", "Service not found.")
        ended = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")
        return {"taskArns": [self.task_arn(task) for task in mine if (task.last_status in ended) == stopped]}

    def _first_definition(self, task: Task) -> dict[str, Any]:
        containers = [
            {"name": item.name, "image": item.image, "essential": item.essential} for item in task.group.containers
        ]
        return self._made(task.group.family, task.revision, {"containerDefinitions": containers})

    def _made(self, family: str, revision: int, content: Mapping[str, Any]) -> dict[str, Any]:
        arn = self.arn("task-definition", f"{family}:{revision}")
        return {**content, "family": family, "revision": revision, "taskDefinitionArn": arn, "status": "ACTIVE"}

    def _definition(self, name: str) -> dict[str, Any]:
        family, _, revision = name.rpartition("/")[2].partition(":")
        found = self._definitions.get(family, [])
        chosen = [each for each in found if not revision or each["revision"] == int(revision)]
        if not chosen:
            raise ApiError("ClientException", "Unable to describe task definition.")
        return chosen[-1]

    def _describe_definition(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {"taskDefinition": self._definition(parameters["taskDefinition"]), "tags": []}

    def _register(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        family = parameters["family"]
        revisions = self._definitions.setdefault(family, [])
        number = revisions[-1]["revision"] + 1 if revisions else 1
        content = {name: value for name, value in parameters.items() if name != "tags"}
        revisions.append(self._made(family, number, content))
        self.registered.append(revisions[-1]["taskDefinitionArn"])
        return {"taskDefinition": revisions[-1]}

    def end(self) -> None:
        """End everything that goes on."""
        self.deployments.end()
        self.wait(0)
        self.loop.close()


class _VirtualCaller(Caller):
    """Waits in virtual time."""

    ecs: VirtualEcs
    abort_at: float

    def pause(self, seconds: float) -> None:
        """Wait. Raises Aborted when its time has come."""
        left = self.abort_at - self.clock()
        self.ecs.wait(min(seconds, max(left, 0)))
        if left <= seconds:
            self.abort_at = inf
            raise Aborted


def run(step: ModuleType, asked: Any, ecs: VirtualEcs, abort_after: float = inf) -> Ended:  # noqa: ANN401
    """Run a step with its settings to its end, or abort it after some seconds."""
    with Interrupts() as interrupts, TemporaryFile() as out, TemporaryFile() as err:
        streams = OutputStreams(interrupts, stdout=out.fileno(), stderr=err.fileno())
        caller = _VirtualCaller(cast("Any", ecs), interrupts, streams, ecs.loop.time)
        caller.ecs, caller.abort_at = ecs, ecs.loop.time() + abort_after
        try:
            status = step.run(asked, caller, interrupts, streams)
        except EcsExecError as error:
            status = 125
            streams.say(str(error))
        out.seek(0)
        err.seek(0)
        return Ended(status, out.read().decode().splitlines(), err.read().decode())


_TIMES = frozenset({"createdAt", "updatedAt", "startedAt", "finishedAt", "stoppedAt"})


def _moments(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return an answer as botocore gives it, with datetimes instead of numbers."""
    if isinstance(value, dict):
        return {
            name: datetime.fromtimestamp(item, timezone.utc)
            if name in _TIMES and isinstance(item, (int, float))
            else _moments(item)
            for name, item in value.items()
        }
    return [_moments(item) for item in value] if isinstance(value, list) else value


def _epochs(value: Any) -> Any:  # noqa: ANN401 - any parameters
    if isinstance(value, Mapping):
        return {name: _epochs(item) for name, item in value.items()}
    return value.timestamp() if isinstance(value, datetime) else value
