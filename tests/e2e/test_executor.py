"""The node executor as its users meet it: targets, settings, credentials, errors."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from commands import Result
from e2e.checks import one_line, wait_for, wait_until_gone
from e2e.rundeck_launch import ACCESS_KEY, ALONE, SECRET_KEY, Launcher, Watch
from emulator import Emulator
from pythons import pythons

NATIVE = {"transport": "native"}


def node(fast: Emulator, **attributes: str) -> dict[str, str]:
    """Give a node of the sample world, some attributes replaced."""
    return fast.node("demo", "web") | {name.replace("_", "-"): value for name, value in attributes.items()}


# --- Targets


@pytest.mark.parametrize(
    ("attributes", "output"),
    [
        ({"ecs-cluster": "demo", "ecs-service": "web"}, b"/usr\n"),
        ({"ecs-cluster": "demo", "ecs-family": "api", "ecs-container": "app"}, b"/tmp\n"),
        ({"ecs-cluster": "demo", "ecs-family": "api"}, b"/tmp\n"),
        ({"ecs-cluster": "demo", "ecs-family": "api", "ecs-container": "log-router"}, b"/\n"),
        ({"ecs-cluster": "batch", "ecs-family": "worker"}, b"/var\n"),
    ],
)
def test_services_families_and_containers_are_resolved(
    quick: Launcher, attributes: dict[str, str], output: bytes
) -> None:
    """The task is chosen at run time, from the node's attributes."""
    assert quick.run(attributes, "pwd", NATIVE) == Result(output, b"", 0)


def test_a_service_is_always_the_same_task(quick: Launcher, fast: Emulator) -> None:
    """The newest, as long as the tasks are the same."""
    attributes = {"ecs-cluster": "demo", "ecs-service": "web"}
    for _ in range(3):
        assert quick.run(attributes, "true", NATIVE).status == 0
    sessions = fast.report()["sessions"][-3:]
    assert len({session["task"] for session in sessions}) == 1


# --- How a command runs


def test_attributes_override_the_project(quick: Launcher, fast: Emulator, shells: dict[str, str]) -> None:
    """Shell, directory and terminal of the node's own."""
    attributes = {"ecs-shell": shells["bash"], "ecs-workdir": "/var", "ecs-tty": "true"}
    config = NATIVE | {"shell": "/bin/sh", "workdir": "/usr", "tty": "false"}
    command = 'pwd; test -t 1 && echo "terminal ${BASH_VERSION:+bash}"'
    assert quick.run(node(fast) | attributes, command, config) == Result(b"/var\nterminal bash\n", b"", 0)


def test_options_reach_the_command(quick: Launcher, fast: Emulator) -> None:
    """Chosen ones, and no secure one; their values are in no call to AWS."""
    before = len(fast.report()["calls"])
    result = quick.run(
        node(fast),
        'echo "$RD_OPTION_WORD|$RD_JOB_EXECID|$RD_OPTION_PASSWORD|$RD_CONFIG_SECRET_ACCESS_KEY"',
        NATIVE | {"env": "RD_OPTION_*,RD_JOB_*"},
        RD_OPTION_WORD='it\'s  "here"\n$x',
        RD_JOB_EXECID="12",
        RD_OPTION_PASSWORD="hush",
        RD_SECUREOPTION_PASSWORD="hush",
    )
    assert result == Result(b'it\'s  "here"\n$x|12||\n', b"", 0)
    assert "here" not in str(fast.report()["calls"][before:])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user(quick: Launcher, fast: Emulator) -> None:
    """The plugin uses the programs that the image has."""
    assert quick.run(node(fast), "id -un", NATIVE | {"user": "games"}) == Result(b"games\n", b"", 0)


