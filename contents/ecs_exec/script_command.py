"""From a script's interpreter to the command that runs the script in the container. Does no I/O."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise

from ecs_exec import shell

_SHELLS = frozenset({"csh", "lksh", "posh", "rbash", "rksh", "sh", "tcsh", "yash", "zsh"}) | frozenset(
    {"ash", "bash", "dash", "ksh", "ksh88", "ksh93", "loksh", "mksh", "oksh", "pdksh"}
)
"""Programs that take `-s` for "read the script from stdin" and a lone `-` for the end of their options."""

_LOGIN = frozenset({"su", "runuser", "env"})
"""Programs to which a lone `-` is an option of their own."""

_STDIN = "<"
"""As last word: the script is stdin, for programs such as sqlite3 that have no word for it."""


def command(interpreter: Sequence[str], arguments: Sequence[str], head: bytes, shell_name: str) -> str:
    """Return the command that runs the script in the file `$_f`, see `shell.wrap`; `head` is its beginning.

    What its first line names is started here instead of by the kernel, so that the folder may forbid execution. Only a
    program that is no text is left to the kernel.
    """
    if not interpreter:
        interpreter = _of_first_line(head) or (() if b"\0" in head else (shell_name,))
    if interpreter and interpreter[-1] == _STDIN:
        return f'exec {_quoted([*interpreter[:-1], *arguments])} <"$_f"'
    if reads_stdin(interpreter):
        # Without it a shell takes an argument like -x for an option of its own.
        end = ["--"] if interpreter[-1][-1:] != "-" and arguments and arguments[0][:1] in {"-", "+"} else []
        return f'exec {_quoted([*interpreter, *end, *arguments])} <"$_f"'
    before = f"{_quoted(interpreter)} " if interpreter else ""
    return f'exec {before}"$_f" {_quoted(arguments)}'


def reads_stdin(interpreter: Sequence[str]) -> bool:
    """Return whether these words read a script from stdin; one that is only named to them would not be run."""
    shells = [place for place, word in enumerate(interpreter) if _name(word) in _SHELLS]
    if shells:
        return _is_told_to_read_stdin(interpreter[shells[-1] + 1 :])
    return any(word == "-" and _name(before) not in _LOGIN for before, word in pairwise(interpreter))


def _is_told_to_read_stdin(options: Sequence[str]) -> bool:
    """Return whether a shell's options hold `-s`, alone or among others like `-eus`; not after `-c`, which wins."""
    found = False
    words = iter(options)
    for word in words:
        if word in {"-", "--"} or word[:1] not in {"-", "+"}:
            break
        if word.startswith("--"):
            if word in {"--rcfile", "--init-file"}:
                next(words, "")
            continue
        if "c" in word:
            return False
        found = found or (word[0] == "-" and "s" in word)
        if word[-1] in "oO":  # the option's name is the next word
            next(words, "")
    return found


def _name(word: str) -> str:
    return word.rpartition("/")[2]


def _of_first_line(head: bytes) -> tuple[str, ...]:
    """Return the program of a first line like `#!/usr/bin/env bash` and what follows it, which is one argument."""
    if not head.startswith(b"#!"):
        return ()
    line = os.fsdecode(head[2:].partition(b"\n")[0]).strip(" \t\r")
    return tuple(line.replace("\t", " ").split(" ", 1))


def _quoted(words: Sequence[str]) -> str:
    return " ".join(map(shell.single_quoted, words))
