"""The file copier and the script step through everything: entry script, transport, agent, terminal, shell and back."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from commands import Result
from e2e.rundeck_launch import CONTENTS, Launcher
from ecs_exec.command.shell_wrapper import LINE
from emulator import Emulator

TRANSPORTS = ("native", "session-manager-plugin")
_HABITS = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}
_RANDOM = random.Random(11)  # noqa: S311 - the same each time


@pytest.fixture(scope="module")
def far(scratch: Path) -> Iterator[Emulator]:
    """Give a world with an agent that does not rest, for this module alone: its faults change."""
    containers = {"nginx": {"workdir": "/usr", "env": {"TMPDIR": str(scratch)}}}
    world = {"clusters": {"demo": {"services": {"web": {"desired": 1, "containers": containers}}}}}
    with Emulator(world, agent=_HABITS) as running:
        yield running


class Copier:
    """Copies files and runs scripts as Rundeck asks for it."""

    def __init__(self, emulator: Emulator, binary: Path) -> None:
        """Take where to, and session-manager-plugin."""
        self.emulator = emulator
        self.config = {"session-manager-plugin": str(binary)}
        self._copier = Launcher(emulator.endpoint_url, emulator.region, script=CONTENTS / "file-copier.py")
        self._script = Launcher(emulator.endpoint_url, emulator.region, script=CONTENTS / "run-script.py")

    def node(self, **attributes: str) -> dict[str, str]:
        """Give a node of the sample world, some attributes replaced."""
        more = {name.replace("_", "-"): value for name, value in attributes.items()}
        return self.emulator.node("demo", "web") | more

    def start(
        self,
        source: Path,
        destination: str,
        transport: str = "native",
        config: dict[str, str] | None = None,
        **more: str,
    ) -> subprocess.Popen[bytes]:
        """Start a copy."""
        variables = {"RD_FILE_COPY_FILE": str(source), "RD_FILE_COPY_DESTINATION": destination, **more}
        settings = {**self.config, "transport": transport, **(config or {})}
        return self._copier.start(self.node(), "", settings, **variables)

    def copy(
        self,
        source: Path,
        destination: str,
        transport: str = "native",
        config: dict[str, str] | None = None,
        **more: str,
    ) -> Result:
        """Copy a file."""
        variables = {"RD_FILE_COPY_FILE": str(source), "RD_FILE_COPY_DESTINATION": destination, **more}
        return self._copier.run(self.node(), "", {**self.config, "transport": transport, **(config or {})}, **variables)

    def script(self, config: dict[str, str], transport: str = "native", **more: str) -> Result:
        """Run a script."""
        return self._script.run(self.node(), "", {**self.config, "transport": transport, **config}, **more)

    def start_script(self, config: dict[str, str], transport: str = "native") -> subprocess.Popen[bytes]:
        """Start a script."""
        return self._script.start(self.node(), "", {**self.config, "transport": transport, **config})


@pytest.fixture(scope="module")
def copier(far: Emulator, session_manager_plugin: Path) -> Copier:
    """Give both against the emulator."""
    return Copier(far, session_manager_plugin)


def one_line(result: Result, status: int = 125) -> str:
    """Return the line that says why nothing was done."""
    assert (result.status, result.stdout) == (status, b""), result
    (line,) = result.stderr.decode().splitlines()
    assert line.startswith("ecs-exec: ")
    return line


def wait_until_gone(emulator: Emulator, seconds: float = 5) -> None:
    """Wait until nothing lives in any container."""
    until = time.monotonic() + seconds
    while left := emulator.processes():
        assert time.monotonic() < until, [(process["pid"], process["command"][:80]) for process in left]
        time.sleep(0.02)


# --- Files


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_files_arrive_as_they_are(copier: Copier, transport: str, tmp_path: Path) -> None:
    """Bytes and modes arrive. Only the path is printed. Each copy takes one session and one call."""
    files = {
        "empty": b"",
        "one byte": b"\n",
        "newlines": b"\n" * 70_000,
        "all bytes": bytes(range(256)) * 5,
        "random": _RANDOM.randbytes(600_001),
        "text": b"some text\r\n" * 50_000,
        "ünï 'q' \"d\" $x": b"\x03\x04\x1a\x1c\x11\x13\x7f",
    }
    before = len(copier.emulator.report()["calls"])
    for number, (name, content) in enumerate(files.items()):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600 + number)

    def one(name: str) -> Result:
        return copier.copy(tmp_path / name, f"{tmp_path}/there/{name}", transport)

    with ThreadPoolExecutor(4) as pool:
        results = dict(zip(files, pool.map(one, files), strict=True))
    for name, content in files.items():
        there = tmp_path / "there" / name
        assert results[name] == Result(f"{there}\n".encode(), b"", 0)
        assert there.read_bytes() == content
        assert stat.S_IMODE(there.stat().st_mode) == stat.S_IMODE((tmp_path / name).stat().st_mode)
    assert len(list((tmp_path / "there").iterdir())) == len(files)
    calls = [call["action"] for call in copier.emulator.report()["calls"][before:]]
    assert calls == ["ExecuteCommand"] * len(files)
    assert copier.emulator.report()["violations"] == []


def test_a_name_of_two_lines_is_not_told_wrongly(copier: Copier, tmp_path: Path) -> None:
    """Rundeck takes the first line as the path. Without a line, it takes the path that it asked for."""
    source = tmp_path / "source"
    source.write_text("x")
    assert copier.copy(source, f"{tmp_path}/two\nlines") == Result(b"", b"", 0)
    assert (tmp_path / "two\nlines").read_text() == "x"
    source.rename(tmp_path / "a\nb")
    line = one_line(copier.copy(tmp_path / "a\nb", f"{tmp_path}/new/"))
    assert "include a file name in the destination" in line
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_copied_is_reported(copier: Copier, tmp_path: Path) -> None:
    """No session opens if the plugin knows the failure before."""
    source = tmp_path / "source"
    source.write_text("x")
    before = len(copier.emulator.report()["sessions"])
    assert "shell (or ecs-shell) is none" in one_line(copier.copy(source, "/x", config={"shell": "none"}))
    assert "No such file" in one_line(copier.copy(tmp_path / "none", "/x"))
    assert "not a file" in one_line(copier.copy(tmp_path, "/x"))
    assert "RD_FILE_COPY_DESTINATION" in one_line(copier.copy(source, ""))
    line = one_line(copier.copy(source, "/srv/${option.release}/app"))
    assert "the destination contains ${option.release}, for which Rundeck found no value" in line
    assert len(copier.emulator.report()["sessions"]) == before
    line = one_line(copier.copy(source, "/proc/x/y"))
    assert "was not copied into container nginx of task" in line
    assert "cannot be created" in line


def test_a_home_and_a_source_that_changes(copier: Copier, tmp_path: Path) -> None:
    """Rundeck gets the file's own path for `~`; a source that is written meanwhile is no success."""
    source = tmp_path / "source"
    source.write_bytes(_RANDOM.randbytes(6_000_000))
    result = copier.copy(source, "~/.ecs-exec-test/x")
    there = Path("~").expanduser() / ".ecs-exec-test"
    try:
        assert result == Result(f"{there}/x\n".encode(), b"", 0)
        assert (there / "x").read_bytes() == source.read_bytes()
    finally:
        shutil.rmtree(there, ignore_errors=True)
    goal = tmp_path / "goal"
    with copier.start(source, f"{goal}/x", "session-manager-plugin") as process:
        while not any(path.stat().st_size for path in goal.glob(".ecs-exec-*")):
            time.sleep(0.01)
            assert process.poll() is None
        os.truncate(source, 1_000_000)
        stdout, stderr = process.communicate(timeout=60)
    assert "was changed on this server while it was copied" in one_line(Result(stdout, stderr, process.returncode))
    assert not goal.exists()


