"""Opens files of this server for jobs: only regular files on real file systems, never views of the kernel.

`/proc/self/environ` looks like a regular file and holds the secret access key and all secure options. The name of a
file does not show this: links lead there, and procfs can be mounted anywhere. The mount of the opened file does.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Protocol

from ecs_exec.errors import SettingsError

_MADE_UP = frozenset(
    {
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cpuset", "debugfs", "devpts", "devtmpfs"),
        *("efivarfs", "functionfs", "fuse.lxcfs", "fusectl", "hugetlbfs", "mqueue", "nfsd", "nsfs", "proc", "pstore"),
        *("resctrl", "rpc_pipefs", "securityfs", "selinuxfs", "smackfs", "sysfs", "tracefs"),
    }
)
"""File systems whose files are views of the kernel."""

_PLACES = re.compile(r"/dev|/(?:proc|sys)(?:/.*)?")
"""Mount points whose files are refused whatever the file system: containers mount tmpfs on them."""


class Readable(Protocol):
    """An open binary file."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` of the next bytes, none at the end."""

    def seek(self, offset: int, /) -> object:
        """Set the position to so many bytes from the beginning."""

    def tell(self) -> int:
        """Return the position, in bytes from the beginning."""

    def close(self) -> object:
        """Close the file."""


def open_regular(path: str, below: str = "") -> int:
    """Open a file for reading and return its descriptor.

    `below` is a directory that must hold the file after all links are followed; empty: any. Raises SettingsError if the
    file cannot be read, is not regular, is a view of the kernel, or lies elsewhere.
    """
    looked = _opened(path, os.O_PATH)  # opens without reading: opening a device for reading may trigger an action
    try:
        status = os.fstat(looked)
        if not stat.S_ISREG(status.st_mode):
            raise SettingsError(name="file-not-regular", path=path)
        if status.st_nlink == 0 or _is_made_up(looked):
            raise SettingsError(name="file-of-the-kernel", path=path)
        if below and not _is_below(looked, below):
            raise SettingsError(name="file-outside-folder", path=path, folder=below)
        # O_NONBLOCK: without it this would wait for ever if somebody put a pipe without a writer there meanwhile.
        descriptor = _opened(path, os.O_RDONLY | os.O_NONBLOCK)
        if not os.path.samestat(status, os.fstat(descriptor)):
            os.close(descriptor)
            raise SettingsError(name="file-replaced", path=path)
        return descriptor
    finally:
        os.close(looked)


def _opened(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        raise SettingsError(name="file-unreadable", path=path, why=error.strerror) from error


def _is_below(descriptor: int, folder: str) -> bool:
    try:
        found = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return False
    return Path(os.path.realpath(folder)) in Path(found).parents


def _is_made_up(descriptor: int) -> bool:
    """Return whether a file is on one of the kernel's file systems, or on a mount that this process cannot see."""
    try:
        info = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii")
        mounts = Path("/proc/self/mountinfo").read_bytes().decode(errors="surrogateescape").split("\n")
    except OSError:
        return False  # without /proc its files cannot be read either
    number = re.search(r"^mnt_id:\s*(\d+)$", info, re.MULTILINE)
    device = os.fstat(descriptor).st_dev
    # gVisor reports no number of the mount, but each of its file systems has a device of its own.
    at, wanted = (0, number[1]) if number else (2, f"{os.major(device)}:{os.minor(device)}")
    for mount in mounts:
        fields, _, rest = mount.partition(" - ")
        parts = fields.split(" ")
        if parts[at : at + 1] == [wanted]:
            return rest.split(" ")[0] in _MADE_UP or bool(_PLACES.fullmatch(parts[4]))
    return bool(number)
