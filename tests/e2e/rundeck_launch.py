"""Start the plugin's entry scripts as Rundeck does: an interpreter, a script, and all else in the environment."""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import subprocess
import sys
import sysconfig
import threading
import time
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from commands import Result
from ecs_exec.interpreter import OPTIONS

CONTENTS = Path(__file__).parents[2] / "contents"
_MANY = Path(__file__).with_name("start_many.py")
_FORKS = Path(__file__).with_name("start_forks.py")
_READ_LATE = ("RD_", "AWS_")
_ALSO_READ_LATE = {"PATH", "HOME", "TMPDIR", "ECS_EXEC_TRACE", "ECS_EXEC_SERVER_ENVIRONMENT"}
"""Variables that neither Python nor a module reads at its start."""
_COVERED = Path(__file__).with_name("covered.py")
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

ALONE = {"ECS_EXEC_SERVER_ENVIRONMENT": "false"}
"""Without it, an environment of RD_* alone is completed from that of the process that runs the tests."""


def variables(group: str, values: Mapping[str, str]) -> dict[str, str]:
    """Name values as Rundeck names them in the environment."""
    return {f"RD_{group}_{re.sub('[^a-zA-Z0-9_]', '_', name).upper()}": value for name, value in values.items()}


def started_by(script: Path, interpreter: str = sys.executable) -> list[str]:
    """Give the command that starts an entry script, with the options of plugin.yaml's script-interpreter.

    `make coverage` measures it, in the Python that has the package for it.
    """
    measured = "COVERAGE_PROCESS_START" in os.environ and interpreter == sys.executable
    around = [str(_COVERED), sysconfig.get_path("platlib")] if measured else []
    return [interpreter, *OPTIONS, *around, str(script)]


