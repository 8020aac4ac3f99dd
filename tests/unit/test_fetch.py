"""Files out of a container: every shell, few tools, odd names, and what can go wrong there."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import re
import shutil
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

import busybox
from ecs_exec.command.runner import Runner
from ecs_exec.errors import CommandError, SettingsError
from ecs_exec.errors.causes.line import line
from ecs_exec.files.fetch import FetchProtocol
from ecs_exec.files.fetch import fetch as fetch_step
from ecs_exec.files.reception import Fetched
from ecs_exec.files.staging import Meta, Staging
from ecs_exec.settings.fetch import Place, read_fetch
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputStreams
from unit.fetches import TOOLS, Fetching, fetch
from unit.terminals import SHELLS, Recorder, path_without, program
from unit.test_shell_wrapper import single_program

_RANDOM = random.Random(7).randbytes(70_000)  # noqa: S311 - the same each time

FILES = {
    "empty": b"",
    "one": b"\n",
    "all bytes": bytes(range(256)) * 30,
    "random": _RANDOM,
    "ein text": "Ein längerer Text, \N{REPLACEMENT CHARACTER} \\n %s\r\n".encode() * 1300,
}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Write the files."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for number, (name, content) in enumerate(FILES.items()):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600 + number)
        os.utime(folder / name, (1_600_000_000, 1_600_000_000 + number))
    return folder


def exactly(sources: Path, there: Path, *, meta: bool = True) -> None:
    """See that the same files are there, and nothing else."""
    assert sorted(path.name for path in there.iterdir()) == sorted(FILES)
    for name, content in FILES.items():
        found, source = (there / name).stat(), (sources / name).stat()
        assert (there / name).read_bytes() == content, name
        if meta:
            assert stat.S_IMODE(found.st_mode) == stat.S_IMODE(source.st_mode)
            assert int(found.st_mtime) == int(source.st_mtime)


@pytest.mark.parametrize("name", SHELLS)
def test_files_come_as_they_are(name: str, sources: Path, tmp_path: Path) -> None:
    """Content, mode and time are the same with every shell."""
    inner = single_program(name, tmp_path)
    fetched = fetch(f"{sources}/*", tmp_path / "there", program(name), inner=inner)
    exactly(sources, tmp_path / "there")
    assert {each.sha256 for each in fetched} == {hashlib.sha256(content).hexdigest() for content in FILES.values()}


@pytest.mark.parametrize("tool", TOOLS.split())
def test_busybox_without_a_tool(tool: str, sources: Path, tmp_path: Path) -> None:
    """It does without each of them."""
    ash = str(busybox.without(tmp_path, [tool]))
    fetch(f"{sources}/*", tmp_path / "there", [ash], environ={"PATH": "/nowhere"})
    exactly(sources, tmp_path / "there", meta=tool != "stat")


ALL = "base64 openssl od head cat dd stat ls wc gzip xz sha256sum sha512sum sha1sum md5sum cksum stty tar tee sed perl"


@pytest.mark.parametrize("name", ["empty", "all bytes", "ein text"])
@pytest.mark.parametrize(
    "kept", ["", "ls", "sha256sum", "sha256sum cat", "base64", "od", "gzip", "gzip cat", "md5sum dd", "base64 ls"]
)
def test_an_image_of_few_tools_never_sends_a_wrong_file(kept: str, name: str, sources: Path, tmp_path: Path) -> None:
    """What the shell itself cannot read, such as a NUL, is an error and not another file."""
    environ = {"PATH": path_without(*set(ALL.split()) - set(kept.split()))}
    there = tmp_path / "there"

    def attempt() -> None:
        fetch(f"{sources}/{name}", tmp_path, program("dash"), path=("there",), environ=environ)

    lost = name == "all bytes" and kept in ("sha256sum", "md5sum dd")
    if lost or kept in ("", "ls", "gzip"):
        with pytest.raises(CommandError) as caught:
            attempt()
        assert caught.value.name == ("fetch-bytes-lost" if lost else "fetch-not-verifiable")
        assert not there.exists()
    else:
        attempt()
        assert there.read_bytes() == FILES[name]


@pytest.mark.parametrize("name", ["bash", "busybox"])
def test_these_shells_need_no_tool(name: str, sources: Path, tree: Path, tmp_path: Path) -> None:
    """They read and send every byte themselves. Permissions and times are then unknown."""
    shell = program("bash")[0] if name == "bash" else str(busybox.without(tmp_path, [*ALL.split(), "readlink"]))
    fetch(f"{sources}/*", tmp_path / "there", [shell], environ={"PATH": "/nowhere"})
    exactly(sources, tmp_path / "there", meta=False)
    (tree / "d" / "link").unlink()  # it needs readlink
    (tree / "d" / "e" / "up").unlink()
    fetch(str(tree), tmp_path / "f", [shell], environ={"PATH": "/nowhere"})
    assert listing(tmp_path / "f" / tree.name, meta=False) == listing(tree, meta=False)
    how: dict[str, Any] = {"command": "echo", "environ": {"PATH": "/nowhere"}}
    with (
        pytest.raises(CommandError, match="for the output of a command it has no gzip"),
        Fetching("", Place(str(tmp_path), ("out",), is_directory=False, overwrite=False), [shell], **how) as fetching,
    ):
        fetching.finish()


# --- Directories

SKIPPED = {"out", "up", "pipe"}
"""Of the tree below: links to outside, and a pipe."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Write a directory with odd names, links, and permissions."""
    top = tmp_path / "the tree"
    for name in ("d/e/f", "two  words/it's", "-rf", "..odd", "ünï 世界", "*?[x]", "ro"):
        (top / name).mkdir(parents=True)
        (top / name / "file").write_bytes(name.encode() * 100)
        (top / name / "file").chmod(0o640)
    (top / os.fsdecode(b"latin \xe4\xff")).write_bytes(_RANDOM[:5000])
    (top / "d" / ".hidden").write_text("")
    (top / "d" / "link").symlink_to("e/f/file")
    (top / "d" / "e" / "up").symlink_to("../../ro")
    (top / "out").symlink_to("/etc/passwd")
    (top / "up").symlink_to("../x")
    os.mkfifo(top / "pipe")
    os.link(top / "ro" / "file", top / "hard")
    os.utime(top / "d" / "e", (1_600_000_000, 1_600_000_000))
    return top


