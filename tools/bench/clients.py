"""The plugin and its peer, as programs to run against one emulator in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

import isolated_pip
from bench.measure import Program
from e2e.rundeck_launch import ACCESS_KEY, SECRET_KEY, Launcher, started_by
from real import session_manager_plugin

ROOT = Path(__file__).parents[2]
_REQUIREMENTS = ROOT / "requirements" / "bench.txt"
_HOME = ROOT / "build" / "awscli"


class Bench:
    """An emulator with a number of containers, and the commands that run something in one of them."""

    def __init__(self, containers: int, agent: Mapping[str, object], work: Path) -> None:
        """Take the number of tasks, of one container each, and the habits of their agents."""
        self._work = work
        self._agent = [f"--agent={name}={value}" for name, value in agent.items()]
        self._world = work / f"world-{containers}.yaml"
        tasks = [{"family": "bench", "count": containers, "containers": {"app": {}}}]
        self._world.write_text(yaml.safe_dump({"clusters": {"bench": {"tasks": tasks}}}))
        self._plugin = session_manager_plugin.build()
        self._aws = aws_cli()

    def __enter__(self) -> Bench:  # noqa: PYI034 - not to be subclassed
        """Start the emulator."""
        command = [sys.executable, "-m", "emulator", f"--world={self._world}", *self._agent]
        self._emulator = subprocess.Popen(command, cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True)
        assert self._emulator.stdout is not None
        self.endpoint = self._emulator.stdout.readline().split()[-1]
        described = self._call(
            "DescribeTasks", cluster="bench", tasks=self._call("ListTasks", cluster="bench")["taskArns"]
        )
        self.tasks: list[dict[str, Any]] = described["tasks"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._emulator.terminate()
        self._emulator.wait()

    def ours(self, command: str, task: int = 0, **config: str) -> Program:
        """Give the plugin, as Rundeck starts it on a node of its node source."""
        described = self.tasks[task]
        node = {
            "ECS:Cluster-ARN": described["clusterArn"],
            "ECS:Task-ARN": described["taskArn"],
            "ECS:Container-Name": "app",
            "ECS:Runtime-ID": described["containers"][0]["runtimeId"],
            "ECS:Region": "us-east-1",
        }
        launcher = Launcher(self.endpoint)
        settings = {"session-manager-plugin": str(self._plugin), **config}
        # This is the interpreter of the peer's environment, too: a system's additions to its python3 must slow neither.
        return Program(started_by(launcher.script), launcher.environment(node, command, settings))

    def peer(self, command: str, task: int = 0) -> Program:
        """Give `aws ecs execute-command` on a terminal."""
        described = self.tasks[task]
        arguments = [f"--endpoint-url={self.endpoint}", "ecs", "execute-command", "--interactive", "--cluster=bench"]
        arguments += [f"--task={described['taskArn']}", "--container=app", f"--command={command}"]
        return Program([str(self._aws), *arguments], self._environment(), terminal=True)

    def calls(self) -> list[str]:
        """Name the AWS calls that the emulator has seen."""
        with urllib.request.urlopen(f"{self.endpoint}/_emulator/report") as answer:  # noqa: S310 - our own
            return [f"{call['service']}:{call['action']}" for call in json.load(answer)["calls"]]

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self._work),
            "PATH": f"{self._plugin.parent}:{os.environ['PATH']}",
            "TERM": "xterm",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def _call(self, action: str, **parameters: object) -> dict[str, Any]:
        import boto3

        client = boto3.client(
            "ecs",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )
        name = {"ListTasks": "list_tasks", "DescribeTasks": "describe_tasks"}[action]
        answer: dict[str, Any] = getattr(client, name)(**parameters)
        return answer


def aws_cli() -> Path:
    """Return the AWS CLI's path; install the CLI into its own environment if it is missing."""
    program = _HOME / "bin" / "aws"
    stamp = _HOME / "ready"
    wanted = _REQUIREMENTS.read_text(encoding="utf-8")
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_HOME)], check=True)
        options = ["--quiet", "--require-hashes", "--no-deps", f"--requirement={_REQUIREMENTS}"]
        isolated_pip.run(str(_HOME / "bin" / "python"), "install", *options).check_returncode()
        stamp.write_text(wanted, encoding="utf-8")
    return program