def test_progress_is_told_to_who_asks(copier: Copier, tmp_path: Path) -> None:
    """It is shown at log level Debug, on stderr; stdout is for Rundeck."""
    source = tmp_path / "source"
    source.write_bytes(_RANDOM.randbytes(5_000_000))
    result = copier.copy(source, f"{tmp_path}/x", "session-manager-plugin", RD_JOB_LOGLEVEL="DEBUG")
    assert (result.stdout, result.status) == (f"{tmp_path}/x\n".encode(), 0)
    for text in ("sending 5000000 bytes as raw bytes", "of 5000000 bytes", "the copy has the same 5000000 bytes"):
        assert text in result.stderr.decode()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_abort_leaves_nothing(copier: Copier, transport: str, tmp_path: Path) -> None:
    """It ends within about a second, even if ssm:TerminateSession is not allowed."""
    source = tmp_path / "source"
    source.write_bytes(_RANDOM.randbytes(20_000_000))
    goal = tmp_path / "goal"
    copier.emulator.set_faults({"api_errors": {"TerminateSession": ["AccessDeniedException"] * 9}})
    with copier.start(source, f"{goal}/x", transport) as process:
        while not any(path.stat().st_size for path in goal.glob(".ecs-exec-*")):
            time.sleep(0.02)
            assert process.poll() is None
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=20)
        assert (process.returncode, stdout) == (143, b"")
        assert time.monotonic() - sent < 1.5
    assert b"aborted by SIGTERM; stopping the copy" in stderr
    wait_until_gone(copier.emulator)
    assert not goal.exists()
    copier.emulator.set_faults({})


