"""The interpreters on this machine that the plugin promises to run on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

_SHOW = "import sys; print(*sys.version_info[:3], sep='.'); print(sys.version_info >= (3, 10)); print(sys.executable)"


def pythons() -> dict[str, str]:
    """Return their paths by version, the oldest first, one for each version."""
    names = [sys.executable, "/usr/bin/python3", *(f"python3.{minor}" for minor in range(10, 20))]
    names += map(str, Path.home().glob(".pyenv/versions/*/bin/python3"))
    found: dict[str, str] = {}
    for name in filter(shutil.which, names):
        done = subprocess.run([name, "-I", "-c", _SHOW], capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        if done.returncode == 0 and lines[1] == "True":
            found.setdefault(lines[0], lines[2])
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))