def listing(top: Path, *, meta: bool = True) -> dict[str, object]:
    """Give everything in a directory: content, and with `meta` permissions and times."""
    found: dict[str, object] = {}
    for path in [top, *top.rglob("*")]:
        name, status = str(path.relative_to(top)), path.lstat()
        if name in SKIPPED:
            continue
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        more = (stat.S_IMODE(status.st_mode), int(status.st_mtime)) if meta and not path.is_symlink() else ()
        found[name] = content, more
    return found


@pytest.mark.parametrize("missing", ["", "tar", "tee", "tar stat", "tee gzip xz", "sha256sum sha512sum openssl"])
def test_a_directory_comes_as_it_is(missing: str, tree: Path, tmp_path: Path) -> None:
    """As an archive, or file by file; without stat the times are lost."""
    environ = {"PATH": path_without(*missing.split())}
    place = Place(str(tmp_path / "f"), (), is_directory=False, overwrite=False)
    with Fetching(str(tree), place, program("dash"), environ=environ) as fetching:
        (item,) = fetching.finish()
        said = sorted((line.replace("./", "") for line in fetching.seen.said), key=len)
        assert said[0] == "left out pipe: devices, pipes and sockets are not fetched"
        assert re.match("left out (out|up) and 1 more: symbolic links that may lead out", said[1])
        assert len(said) == 2
        assert fetching.seen.stderr == b""
    meta = missing != "tar stat"
    assert listing(tmp_path / "f" / tree.name, meta=meta) == listing(tree, meta=meta)
    assert item.files == sum(path.is_file() and not path.is_symlink() for path in tree.rglob("*"))
    assert list((tmp_path / "f").iterdir()) == [tmp_path / "f" / tree.name]


