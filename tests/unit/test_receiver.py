"""The container's receiver of files: every shell, few tools, odd names, and what can go wrong there."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import busybox
from ecs_exec.errors import CommandError
from unit.terminals import SHELLS, path_without, program
from unit.test_shell_wrapper import single_program
from unit.uploads import TOOLS, Upload, copy

SUMS = "sha256sum sha512sum openssl sha1sum"
"""The tools that make a checksum of the better kinds."""

_RANDOM = random.Random(7).randbytes(150_000)  # noqa: S311 - the same each time

FILES = {
    "empty": b"",
    "a newline": b"\n",
    "all bytes": bytes(range(256)) * 3,
    "all bytes, upside down": bytes(range(255, -1, -1)) * 30,
    "random": _RANDOM,
    "text": "Ein längerer Text, \N{REPLACEMENT CHARACTER} \\n %s\r\n".encode() * 5000,
}


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Write the files."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def exactly(source: Path, there: Path) -> None:
    """See that a copy is one, and alone."""
    assert there.read_bytes() == source.read_bytes(), source.name
    assert stat.S_IMODE(there.stat().st_mode) == stat.S_IMODE(source.stat().st_mode)
    assert left_over(there.parent) == []


def left_over(folder: Path) -> list[Path]:
    """Give what no copy may leave."""
    return sorted(folder.glob("**/.ecs-exec-*")) if folder.is_dir() else []


@pytest.mark.parametrize("name", SHELLS)
def test_files_arrive_as_they_are(name: str, sources: list[Path], tmp_path: Path) -> None:
    """Whatever they hold, with every shell."""
    inner = single_program(name, tmp_path)
    for source in sources:
        exactly(source, copy(source, f"{tmp_path}/new/folder/{source.name}", program(name), inner=inner))


@pytest.mark.parametrize("tool", TOOLS.split())
def test_busybox_without_a_tool(tool: str, sources: list[Path], tmp_path: Path) -> None:
    """Each is done without."""
    ash = str(busybox.without(tmp_path, [tool]))
    goal = tmp_path / "goal"
    goal.mkdir()
    for source in sources:
        mode = 0o644 if tool == "chmod" else 0o750
        source.chmod(mode)
        exactly(source, copy(source, f"{goal}/{source.name}", [ash], environ={"PATH": "/nowhere"}))


SHELL_ALONE = "dd head base64 openssl"
FEWER = ["dd head base64", SHELL_ALONE, SUMS, f"{SUMS} md5sum", f"{SUMS} md5sum cksum", TOOLS]


@pytest.mark.parametrize(
    ("name", "missing"),
    [("dash", missing) for missing in FEWER]
    + [(name, missing) for name in ("bash", "ksh", "zsh") for missing in (SHELL_ALONE, TOOLS)],
)
def test_with_fewer_and_fewer_tools(name: str, missing: str, sources: list[Path], tmp_path: Path) -> None:
    """Down to the shell alone, which gives back no NUL; its own sums say that the rest is the same."""
    environ = {"PATH": path_without(*missing.split())}
    inner = single_program(name, tmp_path)
    for source in sources:
        if source.name == "random" and missing in (SHELL_ALONE, TOOLS):
            continue  # slow, and the same as the shorter ones
        source.chmod(0o644)
        exactly(source, copy(source, f"{tmp_path}/{source.name} there", program(name), inner=inner, environ=environ))


def test_a_dd_that_cannot_read_on(sources: list[Path], tmp_path: Path) -> None:
    """It gets pieces that are small enough for a terminal to give them whole."""
    tools = tmp_path / "old"
    tools.mkdir()
    (tools / "dd").write_text('#!/bin/sh\ncase $* in *iflag*) exit 1 ;; esac\nexec /bin/dd "$@"\n')
    (tools / "dd").chmod(0o755)
    for source in sources:
        environ = {"PATH": f"{tools}:{os.environ['PATH']}"}
        exactly(source, copy(source, f"{tmp_path}/{source.name} there", program("dash"), environ=environ))


@pytest.mark.parametrize("missing", ["", "wc", "sha256sum sha512sum openssl"])
def test_size_and_checksum_are_those_of_the_received_file(missing: str, sources: list[Path], tmp_path: Path) -> None:
    """The receiver counts what it has, not what was announced; without wc it says that it cannot."""
    environ = {"PATH": path_without(*missing.split())}
    for source in (source for source in sources if source.name in ("empty", "all bytes")):
        data = source.read_bytes()
        with Upload(source, f"{tmp_path}/{source.name} there", program("dash"), environ=environ) as upload:
            upload.finish()
            size = "-" if missing == "wc" else len(data)
            total = hashlib.new("sha1" if " " in missing else "sha256", data, usedforsecurity=False).hexdigest()
            assert upload.receiver.mark + f"v{size} {total}\n".encode() in upload.seen.raw


# --- Destinations

NAMES = [
    "plain",
    "two  words",
    'it\'s "quoted"',
    "back\\slash",
    "$HOME `id`",
    "-rf",
    "ünï 世界",
    "a\nb",
    "*?[x]",
    "end ",
    "#",
]


@pytest.mark.parametrize("name", ["dash", "bash", "busybox"])
def test_names_are_taken_as_they_are(name: str, sources: list[Path], tmp_path: Path) -> None:
    """Absolute or relative, in folders of such names that are made."""
    source = sources[0]
    inner = single_program(name, tmp_path)
    for each in NAMES:
        where = tmp_path / "there" / each / each
        assert copy(source, str(where), program(name), inner=inner) == where
        exactly(source, where)
        relative = tmp_path / f"{each}.relative"
        assert copy(source, relative.name, program(name), inner=inner, cwd=str(tmp_path)) == relative
        exactly(source, relative)


def test_a_directory_gets_the_file_under_its_own_name(sources: list[Path], tmp_path: Path) -> None:
    """Whether it is there, or is named as one."""
    goal = tmp_path / "goal"
    goal.mkdir()
    source = sources[0]
    for destination in (str(goal), f"{goal}/", f"{goal}/new/"):
        there = copy(source, destination, program("dash"))
        assert there.name == source.name
        exactly(source, there)
    (goal / "in the way" / source.name).mkdir(parents=True)
    with pytest.raises(CommandError, match="a directory with that name"):
        copy(source, str(goal / "in the way"), program("dash"))


def test_links_are_followed_and_devices_are_left_alone(sources: list[Path], tmp_path: Path) -> None:
    """The target of a link is replaced. A path that is no regular file is not."""
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    real.write_text("old")
    link.symlink_to(real)
    os.mkfifo(pipe)
    source = sources[0]
    assert copy(source, str(link), program("dash")) == link
    assert link.is_symlink()
    exactly(source, real)
    with pytest.raises(CommandError, match="not a regular file"):
        copy(source, str(pipe), program("dash"))
    assert pipe.is_fifo()


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o644, 0o755, 0o777, 0o000])
def test_the_mode_is_kept(mode: int, sources: list[Path], tmp_path: Path) -> None:
    """All of its permissions."""
    source = next(source for source in sources if source.name == "all bytes")
    source.chmod(mode)
    exactly(source, copy(source, str(tmp_path / "there"), program("dash")))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("tools", ["", "setpriv", "setpriv runuser"])
def test_another_user_owns_the_file(tools: str, sources: list[Path], tmp_path: Path, scratch: Path) -> None:
    """It can write only where that user can."""
    environ = {"PATH": path_without(*tools.split())}
    for folder in [tmp_path, *tmp_path.parents]:
        folder.chmod(folder.stat().st_mode | 0o055)
    there = copy(sources[0], f"{scratch}/{tools} there", program("dash"), user="games", environ=environ)
    exactly(sources[0], there)
    assert there.owner() == "games"
    with pytest.raises(CommandError, match="check the destination's directory, and user"):
        copy(sources[0], "/usr/not-for-games", program("dash"), user="games", environ=environ)


# --- What can go wrong


def fails(upload: Upload, text: str) -> None:
    """See that a copy fails for a reason."""
    with pytest.raises(CommandError, match=text):
        upload.finish()
    assert upload.protocol.status is None


def inside(setup: str) -> list[str]:
    """Give an interpreter that does something before it becomes dash."""
    return ["/bin/sh", "-c", f'{setup}; exec dash "$@"', "sh"]


def mounted(folder: Path, options: str) -> list[str]:
    """Give an interpreter that sees a file system of its own in a folder."""
    folder.mkdir()
    mount = f"mount -t tmpfs -o {options} none {folder}"
    return [shutil.which("unshare") or "", "--mount", "/bin/sh", "-c", f'{mount}; exec dash "$@"', "sh"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize(
    ("options", "text"), [("size=100k", "file system there is full"), ("ro", "file system there is read-only")]
)
@pytest.mark.parametrize("missing", ["", "dd", "dd head", "gzip gunzip zcat"])
def test_a_file_system_that_takes_nothing(
    options: str, text: str, missing: str, sources: list[Path], tmp_path: Path
) -> None:
    """The error names it, whichever tool writes."""
    source = next(source for source in sources if source.name == "random")
    environ = {"PATH": path_without(*missing.split())}
    interpreter = mounted(tmp_path / "goal", options)
    with Upload(source, f"{tmp_path}/goal/x", interpreter, inner="dash", environ=environ) as upload:
        fails(upload, text)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_file_system_that_is_full_of_what_is_unpacked(tmp_path: Path) -> None:
    """The written bytes differ from the sent bytes."""
    source = tmp_path / "text"
    source.write_bytes(FILES["text"] * 8)
    with Upload(source, f"{tmp_path}/goal/x", mounted(tmp_path / "goal", "size=1m"), inner="dash") as upload:
        fails(upload, "file system there is full")


def test_a_limit_on_the_size_of_files(sources: list[Path], tmp_path: Path) -> None:
    """The failure is reported, and nothing is left."""
    source = next(source for source in sources if source.name == "random")
    with Upload(source, f"{tmp_path}/new/x", inside("ulimit -f 100"), inner="dash") as upload:
        fails(upload, "ulimit -f")
        upload.wait_for(lambda: not (tmp_path / "new").exists())


@pytest.mark.parametrize(
    ("destination", "text"),
    [("/etc/passwd/x", "cannot be created"), ("/proc/no/x", "cannot be created"), ("/proc/x", "cannot be written")],
)
def test_destinations_that_cannot_be(destination: str, text: str, sources: list[Path]) -> None:
    """The error has the tool's own words."""
    with Upload(sources[0], destination, program("dash")) as upload:
        fails(upload, text)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Write a file that takes a while."""
    path = tmp_path / "large"
    path.write_bytes(_RANDOM * 100)
    return path


def halfway(upload: Upload) -> None:
    """Carry a copy on until some of it has arrived."""
    upload.until(lambda: upload.blocks() >= 5)
    assert upload.protocol.status is None


@pytest.mark.parametrize("name", SHELLS)
def test_an_upload_that_is_stopped_leaves_nothing(name: str, large: Path, tmp_path: Path) -> None:
    """Neither the file nor the folders made for it."""
    goal = tmp_path / "goal"
    with Upload(large, f"{goal}/a/b", program(name), inner=single_program(name, tmp_path)) as upload:
        halfway(upload)
        upload.protocol.interrupt()
        upload.until(lambda: upload.protocol.status is not None)
        assert upload.protocol.status != 0
        assert not goal.exists()
        upload.protocol.farewell()
        upload.wait_for(lambda: upload.left_over() == [])


@pytest.mark.parametrize("name", SHELLS)
def test_hanging_up_leaves_nothing(name: str, large: Path, tmp_path: Path) -> None:
    """As the service does when a session ends."""
    goal = tmp_path / "goal"
    with Upload(large, f"{goal}/a/b", program(name), inner=single_program(name, tmp_path)) as upload:
        halfway(upload)
        upload.hang_up()
        upload.wait_for(lambda: upload.left_over() == [])
        assert not goal.exists()


@pytest.mark.parametrize(
    ("name", "packed"), [*((name, False) for name in SHELLS), ("dash", True), ("ksh", True), ("zsh", True)]
)
def test_a_hang_up_between_a_block_and_its_end_leaves_nothing(
    name: str, large: Path, tmp_path: Path, *, packed: bool
) -> None:
    """What reads a block ends at the moment at which the signal comes: ksh93 wrote the file onto itself for ever."""
    goal = tmp_path / "goal"
    if packed:
        large.write_bytes(b"".join(b"%x\n" % (number * 7919) for number in range(900_000)))
    line = Half(5)
    with Upload(large, f"{goal}/a/b", program(name), inner=single_program(name, tmp_path), happen=line.send) as upload:
        halfway(upload)
        readers, shells = until_a_block_is_read(upload)
        for pid in shells:
            os.kill(pid, signal.SIGSTOP)
        for pid in [*readers, *shells]:
            os.kill(pid, signal.SIGHUP)
        upload.hang_up()
        for pid in shells:  # the terminal's end lets them go on as well
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        upload.wait_for(lambda: upload.left_over() == [])
    assert left_over(goal) == []
    assert not goal.exists()


class Half:
    """A link on which a number of blocks arrive, and half of the next one."""

    def __init__(self, blocks: int) -> None:
        """Take how many."""
        self._blocks = blocks

    def send(self, data: bytes) -> bytes:
        """Return what arrives."""
        if len(data) < 2000:  # no block
            return data
        self._blocks -= 1
        return data if self._blocks >= 0 else data[:1500] if self._blocks == -1 else b""


def until_a_block_is_read(upload: Upload) -> tuple[list[int], list[int]]:
    """Wait until something waits for the rest of a block; return what does, and the shells."""
    found: list[list[int]] = [[], []]

    def look() -> bool:
        readers: list[int] = []
        shells: list[int] = []
        for pid in sorted(upload.left_over()):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                (readers if b"bs=65408" in words else shells).append(pid)
        if not readers and "busybox" in Path(f"/proc/{upload.terminal.pid}/exe").readlink().name and len(shells) == 4:
            readers = [shells.pop()]  # its dd is a shell that became no other program
        found.append([*readers, 0, *shells])
        return bool(readers) and found[-1] == found[-2]

    upload.wait_for(look)
    at = found[-1].index(0)
    return found[-1][:at], found[-1][at + 1 :]


@pytest.mark.parametrize("victim", ["dd", "sh -c", "the second sh -c"])
def test_a_killed_process_is_no_success(victim: str, large: Path, tmp_path: Path) -> None:
    """Whichever it is; and what lives on removes what there is, unless all of it was killed."""
    goal = tmp_path / "goal"
    with Upload(large, f"{goal}/a/b", program("dash")) as upload:
        halfway(upload)
        kill_one(upload, victim)
        fails(upload, "was not copied|session ended")
        upload.hang_up()
        upload.wait_for(lambda: upload.left_over() == [])
    assert not (goal / "a" / "b").exists()


def kill_one(upload: Upload, victim: str) -> None:
    """Kill a process of the container's side; `dd` comes and goes."""
    number, _, words = victim.rpartition("the second ")
    wanted = words.encode().replace(b" ", b"\0")
    for _ in range(2000):
        for pid in sorted(upload.left_over())[1 if number or "second" in victim else 0 :]:
            with suppress(OSError):
                if wanted in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    return
    raise AssertionError(f"there is no {victim}")


def flip(data: bytes) -> bytes:
    """Change a bit behind a block's header."""
    return data[:500] + bytes([data[500] ^ 1]) + data[501:] if len(data) > 2000 else data


def lose(data: bytes) -> bytes:
    """Lose 64 bytes."""
    return data[:500] + data[564:] + bytes(64) if len(data) > 2000 else data


@pytest.mark.parametrize("happen", [flip, lose])
@pytest.mark.parametrize("missing", ["", SUMS, f"{SUMS} md5sum", f"{SUMS} md5sum cksum"])
def test_what_was_changed_on_its_way_does_not_count(
    happen: Callable[[bytes], bytes], missing: str, sources: list[Path], tmp_path: Path
) -> None:
    """With every checksum tool: the wrong copy is removed, and the old file stays."""
    source = next(source for source in sources if source.name == "random")
    goal = tmp_path / "goal"
    goal.mkdir()
    (goal / "x").write_text("before")
    environ = {"PATH": path_without(*missing.split())}
    with Upload(source, f"{goal}/x", program("dash"), environ=environ, happen=happen) as upload:
        fails(upload, "the copy differs")
    assert [path.name for path in goal.iterdir()] == ["x"]
    assert (goal / "x").read_text() == "before"
