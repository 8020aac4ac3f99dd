"""Runs a script of this server in a container: one session sends, runs and removes it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ecs_exec.command import shell_wrapper
from ecs_exec.command.runner import Runner, Work
from ecs_exec.command.script_protocol import ScriptProtocol, Wording
from ecs_exec.files.local_file import LocalFile
from ecs_exec.files.receiver import BOOTSTRAP, for_script
from ecs_exec.files.script_command import command
from ecs_exec.files.unix_text import as_unix_text
from ecs_exec.files.upload import UploadProtocol
from ecs_exec.settings.script import Script
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputStreams

WORDING = Wording("the script", "the script's end", "the script was not run in")

_HEAD = 4096
"""Bytes of a script's beginning that decide how to start it: its `#!` line, or a NUL in a binary."""


def run_script(script: Script, environ: Mapping[str, str], interrupts: Interrupts, streams: OutputStreams) -> int:
    """Run the script; return the plugin's exit status. Raises EcsExecError if the script's own is not known."""
    with _content(script) as content:
        return _run_script(script, content, environ, interrupts, streams)


def _content(script: Script) -> LocalFile:
    if script.text:
        return LocalFile.of_text(as_unix_text(os.fsencode(script.text)))
    return LocalFile.open(script.file, script.folder).as_unix_text()


def _run_script(
    script: Script, content: LocalFile, environ: Mapping[str, str], interrupts: Interrupts, streams: OutputStreams
) -> int:
    run = script.execution.run
    wrapped = shell_wrapper.wrap(
        command(script.interpreter, script.arguments, content.head(_HEAD), run.shell),
        nonce=shell_wrapper.new_nonce(),
        shell=run.shell,
        user=run.user,
        workdir=run.workdir,
        tty=run.tty,
        env=run.env,
        receiver=BOOTSTRAP,
    )
    receiver = for_script()

    def protocol(streams: OutputStreams, where: str) -> UploadProtocol:
        return UploadProtocol(ScriptProtocol(wrapped, streams, where, run.shell, WORDING), receiver, content)

    return Runner(script.execution, environ, interrupts, streams, work=Work(wrapped, protocol)).run()
