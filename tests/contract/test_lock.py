"""The locks in requirements/: all pins of pyproject.toml, with hashes, for every Python and processor."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli

import isolated_pip
import lock

GROUPS: dict[str, Any] = tomli.loads((lock.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]


def locked(name: str) -> dict[str, set[str]]:
    """Return the versions in a lock by name; every one must have hashes."""
    text = (lock.FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.sub(r"(?m)^#.*\n", "", text).replace("\\\n", "").strip().split("\n")
    found: dict[str, set[str]] = {}
    for entry in entries:
        pin = re.fullmatch(r"([\w.-]+)==([\w.]+)(?: ; [^#]+?)?((?:\s+--hash=sha256:[0-9a-f]{64})+)", entry.strip())
        assert pin, entry
        found.setdefault(pin[1], set()).add(pin[2])
    return found


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_every_pin_is_locked(name: str) -> None:
    """Each has its version and only SHA-256 hashes; else: make lock."""
    versions = locked(name)
    for requirement in lock.requirements(GROUPS, name):
        pin = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", requirement)
        assert pin, requirement
        assert versions[re.sub("[-_.]+", "-", pin[1]).lower()] == {pin[2]}


def test_nothing_names_an_index() -> None:
    """The machine decides where packages come from."""
    for path in lock.FOLDER.glob("*.txt"):
        assert "://" not in path.read_text(encoding="utf-8")


LISTED = """\
:env:.cert='/etc/ssl/corp.pem'
:env:.require-virtualenv='1'
:env:.timeout='60'
download.index-url='https://user:word@index.corp/simple'
global.constraint='/etc/constraints.txt'
global.find-links='/opt/wheels\\n/opt/more'
global.index-url='https://other.corp/simple'
global.timeout='15'
install.user='true'
install.target='/elsewhere'
not a setting
"""


def test_pip_takes_the_way_and_nothing_else() -> None:
    """Index, certificates and the like of the machine; the environment comes last, the command before the rest."""
    environ = {"PIP_TARGET": "/elsewhere", "PIP_CONFIG_FILE": "/x", "HTTPS_PROXY": "http://proxy", "PATH": "/bin"}
    assert isolated_pip.environment(environ, LISTED, "download") == {
        "HTTPS_PROXY": "http://proxy",
        "PATH": "/bin",
        "PIP_CERT": "/etc/ssl/corp.pem",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": "/opt/wheels\n/opt/more",
        "PIP_INDEX_URL": "https://user:word@index.corp/simple",
        "PIP_NO_INPUT": "1",
        "PIP_TIMEOUT": "60",
    }


def test_a_real_pip_is_apart_from_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that would send packages elsewhere has no effect; its certificates do."""
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\ntarget = {tmp_path}\ncert = /some.pem\n[install]\nuser = true\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_CONSTRAINT", "/no/such/file")
    monkeypatch.delenv("PIP_CERT", raising=False)

    shown = isolated_pip.run(sys.executable, "config", "list", capture=True).stdout
    assert ":env:.cert='/some.pem'" in shown
    assert not re.search(r"target|constraint|user=", shown)
