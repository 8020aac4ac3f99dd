"""The released rundeck-core as a test sees it: a server with plugins, and executions run on it.

A server is described by `Server`, what it does by actions, and `Rundeck.run` makes the server and does them:

    results = rundeck.run(Server(plugins=[zip_path], nodes={"web": {...}}), first := Command("id", on=["web"]))
    assert results[first].result.result_code == 0

A test process keeps a JVM for each core, which runs all servers of that core, one after the other. Actions also run one
after the other, except those in `Lanes`.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from real.rundeck_actions import (
    Action,
    Command,
    Copy,
    Describe,
    Key,
    Lanes,
    NodeSource,
    NodeStep,
    OptionValues,
    Run,
    Script,
    Server,
    Validate,
    WorkflowStep,
)
from real.rundeck_results import Catalogue, Event, Execution, Found, Node, Outcome, Property, Provider

__all__ = [
    "CORES",
    "Action",
    "Catalogue",
    "Command",
    "Copy",
    "Core",
    "Describe",
    "Event",
    "Execution",
    "Found",
    "HarnessError",
    "Key",
    "Lanes",
    "Node",
    "NodeSource",
    "NodeStep",
    "OptionValues",
    "Outcome",
    "Property",
    "Provider",
    "Results",
    "Run",
    "Rundeck",
    "Script",
    "Server",
    "Validate",
    "WorkflowStep",
]

R = TypeVar("R")

_SOURCES = Path(__file__).parent / "rundeck"
_BUILD = Path(__file__).parents[2] / "build" / "rundeck"


@dataclass(frozen=True)
class Core:
    """A release of rundeck-core, and the class of the harness that does not compile with it (see pom.xml)."""

    version: str
    without: str = "OwnLines"


CORES = (Core("4.17.2-rc1-20231025", without="CoreLines"), Core("5.4.0-20240618"))
"""The releases on Maven Central that the tests run on."""


class HarnessError(Exception):
    """The harness itself failed: the build, the start, or a scenario that makes no sense."""


class Results:
    """The result of each action of a run, and the server's own log."""

    def __init__(self, raw: Mapping[Action[Any], Mapping[str, Any]], log: str) -> None:
        """Keep what the harness wrote."""
        self._raw = raw
        self.log = log

    def __getitem__(self, action: Action[R]) -> R:
        """Return the result of an action."""
        return action.result(self._raw[action])


