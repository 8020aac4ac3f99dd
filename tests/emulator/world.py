"""The world: clusters, services, tasks and containers, as a file or a test describes them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from emulator.quirks import Quirks
from emulator.reader import Reader

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_WORLD = Path(__file__).with_name("worlds") / "demo.yaml"
_STATUSES = (
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
)
STOPPING = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")
"""The last statuses of a task, in their order. Its desired status is STOPPED."""
_STOP_CODES = (
    "TaskFailedToStart",
    "EssentialContainerExited",
    "UserInitiated",
    "ServiceSchedulerInitiated",
    "SpotInterruption",
    "TerminationNotice",
)

_TOO_OLD = ("1.0.0", "1.1.0", "1.2.0", "1.3.0")


class WorldError(ValueError):
    """The description cannot be used; the text names every fault."""


@dataclass(frozen=True)
class Container:
    """A container as its task definition has it, and what its processes see."""

    name: str
    image: str = "busybox:latest"
    essential: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    path: str = DEFAULT_PATH
    runtime_id: str = ""
    last_status: str = ""
    exit_code: int | None = None
    reason: str = ""
    health: str = "UNKNOWN"
    agent_status: str = "RUNNING"
    agent_reason: str = ""
    programs: Mapping[str, str] = field(default_factory=dict)
    """Programs of this machine by a command's first word; empty if the image lacks the program."""
    agent: Mapping[str, Any] = field(default_factory=dict)
    deny: tuple[str, ...] = ()
    command: tuple[str, ...] = ("true",)
    """What a task of ecs:RunTask runs in it."""
    log: Mapping[str, str] = field(default_factory=dict)
    """`driver`, `group`, `prefix` and `region` of its log configuration."""


@dataclass(frozen=True)
class Rollout:
    """How ECS deploys a service, and what goes wrong; times in seconds."""

    takes: float = 0.3
    """From the start of a new task to RUNNING."""
    fails: int = 0
    """So many new tasks end with an error before one runs; -1: all do."""
    circuit_breaker: int = 0
    """Failed tasks after which ECS gives a deployment up; 0: never."""
    rollback: bool = False
    """ECS then goes back to the deployment before."""
    drains: float = 0.0
    """An old task stays in DEACTIVATING for so long, although the deployment is complete; -1: for ever."""
    rival: float = 0.0
    """Somebody else deploys so long after a deployment began; 0: nobody does."""
    api: bool = True
    """ECS answers about service deployments."""
    controller: str = "ECS"
    scheduling: str = "REPLICA"
    scaling: str = ""
    """Limits of Application Auto Scaling, as 2-10; empty: the service is not registered there."""
    undone: float = 0.0
    """Autoscaling undoes numbers beyond its limits so long after they were set; 0: never."""
    strategy: str = "ROLLING"
    """ROLLING, BLUE_GREEN, LINEAR or CANARY."""
    stage_takes: float = 0.02
    """Time of a lifecycle stage in which nothing else happens."""
    bake: float = 0.1
    """Time for which old and new tasks run after the traffic was shifted. DescribeServices shows it as minutes."""
    hooks: Mapping[str, str] = field(default_factory=dict)
    """What the lifecycle hook of a stage does: `fails`, `times out`, or `pauses` for ever."""
    alarm: str = ""
    """The stage at which a CloudWatch alarm goes off."""
    rollback_fails: bool = False
    """ECS cannot go back to the deployment before."""
    listed_at: str = ""
    """The stage from which DescribeServices lists the new deployment; empty: at once."""
    primary_at: str = ""
    """The stage from which the new deployment is the PRIMARY one; empty: at once."""
    states: bool = True
    """DescribeServices shows rolloutState."""
    recorded_after: float = 0.0
    """ECS lists a service deployment so long after it began."""
    deleted: float = 0.0
    """Somebody deletes the service so long after it was deployed or scaled; 0: nobody does."""
    scaled: int = 0
    """Autoscaling sets this number of tasks while the first new task starts; 0: it does nothing."""


@dataclass(frozen=True)
class Group:
    """Tasks of one kind: a service's, or those started on their own."""

    cluster: str
    family: str
    service: str
    count: int
    desired: int
    launch_type: str
    platform_version: str
    tags: Mapping[str, str]
    exec_enabled: bool
    last_status: str
    stop_code: str
    stopped_reason: str
    age: int
    read_only: bool
    pid_mode: str
    init_process: bool
    task_role: bool
    role_deny: tuple[str, ...]
    """Actions that the task role lacks."""
    agent_version: str
    """Version of the ECS agent on the instances."""
    containers: tuple[Container, ...]
    rollout: Rollout = field(default_factory=Rollout)
    refused: str = ""
    """Why ecs:RunTask places no task of it, as ECS's `failures` say it."""
    start_fails: str = ""
    """Why its tasks of ecs:RunTask stop before their containers run."""