@pytest.mark.parametrize("transport", ["native", "session-manager-plugin"])
def test_without_a_shell(quick: Launcher, fast: Emulator, session_manager_plugin: Path, transport: str) -> None:
    """The words are executed; that the exit status is not known is said."""
    config = {"shell": "none", "transport": transport, "session-manager-plugin": str(session_manager_plugin)}
    result = quick.run(node(fast), "printf '%s|' 'a  b' \"$HOME\" '*'; # 'c", config | {"shell": "none"})
    assert result.status == 125  # an open quote
    result = quick.run(node(fast), "printf '%s|\\n' 'a  b' '$HOME' '*'", config)
    assert (result.stdout, result.status) == (b"a  b|\n$HOME|\n*|\n", 0)
    assert result.stderr.decode().startswith("ecs-exec: ")
    assert b"exit status is unknown" in result.stderr


def test_a_daemon_survives_the_session(quick: Launcher, fast: Emulator, tmp_path: Path) -> None:
    """It continues, as over SSH without a terminal. A process that holds stdout open keeps the command open."""
    flag = tmp_path / "flag"
    command = f"(sleep 1; echo alive > {flag}) >/dev/null 2>&1 & echo started"
    started = time.monotonic()
    assert quick.run(node(fast), command, NATIVE) == Result(b"started\n", b"", 0)
    wait_for(lambda: flag.exists() and flag.read_text() == "alive\n")
    assert time.monotonic() - started >= 1
    assert quick.run(node(fast), "(sleep 0.5; echo late) & echo early", NATIVE).stdout == b"early\nlate\n"


# --- Credentials and endpoints


def test_the_default_chain(quick: Launcher, fast: Emulator) -> None:
    """Without a key and a profile, botocore takes credentials, region and endpoint from the environment."""
    before = len(fast.report()["calls"])
    config = {"access-key-id": "", "secret-access-key": "", "endpoint-url": "", "region": ""}
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIAENVIRONMENT",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": fast.region,
        "AWS_ENDPOINT_URL_ECS": fast.endpoint_url,
    }
    attributes = node(fast)
    attributes.pop("ECS:Region", None)
    assert quick.run(attributes, "true", NATIVE | config, **environ).status == 0
    assert {call["accessKey"] for call in fast.report()["calls"][before:]} == {"AKIAENVIRONMENT"}