@pytest.mark.parametrize("name", [name for name in SHELLS if name != "dash"])
def test_a_directory_comes_with_every_shell(name: str, tree: Path, tmp_path: Path) -> None:
    """Each shell walks through a directory, if there is no tar."""
    for number, environ in enumerate(({}, {"PATH": path_without("tar")})):
        there = tmp_path / str(number)
        if number and name == "yash":  # it leaves out names that are not UTF-8
            with pytest.raises(CommandError) as caught:
                fetch(str(tree), there, program(name), environ=environ)
            assert caught.value.name == "fetch-tar-missing"
            continue
        fetch(str(tree), there, program(name), inner=single_program(name, tmp_path), environ=environ)
        assert listing(there / tree.name) == listing(tree)


def test_where_a_directory_goes(tree: Path, tmp_path: Path) -> None:
    """To the name of the destination, into an existing directory, and over one of the same name if that is wanted."""
    folder = tmp_path / "f"
    fetch(f"{tree}/d", folder, program("dash"), path=("name",))
    fetch(f"{tree}/d/", folder, program("dash"), path=("name",))
    assert (folder / "name" / "e" / "f" / "file").is_file()
    there = folder / "name" / "d"
    assert (there / "e" / "f" / "file").is_file()
    fetch(".", folder, program("dash"), path=("new", "er"), cwd=f"{tree}/d")
    assert (folder / "new" / "er" / "link").is_symlink()
    assert failure(f"{tree}/d", folder, path=("name",)).name == "fetch-destination-exists"
    (there / "mine").write_text("stays")
    (there / "e" / "f" / "file").write_text("old")
    fetch(f"{tree}/d", folder, program("dash"), path=("name",), overwrite=True)
    assert (there / "mine").read_text() == "stays"
    assert (there / "e" / "f" / "file").read_bytes() == (tree / "d" / "e" / "f" / "file").read_bytes()
    shutil.rmtree(there / "e")
    (there / "e").write_text("a file")
    (there / "link").unlink()
    assert failure(f"{tree}/d", folder, path=("name",), overwrite=True).name == "fetch-destination-taken"


def test_a_directory_that_cannot_be_read_is_no_success(tree: Path, scratch: Path, tmp_path: Path) -> None:
    """Neither tar nor the walk leaves out what the user may not read."""
    there = scratch / "there"
    shutil.copytree(tree / "d", there, symlinks=True)
    (there / "e").chmod(0)
    for number, missing in enumerate(("none", "tar")):
        environ = {"PATH": path_without(missing)}
        with pytest.raises(CommandError) as caught:
            fetch(str(there), tmp_path / str(number), program("dash"), environ=environ, user="games")
        assert caught.value.name in ("fetch-tar-failed", "fetch-source-unreadable")
        assert not any((tmp_path / str(number)).iterdir())


# --- Commands


@pytest.mark.parametrize("name", SHELLS)
def test_the_output_of_a_command_is_exact(name: str, tmp_path: Path) -> None:
    """Stdout is stored, stderr comes apart; a failed command keeps nothing, and its status is known."""
    content = bytes(range(256)) * 9
    (tmp_path / "x").write_bytes(content)
    how: dict[str, Any] = {"inner": single_program(name, tmp_path), "environ": {"w": "the image's own"}}
    command = f"cat {tmp_path}/x; echo $w; echo err >&2"
    place = Place(str(tmp_path / "f"), ("out",), is_directory=False, overwrite=True)
    with Fetching("", place, program(name), command=command, before="echo first", **how) as fetching:
        (item,) = fetching.finish()
        assert (tmp_path / "f" / "out").read_bytes() == content + b"the image's own\n"
        assert item.size == len(content) + 16
        assert fetching.seen.stderr == b"first\nerr\n"
        assert fetching.seen.stdout == b""
    failures: list[dict[str, Any]] = [
        {"source": "", "command": "echo x; exit 3"},
        {"source": f"{tmp_path}/x", "before": "exit 3"},
    ]
    for failing in failures:
        with Fetching(place=place, interpreter=program(name), **failing, **how) as fetching:
            protocol, reception = fetching.protocol, fetching.reception
            fetching.until(lambda protocol=protocol: protocol.status is not None)  # type: ignore[misc]
            reception.finish(0)
            assert reception.status == 3