def test_a_time_out_leaves_nothing(copier: Copier, tmp_path: Path) -> None:
    """The exit status is the same as the executor's after a timeout."""
    source = tmp_path / "source"
    source.write_bytes(_RANDOM.randbytes(5_000_000))
    line = one_line(copier.copy(source, f"{tmp_path}/goal/x", "session-manager-plugin", {"timeout": "1"}), 124)
    assert "timed out after 1 s" in line
    wait_until_gone(copier.emulator)
    assert not (tmp_path / "goal").exists()


_OF_THE_FILE = {"corrupt_above": 2 + LINE}
"""Neither of the script that is to notice it, which has no more in a line, nor of the words that end the session."""

FAULTS: dict[str, dict[str, Any]] = {
    "loss": {"to_agent": {"drop": 0.02}, "to_client": {"drop": 0.05}},
    "order": {"to_agent": {"reorder": 0.05, "duplicate": 0.05}, "to_client": {"reorder": 0.05, "duplicate": 0.05}},
    "lost acknowledgements": {"to_client": {"lose_acks": 0.1}},
    "cuts": {"cut_after_frames": 150, "cuts": 2},
    "corruption": {"to_agent": {"corrupt": 0.02, **_OF_THE_FILE}},
    "rare corruption": {"to_agent": {"corrupt": 0.002, **_OF_THE_FILE}},
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_link_never_makes_a_wrong_file(copier: Copier, name: str, tmp_path: Path) -> None:
    """Lost frames are sent again. Changed frames are noticed, and then the copy leaves no file."""
    content = _RANDOM.randbytes(250_000)
    (tmp_path / "source").write_bytes(content)

    def one(number: int) -> Result:
        transport = TRANSPORTS[number % 2] if name in ("corruption", "rare corruption") else "native"
        config = {"timeout": "3", "connect-timeout": "5"} if "corruption" in name else {}
        return copier.copy(tmp_path / "source", f"{tmp_path}/there/{number}", transport, config)

    copier.emulator.set_faults({**FAULTS[name], "seed": 1})
    with ThreadPoolExecutor(4) as pool:
        for number, result in enumerate(pool.map(one, range(4))):
            there = tmp_path / "there" / str(number)
            if "corruption" in name and result.status != 0:
                assert (result.status in (124, 125), result.stdout, there.exists()) == (True, b"", False), result
                continue
            assert result == Result(f"{there}\n".encode(), b"", 0)
            assert there.read_bytes() == content
    copier.emulator.set_faults({})
    wait_until_gone(copier.emulator)
    assert list((tmp_path / "there").glob(".ecs*")) == []


# --- Scripts

_TALKATIVE = '#!/bin/bash\nprintf "%s|" "$@"; printf "\\377\\0end"; echo err >&2; exit 42\n'


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_script_comes_out_as_it_does_locally(copier: Copier, transport: str, scratch: Path) -> None:
    """Output byte for byte, stderr apart, the exit status; one session, and nothing left."""
    before = len(copier.emulator.report()["sessions"])
    config = {"script": _TALKATIVE, "arguments": "plain 'two  words' \"it's\" '' '$x' --"}
    result = copier.script(config, transport)
    assert result == Result(b"plain|two  words|it's||$x|--|\xff\0end", b"err\n", 42)
    assert len(copier.emulator.report()["sessions"]) == before + 1
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("config", "stdout"),
    [
        (
            {"script": "import sys\r\nprint(sys.argv)", "interpreter": "python3 -", "arguments": "a b"},
            "['-', 'a', 'b']\n",
        ),
        ({"script": "import sys\nprint(sys.argv[1:])", "interpreter": "python3 -u", "arguments": "a"}, "['a']\n"),
        ({"script": "echo ran $1\r\n", "interpreter": "bash -s", "arguments": "a"}, "ran a\n"),
        ({"script": "#!/usr/bin/env python3\nprint(1)"}, "1\n"),
        ({"script": "#! /bin/bash -e\nfalse\necho never"}, ""),
        ({"script": "echo ${BASH_VERSION:+bash}", "shell": "/bin/bash"}, "bash\n"),
        ({"script": "echo no first line; test -t 1 && echo terminal", "tty": "true"}, "no first line\nterminal\n"),
        ({"script": "pwd; cat; test -t 0 || echo no input", "workdir": "/usr"}, "/usr\nno input\n"),
        ({"script": "id -un; test -w $0 && echo mine", "user": "games"}, "games\nmine\n"),
    ],
)
def test_interpreters_and_settings(copier: Copier, config: dict[str, str], stdout: str, scratch: Path) -> None:
    """The setting, the first line or the shell chooses it. Everything else is as with the node executor."""
    result = copier.script(config)
    assert (result.stdout.decode(), result.stderr) == (stdout, b"")
    assert list(scratch.iterdir()) == []