def test_a_profile(quick: Launcher, fast: Emulator, tmp_path: Path) -> None:
    """It is a profile of the configuration in HOME."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text("[ops]\naws_access_key_id=AKIAPROFILE\naws_secret_access_key=x\n")
    before = len(fast.report()["calls"])
    config = NATIVE | {"access-key-id": "", "secret-access-key": "", "profile": "ops"}
    assert quick.run(node(fast), "true", config, HOME=str(tmp_path)).status == 0
    assert {call["accessKey"] for call in fast.report()["calls"][before:]} == {"AKIAPROFILE"}
    assert "other" in one_line(quick.run(node(fast), "true", config | {"profile": "other"}, HOME=str(tmp_path)))


def test_an_assumed_role(quick: Launcher, fast: Emulator) -> None:
    """The node's attribute names the role. The external id is sent, and the command uses the role's credentials."""
    before = len(fast.report()["calls"])
    role = "arn:aws:iam::123456789012:role/ops"
    ids = f"{role}-2=ext-6; {role}=ext-7"
    result = quick.run(node(fast) | {"assume-role-arn": role}, "true", NATIVE | {"external-id": ids})
    assert result == Result(b"", b"", 0)
    assume, execute = fast.report()["calls"][before:]
    assert (assume["action"], assume["accessKey"]) == ("AssumeRole", ACCESS_KEY)
    assert assume["parameters"]["RoleArn"] == role
    assert assume["parameters"]["ExternalId"] == "ext-7"
    assert execute["action"] == "ExecuteCommand"
    assert execute["accessKey"] != ACCESS_KEY


# --- Bad input


@pytest.mark.parametrize(
    ("attributes", "config", "words"),
    [
        (
            {"ECS:Cluster-ARN": "", "ecs-cluster": "nowhere", "ECS:Task-ARN": "", "ecs-task": "f" * 32},
            {},
            ["nowhere", "ClusterNotFoundException", "region"],
        ),
        ({"ECS:Task-ARN": "", "ecs-task": "f" * 32}, {}, ["f" * 32]),
        ({"ECS:Container-Name": "nobody"}, {}, ["nobody"]),
        ({"ECS:Task-ARN": "", "ecs-service": "nothing"}, {}, ["nothing"]),
        ({}, {"endpoint-url": "http://127.0.0.1:9", "connect-timeout": "1"}, ["127.0.0.1:9", "endpoint-url"]),
        ({}, {"endpoint-url": "http://no-such-host.invalid", "connect-timeout": "1"}, ["no-such-host.invalid"]),
        ({}, {"transport": "session-manager-plugin", "session-manager-plugin": "/no/smp"}, ["/no/smp", "install"]),
        ({}, {"shell": "/no/such/sh"}, ["/no/such/sh", "none"]),
        ({}, {"workdir": "/no/such"}, ["workdir"]),
        ({}, {"timeout": "soon", "tty": "perhaps"}, ["timeout is 'soon'", "tty is 'perhaps'"]),
        ({}, {"secret-access-key": ""}, ["access-key-id is set and secret-access-key is not"]),
    ],
)
def test_what_cannot_work_is_reported_in_one_line(
    quick: Launcher, fast: Emulator, attributes: dict[str, str], config: dict[str, str], words: list[str]
) -> None:
    """Status 125, the cause and the cure."""
    line = one_line(quick.run(node(fast) | attributes, "true", NATIVE | config))
    assert [word for word in words if word not in line] == [], line


def test_a_task_without_exec(quick: Launcher, fast: Emulator) -> None:
    """The flag to set is named."""
    line = one_line(quick.run(fast.node("demo", "locked"), "true", NATIVE))
    assert "--enable-execute-command" in line


def test_an_image_without_a_shell(quick: Launcher, fast: Emulator) -> None:
    """The way out is named."""
    line = one_line(quick.run(fast.node("batch", "distroless"), "true", NATIVE))
    assert "none" in line
    assert "/bin/sh" in line


@pytest.mark.parametrize("action", ["ecs:ExecuteCommand", "ecs:ListTasks", "ecs:DescribeTasks"])
def test_a_missing_permission_is_named(action: str) -> None:
    """With what it is missing on."""
    world: dict[str, Any] = {
        "deny": [action],
        "clusters": {"c": {"services": {"s": {"desired": 1, "containers": {"app": {}}}}}},
    }
    with Emulator(world=world) as emulator:
        launcher = Launcher(emulator.endpoint_url, emulator.region)
        line = one_line(launcher.run({"ecs-cluster": "c", "ecs-service": "s"}, "true", NATIVE))
        assert action in line
        assert "grant" in line


def test_no_credentials(quick: Launcher, fast: Emulator, tmp_path: Path) -> None:
    """All three ways are named."""
    config = NATIVE | {"access-key-id": "", "secret-access-key": ""}
    line = one_line(quick.run(node(fast), "true", config, HOME=str(tmp_path), AWS_EC2_METADATA_DISABLED="true"))
    assert "access-key-id" in line
    assert "profile" in line


def test_details_are_there_for_who_asks(quick: Launcher, fast: Emulator) -> None:
    """They are on stderr at log level Debug, and contain no secret."""
    result = quick.run(node(fast), "echo out", NATIVE, RD_JOB_LOGLEVEL="DEBUG")
    assert (result.stdout, result.status) == (b"out\n", 0)
    assert b"ecs-exec: debug: " in result.stderr
    assert SECRET_KEY.encode() not in result.stderr


def test_a_trace_tells_frames_and_no_content(quick: Launcher, fast: Emulator, tmp_path: Path) -> None:
    """For who looks for a fault of the protocol; a file that cannot be written harms nothing."""
    trace = tmp_path / "trace"
    result = quick.run(node(fast), "echo content", NATIVE, ECS_EXEC_TRACE=str(trace))
    assert result == Result(b"content\n", b"", 0)
    text = trace.read_text()
    assert "> opening\n" in text
    assert re.search(r"^\d+\.\d+ < output_stream_data sequence=0 flags=1 payload=1 bytes=\d+$", text, re.MULTILINE)
    assert re.search(r"^\d+\.\d+ > acknowledge ", text, re.MULTILINE)
    assert not [secret for secret in ("content", *tokens(fast)) if secret in text]
    assert quick.run(node(fast), "echo x", NATIVE, ECS_EXEC_TRACE="/no/such/file") == Result(b"x\n", b"", 0)


# --- Secrets


@pytest.mark.parametrize("transport", ["native", "session-manager-plugin"])
def test_secrets_are_in_no_arguments_output_or_file(
    quick: Launcher, fast: Emulator, session_manager_plugin: Path, tmp_path: Path, transport: str
) -> None:
    """Neither the secret key nor the session's token, looked for while commands run and afterwards."""
    home = tmp_path / "home"
    home.mkdir()
    tokens_before = set(tokens(fast))
    config = {"transport": transport, "session-manager-plugin": str(session_manager_plugin)}
    with Watch(SECRET_KEY) as watch:
        process = quick.start(
            node(fast), "sleep 1; env", config, HOME=str(home), TMPDIR=str(tmp_path), RD_JOB_LOGLEVEL="DEBUG"
        )
        wait_for(lambda: set(tokens(fast)) - tokens_before != set())
        new = set(tokens(fast)) - tokens_before
        for token in new:
            watch.add(token)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert watch.looks > 10
    assert watch.found == set()
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for secret in [SECRET_KEY, *new]:
        assert all(secret.encode() not in text for text in [stdout, stderr, *written])


