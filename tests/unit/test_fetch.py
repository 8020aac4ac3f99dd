"""Files out of a container: every shell, few tools, odd names, and what can go wrong there."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

import busybox
from ecs_exec.errors import CommandError, SettingsError
from ecs_exec.files.staging import Meta, Staging
from ecs_exec.settings.fetch import Place, read_fetch
from unit.fetches import TOOLS, Fetching, fetch
from unit.terminals import SHELLS, path_without, program
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


PROGRAM = "/base/libext/cache/rundeck-ecs-exec-1.0.0/ecs_exec/settings/fetch.py"


def place(destination: str, **environ: str) -> Place:
    """Read a destination."""
    variables = {"RD_RUNDECK_BASE": "/evil", "RD_RUNDECK_PROJECT": "shop", **environ}
    variables |= {"RD_CONFIG_SOURCE": "/x", "RD_NODE_ECS_TASK": "1", "RD_CONFIG_DESTINATION": destination}
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


@pytest.mark.parametrize("project", ["", "..", "a/b", "a\nb"])
def test_a_project_s_name_never_leads_elsewhere(project: str) -> None:
    """The default folder contains it."""
    with pytest.raises(SettingsError, match="set fetch-folder"):
        place("x", RD_RUNDECK_PROJECT=project)
