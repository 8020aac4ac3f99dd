"""The step Fetch File through everything: entry script, transport, agent, terminal, shell and back."""

from __future__ import annotations

import hashlib
import os
import random
import re
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
from e2e.test_files import TRANSPORTS, one_line, wait_until_gone
from emulator import Emulator

_HABITS = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}
_RANDOM = random.Random(12)  # noqa: S311 - the same each time


@pytest.fixture(scope="module")
def far() -> Iterator[Emulator]:
    """Give a world with an agent that does not rest, for this module alone: its faults change."""
    world = {"clusters": {"demo": {"services": {"web": {"desired": 1, "containers": {"app": {"workdir": "/usr"}}}}}}}
    with Emulator(world, agent=_HABITS) as running:
        yield running


class Fetcher:
    """Fetches files as Rundeck asks for it."""

    def __init__(self, emulator: Emulator, binary: Path, base: Path) -> None:
        """Take where from, session-manager-plugin, and Rundeck's base directory."""
        self.emulator = emulator
        self.base = base
        self.folder = base / "var" / "ecs-exec" / "shop"
        self._config = {"session-manager-plugin": str(binary), "fetch-folder": str(self.folder)}
        self.launcher = Launcher(emulator.endpoint_url, emulator.region, script=CONTENTS / "fetch-file.py")

    def start(self, config: dict[str, str], transport: str = "native", **more: str) -> subprocess.Popen[bytes]:
        """Start a fetch."""
        context = {"RD_RUNDECK_PROJECT": "shop", "RD_JOB_EXECID": "42"}
        settings = {**self._config, "transport": transport, **config}
        return self.launcher.start(self.emulator.node("demo", "web"), "", settings, **context, **more)

    def fetch(self, config: dict[str, str], transport: str = "native", **more: str) -> Result:
        """Fetch files."""
        with self.start(config, transport, **more) as process:
            stdout, stderr = process.communicate(timeout=120)
        return Result(stdout, stderr, process.returncode)

    def environ(self, config: dict[str, str]) -> dict[str, str]:
        """Give the environment of a fetch that something else starts."""
        return self.launcher.environment(self.emulator.node("demo", "web"), "", {**self._config, **config})


@pytest.fixture
def fetcher(far: Emulator, session_manager_plugin: Path, tmp_path: Path) -> Fetcher:
    """Give one with a base directory of its own."""
    return Fetcher(far, session_manager_plugin, tmp_path / "rundeck")


def left(fetcher: Fetcher) -> list[Path]:
    """Give all files and directories below Rundeck's base directory."""
    return sorted(fetcher.base.rglob("*"))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_files_come_as_they_are(fetcher: Fetcher, transport: str, tmp_path: Path) -> None:
    """Bytes, modes and times come, in one session and with one call. The output names path, size and checksum."""
    files = {
        "empty": b"",
        "one byte": b"\n",
        "newlines": b"\n" * 20_000,
        "all bytes": bytes(range(256)) * 5,
        "random": _RANDOM.randbytes(150_001),
        "text": b"some text\r\n" * 20_000,
        "ünï 'q' \"d\" $x": b"\x03\x04\x1a\x1c\x11\x13\x7f",
    }
    source = tmp_path / "source"
    source.mkdir()
    for number, (name, content) in enumerate(files.items()):
        (source / name).write_bytes(content)
        (source / name).chmod(0o600 + number)
        os.utime(source / name, (1_700_000_000, 1_700_000_000 + number))
    before = len(fetcher.emulator.report()["calls"])
    result = fetcher.fetch({"source": f"{source}/*"}, transport)
    there = fetcher.folder / "42" / "node"
    assert (result.status, result.stderr) == (0, b""), result
    lines = result.stdout.decode(errors="surrogateescape").splitlines()
    expected = [
        f"{there}/{name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}"
        for name, content in files.items()
    ]
    assert sorted(lines) == sorted(expected)
    for number, (name, content) in enumerate(files.items()):
        assert (there / name).read_bytes() == content
        found = (there / name).stat()
        assert (stat.S_IMODE(found.st_mode), int(found.st_mtime)) == (0o600 + number, 1_700_000_000 + number)
    assert len(list(there.iterdir())) == len(files)
    assert stat.S_IMODE(there.stat().st_mode) == 0o700
    calls = [call["action"] for call in fetcher.emulator.report()["calls"][before:]]
    assert calls == ["ExecuteCommand"]
    assert fetcher.emulator.report()["violations"] == []


