"""`make live`: the table of commands, and the check of prerequisites, in a container of your own.

The container is named by environment variables, as a Rundeck node's attributes would name it; credentials and
endpoints are found as boto finds them:

    LIVE_REGION       region; else that of the AWS configuration
    LIVE_CLUSTER      cluster, a name or an ARN
    LIVE_TASK         task id or ARN, or
    LIVE_SERVICE      a service of the cluster: its newest task
    LIVE_CONTAINER    container, if the task has several
    LIVE_SHELL        its shell, if that is not /bin/sh
    LIVE_TRANSPORT    auto, native or session-manager-plugin; else native

The expected result of each command comes from the container itself: the command runs there a second time, with its
outputs in files below /tmp, which are removed afterwards. Nothing else is written. The report goes to build/live.txt.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import yaml

from commands import COMMANDS
from e2e.rundeck_launch import Launcher

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "build" / "live.txt"

_AT_ONCE = 2
"""Sessions that a container takes, unless AWS has raised that."""

_NODE = {
    "LIVE_REGION": "ECS:Region",
    "LIVE_CLUSTER": "ecs-cluster",
    "LIVE_TASK": "ecs-task",
    "LIVE_SERVICE": "ecs-service",
    "LIVE_CONTAINER": "ecs-container",
    "LIVE_SHELL": "ecs-shell",
}

_LOCAL_ONLY = re.compile(r"\$\$|\bkill\b|\[\$0\]|nohup|background|descriptors of ours")
"""Commands that print or signal their own shell. In another wrapper they would mean that wrapper's shell."""


@dataclass(frozen=True)
class Row:
    """One command's verdict."""

    name: str
    good: bool
    text: str


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run the table and the check; return 0 if every result is as expected."""
    parser = argparse.ArgumentParser("make live", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="", help="run only commands whose names match this pattern")
    options = parser.parse_args(argv)
    environ = os.environ if environ is None else environ
    node = {attribute: environ[name] for name, attribute in _NODE.items() if environ.get(name)}
    if not node.keys() & {"ecs-task", "ecs-service"}:
        print("live: name a container of yours, see make live ARGS=--help", file=sys.stderr)
        return 2
    lines: list[str] = []
    good = True
    for line, fine in _report(node, environ, re.compile(options.only)):
        print(line, flush=True)
        lines.append(line)
        good = good and fine
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"\nThe report is in {REPORT}; read it before you hand it on: it names your resources.")
    return 0 if good else 1


def _report(node: Mapping[str, str], environ: Mapping[str, str], only: re.Pattern[str]) -> Iterator[tuple[str, bool]]:
    """Yield the report's lines, each with whether its result is good."""
    version = yaml.safe_load((ROOT / "plugin.yaml").read_text())["version"]
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    yield f"rundeck-ecs-exec {version}, {now}, Python {platform.python_version()}, {platform.system()}", True
    yield ", ".join(f"{name} {value}" for name, value in node.items()), True
    config = {"transport": environ.get("LIVE_TRANSPORT") or "native", "access-key-id": "", "secret-access-key": ""}
    base = {name: value for name, value in environ.items() if not name.startswith(("RD_", "LIVE_"))}
    launcher = Launcher(environ.get("LIVE_ENDPOINT_URL", ""), node.get("ECS:Region", ""), config, base)
    yield "\nPrerequisites:", True
    checked = Launcher(launcher.endpoint, launcher.region, config, base, ROOT / "contents" / "check-exec.py")
    result = checked.run(node, "")
    for text in (result.stdout + result.stderr).decode(errors="replace").splitlines():
        yield f"  {text}", True
    yield f"  exit status {result.status}", result.status == 0
    if result.status:
        return
    yield "\nCommands:", True
    chosen = {name: command for name, command in COMMANDS.items() if only.search(name) and _repeatable(command)}
    begun = time.monotonic()
    bad = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for row in pool.map(lambda item: _compared(launcher, node, *item), chosen.items()):
            bad += not row.good
            yield f"  {'ok    ' if row.good else 'FAILED'} {row.name}{row.text}", row.good
    yield f"\n{len(chosen)} commands, {bad} failed, {time.monotonic() - begun:.0f} s", True


def _repeatable(command: str) -> bool:
    """Return whether a command means the same inside another shell, and is short enough to be wrapped."""
    return bool(command.strip()) and not _LOCAL_ONLY.search(command) and len(command) < 50_000


def _compared(launcher: Launcher, node: Mapping[str, str], name: str, command: str) -> Row:
    """Run a command unchanged, and a second time with its outputs in files of the container."""
    got = launcher.run(node, command)
    shell = node.get("ecs-shell", "/bin/sh")
    told = launcher.run(node, _measured(command, shell))
    fields = told.stdout.decode(errors="replace").split()
    if told.status or len(fields) != 5:
        return Row(name, good=False, text=f": could not be measured in the container: {told}")
    expected = (int(fields[0]), *(int(field) for field in fields[1:]))
    found = (got.status, *_checksum(got.stdout), *_checksum(got.stderr))
    if expected == found:
        return Row(name, good=True, text="")
    return Row(name, good=False, text=f": status and checksums {found}, expected {expected}: {got}")


def _measured(command: str, shell: str) -> str:
    """Return a command that prints another command's exit status, and the cksum and size of each of its outputs."""
    quoted = "'" + command.replace("'", "'\\''") + "'"
    return (
        f'f=/tmp/rundeck-ecs-exec-live-$$; {shell} -c {quoted} </dev/null >"$f.out" 2>"$f.err"; echo $?;'
        ' cksum <"$f.out"; cksum <"$f.err"; rm -f "$f.out" "$f.err"'
    )


# --- cksum, as POSIX defines it; no library has it


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ 0x04C11DB7 if value & 0x80000000 else value << 1
        table.append(value & 0xFFFFFFFF)
    return table


_CRC = _table()


def _checksum(data: bytes) -> tuple[int, int]:
    """Return a checksum and a size."""
    size, length = bytearray(), len(data)
    while length:
        size.append(length & 0xFF)
        length >>= 8
    crc = 0
    for byte in data + bytes(size):
        crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC[crc >> 24 ^ byte]
    return ~crc & 0xFFFFFFFF, len(data)


if __name__ == "__main__":
    sys.exit(main())
