"""Writes the outputs of the job steps into docs/steps.md, from runs against the emulator.

Each block of output is between a comment with the name of its run and the end of its fence.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

from e2e.rundeck_launch import ALONE, SECRET_KEY, started_by, variables
from ecs_exec.settings.steps import read_redeploy, read_scale
from ecs_exec.steps import redeploy, scale
from emulator import Emulator
from virtual_services import VirtualEcs
from virtual_services import run as run_virtual

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "steps.md"
_LOG = {"group": "/ecs/web", "prefix": "web"}
_REPORT = "sleep 2; echo reading orders; sleep 1; echo wrote 312 rows; sleep 2; exit 3"
"""Its lines come some seconds from the changes of the task's state, so that their order is always the same."""
WORLD: dict[str, Any] = {
    "vpc_endpoints": ["ssmmessages"],
    "clusters": {
        "production": {
            "services": {"web": {"desired": 3, "containers": {"nginx": {"workdir": "/usr", "log": _LOG}}}},
            "tasks": [
                {
                    "family": "monthly-report",
                    "count": 0,
                    "launch_type": "EC2",
                    "containers": {
                        "report": {
                            "command": ["sh", "-c", _REPORT],
                            "log": {"group": "/ecs/monthly-report", "prefix": "report"},
                        }
                    },
                },
                {
                    "family": "migration",
                    "count": 0,
                    "launch_type": "EC2",
                    "start_fails": (
                        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve"
                        " ref 123456789012.dkr.ecr.us-east-1.amazonaws.com/shop:7.3: not found"
                    ),
                    "containers": {
                        "migrate": {"log": {"group": "/ecs/shop", "prefix": "shop"}},
                    },
                },
                {"family": "worker", "exec_enabled": False, "init_process": False, "containers": {"app": {}}},
                {"family": "mailer", "count": 2, "containers": {"app": {}}},
                {"family": "mailer", "exec_enabled": False, "containers": {"app": {}}},
                {"family": "mailer", "last_status": "PENDING", "containers": {"app": {}}},
                {
                    "family": "nightly-report",
                    "age": 1200,
                    "last_status": "STOPPED",
                    "stop_code": "EssentialContainerExited",
                    "stopped_reason": "Essential container in task exited",
                    "containers": {
                        "report": {
                            "exit_code": 137,
                            "reason": "OutOfMemoryError: Container killed due to memory usage",
                        },
                        "log-router": {"exit_code": 0, "essential": False},
                    },
                },
                {
                    "family": "importer",
                    "age": 600,
                    "last_status": "STOPPED",
                    "stop_code": "TaskFailedToStart",
                    "stopped_reason": (
                        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve"
                        " ref 123456789012.dkr.ecr.us-east-1.amazonaws.com/importer:7.3: not found"
                    ),
                    "containers": {"app": {}},
                },
            ],
        }
    },
}
_SERVICES: dict[str, Any] = {
    "api": {"desired": 2, "containers": {"app": {"image": "registry.example.com/api:1.4"}}, "rollout": {"takes": 20.0}},
    "orders": {"desired": 2, "containers": {"app": {}}, "rollout": {"takes": 20.0, "scaling": "2-6"}},
    "billing": {
        "containers": {"app": {}},
        "rollout": {"takes": 20.0, "fails": -1, "circuit_breaker": 3, "rollback": True},
    },
    "shop": {
        "desired": 2,
        "containers": {"app": {"image": "registry.example.com/shop:7"}},
        "rollout": {"strategy": "LINEAR", "takes": 20.0, "stage_takes": 30.0, "bake": 300.0},
    },
}
"""Services that are deployed in virtual time."""
_WRITTEN = ((0, "GET /orders 200"), (2, "GET / 200"), (0, "GET /orders/17 404"), (1, "upstream timed out"))
"""What the tasks of the service write, a second apart."""
JOB = {"name": "Restart web", "group": "ops", "execid": "4711", "username": "ann", "project": "shop"}
_SECONDS = {
    "PROVISIONING": 0,
    "PENDING": 2,
    "RUNNING": 3,
    "DEACTIVATING": 0,
    "STOPPING": 3,
    "DEPROVISIONING": 5,
    "STOPPED": 7,
}
_VARYING: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"(?m)^ *\d+ s  (\w+)$", lambda found: f"{_SECONDS[found[1]]:5} s  {found[1]}"),
    (r"within \d+\.\d s", "within 0.1 s"),
    (r"vpce-[0-9a-f]+", "vpce-0a1b2c3d4e5f60718"),
    (r"(?<=\n)([0-9a-f]{8}: [^\n]*\n)+", lambda found: _sorted(found[0])),
)
"""Patterns of text that differs between runs, and their replacements: durations, an id of moto, the order of lines."""

_MOMENT = r"(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d:\d\d)"
_NEWEST = datetime(2026, 11, 24, 22, 40, 11, tzinfo=timezone.utc)


