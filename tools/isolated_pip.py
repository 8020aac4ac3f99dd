"""pip without the machine's configuration: `python tools/isolated_pip.py PYTHON install ...`.

Only the connection to the package index comes from the machine: index, proxy, certificates. All other configuration has
no effect: constraints, a target folder, user packages, legacy switches. Downloaded files must have the hashes in
requirements/. This file needs only Python: it makes the environment in which everything else runs.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence

_WAY = (
    "cache-dir",
    "cert",
    "client-cert",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "keyring-provider",
    "no-cache-dir",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
)
"""Options of pip for the connection to the package index."""

_SETTING = re.compile(r"(global|:env:|[a-z]+)\.([a-z-]+)=(.*)")


def run(python: str, command: str, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a pip command with a Python; pass its output on, or capture it."""
    listed = _pip(python, os.environ, "config", "list", capture=True).stdout
    return _pip(python, environment(os.environ, listed, command), command, *arguments, capture=capture)


def environment(environ: Mapping[str, str], listed: str, command: str) -> dict[str, str]:
    """Return the environment for a command of pip; `listed` is what `pip config list` prints on this machine.

    The options go into the environment, not into arguments, which every user can see: the index's URL may contain a
    password.
    """
    settings = [found.groups() for found in map(_SETTING.fullmatch, listed.splitlines()) if found]
    way: dict[str, str] = {}
    for section in ("global", command, ":env:"):  # pip's order: the last one wins
        way |= {name: str(ast.literal_eval(value)) for part, name, value in settings if part == section}
    kept = {name: value for name, value in environ.items() if not name.startswith("PIP_")}
    named = {f"PIP_{name.replace('-', '_').upper()}": value for name, value in way.items() if name in _WAY}
    return kept | named | {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def _pip(python: str, environ: Mapping[str, str], *arguments: str, capture: bool) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-I", "-m", "pip", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=capture,
        text=True,
        env=dict(environ),
        check=False,
    )


def main(arguments: Sequence[str]) -> int:
    """Run pip as the arguments say; return its status."""
    python, command, *more = arguments
    return run(python, command, *more).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
