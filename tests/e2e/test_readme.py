"""The commands of the documentation, tried as a new user would in a clone of this repository."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore import xform_name

import build_dist
from documents import ROOT, Block, blocks, table
from e2e.rundeck_launch import ACCESS_KEY, SECRET_KEY
from emulator import Emulator

# One test process runs all of them: the clone is made once.
pytestmark = pytest.mark.xdist_group("commands of the documentation")

PAGES = ("README.md", "CONTRIBUTING.md", "docs/jobs/README.md", "tests/emulator/README.md")
COMMANDS = [(block, command) for page in PAGES for block in blocks(page, "sh") for command in block.commands]
MANIFEST = yaml.safe_load((ROOT / "plugin.yaml").read_bytes())
ZIP = f"rundeck-ecs-exec-{MANIFEST['version']}.zip"
LONG_AGO = 1_000_000_000
RD = {"--project": r"[\w-]+", "--format": "yaml|json|xml", "--file": r"docs/jobs/[\w-]+\.yaml"}
"""Options of `rd jobs load` with what they take."""


def of_kind(first: str) -> list[tuple[Block, str]]:
    """Give the commands that begin with a word."""
    return [(block, command) for block, command in COMMANDS if command.split()[0] == first]


def name(value: object) -> str:
    """Name a case by its command."""
    return value if isinstance(value, str) else ""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what git would give, with what is not committed yet, and what has been set up here once: .venv, wheels."""
    environment = ROOT / ".venv"
    if not (environment / "ready").exists():
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("make sets up what this needs: make test")
    folder = tmp_path_factory.mktemp("clone") / "rundeck-ecs-exec"
    for path in _files():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target)
        os.utime(target, (LONG_AGO, LONG_AGO))  # else make would set up .venv again
    (folder / ".venv").symlink_to(environment)
    (folder / "build").mkdir()
    (folder / "build" / "wheels").symlink_to(ROOT / "build" / "wheels")
    assert run(folder, "make --question .venv/ready").returncode == 0
    return folder


def _files() -> list[Path]:
    """Return the files that git tracks and new files; in a copy without git, all files that make did not produce."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists() and shutil.which("git"):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            listed = [Path(path) for path in done.stdout.split("\0") if path]
            return [path for path in listed if (ROOT / path).is_file() and not (ROOT / path).is_symlink()]
    made = {"lib", "__pycache__", "target"}
    found = [path for path in ROOT.iterdir() if path.is_file()]
    found += [path for top in ("contents", "resources", "docs", "tests", "tools") for path in (ROOT / top).rglob("*")]
    plain = [path.relative_to(ROOT) for path in found if path.is_file()]
    return [path for path in plain if not made.intersection(path.parts)]


def run(clone: Path, command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user types it."""
    # Nothing of the make that runs the tests.
    own = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8", **environ}
    return subprocess.run(
        ["/bin/sh", "-euc", command],
        cwd=clone,
        env=own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_every_command_is_tried() -> None:
    """A command that no test here knows how to try is none to tell users."""
    tried = {
        "make",
        "sudo",
        "aws",
        "rd",
        ".venv/bin/python",
        "docker",
        "env",
    }  # sudo and docker: tests/contract/test_install.py
    assert {command.split()[0] for _, command in COMMANDS} == tried


# --- In the clone


def test_the_demo_comes_out_as_it_should(clone: Path) -> None:
    """Nodes, and at least six commands on at least four of them, with a failing one and a refused one among them."""
    assert "make demo" in [command for _, command in COMMANDS]
    done = run(clone, "make demo")
    assert (done.returncode, done.stderr) == (0, "")
    statuses = [int(status) for status in re.findall(r"exit status (\d+)", done.stdout)]
    assert re.search(r"The node source finds \d+ containers", done.stdout)
    assert len(statuses) >= 6
    assert {0, 42, 125} <= set(statuses)
    assert len(set(re.findall(r"^\[([^],]+)", done.stdout, re.MULTILINE))) >= 4
    assert re.search(r"\d+ commands on \d+ nodes, (\d+) came out as they should", done.stdout)


def test_the_zip_gets_into_libext(clone: Path, plugin_zip: Path, tmp_path: Path) -> None:
    """The page's commands install this checkout's zip into a folder like a server's, and its checksum fits."""
    (block,) = (block for block in blocks("README.md", "sh") if "make dist\nsudo" in block.text)
    libext = tmp_path / "libext"
    libext.mkdir()
    sudo = tmp_path / "bin" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text('#!/bin/sh\ntest "$1" = apt-get || exec "$@"\n')
    sudo.chmod(0o755)
    text = block.text.replace("/var/lib/rundeck/libext/", f"{libext}/")
    assert text != block.text
    done = run(clone, text, PATH=f"{sudo.parent}:{os.environ['PATH']}")
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in libext.iterdir()] == [ZIP]
    assert (libext / ZIP).read_bytes() == plugin_zip.read_bytes()
    assert sorted(path.name for path in (clone / "dist").iterdir()) == [
        f"{ZIP.removesuffix('.zip')}.cdx.json",
        ZIP,
        f"{ZIP}.sha256",
    ]
    assert run(clone / "dist", f"sha256sum -c {ZIP}.sha256").stdout == f"{ZIP}: OK\n"


