"""Writes requirements/*.txt: each group of pyproject.toml with all its dependencies, and the hashes of all files.

Run `make lock` after a change of a pin. The files work for every Python from 3.10 on, on every processor: they contain
each hash that the package index has for a version. A dependency of only some Pythons has a condition.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import tomli

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
OLDEST_PYTHON = "3.10"
_HEAD = "# Written by `make lock` from pyproject.toml. Do not edit.\n"


def requirements(groups: dict[str, Any], name: str) -> list[str]:
    """Return the requirements of a group, including those of its subgroups."""
    found: list[str] = []
    for entry in groups[name]:
        found += [entry] if isinstance(entry, str) else requirements(groups, entry["include-group"])
    return found


def main(uv: str) -> int:
    """Write the file of each group with the program uv; return the exit status."""
    groups = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    for name in groups:
        command = [uv, "pip", "compile", "-", "--universal", f"--python-version={OLDEST_PYTHON}", "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--no-build", "--no-config", "--no-python-downloads", "--quiet"]
        wanted = "\n".join(requirements(groups, name))
        done = subprocess.run(command, input=wanted, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"lock: {name}: {done.stderr.strip()}", file=sys.stderr)
            return 1
        (FOLDER / f"{name}.txt").write_text(_HEAD + done.stdout, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