@dataclass(frozen=True)
class Cluster:
    """A cluster and what runs on it."""

    name: str
    tags: Mapping[str, str]
    deny: tuple[str, ...]
    groups: tuple[Group, ...]
    exec_configuration: Mapping[str, Any] = field(default_factory=dict)
    """`executeCommandConfiguration` as ecs:DescribeClusters gives it."""


@dataclass(frozen=True)
class World:
    """Everything there is at the start."""

    account: str
    region: str
    clusters: tuple[Cluster, ...]
    deny: tuple[str, ...] = ()
    agent: Mapping[str, Any] = field(default_factory=dict)
    vpc_endpoints: tuple[str, ...] = ()
    """Services that have an endpoint in the tasks' VPC, as the last part of their names."""


def load(source: World | Mapping[str, Any] | Path | str | None, region: str = "") -> World:
    """Return the world of a file, of a mapping, or the sample one; raise WorldError that names all faults."""
    if isinstance(source, World):
        return source
    if source is None:
        source = DEFAULT_WORLD
    if isinstance(source, (Path, str)):
        try:
            source = yaml.safe_load(Path(source).read_text())
        except (OSError, yaml.YAMLError) as exc:
            raise WorldError(f"world cannot be read: {' '.join(str(exc).split())}") from exc
    faults: list[str] = []
    world = _world(Reader(source, "", faults), region)
    if faults:
        raise WorldError("; ".join(faults))
    return world


def _world(reader: Reader, region: str) -> World:
    account = reader.text("account", "123456789012")
    if len(account) != 12 or not account.isdigit():
        reader.faults.append("account is not 12 digits")
    file_region = reader.text("region", "us-east-1")
    world = World(
        account=account,
        region=region or file_region,
        clusters=tuple(_cluster(name, entry) for name, entry in reader.named("clusters")),
        deny=reader.texts("deny"),
        agent=_agent(reader),
        vpc_endpoints=reader.texts("vpc_endpoints"),
    )
    reader.end()
    return world


def _agent(reader: Reader) -> dict[str, Any]:
    values = reader.raw("agent")
    try:
        Quirks().updated(values)
    except ValueError as exc:
        reader.faults.append(f"{reader.where}: {exc}" if reader.where else str(exc))
    return values


def _cluster(name: str, reader: Reader) -> Cluster:
    services = [_group(name, entry, service) for service, entry in reader.named("services")]
    tasks = [_group(name, entry, "") for entry in reader.listed("tasks")]
    configuration = reader.raw("exec_configuration")
    cluster = Cluster(name, reader.table("tags"), reader.texts("deny"), (*services, *tasks), configuration)
    reader.end()
    return cluster


def _group(cluster: str, reader: Reader, service: str) -> Group:
    launch_type = reader.text("launch_type", "FARGATE", choices=("FARGATE", "EC2"))
    count = reader.number("desired" if service else "count", 1)
    status = reader.text("last_status", "RUNNING", choices=_STATUSES)
    group = Group(
        cluster=cluster,
        family=reader.text("family", service, required=not service),
        service=service,
        count=reader.number("running", count) if service else count,
        desired=count,
        launch_type=launch_type,
        platform_version=reader.text("platform_version", "1.4.0" if launch_type == "FARGATE" else ""),
        tags=reader.table("tags"),
        exec_enabled=reader.flag("exec_enabled", default=True),
        last_status=status,
        stop_code=reader.text(
            "stop_code", "EssentialContainerExited" if status == "STOPPED" else "", choices=_STOP_CODES
        ),
        stopped_reason=reader.text("stopped_reason"),
        age=reader.number("age", 3600),
        read_only=reader.flag("read_only", default=False),
        pid_mode=reader.text("pid_mode", choices=("task", "host")),
        init_process=reader.flag("init_process", default=True),
        task_role=reader.flag("task_role", default=True),
        role_deny=reader.texts("role_deny"),
        agent_version=reader.text("agent_version", "1.89.2"),
        containers=tuple(_container(name, entry) for name, entry in reader.named("containers")),
        rollout=_rollout(reader),
        refused=reader.text("refused"),
        start_fails=reader.text("start_fails"),
    )
    if not group.containers:
        reader.faults.append(f"{reader.where}.containers is missing: a task has one container at least")
    reader.end()
    return group


def _rollout(reader: Reader) -> Rollout:
    values = reader.raw("rollout")
    if unknown := sorted(set(values) - {item.name for item in fields(Rollout)}):
        reader.faults.append(f"{reader.where}.rollout has unknown keys: {', '.join(unknown)}")
        return Rollout()
    return Rollout(**values)