def tokens(emulator: Emulator) -> list[str]:
    """Give the tokens of all sessions."""
    return emulator.tokens()


# --- Stopping


@pytest.mark.parametrize("transport", ["native", "session-manager-plugin"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_abort_reaches_the_container(
    quick: Launcher, fast: Emulator, session_manager_plugin: Path, transport: str, number: int
) -> None:
    """The plugin ends with 143 within a second, and what ran in the container is gone within two."""
    config = {"transport": transport, "session-manager-plugin": str(session_manager_plugin)}
    process = quick.start(node(fast), "trap '' INT TERM; echo begun; sleep 60 & sleep 60", config)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    sent = time.monotonic()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 143
    assert time.monotonic() - sent < 1.5  # one second, and what a busy machine adds
    assert b"aborted by SIG" in stderr
    wait_until_gone(fast)


def test_a_time_out(quick: Launcher, fast: Emulator) -> None:
    """Ends the command in the container, and says so."""
    result = quick.run(
        node(fast), "trap 'echo interrupted; exit 1' INT; while :; do sleep 0.1; done", NATIVE | {"timeout": "1"}
    )
    assert (result.stdout, result.status) == (b"interrupted\n", 124)
    assert b"timed out after 1 s" in result.stderr
    wait_until_gone(fast)


# --- The zip


def test_the_zip_runs_with_a_bare_python(fast: Emulator, zip_contents: Path) -> None:
    """The environment has only RD_*: no PATH, no HOME. Nothing is installed."""
    launcher = Launcher(fast.endpoint_url, fast.region, script=zip_contents / "node-executor.py")
    environment = launcher.environment(node(fast), "echo $0 works >&2; exit 7", NATIVE)
    assert {name for name in environment if not name.startswith("RD_")} == set(ALONE)
    assert not stat.S_IMODE((zip_contents / "node-executor.py").stat().st_mode) & 0o111
    oldest, *_, newest = [*pythons().values()] * 2
    for python in {oldest, newest}:
        done = subprocess.run(
            [python, "-u", str(launcher.script)], env=environment, capture_output=True, check=False, timeout=60
        )
        assert (done.stdout, done.stderr, done.returncode) == (b"", b"/bin/sh works\n", 7), python
