"""The calls of ECS and SSM: moto answers those that it has, and the emulator those of ECS Exec."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from emulator import aws, policies, processes, signatures
from emulator.aws import ApiError, Request, Response
from emulator.control import ControlPlane
from emulator.deployments import Deployments
from emulator.link import Faults
from emulator.quirks import Quirks
from emulator.session import Place, Session
from emulator.task_runs import TaskRuns
from emulator.world import STOPPING, Cluster, Container, Task, World, tasks_of

_NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command"
    " agent isn’t running. Wait and try again or run a new task with execute command enabled and try again."  # noqa: RUF001
)
_TASK_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PAGE = 100
_AGENT_SERVICES = {"ecs", "ssm"}
_DENIED = {"ec2": "UnauthorizedOperation", "iam": "AccessDenied", "sts": "AccessDenied"}


class Service:
    """Clusters, tasks and sessions, and what happens to them. Lives in one event loop."""

    def __init__(self, world: World, quirks: Quirks, faults: Faults) -> None:
        """Take the world; nothing is there before `start`."""
        self.world = world
        self.quirks = quirks.updated(world.agent)
        self.faults = faults
        self.control = ControlPlane(world)
        self.tasks: list[Task] = []
        self.sessions: dict[str, Session] = {}
        self.calls: list[dict[str, Any]] = []
        self.choose_faults: Callable[[str], Faults | None] = lambda _command: None
        """Gives a command's session faults of its own."""
        self._errors: dict[str, list[str]] = {}
        self._lost: dict[str, int] = {}
        self._cut: dict[str, int] = {}
        self.deployments = Deployments(self)
        self.runs = TaskRuns(self)
        self._host = ""
        self._stopping: list[asyncio.Task[None]] = []

    async def start(self, host: str) -> None:
        """Bring the world into being; `host` is where data channels are opened."""
        self._host = host
        self.tasks = tasks_of(self.world, time.time())
        await self.control.fill(self.tasks)
        self.deployments.begin()

    async def reset(self) -> None:
        """End all sessions and put the world back to its beginning."""
        await self.end_sessions()
        await self.control.clear()
        self.sessions.clear()
        self.calls.clear()
        self.set_faults(Faults())
        await self.start(self._host)

    async def stop(self) -> None:
        """End everything."""
        await self.end_sessions()
        await self.control.clear()
        self.control.close()

    async def end_sessions(self) -> None:
        """End all sessions and kill what they have left."""
        self.deployments.end()
        for stopping in self._stopping:
            stopping.cancel()
        await self.runs.end()
        leaders = {session.id: session.pid for session in self.sessions.values()}
        for session in self.sessions.values():
            await session.terminate("emulator")
        processes.kill_all(leaders)

    def set_faults(self, faults: Faults) -> None:
        """Set what goes wrong in sessions from now on, and with calls."""
        self.faults = faults
        self._errors = {action: list(codes) for action, codes in faults.api_errors.items()}
        self._lost = dict(faults.lost_answers)
        self._cut = dict(faults.cut_answers)

    def cuts(self, action: str) -> bool:
        """Return whether the answer of a call is cut off, and count it."""
        left = self._cut.get(action, 0)
        self._cut[action] = max(0, left - 1)
        return left > 0

    def report(self) -> dict[str, Any]:
        """Return what was seen so far."""
        sessions = [session.report() for session in self.sessions.values()]
        return {
            "calls": [dict(call) for call in self.calls],
            "sessions": sessions,
            "processes": self.processes(),
            "violations": [f"{one['sessionId']}: {text}" for one in sessions for text in one["violations"]],
        }

    def processes(self) -> list[dict[str, Any]]:
        """Return what lives of all sessions."""
        found = processes.of_sessions({session.id: session.pid for session in self.sessions.values()})
        return [
            {"pid": process.pid, "parent": process.parent, "session": session, "command": process.command}
            for session, alive in found.items()
            for process in alive
        ]

    # --- Calls

    async def call(self, request: Request, user_agent: str) -> Response:
        """Answer a call, and note it."""
        self.calls.append(
            {
                "service": request.service,
                "action": request.action,
                "parameters": aws.without_secrets(request.parameters),
                "accessKey": request.access_key,
                "region": request.region,
                "userAgent": user_agent,
            }
        )
        await asyncio.sleep(self.faults.api_delays.get(request.action, 0))
        try:
            answer = await self._answer(request)
            if self._lost.get(request.action, 0) > 0:
                self._lost[request.action] -= 1
                raise aws.known_error("ServerException")
        except ApiError as error:
            return aws.refusal(error, request.service)
        return answer

    async def _answer(self, request: Request) -> Response:
        if codes := self._errors.get(request.action):
            raise aws.known_error(codes.pop(0))
        if request.region != self.world.region and request.service in _AGENT_SERVICES:
            return await self._elsewhere(request)
        self._check_permission(request, self.world.deny)
        own: dict[str, dict[str, Callable[[Request], Awaitable[Response]]]] = {
            "ecs": {
                "ExecuteCommand": self._execute_command,
                "DescribeTasks": self._describe_tasks,
                "ListTasks": self._list_tasks,
                "StopTask": self._stop_task,
                "RunTask": self.runs.run_task,
                "DescribeClusters": self._describe_clusters,
                "DescribeContainerInstances": self._describe_container_instances,
                **self.deployments.handlers,
            },
            "application-autoscaling": {"DescribeScalableTargets": self.deployments.scalable_targets},
            "ssm": {"ResumeSession": self._resume_session, "TerminateSession": self._terminate_session},
        }
        own |= {
            "iam": {"SimulatePrincipalPolicy": self._simulate},
            "sts": {"GetCallerIdentity": self._identity},
            "ec2": dict.fromkeys(("DescribeSubnets", "DescribeVpcEndpoints"), self.control.network),
        }
        if handler := own.get(request.service, {}).get(request.action):
            return await handler(request)
        if request.service == "sts":
            response = await self.control.call(request)
            signatures.learn(response.body)
            return response
        if request.service == "ecs" and request.text("cluster"):
            self.cluster(request)
        return await self.control.call(request)

    async def _elsewhere(self, request: Request) -> Response:
        """Answer for an empty region."""
        if request.action == "ListClusters":
            return aws.answer({"clusterArns": []})
        raise ApiError("ClusterNotFoundException", "Cluster not found.")

    def _check_permission(self, request: Request, denied: Iterable[str], resource: str = "*") -> None:
        name = f"{request.service}:{request.action}"
        if name not in denied:
            return
        raise ApiError(
            _DENIED.get(request.service, "AccessDeniedException"),
            f"User: {policies.user(self.world)} is not authorized to perform: {name} on resource: {resource}"
            f" because no identity-based policy allows the {name} action",
            403 if request.service in _DENIED else 400,
        )

    def cluster(self, request: Request) -> Cluster:
        """Return the cluster of a call. Raises ApiError."""
        name = request.text("cluster", "default").rpartition("/")[2]
        cluster = next((item for item in self.world.clusters if item.name == name), None)
        if cluster is None:
            raise ApiError("ClusterNotFoundException", "Cluster not found.")
        self._check_permission(request, cluster.deny, self.arn("cluster", name))
        return cluster

    def arn(self, kind: str, path: str) -> str:
        """Return an ARN of ECS."""
        return f"arn:aws:ecs:{self.world.region}:{self.world.account}:{kind}/{path}"

    def task_arn(self, task: Task) -> str:
        """Return a task's ARN."""
        return self.arn("task", f"{task.group.cluster}/{task.id}")

    # --- Tasks

    async def _describe_tasks(self, request: Request) -> Response:
        cluster = self.cluster(request)
        names = request.texts("tasks")
        if not names:
            raise ApiError("InvalidParameterException", "Tasks cannot be empty.")
        if len(names) > _PAGE:
            raise ApiError("InvalidParameterException", "Tasks cannot have more than 100 elements.")
        ids = {task.id: task for task in self.tasks if task.group.cluster == cluster.name}
        found = [ids[name.rpartition("/")[2]] for name in names if name.rpartition("/")[2] in ids]
        missing = [name for name in names if name.rpartition("/")[2] not in ids]
        content: dict[str, Any] = {"tasks": [], "failures": []}
        if found:
            parameters = {**request.parameters, "tasks": [self.task_arn(task) for task in found]}
            response, content = await self.control.json(request, parameters)
            if response.status != 200:
                return response
        content["failures"] = [
            {
                "arn": name if name.startswith("arn:") else self.arn("task", f"{cluster.name}/{name}"),
                "reason": "MISSING",
            }
            for name in missing
        ]
        return aws.answer(content)

    async def _list_tasks(self, request: Request) -> Response:
        cluster = self.cluster(request)
        found = [task for task in self.tasks if task.group.cluster == cluster.name and _listed(task, request)]
        service = request.text("serviceName").rpartition("/")[2]
        if service and service not in {group.service for group in cluster.groups}:
            raise ApiError("ServiceNotFoundException", "Service not found.")
        found = [task for task in found if not service or task.group.service == service]
        if starter := request.text("startedBy"):
            found = [task for task in found if self.runs.started_by(task) == starter]
        size = min(int(request.parameters.get("maxResults") or _PAGE), _PAGE)
        start = int(request.text("nextToken") or 0)
        content: dict[str, Any] = {"taskArns": [self.task_arn(task) for task in found[start : start + size]]}
        if start + size < len(found):
            content["nextToken"] = str(start + size)
        return aws.answer(content)

    async def _stop_task(self, request: Request) -> Response:
        self.cluster(request)
        task = self._task(request)
        slowly = False
        reason = request.text("reason", "Task stopped by user")
        if self.runs.stops(task, reason):
            pass
        elif task.running:
            if slowly := bool(self.quirks.stop_takes):
                task.last_status, task.stop_code, task.stopped_reason = STOPPING[0], "UserInitiated", reason
            else:
                await self.stop_task(task, "UserInitiated", reason)
        described = {**request.parameters, "tasks": [self.task_arn(task)]}
        headers = {**request.headers, "X-Amz-Target": f"{aws.ECS}.DescribeTasks"}
        _, content = await self.control.json(replace(request, headers=headers), described)
        if slowly:  # from now on: the answer has the first status, however busy this machine is
            self._stopping.append(asyncio.create_task(self._stop_slowly(task, reason)))
        return aws.answer({"task": content["tasks"][0]})

    async def _stop_slowly(self, task: Task, reason: str) -> None:
        *on_the_way, _ = STOPPING
        for status in on_the_way:
            task.last_status = status
            await asyncio.sleep(self.quirks.stop_takes / len(on_the_way))
        await self.stop_task(task, "UserInitiated", reason)

    async def stop_task(
        self, task: Task, code: str, reason: str, exit_code: int | None = None, container_reason: str = ""
    ) -> None:
        """Stop a task: its sessions end, its processes are killed."""
        task.last_status, task.stop_code, task.stopped_reason = "STOPPED", code, reason
        task.stopped, task.killed = time.time(), exit_code in (None, 137)
        if exit_code is not None:
            task.change_containers(exit_code=exit_code, reason=container_reason)
        await self._end_sessions_of(task, "task stopped")

    async def stop_agent(self, task: Task, reason: str) -> None:
        """Let the exec agents of a task die, and with them what they run."""
        task.change_containers(agent_status="STOPPED", agent_reason=reason)
        await self._end_sessions_of(task, "agent stopped")

    async def _end_sessions_of(self, task: Task, ended_by: str) -> None:
        mine = [session for session in self.sessions.values() if session.place.task is task]
        leaders = {session.id: session.pid for session in mine}
        for session in mine:
            await session.terminate(ended_by, close=session.quirks.stop_closes)
        processes.kill_all(leaders)

    # --- What surrounds tasks

    async def _describe_clusters(self, request: Request) -> Response:
        response, content = await self.control.json(request)
        if "CONFIGURATIONS" not in request.texts("include"):
            for cluster in content.get("clusters", []):
                cluster.pop("configuration", None)
        return response if response.status != 200 else aws.answer(content)

    async def _describe_container_instances(self, request: Request) -> Response:
        cluster = self.cluster(request)
        names = request.texts("containerInstances")
        hosts = {task.id[::-1]: task for task in self.tasks if task.group.cluster == cluster.name}
        known = [name for name in names if name.rpartition("/")[2] in hosts]
        found = [
            {
                "containerInstanceArn": self.arn("container-instance", f"{cluster.name}/{host}"),
                "ec2InstanceId": f"i-{host[:17]}",
                "versionInfo": {
                    "agentVersion": hosts[host].group.agent_version,
                    "dockerVersion": "DockerVersion: 25.0.8",
                },
                "status": "ACTIVE",
                "agentConnected": True,
            }
            for host in (name.rpartition("/")[2] for name in known)
        ]
        failures = [{"arn": name, "reason": "MISSING"} for name in names if name not in known]
        return aws.answer({"containerInstances": found, "failures": failures})

    async def _simulate(self, request: Request) -> Response:
        return policies.simulate(request, self.world)

    async def _identity(self, request: Request) -> Response:
        """Let moto tell a role's session from a user, whom it names as no user is."""
        response = await self.control.call(request)
        stand_in = f"arn:aws:sts::{self.world.account}:user/moto"
        body = response.body.replace(stand_in.encode(), policies.user(self.world).encode())
        return replace(response, body=body)

    def _task(self, request: Request) -> Task:
        cluster, name = self.cluster(request), request.text("task").rpartition("/")[2]
        if not _TASK_ID.fullmatch(name):
            raise ApiError("InvalidParameterException", "taskId length should be one of [32,36]")
        for task in self.tasks:
            if task.id == name and task.group.cluster == cluster.name:
                return task
        raise ApiError("InvalidParameterException", "The specified task was not found.")

    # --- ECS Exec

    async def _execute_command(self, request: Request) -> Response:
        if request.parameters.get("interactive") is not True:
            raise ApiError("InvalidParameterException", "Interactive is the only mode supported currently.")
        task = self._task(request)
        container = self._container(request, task)
        self._check_permission(request, container.deny, self.task_arn(task))
        quirks = self.quirks.updated(container.agent)
        agent_runs = task.group.exec_enabled and container.agent_status == "RUNNING"
        if not task.running or not agent_runs:
            raise ApiError("InvalidParameterException", _NOT_ENABLED)
        if not task.connected(container):
            raise aws.known_error("TargetNotConnectedException")
        place = Place(task.group.cluster, task, container, self._target(task, container))
        self._check_limit(place, quirks)
        command = request.text("command")
        faults = self.choose_faults(command) or self.faults
        session = Session(f"ecs-execute-command-{uuid.uuid4().hex}", place, command, quirks, faults)
        self.sessions[session.id] = session
        needs_key = quirks.handshake == "kms"
        session.start(self.control, quirks.kms_key or (await self.control.kms_key() if needs_key else ""))
        return aws.answer(
            {
                "clusterArn": self.arn("cluster", task.group.cluster),
                "taskArn": self.task_arn(task),
                "containerArn": self.arn("container", f"{task.group.cluster}/{task.id}/{task.container_id(container)}"),
                "containerName": container.name,
                "interactive": True,
                "session": {
                    "sessionId": session.id,
                    "streamUrl": self._stream_url(session),
                    "tokenValue": session.token,
                },
            }
        )

    def _container(self, request: Request, task: Task) -> Container:
        name = request.text("container")
        if not name:
            if len(task.group.containers) == 1:
                return task.group.containers[0]
            raise ApiError(
                "InvalidParameterException", "A container name must be specified for tasks with multiple containers."
            )
        container = task.container(name)
        if container is None:
            raise ApiError("InvalidParameterException", f"The container {name} does not exist in the task.")
        return container

    def _check_limit(self, place: Place, quirks: Quirks) -> None:
        open_ones = [
            session
            for session in self.sessions.values()
            if session.place.task is place.task
            and session.place.container.name == place.container.name
            and not session.ended.is_set()
        ]
        if quirks.session_limit and len(open_ones) >= quirks.session_limit:
            raise aws.known_error("TargetNotConnectedException")

    def _target(self, task: Task, container: Container) -> str:
        return f"ecs:{task.group.cluster}_{task.id}_{task.runtime_id(container)}"

    def _stream_url(self, session: Session) -> str:
        url = f"ws://{self._host}/v1/data-channel/{session.id}?role=publish_subscribe"
        seconds = session.quirks.presigned
        return signatures.presigned(url, self.world.region, seconds) if seconds else url

    # --- Sessions

    def _session(self, request: Request) -> Session:
        session = self.sessions.get(request.text("SessionId"))
        if session is None:
            raise ApiError("DoesNotExistException", "Session does not exist")
        return session

    async def _resume_session(self, request: Request) -> Response:
        session = self._session(request)
        self._check_permission(request, session.place.container.deny, session.id)
        limit = session.link.faults.refuse_resume
        session.resumes += 1
        if limit < 0 or session.resumes <= limit:
            raise aws.known_error("InternalServerError")
        over = session.ended.is_set() or session.link.faults.empty_resume_token
        return aws.answer(
            {
                "SessionId": session.id,
                "TokenValue": "" if over else session.new_token(),
                "StreamUrl": "" if over or not session.quirks.resume_url else self._stream_url(session),
            }
        )

    async def _terminate_session(self, request: Request) -> Response:
        session = self._session(request)
        self._check_permission(request, session.place.container.deny, session.id)
        await session.terminate("TerminateSession")
        return aws.answer({"SessionId": session.id})

    def upgrade_refusal(
        self, session: Session, target: str, headers: Iterable[tuple[str, str]]
    ) -> signatures.SignatureError | None:
        """Return why a request for a websocket is refused; None if it is not. Notes the request."""
        fields = {name.lower(): value for name, value in headers}
        how = "presigned" if signatures.is_presigned(target) else "signed" if "authorization" in fields else "unsigned"
        noted: dict[str, Any] = {"how": how, "accessKey": "", "status": 101}
        session.upgrades.append(noted)
        try:
            if session.quirks.presigned:
                self._check_presigned(how, target, fields)
            else:
                noted["accessKey"] = self._check_signed(session, target, headers, how)
        except signatures.SignatureError as error:
            noted["status"] = 403
            return error
        return None

    def _check_presigned(self, how: str, target: str, fields: Mapping[str, str]) -> None:
        if how != "presigned" or "authorization" in fields:
            raise signatures.SignatureError("IncompleteSignatureException", "Expected one signature, of the URL.")
        signatures.verify_presigned(target, fields, self.world.region)

    def _check_signed(self, session: Session, target: str, headers: Iterable[tuple[str, str]], how: str) -> str:
        wanted = session.quirks.upgrade
        if how == "signed" and wanted in {"signed", "either"}:
            access_key = signatures.verify(target, headers, self.world.region)
            self._check_channel_permission(session)
            return access_key
        if how == "signed" or wanted == "none":
            raise signatures.SignatureError("ForbiddenException", "Forbidden")
        if wanted == "signed":
            raise signatures.SignatureError("MissingAuthenticationTokenException", "Missing Authentication Token")
        return ""

    def _check_channel_permission(self, session: Session) -> None:
        cluster = next(item for item in self.world.clusters if item.name == session.place.cluster)
        action = f"{signatures.SERVICE}:OpenDataChannel"
        if action in (*self.world.deny, *cluster.deny, *session.place.container.deny):
            raise signatures.SignatureError(
                "AccessDeniedException",
                f"User: {policies.user(self.world)} is not authorized to perform: {action} on resource: arn:aws:ssm:"
                f"{self.world.region}:{self.world.account}:session/{session.id} because no identity-based policy"
                f" allows the {action} action",
            )

    def admits(self, session: Session, opening: str) -> str:
        """Return why a data channel's first message does not open it; empty if it does."""
        try:
            content = json.loads(opening)
            token, client = content["TokenValue"], content["ClientId"]
        except (ValueError, KeyError, TypeError):
            return "first message is no OpenDataChannelInput"
        missing = [name for name in ("MessageSchemaVersion", "RequestId") if not content.get(name)]
        if missing:
            session.violations.append(f"opening lacks {', '.join(missing)}")
        if session.client_id not in ("", client):
            session.violations.append("client id changed within the session")
        if token != session.token or token in session.spent_tokens:
            return "token is not valid"
        if session.quirks.single_use_tokens:
            session.spent_tokens.add(token)
        session.client_id = client
        return ""


def _listed(task: Task, request: Request) -> bool:
    """Return whether ListTasks shows a task."""
    stopping = task.last_status in STOPPING
    wanted = request.text("desiredStatus", "RUNNING")
    if (wanted == "STOPPED") != stopping:
        return False
    if (family := request.text("family")) and family != task.group.family:
        return False
    if (launch_type := request.text("launchType")) and launch_type != task.group.launch_type:
        return False
    instance = request.text("containerInstance")
    return not instance or instance.rpartition("/")[2] == task.id[::-1]
