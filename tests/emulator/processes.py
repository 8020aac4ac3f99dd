"""The processes that a session has left, including those that cleared their environment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TAG = "ECS_EMULATOR_SESSION"
_GONE = "ZX"


@dataclass(frozen=True)
class Process:
    """A living process of a session."""

    pid: int
    parent: int
    leader: int
    """Session id, in the kernel's sense."""
    state: str
    tag: str
    command: str


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # ended meanwhile, or not ours to read
        return b""


def _process(folder: Path) -> Process | None:
    stat = _read(folder / "stat").decode(errors="replace")
    if not stat:
        return None
    state, parent, _group, leader = stat.rpartition(")")[2].split()[:4]
    prefix = f"{TAG}=".encode()
    tags = [item for item in _read(folder / "environ").split(b"\0") if item.startswith(prefix)]
    return Process(
        pid=int(folder.name),
        parent=int(parent),
        leader=int(leader),
        state=state,
        tag=tags[0][len(prefix) :].decode(errors="replace") if tags else "",
        command=_read(folder / "cmdline").replace(b"\0", b" ").decode(errors="replace").strip(),
    )


def scan() -> list[Process]:
    """Return all living processes that can be read."""
    folders = [folder for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    found = [process for process in map(_process, folders) if process]
    return [process for process in found if process.state not in _GONE and process.pid != os.getpid()]


def of_sessions(leaders: dict[str, int]) -> dict[str, list[Process]]:
    """Return, by session id, what lives of sessions whose first processes are given.

    A process belongs to a session if it carries the session's tag, is in the first process's kernel session, or has
    such a parent: one that cleared its environment or left the kernel session is found too.
    """
    everything = scan()
    owner = {pid: session for session, pid in leaders.items() if pid}
    members: dict[int, str] = {}
    for process in everything:
        if process.tag in leaders:
            members[process.pid] = process.tag
        elif process.leader in owner:
            members[process.pid] = owner[process.leader]
    grown = True
    while grown:
        grown = False
        for process in everything:
            if process.pid not in members and process.parent in members:
                members[process.pid] = members[process.parent]
                grown = True
    found: dict[str, list[Process]] = {session: [] for session in leaders}
    for process in everything:
        if process.pid in members:
            found[members[process.pid]].append(process)
    return found


def kill_all(leaders: dict[str, int], patience: float = 2.0) -> None:
    """Kill the processes of sessions until none is left, or the patience is over."""
    deadline = time.monotonic() + patience
    while (alive := _pids(of_sessions(leaders).values())) and time.monotonic() < deadline:
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        time.sleep(0.005)


def _pids(groups: Iterable[list[Process]]) -> list[int]:
    return [process.pid for group in groups for process in group]