@pytest.mark.parametrize("command", sorted({command for _, command in of_kind("make")}))
def test_targets_are_there(command: str, clone: Path) -> None:
    """Whatever takes too long here is at least what make would do."""
    done = run(clone, f"{command} --dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert "venv --clear" not in done.stdout


@pytest.mark.parametrize("command", [command for _, command in of_kind(".venv/bin/python")])
def test_a_single_test_can_be_run(command: str, clone: Path) -> None:
    """In a checkout that has been set up."""
    done = run(clone, f"{command} -q -p no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_the_table_of_targets_is_make_s() -> None:
    """The page and `make help` list the same ones."""
    rows = table("README.md", "## Development")
    listed = run(ROOT, "make help").stdout.splitlines()
    targets = {line.split()[0] for line in listed} - {"help"}
    inner = {"lib", "shells"}
    assert {target for row in rows for target in re.findall("`make ([a-z-]+)`", row)} == targets - inner
    assert inner <= targets
    named = {target for page in PAGES for target in re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text())}
    assert named <= targets


# --- Commands of others


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give the cluster and the service that the page speaks of, without ECS Exec."""
    services = {"web": {"exec_enabled": False, "containers": {"nginx": {}}}}
    with Emulator(world={"clusters": {"production": {"services": services}}}) as running:
        yield running


def parsed(command: str) -> tuple[str, str, dict[str, Any]]:
    """Read a command of the AWS CLI by botocore's own models; give service, operation and parameters."""
    _, service, operation, *words = shlex.split(command)
    model = botocore.session.Session().get_service_model(service)
    (found,) = (each for each in model.operation_names if xform_name(each, "-") == operation)
    shape = model.operation_model(found).input_shape
    members = {f"--{xform_name(member, '-')}": member for member in shape.members}
    parameters: dict[str, Any] = {}
    while words:
        member = members[words.pop(0)]
        parameters[member] = True if shape.members[member].type_name == "boolean" else words.pop(0)
    return service, found, parameters


@pytest.mark.parametrize("command", [command for _, command in of_kind("aws")])
def test_commands_of_aws(command: str, emulator: Emulator) -> None:
    """AWS has the operation and its parameters, and ECS takes the call."""
    service, operation, parameters = parsed(command)
    client = botocore.session.Session().create_client(
        service,
        region_name=emulator.region,
        endpoint_url=emulator.endpoint_url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    answer = getattr(client, xform_name(operation))(**parameters)
    assert answer["service"]["serviceName"] == parameters["service"]
    assert (service, parameters["enableExecuteCommand"]) == ("ecs", True)


@pytest.mark.parametrize("command", [command for _, command in of_kind("env")])
def test_a_job_step_by_hand(command: str, clone: Path) -> None:
    """It runs a task of the sample world, whose address is another one here."""
    with Emulator(agent={"start_takes": 0, "stop_takes": 0}) as sample:
        assert "http://127.0.0.1:4566" in command
        done = run(clone, f"set +e; {command.replace('http://127.0.0.1:4566', sample.endpoint_url)}")
    assert done.stdout.endswith("status 3\n"), done
    assert "wrote 312 rows\n" in done.stdout


@pytest.mark.parametrize("command", [command for _, command in of_kind("rd")])
def test_commands_of_rundeck(command: str, clone: Path) -> None:
    """A job is loaded from a file that a clone has, by options that rd has."""
    words = shlex.split(command)
    assert words[:3] == ["rd", "jobs", "load"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert set(options) == set(RD)
    assert all(re.fullmatch(RD[option], value) for option, value in options.items())
    assert (clone / options["--file"]).is_file()


def test_every_job_is_loaded() -> None:
    """None is left out."""
    loaded = {command.split()[-1] for _, command in of_kind("rd")}
    assert loaded == {f"docs/jobs/{path.name}" for path in (ROOT / "docs" / "jobs").glob("*.yaml")}


# --- Other blocks


def test_the_policies_shown_are_those_of_the_folder() -> None:
    """Each is JSON, of an effect that grants, with actions that the policies in docs/iam have."""
    known = {path.stem: _actions(json.loads(path.read_text())) for path in (ROOT / "docs" / "iam").glob("*.json")}
    shown = [_actions(json.loads(block.text)) for block in blocks("README.md", "json")]
    execute = {"ecs:ExecuteCommand"}
    channel = {"ssmmessages:OpenDataChannel"}
    assert shown == [execute | channel | known["node-source"], known["task-role"], execute]
    assert execute < known["node-executor"]


def _actions(policy: dict[str, Any]) -> set[str]:
    statements = policy.get("Statement", [policy])
    assert all(each["Effect"] == "Allow" and each["Resource"] for each in statements)
    listed = [each["Action"] for each in statements]
    return {action for one in listed for action in ([one] if isinstance(one, str) else one)}


def test_the_image_gets_the_zip_of_this_version() -> None:
    """The file that a Dockerfile copies is the one that `make dist` builds."""
    (block,) = blocks("README.md", "dockerfile")
    (copied,) = re.findall(r"(?m)^COPY (\S+) /home/rundeck/libext/$", block.text)
    assert copied == f"rundeck-ecs-exec-{build_dist.plugin_version(ROOT)}.zip"
    instructions = {line.split()[0] for line in block.text.splitlines()}
    assert instructions == {"FROM", "USER", "RUN", "COPY"}
    assert block.text.rindex("USER rundeck") > block.text.index("RUN apt-get")


def test_no_block_is_of_another_kind() -> None:
    """Those of settings and nodes are tried in the real Rundeck, beside docs/project.properties."""
    assert {block.language for block in blocks("README.md")} == {"sh", "dockerfile", "json", "yaml", "properties"}
