"""Sessions that a KMS key encrypts, with moto's KMS between the two ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands import Result
from e2e.checks import one_line
from e2e.rundeck_launch import Launcher, started_by
from emulator import Emulator
from soak_handshakes import soak_handshakes

pytestmark = pytest.mark.xdist_group("e2e-kms")

NATIVE = {"transport": "native"}
HABITS = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0, "handshake": "kms"}


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Emulator]:
    """Give the sample world, its sessions encrypted, with an agent that insists on its challenge."""
    with Emulator(agent={**HABITS, "require_kms_challenge": True}) as running:
        yield running
        report = running.report()
        assert report["violations"] == []
        assert report["processes"] == []


@pytest.fixture(scope="module")
def start(encrypted: Emulator) -> Launcher:
    """Start executions against it."""
    return Launcher(encrypted.endpoint_url, encrypted.region)


def calls(emulator: Emulator, action: str) -> list[dict[str, Any]]:
    """Give the parameters of all calls of an action."""
    return [call["parameters"] for call in emulator.report()["calls"] if call["action"] == action]


def test_an_encrypted_session(start: Launcher, encrypted: Emulator) -> None:
    """Output, errors, status, and a command that is so long that it travels through the channel."""
    node = encrypted.node("demo", "web")
    assert start.run(node, "seq 1 20000; echo err >&2; exit 7", NATIVE) == Result(
        "".join(f"{number}\n" for number in range(1, 20001)).encode(), b"err\n", 7
    )
    long = "x" * 20_000
    assert start.run(node, f"printf %s {long}", NATIVE) == Result(long.encode(), b"", 0)


def test_the_encryption_context(start: Launcher, encrypted: Emulator) -> None:
    """Session, container and challenge; the runtime id is looked up where the node does not carry it."""
    node = encrypted.node("demo", "web")
    del node["ECS:Runtime-ID"]
    before = len(calls(encrypted, "GenerateDataKey"))
    described = len(calls(encrypted, "DescribeTasks"))
    assert start.run(node, "true", NATIVE).status == 0
    (asked,) = calls(encrypted, "GenerateDataKey")[before:]
    session = encrypted.report()["sessions"][-1]
    runtime_id = encrypted.node("demo", "web")["ECS:Runtime-ID"]
    assert asked["EncryptionContext"].pop("aws:ssm:RandomChallenge")
    assert asked["EncryptionContext"] == {
        "aws:ssm:SessionId": session["sessionId"],
        "aws:ssm:TargetId": f"ecs:demo_{session['task']}_{runtime_id}",
    }
    assert asked["NumberOfBytes"] == 64
    assert len(calls(encrypted, "DescribeTasks")) == described + 1


def test_no_python_needs_more_than_the_zip(encrypted: Emulator, zip_contents: Path) -> None:
    """The cipher comes out of the zip, with nothing in the environment and nothing installed."""
    start = Launcher(encrypted.endpoint_url, encrypted.region, script=zip_contents / "node-executor.py")
    environment = start.environment(encrypted.node("demo", "web"), "echo $((6 * 7))", NATIVE)
    command = started_by(start.script, sys._base_executable)  # type: ignore[attr-defined]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == (b"42\n", b"", 0)


def test_an_encrypted_session_survives_a_cut(start: Launcher, encrypted: Emulator) -> None:
    """Keys and counters outlive the connection."""
    encrypted.set_faults({"cut_after_frames": 20, "cuts": 3})  # 44 frames of output and as many acknowledgements
    try:
        result = start.run(encrypted.node("demo", "web"), "seq 1 9000; exit 3", NATIVE)
    finally:
        encrypted.set_faults({})
    assert result == Result("".join(f"{number}\n" for number in range(1, 9001)).encode(), b"", 3)
    assert encrypted.report()["sessions"][-1]["resumes"] == 3


def test_a_handshake_that_comes_late(record_property: Callable[[str, object], None]) -> None:
    """A tenth of `make soak ARGS="--handshakes 200"`: complete, started once, no message, wherever it is cut."""
    record_property("told", soak_handshakes(range(0, 200, 11), 12, start_delay=0.0, timed=False))


@pytest.mark.parametrize("transport", ["native", "auto"])
def test_a_missing_permission_is_named(transport: str, session_manager_plugin: Path) -> None:
    """The error names the permission. The program is not tried, because it has the same credentials."""
    world = {
        "deny": ["kms:GenerateDataKey"],
        "clusters": {"c": {"services": {"s": {"desired": 1, "containers": {"app": {}}}}}},
    }
    with Emulator(world=world, agent=HABITS) as emulator:
        config = {"transport": transport, "session-manager-plugin": str(session_manager_plugin)}
        line = one_line(Launcher(emulator.endpoint_url, emulator.region).run(emulator.node("c", "s"), "true", config))
        assert "grant kms:GenerateDataKey" in line
        assert len(emulator.report()["sessions"]) == 1


def test_without_native_code_auto_goes_on_with_the_program(
    encrypted: Emulator, start: Launcher, zip_contents: Path, session_manager_plugin: Path, tmp_path: Path
) -> None:
    """A line says so. With `native` alone, the error says what to set. The command runs once."""
    contents = tmp_path / "contents"
    shutil.copytree(zip_contents, contents, ignore=shutil.ignore_patterns("native"))
    # The transport of that name went with the compiled code.
    shutil.copy(zip_contents / "ecs_exec" / "transport" / "native.py", contents / "ecs_exec" / "transport")
    bare = replace(start, script=contents / "node-executor.py", interpreter=sys._base_executable)  # type: ignore[attr-defined]
    node, flag = encrypted.node("demo", "web"), tmp_path / "flag"
    config = {"session-manager-plugin": str(session_manager_plugin)}
    with Emulator(agent={**HABITS, "session_limit": 1}) as emulator:
        limited = replace(bare, endpoint=emulator.endpoint_url)
        result = limited.run(node, f"echo once >> {flag}; echo out; exit 3", config)
    assert (result.stdout, result.status) == (b"out\n", 3), result
    assert b"continuing with session-manager-plugin" in result.stderr
    assert flag.read_text() == "once\n"
    line = one_line(bare.run(node, "true", NATIVE))
    assert "set the transport to session-manager-plugin" in line