def test_a_command_is_verified_without_some_tools(tmp_path: Path) -> None:
    """By tee and a checksum, or by what the compression holds; else it is not run at all."""
    place = Place(str(tmp_path / "f"), ("out",), is_directory=False, overwrite=True)
    for missing in ("tee", "gzip xz", "sha256sum sha512sum openssl sha1sum md5sum cksum", "base64 openssl"):
        environ = {"PATH": path_without(*missing.split())}
        with Fetching("", place, program("dash"), command="echo out", environ=environ) as fetching:
            fetching.finish()
        assert (tmp_path / "f" / "out").read_text() == "out\n"
    environ = {"PATH": path_without("tee", "gzip", "xz")}
    error = failure("", tmp_path / "f", path=("out",), overwrite=True, command=f"touch {tmp_path}/ran", environ=environ)
    assert error.name == "fetch-not-verifiable"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("killed", ["sh", "head", "tee"])
def test_what_a_killed_process_cuts_off_is_no_success(killed: str, tmp_path: Path) -> None:
    """One that waits for the command, or passes its output on. The command itself ends well."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("head", "tee"):  # such a program notes its number, and leaves the command time to kill it
        body = f'echo $$ >{tmp_path}/{tool}\nsleep 0.3\nPATH={os.environ["PATH"]}\nexec {tool} "$@"'
        (tools / tool).write_text(f"#!/bin/sh\n{body}\n")
        (tools / tool).chmod(0o755)
    pid = "$PPID" if killed == "sh" else f"$(cat {tmp_path}/{killed})"
    environ = {"PATH": f"{tools}:{os.environ['PATH']}"}
    command = f"sleep 0.1; echo x; kill -9 {pid}"
    error = failure("", tmp_path / "f", path=("out",), command=command, environ=environ, packs="")
    assert error.name == "fetch-status-unknown"


# --- Failures


def failure(source: str, folder: Path, **how: object) -> CommandError:
    """Give the error of a fetch that must not succeed, and see that it leaves nothing."""
    before = sorted(folder.rglob("*")) if folder.exists() else []
    with pytest.raises(CommandError) as caught:
        fetch(source, folder, program("dash"), **how)  # type: ignore[arg-type]
    assert sorted(folder.rglob("*")) == before
    return caught.value


def test_what_is_no_file_is_reported(tmp_path: Path) -> None:
    """The name of the cause says what it is."""
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    for source, name in {
        f"{tmp_path}/none": "fetch-source-missing",
        f"{tmp_path}/none*": "fetch-source-missing",
        f"{tmp_path}/dangling": "fetch-source-missing",
        f"{tmp_path}/pipe": "fetch-source-not-a-file",
        "~nobody-of-that-name/x": "fetch-home-unknown",
    }.items():
        assert failure(source, tmp_path / "there").name == name, source


def test_a_pattern_matches_what_it_can(tmp_path: Path) -> None:
    """Links that lead nowhere are left out, and so are `.` and `..`. Two files of one name are an error."""
    sources = tmp_path / "sources"
    for name in "ab":
        (sources / name).mkdir(parents=True)
        (sources / name / ".log").write_text(name)
    (sources / "a" / ".a").symlink_to("nowhere")
    error = failure(f"{sources}/*/.log", tmp_path / "f")
    assert error.name == "fetch-name-twice"
    assert ".log" in str(line(error))
    place = Place(str(tmp_path / "f"), (), is_directory=True, overwrite=False)
    with Fetching(f"{sources}/a/.*", place, program("dash")) as fetching:
        fetching.finish()
    assert [path.name for path in (tmp_path / "f").rglob("*")] == [".log"]
    assert fetching.seen.said == [f"left out {sources}/a/.a: symbolic links to files that do not exist are not fetched"]


def test_a_file_that_vanishes_or_cannot_be_read(tmp_path: Path) -> None:
    """One vanishes between the look at it and the read; another is readable by its permissions alone."""
    tools, source = tmp_path / "tools", tmp_path / "source"
    tools.mkdir()
    (tools / "stat").write_text(f'#!/bin/sh\nPATH={os.environ["PATH"]}\nstat "$@"\nrm {source}\n')
    (tools / "stat").chmod(0o755)
    source.write_text("x")
    environ = {"PATH": f"{tools}:{os.environ['PATH']}"}
    assert failure(str(source), tmp_path / "f", environ=environ).name == "fetch-source-missing"
    for packs in (None, ""):
        assert failure("/proc/self/mem", tmp_path / "f", packs=packs).name == "fetch-cut-off"


@pytest.mark.parametrize("tool", ["head", "sha256sum"])
def test_a_tool_that_does_not_work_is_as_good_as_none(tool: str, sources: Path, tmp_path: Path) -> None:
    """A small BusyBox has a head without `-c`, or a link to a program that was left out when it was built."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / tool).write_text("#!/bin/sh\necho no such option >&2\nexit 1\n")
    (tools / tool).chmod(0o755)
    fetch(f"{sources}/*", tmp_path / "there", program("dash"), environ={"PATH": f"{tools}:{os.environ['PATH']}"})
    exactly(sources, tmp_path / "there")


