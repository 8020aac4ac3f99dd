"""How ECS deploys and scales services: with the speed and the faults of the world's file.

moto is asked for the services; their deployments, events and counts are this module's, because moto's services start no
tasks. The answers about service deployments have the fields of botocore's model.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from emulator import aws, strategies
from emulator.aws import ApiError, Request, Response
from emulator.world import STOPPING, Group, Task, first_deployment, later_task

if TYPE_CHECKING:
    from emulator.service import Service

_OVER = frozenset({"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"})
_EVENTS = 100


@dataclass
class Deployment:
    """A deployment as ecs:DescribeServices shows it, and the service deployment that belongs to it."""

    id: str
    definition: str
    desired: int
    created: float
    rollout: str = "IN_PROGRESS"
    reason: str = ""
    failed: int = 0
    status: str = "PENDING"
    """The status of the service deployment."""
    status_reason: str = ""
    rollback_reason: str = ""
    tripped: bool = False
    finished: float = 0.0
    listed: bool = True
    serving: bool = True
    """It may be the PRIMARY one."""
    stage: str = ""
    weight: float = 0.0
    """Percentage of the production traffic."""
    hook: str = ""
    """The status of the stage's lifecycle hook."""
    alarm: bool = False
    """An alarm went off."""

    @property
    def number(self) -> str:
        """Return the number that its id and the ARN of its service revision share."""
        return self.id.rpartition("/")[2]


@dataclass
class Deployed:
    """A service."""

    group: Group
    desired: int
    deployments: list[Deployment]
    """The newest is the last."""
    primary: Deployment
    history: list[Deployment] = field(default_factory=list)
    """Those that began after the start of the emulator."""
    events: list[dict[str, Any]] = field(default_factory=list)
    failures: int = 0
    """Tasks that are still to fail."""
    started: int = 0
    rivals: int = 1
    status: str = "ACTIVE"
    work: list[asyncio.Task[None]] = field(default_factory=list)


