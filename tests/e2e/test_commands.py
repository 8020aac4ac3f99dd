"""The table of commands on the complete way: entry script, AWS calls, transport, agent, terminal, shell and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import COMMANDS, Result, locally
from e2e.rundeck_launch import ACCESS_KEY, Launcher
from emulator import Emulator

TRANSPORTS = ("native", "session-manager-plugin")
SHELLS = ("dash", "bash", "busybox")
REPEATS = 100


TABLES = [
    pytest.param(transport, shell, marks=pytest.mark.xdist_group(f"table-{shell}"), id=f"{transport}-{shell}")
    for transport in TRANSPORTS
    for shell in SHELLS
]
"""Each table is made by the process that looks at it. Both of a shell are compared with the same local results."""


class Table:
    """Results of the whole table for a transport and a shell, made when the first of them is asked for."""

    def __init__(self, launcher: Launcher, node: dict[str, str], binary: Path, shells: dict[str, str]) -> None:
        """Take where to run, session-manager-plugin, and the shells' paths."""
        self._launcher = launcher
        self._node = node
        self._binary = binary
        self._shells = shells
        self._results: dict[tuple[str, str], dict[str, Result]] = {}
        self._local: dict[tuple[str, str], Result] = {}

    def results(self, transport: str, shell: str) -> dict[str, Result]:
        """Give the results by name."""
        key = (transport, shell)
        if key not in self._results:
            config = {
                "transport": transport,
                "session-manager-plugin": str(self._binary),
                "shell": self._shells[shell],
            }
            results = self._launcher.run_many(self._node, COMMANDS.values(), config)
            self._results[key] = dict(zip(COMMANDS, results, strict=True))
        return self._results[key]

    def expected(self, shell: str, name: str) -> Result:
        """Give the local result of a command, run when it is asked for first."""
        key = (shell, name)
        if key not in self._local:
            self._local[key] = locally(COMMANDS[name], [self._shells[shell]], local_environ(), cwd="/usr")
        return self._local[key]


@pytest.fixture(scope="module")
def table(launcher: Launcher, emulator: Emulator, session_manager_plugin: Path, shells: dict[str, str]) -> Table:
    """Run on a Fargate task."""
    return Table(launcher, emulator.node("demo", "web"), session_manager_plugin, shells)


def assert_nothing_to_complain_about(emulator: Emulator) -> None:
    """Not a frame that breaks the protocol, no command started twice, no process left over."""
    report = emulator.report()
    assert report["violations"] == []
    assert [session for session in report["sessions"] if session["starts"] > 1] == []
    assert report["processes"] == []


def local_environ() -> dict[str, str]:
    """Give what a command sees in the sample world, as far as the table's commands look."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "xterm-256color"}


@pytest.mark.parametrize(("transport", "shell"), TABLES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_comes_out_as_it_does_locally(table: Table, transport: str, shell: str, name: str) -> None:
    """The same stdout, stderr and exit status as `sh -c` gives on this machine."""
    expected = table.expected(shell, name)
    got = table.results(transport, shell)[name]
    assert got == expected, f"got {got}, expected {expected}"


@pytest.mark.parametrize(("transport", "shell"), TABLES)
def test_the_far_side_has_nothing_to_complain_about(
    table: Table, emulator: Emulator, transport: str, shell: str
) -> None:
    """The emulator reports no violation of the protocol and no process that is left."""
    assert len(table.results(transport, shell)) == len(COMMANDS)
    assert_nothing_to_complain_about(emulator)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_tail_is_ever_lost(quick: Launcher, fast: Emulator, session_manager_plugin: Path, transport: str) -> None:
    """Two hundred runs, a hundred over each transport, every one complete."""
    config = {"transport": transport, "session-manager-plugin": str(session_manager_plugin)}
    results = quick.run_many(fast.node("demo", "web"), ["seq 1 5000"] * REPEATS, config)
    expected = Result("".join(f"{number}\n" for number in range(1, 5001)).encode(), b"", 0)
    assert [number for number, result in enumerate(results) if result != expected] == []
    assert_nothing_to_complain_about(fast)


def test_one_call_is_enough_for_a_full_node(fast: Emulator, quick: Launcher) -> None:
    """What the node carries is not asked for again."""
    before = len(fast.report()["calls"])
    assert quick.run(fast.node("demo", "web"), "true", {"transport": "native"}).status == 0
    calls = [call for call in fast.report()["calls"][before:] if call["accessKey"] == ACCESS_KEY]
    assert [call["action"] for call in calls] == ["ExecuteCommand"]


def test_the_table_is_long_enough() -> None:
    """The promise is about sixty commands at least."""
    assert len(COMMANDS) >= 60
