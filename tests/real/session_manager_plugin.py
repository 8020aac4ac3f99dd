"""Build AWS's session-manager-plugin from its Go module, once: `python -m real.session_manager_plugin`."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULE = Path(__file__).with_name("session-manager-plugin")
BINARY = ROOT / "build" / "session-manager-plugin" / "session-manager-plugin"
_PACKAGE = "github.com/aws/session-manager-plugin/src/sessionmanagerplugin-main"
_BUILD_WITHIN = 600


class NoGoError(RuntimeError):
    """There is no Go toolchain on this machine."""


def build() -> Path:
    """Return the program's path, built if it is not there or older than its pins.

    Raises NoGoError, or CalledProcessError with Go's own words.
    """
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    with (BINARY.parent / "lock").open("w") as lock:  # several test processes may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current():
            _build()
    return BINARY


def _is_current() -> bool:
    return BINARY.exists() and BINARY.stat().st_mtime >= (MODULE / "go.mod").stat().st_mtime


def _build() -> None:
    go = shutil.which("go")
    if go is None:
        raise NoGoError("go is not installed, session-manager-plugin cannot be built")
    work = BINARY.parent / "module"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(MODULE, work)
    command = [go, "build", "-mod=readonly", "-trimpath", "-o", str(BINARY), _PACKAGE]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False, timeout=_BUILD_WITHIN)
    if done.returncode:
        sys.stderr.write(done.stderr)
        done.check_returncode()


if __name__ == "__main__":
    sys.stdout.write(f"{build()}\n")
