"""Runs programs that print credentials, which `credential_process` in the AWS configuration names.

Such a program may wait for ever for a person, a browser or a network. So it gets no terminal, no input and a limited
time, and it is killed together with all processes of its group.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, NoReturn

from ecs_exec.errors import AwsError

_ABORT_WITHIN = 0.2
"""Seconds to wait for our own signal after the program got SIGTERM: Rundeck signals descendants first."""

_running: dict[int, subprocess.Popen[bytes]] = {}


def end_all() -> None:
    """Kill all programs that still run: other threads may wait for them."""
    for process in list(_running.values()):
        _end(process)


class CredentialProcess:
    """Replaces the process object in botocore, which calls `communicate` once and reads `returncode`."""

    returncode = 0

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        """Take the program with its arguments, which may be secret, and its time in seconds; nothing is started."""
        self._command = command
        self._program = os.path.basename(command[0]) if command else "nothing"
        self._seconds = seconds

    def communicate(self) -> tuple[bytes, bytes]:
        """Run the program; return its stdout and stderr.

        Raises AwsError if it fails, takes too long, or prints anything but credentials that are valid now.
        """
        output, errors, status = self._run()
        if status == -signal.SIGTERM:
            time.sleep(_ABORT_WITHIN)
        if status:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            said = errors.decode(errors="replace").strip()
            raise AwsError(name="credential-process-failed", program=self._program, how=how, said=said)
        self._check(output)
        return output, errors

    def _run(self) -> tuple[bytes, bytes, int]:
        process = self._start()
        _running[process.pid] = process
        try:
            return *process.communicate(timeout=self._seconds), process.returncode
        except subprocess.TimeoutExpired as error:
            source = f"credential_process ({self._program})"
            raise AwsError(name="credentials-late", source=source, seconds=f"{self._seconds:.0f}") from error
        finally:
            _end(process)
            del _running[process.pid]

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a process group that can be killed, and no terminal to ask at
            )
        except (OSError, IndexError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            how = f"cannot be started: {why}"
            raise AwsError(name="credential-process-failed", program=self._program, how=how) from error

    def _check(self, output: bytes) -> None:
        try:
            found = json.loads(output.decode())
        except ValueError as error:
            self._raise_for_output("no JSON" if output.strip() else "nothing", error)
        if not isinstance(found, dict):
            self._raise_for_output("no object")
        missing = [name for name in ("AccessKeyId", "SecretAccessKey") if not isinstance(found.get(name), str)]
        if found.get("Version") != 1 or missing:
            self._raise_for_output(f"no {' and '.join(missing)}" if missing else "no Version 1")
        if has_expired(found.get("Expiration")):
            source = f"credential_process ({self._program})"
            raise AwsError(name="credentials-stale", source=source, now=now())

    def _raise_for_output(self, why: str, error: Exception | None = None) -> NoReturn:
        raise AwsError(name="credential-process-output", program=self._program, why=why) from error


def starter(seconds: Callable[[], float]) -> Callable[..., CredentialProcess]:
    """Return the function with which botocore starts programs; `seconds` returns the time for the next one."""
    return lambda command, **_streams: CredentialProcess(command, seconds())


def now() -> str:
    """Return this server's time as text, like `2026-01-31 23:59 UTC`."""
    return f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"


def has_expired(moment: Any) -> bool:  # noqa: ANN401 - whatever a program has printed
    """Return whether a moment in ISO 8601 has passed. For any other value it returns False."""
    with suppress(TypeError, ValueError, AttributeError):
        ends = datetime.fromisoformat(moment.replace("Z", "+00:00"))
        return (ends if ends.tzinfo else ends.replace(tzinfo=timezone.utc)) <= datetime.now(timezone.utc)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the program's process group, also if the program itself has ended: its children may run on."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()
