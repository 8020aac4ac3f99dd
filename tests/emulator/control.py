"""The control plane: moto's ECS, STS and KMS, with the world put into it.

moto keeps its state per account in the process. So that emulators in one process do not share theirs, each has an
account of its own inside moto, and the twelve digits are translated at this edge.
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any, TypeVar

from emulator.aws import Request, Response
from emulator.handshake import HandshakeError
from emulator.world import STOPPING, Cluster, Container, Group, Task, World

T = TypeVar("T")
_accounts = itertools.count(998_000_000_001)
_AGENT = "ExecuteCommandAgent"
_SUBNET = "subnet-0123456789abcdef0"


class ControlPlane:
    """Moto behind one thread, because it does not support several."""

    def __init__(self, world: World) -> None:
        """Prepare a control plane that is still empty."""
        self.world = world
        self._account = str(next(_accounts))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="emulator-moto")
        self._application: Any = None
        self._kms_key = ""
        self._network_made = False
        self._revisions: dict[int, Any] = {}
        """Moto's task definitions by the identity of their group."""

    async def fill(self, tasks: list[Task]) -> None:
        """Put the world into moto."""
        await self._in_thread(self._fill, tasks)

    async def clear(self) -> None:
        """Take everything out of moto again."""
        await self._in_thread(self._clear)

    async def add(self, task: Task, definition: str) -> None:
        """Let moto know a task that a service has started."""
        await self._in_thread(self._add, task, definition)

    async def images(self, definition: str) -> dict[str, str]:
        """Return the images of a task definition by container."""
        found = await self._in_thread(lambda: self._backend().describe_task_definition(self._inside(definition)))
        return {str(item["name"]): str(item["image"]) for item in found.container_definitions}

    def _inside(self, arn: str) -> str:
        return arn.replace(self.world.account, self._account)

    def _add(self, task: Task, definition: str) -> None:
        backend = self._backend()
        listed = _moto_task(backend, backend.clusters[task.group.cluster], task, self._inside(definition))
        backend.tasks.setdefault(task.group.cluster, {})[listed.task_arn] = listed

    def close(self) -> None:
        """Give up the thread."""
        self._thread.shutdown(wait=False)

    async def add_run(self, task: Task, tags: Mapping[str, str], started_by: str) -> None:
        """Put one more task into moto."""
        await self._in_thread(self._add_run, task, tags, started_by)

    async def make_stream(self, group: str, name: str) -> None:
        """Make a log stream, and its group."""
        await self._in_thread(self._make_stream, group, name)

    async def log(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        """Write events into a log stream."""
        await self._in_thread(self._log, group, stream, events)

    def revision(self, group: Group) -> int:
        """Return the revision of a group's task definition."""
        return int(self._revisions[id(group)].revision)

    async def call(self, request: Request) -> Response:
        """Let moto answer."""
        return await self._in_thread(self._call, request.headers, request.body)

    async def network(self, request: Request) -> Response:
        """Let moto's EC2 answer, which takes seconds to come into being and is made when it is asked first."""
        await self._in_thread(self._make_network)
        return await self.call(request)

    async def json(self, request: Request, parameters: Mapping[str, Any] | None = None) -> tuple[Response, Any]:
        """Let moto answer, with other parameters if given; return the answer and its JSON too."""
        body = request.body if parameters is None else json.dumps(parameters).encode()
        response = await self._in_thread(self._call, request.headers, body)
        return response, json.loads(response.body or b"{}")

    async def decrypt(self, key_id: str, ciphertext: str, context: Mapping[str, str]) -> bytes:
        """Ask KMS as the agent does."""
        parameters = {"CiphertextBlob": ciphertext, "EncryptionContext": dict(context), "KeyId": key_id}
        response = await self._kms("Decrypt", parameters)
        if response.status != 200:
            error = json.loads(response.body)
            raise HandshakeError(f"Fetching data key failed: {error.get('__type')}: {error.get('message', '')}")
        return base64.b64decode(json.loads(response.body)["Plaintext"])

    async def kms_key(self) -> str:
        """Return the ARN of a key made for the sessions of this emulator."""
        if not self._kms_key:
            response = await self._kms("CreateKey", {"Description": "ECS Exec sessions"})
            self._kms_key = json.loads(response.body)["KeyMetadata"]["Arn"]
        return self._kms_key

    async def _kms(self, action: str, parameters: Mapping[str, Any]) -> Response:
        scope = f"AKIAEMULATOR/20200101/{self.world.region}/kms/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            "X-Amz-Target": f"TrentService.{action}",
            "Content-Type": "application/x-amz-json-1.1",
        }
        return await self._in_thread(self._call, headers, json.dumps(parameters).encode())

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _call(self, headers: Mapping[str, str], body: bytes) -> Response:
        body = body.replace(self.world.account.encode(), self._account.encode())
        environ = _environ(headers, body)
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account
        seen: dict[str, Any] = {}

        def start_response(status: str, fields: list[tuple[str, str]], _exc: object = None) -> None:
            seen.update(status=int(status.split(maxsplit=1)[0]), headers=dict(fields))

        if self._application is None:
            from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

            self._application = DomainDispatcherApplication(create_backend_app)
        answer = b"".join(self._application(environ, start_response))
        answer = answer.replace(self._account.encode(), self.world.account.encode())
        kept = {name: value for name, value in seen["headers"].items() if name.lower() != "content-length"}
        return Response(seen["status"], answer, kept)

    def _backend(self) -> Any:  # noqa: ANN401 - moto's
        from moto.ecs.models import ecs_backends

        return ecs_backends[self._account][self.world.region]

    def _clear(self) -> None:
        from moto.backends import get_backend

        for service in ("ecs", "kms", "logs", "sts"):
            get_backend(service).pop(self._account, None)
        if self._network_made:
            get_backend("ec2").pop(self._account, None)
        self._kms_key = ""
        self._network_made = False

    def _make_network(self) -> None:
        """Make the VPC of the tasks' one subnet, with the world's endpoints."""
        if self._network_made:
            return
        from moto.ec2.models import ec2_backends

        self._network_made = True
        backend = ec2_backends[self._account][self.world.region]
        vpc = backend.create_vpc("10.0.0.0/16")
        subnet = backend.create_subnet(vpc.id, "10.0.0.0/20")
        subnet.id = _SUBNET
        backend.subnets = {zone: {one.id: one for one in found.values()} for zone, found in backend.subnets.items()}
        for name in self.world.vpc_endpoints:
            service = f"com.amazonaws.{self.world.region}.{name}"
            backend.create_vpc_endpoint(vpc.id, service, "Interface", None, [], [subnet.id], private_dns_enabled=True)

    def _add_run(self, task: Task, tags: Mapping[str, str], started_by: str) -> None:
        backend = self._backend()
        cluster = backend.clusters[task.group.cluster]
        definition = backend.task_definitions[task.group.family][task.revision].arn
        listed = _moto_task(backend, cluster, task, definition)
        listed.tags, listed.started_by = _tags(tags), started_by
        backend.tasks.setdefault(cluster.name, {})[listed.task_arn] = listed

    def _logs(self) -> Any:  # noqa: ANN401 - moto's
        from moto.logs.models import logs_backends

        return logs_backends[self._account][self.world.region]

    def _make_stream(self, group: str, name: str) -> None:
        logs = self._logs()
        if group not in logs.groups:
            logs.create_log_group(group, {})
        if name not in logs.groups[group].streams:
            logs.groups[group].create_log_stream(name)

    def _log(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        self._logs().put_log_events(group, stream, events)

    def _fill(self, tasks: list[Task]) -> None:
        backend = self._backend()
        for cluster in self.world.clusters:
            configuration = {"executeCommandConfiguration": dict(cluster.exec_configuration)}
            made = backend.create_cluster(cluster.name, configuration=configuration, tags=_tags(cluster.tags))
            revisions = _definitions(backend, cluster)
            self._revisions |= revisions
            for group in cluster.groups:
                mine = [task for task in tasks if task.group is group]
                for task in mine:
                    task.revision = revisions[id(group)].revision
                    listed = _moto_task(backend, made, task, revisions[id(group)].arn)
                    backend.tasks.setdefault(cluster.name, {})[listed.task_arn] = listed
                if group.service:
                    _service(backend, group, revisions[id(group)].arn, mine)
            made.running_tasks_count = sum(task.running for task in tasks if task.group.cluster == cluster.name)
            made.pending_tasks_count = 0
            made.active_services_count = sum(bool(group.service) for group in cluster.groups)


def _environ(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key != "CONTENT_LENGTH":
            environ[f"HTTP_{key}"] = value
    environ["HTTP_HOST"] = "127.0.0.1"
    return environ


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in tags.items()]


def _definitions(backend: Any, cluster: Cluster) -> dict[int, Any]:  # noqa: ANN401 - moto's
    """Register a revision for each group, return them by the group's identity."""
    return {
        id(group): backend.register_task_definition(
            family=group.family,
            container_definitions=[_definition(group, container) for container in group.containers],
            network_mode="awsvpc" if group.launch_type == "FARGATE" else "bridge",
            requires_compatibilities=[group.launch_type],
            cpu="256",
            memory="512",
            tags=[],
            runtime_platform={"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
            task_role_arn=f"arn:aws:iam::{backend.account_id}:role/{group.family}" if group.task_role else None,
            pid_mode=group.pid_mode or None,
        )
        for group in cluster.groups
    }


def _definition(group: Group, container: Container) -> dict[str, Any]:
    return {
        "name": container.name,
        "image": container.image,
        "essential": container.essential,
        "environment": [{"name": name, "value": value} for name, value in container.env.items()],
        "workingDirectory": container.workdir,
        "readonlyRootFilesystem": group.read_only,
        "linuxParameters": {"initProcessEnabled": group.init_process},
        **_logging(container),
    }


def _logging(container: Container) -> dict[str, Any]:
    if not container.log:
        return {}
    options = {f"awslogs-{name}": container.log[name] for name in ("group", "region") if name in container.log}
    options |= {"awslogs-stream-prefix": container.log["prefix"]} if "prefix" in container.log else {}
    return {"logConfiguration": {"logDriver": container.log.get("driver", "awslogs"), "options": options}}


def _service(backend: Any, group: Group, definition: str, tasks: list[Task]) -> None:  # noqa: ANN401 - moto's
    service = backend.create_service(
        cluster_str=group.cluster,
        service_name=group.service,
        desired_count=group.desired,
        task_definition_str=definition,
        launch_type=group.launch_type,
        platform_version=group.platform_version or None,
        tags=_tags(group.tags),
    )
    if group.launch_type == "FARGATE":  # set afterwards, because moto would make its VPC to look the subnet up
        network = {"subnets": [_SUBNET], "securityGroups": ["sg-0123456789abcdef0"], "assignPublicIp": "DISABLED"}
        service.network_configuration = {"awsvpcConfiguration": network}
    running = sum(task.running for task in tasks)
    service.running_count = running
    service.pending_count = max(group.desired - running, 0)
    service.enable_execute_command = group.exec_enabled
    service.created_at = _time(min((task.started for task in tasks), default=0) or 1_700_000_000)
    for deployment in service.deployments:
        state = "COMPLETED" if running >= group.desired else "IN_PROGRESS"
        deployment |= {"runningCount": running, "pendingCount": service.pending_count, "rolloutState": state}


def _time(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, timezone.utc)


def _moto_task(backend: Any, cluster: Any, task: Task, definition: str) -> Any:  # noqa: ANN401 - moto's
    """Make moto's record of a task. Each answer looks its attributes up again."""
    from moto.ecs.models import Task as MotoTask

    group = task.group

    class Listed(MotoTask):
        """A task whose state is the world's, and which does not age by being described."""

        def __init__(self) -> None:
            self.id = task.id
            self._backend = backend
            self._account_id = backend.account_id
            self.region_name = backend.region_name
            self.cluster_name = cluster.name
            self.cluster_arn = cluster.arn
            self.task_definition_arn = definition
            self.overrides = {"containerOverrides": [], "inferenceAcceleratorOverrides": []}
            self.started_by = task.deployment
            self.tags = _tags(group.tags)
            self.launch_type = group.launch_type
            self.capacity_provider_name = None
            self.resource_requirements = None
            self.group = f"service:{group.service}" if group.service else f"family:{group.family}"
            self.container_instance_arn = None

        def advance(self) -> None:
            """Change nothing."""

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever moto's serializer asks for
            shown = described(task, self)
            if name in shown:
                return shown[name]
            raise AttributeError(name)

        @property
        def last_status(self) -> str:
            return task.last_status

        @last_status.setter
        def last_status(self, value: str) -> None:
            raise AttributeError(value)

    return Listed()


def described(task: Task, moto: Any) -> dict[str, Any]:  # noqa: ANN401 - moto's
    """Return what DescribeTasks shows of a task beyond what moto knows, under the API's names."""
    group = task.group
    fargate = group.launch_type == "FARGATE"
    prefix = f"arn:aws:ecs:{moto.region_name}:{moto._account_id}"
    shown: dict[str, Any] = {
        "availabilityZone": f"{moto.region_name}a",
        "connectivity": "CONNECTED",
        "connectivityAt": _time(task.started + 5),
        "cpu": "256",
        "memory": "512",
        "createdAt": _time(task.started - 15),
        **({} if task.never_ran else {"startedAt": _time(task.started)}),
        "pullStartedAt": _time(task.started - 10),
        "pullStoppedAt": _time(task.started - 5),
        "enableExecuteCommand": group.exec_enabled,
        "healthStatus": _health([container.health for container in group.containers]),
        "desiredStatus": "STOPPED" if task.last_status in STOPPING else "RUNNING",
        "desired_status": "STOPPED" if task.last_status in STOPPING else "RUNNING",
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
        "version": 3,
        "attachments": [_interface(task)] if fargate else [],
        "containers": [_container(task, container, prefix) for container in group.containers],
    }
    if fargate:
        shown |= {"platformVersion": group.platform_version, "platformFamily": "Linux"}
        shown["ephemeralStorage"] = {"sizeInGiB": 20}
    else:
        shown["containerInstanceArn"] = f"{prefix}:container-instance/{group.cluster}/{task.id[::-1]}"
    if task.last_status in STOPPING:
        told = {"stopCode": task.stop_code, "stoppedReason": task.stopped_reason}
        shown |= {name: text for name, text in told.items() if text}
    if task.last_status == "STOPPED":
        shown |= dict.fromkeys(("stoppedAt", "stoppingAt", "executionStoppedAt"), _time(task.stopped))
    return shown


def _health(states: list[str]) -> str:
    known = [state for state in states if state != "UNKNOWN"]
    if not known:
        return "UNKNOWN"
    return "UNHEALTHY" if "UNHEALTHY" in known else "HEALTHY"


def _interface(task: Task) -> dict[str, Any]:
    details = {
        "subnetId": _SUBNET,
        "networkInterfaceId": f"eni-{task.id[:17]}",
        "macAddress": "0a:00:00:" + ":".join(task.id[at : at + 2] for at in (0, 2, 4)),
        "privateDnsName": f"ip-{task.address.replace('.', '-')}.ec2.internal",
        "privateIPv4Address": task.address,
    }
    return {
        "id": _attachment_id(task),
        "type": "ElasticNetworkInterface",
        "status": "ATTACHED" if task.running else "DELETED",
        "details": [{"name": name, "value": value} for name, value in details.items()],
    }


def _attachment_id(task: Task) -> str:
    return f"{task.id[:8]}-{task.id[8:12]}-{task.id[12:16]}-{task.id[16:20]}-{task.id[20:]}"


def _container(task: Task, container: Container, prefix: str) -> dict[str, Any]:
    group = task.group
    stopped = task.last_status == "STOPPED"
    shown: dict[str, Any] = {
        "containerArn": f"{prefix}:container/{group.cluster}/{task.id}/{task.container_id(container)}",
        "taskArn": f"{prefix}:task/{group.cluster}/{task.id}",
        "name": container.name,
        "image": container.image,
        "runtimeId": task.runtime_id(container),
        "lastStatus": container.last_status or ("STOPPED" if stopped else task.last_status),
        "networkBindings": [],
        "networkInterfaces": [],
        "healthStatus": container.health,
        "cpu": "0",
    }
    if group.launch_type == "FARGATE":
        shown["networkInterfaces"] = [{"attachmentId": _attachment_id(task), "privateIpv4Address": task.address}]
    if task.never_ran:
        pass
    elif container.exit_code is not None:
        shown["exitCode"] = container.exit_code
    elif stopped and task.killed:
        shown["exitCode"] = 137
    if container.reason:
        shown["reason"] = container.reason
    if group.exec_enabled:
        status = "STOPPED" if stopped else container.agent_status
        agent: dict[str, Any] = {"name": _AGENT, "lastStatus": status}
        if container.agent_status == "RUNNING":
            agent["lastStartedAt"] = _time(task.started + 2)
        if container.agent_reason:
            agent["reason"] = container.agent_reason
        shown["managedAgents"] = [agent]
    return shown