def test_destinations(fetcher: Fetcher, tmp_path: Path) -> None:
    """A path below the folder, a directory, an absolute path in the folder; nothing outside, nothing is overwritten."""
    source = tmp_path / "app.log"
    source.write_text("a line\n")
    folder = fetcher.folder

    def fetch(destination: str, **more: str) -> Result:
        return fetcher.fetch({"source": str(source), "destination": destination, **more})

    for destination, there in (("new/name.log", folder / "new" / "name.log"), ("new", folder / "new" / "app.log")):
        result = fetch(destination)
        assert result.stdout.startswith(f"{there}: 7 bytes".encode()), result
        assert there.read_text() == "a line\n"
    before = left(fetcher)
    assert "exists on this server" in one_line(fetch("new/name.log"))
    source.write_text("another line\n")
    assert fetch("new/name.log", overwrite="true").status == 0
    assert (folder / "new" / "name.log").read_text() == "another line\n"
    assert "destination is '../x'" in one_line(fetch("../x"))
    assert sorted({*before, folder / "new" / "name.log"}) == left(fetcher)


def test_an_administrator_chooses_the_folder(fetcher: Fetcher, tmp_path: Path) -> None:
    """It may be anywhere; without it, and outside of Rundeck's libext, nothing is fetched."""
    source = tmp_path / "app.log"
    source.write_text("a line\n")
    config = {"source": str(source), "fetch-folder": f"{tmp_path}/elsewhere"}
    assert fetcher.fetch({**config, "destination": "x"}).status == 0
    assert (tmp_path / "elsewhere" / "x").read_text() == "a line\n"
    assert "expected an absolute path" in one_line(fetcher.fetch({**config, "fetch-folder": "relative"}))
    assert "set fetch-folder" in one_line(fetcher.fetch({"source": str(source), "fetch-folder": ""}))


def test_what_cannot_be_fetched_is_reported(fetcher: Fetcher, tmp_path: Path, scratch: Path) -> None:
    """One line says why. Nothing is left here, and no process there."""
    secret = scratch / "secret"
    secret.write_text("x")
    secret.chmod(0)
    for source, says in {
        f"{tmp_path}/none": "there is no ",
        "/dev/null": "not a regular file",
        "": "source and command are both empty",
    }.items():
        assert says in one_line(fetcher.fetch({"source": source})), source
    line = one_line(fetcher.fetch({"source": str(secret), "user": "games"}))
    assert "may not read" in line
    assert "container app of task" in line
    large = one_line(fetcher.fetch({"source": "/bin/sh", "max-size": "10KiB"}))
    assert "more than 10240 bytes" in large
    assert "needs a shell" in one_line(fetcher.fetch({"source": "/bin/sh", "shell": "none"}))
    assert not any(path.is_file() for path in left(fetcher))
    assert not (fetcher.folder / "42").exists()
    wait_until_gone(fetcher.emulator)


def test_a_file_of_proc_a_home_and_a_relative_path(fetcher: Fetcher) -> None:
    """They are found as a shell finds them."""
    home = Path("~").expanduser() / ".ecs-exec-fetch-test"
    home.write_text("at home\n")
    try:
        contents = {
            "/proc/version": Path("/proc/version").read_bytes(),
            f"~/{home.name}": b"at home\n",
            "~root/.profile": Path("/root/.profile").read_bytes() if os.getuid() == 0 else b"",
            "lib/os-release": Path("/usr/lib/os-release").read_bytes(),
        }
        for number, (source, content) in enumerate(contents.items()):
            if content:
                result = fetcher.fetch({"source": source, "destination": f"{number}"})
                assert result.status == 0, result
                assert (fetcher.folder / f"{number}").read_bytes() == content
    finally:
        home.unlink()