class Deployments:
    """The services of the world."""

    def __init__(self, service: Service, clock: Callable[[], float] = time.time) -> None:
        """Take the emulator's service, which has the tasks, and the clock of all times that are shown."""
        self._service = service
        self._clock = clock
        self._services: dict[tuple[str, str], Deployed] = {}
        self._numbers = itertools.count(7_000_000_000_000_000_001)
        self.handlers: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
            "DescribeServices": self._describe,
            "UpdateService": self._update,
            "ListServiceDeployments": self._list,
            "DescribeServiceDeployments": self._describe_deployments,
            "StopServiceDeployment": self._stop,
        }

    def begin(self) -> None:
        """Take the services as the world has them."""
        for cluster in self._service.world.clusters:
            for group in (group for group in cluster.groups if group.service):
                mine = [task for task in self._service.tasks if task.group is group]
                revision = mine[0].revision if mine else 1
                arn = self._service.arn("task-definition", f"{group.family}:{revision}")
                created = min((task.started for task in mine), default=1_700_000_000.0)
                first = Deployment(first_deployment(group), arn, group.desired, created, "COMPLETED", finished=created)
                deployed = Deployed(group, group.desired, [first], first, failures=group.rollout.fails)
                self._services[cluster.name, group.service] = deployed

    def end(self) -> None:
        """Stop everything that goes on."""
        for deployed in self._services.values():
            for work in deployed.work:
                work.cancel()
        self._services.clear()

    def is_active(self, cluster: str, service: str) -> bool:
        """Return whether nobody has deleted a service."""
        return self._services[cluster, service].status == "ACTIVE"

    # --- Calls

    def _of(self, request: Request) -> Deployed:
        cluster = self._service.cluster(request).name
        name = request.text("service").rpartition("/")[2]
        if (cluster, name) not in self._services:
            raise ApiError("ServiceNotFoundException", "Service not found.")
        return self._services[cluster, name]

    async def _describe(self, request: Request) -> Response:
        cluster = self._service.cluster(request).name
        response, content = await self._service.control.json(request)
        for item in content.get("services", []):
            if deployed := self._services.get((cluster, item["serviceName"])):
                self._overlay(item, deployed)
        return response if response.status != 200 else aws.answer(content)

    def _overlay(self, item: dict[str, Any], deployed: Deployed) -> None:
        rollout = deployed.group.rollout
        shown = [self._shown(deployed, each) for each in reversed(deployed.deployments) if each.listed]
        item |= {
            "status": deployed.status,
            "taskDefinition": self._primary(deployed).definition,
            "desiredCount": deployed.desired,
            "runningCount": sum(each["runningCount"] for each in shown),
            "pendingCount": sum(each["pendingCount"] for each in shown),
            "deployments": shown,
            "events": deployed.events[:_EVENTS],
            "deploymentController": {"type": rollout.controller},
            "schedulingStrategy": rollout.scheduling,
            "deploymentConfiguration": strategies.configuration(rollout),
        }
        recorded = self._recorded(deployed)
        if rollout.api and recorded and recorded[-1].status not in _OVER:
            item["currentServiceDeployment"] = self._arn(deployed, recorded[-1])

    def _primary(self, deployed: Deployed) -> Deployment:
        """Return the deployment that is shown as the PRIMARY one."""
        if deployed.primary.listed and deployed.primary.serving:
            return deployed.primary
        return next(each for each in reversed(deployed.deployments) if each.listed and each.serving)

    def _recorded(self, deployed: Deployed) -> list[Deployment]:
        """Return the deployments whose service deployments ECS lists."""
        before = self._clock() - deployed.group.rollout.recorded_after
        return [each for each in deployed.history if each.created <= before]

    def _shown(self, deployed: Deployed, deployment: Deployment) -> dict[str, Any]:
        mine = [task for task in self._tasks(deployed) if task.deployment == deployment.id]
        states = {"rolloutState": deployment.rollout, "rolloutStateReason": deployment.reason}
        stays = deployed.group.rollout.strategy != "ROLLING" and deployed.primary.stage != "CLEAN_UP"
        return {
            "id": deployment.id,
            "status": "PRIMARY" if deployment is self._primary(deployed) else "ACTIVE",
            "taskDefinition": deployment.definition,
            "desiredCount": deployment.desired if deployment is deployed.primary or stays else 0,
            "pendingCount": sum(task.last_status == "PENDING" for task in mine),
            "runningCount": sum(task.running for task in mine),
            "failedTasks": deployment.failed,
            "createdAt": deployment.created,
            "updatedAt": deployment.created,
            "launchType": deployed.group.launch_type,
            **(states if deployed.group.rollout.states else {}),
        }

    async def _update(self, request: Request) -> Response:
        deployed = self._of(request)
        response, content = await self._service.control.json(request)
        if response.status != 200:
            return response
        if (count := request.parameters.get("desiredCount")) is not None:
            deployed.desired = int(count)
        definition = request.text("taskDefinition")
        if definition:
            definition = await self._newest(request, str(content["service"]["taskDefinition"]))
        changed = definition not in ("", deployed.primary.definition)
        if changed or request.parameters.get("forceNewDeployment"):
            self._deploy(deployed, definition or deployed.primary.definition)
        else:
            self._set_count(deployed, deployed.desired)
            if deployed.group.rollout.deleted:
                self._go_on(deployed, self._delete(deployed))
            if deployed.group.rollout.undone:
                self._go_on(deployed, self._undo(deployed))
        self._overlay(content["service"], deployed)
        return aws.answer(content)

    async def _newest(self, request: Request, definition: str) -> str:
        """Return the ARN of a task definition; of a family, its newest revision."""
        name = definition.rpartition("/")[2]
        if ":" in name:
            return self._service.arn("task-definition", name)
        headers = {**request.headers, "X-Amz-Target": f"{aws.ECS}.DescribeTaskDefinition"}
        _, described = await self._service.control.json(replace(request, headers=headers), {"taskDefinition": name})
        return str(described["taskDefinition"]["taskDefinitionArn"])

    async def _list(self, request: Request) -> Response:
        deployed = self._of(request)
        self._check_api(deployed)
        after = (request.parameters.get("createdAt") or {}).get("after", 0)
        found = [each for each in reversed(self._recorded(deployed)) if each.created >= float(after)]
        brief = ("serviceDeploymentArn", "serviceArn", "clusterArn", "startedAt", "createdAt", "finishedAt", "status")
        listed = []
        for each in found:
            shown = self._record(deployed, each)
            listed.append({name: shown[name] for name in (*brief, "statusReason") if name in shown})
            listed[-1]["targetServiceRevisionArn"] = shown["targetServiceRevision"]["arn"]
        return aws.answer({"serviceDeployments": listed})

    async def _describe_deployments(self, request: Request) -> Response:
        found, failures = [], []
        for arn in request.texts("serviceDeploymentArns"):
            known = [(deployed, each) for deployed, each in self._history() if self._arn(deployed, each) == arn]
            for deployed, each in known:
                self._check_api(deployed)
                found.append(self._record(deployed, each))
            if not known:
                failures.append({"arn": arn, "reason": "MISSING"})
        return aws.answer({"serviceDeployments": found, "failures": failures})

    async def _stop(self, request: Request) -> Response:
        arn = request.text("serviceDeploymentArn")
        for deployed, each in self._history():
            if self._arn(deployed, each) == arn:
                self._check_api(deployed)
                if each.status in _OVER:
                    raise ApiError("ConflictException", "The service deployment is not in a state to be stopped.")
                if each.status.startswith("ROLLBACK"):
                    return aws.answer({"serviceDeploymentArn": arn})
                each.status, each.rollback_reason = "ROLLBACK_REQUESTED", "Service deployment was stopped by a user."
                self._go_on(deployed, self._roll_back(deployed, each))
                return aws.answer({"serviceDeploymentArn": arn})
        raise ApiError("ServiceDeploymentNotFoundException", "The service deployment does not exist.")

    async def scalable_targets(self, request: Request) -> Response:
        """Answer DescribeScalableTargets of Application Auto Scaling."""
        found = []
        for name in request.texts("ResourceIds"):
            _, cluster, service = (*name.split("/"), "", "")[:3]
            deployed = self._services.get((cluster, service))
            if deployed and deployed.group.rollout.scaling:
                least, most = deployed.group.rollout.scaling.split("-")
                found.append(
                    {
                        "ServiceNamespace": "ecs",
                        "ResourceId": name,
                        "ScalableDimension": "ecs:service:DesiredCount",
                        "MinCapacity": int(least),
                        "MaxCapacity": int(most),
                        "RoleARN": f"arn:aws:iam::{self._service.world.account}:role/scaling",
                        "CreationTime": 1_700_000_000,
                    }
                )
        return aws.answer({"ScalableTargets": found})

    def _history(self) -> list[tuple[Deployed, Deployment]]:
        return [(deployed, each) for deployed in self._services.values() for each in deployed.history]

    def _check_api(self, deployed: Deployed) -> None:
        if not deployed.group.rollout.api:
            raise ApiError("UnsupportedFeatureException", "This feature is not supported.")

    def _arn(self, deployed: Deployed, deployment: Deployment) -> str:
        group = deployed.group
        return self._service.arn("service-deployment", f"{group.cluster}/{group.service}/D{deployment.number}")

    def _record(self, deployed: Deployed, deployment: Deployment) -> dict[str, Any]:
        group, rollout = deployed.group, deployed.group.rollout
        path = f"{group.cluster}/{group.service}"
        shown = self._shown(deployed, deployment)
        monitor = "TRIGGERED" if deployment.tripped else "MONITORING"
        record: dict[str, Any] = {
            "serviceDeploymentArn": self._arn(deployed, deployment),
            "serviceArn": self._service.arn("service", path),
            "clusterArn": self._service.arn("cluster", group.cluster),
            "createdAt": deployment.created,
            "startedAt": deployment.created,
            "status": deployment.status,
            "targetServiceRevision": {
                "arn": self._service.arn("service-revision", f"{path}/{deployment.number}"),
                "requestedTaskCount": deployment.desired,
                "runningTaskCount": shown["runningCount"],
                "pendingTaskCount": shown["pendingCount"],
                **({} if rollout.strategy == "ROLLING" else {"requestedProductionTrafficWeight": deployment.weight}),
            },
            "deploymentCircuitBreaker": {
                "status": monitor if rollout.circuit_breaker else "DISABLED",
                "failureCount": deployment.failed,
                "threshold": rollout.circuit_breaker or 3,
            },
        }
        record |= strategies.record(rollout, deployment, deployment.number)
        if deployment.status_reason:
            record["statusReason"] = deployment.status_reason
        if deployment.rollback_reason:
            record["rollback"] = {"reason": deployment.rollback_reason}
        if deployment.finished:
            record["finishedAt"] = deployment.finished
        return record

    # --- What happens

    def _tasks(self, deployed: Deployed) -> list[Task]:
        group = deployed.group
        return [
            task
            for task in self._service.tasks
            if (task.group.cluster, task.group.service) == (group.cluster, group.service)
        ]

    def _go_on(self, deployed: Deployed, work: Coroutine[Any, Any, None]) -> None:
        deployed.work.append(asyncio.create_task(work))

    def _event(self, deployed: Deployed, text: str) -> None:
        number = len(deployed.events)
        message = f"(service {deployed.group.service}) {text}"
        identity = f"{deployed.group.service}-event-{number}"
        deployed.events.insert(0, {"id": identity, "createdAt": self._clock(), "message": message})

    def _deploy(self, deployed: Deployed, definition: str) -> None:
        number, rollout = next(self._numbers), deployed.group.rollout
        new = Deployment(f"ecs-svc/{number}", definition, deployed.desired, self._clock())
        new.listed, new.serving = not rollout.listed_at, not rollout.primary_at
        others = any(each.status not in _OVER for each in deployed.history)
        new.reason = f"ECS deployment {new.id} in progress."
        for each in deployed.history:
            if each.status not in _OVER:
                each.status, each.finished = "STOPPED", self._clock()
                each.status_reason = "Service deployment was stopped because of a newer service deployment."
        deployed.primary = new
        deployed.deployments.append(new)
        deployed.history.append(new)
        if rollout.deleted:
            self._go_on(deployed, self._delete(deployed))
        if rollout.strategy == "ROLLING" and not rollout.hooks:
            self._go_on(deployed, self._roll(deployed, new))
        else:
            self._go_on(deployed, self._shift(deployed, new, others=others))

    async def _delete(self, deployed: Deployed) -> None:
        await asyncio.sleep(deployed.group.rollout.deleted)
        deployed.status = "INACTIVE"

    async def _shift(self, deployed: Deployed, new: Deployment, *, others: bool) -> None:
        """Go through the lifecycle stages; old and new tasks run side by side until the last one."""
        rollout = deployed.group.rollout
        new.status = "IN_PROGRESS"
        if rollout.rival and deployed.rivals:
            deployed.rivals -= 1
            self._go_on(deployed, self._rival(deployed))
        for stage, weight in strategies.stages(rollout, others=others):
            if deployed.primary is not new:
                return
            new.stage, new.weight, new.hook = stage, weight, ""
            new.listed = new.listed or rollout.listed_at == stage
            new.serving = new.serving or rollout.primary_at == stage
            if why := await self._stage(deployed, new):
                await self._give_up(deployed, new, why)
                return
        if deployed.primary is new:
            await self._retire(deployed, new, -1)
            self._complete(deployed, new)

    async def _stage(self, deployed: Deployed, new: Deployment) -> str:
        """Let one stage pass; return why it failed, empty if it did not."""
        rollout, stage = deployed.group.rollout, new.stage
        if rollout.alarm == stage:
            new.alarm = True
            return "Service deployment rolled back because CloudWatch alarm(s) were triggered."
        if hook := rollout.hooks.get(stage):
            new.hook = strategies.HOOKS[hook]
            if hook == "pauses":
                await asyncio.Event().wait()
            return strategies.hook_failed(stage, new.hook)
        if stage != "SCALE_UP":
            await asyncio.sleep(rollout.bake if stage == "BAKE_TIME" else rollout.stage_takes)
            return ""
        while deployed.primary is new and len(self._running(deployed, new)) < new.desired:
            if await self._start(deployed, new):
                self._event(deployed, f"has started 1 tasks: (task {self._running(deployed, new)[-1].id}).")
                continue
            new.failed += 1
            if rollout.circuit_breaker and new.failed >= rollout.circuit_breaker:
                new.tripped = True
                return "Service deployment rolled back because the circuit breaker threshold was exceeded."
        return ""

    async def _roll(self, deployed: Deployed, new: Deployment) -> None:
        """Start new tasks one by one, each in place of an old one."""
        rollout = deployed.group.rollout
        new.status = "IN_PROGRESS"
        if rollout.rival and deployed.rivals:
            deployed.rivals -= 1
            self._go_on(deployed, self._rival(deployed))
        while deployed.primary is new and len(self._running(deployed, new)) < new.desired:
            if not await self._start(deployed, new):
                new.failed += 1
                if rollout.circuit_breaker and new.failed >= rollout.circuit_breaker:
                    new.tripped = True
                    await self._give_up(deployed, new, "tasks failed to start.")
                    return
                continue
            if rollout.alarm:
                new.alarm = True
                await self._give_up(deployed, new, "alarm detected.")
                return
            self._event(deployed, f"has started 1 tasks: (task {self._running(deployed, new)[-1].id}).")
            await self._retire(deployed, new, len(self._running(deployed, new)))
        if deployed.primary is new:
            await self._retire(deployed, new, -1)
            self._complete(deployed, new)

    def _complete(self, deployed: Deployed, new: Deployment) -> None:
        deployed.deployments = [new]
        new.rollout, new.status, new.finished = "COMPLETED", "SUCCESSFUL", self._clock()
        new.reason = f"ECS deployment {new.id} completed."
        self._event(deployed, f"(deployment {new.id}) deployment completed.")
        self._event(deployed, "has reached a steady state.")

    def _running(self, deployed: Deployed, deployment: Deployment) -> list[Task]:
        return [task for task in self._tasks(deployed) if task.deployment == deployment.id and task.running]

    async def _start(self, deployed: Deployed, new: Deployment) -> bool:
        """Start a task; return whether it runs."""
        images = await self._service.control.images(new.definition)
        containers = tuple(replace(item, image=images.get(item.name, item.image)) for item in deployed.group.containers)
        deployed.started += 1
        if deployed.group.rollout.scaled and deployed.started == 1:
            deployed.desired = new.desired = deployed.group.rollout.scaled
        group = replace(deployed.group, containers=containers)
        revision = int(new.definition.rpartition(":")[2])
        task = later_task(group, revision, new.id, deployed.started, self._clock())
        self._service.tasks.append(task)
        await self._service.control.add(task, new.definition)
        await asyncio.sleep(deployed.group.rollout.takes)
        if deployed.failures:
            deployed.failures -= deployed.failures > 0
            await self._service.stop_task(
                task, "EssentialContainerExited", "Essential container in task exited", exit_code=1
            )
            return False
        task.last_status, task.started = "RUNNING", self._clock()
        return True

    async def _retire(self, deployed: Deployed, new: Deployment, count: int) -> None:
        """Stop old tasks until so many of them were replaced; -1: all."""
        old = [task for task in self._tasks(deployed) if task.deployment != new.id and task.last_status not in STOPPING]
        surplus = len(old) if count < 0 else len(old) + count - new.desired
        for task in old[: max(surplus, 0)]:
            await self._leave(deployed, task, f"Scaling activity initiated by (deployment {new.id})")
            self._event(deployed, f"has stopped 1 running tasks: (task {task.id}).")

    async def _leave(self, deployed: Deployed, task: Task, reason: str) -> None:
        drains = deployed.group.rollout.drains
        if not drains:
            await self._service.stop_task(task, "ServiceSchedulerInitiated", reason, exit_code=143)
            return
        task.last_status, task.stop_code, task.stopped_reason = STOPPING[0], "ServiceSchedulerInitiated", reason
        if drains > 0:
            self._go_on(deployed, self._drained(task, reason, drains))

    async def _drained(self, task: Task, reason: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._service.stop_task(task, "ServiceSchedulerInitiated", reason, exit_code=143)

    async def _give_up(self, deployed: Deployed, new: Deployment, why: str) -> None:
        """End a deployment that failed: with a rollback if the service has that, and always after a hook."""
        new.rollout = "FAILED"
        new.reason = f"ECS deployment circuit breaker: {why}" if new.tripped else why
        self._event(deployed, f"(deployment {new.id}) deployment failed: {why}")
        if deployed.group.rollout.rollback or new.hook:
            said = (
                why
                if new.stage
                else "Service deployment rolled back because the circuit breaker threshold was exceeded."
            )
            new.rollback_reason, new.status_reason = said, said
            await self._roll_back(deployed, new)
            return
        new.status, new.finished = "STOPPED", self._clock()
        new.status_reason = f"Service deployment was stopped: {why}"

    async def _roll_back(self, deployed: Deployed, failed: Deployment) -> None:
        """Return to the deployment before."""
        rollout = deployed.group.rollout
        old = next(each for each in reversed(deployed.deployments) if each is not failed)
        self._event(deployed, f"rolling back to deployment {old.id}.")
        failed.rollout, failed.status = "FAILED", "ROLLBACK_IN_PROGRESS"
        deployed.primary, old.rollout, old.desired = old, "IN_PROGRESS", deployed.desired
        while len(self._running(deployed, old)) < old.desired and deployed.primary is old:
            deployed.failures = 0
            await self._start(deployed, old)
        await asyncio.sleep(rollout.takes)
        if deployed.primary is not old:
            return
        if rollout.rollback_fails:
            failed.status, failed.finished = "ROLLBACK_FAILED", self._clock()
            failed.status_reason = "No rollback candidate was found to run the rollback."
            return
        await self._retire(deployed, old, -1)
        deployed.deployments, old.rollout = [old], "COMPLETED"
        failed.status, failed.finished = "ROLLBACK_SUCCESSFUL", self._clock()
        self._event(deployed, "has reached a steady state.")

    async def _rival(self, deployed: Deployed) -> None:
        await asyncio.sleep(deployed.group.rollout.rival)
        self._deploy(deployed, deployed.primary.definition)

    def _set_count(self, deployed: Deployed, count: int) -> None:
        deployed.desired = deployed.primary.desired = count
        self._go_on(deployed, self._scale(deployed, count))

    async def _undo(self, deployed: Deployed) -> None:
        """Do what Application Auto Scaling does with a number beyond its limits."""
        rollout = deployed.group.rollout
        least, most = map(int, rollout.scaling.split("-"))
        await asyncio.sleep(rollout.undone)
        if not least <= deployed.desired <= most:
            self._set_count(deployed, min(max(deployed.desired, least), most))

    async def _scale(self, deployed: Deployed, count: int) -> None:
        primary = deployed.primary
        while deployed.desired == count and len(self._running(deployed, primary)) < count:
            if await self._start(deployed, primary):
                self._event(deployed, f"has started 1 tasks: (task {self._running(deployed, primary)[-1].id}).")
        for task in self._running(deployed, primary)[count:] if deployed.desired == count else ():
            await self._leave(deployed, task, f"Scaling activity initiated by (deployment {primary.id})")
            self._event(deployed, f"has stopped 1 running tasks: (task {task.id}).")
        self._event(deployed, "has reached a steady state.")
