"""`make demo`: commands in containers of the local emulator, run as Rundeck runs the plugin.

Ends in 0 if each command came out as it should.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e.rundeck_launch import Launcher
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
        launcher = Launcher(emulator.endpoint_url, emulator.region, script=_CONTENTS / "node-executor.py")
        steps = _steps(emulator)
        wrong = [step for step in steps if _run(launcher, step) != step.status]
        nodes = len({step.node for step in steps})
        print(f"{len(steps)} commands on {nodes} nodes, {len(steps) - len(wrong)} came out as they should.")
    return 1 if wrong else 0


def _steps(emulator: Emulator) -> list[Step]:
    web, app = emulator.node("demo", "web"), emulator.node("demo", "api", container="app")
    worker = emulator.node("batch", "worker")
    return [
        Step("nginx (Fargate)", web, 'echo "$GREETING from $HOSTNAME"; pwd', 0, "an ordinary command"),
        Step("nginx (Fargate)", web, "ls /nowhere || exit 42", 42, "its own exit status"),
        Step("app (beside log-router)", app, "echo to stdout; echo to stderr >&2", 0, "two streams"),
        Step("app (beside log-router)", app, "printf 'exact: caf\\303\\251, \\t, no newline'", 0, "every byte"),
        Step("worker (EC2)", worker, "seq 1 100000 | tail -n 1; kill -TERM $$", 143, "ended by a signal: 128+15"),
        Step("worker (EC2)", worker, "echo begun; sleep 60", 124, "stopped by a time-out", {"timeout": "1"}),
        Step(
            "any task of the service web",
            {"ecs-cluster": "demo", "ecs-service": "web"},
            "uname -s",
            0,
            "resolved at run time, to its newest task",
        ),
        Step("locked", emulator.node("demo", "locked"), "id", 125, "refused: the cause and the cure"),
        Step("distroless", emulator.node("batch", "distroless"), "id", 125, "refused: its image has no shell"),
        Step("distroless", emulator.node("batch", "distroless"), "env", 0, "but its programs run", {"shell": "none"}),
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
