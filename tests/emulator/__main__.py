"""`python -m emulator`: a local ECS with ECS Exec in the foreground, until it is interrupted."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from emulator import Emulator, Faults, Quirks, WorldError, signatures
from emulator.world import DEFAULT_WORLD

_CONTENTS = Path(__file__).resolve().parents[2] / "contents"
_EXAMPLE = "echo hello from $HOSTNAME; exit 3"


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; return the exit status."""
    options = _parser().parse_args(argv)
    try:
        agent = Quirks.fast() if options.fast else Quirks()
        emulator = Emulator(
            world=options.world,
            agent=agent.updated(dict(map(_pair, options.agent))),
            faults=_faults(options.faults),
            region=options.region,
            port=options.port,
        )
    except ValueError as error:  # a WorldError is one
        print(f"emulator: {error}", file=sys.stderr)
        return 2
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with emulator:
            print(_greeting(emulator), flush=True)
            ended.wait()
    except OSError as error:
        print(f"emulator: cannot listen on port {options.port}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m emulator",
        description="A local ECS with ECS Exec: real shells on real terminals behind AWS's own protocols.",
        epilog=_habits(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--world", type=Path, default=DEFAULT_WORLD, help="YAML file of what exists (the sample world)")
    parser.add_argument("--region", default="", help="the region in which it exists (the file's)")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (any that is free)")
    parser.add_argument("--fast", action="store_true", help="leave out the rests that the real agent makes")
    parser.add_argument(
        "--agent",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a habit of the agents (repeatable)",
    )
    parser.add_argument("--faults", default="{}", metavar="JSON", help="what goes wrong on the way (README.md)")
    return parser


def _habits() -> str:
    lines = [f"  {field.name}={getattr(Quirks, field.name)}" for field in fields(Quirks)]
    return "Habits of the agents, with their defaults:\n" + "\n".join(lines)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--agent {text} is not NAME=VALUE")
    return name, value


def _faults(text: str) -> Faults:
    try:
        values: Any = json.loads(text)
    except ValueError as error:
        raise ValueError(f"--faults is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise WorldError("--faults is no JSON object")
    return Faults.from_mapping(values)


# --- What it says


def _greeting(emulator: Emulator) -> str:
    """Print where it listens, what exists there, and how to run a command in it as Rundeck would."""
    lines = [f"ECS, SSM, STS and KMS of {emulator.region} at {emulator.endpoint_url}", "", "Tasks:"]
    for task in emulator.tasks():
        group = task.group
        names = ", ".join(container.name for container in group.containers)
        where = f"{group.cluster}/{group.service or group.family}"
        lines.append(f"  {where:24}{group.launch_type:9}{task.last_status:9}{task.id}  {names}")
    running = next((task for task in emulator.tasks() if task.running and task.group.exec_enabled), None)
    if running is not None:
        index = [task for task in emulator.tasks() if task.group is running.group].index(running)
        group = running.group
        node = emulator.node(group.cluster, group.service or group.family, index)
        lines += ["", "A command in the first of them, as Rundeck runs it:", "", _example(emulator, node)]
    return "\n".join([*lines, "", "Ctrl-C ends it."])


def _example(emulator: Emulator, node: dict[str, str]) -> str:
    values = {
        "RD_CONFIG_ENDPOINT_URL": emulator.endpoint_url,
        "RD_CONFIG_REGION": emulator.region,
        "RD_CONFIG_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "RD_CONFIG_SECRET_ACCESS_KEY": signatures.KEYS["AKIAIOSFODNN7EXAMPLE"].secret,
        **{f"RD_NODE_{name.upper().replace(':', '_').replace('-', '_')}": value for name, value in node.items()},
        "RD_EXEC_COMMAND": _EXAMPLE,
    }
    words = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    script = shlex.quote(str(_CONTENTS / "node-executor.py"))
    return " \\\n    ".join(["env -i", *words, f"{sys.executable} -u {script}; echo status $?"])


if __name__ == "__main__":
    sys.exit(main())
