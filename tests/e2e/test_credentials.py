"""Credentials that fail: one line that names their source, in time, with nobody asked and no program left behind."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from e2e.checks import wait_for
from e2e.metadata import KEYS, Answer, MetadataServer, keys_until
from e2e.rundeck_launch import ACCESS_KEY, ALONE, CONTENTS, SECRET_KEY, started_by, variables
from emulator import Emulator

pytestmark = pytest.mark.xdist_group("e2e-credentials")

CONNECT_TIMEOUT = 4
BUSY = 8.0
OFF = {"AWS_EC2_METADATA_DISABLED": "true"}
KEYS_SET = {"access-key-id": ACCESS_KEY, "secret-access-key": SECRET_KEY}


class Case(NamedTuple):
    """Files in the home of Rundeck's user, its variables, the settings, and the words that the line must contain."""

    words: tuple[str, ...]
    """Empty if the command must run."""
    name: str = ""
    files: Mapping[str, str] = {}
    environ: Mapping[str, str] = OFF
    config: Mapping[str, str] = {}
    metadata: Answer | None = None
    variable: str = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    """What leads to the metadata service."""
    at_once: bool = False


def process(command: str) -> dict[str, str]:
    """Give a configuration whose default profile has a program."""
    return {".aws/config": f"[default]\ncredential_process = {command}\n"}


def printing(**content: object) -> dict[str, str]:
    """Give one whose program prints JSON."""
    keys = {name: KEYS[name] for name in ("AccessKeyId", "SecretAccessKey")}
    merged = {name: value for name, value in ({"Version": 1, **keys} | content).items() if value is not None}
    return {"out.json": json.dumps(merged), **process("/bin/cat HOME/out.json")}


def _silent(method: str, _path: str) -> tuple[int, str]:
    """Answer as IMDSv2 does to a container behind a hop limit of 1: no token, and nothing without one."""
    if method == "PUT":
        time.sleep(20)
    return 401, ""


def _without_role(method: str, _path: str) -> tuple[int, str]:
    return (200, "token") if method == "PUT" else (404, "")


def _hanging(_method: str, _path: str) -> tuple[int, str]:
    time.sleep(20)
    return 200, "{}"


def _expired(_method: str, _path: str) -> tuple[int, str]:
    return 200, json.dumps(keys_until(-60))


MFA = """[profile ops]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/me
region = us-east-1
[profile base]
aws_access_key_id = AKIAIOSFODNN7EXAMPLE
aws_secret_access_key = secret
"""
SSO = """[profile s]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = ops
[sso-session corp]
sso_region = us-east-1
sso_start_url = https://corp.awsapps.com/start
"""
OLD_SSO = """[profile s]
sso_start_url = https://corp.awsapps.com/start
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = ops
"""
EXPIRED_TOKEN = {
    f".aws/sso/cache/{hashlib.sha1(key).hexdigest()}.json": json.dumps(  # noqa: S324 - how AWS names the file
        {"accessToken": "x", "expiresAt": "2020-01-01T00:00:00Z", "region": "us-east-1", "startUrl": "https://corp"}
    )
    for key in (b"corp", b"https://corp.awsapps.com/start")
}
WEB_IDENTITY = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/token"}

