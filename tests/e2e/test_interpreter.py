"""Which Python runs the entry scripts, whatever the server's python3 and its variables are."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from e2e.rundeck_launch import ACCESS_KEY, ALONE, CONTENTS, SECRET_KEY, started_by, variables
from ecs_exec import interpreter
from emulator import Emulator
from pythons import old_pythons, pythons

pytestmark = pytest.mark.xdist_group("e2e-interpreter")

SCRIPTS = sorted(path.name for path in CONTENTS.glob("*.py"))
READ_BY_OLD = [*SCRIPTS, "ecs_exec/__init__.py", "ecs_exec/interpreter.py", "ecs_exec/server.py"]
OLD, NEW = old_pythons(), pythons()
OLDEST = next(iter(OLD.values()), "")
needs_old = pytest.mark.skipif(not OLD, reason="no Python older than 3.10 on this machine")

SHOW = f"""
import os, sys
sys.path[:0] = [{str(CONTENTS)!r}]
if sys.version_info < (3, 10):
    from ecs_exec.interpreter import go_on_in_newer
    go_on_in_newer(os.environ)
print(sys.executable, sys.flags.isolated, sys.flags.no_site, *sys.argv[1:], sep="\\n")
"""


@pytest.fixture
def show(tmp_path: Path) -> Path:
    """Give a script that begins as the entry scripts do, and shows which Python it ends in."""
    script = tmp_path / "show.py"
    script.write_text(SHOW)
    return script


def run(command: list[str], environ: Mapping[str, str]) -> tuple[int, list[str], list[str]]:
    """Run a program; give its status and its lines."""
    done = subprocess.run(command, env={**ALONE, **environ}, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def program(path: Path, text: str) -> Path:
    """Write a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", READ_BY_OLD)
def test_an_old_python_can_parse(name: str) -> None:
    """What an old Python reads before it gives way to a newer one."""
    ast.parse((CONTENTS / name).read_text(encoding="utf-8"), feature_version=(3, 5))


@needs_old
@pytest.mark.parametrize("version", OLD)
def test_goes_on_in_a_newer_one(version: str, show: Path, tmp_path: Path) -> None:
    """With the same options and arguments: the newest on PATH that works, past what only has the name of one."""
    newest = max(NEW, key=lambda name: [int(part) for part in name.split(".")])
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin" / "python3.39", "#!/bin/sh\necho pyenv: python3.39: command not found >&2; exit 127")
    program(tmp_path / "bin" / "python3.38", f'#!/bin/sh\nexec {OLDEST} "$@"')
    (tmp_path / "bin" / "python3.37").symlink_to("nowhere")
    (tmp_path / "bin" / "python3.11").symlink_to("/bin/false")
    real = tmp_path / "bin" / "python3.10"
    program(real, f'#!/bin/sh\nexec {NEW[newest]} "$@"')
    status, lines, said = run([*started_by(show, OLD[version]), "a b", ""], {"PATH": f".:{tmp_path / 'bin'}"})
    assert (status, said) == (0, [])
    assert (os.path.realpath(lines[0]), lines[1:]) == (os.path.realpath(NEW[newest]), ["1", "1", "a b", ""])


@needs_old
@pytest.mark.parametrize("named", ["path", "name"])
def test_a_variable_names_one(named: str, show: Path, tmp_path: Path) -> None:
    """ECS_EXEC_PYTHON comes first, as a path or a name on PATH."""
    for name in ("ours", "python3.12"):
        program(tmp_path / "bin" / name, f'#!/bin/sh\nexec {sys.executable} "$@"')
    program(tmp_path / "bin" / "python3.12", "#!/bin/sh\nexit 1")
    value = "ours" if named == "name" else str(tmp_path / "bin" / "ours")
    environ = {"PATH": str(tmp_path / "bin"), "ECS_EXEC_PYTHON": value}
    status, lines, said = run(started_by(show, OLDEST), environ)
    assert (status, lines[1:], said) == (0, ["1", "1"], [])


@needs_old
@pytest.mark.parametrize("value", ["/nowhere/python3.12", "python3.99", "/bin/true", OLDEST, "/"])
def test_a_variable_that_names_none(value: str, show: Path) -> None:
    """It is reported. /bin/true would have succeeded with every argument."""
    status, lines, said = run(started_by(show, OLDEST), {"PATH": "/usr/bin", "ECS_EXEC_PYTHON": value})
    told = f"ECS_EXEC_PYTHON is {value}, which is not a complete Python 3.10 or later: correct it [python-too-old]"
    assert (status, lines, said) == (125, [], [f"ecs-exec: {told}"])


