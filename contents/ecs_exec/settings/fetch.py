"""What the step Fetch File needs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple, cast, get_args

from ecs_exec.settings.access import read_access
from ecs_exec.settings.execution import Execution, is_debug
from ecs_exec.settings.reader import Reader, matching, switch
from ecs_exec.settings.run import read_run
from ecs_exec.settings.step_properties import FETCH_FILE
from ecs_exec.settings.target import read_wanted

Compress = Literal["auto", "xz", "gzip", "none"]


class Place(NamedTuple):
    """The place of the files on this server."""

    folder: str
    """The fetch folder. Links in its own path are followed: it is the administrator's."""
    path: tuple[str, ...]
    """Below the folder."""
    is_directory: bool
    """The path names a directory for the files, even if it does not exist yet."""
    overwrite: bool


class Fetch(NamedTuple):
    """What is fetched, and where it goes."""

    source: str
    """Path or pattern in the container; empty: the output of `command` is fetched."""
    command: str
    before: str
    """A command that runs first."""
    remove: bool
    """The files are removed from the container afterwards."""
    data: bool
    """Print data lines for log filters."""
    place: Place
    compress: Compress
    follow: bool
    """A file is fetched to its end, also what is appended meanwhile."""
    max_size: int
    """Bytes in all."""
    execution: Execution


_IN_CACHE = re.compile(r"(?P<base>/.+)/libext/cache/[^/]+/ecs_exec/settings/[^/]+")
_ROOT = re.compile(r"/(\.{0,2}/)*\.{0,2}")
_FOLDER = matching(r"/[^\x00-\x1f\x7f]*", "an absolute path on this server")


def read_fetch(environ: Mapping[str, str], program: str = __file__) -> Fetch:
    """Read the settings of the step. Raises SettingsError that names every fault.

    `program` is this file: it shows where Rundeck's base directory is.
    """
    reader = Reader(environ, FETCH_FILE)
    run = read_run(reader, "fetching a file")
    source = reader.setting("source", _source)
    command = _command(reader, "command")
    if source and command:
        reader.fault("source and command are both set: keep one of them")
    if not source and not command:
        reader.missing("source and command are both empty: set one of them", "source")
    remove = reader.setting("after", _after)
    if remove and command:
        reader.fault("after is remove, but the output of a command leaves no file: set it to keep")
    folder = reader.setting("fetch-folder", _FOLDER) or _default_folder(reader, program)
    overwrite = reader.setting("overwrite", switch)
    fetch = Fetch(
        source=source,
        command=command,
        before=_command(reader, "before"),
        remove=remove,
        data=reader.setting("data", switch),
        place=reader.setting("destination", lambda text: _place(folder, text, environ))._replace(overwrite=overwrite),
        compress=reader.setting("compress", _compress),
        follow=reader.setting("follow", switch),
        max_size=reader.setting("max-size", _size),
        execution=Execution(
            node=environ.get("RD_NODE_NAME", ""),
            command="",
            access=read_access(reader),
            wanted=read_wanted(reader),
            run=run,
            debug=is_debug(environ),
        ),
    )
    reader.finish()
    return fetch


def _command(reader: Reader, name: str) -> str:
    text = reader.text(name)
    return text if text.strip() else ""


def _after(text: str) -> bool:
    if text not in {"keep", "remove"}:
        raise ValueError("expected keep or remove")
    return text == "remove"


def _source(text: str) -> str:
    if "\0" in text:
        raise ValueError("expected a path in the container")
    if _ROOT.fullmatch(text):
        raise ValueError("expected files or a directory below /: the root directory itself cannot be fetched")
    return text


def _default_folder(reader: Reader, program: str) -> str:
    """Return var/ecs-exec/PROJECT below Rundeck's base directory.

    The directory is not taken from RD_RUNDECK_BASE, and not from an argument: a job that exports the group `rundeck`
    replaces both. Rundeck starts this program from libext/cache/PLUGIN in that directory. The project's name can only
    come from Rundeck; a job that exports the group can name another project.
    """
    found = _IN_CACHE.fullmatch(os.path.abspath(program))
    project = reader.environ.get("RD_RUNDECK_PROJECT", "")
    if found is None or not re.fullmatch(r"[^/\x00-\x1f\x7f]+", project) or project in {".", ".."}:
        reader.fault(
            "fetch-folder is not set, and Rundeck's base directory or the project is unknown: set fetch-folder"
        )
        return ""
    return f"{found['base']}/var/ecs-exec/{project}"


def _place(folder: str, text: str, environ: Mapping[str, str]) -> Place:
    """Return the place of a destination: relative to the folder, or an absolute path in it."""
    if not text:  # a folder of its own, so that no node and no execution meets the files of another
        own = [_plain(environ.get(name, "")) for name in ("RD_JOB_EXECID", "RD_NODE_NAME")]
        return Place(folder, tuple(filter(None, own)), is_directory=True, overwrite=False)
    if text.startswith("/"):
        inside = f"{os.path.normpath(folder)}/"
        if not f"{text}/".startswith(inside):
            raise ValueError(f"expected a path in {folder}, the only folder that fetch-folder allows")
        text = text[len(inside) :] or "/"
    parts = tuple(part for part in text.split("/") if part not in {"", "."})
    if ".." in parts or not text.isprintable():
        raise ValueError("expected a path without .. and without control characters")
    return Place(folder, parts, is_directory=text.endswith(("/", "/.")), overwrite=False)


def _plain(name: str) -> str:
    """Return a name as one part of a path."""
    plain = "".join(char if char.isprintable() and char != "/" else "_" for char in name)
    return f"_{plain}" if plain in {".", ".."} else plain


def _compress(text: str) -> Compress:
    for name in get_args(Compress):
        if text == name:
            return cast("Compress", name)
    raise ValueError("expected auto, xz, gzip or none")


_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,12}) ?([KMGT]iB|)", text)
    if not found or not int(found[1]):
        raise ValueError("expected a number of bytes, or a number and KiB, MiB or GiB, like 500MiB")
    return int(found[1]) * _UNITS[found[2]]
