"""Environments that images give to the shells in them, and what a shell itself makes of a command there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from commands import Result
from unit.terminals import program

BASE = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color", "HOME": "/root"}

ALIKE = ("dash", "bash", "bash as sh", "busybox", "ksh", "mksh", "yash", "zsh")
"""The shells of `terminals`, each called by the name that an image has for it."""

_STARTUP_FILE = "a startup file"
_STARTUP = {
    "prints": "echo from the startup file; echo and its stderr >&2",
    "is strict": "set -euo pipefail",
    "is strict in sh": "set -eu",
    "prints code": "echo 'x; touch /tmp/ecs-exec-injected'",
    "ends": "exit 7",
    "turns output away": "exec >/dev/null",
    "has functions": "printf() { builtin printf '[%s]' \"$@\"; }; read() { return 1; }; exec() { echo no exec; }",
    "has aliases": "alias printf='echo no'; alias exec='echo no'; shopt -s expand_aliases 2>/dev/null",
    "traps its end": "trap 'echo trapped' EXIT",
    "sets TMOUT": "TMOUT=1; readonly TMOUT",
    "changes directory": "cd /usr",
    "sets IFS": "IFS=aeiou",
    "exports ours": "_a=1 _b=2 _c=3 _s=4; export _a _b _c _s",
}

_FUNCTIONS = (
    *("printf", "read", "exec", "eval", "unset", "set", "trap", "command", "builtin", "export", "echo", "test", "["),
    *("cat", "stty", "setsid", "id", "kill", "wait", "shift", "exit", "has", "m", "no", "true", ":", "declare", "env"),
)

_OURS = {f"_{letter}": f"its {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"}


def environments(folder: Path, shell: str) -> dict[str, Mapping[str, str | None]]:
    """Return environments for a shell by a name; None takes a variable away. Startup files are made in `folder`."""
    table: dict[str, Mapping[str, str | None]] = {
        "plain": {},
        "TMOUT": {"TMOUT": "1"},
        "TMOUT is no number": {"TMOUT": "1x"},
        "SHELLOPTS=posix": {"SHELLOPTS": "posix"},
        "many options": {"SHELLOPTS": "errexit:nounset:pipefail:noglob:allexport:keyword:noclobber:monitor"},
        "POSIXLY_CORRECT": {"POSIXLY_CORRECT": "1"},
        "POSIXLY_CORRECT is empty": {"POSIXLY_CORRECT": ""},
        "IFS": {"IFS": "abcdefghijklmnopqrstuvwxyz"},
        "IFS is empty": {"IFS": ""},
        "IFS is a dash": {"IFS": "-"},
        "PS4 runs a program": {"PS4": "$(touch /tmp/ecs-exec-injected)", "SHELLOPTS": "xtrace"},
        "PATH is unset": {"PATH": None},
        "PATH is empty": {"PATH": ""},
        "PATH leads nowhere": {"PATH": "/no/such:/nor/this"},
        "PATH is relative": {"PATH": "usr/bin:bin"},
        "PATH is odd": {"PATH": f":{BASE['PATH']}::/no such/$(touch /tmp/ecs-exec-injected)"},
        "CDPATH": {"CDPATH": "/usr:/var"},
        "HOME is unset": {"HOME": None},
        "nothing is set": {"PATH": None, "LANG": None, "TERM": None, "HOME": None},
        "LC_ALL=C": {"LC_ALL": "C"},
        "LC_ALL is unknown": {"LC_ALL": "xx_YY.utf8"},
        "LANG is Latin 1": {"LANG": "de_DE.ISO-8859-1", "LC_CTYPE": "de_DE.ISO-8859-1"},
        "BASH_XTRACEFD": {"BASH_XTRACEFD": "1"},
        "BASH_COMPAT": {"BASH_COMPAT": "31"},
        "BASH_COMPAT is wrong": {"BASH_COMPAT": "99"},
        "EXECIGNORE": {"EXECIGNORE": "*"},
        "GLOBIGNORE": {"GLOBIGNORE": "*"},
        "FUNCNEST": {"FUNCNEST": "1"},
        "FPATH": {"FPATH": str(folder / "functions")},
        "histories": {
            "HISTFILE": "/root/.h",
            "HISTSIZE": "3",
            "PROMPT_COMMAND": "echo no",
            "MAIL": "/m",
            "MAILCHECK": "0",
        },
        "numbers": {"COLUMNS": "20", "LINES": "3", "OPTIND": "4", "RANDOM": "5", "LINENO": "9"},
        "SHLVL": {"SHLVL": "7"},
        "SHLVL is a word": {"SHLVL": "deep"},
        "PWD and OLDPWD": {"PWD": "/no/such", "OLDPWD": "/usr"},
        "versions": dict.fromkeys(("ZSH_VERSION", "BASH_VERSION", "KSH_VERSION", "YASH_VERSION"), "5.9"),
        "versions of others": {
            "ZSH_VERSION": "5.9",
            "BASH_VERSION": "5.2.15(1)-release",
            "KSH_VERSION": "Version AJM 93u+m/1.0.4 2022-10-22",
            "YASH_VERSION": "2.52",
            "BB_ASH_VERSION": "1.36.1",
        },
        "names of ours": _OURS,
        "names of ours, allexport": {**_OURS, "SHELLOPTS": "allexport"},
        "odd values": {"A_NEWLINE": "a\nb\n", "QUOTES": "'\"`$(id)", "EMPTY": "", "LATIN": os.fsdecode(b"\xe4\xff")},
        "odd names": {"a.b": "1", "c-d": "2", "1e": "3", "f g": "4"},
        "yash's hooks": {"YASH_AFTER_CD": "echo moved", "COMMAND_NOT_FOUND_HANDLER": "echo not found"},
        "zsh's parameters": {"NULLCMD": "false", "READNULLCMD": "false", "WORDCHARS": "x", "ZDOTDIR": "/no/such"},
        "ksh's attributes": {"A__z": '"*_a=!_c'},
        "LD_PRELOAD": {"LD_PRELOAD": "/no/such.so"},
        "ENV": {"ENV": str(folder / "prints")},
        "all functions": {f"BASH_FUNC_{name}%%": "() { return 1; }" for name in _FUNCTIONS},
        "a function that works": {"BASH_FUNC_hello%%": "() { builtin echo hello; }"},
        "a function of the command's": {"BASH_FUNC_printf%%": "() { builtin printf '[%s]' \"$@\"; }"},
        "command_not_found_handle": {"BASH_FUNC_command_not_found_handle%%": "() { echo no $1; return 9; }"},
        "functions and options": {
            "BASH_FUNC_exec%%": "() { echo no; }",
            "SHELLOPTS": "errexit:posix",
            "BASHOPTS": "extdebug:nocasematch:failglob",
        },
        "a broken function": {"BASH_FUNC_broken%%": "() { :; }; echo shellshock"},
    }
    for option in (
        "errexit",
        "nounset",
        "xtrace",
        "verbose",
        "noglob",
        "noclobber",
        "allexport",
        "pipefail",
        "keyword",
    ):
        table[f"SHELLOPTS={option}"] = {"SHELLOPTS": option}
    for option in (
        "nocasematch",
        "failglob",
        "nullglob",
        "extdebug",
        "expand_aliases",
        "xpg_echo",
        "lastpipe",
        "dotglob",
    )[: None if shell.startswith("bash") else 1]:  # to the others all of them are one variable with a text
        table[f"BASHOPTS={option}"] = {"BASHOPTS": option}
    (folder / "functions").mkdir(exist_ok=True)
    (folder / "functions" / "setsid").write_text("setsid() { echo an autoloaded function; }\n")
    for name, text in _STARTUP.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / ".zshenv").write_text(text + "\n")
        table[f"{_STARTUP_FILE} {name}"] = {"BASH_ENV": f"{folder}/{name}/.zshenv", "ZDOTDIR": f"{folder}/{name}"}
    assert len(table) >= 70
    return table


def foreign(table: Mapping[str, Mapping[str, str | None]], shell: str) -> list[list[str]]:
    """Return the names of environments that a shell of another kind reads, each list those of one kind."""
    found = [title for title, changes in table.items() if changes and all(map(_is_of_bash, changes))]
    files = [title for title in table if title.startswith(_STARTUP_FILE)]
    if shell.startswith("bash"):
        return []
    return [found] if shell == "zsh" else [found, files]


def _is_of_bash(variable: str) -> bool:
    return variable.startswith("BASH") or variable in {"SHELLOPTS", "EXECIGNORE", "GLOBIGNORE"}


def different(folder: Path, shell: str) -> dict[str, Mapping[str, str | None]]:
    """Return the environments that are different to a shell. What it does not read are variables with some text."""
    table = environments(folder, shell)
    for titles in foreign(table, shell):
        together = {name: value for title in titles for name, value in table.pop(title).items()}
        table[f"{titles[0]} and {len(titles) - 1} more"] = together
    return table


def environ(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return a whole environment."""
    return {name: value for name, value in {**BASE, **changes}.items() if value is not None}


def single(name: str, folder: Path) -> str:
    """Return a shell's path under the name that an image has for it."""
    words = program(name)
    if len(words) == 1:
        return words[0]
    link = folder / name.replace(" ", "-") / "sh"
    link.parent.mkdir(exist_ok=True)
    if not link.exists():
        link.symlink_to(shutil.which(words[0]) or words[0])
    return str(link)


def by_itself(words: list[str], variables: Mapping[str, str]) -> Result:
    """Run words in an environment, as an image's own start of them does."""
    done = subprocess.run(
        words, env=dict(variables), stdin=subprocess.DEVNULL, capture_output=True, cwd="/", timeout=20, check=False
    )
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Result(done.stdout, done.stderr, status)