def main() -> int:
    """Write the page of this checkout."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), outputs()), encoding="utf-8")
    return 0


def page(present: str, found: Mapping[str, str]) -> str:
    """Return the page with the current outputs."""
    for name, text in found.items():
        pattern = rf"(<!-- {re.escape(name)} -->\n```\n).*?(```\n)"
        if not re.search(pattern, present, re.DOTALL):
            raise ValueError(f"docs/steps.md lacks the output of {name}")
        present = re.sub(pattern, lambda match, text=text: match[1] + text + match[2], present, flags=re.DOTALL)  # type: ignore[misc]
    return present


def outputs() -> dict[str, str]:
    """Run every step; return its output by name, with the varying parts replaced."""
    habits = {"start_delay": 0, "pacing": 0, "session_limit": 0, "stop_takes": 6.6, "start_takes": 2.4}
    with Emulator(world=WORLD, agent=habits) as emulator:

        def run(script: str, config: Mapping[str, str], node: Mapping[str, str] | None = None) -> str:
            return _unvarying(_run(emulator, script, node or {}, config))

        for second, (number, text) in enumerate(_WRITTEN):
            task = emulator.task("production", "web", number)
            emulator.write_log(task, "nginx", [(int(time.time() - 60 + second) * 1000, text)])
        all_tasks = {"cluster": "production", "service": "web", "all-tasks": "true"}
        importer = {"cluster": "production", "family": "importer"}
        web = emulator.node("production", "web")
        return {
            "check-exec": run("check-exec", {}, web),
            "check-exec that fails": run("check-exec", {}, emulator.node("production", "worker")),
            "check-exec of a family": run("check-exec", {"cluster": "production", "family": "mailer"}),
            "run-command in all tasks": run("run-command", {**all_tasks, "command": 'echo "$HOSTNAME"; pwd'}),
            "stopped-tasks": run("stopped-tasks", {"cluster": "production"}),
            "stopped-tasks as markdown": run("stopped-tasks", {**importer, "format": "markdown"}),
            "stopped-tasks as html": run("stopped-tasks", {**importer, "format": "html"}),
            "logs": _run(emulator, "logs", {}, {"cluster": "production", "service": "web"}),
            "run-task": run(
                "run-task", {"cluster": "production", "task-definition": "monthly-report", "log-wait": "1"}
            ),
            "run-task that never runs": run(
                "run-task", {"cluster": "production", "task-definition": "migration", "log-wait": "0"}
            ),
            "stop-task": run("stop-task", {}, web),
            "stop-task again": run("stop-task", {}, web),
            "redeploy": _in_virtual_time(redeploy, read_redeploy, {"service": "api", "tag": "1.5"}),
            "scale": _in_virtual_time(scale, read_scale, {"service": "orders", "desired-count": "+1"}),
            "redeploy that is rolled back": _in_virtual_time(redeploy, read_redeploy, {"service": "billing"}),
            "redeploy that shifts traffic": _in_virtual_time(redeploy, read_redeploy, {"service": "shop", "tag": "8"}),
        }


def _in_virtual_time(step: ModuleType, read: Callable[[Mapping[str, str]], Any], config: Mapping[str, str]) -> str:
    """Run a step that waits for a service, which takes minutes, as if its time passed at once."""
    ecs = VirtualEcs({"clusters": {"production": {"services": _SERVICES}}})
    asked = read(variables("CONFIG", {"cluster": "production", "region": "us-east-1", **config}))
    ended = run_virtual(step, asked, ecs)
    ecs.end()
    return "".join(f"{line}\n" for line in ended.out) + ended.err


def _run(emulator: Emulator, script: str, node: Mapping[str, str], config: Mapping[str, str]) -> str:
    shared = {"region": emulator.region, "endpoint-url": emulator.endpoint_url}
    shared |= {"access-key-id": "AKIAIOSFODNN7EXAMPLE", "secret-access-key": SECRET_KEY}
    groups = {"NODE": {"name": "node", **node} if node else {}, "CONFIG": {**shared, **config}, "JOB": JOB}
    environ = {"PATH": "/nonexistent", **ALONE}
    for group, values in groups.items():
        environ |= variables(group, values)
    command = started_by(ROOT / "contents" / f"{script}.py")
    done = subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout


def _unvarying(text: str) -> str:
    for pattern, stand_in in _VARYING:
        text = re.sub(pattern, stand_in, text)
    known: dict[str, datetime] = {}

    def moment(found: re.Match[str]) -> str:
        """Replace times by times ten minutes apart; the first one becomes the latest."""
        at = known.setdefault(f"{found[1]} {found[3]}", _NEWEST - timedelta(minutes=10 * len(known)))
        return f"{at:%Y-%m-%d}{found[2]}{at:%H:%M:%S}"

    return re.sub(_MOMENT, moment, text)


def _sorted(lines: str) -> str:
    return "".join(sorted(lines.splitlines(keepends=True), key=lambda line: line[:8]))


if __name__ == "__main__":
    sys.exit(main())