CASES: dict[str, Case] = {
    "nothing": Case(("no AWS credentials",), "credentials-missing"),
    "mfa": Case(("profile ops", "MFA"), "mfa-required", {".aws/config": MFA}, OFF | {"AWS_PROFILE": "ops"}),
    "mfa, by setting": Case(("profile ops", "MFA"), "mfa-required", {".aws/config": MFA}, OFF, {"profile": "ops"}),
    "sso without a login": Case(
        ("SSO login of profile s", "aws sso login"), "login-expired", {".aws/config": SSO}, OFF | {"AWS_PROFILE": "s"}
    ),
    "sso expired": Case(
        ("SSO login of profile s", "aws sso login"),
        "login-expired",
        {".aws/config": SSO, **EXPIRED_TOKEN},
        OFF | {"AWS_PROFILE": "s"},
    ),
    "old sso without a login": Case(
        ("SSO login of profile s",), "login-expired", {".aws/config": OLD_SSO}, OFF | {"AWS_PROFILE": "s"}
    ),
    "old sso expired": Case(
        ("SSO login of profile s",),
        "login-expired",
        {".aws/config": OLD_SSO, **EXPIRED_TOKEN},
        OFF | {"AWS_PROFILE": "s"},
    ),
    "process hangs": Case(
        ("credential_process (sleep)", f"within {CONNECT_TIMEOUT}", "connect-timeout"),
        "credentials-late",
        process("/bin/sleep 100"),
    ),
    "process fails": Case(
        ("credential_process", "false ended with status 1"),
        "credential-process-failed",
        process("/bin/false"),
        at_once=True,
    ),
    "process is killed": Case(
        ("sh was ended by signal 9",), "credential-process-failed", process("/bin/sh -c 'kill -9 $$'"), at_once=True
    ),
    "process is missing": Case(
        ("nothing-there cannot be started", "No such file"),
        "credential-process-failed",
        process("/opt/nothing-there --x"),
        at_once=True,
    ),
    "process prints no JSON": Case(
        ("credential_process", "echo printed no JSON"), "credential-process-output", process("/bin/echo hello")
    ),
    "process prints nothing": Case(
        ("true printed no JSON", "nothing"), "credential-process-output", process("/bin/true")
    ),
    "process prints a list": Case(("no object",), "credential-process-output", process("/bin/echo []")),
    "process prints no key": Case(("no AccessKeyId",), "credential-process-output", printing(AccessKeyId=None)),
    "process prints version 2": Case(("no Version 1",), "credential-process-output", printing(Version=2)),
    "process prints expired keys": Case(
        ("credential_process (cat)", "expired already", "clock"),
        "credentials-stale",
        printing(Expiration="2020-01-01T00:00:00Z", SessionToken="t"),
    ),
    "process of a source profile": Case(
        ("sleep", "within"),
        "credentials-late",
        {
            ".aws/config": "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = p\n"
            "[profile p]\ncredential_process = /bin/sleep 100\n"
        },
    ),
    "process in time": Case((), "", printing()),
    "clock ahead": Case(
        ("role of the task or pod", "expired already", "UTC", "timedatectl"),
        "credentials-stale",
        environ=OFF,
        metadata=_expired,
    ),
    "container service hangs": Case(("role of the task or pod", "within"), "credentials-late", metadata=_hanging),
    "container service refuses": Case(
        ("role of the task or pod",), "credentials-failed", metadata=lambda _method, _path: (403, "no")
    ),
    "metadata behind a hop limit": Case(
        ("metadata service", "container", "hop limit"),
        "metadata-silent",
        environ={},
        metadata=_silent,
        variable="AWS_EC2_METADATA_SERVICE_ENDPOINT",
    ),
    "instance without a role": Case(
        ("instance has no role",),
        "instance-without-role",
        environ={},
        metadata=_without_role,
        variable="AWS_EC2_METADATA_SERVICE_ENDPOINT",
    ),
    "profile gone": Case(("no profile gone",), "profile-not-found", environ=OFF | {"AWS_PROFILE": "gone"}),
    "configuration broken": Case((".aws/config",), "aws-configuration-broken", {".aws/config": "[default\nx"}),
    "half a key": Case(
        ("only a part", "environment"), "credentials-incomplete", environ=OFF | {"AWS_ACCESS_KEY_ID": ACCESS_KEY}
    ),
    "token is a directory": Case(
        ("web identity token", "AWS_WEB_IDENTITY_TOKEN_FILE", "Is a directory"),
        "credentials-unreadable",
        {"token/x": ""},
        OFF | WEB_IDENTITY,
    ),
    "token is missing": Case(
        ("web identity token", "No such file"), "credentials-unreadable", environ=OFF | WEB_IDENTITY
    ),
    "keys, and a profile that is gone": Case((), environ=OFF | {"AWS_PROFILE": "gone"}, config=KEYS_SET),
    "keys, and a broken configuration": Case((), "", {".aws/config": "[default\nx"}, OFF, KEYS_SET),
    "keys, and broken credentials": Case((), "", {".aws/credentials": "\x00[x"}, OFF, KEYS_SET),
    "keys, and a program that hangs": Case((), "", process("/bin/sleep 100"), OFF, KEYS_SET),
}


class Outcome(NamedTuple):
    """How a case ended."""

    status: int
    stdout: str
    lines: list[str]
    took: float
    left: list[int]