def test_a_file_of_the_server_may_be_large(copier: Copier, tmp_path: Path) -> None:
    """It is sent as it is."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n" + "# a long comment\n" * 50_000 + "echo end $1\n")
    assert copier.script({"script-file": str(script), "arguments": "x"}) == Result(b"end x\n", b"", 0)
    script.write_bytes(b"\xef\xbb\xbf#!/bin/bash\r\nif true\r\nthen echo ${BASH_VERSION:+bash}; exit 5\r\nfi\r\n")
    assert copier.script({"script-file": str(script)}) == Result(b"bash\n", b"", 5)
    assert "both set" in one_line(copier.script({"script-file": str(script), "script": "x"}))
    assert "both empty" in one_line(copier.script({}))


def test_options_are_given_and_secure_ones_are_not(copier: Copier) -> None:
    """They are passed only if they are named. No AWS call and no process argument contains one."""
    options = {"RD_OPTION_WORD": "it's $x", "RD_OPTION_PASSWORD": "hush", "RD_SECUREOPTION_PASSWORD": "hush"}
    script = 'echo "$RD_OPTION_WORD|$RD_NODE_NAME|$RD_OPTION_PASSWORD|$RD_SECUREOPTION_PASSWORD|$RD_CONFIG_REGION"'
    before = len(copier.emulator.report()["calls"])
    assert copier.script({"script": script}, **options).stdout == b"it's $x|node|||\n"
    named = copier.script({"script": script, "secure-options": "password"}, **options)
    assert named.stdout == b"it's $x|node|hush||\n"
    assert "hush" not in str(copier.emulator.report()["calls"][before:])
    assert "no secure option other" in one_line(copier.script({"script": script, "secure-options": "other"}, **options))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("tty", ["false", "true"])
def test_an_aborted_script_is_gone(copier: Copier, transport: str, tty: str) -> None:
    """The processes and the file, whatever the script ignores."""
    script = "#!/bin/bash\ntrap '' INT TERM HUP\necho begun $0\nsleep 60 & sleep 60\n"
    with copier.start_script({"script": script, "tty": tty}, transport) as process:
        assert process.stdout is not None
        begun, path = process.stdout.readline().decode().split()
        assert (begun, Path(path).exists()) == ("begun", True)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 143
    if tty == "false":
        wait_until_gone(copier.emulator)
    until = time.monotonic() + 5
    while Path(path).exists():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_folder_that_forbids_execution(session_manager_plugin: Path, tmp_path: Path) -> None:
    """The interpreter in the first line still reads the script."""
    shell = tmp_path / "sh"
    shell.write_text(
        '#!/bin/sh\n[ "$ALREADY" ] && exec dash "$@"\n'
        'exec env ALREADY=1 unshare --mount sh -c \'mount -t tmpfs -o noexec none /tmp; exec dash "$@"\' sh "$@"\n'
    )
    shell.chmod(0o755)
    world = {
        "clusters": {"c": {"tasks": [{"family": "f", "containers": {"app": {"programs": {"/bin/sh": str(shell)}}}}]}}
    }
    with Emulator(world, agent=_HABITS) as running:
        copier = Copier(running, session_manager_plugin)
        node = running.node("c", "f")
        script = '#!/usr/bin/env python3\nimport os, sys\nprint("read")\nos.execv(sys.argv[0], ["x"])\n'
        result = copier._script.run(node, "", {"transport": "native", "script": script})
    assert result.stdout == b"read\n"
    assert b"PermissionError" in result.stderr


def test_the_far_side_has_nothing_to_complain_about(copier: Copier) -> None:
    """No command was started twice, and no process is left."""
    report = copier.emulator.report()
    assert [session for session in report["sessions"] if session["starts"] > 1] == []
    assert report["processes"] == []
