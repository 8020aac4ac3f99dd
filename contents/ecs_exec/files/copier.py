"""Copies one file of this server into a container, for Rundeck's file copier."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from ecs_exec.command import shell_wrapper
from ecs_exec.command.runner import Runner, Work
from ecs_exec.command.script_protocol import ScriptProtocol, Wording
from ecs_exec.files.local_file import LocalFile
from ecs_exec.files.receiver import BOOTSTRAP, for_destination
from ecs_exec.files.upload import UploadProtocol
from ecs_exec.settings.file_copy import FileCopy
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputClosed, OutputStreams

WORDING = Wording("the copy", "the copy's end", "the file was not copied into")


class Destination:
    """The place of a copy in the container."""

    def __init__(self, path: str, name: str) -> None:
        """Take the path as Rundeck gives it, and the file's name, which is used if the path is a directory."""
        self._given = path
        self._name = name
        self.path = ""
        """Absolute path of the file in the container; known once the receiver has begun."""

    def objection(self, is_directory: bool, base: str) -> str:
        """Find the file's path, and return why it must not be sent there, empty if it may; see `UploadProtocol`."""
        path = self._given
        if path.startswith("~"):  # `base` is the home of the user that it names
            path = f"{base.rstrip('/')}/{path.partition('/')[2]}"
        elif not path.startswith("/"):
            path = f"{base.rstrip('/')}/{path}"
        self.path = f"{path.rstrip('/')}/{self._name}" if is_directory else path
        if is_directory and _is_several_lines(self.path):
            return (
                "the destination is a directory, and the path of the file in it contains a newline, which Rundeck"
                " cannot report; include a file name in the destination"
            )
        return ""


def copy(file_copy: FileCopy, environ: Mapping[str, str], interrupts: Interrupts, streams: OutputStreams) -> int:
    """Copy the file, print its path in the container on stdout, and return the exit status.

    Raises EcsExecError unless the copy was verified.
    """
    with LocalFile.open(file_copy.file) as content:
        return _copy(file_copy, content, environ, interrupts, streams)


def _copy(
    file_copy: FileCopy, content: LocalFile, environ: Mapping[str, str], interrupts: Interrupts, streams: OutputStreams
) -> int:
    run = file_copy.execution.run
    receiver = for_destination(file_copy.destination, content.name, content.mode)
    wrapped = shell_wrapper.wrap(
        "",
        nonce=shell_wrapper.new_nonce(),
        shell=run.shell,
        user=run.user,
        workdir=run.workdir,
        receiver=BOOTSTRAP,
    )
    destination = Destination(file_copy.destination, content.name)

    def protocol(streams: OutputStreams, where: str) -> UploadProtocol:
        session = ScriptProtocol(wrapped, streams, where, run.shell, WORDING)
        return UploadProtocol(session, receiver, content, destination.objection)

    status = Runner(file_copy.execution, environ, interrupts, streams, work=Work(wrapped, protocol)).run()
    if status == 0 and not _is_several_lines(destination.path):
        with suppress(OutputClosed):  # the file is copied, whether or not somebody reads its path
            streams.out(os.fsencode(destination.path) + b"\n")
    return status


def _is_several_lines(path: str) -> bool:
    """Return whether Rundeck would cut a path: it takes the first line of stdout.

    If nothing is printed, Rundeck uses the path that it asked for.
    """
    return "\n" in path or "\r" in path