def _container(name: str, reader: Reader) -> Container:
    folders = reader.texts("path")
    container = Container(
        name=name,
        image=reader.text("image", "busybox:latest"),
        essential=reader.flag("essential", default=True),
        env=reader.table("env"),
        workdir=reader.text("workdir", "/"),
        path=":".join(folders) if folders else DEFAULT_PATH,
        runtime_id=reader.text("runtime_id"),
        last_status=reader.text("last_status", choices=_STATUSES),
        exit_code=reader.optional_number("exit_code"),
        reason=reader.text("reason"),
        health=reader.text("health", "UNKNOWN", choices=("HEALTHY", "UNHEALTHY", "UNKNOWN")),
        agent_status=reader.text("agent_status", "RUNNING", choices=("PENDING", "RUNNING", "STOPPED")),
        agent_reason=reader.text("agent_reason"),
        programs=reader.table("programs"),
        agent=_agent(reader),
        deny=reader.texts("deny"),
        command=reader.texts("command") or ("true",),
        log=reader.table("log"),
    )
    reader.end()
    return container


@dataclass
class Task:
    """A task as it is now; its ids follow from the names around it, so they are the same in each run."""

    group: Group
    id: str
    revision: int
    started: float
    last_status: str
    stop_code: str
    stopped_reason: str
    stopped: float = 0.0
    killed: bool = False
    deployment: str = ""
    """Id of the deployment of the service that started it."""
    never_ran: bool = False
    """It stopped before its containers ran."""

    def change_containers(self, **values: Any) -> None:  # noqa: ANN401 - fields of Container
        """Change something in all of its containers."""
        containers = tuple(replace(container, **values) for container in self.group.containers)
        self.group = replace(self.group, containers=containers)

    @property
    def running(self) -> bool:
        """Whether commands can run in it."""
        return self.last_status == "RUNNING"

    def connected(self, container: Container) -> bool:
        """Whether the agent in a container gets through to the service."""
        group = self.group
        old = group.launch_type == "FARGATE" and group.platform_version in _TOO_OLD
        shared = group.pid_mode == "task" and container != group.containers[0]
        keys = any(name in container.env for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
        forbidden = not group.task_role or any(action.startswith("ssmmessages:") for action in group.role_deny)
        return not (group.read_only or old or shared or keys or forbidden)

    def container(self, name: str) -> Container | None:
        """Return the container of that name."""
        return next((item for item in self.group.containers if item.name == name), None)

    def container_id(self, container: Container) -> str:
        """Return the last part of a container's ARN."""
        return str(uuid.UUID(digest("container", self.id, container.name)[:32]))

    def runtime_id(self, container: Container) -> str:
        """Return the runtime's id: on Fargate the task's with a number, on EC2 that of the Docker container."""
        if container.runtime_id:
            return container.runtime_id
        full = digest("runtime", self.id, container.name)
        if self.group.launch_type == "EC2":
            return full
        return f"{self.id}-{int(full, 16) % 9_000_000_000 + 1_000_000_000}"

    @property
    def address(self) -> str:
        """Return the private address."""
        number = int(digest("address", self.id), 16)
        return f"10.0.{number % 200}.{number // 200 % 250 + 4}"

    def environment(self, container: Container) -> dict[str, str]:
        """Return the environment of a process in the container, without the server's own environment."""
        host = self.runtime_id(container)[:12]
        if self.group.launch_type == "FARGATE":
            host = f"ip-{self.address.replace('.', '-')}.ec2.internal"
        return {"PATH": container.path, "HOSTNAME": host, **container.env}


def tasks_of(world: World, now: float) -> list[Task]:
    """Return the world's tasks, in the order of the file, services first in each cluster."""
    revisions: dict[str, int] = {}
    numbers: dict[tuple[str, str, str], int] = {}
    tasks = []
    for group in (group for cluster in world.clusters for group in cluster.groups):
        revisions[group.family] = revisions.get(group.family, 0) + 1
        for _ in range(group.count):
            key = (group.cluster, group.service, group.family)
            number = numbers[key] = numbers.get(key, -1) + 1
            started = now - group.age + 60 * number  # later ones are younger
            stopped = group.last_status == "STOPPED"
            tasks.append(
                Task(
                    group=group,
                    id=digest("task", *key, str(number))[:32],
                    revision=revisions[group.family],
                    started=min(started, now),
                    last_status=group.last_status,
                    stop_code=group.stop_code,
                    stopped_reason=group.stopped_reason,
                    stopped=min(started + 30, now) if stopped else 0.0,
                    deployment=first_deployment(group) if group.service else "",
                )
            )
    return tasks


def first_deployment(group: Group) -> str:
    """Return the id of the deployment that started the tasks that are there at the beginning."""
    return f"ecs-svc/{int(digest('deployment', group.cluster, group.service)[:15], 16)}"


def later_task(task_group: Group, revision: int, deployment: str, number: int, now: float) -> Task:
    """Return a task that a later deployment starts."""
    name = digest("task", task_group.cluster, task_group.service, deployment, str(number))[:32]
    return Task(task_group, name, revision, now, "PENDING", "", "", deployment=deployment)


def digest(*parts: str) -> str:
    """Return hexadecimal digits that follow from names."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