def test_a_disk_without_hard_links(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with two names comes twice, and counts twice."""
    large = tmp_path / "large"
    large.mkdir()
    (large / "a").write_bytes(_RANDOM)
    (large / "b").hardlink_to(large / "a")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    fetch(str(tree), tmp_path / "f", program("dash"))
    assert listing(tmp_path / "f" / tree.name) == listing(tree)
    assert failure(str(large), tmp_path / "f", most=100_000).name == "fetch-too-large"


def test_errors_name_files_as_they_are(tmp_path: Path) -> None:
    """A name with pattern characters does not become those of other files."""
    for name in ("other", "another"):
        (tmp_path / name).write_text("")
    os.mkfifo(tmp_path / "*")
    error = failure(f"{tmp_path}/*", tmp_path / "f")
    assert (error.name, error.fields["file"]) == ("fetch-source-not-a-file", f"{tmp_path}/*")


ENCODERS = ("base64", "openssl", "od")


def test_links_and_names_without_a_program_that_encodes(tmp_path: Path) -> None:
    """Blanks in names are no end of a name. A shell that cannot escape bytes refuses those that the agent changes."""
    top = tmp_path / "top"
    top.mkdir()
    names = ["a file", "\N{REPLACEMENT CHARACTER}" * 2, os.fsdecode(b"q\xef\xbf\xbd\xbd"), os.fsdecode(b"x\xef")]
    for name in names:
        (top / name).write_text(name, errors="surrogateescape")
    (top / "the link").symlink_to("a file")
    environ = {"PATH": path_without("tar", *ENCODERS, "perl", "gzip", "xz")}
    place = Place(str(tmp_path / "f"), (), is_directory=True, overwrite=False)
    with Fetching(str(top), place, program("bash"), environ=environ) as fetching:
        fetching.finish()
        assert listing(tmp_path / "f" / "top") == listing(top)
        # The agent would change these bytes. They are in the file names and in the files.
        assert b"\xef\xbf\xbd" not in fetching.seen.raw
    (tmp_path / "\N{REPLACEMENT CHARACTER}").write_text("x")
    error = failure(f"{tmp_path}/\N{REPLACEMENT CHARACTER}", tmp_path / "g", environ=environ)
    assert error.name == "fetch-bytes-lost"


def deep(top: Path, part: str, depth: int) -> None:
    """Make a file below so many directories. Its path may be too long for the kernel."""
    top.mkdir()
    above = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(part, dir_fd=above)
        below = os.open(part, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=above))
    os.close(above)


@pytest.mark.parametrize("name", [name for name in SHELLS if name != "yash"])
def test_a_path_that_is_too_long_for_a_shell_is_no_success(name: str, tmp_path: Path) -> None:
    """An archive has it. A shell that walks through the directory would leave it out without a word."""
    deep(tmp_path / "deep", "d" * 200, 22)
    words, inner = program(name), single_program(name, tmp_path)
    if name == "busybox":  # it finds tar inside itself
        inner = str(busybox.without(tmp_path, ["tar"]))
        words = [inner]
    with pytest.raises(CommandError) as caught:
        fetch(str(tmp_path / "deep"), tmp_path / "f", words, inner=inner, environ={"PATH": path_without("tar")})
    assert caught.value.name == "fetch-path-too-long"
    assert not any((tmp_path / "f").iterdir())


def test_long_paths_come_however_they_are_encoded(tmp_path: Path) -> None:
    """Hexadecimal digits double the length of a name."""
    deep(tmp_path / "deep", "a b" * 50, 18)
    environ = {"PATH": path_without("tar", "base64", "openssl")}
    (item,) = fetch(str(tmp_path / "deep"), tmp_path / "f", program("dash"), environ=environ)
    assert item.files == 1


def test_times_before_1970_are_kept(tmp_path: Path) -> None:
    """With stat, and in an archive."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "old").write_text("x")
    os.utime(source / "old", (-86_400, -86_400))
    for number, path in enumerate((source, source / "old")):
        fetch(str(path), tmp_path / f"{number}", program("dash"))
        (found,) = (tmp_path / f"{number}").rglob("old")
        assert found.stat().st_mtime == -86_400


def test_variables_of_the_image_do_not_change_an_archive(tree: Path, tmp_path: Path) -> None:
    """TAR_OPTIONS could leave files out, and XZ_OPT could choose another format."""
    environ = {"TAR_OPTIONS": "--exclude=file", "XZ_OPT": "--format=lzma", "GZIP": "-1"}
    fetch(str(tree), tmp_path / "f", program("dash"), environ=environ)
    assert listing(tmp_path / "f" / tree.name) == listing(tree)


@pytest.mark.parametrize("name", ["bash", "ksh"])
def test_variables_of_the_image_do_not_hide_files(name: str, tree: Path, tmp_path: Path) -> None:
    """A shell would leave these out of a pattern. Commands of the job still get the variables."""
    startup = tmp_path / "startup"  # bash takes the variable from an assignment only
    startup.write_text(f"export GLOBIGNORE='{tree}/ro/*'\n")
    environ = {"BASH_ENV": str(startup), "FIGNORE": "*file", "PATH": path_without("tar")}
    fetch(str(tree), tmp_path / "f", program(name), environ=environ)
    assert listing(tmp_path / "f" / tree.name) == listing(tree)
    fetch("", tmp_path, program(name), path=("out",), environ=environ, command='echo "$GLOBIGNORE $FIGNORE"')
    expected = f"{tree}/ro/* *file\n" if name == "bash" else " *file\n"
    assert (tmp_path / "out").read_text() == expected


def test_a_startup_file_that_prints_and_replaces_programs(tree: Path, tmp_path: Path) -> None:
    """The script does without the traps and aliases of bash."""
    startup = tmp_path / "startup"
    startup.write_text(
        "shopt -s expand_aliases\nalias head='head -v' cat='cat -n'\nset -ET\ntrap 'echo printed' DEBUG\n"
    )
    fetch(str(tree), tmp_path / "f", program("bash"), environ={"BASH_ENV": str(startup)})
    assert listing(tmp_path / "f" / tree.name) == listing(tree)


def test_a_file_of_sysfs_is_read_to_its_end(tmp_path: Path) -> None:
    """The kernel says that it has the size of a page."""
    source = Path("/sys/class/net/lo/address")
    if not source.exists():
        pytest.skip("this machine has no such file")
    fetch(str(source), tmp_path, program("dash"), path=("x",))
    assert (tmp_path / "x").read_bytes() == source.read_bytes()


def test_links_on_the_server_are_not_followed(tmp_path: Path) -> None:
    """Neither a directory nor a file below the folder may be one."""
    folder = tmp_path / "there"
    (folder / "inner").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    (folder / "file link").symlink_to(tmp_path / "target")
    (folder / "inner" / "os-release").symlink_to(tmp_path / "target")
    paths = [("link", "x"), ("link",), ("file link",), ("inner",)]
    for path in paths:
        error = failure("/usr/lib/os-release", folder, path=path, overwrite=True)
        assert error.name == "fetch-destination-taken", path
    assert not (tmp_path / "target").exists()
    (tmp_path / "outer").symlink_to(folder)  # above the folder they are the administrator's
    fetch("/usr/lib/os-release", tmp_path / "outer", program("dash"), path=("x",))
    assert (folder / "x").read_bytes() == Path("/usr/lib/os-release").read_bytes()


def test_files_are_placed_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a disk is full at any moment of it, the directory is as it was before."""
    folder, renames = tmp_path / "there", 0
    (folder / "tree" / "sub").mkdir(parents=True)
    for name in ("tree/one", "tree/mine", "tree/sub/two", "file"):
        (folder / name).write_text("old")
    before = listing(folder)
    rename = os.rename

    def full(*paths: str, src_dir_fd: int, dst_dir_fd: int) -> None:
        nonlocal renames
        renames -= 1
        if renames == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(*paths, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def place() -> None:
        with Staging(Place(str(folder), (), is_directory=True, overwrite=True)) as staging:
            staging.prepare(several=True)
            for item, names in {
                "tree": ("one", "sub/two", "sub/new", "deep/new"),
                "file": ("",),
                "other": ("",),
            }.items():
                staging.begin(item, directory=item == "tree")
                for name in names:
                    incoming = staging.create((item, *filter(None, name.split("/"))))
                    incoming.write(b"new")
                    incoming.finish(Meta(), sync=False)
            staging.place()

    monkeypatch.setattr(os, "rename", full)
    for last in range(1, 7):
        renames = last
        with pytest.raises(CommandError) as caught:
            place()
        assert caught.value.name == "fetch-disk-full"
        assert listing(folder) == before, last
    place()
    news = ("tree/one", "tree/sub/two", "tree/sub/new", "tree/deep/new", "file", "other")
    assert {(folder / name).read_text() for name in news} == {"new"}
    assert (folder / "tree" / "mine").read_text() == "old"
    assert len([*folder.rglob("*")]) == len(news) + 4


def test_an_abort_after_the_files_were_placed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say that nothing was fetched."""
    recorder = OutputStreams(Interrupts())
    said: list[str] = []
    monkeypatch.setattr(recorder, "say", said.append)
    variables = {"RD_CONFIG_SOURCE": "/x", "RD_CONFIG_FETCH_FOLDER": str(tmp_path / "f"), "RD_NODE_ECS_TASK": "1"}
    asked = read_fetch({**variables, "RD_CONFIG_DESTINATION": "x", "RD_CONFIG_REGION": "eu-west-1"}, PROGRAM)

    def placed(staging: Staging) -> None:
        staging.placed.append(f"{tmp_path}/f/x")
        os.kill(os.getpid(), signal.SIGTERM)

    def ended(runner: Runner) -> int:
        assert runner._work is not None
        protocol = runner._work.protocol(recorder, "the container")
        assert isinstance(protocol, FetchProtocol)
        protocol.reception._over = True
        protocol.reception.fetched.append(Fetched("/x", 1, "0", 1, b"/x"))
        return 0

    monkeypatch.setattr(Runner, "run", ended)
    monkeypatch.setattr(Staging, "place", placed)
    with Interrupts() as interrupts:
        monkeypatch.setattr(recorder, "_interrupts", interrupts)
        assert fetch_step(asked, {}, interrupts, recorder) == 143
    assert said == [f"aborted by SIGTERM; the files were fetched: {tmp_path}/f/x"]


def test_what_is_wrong_with_the_destination_is_named(tmp_path: Path) -> None:
    """A file or a dead link in the place of the folder, and a name that no disk takes."""
    (tmp_path / "file").write_text("")
    (tmp_path / "dead").symlink_to("nowhere")
    for folder in ("file", "dead", "file/below"):
        error = failure("/usr/lib/os-release", tmp_path / folder, path=("x",), overwrite=True)
        assert (error.name, error.fields["file"]) == ("fetch-folder-no-directory", f"{tmp_path}/{folder}")
    for path in (("x" * 300,), ("x" * 300, "y")):
        assert failure("/usr/lib/os-release", tmp_path, path=path).name == "fetch-name-too-long"


def test_a_fetch_that_fails_beside_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes share a directory. The one that fails removes it before the other has made anything in it."""
    mkdir, removed = os.mkdir, False

    def slow(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        nonlocal removed
        if path == "node" and not removed:
            (tmp_path / "42").rmdir()
            removed = True
        mkdir(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", slow)
    fetch("/usr/lib/os-release", tmp_path, program("dash"), path=("42", "node"), is_directory=True)
    assert removed
    assert (tmp_path / "42" / "node" / "os-release").is_file()


def test_an_abort_after_the_last_byte_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session ended well, but nothing was placed."""
    variables = {"RD_CONFIG_SOURCE": "/x", "RD_CONFIG_FETCH_FOLDER": str(tmp_path / "f"), "RD_NODE_ECS_TASK": "1"}
    interrupts, recorder = Interrupts(), Recorder()

    def ended(_: Runner) -> int:
        interrupts.received = signal.SIGTERM
        return 0

    monkeypatch.setattr(Runner, "run", ended)
    asked = read_fetch({**variables, "RD_CONFIG_DESTINATION": "x", "RD_CONFIG_REGION": "eu-west-1"}, PROGRAM)
    assert fetch_step(asked, {}, interrupts, recorder) == 143
    assert recorder.seen.said == ["aborted by SIGTERM; no file was kept on this server"]


PROGRAM = "/base/libext/cache/rundeck-ecs-exec-1.0.0/ecs_exec/settings/fetch.py"


def place(destination: str, source: str = "/x", **environ: str) -> Place:
    """Read a destination."""
    variables = {"RD_RUNDECK_BASE": "/evil", "RD_RUNDECK_PROJECT": "shop", **environ}
    variables |= {"RD_CONFIG_SOURCE": source, "RD_NODE_ECS_TASK": "1", "RD_CONFIG_DESTINATION": destination}
    return read_fetch(variables, PROGRAM).place


def test_destinations_lead_below_the_folder() -> None:
    """They may be relative, or absolute paths in it."""
    folder = "/base/var/ecs-exec/shop"
    for destination, path, is_directory in (
        ("a", ("a",), False),
        ("./a//b", ("a", "b"), False),
        ("a/", ("a",), True),
        (".", (), False),
        (f"{folder}/deep/er", ("deep", "er"), False),
        (folder, (), True),
        (f"{folder}/", (), True),
    ):
        assert place(destination) == Place(folder, path, is_directory, overwrite=False), destination
    named = {"RD_JOB_EXECID": "42", "RD_NODE_NAME": "../web/1\n2"}
    assert place("", **named).path == ("42", ".._web_1_2")
    assert place("", RD_JOB_EXECID="..").path == ("_..",)
    assert place("a", RD_CONFIG_FETCH_FOLDER="/srv/f") == Place("/srv/f", ("a",), False, False)


@pytest.mark.parametrize("wrong", ["../x", "a/../../x", "/etc/x", "/base/var/ecs-exec/shopx/y", "a/..", "..", "a\x07b"])
def test_other_destinations_are_refused(wrong: str) -> None:
    """No session is opened for them."""
    with pytest.raises(SettingsError, match="destination is"):
        place(wrong)


@pytest.mark.parametrize("root", ["/", "//", "/.", "/../", "/./..", "//.//"])
def test_the_root_directory_is_refused(root: str) -> None:
    """It has no name that its copy could get. Names that only begin like it are taken."""
    with pytest.raises(SettingsError, match=r"source is .*the root directory itself cannot be fetched") as error:
        place("x", root)
    assert "empty" not in str(error.value)
    for fine in ("/...", "/*", "/.hidden", "/./a"):
        place("x", fine)


@pytest.mark.parametrize("project", ["", "..", "a/b", "a\nb"])
def test_a_project_s_name_never_leads_elsewhere(project: str) -> None:
    """The default folder contains it."""
    with pytest.raises(SettingsError, match="set fetch-folder"):
        place("x", RD_RUNDECK_PROJECT=project)
