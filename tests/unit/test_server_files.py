"""Files of the server that a job may name: ordinary ones, wherever a path leads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ecs_exec.errors import SettingsError
from ecs_exec.files.server_files import open_regular

KERNEL = [
    "/proc/self/environ",
    "/proc/self/cmdline",
    "/proc/thread-self/environ",
    "/proc/self/root/proc/self/environ",
    "/proc/self/cwd/../../../../../../../../../proc/self/environ",
    "/proc/meminfo",
    "//proc/./self/../self/environ",
    "/sys/kernel/profiling",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/dev/null",
    "/dev/zero",
    "/dev/stdin",
    "/dev/ptmx",
]


def read(path: str | Path, below: str | Path = "") -> bytes:
    """Give what is in a file."""
    with os.fdopen(open_regular(str(path), str(below)), "rb") as file:
        return file.read()


@pytest.mark.parametrize("path", [path for path in KERNEL if os.path.lexists(path)])
@pytest.mark.parametrize("way", ["named", "linked", "linked folder"])
def test_what_the_kernel_shows_is_no_file(path: str, way: str, tmp_path: Path) -> None:
    """By its name, by a link, and through a link to its folder."""
    if way == "linked":
        (tmp_path / "script").symlink_to(path)
        path = str(tmp_path / "script")
    elif way == "linked folder":
        (tmp_path / "folder").symlink_to(Path(path).parent)
        path = str(tmp_path / "folder" / Path(path).name)
    with pytest.raises(SettingsError, match=r"not a file on a disk|is not a file|cannot be read") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_ordinary_files_are_read(tmp_path: Path) -> None:
    """On a disk and in memory, by links too, whatever their names are."""
    file = tmp_path / "it's (deleted)"
    file.write_bytes(b"text")
    (tmp_path / "link").symlink_to(file)
    assert read(file) == read(tmp_path / "link") == b"text"
    if os.access("/dev/shm", os.W_OK):  # noqa: S108
        shared = Path(f"/dev/shm/{os.getpid()}-{tmp_path.name}")  # noqa: S108
        shared.write_bytes(b"shared")
        try:
            assert read(shared) == b"shared"
        finally:
            shared.unlink()


def test_a_deleted_file_is_not_given_back(tmp_path: Path) -> None:
    """A program that holds one open shows it in /proc."""
    file = tmp_path / "secret"
    file.write_bytes(b"secret")
    with file.open("rb") as held:
        file.unlink()
        with pytest.raises(SettingsError, match="not a file on a disk"):
            read(f"/proc/self/fd/{held.fileno()}")


def test_only_files_below_the_folder(tmp_path: Path) -> None:
    """Links are followed first, on both sides; a folder of a name that begins alike is another."""
    inside, outside = tmp_path / "scripts", tmp_path / "scripts-of-others"
    inside.mkdir()
    outside.mkdir()
    (inside / "deeper").mkdir()
    for folder in (inside, inside / "deeper", outside):
        (folder / "a.sh").write_bytes(b"text")
    (inside / "out.sh").symlink_to(outside / "a.sh")
    (inside / "up").symlink_to(tmp_path)
    (outside / "in.sh").symlink_to(inside / "a.sh")
    (tmp_path / "link").symlink_to(inside)
    for path in (inside / "a.sh", inside / "deeper/a.sh", outside / "in.sh", tmp_path / "link/a.sh"):
        assert read(path, inside) == read(path, f"{inside}/") == read(path, tmp_path / "link") == b"text"
    for other in (
        outside / "a.sh",
        inside / "out.sh",
        f"{inside}/../scripts-of-others/a.sh",
        inside / "up/scripts-of-others/a.sh",
    ):
        with pytest.raises(SettingsError, match="the only folder that script-folder allows"):
            read(other, inside)
    with pytest.raises(SettingsError, match="the only folder"):
        read(inside / "a.sh", tmp_path / "missing")
    assert read(inside / "a.sh", "/") == b"text"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Other paths that are no files are refused, too."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(SettingsError, match="is not a file"):
            read(path)
    with pytest.raises(SettingsError, match="cannot be read on this server"):
        read(tmp_path / "missing")
