"""Destinations of copies: homes, links, mounts, and directories that somebody else changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ecs_exec.errors import CommandError
from unit.terminals import SHELLS, path_without, program
from unit.test_receiver import SUMS
from unit.test_shell_wrapper import single_program
from unit.uploads import Upload, copy

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and become another user")
CONTENT = bytes(range(256)) * 300


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write a file of two blocks."""
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def open_to_all(folder: Path) -> None:
    """Let other users enter a folder; pytest's own are closed to them."""
    for each in [folder, *folder.parents]:
        each.chmod(each.stat().st_mode | 0o055)


def temporary(*folders: Path) -> list[Path]:
    """Return what no copy may leave."""
    return [path for folder in folders for path in folder.rglob(".ecs-exec-*")]


# --- Homes


@pytest.mark.parametrize("name", SHELLS)
def test_a_tilde_is_a_home(name: str, source: Path, tmp_path: Path) -> None:
    """It is the home of the command's user or of another one. Rundeck gets the file's own path."""
    home = tmp_path / "ho me"
    home.mkdir()
    environ = {"HOME": str(home)}
    inner = single_program(name, tmp_path)
    for destination, there in (("~/x", "x"), ("~/new/y", "new/y"), ("~/", "source"), ("~", "source")):
        path = copy(source, destination, program(name), inner=inner, environ=environ, cwd=str(tmp_path))
        assert str(path) == f"{home}/{there}"
        assert path.read_bytes() == CONTENT
    assert not (tmp_path / "~").exists()
    with Upload(source, "~games/no/such", program(name), inner=inner, environ=environ) as upload:
        upload.until(lambda: bool(upload.destination.path))
        assert upload.destination.path == "/usr/games/no/such"
        upload.protocol.interrupt()
        upload.until(lambda: upload.protocol.status is not None)


