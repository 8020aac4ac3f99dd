"""Run a script of this server in a container: sent, run and removed in one session."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ecs_exec import shell
from ecs_exec.content import Content
from ecs_exec.receiver import for_script
from ecs_exec.run import Runner, Work
from ecs_exec.settings.script import Script
from ecs_exec.signals import Interrupts
from ecs_exec.sink import Sink
from ecs_exec.upload import Uploading

_HEAD = 4096
"""Bytes in which a script shows what it is."""


class Scripting(Uploading):
    """The talk of a script: its upload, then its output."""

    what = "the script"
    end = "the script's end"
    not_done = "the script was not run in"


def run_script(script: Script, environ: Mapping[str, str], interrupts: Interrupts, sink: Sink) -> int:
    """Run the script; return the exit status to end with. Raises EcsExecError where its own cannot be told."""
    with (
        Content.of_text(os.fsencode(script.text))
        if script.text
        else Content.open(script.file, script.folder) as content
    ):
        return _run_script(script, content, environ, interrupts, sink)


def _run_script(
    script: Script, content: Content, environ: Mapping[str, str], interrupts: Interrupts, sink: Sink
) -> int:
    nonce = shell.new_nonce()
    run = script.execution.run
    wrapped = shell.wrap(
        command(script.interpreter, script.arguments, content.head(_HEAD), run.shell),
        nonce=nonce,
        shell=run.shell,
        user=run.user,
        workdir=run.workdir,
        tty=run.tty,
        env=run.env,
        receiver=for_script(nonce),
    )

    def dialogue(sink: Sink, where: str) -> Scripting:
        return Scripting(wrapped, content, sink, where, run.shell)

    return Runner(script.execution, environ, interrupts, sink, work=Work(wrapped, dialogue)).run()


def command(interpreter: Sequence[str], arguments: Sequence[str], head: bytes, shell_name: str) -> str:
    """Return the command that runs the script in the file `$_f`, see `shell.wrap`; `head` is its beginning.

    What its first line names is started here rather than by the kernel, so that the folder may forbid execution. Only
    a program that is no text is left to the kernel.
    """
    if not interpreter:
        interpreter = _of_first_line(head) or (() if b"\0" in head else (shell_name,))
    if interpreter and interpreter[-1] == "-":
        return f'exec {_quoted(interpreter)} {_quoted(arguments)} <"$_f"'
    before = f"{_quoted(interpreter)} " if interpreter else ""
    return f'exec {before}"$_f" {_quoted(arguments)}'


def _of_first_line(head: bytes) -> tuple[str, ...]:
    """Return the program of a first line like `#!/usr/bin/env bash` and what follows it, which is one argument."""
    if not head.startswith(b"#!"):
        return ()
    line = os.fsdecode(head[2:].partition(b"\n")[0]).strip(" \t")
    return tuple(line.replace("\t", " ").split(" ", 1))


def _quoted(words: Sequence[str]) -> str:
    return " ".join(map(shell.single_quoted, words))
