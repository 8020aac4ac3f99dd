"""The released rundeck-core as a test sees it: a server with plugins, and executions run on it.

A server is described by `Server`, what it does by actions, and `Rundeck.run` starts one JVM for all of them:

    results = rundeck.run(Server(plugins=[zip_path], nodes={"web": {...}}), first := Command("id", on=["web"]))
    assert results[first].result.result_code == 0

Starting takes a second or two, so tests put many actions into one run. Actions run one after the other.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
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


class Rundeck:
    """Runs actions in a server made for them."""

    def __init__(self, core: Core, classpath: str, java: str | None = None) -> None:
        """Use a harness that is built already; `java` comes from PATH unless it is given."""
        self.core = core
        self._classpath = classpath
        self._java = java or shutil.which("java") or "java"

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
        *actions: Action[Any],
        base: Path | None = None,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
    ) -> Results:
        """Run actions in one server and return their results.

        `base` is the server's folder (rdeck.base, with libext and its cache); it is kept, and may serve again. Without
        it a temporary one is used. The server's own environment is PATH, HOME and a UTF-8 locale, and `environ` on
        top. What a script left running ends with the server.
        """
        with ExitStack() as stack:
            folder = base or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rundeck-")))
            temporary = folder / "tmp"
            temporary.mkdir(parents=True, exist_ok=True)
            scenario, results = folder / "scenario.json", folder / "results.json"
            results.unlink(missing_ok=True)
            content = {**server.to_json(), "actions": [action.to_json() for action in actions]}
            scenario.write_text(json.dumps(content), encoding="utf-8")
            log = folder / "server.log"
            command = [
                self._java,
                # The defaults are for servers that stay; these start faster and leave the other core alone.
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                f"-Djava.io.tmpdir={temporary}",
                f"-Dorg.slf4j.simpleLogger.logFile={log}",
                "-cp",
                self._classpath,
                "harness.Main",
                *map(str, (folder, scenario, results)),
            ]
            console = _start(command, folder / "console.log", environ or {}, cwd or folder, timeout)
            text = (log.read_text(errors="replace") if log.exists() else "") + console
            if not results.exists():
                raise HarnessError(f"the server gave no results:\n{text}")
            raw = json.loads(results.read_text(encoding="utf-8"))
        for each in raw:
            if "fault" in each:
                raise HarnessError(each["fault"] + text)
        return Results(dict(zip(actions, raw, strict=True)), text)

    def one(self, server: Server, action: Action[R]) -> R:
        """Run one action in a server of its own and return its result."""
        return self.run(server, action)[action]


def _start(command: Sequence[str], console: Path, environ: Mapping[str, str], cwd: Path, timeout: float) -> str:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C.UTF-8",
        **environ,
    }
    with console.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
        try:
            process.wait(timeout)
        except BaseException:
            # The group, for the scripts too.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    return console.read_text(errors="replace")


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
