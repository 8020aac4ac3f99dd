"""An ECS with very many tasks only, for measurements: each call takes a set time and almost no processor time.

    python tools/bench/many_tasks.py CLUSTERS TASKS_PER_CLUSTER SECONDS_PER_CALL

prints its port. GET /calls returns the number of calls by action, and resets it to 0.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections import Counter
from typing import Any

from aiohttp import web

ACCOUNT = "123456789012"
REGION = "us-east-1"
PAGE = 100
_PREFIX = f"arn:aws:ecs:{REGION}:{ACCOUNT}"


class ManyTasks:
    """The clusters, with the description of each task ready to send."""

    def __init__(self, clusters: int, tasks_each: int, delay: float) -> None:
        """Make the tasks, of two containers each."""
        self._delay = delay
        self.calls: Counter[str] = Counter()
        self.tasks: dict[str, list[str]] = {}
        self._described: dict[str, bytes] = {}
        for number in range(clusters):
            cluster = f"cluster-{number}"
            made = [_task(cluster, index) for index in range(tasks_each)]
            self.tasks[cluster] = [task["taskArn"] for task in made]
            self._described |= {task["taskArn"]: json.dumps(task).encode() for task in made}

    async def call(self, http: web.Request) -> web.Response:
        """Answer a call after the set time."""
        action = http.headers["X-Amz-Target"].rpartition(".")[2]
        self.calls[action] += 1
        begun = asyncio.get_running_loop().time()
        asked = json.loads(await http.read())
        body = self.answer(action, asked)
        await asyncio.sleep(self._delay - (asyncio.get_running_loop().time() - begun))
        return web.Response(body=body, content_type="application/x-amz-json-1.1")

    def answer(self, action: str, asked: dict[str, Any]) -> bytes:
        """Return the body of an answer."""
        if action == "ListClusters":
            return json.dumps({"clusterArns": [f"{_PREFIX}:cluster/{name}" for name in self.tasks]}).encode()
        if action == "DescribeTasks":
            return b'{"tasks":[' + b",".join(self._described[arn] for arn in asked["tasks"]) + b'],"failures":[]}'
        arns, start = self.tasks[asked["cluster"].rpartition("/")[2]], int(asked.get("nextToken", 0))
        page: dict[str, Any] = {"taskArns": arns[start : start + PAGE]}
        if start + PAGE < len(arns):
            page["nextToken"] = str(start + PAGE)
        return json.dumps(page).encode()

    async def counted(self, _http: web.Request) -> web.Response:
        """Return the calls since the last request."""
        calls, self.calls = dict(self.calls), Counter()
        return web.json_response(calls)


def _task(cluster: str, number: int) -> dict[str, Any]:
    """Return a Fargate task of a service as ecs:DescribeTasks describes it, with all fields of a real task."""
    name = uuid.uuid5(uuid.NAMESPACE_OID, f"{cluster} {number}").hex
    arn, service = f"{_PREFIX}:task/{cluster}/{name}", f"service-{number // 20}"
    address = f"10.{number // 60000}.{number // 250 % 240}.{number % 250 + 4}"
    interface = {
        "subnetId": f"subnet-0123456789abcdef{number % 3}",
        "networkInterfaceId": f"eni-{name[:17]}",
        "macAddress": "0a:58:a9:fe:ac:02",
        "privateDnsName": f"ip-{address.replace('.', '-')}.ec2.internal",
        "privateIPv4Address": address,
    }
    attachment_id = str(uuid.UUID(name))
    attachment = {
        "id": attachment_id,
        "type": "ElasticNetworkInterface",
        "status": "ATTACHED",
        "details": [{"name": key, "value": value} for key, value in interface.items()],
    }
    times = ("createdAt", "pullStartedAt", "pullStoppedAt", "startedAt", "connectivityAt")
    return {
        "attachments": [attachment],
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
        "availabilityZone": f"{REGION}{'abc'[number % 3]}",
        "clusterArn": f"{_PREFIX}:cluster/{cluster}",
        "connectivity": "CONNECTED",
        "containers": [_container(arn, name, each, attachment_id, address) for each in ("app", "log-router")],
        "cpu": "512",
        "desiredStatus": "RUNNING",
        "enableExecuteCommand": True,
        "ephemeralStorage": {"sizeInGiB": 20},
        "group": f"service:{service}",
        "healthStatus": "HEALTHY",
        "lastStatus": "RUNNING",
        "launchType": "FARGATE",
        "memory": "1024",
        "overrides": {"containerOverrides": [{"name": "app"}, {"name": "log-router"}]},
        "platformFamily": "Linux",
        "platformVersion": "1.4.0",
        "startedBy": f"ecs-svc/{int(name[:15], 16)}",
        "tags": [{"key": "team", "value": f"team-{number % 7}"}, {"key": "environment", "value": "production"}],
        "taskArn": arn,
        "taskDefinitionArn": f"{_PREFIX}:task-definition/{service}:{number % 40 + 1}",
        "version": 5,
        **{key: 1_760_000_000.123 + number + at for at, key in enumerate(times)},
    }


def _container(task: str, task_id: str, name: str, attachment: str, address: str) -> dict[str, Any]:
    digest = uuid.uuid5(uuid.NAMESPACE_OID, f"{task} {name}")
    return {
        "containerArn": f"{task.replace(':task/', ':container/')}/{digest}",
        "taskArn": task,
        "name": name,
        "image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/shop/{name}:2026.11.1",
        "imageDigest": f"sha256:{digest.hex * 2}",
        "runtimeId": f"{task_id}-{digest.int % 9_000_000_000 + 1_000_000_000}",
        "lastStatus": "RUNNING",
        "networkBindings": [],
        "networkInterfaces": [{"attachmentId": attachment, "privateIpv4Address": address}],
        "healthStatus": "HEALTHY",
        "managedAgents": [{"name": "ExecuteCommandAgent", "lastStatus": "RUNNING", "lastStartedAt": 1_760_000_020.5}],
        "cpu": "256",
        "memory": "512",
        "memoryReservation": "256",
    }


async def _serve(many: ManyTasks) -> None:
    application = web.Application(client_max_size=1 << 22)
    application.router.add_post("/", many.call)
    application.router.add_get("/calls", many.counted)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(ManyTasks(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))))