@pytest.mark.parametrize("destination", ["~no-such-user/x", "~9/x", "~$HOME/x", "~`id`", "~;id"])
def test_a_home_that_nobody_has_is_a_fault(destination: str, source: Path, tmp_path: Path) -> None:
    """Instead of a folder of that name; nothing in it is expanded or run."""
    with pytest.raises(CommandError, match="the home directory of the user"):
        copy(source, destination, program("dash"), cwd=str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_home_is_looked_up_where_the_environment_has_none(source: Path) -> None:
    """An image's HOME may be empty; the passwd file knows."""
    with Upload(source, "~/no/such", program("dash"), environ={"HOME": ""}) as upload:
        upload.until(lambda: bool(upload.destination.path))
        assert upload.destination.path == f"{Path('~root').expanduser()}/no/such"
        upload.protocol.interrupt()
        upload.until(lambda: upload.protocol.status is not None)


@pytest.mark.parametrize("destination", ["a~", "./~/x", "$HOME/~x"])
def test_other_tildes_are_names(destination: str, source: Path, tmp_path: Path) -> None:
    """As to a shell; a dollar is one anywhere."""
    path = copy(source, destination, program("dash"), cwd=str(tmp_path))
    assert path == tmp_path / destination
    assert path.read_bytes() == CONTENT


# --- Files that cannot be replaced


def over_a_mount(folder: Path, *, shell: str = "dash") -> list[str]:
    """Return an interpreter to which the file `x` of a folder is a mount of its own, as /etc/hosts is in containers."""
    setup = f'mount --bind {folder}/real {folder}/x; exec {shell} "$@"'
    return [shutil.which("unshare") or "", "--mount", "/bin/sh", "-c", setup, "sh"]


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """Make the folder for `over_a_mount`."""
    folder = tmp_path / "goal"
    folder.mkdir()
    (folder / "x").touch()
    (folder / "real").write_text("what was there")
    (folder / "real").chmod(0o640)
    return folder


@as_root
@pytest.mark.parametrize(
    ("name", "missing"),
    [
        *((name, "") for name in SHELLS),
        *((name, tools) for name in ("dash", "ksh") for tools in ("cat", "cat dd", "mv", f"{SUMS} md5sum cksum")),
    ],
)
def test_a_mount_is_overwritten(name: str, missing: str, source: Path, mounted: Path, tmp_path: Path) -> None:
    """It is verified there, keeps its permissions, and a line says so."""
    inner = single_program(name, tmp_path)
    environ = {"PATH": path_without(*missing.split())}
    with Upload(source, f"{mounted}/x", over_a_mount(mounted, shell=inner), inner=inner, environ=environ) as upload:
        assert upload.finish() == f"{mounted}/x"
        (line,) = upload.seen.said
    assert "its content is overwritten" in line
    assert ("mv" if missing == "mv" else "busy") in line
    assert (mounted / "real").read_bytes() == CONTENT
    assert (mounted / "real").stat().st_mode & 0o777 == 0o640
    assert temporary(mounted) == []


@as_root
@pytest.mark.parametrize("name", SHELLS)
def test_what_was_in_a_mount_comes_back(name: str, source: Path, mounted: Path, tmp_path: Path) -> None:
    """If the job is aborted, or the session ends, after it was overwritten and before that was verified."""
    inner = single_program(name, tmp_path)
    for end in ("abort", "hang up"):
        with Upload(source, f"{mounted}/x", over_a_mount(mounted, shell=inner), inner=inner) as upload:
            upload.happen = lambda data: b"" if upload.seen.said and data == b"c\n" else data
            upload.until(lambda: bool(upload.seen.said))
            if end == "abort":
                upload.protocol.interrupt()
                upload.until(lambda: upload.protocol.status is not None)
                assert upload.protocol.status != 0
            upload.hang_up()
            upload.wait_for(lambda: upload.left_over() == [])
        assert (mounted / "real").read_text() == "what was there"
        assert temporary(mounted) == []


@as_root
def test_what_was_in_a_mount_comes_back_when_it_is_full(source: Path, tmp_path: Path) -> None:
    """The new content is larger than the room on the mount."""
    goal = tmp_path / "goal"
    goal.mkdir()
    (goal / "x").touch()
    setup = (
        f"mkdir {tmp_path}/fs; mount -t tmpfs -o size=8k none {tmp_path}/fs; echo before >{tmp_path}/fs/f;"
        f' mount --bind {tmp_path}/fs/f {goal}/x; "$@"; cat {goal}/x >{tmp_path}/after'
    )
    interpreter = [shutil.which("unshare") or "", "--mount", "/bin/sh", "-c", setup, "sh", "/bin/dash"]
    with Upload(source, f"{goal}/x", interpreter, inner="dash") as upload:
        with pytest.raises(CommandError, match="file system there is full"):
            upload.finish()
        upload.wait_for(lambda: (tmp_path / "after").exists() and upload.left_over() == [])
    assert (tmp_path / "after").read_text() == "before\n"
    assert temporary(goal) == []


@as_root
@pytest.mark.parametrize("name", SHELLS)
def test_a_file_in_a_folder_that_is_closed_is_overwritten(
    name: str, source: Path, tmp_path: Path, scratch: Path
) -> None:
    """As a configuration file that belongs to the user, in a folder of root's."""
    open_to_all(tmp_path)
    goal = scratch / f"closed {name}"
    goal.mkdir(mode=0o755)
    (goal / "x").write_text("old")
    shutil.chown(goal / "x", "games")
    environ = {"TMPDIR": str(scratch)}
    inner = single_program(name, tmp_path)
    with Upload(source, f"{goal}/x", program(name), inner=inner, user="games", environ=environ) as upload:
        assert upload.finish() == f"{goal}/x"
        assert "denied" in upload.seen.said[0].lower()
    assert (goal / "x").read_bytes() == CONTENT
    assert (goal / "x").owner() == "games"
    assert temporary(scratch) == []
    with pytest.raises(CommandError, match="check the destination's directory"):
        copy(source, f"{goal}/y", program(name), inner=inner, user="games", environ=environ)


def test_without_a_way_to_save_what_is_there_nothing_is_touched(source: Path, tmp_path: Path) -> None:
    """An image that has neither mv nor anything that reads a file."""
    (tmp_path / "x").write_text("old")
    environ = {"PATH": path_without("mv", "cat", "dd", "cp", "head")}
    with pytest.raises(CommandError, match="cannot be renamed to its destination"):
        copy(source, f"{tmp_path}/x", program("dash"), environ=environ)
    assert (tmp_path / "x").read_text() == "old"
    assert temporary(tmp_path) == []


# --- What somebody else changes meanwhile


def while_it_is_copied(
    source: Path, destination: Path, change: Callable[[Path], None], environ: Mapping[str, str] | None = None
) -> Upload:
    """Start a copy; change something in the container when the first block is there, given the temporary file."""

    def happen(data: bytes) -> bytes:
        found = temporary(destination.parent)
        if found and upload.blocks() and not changed:
            changed.append(True)
            change(found[0])
        return data

    changed: list[bool] = []
    source.write_bytes(os.urandom(600_000))
    upload = Upload(source, str(destination), program("dash"), environ=environ, happen=happen)
    return upload


def test_a_folder_is_entered_once(source: Path, tmp_path: Path) -> None:
    """If somebody moves the folder and puts a link in its place, the file arrives in the original folder."""
    goal, other = tmp_path / "goal", tmp_path / "other"
    goal.mkdir()
    other.mkdir()

    def change(_: Path) -> None:
        goal.rename(tmp_path / "moved")
        goal.symlink_to(other)

    with while_it_is_copied(source, goal / "x", change) as upload:
        upload.finish()
    assert list(other.iterdir()) == []
    assert (tmp_path / "moved" / "x").read_bytes() == source.read_bytes()


def to_a_folder(folder: Path, path: Path) -> None:
    """Put a link to a folder in a place."""
    path.unlink(missing_ok=True)
    path.symlink_to(folder)


@pytest.mark.parametrize("what", ["the temporary file", "a link to a folder", "a folder", "a link to a file"])
def test_a_link_in_the_place_is_not_followed(what: str, source: Path, tmp_path: Path) -> None:
    """Nothing outside of the folder is written, nor are its permissions changed."""
    goal, other = tmp_path / "goal", tmp_path / "other"
    goal.mkdir()
    other.mkdir()
    precious = other / "precious"
    precious.write_text("precious")
    precious.chmod(0o600)

    def change(temporary: Path) -> None:
        if what == "the temporary file":
            temporary.unlink()
            temporary.symlink_to(precious)
        elif what == "a folder":
            (goal / "x").mkdir()
        else:
            (goal / "x").symlink_to(other if what == "a link to a folder" else precious)

    with (
        while_it_is_copied(source, goal / "x", change) as upload,
        pytest.raises(CommandError, match="changed during the copy"),
    ):
        upload.finish()
    assert [path.name for path in other.iterdir()] == ["precious"]
    assert precious.read_text() == "precious"
    assert precious.stat().st_mode & 0o777 == 0o600
    assert temporary(goal, other) == []


@pytest.mark.parametrize("what", ["a link", "a pipe"])
def test_an_image_without_rm_empties_nothing_else(what: str, source: Path, tmp_path: Path) -> None:
    """If the temporary file cannot be removed, it is emptied, but never a file that somebody put in its place."""
    goal, precious = tmp_path / "goal", tmp_path / "precious"
    goal.mkdir()
    precious.write_text("precious")

    def change(temporary: Path) -> None:
        temporary.unlink()
        if what == "a link":
            temporary.symlink_to(precious)
        else:
            os.mkfifo(temporary)

    environ = {"PATH": path_without("rm")}
    with (
        while_it_is_copied(source, goal / "x", change, environ=environ) as upload,
        pytest.raises(CommandError, match="changed during the copy"),
    ):
        upload.finish()
    assert precious.read_text() == "precious"
    assert not (goal / "x").exists()


# --- What changes on the server


def truncate(path: Path) -> None:
    """As logrotate's copytruncate does."""
    os.truncate(path, path.stat().st_size // 2)


def grow(path: Path) -> None:
    """As a program does that logs."""
    with path.open("ab") as file:
        file.write(b"more")


def rewrite(path: Path) -> None:
    """As many bytes, other ones."""
    with path.open("r+b") as file:
        file.write(b"other")


def replace(path: Path) -> None:
    """As logrotate and editors do."""
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    new.rename(path)


@pytest.mark.parametrize(
    ("change", "missing"),
    [*((change, "") for change in (truncate, grow, rewrite, replace, Path.unlink)), (grow, "gzip gunzip zcat dd head")],
)
def test_a_source_that_changes_is_not_copied(
    change: Callable[[Path], None], missing: str, tmp_path: Path, scratch: Path
) -> None:
    """Nothing is put in place, and the line says why."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_000 if not missing else 300_000))
    goal = scratch / "goal"
    goal.mkdir(exist_ok=True)
    (goal / "x").write_text("before")
    changed: list[bool] = []

    def happen(data: bytes) -> bytes:
        if upload.blocks() >= 2 and not changed:
            changed.append(True)
            change(source)
        return data

    environ = {"PATH": path_without(*missing.split())}
    text = "replaced or removed on this server" if change in (replace, Path.unlink) else "changed on this server"
    with (
        Upload(source, f"{goal}/x", program("dash"), happen=happen, environ=environ) as upload,
        pytest.raises(CommandError, match=text),
    ):
        upload.finish()
    assert (goal / "x").read_text() == "before"
    assert [path.name for path in goal.iterdir()] == ["x"]