@needs_old
@pytest.mark.parametrize("version", OLD)
def test_without_a_newer_one(version: str) -> None:
    """One line says which one is there, which is needed and how to get it."""
    code = (
        f"import sys; sys.path.insert(0, {str(CONTENTS)!r}); from ecs_exec import interpreter;"
        " interpreter._FOLDERS = ('/nowhere/bin', '/nowhere/*/bin'); interpreter.go_on_in_newer({'PATH': '/nowhere'})"
    )
    status, lines, said = run([OLD[version], "-I", "-S", "-c", code], {})
    assert (status, lines, len(said)) == (125, [], 1)
    assert said[0].startswith(f"ecs-exec: python3 on this server is {version}, and 3.10 or later was not found: ")
    assert "ECS_EXEC_PYTHON" in said[0]


def test_the_usual_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are searched after PATH; the newest version in any of them comes first."""
    for name in ("opt/a/bin/python3.10", "opt/b/c/bin/python3.12", "home/.pyenv/versions/3.13.0/bin/python3.11"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.symlink_to(sys.executable)
    folders = (f"{tmp_path}/opt/*/bin", f"{tmp_path}/opt/*/*/bin", "~/.pyenv/versions/*/bin")
    monkeypatch.setattr(interpreter, "_FOLDERS", folders)
    environ = {"PATH": "/nowhere", "HOME": str(tmp_path / "home")}
    assert interpreter._find("", environ) == f"{tmp_path}/opt/b/c/bin/python3.12"
    (tmp_path / "opt/b/c/bin/python3.12").unlink()
    assert interpreter._find("", environ) == f"{tmp_path}/home/.pyenv/versions/3.13.0/bin/python3.11"


RELEASES = {
    "amzn 2023": ('NAME="Amazon Linux"\nVERSION_ID="2023"\nID="amzn"\nID_LIKE="fedora"', "dnf install python3.12"),
    "amzn 2": ('ID="amzn"\nID_LIKE="centos rhel fedora"\nVERSION_ID="2"', ""),
    "rhel 9": ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"', "dnf install python3.12"),
    "rocky 9": ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.3"', "dnf install python3.12"),
    "ol 8": ('ID="ol"\nID_LIKE="fedora"\nVERSION_ID="8.10"', "dnf install python3.12"),
    "centos 7": ('ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"', ""),
    "debian 12": ("VERSION_ID='12'\nID=debian", "apt-get install python3"),
    "debian 11": ('VERSION_ID="11"\nID=debian', ""),
    "ubuntu 20.04": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="20.04"', ""),
    "ubuntu 24.04": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"', "apt-get install python3"),
    "mint": ('ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22"', ""),
    "alpine 3.20": ("ID=alpine\nVERSION_ID=3.20.3", "apk add python3"),
    "alpine 3.15": ("ID=alpine\nVERSION_ID=3.15.11", ""),
    "sles 15.6": ('ID="sles"\nID_LIKE="suse"\nVERSION_ID="15.6"', "zypper install python311"),
    "leap": ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"', "zypper install python311"),
    "unknown": ("# nothing\n\nID=thing", ""),
}


@pytest.mark.parametrize("name", RELEASES)
def test_says_how_this_system_gets_one(name: str, tmp_path: Path) -> None:
    """By os-release: the package, or that none is known."""
    text, command = RELEASES[name]
    file = tmp_path / "os-release"
    file.write_text(f'PRETTY_NAME="This {name}"\n{text}\n')
    told = interpreter.advice((str(tmp_path / "missing"), str(file)))
    assert f"This {name}" in told
    assert (f": {command})" in told) == bool(command)
    assert re.search("(dnf|apt-get|apk|zypper) ", told) is None or command


# --- The server's variables


@pytest.mark.parametrize("version", NEW)
def test_pythons_own_variables_do_not_reach_us(version: str, tmp_path: Path) -> None:
    """Modules of the service's PYTHONPATH, user packages and start files of the server are left alone."""
    for name in ("enum", "re", "sitecustomize", "usercustomize"):
        program(tmp_path / "old" / f"{name}.py", "raise SystemExit('not ours')")
    user = tmp_path / ".local" / "lib" / f"python{'.'.join(version.split('.')[:2])}" / "site-packages"
    program(user / "usercustomize.py", "raise SystemExit('not ours')")
    program(user / "botocore" / "__init__.py", "raise SystemExit('not ours')")
    interpreters = yaml.safe_load((CONTENTS.parent / "plugin.yaml").read_bytes())["providers"]
    (options,) = {provider["script-interpreter"] for provider in interpreters}
    environ = {
        **{name: str(tmp_path / "old") for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONSTARTUP")},
        "PYTHONINSPECT": "1",
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error",
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }
    command = [NEW[version], *options.split()[1:], str(CONTENTS / "node-executor.py")]
    status, lines, said = run(command, environ | {"RD_EXEC_COMMAND": "true"})
    assert (status, lines, len(said)) == (125, [], 1)
    assert "names no task" in said[0]


# --- Each provider under each Python

WORLD = {
    "clusters": {
        "c": {
            "services": {"web": {"desired": 2, "containers": {"app": {}}}},
            "tasks": [{"family": "spare", "count": 2 * (len(NEW) + len(OLD)), "containers": {"app": {}}}],
        }
    }
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give tasks enough to stop one with each Python."""
    habits = {"start_delay": 0, "pacing": 0, "fail_pause": 0, "session_limit": 0, "stop_takes": 0}
    with Emulator(world=WORLD, agent=habits) as running:
        yield running


MINORS = list({version.rpartition(".")[0]: version for version in NEW}.values())


@pytest.mark.parametrize("version", [*MINORS, *[*OLD][:1]])
def test_every_provider(version: str, emulator: Emulator, tmp_path: Path) -> None:
    """Works from an environment that holds nothing but Rundeck's variables; an old Python hands on to a newer one."""
    index = 2 * [*MINORS, *OLD].index(version)
    web, spare = emulator.node("c", "web"), [emulator.task("c", "spare", index + more).id for more in (0, 1)]
    (tmp_path / "file").write_text("content\n")
    node = variables("NODE", {"name": "web", **web})
    copy = {"RD_FILE_COPY_FILE": str(tmp_path / "file"), "RD_FILE_COPY_DESTINATION": "/tmp/ecs-exec-interpreter"}  # noqa: S108
    shared = {"region": emulator.region, "endpoint-url": emulator.endpoint_url}
    keys = {"access-key-id": ACCESS_KEY, "secret-access-key": SECRET_KEY}

    def starts(name: str, environ: Mapping[str, str], **config: str) -> tuple[int, list[str], list[str]]:
        settings = {name.replace("_", "-"): value for name, value in config.items()}
        interpreter_path = NEW.get(version) or OLD[version]
        command = started_by(CONTENTS / name, interpreter_path)
        return run(command, {**environ, **variables("CONFIG", shared | keys | settings)})

    assert starts("node-executor.py", {**node, "RD_EXEC_COMMAND": "echo out; exit 3"}) == (3, ["out"], [])
    assert starts("file-copier.py", {**node, **copy}) == (0, ["/tmp/ecs-exec-interpreter"], [])  # noqa: S108
    assert starts("run-script.py", node, script="cat /tmp/ecs-exec-interpreter; exit 4") == (4, ["content"], [])
    status, lines, _ = starts("node-source.py", {}, regions=emulator.region)
    assert (status, len([line for line in lines if "ECS:Task-ARN" in line]) > 0) == (0, True)
    status, lines, _ = starts("check-exec.py", node)
    assert (status, any("exec-test" in line or "command" in line for line in lines)) == (0, True), lines
    assert starts("stop-task.py", {}, cluster="c", task=spare[0], wait="false")[0] == 0
    of_node = variables("NODE", {"name": "spare", "ecs-cluster": "c", "ecs-task": spare[1]})
    assert starts("stop-task.py", of_node, wait="false")[0] == 0
    assert starts("run-command.py", {}, cluster="c", service="web", command="exit 5") == (5, [], [])
    status, lines, _ = starts("run-command.py", {}, cluster="c", service="web", all_tasks="true", command="exit 6")
    assert (status, "2 of 2 failed" in lines[-1]) == (6, True)
    status, lines, _ = starts("stopped-tasks.py", {}, cluster="c", family="spare")
    assert (status, spare[0][:8] in "\n".join(lines)) == (0, True)