def test_a_log_that_grows(tmp_path: Path) -> None:
    """What was there at the beginning comes, and a line says so; with `follow` the rest comes, too."""
    log = tmp_path / "app.log"
    log.write_bytes(b"a line\n" * 10)
    # The container's own tools write to the log before they read it, so that it grows in time.
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("head", "base64"):
        path = f"PATH={os.environ['PATH']}"
        grow = f"[ ! -f /proc/self/fd/0 ] || echo more >>{log}"
        (tools / tool).write_text(f'#!/bin/sh\n{path}\n{grow}\nexec {tool} "$@"\n')
        (tools / tool).chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}"}
    world = {"clusters": {"demo": {"services": {"web": {"containers": {"app": {"env": env}}}}}}}
    with Emulator(world, agent=_HABITS) as emulator:
        there = Fetcher(emulator, Path("none"), tmp_path / "other")
        result = there.fetch({"source": str(log), "destination": "x", "compress": "none"})
        assert result.status == 0, result
        assert f"{log} grew while it was fetched: its first 70 bytes were fetched".encode() in result.stderr
        assert (there.folder / "x").read_bytes() == b"a line\n" * 10
        now = log.stat().st_size
        result = there.fetch({"source": str(log), "destination": "y", "follow": "true", "compress": "none"})
        assert result.status == 0, result
        assert now < (there.folder / "y").stat().st_size < log.stat().st_size


def endless(path: Path) -> Path:
    """Write a file that no fetch of a test brings to its end. It has no room on the disk."""
    path.write_bytes(_RANDOM.randbytes(100_000))
    os.truncate(path, 800_000_000)
    return path


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_abort_leaves_nothing(fetcher: Fetcher, transport: str, tmp_path: Path) -> None:
    """It ends within about a second, even if ssm:TerminateSession is not allowed."""
    source = endless(tmp_path / "source")
    fetcher.emulator.set_faults({"api_errors": {"TerminateSession": ["AccessDeniedException"] * 9}})
    with fetcher.start({"source": str(source), "compress": "none"}, transport) as process:
        while not any(path.is_file() and path.stat().st_size for path in left(fetcher)):
            time.sleep(0.02)
            assert process.poll() is None
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=20)
        assert (process.returncode, stdout) == (143, b"")
        assert time.monotonic() - sent < 1.5
    assert b"aborted by SIGTERM; stopping the fetch" in stderr
    wait_until_gone(fetcher.emulator)
    assert left(fetcher) == [fetcher.base / "var", fetcher.folder.parent, fetcher.folder]
    fetcher.emulator.set_faults({})


def test_a_time_out_leaves_nothing(fetcher: Fetcher, tmp_path: Path) -> None:
    """The exit status is the same as the executor's after a timeout."""
    source = endless(tmp_path / "source")
    line = one_line(fetcher.fetch({"source": str(source), "timeout": "1", "compress": "none"}), 124)
    assert "timed out after 1 s" in line
    wait_until_gone(fetcher.emulator)
    assert not any(path.is_file() for path in left(fetcher))


