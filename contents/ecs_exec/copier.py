"""Copy one file of this server into a container, for Rundeck's file copier."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from ecs_exec import shell
from ecs_exec.content import Content
from ecs_exec.receiver import for_destination
from ecs_exec.run import Runner, Work
from ecs_exec.settings.file_copy import FileCopy
from ecs_exec.signals import Interrupts
from ecs_exec.sink import OutputClosed, Sink
from ecs_exec.upload import Uploading


class Copying(Uploading):
    """The talk of a copy: all is said with the upload."""

    what = "the copy"
    end = "the copy's end"
    not_done = "the file was not copied into"

    def __init__(
        self,
        wrapped: shell.Wrapped,
        content: Content,
        sink: Sink,
        where: str,
        *,
        shell_name: str,
        destination: str,
    ) -> None:
        """Take what `Uploading` takes, and where the file is to be."""
        super().__init__(wrapped, content, sink, where, shell_name)
        self._destination = destination
        self.path = ""
        """Where the file is, absolute; known once the receiver has begun."""

    def _objection(self, named: bool, folder: str) -> str:
        path = self._destination
        if named:
            path = f"{path.rstrip('/')}/{self._content.name}"
        self.path = path if path.startswith("/") else f"{folder.rstrip('/')}/{path}"
        if named and _is_several_lines(self.path):
            return (
                "the destination is a directory, and the path of the file in it holds a line break, which Rundeck's"
                " copiers cannot tell; name the file in the destination"
            )
        return ""


def copy(file_copy: FileCopy, environ: Mapping[str, str], interrupts: Interrupts, sink: Sink) -> int:
    """Copy the file; print the path it has in the container, and return the exit status.

    Raises EcsExecError where it is not known to be there, and the same.
    """
    with Content.open(file_copy.file) as content:
        return _copy(file_copy, content, environ, interrupts, sink)


def _copy(file_copy: FileCopy, content: Content, environ: Mapping[str, str], interrupts: Interrupts, sink: Sink) -> int:
    nonce = shell.new_nonce()
    run = file_copy.execution.run
    wrapped = shell.wrap(
        "",
        nonce=nonce,
        shell=run.shell,
        user=run.user,
        workdir=run.workdir,
        receiver=for_destination(nonce, file_copy.destination, content.name, content.mode),
    )
    talks: list[Copying] = []

    def dialogue(sink: Sink, where: str) -> Copying:
        talks.append(Copying(wrapped, content, sink, where, shell_name=run.shell, destination=file_copy.destination))
        return talks[-1]

    status = Runner(file_copy.execution, environ, interrupts, sink, work=Work(wrapped, dialogue)).run()
    if status == 0 and not _is_several_lines(talks[-1].path):
        with suppress(OutputClosed):  # it is there all the same
            sink.out(os.fsencode(talks[-1].path) + b"\n")
    return status


def _is_several_lines(path: str) -> bool:
    """Tell a path that Rundeck would cut: it takes the first line. Where there is none it takes what it asked for."""
    return "\n" in path or "\r" in path
