"""A local ECS with ECS Exec: real shells on real terminals behind AWS's own protocols.

    with Emulator() as emulator:
        run_something_against(emulator.endpoint_url, emulator.node("demo", "web"))

`python -m emulator` runs one in the foreground. A YAML file defines what exists in it, see README.md.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from emulator.link import Faults
from emulator.quirks import Quirks
from emulator.world import Task, World, WorldError, load

if TYPE_CHECKING:
    from emulator.server import Server

__all__ = ["Emulator", "Faults", "Quirks", "Task", "World", "WorldError", "load"]

T = TypeVar("T")
_START_WITHIN = 60.0


class Emulator:
    """An emulator in a thread of its own; its methods are called from other threads."""

    def __init__(
        self,
        world: World | Mapping[str, Any] | Path | str | None = None,
        agent: Quirks | Mapping[str, Any] | None = None,
        faults: Faults | Mapping[str, Any] | None = None,
        region: str = "",
        port: int = 0,
    ) -> None:
        """Take what exists (default: the sample world), how agents behave and what goes wrong.

        Raises WorldError, or ValueError for habits and faults that do not exist.
        """
        self.world = load(world, region)
        self._quirks = agent if isinstance(agent, Quirks) else Quirks().updated(agent or {})
        self._faults = faults if isinstance(faults, Faults) else Faults.from_mapping(faults or {})
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="emulator", daemon=True)
        self._server: Server | None = None

    def __enter__(self) -> Emulator:  # noqa: PYI034 - not to be subclassed
        """Start; returns when it listens."""
        from emulator.server import Server
        from emulator.service import Service

        service = Service(self.world, self._quirks, self._faults)
        service.set_faults(self._faults)
        self._server = Server(service)
        self._thread.start()
        self._port = self._do(self._server.start(self._port))
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and leave no process behind."""
        self._do(self._running.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def endpoint_url(self) -> str:
        """Return the endpoint for ECS, SSM, STS and KMS."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def region(self) -> str:
        """Return the one region in which there is something."""
        return self.world.region

    def tasks(self) -> list[Task]:
        """Return all tasks."""
        return list(self._running.service.tasks)

    def task(self, cluster: str, name: str, index: int = 0) -> Task:
        """Return a task of a service or of a family, counted in the order of the world's file. Raises LookupError."""
        found = [
            task
            for task in self.tasks()
            if task.group.cluster == cluster and name in (task.group.service, task.group.family)
        ]
        if index >= len(found):
            raise LookupError(f"{cluster} has {len(found)} tasks of {name}, there is no number {index}")
        return found[index]

    def node(self, cluster: str, name: str, index: int = 0, container: str | None = None) -> dict[str, str]:
        """Return the attributes of a container as a node source gives them; its task's first one by default."""
        task = self.task(cluster, name, index)
        chosen = task.container(container) if container else task.group.containers[0]
        if chosen is None:
            raise LookupError(f"{name} has no container {container}")
        prefix = f"arn:aws:ecs:{self.region}:{self.world.account}"
        return {
            "ECS:Cluster-ARN": f"{prefix}:cluster/{cluster}",
            "ECS:Task-ARN": f"{prefix}:task/{cluster}/{task.id}",
            "ECS:Container-Name": chosen.name,
            "ECS:Runtime-ID": task.runtime_id(chosen),
            "ECS:Region": self.region,
        }

    def report(self) -> dict[str, Any]:
        """Return the calls, sessions, processes and violations of the protocol seen so far."""
        return self._do(_now(self._running.service.report))

    def processes(self) -> list[dict[str, Any]]:
        """Return what lives of all sessions."""
        return self._do(_now(self._running.service.processes))

    def tokens(self) -> list[str]:
        """Return the tokens that open the sessions' data channels: secrets, for tests that look for them."""
        return [session.token for session in list(self._running.service.sessions.values())]

    def set_faults(self, faults: Faults | Mapping[str, Any]) -> None:
        """Set what goes wrong from now on."""
        ready = faults if isinstance(faults, Faults) else Faults.from_mapping(faults)
        self._do(_now(lambda: self._running.service.set_faults(ready)))

    def choose_faults(self, choose: Callable[[str], Faults | None]) -> None:
        """Let a function say what goes wrong in a session, by its command; it is called in the emulator's thread."""
        self._running.service.choose_faults = choose

    def stop_task(
        self,
        task: Task,
        code: str = "UserInitiated",
        reason: str = "",
        exit_code: int | None = None,
        container_reason: str = "",
    ) -> None:
        """Stop a task as ECS does."""
        self._do(self._running.service.stop_task(task, code, reason, exit_code, container_reason))

    def stop_agent(self, task: Task, reason: str = "") -> None:
        """Let the exec agents of a task die."""
        self._do(self._running.service.stop_agent(task, reason))

    def write_log(self, task: Task, container: str, lines: list[tuple[int, str]]) -> None:
        """Write lines of a container into its log stream, each with its time in milliseconds."""
        self._do(self._running.service.runs.write(task, container, lines))

    def reset(self) -> None:
        """End all sessions and put the world back to its beginning."""
        self._do(self._running.service.reset())

    @property
    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("the emulator has not been started")
        return self._server

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_WITHIN)


async def _now(function: Any) -> Any:  # noqa: ANN401 - what the function returns
    return function()