FAULTS: dict[str, dict[str, Any]] = {
    "loss": {"to_agent": {"drop": 0.02}, "to_client": {"drop": 0.05}},
    "order": {"to_agent": {"reorder": 0.05, "duplicate": 0.05}, "to_client": {"reorder": 0.05, "duplicate": 0.05}},
    "cuts": {"cut_after_frames": 60, "cuts": 1},
    "corruption": {"to_client": {"corrupt": 0.02}},
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_link_never_makes_a_wrong_file(fetcher: Fetcher, name: str, tmp_path: Path) -> None:
    """Lost frames are sent again. Changed frames are noticed, and then no file is left."""
    content = _RANDOM.randbytes(
        50_000 if name == "cuts" else 200_000
    )  # after a cut, the agent sends 10 frames a second
    (tmp_path / "source").write_bytes(content)

    def one(number: int) -> Result:
        config = {"timeout": "5", "connect-timeout": "5"} if name == "corruption" else {}
        compress = ("auto", "none")[number % 2]
        return fetcher.fetch(
            {"source": f"{tmp_path}/source", "destination": str(number), "compress": compress, **config}
        )

    fetcher.emulator.set_faults({**FAULTS[name], "seed": 1})
    with ThreadPoolExecutor(2) as pool:
        for number, result in enumerate(pool.map(one, range(2))):
            there = fetcher.folder / str(number)
            if name == "corruption" and result.status != 0:
                assert (result.status in (124, 125), result.stdout, there.exists()) == (True, b"", False), result
                assert len(re.findall(rb"^ecs-exec: ", result.stderr, re.MULTILINE)) == 1, result
                continue
            assert result.status == 0, result
            assert there.read_bytes() == content
    fetcher.emulator.set_faults({})
    wait_until_gone(fetcher.emulator)
    assert list(fetcher.base.rglob(".ecs*")) == []


def test_a_dump_is_made_fetched_and_removed(fetcher: Fetcher, tmp_path: Path) -> None:
    """It leaves the container only after it is complete here; data lines name it."""
    dump = tmp_path / "it's a dump"
    config = {
        "before": f'printf \'a dump of %s\' "$RD_OPTION_NAME" >"{dump}"; echo made',
        "source": str(dump),
        "after": "remove",
        "data": "true",
        "env": "RD_OPTION_NAME",
    }
    result = fetcher.fetch(config, RD_OPTION_NAME="Zoë")
    there, content = fetcher.folder / "42" / "node" / dump.name, "a dump of Zoë".encode()
    checksum = hashlib.sha256(content).hexdigest()
    assert result.stdout.decode().splitlines() == [
        f"{there}: {len(content)} bytes, sha256 {checksum}",
        "RUNDECK:DATA:ecs-fetched-count = 1",
        f"RUNDECK:DATA:ecs-fetched-path = {there}",
        f"RUNDECK:DATA:ecs-fetched-bytes = {len(content)}",
        f"RUNDECK:DATA:ecs-fetched-sha256 = {checksum}",
    ]
    assert (result.stderr, result.status) == (b"made\n", 0)
    assert there.read_bytes() == content
    assert not dump.exists()
    # A file that cannot get its place is not lost: it stays in the container.
    assert "exists on this server" in fetcher.fetch(config, RD_OPTION_NAME="x").stderr.decode()
    assert dump.read_text() == "a dump of x"
    result = fetcher.fetch({**config, "before": "echo no >&2; exit 7"})
    assert (result.status, result.stderr) == (
        7,
        b"no\necs-exec: before ended with exit status 7; nothing was fetched\n",
    )
    (tmp_path / "directory").mkdir()
    line = one_line(fetcher.fetch({"source": f"{tmp_path}/directory", "after": "remove"}))
    assert "only files are removed" in line


def test_what_cannot_be_removed_is_reported(fetcher: Fetcher, scratch: Path) -> None:
    """It is on the server, though, and its line is printed."""
    scratch.chmod(0o755)
    (scratch / "file").write_text("x")
    result = fetcher.fetch({"source": f"{scratch}/file", "after": "remove", "user": "games"})
    scratch.chmod(0o1777)
    assert result.status == 125
    assert b"file: 1 bytes, sha256 " in result.stdout
    assert b"[fetch-not-removed]" in result.stderr
    assert (fetcher.folder / "42" / "node" / "file").read_text() == "x"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_directory_and_the_output_of_a_command(fetcher: Fetcher, transport: str, tmp_path: Path) -> None:
    """Both come as they are, in one session each."""
    top = tmp_path / "logs"
    for number in range(40):
        (top / f"{number % 7}").mkdir(parents=True, exist_ok=True)
        (top / f"{number % 7}" / f"file {number}").write_bytes(_RANDOM.randbytes(number * 300))
    result = fetcher.fetch({"source": str(top), "destination": "logs"}, transport)
    assert (result.stderr, result.status) == (b"", 0)
    there = fetcher.folder / "logs"
    assert result.stdout.decode() == f"{there}: {300 * sum(range(40))} bytes, 40 files\n"
    for path in top.rglob("*"):
        assert not path.is_file() or (there / path.relative_to(top)).read_bytes() == path.read_bytes()
    content = _RANDOM.randbytes(30_000)
    (tmp_path / "content").write_bytes(content)
    command = f"cat '{tmp_path}/content'; echo told >&2"
    result = fetcher.fetch({"command": command, "destination": "output.bin"}, transport)
    assert (result.stderr, result.status) == (b"told\n", 0)
    assert (fetcher.folder / "output.bin").read_bytes() == content
    result = fetcher.fetch({"command": "echo x; exit 3", "destination": "failed"}, transport)
    assert (result.stdout, result.status) == (b"", 3)
    assert not (fetcher.folder / "failed").exists()


_IN_SMALL = """
there=$1 options=$2 listed=$3 limit=$4
shift 4
for option in $options; do
  mkdir "$there/$option" && mount -t tmpfs -o "$option" small "$there/$option" || exit 99
  echo old >"$there/$option/old"
done
"$limit" --fsize=150000 "$@" && cd "$there" && find . -type f >"$listed"
"""
"""Run a program with small file systems that only this program sees; list their files afterwards."""

_NO_SPACE, _TOO_LARGE = "No space left on device", "File too large"

FULL: dict[str, tuple[str, str, dict[str, str]]] = {
    "a file": ("size=100k", _NO_SPACE, {"source": "large", "destination": "x"}),
    "a file in place of another": (
        *("size=100k", _NO_SPACE),
        {"source": "large", "destination": "old", "overwrite": "true"},
    ),
    "a directory": ("size=100k", _NO_SPACE, {"source": ".", "destination": "x"}),
    "output": ("size=100k", _NO_SPACE, {"command": "cat large", "destination": "x"}),
    "a limit on file sizes": ("size=9m", _TOO_LARGE, {"source": "large", "destination": "x"}),
    "no inode for a directory": ("nr_inodes=3", _NO_SPACE, {"source": "a", "destination": "d/x"}),
    "no inode for a file": ("nr_inodes=6", _NO_SPACE, {"source": "[a-z]", "destination": "."}),
    "no inode for the second name": ("nr_inodes=6", _NO_SPACE, {"source": "[ab]", "destination": "."}),
}
"""Options of a small file system, what the line says, and settings of the step."""


def test_a_full_file_system_of_the_server(fetcher: Fetcher, tmp_path: Path) -> None:
    """One line says so, whatever has no room. Files from before stay as they were, and no other file is left."""
    source, listed = tmp_path / "source", tmp_path / "listed"
    source.mkdir()
    (source / "large").write_bytes(_RANDOM.randbytes(200_000))
    for name in "abcdef":
        (source / name).write_text("a line\n")
    around = [shutil.which("unshare") or "", "-rm"]
    if subprocess.run([*around, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces")
    fetcher.folder.mkdir(parents=True)
    options = " ".join(sorted({option for option, _, _ in FULL.values()}))
    words = ["/bin/sh", "-c", _IN_SMALL, "sh", str(fetcher.folder), options, str(listed), shutil.which("prlimit") or ""]
    environs = [
        fetcher.environ(
            {**config, "workdir": str(source), "fetch-folder": f"{fetcher.folder}/{option}", "compress": "none"}
        )
        for option, _, config in FULL.values()
    ]
    results = fetcher.launcher.run_all(environs, environs[0], at_once=1, within=[*around, *words])
    for (name, (option, why, _)), result in zip(FULL.items(), results, strict=True):
        line = one_line(result)
        assert f"{fetcher.folder}/{option}" in line, name
        assert f" cannot be written on this server: {why}" in line, name
    assert sorted(listed.read_text().split()) == sorted(f"./{option}/old" for option in options.split())
    wait_until_gone(fetcher.emulator)