class Bench:
    """Starts the executor in homes of their own."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        """Take the emulator and a folder for homes."""
        self._emulator = emulator
        self._folder = folder

    def home(self, name: str, files: Mapping[str, str]) -> Path:
        """Write a home's files."""
        home = self._folder / "".join(char if char.isalnum() else "-" for char in name)
        for path, text in files.items():
            file = home / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("HOME", str(home)))
        home.mkdir(exist_ok=True)
        return home

    def start(self, home: Path, environ: Mapping[str, str], config: Mapping[str, str], **how: Any) -> Any:  # noqa: ANN401
        """Start a command."""
        settings = {
            "region": self._emulator.region,
            "endpoint-url": self._emulator.endpoint_url,
            "connect-timeout": str(CONNECT_TIMEOUT),
            **config,
        }
        return subprocess.Popen(
            started_by(CONTENTS / "node-executor.py"),
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(home),
                **ALONE,
                **{name: value.replace("HOME", str(home)) for name, value in environ.items()},
                **variables("NODE", {"name": "web", **self._emulator.node("demo", "web")}),
                **variables("CONFIG", settings),
                "RD_EXEC_COMMAND": "echo out",
            },
            **({"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how),
        )

    def run(self, name: str) -> Outcome:
        """Run a case."""
        case = CASES[name]
        home = self.home(name, case.files)
        with ExitStack() as stack:
            environ = dict(case.environ)
            if case.metadata:
                environ[case.variable] = stack.enter_context(MetadataServer(case.metadata)).url
                if case.variable == "AWS_EC2_METADATA_SERVICE_ENDPOINT":
                    environ[case.variable] = environ[case.variable].removesuffix("credentials")
            began = time.monotonic()
            with self.start(home, environ, case.config) as process:
                stdout, stderr = process.communicate(timeout=60)
            took = time.monotonic() - began
        return Outcome(process.returncode, stdout.decode(), stderr.decode().splitlines(), took, of_home(home))


def of_home(home: Path) -> list[int]:
    """Give the processes that have a home in their environment."""
    mark, found = f"HOME={home}\0".encode(), []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def bench(fast: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Give homes of this module's own."""
    return Bench(fast, tmp_path_factory.mktemp("homes"))


@pytest.fixture(scope="module")
def outcomes(bench: Bench) -> dict[str, Outcome]:
    """Run all cases, some at a time: most of them wait."""
    with ThreadPoolExecutor(6) as pool:
        return dict(zip(CASES, pool.map(bench.run, CASES), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_credentials(name: str, outcomes: dict[str, Outcome]) -> None:
    """One line with the source and the cure, inside connect-timeout; or a command that runs."""
    case, outcome = CASES[name], outcomes[name]
    if not case.words:
        assert (outcome.status, outcome.stdout, outcome.lines) == (0, "out\n", [])
        return
    assert (outcome.status, outcome.stdout, len(outcome.lines)) == (125, "", 1), outcome
    (line,) = outcome.lines
    assert line.startswith("ecs-exec: ")
    assert line.endswith(f"[{case.name}]")
    assert [word for word in case.words if word not in line] == []
    assert "internal error" not in line
    assert outcome.took < CONNECT_TIMEOUT + BUSY
    assert outcome.left == []


def test_nobody_is_asked(bench: Bench) -> None:
    """Not even at a terminal: neither by botocore nor by a program."""
    asking = "#!/bin/sh\nexec 3<>/dev/tty && echo Password: >&3 && read -r x <&3\nread -r x\nexit 9\n"
    for name, files in (("asks", {".aws/config": MFA}), ("ask", process("/bin/sh HOME/ask.sh") | {"ask.sh": asking})):
        home = bench.home(name, files)
        near, far = pty.openpty()
        environ = OFF | ({"AWS_PROFILE": "ops"} if name == "asks" else {})

        def on_terminal(far: int = far) -> None:
            os.login_tty(far) if hasattr(os, "login_tty") else os.setsid()

        with bench.start(home, environ, {}, stdin=far, stdout=far, stderr=far, preexec_fn=on_terminal) as running:
            os.close(far)
            assert running.wait(60) == 125
            shown = os.read(near, 4096).decode()
        os.close(near)
        assert shown.count("\n") == 1, shown
        assert "Password" not in shown
        assert "Enter MFA" not in shown


def test_an_abort_ends_the_program(bench: Bench) -> None:
    """With all that it has started."""
    home = bench.home("aborted", process("/bin/sh -c '/bin/sleep 100 & /bin/sleep 100'"))
    with bench.start(home, OFF, {"connect-timeout": "60"}) as process_:
        wait_for(lambda: len(of_home(home)) >= 4)
        process_.send_signal(signal.SIGTERM)
        _, stderr = process_.communicate(timeout=30)
    assert process_.returncode == 143
    assert stderr == b"ecs-exec: aborted by SIGTERM before the command was started\n"
    wait_for(lambda: of_home(home) == [])
