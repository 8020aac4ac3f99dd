"""Copies one file of this server into a container, for Rundeck's file copier."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from ecs_exec.command import shell_wrapper
from ecs_exec.command.runner import Runner, Work
from ecs_exec.files.local_file import LocalFile
from ecs_exec.files.receiver import BOOTSTRAP, Receiver, for_destination
from ecs_exec.files.upload import Uploading
from ecs_exec.settings.file_copy import FileCopy
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputClosed, OutputStreams


class Copying(Uploading):
    """The client's side of a copy: it is over with the upload, and no command follows."""

    what = "the copy"
    end = "the copy's end"
    not_done = "the file was not copied into"

    def __init__(
        self,
        wrapped: shell_wrapper.Wrapped,
        receiver: Receiver,
        content: LocalFile,
        streams: OutputStreams,
        where: str,
        *,
        shell_name: str,
        destination: str,
    ) -> None:
        """Take the arguments of `Uploading`, and the destination path as Rundeck gives it."""
        super().__init__(wrapped, receiver, content, streams, where, shell_name=shell_name)
        self._destination = destination
        self.path = ""
        """Absolute path of the file in the container; known once the receiver has begun."""

    def _objection(self, named: bool, folder: str) -> str:
        path = self._destination
        if path.startswith("~"):  # `folder` is the home of the user that it names
            path = f"{folder.rstrip('/')}/{path.partition('/')[2]}"
        elif not path.startswith("/"):
            path = f"{folder.rstrip('/')}/{path}"
        self.path = f"{path.rstrip('/')}/{self._content.name}" if named else path
        if named and _is_several_lines(self.path):
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
    talks: deque[Copying] = deque(maxlen=1)  # only the last attempt's: each holds pieces of the file in memory

    def protocol(streams: OutputStreams, where: str) -> Copying:
        copying = Copying(
            wrapped, receiver, content, streams, where, shell_name=run.shell, destination=file_copy.destination
        )
        talks.append(copying)
        return copying

    status = Runner(file_copy.execution, environ, interrupts, streams, work=Work(wrapped, protocol)).run()
    if status == 0 and not _is_several_lines(talks[-1].path):
        with suppress(OutputClosed):  # the file is copied, whether or not somebody reads its path
            streams.out(os.fsencode(talks[-1].path) + b"\n")
    return status


def _is_several_lines(path: str) -> bool:
    """Return whether Rundeck would cut a path: it takes the first line of stdout.

    If nothing is printed, Rundeck uses the path that it asked for.
    """
    return "\n" in path or "\r" in path
