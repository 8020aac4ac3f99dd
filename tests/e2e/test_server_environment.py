"""The variables for AWS in the server's environment, which Rundeck up to 5.5 does not pass to executors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from e2e.metadata import KEYS, MetadataServer
from e2e.rundeck_launch import ACCESS_KEY, CONTENTS, SECRET_KEY, started_by, variables
from ecs_exec.server import is_reduced, server_environment
from ecs_exec.settings import complete_environment
from emulator import Emulator

pytestmark = pytest.mark.xdist_group("e2e-server-environment")

SERVER = """
import json, subprocess, sys
order = json.load(sys.stdin)
done = subprocess.run(order["command"], env=order["env"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
json.dump([done.returncode, done.stdout, done.stderr], sys.stdout)
"""
SHOW = f"""
import json, os, sys
sys.path[:0] = [{str(CONTENTS)!r}]
from ecs_exec.settings import complete_environment
complete_environment(os.environ)
print(json.dumps(dict(os.environ)))
"""


def started_by_server(
    command: list[str], server: Mapping[str, str], own: Mapping[str, str], wrapper: tuple[str, ...] = ()
) -> tuple[int, str, str]:
    """Start a program from a process that has an environment of its own, as Rundeck's does."""
    order = {"command": [*wrapper, *command], "env": dict(own)}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SERVER],
        input=json.dumps(order),
        env=dict(server),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    status, stdout, stderr = json.loads(done.stdout)
    return status, stdout, stderr


def seen(server: Mapping[str, str], own: Mapping[str, str], wrapper: tuple[str, ...] = ()) -> dict[str, str]:
    """Give the environment that the plugin completes for itself."""
    status, stdout, stderr = started_by_server([sys.executable, "-I", "-S", "-c", SHOW], server, own, wrapper)
    assert (status, stderr) == (0, "")
    found: dict[str, str] = json.loads(stdout)
    return {name: value for name, value in found.items() if name != "LC_CTYPE"}  # Python's own, in a C locale


TAKEN = {
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x",
    "AWS_PROFILE": "ops",
    "AWS_CA_BUNDLE": "/etc/corp.pem",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/rundeck",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
    "HTTPS_PROXY": "http://proxy:3128",
    "https_proxy": "http://user:p=ss%20word@proxy:3128",
    "HTTP_PROXY": "http://proxy:3128",
    "no_proxy": "localhost,.internal",
    "NO_PROXY": "",
    "REQUESTS_CA_BUNDLE": "/etc/corp.pem",
    "SSL_CERT_FILE": "/etc/corp.pem",
    "SSL_CERT_DIR": "/etc/certs",
    "HOME": "/srv/rundeck",
    "PATH": "/srv/bin:/usr/bin:/bin",
}
OTHERS = {
    "RDECK_BASE": "/srv",
    "RUNDECK_DATABASE_PASSWORD": "secret",
    "DB_PASSWORD": "secret",
    "MY_AWS_SECRET": "secret",
    "PYTHONPATH": "/old",
    "LD_PRELOAD_": "/lib/x.so",
    "RD_CONFIG_PROFILE": "other",
    "XHTTP_PROXY": "http://x",
    "RSYNC_PROXY": "http://x",
}
OWN = {"RD_NODE_NAME": "web", "RD_CONFIG_REGION": "eu-west-1"}
THROUGH_SHELL = ("/bin/sh", "-c", '"$@"; exit $?', "sh")


@pytest.mark.parametrize("wrapper", [(), THROUGH_SHELL], ids=["directly", "through a shell"])
def test_what_aws_needs_is_taken_and_nothing_else(wrapper: tuple[str, ...]) -> None:
    """Neither other secrets of the service, nor what would change how programs run, nor Rundeck's own names."""
    found = seen(TAKEN | OTHERS, OWN, wrapper)
    if wrapper:  # variables that a shell makes for itself
        found = {name: value for name, value in found.items() if name not in {"PWD", "OLDPWD", "SHLVL", "_"}}
    assert found == TAKEN | OWN


def test_an_environment_that_was_handed_on_is_left_as_it_is() -> None:
    """As with Rundeck 5.6 and later: a missing variable was left out on purpose."""
    own = OWN | {"PATH": "/usr/bin", "HOME": "/root"}
    assert seen(TAKEN | OTHERS, own) == own


def test_what_rundeck_gave_wins() -> None:
    """No variable that is there is replaced."""
    assert seen(TAKEN, OWN | {"AWS_PROFILE": "mine"}) == TAKEN | OWN | {"AWS_PROFILE": "mine"}


@pytest.mark.parametrize("value", ["false", "FALSE", "no", "off", "0"])
@pytest.mark.parametrize("where", ["server", "own"])
def test_it_can_be_turned_off(where: str, value: str) -> None:
    """By a variable of the server, or of the plugin."""
    switch = {"ECS_EXEC_SERVER_ENVIRONMENT": value}
    found = seen(TAKEN | (switch if where == "server" else {}), OWN | (switch if where == "own" else {}))
    assert set(found) - {"ECS_EXEC_SERVER_ENVIRONMENT"} == {"PATH", "HOME", *OWN}
    assert "/srv" not in found["PATH"] + found["HOME"]


def test_a_process_that_may_not_be_read(tmp_path: Path) -> None:
    """If the server is another user's, gone, hidden or cannot be read, nothing is taken, and nothing fails."""
    parent = tmp_path / str(os.getppid())
    assert server_environment({}, str(tmp_path)) == {}
    parent.mkdir()
    assert server_environment({}, str(tmp_path)) == {}
    (parent / "environ").write_bytes(b"PATH=/bin\0HOME=/\0AWS_PROFILE=x\0")
    assert server_environment({}, str(tmp_path)) == {}  # without a parent of its own there is no such process
    (parent / "stat").write_text("7 (a) b) S 1 7 7")
    assert server_environment({}, str(tmp_path)) == {"PATH": "/bin", "HOME": "/", "AWS_PROFILE": "x"}
    if os.geteuid() == 0:
        os.chown(parent, 1, 1)
        assert server_environment({}, str(tmp_path)) == {}


def test_no_more_than_a_default_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME and PATH are always there afterwards."""
    environ = {"RD_NODE_NAME": "web", "ECS_EXEC_SERVER_ENVIRONMENT": "no"}
    assert is_reduced(environ)
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_000)
    complete_environment(environ)
    assert (environ["HOME"], is_reduced(environ)) == ("/", False)


# --- Commands


@pytest.fixture(scope="module")
def metadata() -> Iterator[MetadataServer]:
    """Give what stands for the metadata service of ECS."""
    with MetadataServer() as server:
        yield server


def executor(emulator: Emulator, server: Mapping[str, str], **config: str) -> tuple[int, str, str]:
    """Run a command with nothing but RD_* in the plugin's environment."""
    node = {"name": "web", **emulator.node("demo", "web")}
    settings = {"region": emulator.region, "endpoint-url": emulator.endpoint_url, **config}
    own = {**variables("NODE", node), **variables("CONFIG", settings), "RD_EXEC_COMMAND": "echo out; exit 3"}
    return started_by_server(started_by(CONTENTS / "node-executor.py"), server, own)


def test_a_task_role(fast: Emulator, metadata: MetadataServer) -> None:
    """A command of a server that runs as an ECS task, with no keys anywhere."""
    server = {"PATH": "/usr/bin:/bin", "AWS_CONTAINER_CREDENTIALS_FULL_URI": metadata.url, "HOME": "/nowhere"}
    assert executor(fast, server) == (3, "out\n", "")
    assert metadata.asked
    status, _, said = executor(
        fast, server | {"ECS_EXEC_SERVER_ENVIRONMENT": "false", "AWS_EC2_METADATA_DISABLED": "true"}
    )
    assert (status, "no AWS credentials" in said) == (125, True)


def test_a_profile_whose_program_is_on_the_servers_path(fast: Emulator, tmp_path: Path) -> None:
    """AWS_PROFILE of the service, ~/.aws in its HOME, and credential_process in its PATH."""
    program = tmp_path / "bin" / "give-keys"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{json.dumps({'Version': 1, **KEYS})}'\n")
    program.chmod(0o755)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[profile ops]\ncredential_process = give-keys\n")
    server = {"PATH": f"{program.parent}:/usr/bin:/bin", "HOME": str(tmp_path), "AWS_PROFILE": "ops"}
    assert executor(fast, server) == (3, "out\n", "")


def test_settings_come_before_the_servers_credentials(fast: Emulator, tmp_path: Path) -> None:
    """Keys in the settings are used, whatever the service has."""
    server = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/",
    }
    keys = {"access-key-id": ACCESS_KEY, "secret-access-key": SECRET_KEY}
    assert executor(fast, server, **keys) == (3, "out\n", "")
