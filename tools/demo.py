"""`make demo`: nodes of the local emulator, and commands in their containers, as Rundeck runs the plugin.

Ends in 0 if each command came out as it should.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e.rundeck_launch import ACCESS_KEY, ALONE, SECRET_KEY, Launcher, started_by, variables
from emulator import Emulator

_CONTENTS = Path(__file__).resolve().parents[1] / "contents"


@dataclass(frozen=True)
class Step:
    """A command on a node, and the exit status that it should end with."""

    node: str
    attributes: Mapping[str, str]
    command: str
    status: int
    note: str
    config: Mapping[str, str] = field(default_factory=dict)


def main() -> int:
    """Run the steps; return the exit status."""
    with Emulator() as emulator:
        print(f"A local ECS with two clusters is at {emulator.endpoint_url}; its agents take the real ones' second.\n")
        nodes = _nodes(emulator)
        launcher = Launcher(emulator.endpoint_url, "", script=_CONTENTS / "node-executor.py")
        steps = _steps(nodes)
        wrong = [step for step in steps if _run(launcher, step) != step.status]
        count = len({step.node for step in steps})
        print(f"{len(steps)} commands on {count} nodes, {len(steps) - len(wrong)} came out as they should.")
    return 1 if wrong else 0


def _nodes(emulator: Emulator) -> dict[str, dict[str, str]]:
    """Run the node source and show what Rundeck would list; return the attributes by cluster, family and container."""
    settings = {"endpoint-url": emulator.endpoint_url, "regions": emulator.region, "access-key-id": ACCESS_KEY}
    done = subprocess.run(
        started_by(_CONTENTS / "node-source.py"),
        env=ALONE | variables("CONFIG", settings | {"secret-access-key": SECRET_KEY}),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    found = json.loads(done.stdout)
    print(f"The node source finds {len(found)} containers:\n")
    nodes = {}
    for name, node in found.items():
        place = f"{node['ECS:Cluster-Name']}/{node['ECS:Task-Definition-Family']}/{node['ECS:Container-Name']}"
        print(f"    {name:<50}  {place:<22}  {node.get('ui:status:text') or 'ready'}")
        nodes[place] = {key: value for key, value in node.items() if key != "tags"}
    print(flush=True)
    return nodes


def _steps(nodes: Mapping[str, Mapping[str, str]]) -> list[Step]:
    web, app, worker = nodes["demo/web/nginx"], nodes["demo/api/app"], nodes["batch/worker/worker"]
    locked, distroless = nodes["demo/locked/app"], nodes["batch/distroless/app"]
    return [
        Step("nginx (Fargate)", web, 'echo "$GREETING from $HOSTNAME"; pwd', 0, "an ordinary command"),
        Step("nginx (Fargate)", web, "ls /nowhere || exit 42", 42, "its own exit status"),
        Step("app (beside log-router)", app, "echo to stdout; echo to stderr >&2", 0, "two streams"),
        Step("app (beside log-router)", app, "printf 'exact: caf\\303\\251, \\t, no newline'", 0, "every byte"),
        Step("worker (EC2)", worker, "seq 1 100000 | tail -n 1; kill -TERM $$", 143, "ended by a signal: 128+15"),
        Step("worker (EC2)", worker, "echo begun; sleep 60", 124, "stopped by a time-out", {"timeout": "1"}),
        Step(
            "any task of the service web",
            {"ecs-cluster": "demo", "ecs-service": "web", "ECS:Region": web["ECS:Region"]},
            "uname -s",
            0,
            "resolved at run time, to its newest task",
        ),
        Step("locked", locked, "id", 125, "refused: the cause and the cure"),
        Step("distroless", distroless, "id", 125, "refused: its image has no shell"),
        Step("distroless", distroless, "env", 0, "but its programs run", {"shell": "none"}),
    ]


def _run(launcher: Launcher, step: Step) -> int:
    """Run one step and show what an operator sees; return the exit status."""
    settings = "".join(f", {name} = {value}" for name, value in step.config.items())
    print(f"[{step.node}{settings}] {step.command}    # {step.note}")
    begun = time.monotonic()
    done = launcher.run(step.attributes, step.command, step.config)
    _show("stdout", done.stdout)
    _show("stderr", done.stderr)
    print(f"    exit status {done.status}, after {time.monotonic() - begun:.1f} s\n", flush=True)
    return done.status


def _show(stream: str, data: bytes) -> None:
    for line in data.decode(errors="replace").splitlines():
        print(f"    {stream} | {line}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.TimeoutExpired as error:
        sys.exit(f"demo: no end within {error.timeout} s")
