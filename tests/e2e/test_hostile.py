"""Text from strangers in nodes, options and sessions reaches no shell and no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from commands import Result
from e2e.rundeck_launch import Launcher
from emulator import Emulator

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e"
TEXT = f"\n{ESCAPES}ecs-exec: all is well\nroot# "
ATTRIBUTES = (
    "ECS:Cluster-ARN",
    "ecs-cluster",
    "ECS:Task-ARN",
    "ECS:Container-Name",
    "ECS:Runtime-ID",
    "ECS:Region",
    "assume-role-arn",
    "ecs-transport",
    "ecs-shell",
    "ecs-user",
    "ecs-workdir",
    "ecs-tty",
    "ecs-env",
    "ecs-timeout",
    "ecs-connect-timeout",
    "hostname",
    "description",
)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a cluster with an ordinary task, and one whose sessions end with words that are not for terminals."""
    world = {
        "agent": {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0},
        "clusters": {
            "c": {
                "tasks": [
                    {"family": "plain", "containers": {"app": {}}},
                    {"family": "speaks", "containers": {"app": {"agent": {"end_text": TEXT}}}},
                ]
            }
        },
    }
    with Emulator(world=world) as running:
        yield running
        assert running.report()["violations"] == []


@pytest.fixture(scope="module")
def start(emulator: Emulator) -> Launcher:
    """Start executions against it."""
    return Launcher(emulator.endpoint_url, emulator.region, config={"transport": "native", "connect-timeout": "5"})


def is_harmless(result: Result) -> bool:
    """Return whether the plugin's lines can be shown on any terminal."""
    lines = result.stderr.decode().split("\n")
    return lines.pop() == "" and all(line.startswith("ecs-exec: ") and line.isprintable() for line in lines)


def test_attributes_reach_no_shell_and_no_terminal(start: Launcher, emulator: Emulator, tmp_path: Path) -> None:
    """Neither the server's nor the container's shell, and not the log, whichever attribute they stand in."""
    flag = tmp_path / "flag"
    poisons = (
        f"/$(touch {flag})`touch {flag}`",
        f"x'; touch {flag}; '\"; touch {flag}; \"",
        f"{ESCAPES}\n touch {flag}\n{{{{ssm:secret}}}}",
    )
    node = emulator.node("c", "plain")
    unused = {"ecs-cluster", "hostname", "description"}
    runs = [(name, poison) for name in ATTRIBUTES for poison in poisons]

    def run(what: tuple[str, str]) -> Result:
        return start.run(node | {what[0]: what[1]}, "echo ran", {"connect-timeout": "2"})

    with ThreadPoolExecutor(4) as pool:
        for (name, poison), result in zip(runs, pool.map(run, runs), strict=True):
            assert not flag.exists(), (name, poison)
            assert is_harmless(result), (name, poison, result)
            expected = (b"ran\n", 0) if name in unused else (b"", 125)
            assert (result.stdout, result.status) == expected, (name, poison, result)


def test_options_reach_the_command_as_values(start: Launcher, emulator: Emulator, tmp_path: Path) -> None:
    """Not as a part of it."""
    flag = tmp_path / "flag"
    poison = f"$(touch {flag}) `touch {flag}` '; touch {flag}; \" \\ {{{{ssm:x}}}} {ESCAPES}"
    result = start.run(
        emulator.node("c", "plain"), 'printf %s "$RD_OPTION_X"', {"env": "RD_OPTION_*"}, RD_OPTION_X=poison
    )
    assert result == Result(poison.encode(), b"", 0)
    assert not flag.exists()


def test_a_sessions_last_words_are_harmless(start: Launcher, emulator: Emulator) -> None:
    """The service's, or whoever speaks for it."""
    result = start.run(emulator.node("c", "speaks"), "true", RD_JOB_LOGLEVEL="DEBUG")
    assert result.status == 125
    assert is_harmless(result), result
    assert b"all is well" in result.stderr.splitlines()[-1]
