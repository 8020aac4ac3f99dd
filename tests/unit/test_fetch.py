"""Files out of a container: every shell, few tools, odd names, and what can go wrong there."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from pathlib import Path

import pytest

import busybox
from ecs_exec.errors import CommandError, SettingsError
from ecs_exec.settings.fetch import Place, read_fetch
from unit.fetches import TOOLS, fetch
from unit.terminals import SHELLS, program
from unit.test_shell_wrapper import single_program

_RANDOM = random.Random(7).randbytes(150_000)  # noqa: S311 - the same each time

FILES = {
    "empty": b"",
    "one": b"\n",
    "all bytes": bytes(range(256)) * 30,
    "random": _RANDOM,
    "ein text": "Ein längerer Text, \N{REPLACEMENT CHARACTER} \\n %s\r\n".encode() * 5000,
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


def failure(source: str, folder: Path, **how: object) -> CommandError:
    """Give the error of a fetch that must not succeed, and see that it leaves nothing."""
    before = sorted(folder.rglob("*")) if folder.exists() else []
    with pytest.raises(CommandError) as caught:
        fetch(source, folder, program("dash"), **how)  # type: ignore[arg-type]
    assert sorted(folder.rglob("*")) == before
    return caught.value


def test_what_is_no_file_is_reported(tmp_path: Path) -> None:
    """The name of the cause says what it is."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    for source, name in {
        f"{tmp_path}/none": "fetch-source-missing",
        f"{tmp_path}/none*": "fetch-source-missing",
        f"{tmp_path}/dangling": "fetch-source-missing",
        f"{tmp_path}/directory": "fetch-source-directory",
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


def place(destination: str, **environ: str) -> Place:
    """Read a destination."""
    variables = {"RD_RUNDECK_BASE": "/base", "RD_RUNDECK_PROJECT": "shop", **environ}
    variables |= {"RD_CONFIG_SOURCE": "/x", "RD_NODE_ECS_TASK": "1", "RD_CONFIG_DESTINATION": destination}
    return read_fetch(variables).place


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
    assert place("a", RD_CONFIG_FETCH_FOLDER="/srv/f", RD_RUNDECK_BASE="") == Place("/srv/f", ("a",), False, False)


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
