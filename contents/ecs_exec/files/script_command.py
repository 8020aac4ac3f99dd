"""Builds the command that runs a script in the container with its interpreter. Does no I/O."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ecs_exec.command import shell_wrapper

_SHELLS = frozenset({"csh", "lksh", "posh", "rbash", "rksh", "sh", "tcsh", "yash", "zsh"}) | frozenset(
    {"ash", "bash", "dash", "ksh", "ksh88", "ksh93", "loksh", "mksh", "oksh", "pdksh"}
)
"""Programs for which `-s` means "read the script from stdin" and a lone `-` ends the options."""

_LOGIN = frozenset({"su", "runuser", "env"})
"""Programs for which a lone `-` is an option of their own."""

_STDIN = "<"
"""As the last word of an interpreter: stdin is the script. For programs such as sqlite3 that have no option for it."""


def command(interpreter: Sequence[str], arguments: Sequence[str], head: bytes, shell_name: str) -> str:
    """Return the command that runs the received script, whose path is the placeholder `shell_wrapper.RECEIVED`.

    `head` is the script's beginning. Without an `interpreter` its first line (`#!`) names one, else it is the shell
    `shell_name`. That program is started by name and not by the kernel, so that the script also runs in a directory
    whose mount forbids execution. Only a script that is a binary (it holds a NUL) is left to the kernel.
    """
    if not interpreter:
        interpreter = _of_first_line(head) or (() if b"\0" in head else (shell_name,))
    if interpreter and interpreter[-1] == _STDIN:
        words = [*_quoted([*interpreter[:-1], *arguments]), f"<{shell_wrapper.RECEIVED}"]
    elif reads_stdin(interpreter):
        options = _end_of_options(interpreter, arguments)
        words = [*_quoted([*interpreter, *options, *arguments]), f"<{shell_wrapper.RECEIVED}"]
    else:
        words = [*_quoted(interpreter), shell_wrapper.RECEIVED, *_quoted(arguments)]
    return " ".join(["exec", *words])


def reads_stdin(interpreter: Sequence[str]) -> bool:
    """Return whether these words read a script from stdin. If so, a script's path behind them would not be run."""
    options = _shell_options(interpreter)
    if options is not None:
        return options.stdin
    return any(word == "-" and _name(before) not in _LOGIN for before, word in pairwise(interpreter))


def _end_of_options(interpreter: Sequence[str], arguments: Sequence[str]) -> tuple[str, ...]:
    """Return `--` if a shell would take the script's first argument, such as -x, for an option of its own."""
    options = _shell_options(interpreter)
    is_needed = options is not None and not options.ended and arguments and arguments[0][:1] in {"-", "+"}
    return ("--",) if is_needed else ()


class _Options(NamedTuple):
    """What is known of the options of a shell among the interpreter's words."""

    stdin: bool
    """`-s` is among them, alone or as in `-eus`, and `-c`, which wins over it, is not."""
    ended: bool
    """The options are over: words that follow are not options."""


def _shell_options(interpreter: Sequence[str]) -> _Options | None:
    """Return the options of the last shell among the words; None if there is none."""
    places = [place for place, word in enumerate(interpreter) if _name(word) in _SHELLS]
    if not places:
        return None
    stdin = False
    words = iter(interpreter[places[-1] + 1 :])
    for word in words:
        if word in {"-", "--"} or word[:1] not in {"-", "+"}:
            return _Options(stdin, ended=True)
        if word.startswith("--"):
            if word in {"--rcfile", "--init-file"}:
                next(words, "")
        elif "c" in word:
            return _Options(stdin=False, ended=False)
        else:
            stdin = stdin or (word[0] == "-" and "s" in word)
            if word[-1] in "oO":  # the option's name is the next word
                next(words, "")
    return _Options(stdin, ended=False)


def _name(word: str) -> str:
    return word.rpartition("/")[2]


def _of_first_line(head: bytes) -> tuple[str, ...]:
    """Return the program of a first line like `#!/usr/bin/env bash`, and the rest of the line as one argument.

    Empty if the line does not begin with `#!`.
    """
    if not head.startswith(b"#!"):
        return ()
    line = os.fsdecode(head[2:].partition(b"\n")[0]).strip(" \t\r")
    return tuple(line.replace("\t", " ").split(" ", 1))


def _quoted(words: Sequence[str]) -> list[str]:
    """Quote words. An empty pair of quotes splits RECEIVED in a word, which would be replaced by the path."""
    parted = f"{shell_wrapper.RECEIVED[:2]}''{shell_wrapper.RECEIVED[2:]}"
    return [shell_wrapper.single_quoted(word).replace(shell_wrapper.RECEIVED, parted) for word in words]