class Jvm:
    """A JVM of the harness. Its own environment is PATH, HOME and a UTF-8 locale, and `environ` on top."""

    def __init__(self, java: str, classpath: str, environ: Mapping[str, str]) -> None:
        """Start it."""
        self._own = tempfile.TemporaryDirectory(prefix="jvm-")
        folder = Path(self._own.name)
        log, console = folder / "server.log", folder / "console.log"
        self._read = {log: 0, console: 0}
        temporary = folder / "tmp"
        temporary.mkdir()
        command = [
            java,
            # The defaults are for servers that stay; these start faster and leave the other core alone.
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            f"-Djava.io.tmpdir={temporary}",
            f"-Dorg.slf4j.simpleLogger.logFile={log}",
            "-cp",
            classpath,
            "harness.Main",
        ]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": os.environ.get("HOME", "/"),
            "LC_ALL": "C.UTF-8",
            **environ,
        }
        with console.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        atexit.register(self.end)

    @property
    def alive(self) -> bool:
        """Return whether it can run one more scenario."""
        return self._process.poll() is None

    def run(self, base: Path, scenario: Path, results: Path, timeout: float) -> str:
        """Run a scenario and return what was logged meanwhile. Raises TimeoutError after the JVM was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        ready: list[Any] = []
        try:
            self._process.stdin.write(json.dumps([str(base), str(scenario), str(results)]).encode() + b"\n")
            self._process.stdin.flush()
            ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        finally:
            if not ready:
                self.end()
        if not ready:
            raise TimeoutError(f"the server has not done its actions within {timeout} s")
        self._process.stdout.readline()  # nothing if it has ended
        return "".join(self._news(path) for path in self._read)

    def _news(self, path: Path) -> str:
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(self._read[path])
            data = file.read()
        self._read[path] += len(data)
        return data.decode(errors="replace")

    def end(self) -> None:
        """End it, and the scripts that it has started."""
        atexit.unregister(self.end)
        if self._process.returncode is None:
            # The group, for the scripts too.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._own.cleanup()


class Rundeck:
    """Runs actions in servers made for them."""

    def __init__(self, core: Core, classpath: str, java: str | None = None) -> None:
        """Use a harness that is built already; `java` comes from PATH unless it is given."""
        self.core = core
        self._classpath = classpath
        self._java = java or shutil.which("java") or "java"
        self._kept: Jvm | None = None

    @classmethod
    @cache
    def build(cls, core: Core) -> Rundeck:
        """Build the harness if it is not built yet; without the network if Maven has all it needs."""
        folder = _BUILD / core.version
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stamp, classpath = folder / "stamp", folder / "classpath.txt"
            wanted = _fingerprint()
            if not (stamp.exists() and stamp.read_text() == wanted and _complete(classpath)):
                stamp.unlink(missing_ok=True)
                _maven(core, folder, classpath)
                stamp.write_text(wanted)
            return cls(core, f"{folder / 'classes'}{os.pathsep}{classpath.read_text().strip()}")

    def run(
        self,
        server: Server,
        *actions: Action[Any] | Lanes,
        base: Path | None = None,
        environ: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Results:
        """Run actions in one server and return their results.

        `base` is the server's folder (rdeck.base, with libext and its cache); it is kept, and may serve again. Without
        it a temporary one is used. A server with variables of its own, `environ`, has a JVM of its own. What a script
        left running ends with the server.
        """
        with ExitStack() as stack:
            folder = base or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rundeck-")))
            folder.mkdir(parents=True, exist_ok=True)
            scenario, results = folder / "scenario.json", folder / "results.json"
            results.unlink(missing_ok=True)
            content = {**server.to_json(), "actions": [action.to_json() for action in actions]}
            scenario.write_text(json.dumps(content), encoding="utf-8")
            if environ:
                jvm = Jvm(self._java, self._classpath, environ)
                stack.callback(jvm.end)
            else:
                jvm = self._running()
            text = jvm.run(folder, scenario, results, timeout)
            if not results.exists():
                raise HarnessError(f"the server gave no results:\n{text}")
            raw = dict(_paired(actions, json.loads(results.read_text(encoding="utf-8"))))
        for each in raw.values():
            if "fault" in each:
                raise HarnessError(each["fault"] + text)
        return Results(raw, text)

    def _running(self) -> Jvm:
        if self._kept is None or not self._kept.alive:
            self._kept = Jvm(self._java, self._classpath, {})
        return self._kept

    def one(self, server: Server, action: Action[R]) -> R:
        """Run one action in a server of its own and return its result."""
        return self.run(server, action)[action]


def _paired(
    actions: Sequence[Action[Any] | Lanes], raw: Sequence[Any]
) -> Iterator[tuple[Action[Any], Mapping[str, Any]]]:
    """Give each action with its result, those of lanes, too."""
    for action, result in zip(actions, raw, strict=True):
        if isinstance(action, Lanes):
            for lane, results in zip(action.lanes, result, strict=True):
                yield from _paired(lane, results)
        else:
            yield action, result


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for file in sorted([_SOURCES / "pom.xml", *_SOURCES.rglob("*.java")]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _complete(classpath: Path) -> bool:
    if not classpath.exists():
        return False
    return all(Path(jar).exists() for jar in classpath.read_text().strip().split(os.pathsep))


def _maven(core: Core, folder: Path, classpath: Path) -> None:
    command = [
        shutil.which("mvn") or "mvn",
        "--quiet",
        "--batch-mode",
        f"--file={_SOURCES / 'pom.xml'}",
        f"-Drundeck.version={core.version}",
        f"-Dharness.left.out={core.without}",
        f"-Dharness.build={folder}",
        f"-Dmdep.outputFile={classpath}",
        "compile",
        "dependency:build-classpath",
    ]
    shutil.rmtree(folder / "classes", ignore_errors=True)
    for mode in (["--offline"], []):
        done = subprocess.run([*command, *mode], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
    raise HarnessError(f"Maven could not build the harness:\n{done.stdout}{done.stderr}")