class Forks:
    """Runs entry scripts of this checkout in forks of one process: most tests are not about the start of Python.

    They are only for tests, whose conftest.py sets `wanted`: programs for people start each script as Rundeck does.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self.wanted = False
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def run(self, script: Path, environ: Mapping[str, str], timeout: float = 120) -> Result | None:
        """Run a script to its end. None: its environment asks for a start of its own, or another one is running."""
        if not self.wanted:
            return None
        late = all(name.startswith(_READ_LATE) or name in _ALSO_READ_LATE for name in environ)
        alone = {**environ, **ALONE} == dict(environ)
        measured = "COVERAGE_PROCESS_START" in os.environ
        if not late or not alone or measured or script.parent != CONTENTS or not self._lock.acquire(blocking=False):
            return None
        try:
            return self._run(script.name, environ, timeout)
        except BaseException:
            self.end()
            raise
        finally:
            self._lock.release()

    def _run(self, script: str, environ: Mapping[str, str], timeout: float) -> Result:
        if self._process is None:
            command = [*started_by(_FORKS), str(CONTENTS)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={})
            atexit.register(self.end)
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([script, dict(environ)]).encode() + b"\n")
        stdin.flush()
        if not select.select([stdout], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(script, timeout)
        out, err, status = json.loads(stdout.readline())
        return Result(b64decode(out), b64decode(err), status)

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            atexit.unregister(self.end)
            self._process.kill()
            self._process.communicate()
            self._process = None


FORKS = Forks()


def run_script(script: Path, environ: Mapping[str, str], timeout: float = 120) -> Result:
    """Run an entry script as Rundeck does, to its end; in a fork of a process that has imported it, where that will do.

    A test whose subject is the start of a script starts it itself.
    """
    if (result := FORKS.run(script, environ, timeout)) is not None:
        return result
    done = subprocess.run(
        started_by(script),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={name.encode(): os.fsencode(value) for name, value in environ.items()},
        check=False,
        timeout=timeout,
    )
    return Result(done.stdout, done.stderr, done.returncode)


@dataclass
class Launcher:
    """How commands are started against one endpoint."""

    endpoint: str
    region: str = "us-east-1"
    config: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    """Beside RD_* and ALONE; empty as with Rundeck up to 5.5."""
    script: Path = CONTENTS / "node-executor.py"
    interpreter: str = sys.executable

    def environment(
        self, node: Mapping[str, str], command: str, config: Mapping[str, str] | None = None, **more: str
    ) -> dict[str, str]:
        """Give the whole environment of one execution."""
        settings = {
            "region": self.region,
            "endpoint-url": self.endpoint,
            "access-key-id": ACCESS_KEY,
            "secret-access-key": SECRET_KEY,
            **self.config,
            **(config or {}),
        }
        names = {"name": "node", "hostname": "", "os-family": "", "description": "", "username": "", "tags": ""}
        return {
            **variables("NODE", names | dict(node)),
            **variables("CONFIG", {name: value for name, value in settings.items() if value}),
            "RD_EXEC_COMMAND": command,
            **ALONE,
            **self.environ,
            **more,
        }

    def start(
        self, node: Mapping[str, str], command: str, config: Mapping[str, str] | None = None, **more: str
    ) -> subprocess.Popen[bytes]:
        """Start an execution; stdin is closed, as Rundeck closes it."""
        environment = self.environment(node, command, config, **more)
        return subprocess.Popen(
            started_by(self.script, self.interpreter),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name.encode(): os.fsencode(value) for name, value in environment.items()},
        )

    def run(
        self, node: Mapping[str, str], command: str, config: Mapping[str, str] | None = None, **more: str
    ) -> Result:
        """Run an execution to its end; see run_script."""
        if self.interpreter == sys.executable:
            return run_script(self.script, self.environment(node, command, config, **more))
        with self.start(node, command, config, **more) as process:
            try:
                stdout, stderr = process.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Result(stdout, stderr, process.returncode)

    def run_many(
        self,
        node: Mapping[str, str],
        commands: Iterable[str],
        config: Mapping[str, str] | None = None,
        at_once: int = 16,
    ) -> list[Result]:
        """Run executions in parallel, because they mostly wait, from one start; see start_many."""
        environments = [self.environment(node, command, config) for command in commands]
        return self.run_all(environments, self.environment(node, "true", config), at_once)

    def run_all(
        self,
        environments: Sequence[Mapping[str, str]],
        first: Mapping[str, str],
        at_once: int,
        within: Sequence[str] = (),
    ) -> list[Result]:
        """Run executions with whole environments from one start; `first` is run once more before the others.

        `within` are the words of a program that starts it.
        """
        wanted = {"at_once": at_once, "first": first, "environments": environments}
        done = subprocess.run(
            [*within, *started_by(_MANY, self.interpreter), str(self.script)],
            input=json.dumps(wanted).encode(),
            stdout=subprocess.PIPE,
            env={},
            timeout=len(environments) * 10,
            check=True,
        )
        return [Result(b64decode(out), b64decode(err), status) for out, err, status in json.loads(done.stdout)]


class Watch:
    """Searches the arguments of all processes for texts that must not be there, while something runs."""

    def __init__(self, *secrets: str) -> None:
        """Take the texts to look for."""
        self._secrets = [secret.encode() for secret in secrets]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.looks = 0
        self.found: set[bytes] = set()

    def __enter__(self) -> Watch:  # noqa: PYI034 - not to be subclassed
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking."""
        self._done.set()
        self._thread.join()

    def add(self, secret: str) -> None:
        """Look for one more."""
        self._secrets.append(secret.encode())

    def _look(self) -> None:
        while not self._done.is_set():
            for folder in Path("/proc").iterdir():
                if folder.name.isdigit():
                    self._check(folder)
            self.looks += 1
            time.sleep(0.002)

    def _check(self, folder: Path) -> None:
        try:
            arguments = (folder / "cmdline").read_bytes()
        except OSError:
            return
        if any(secret in arguments for secret in self._secrets):
            self.found.add(arguments)
