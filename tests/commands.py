"""Commands that must give the same results as `sh -c`, on any way into the container: the table of the promise."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    stdout: bytes
    stderr: bytes
    status: int

    def __str__(self) -> str:
        """Show it shortly."""
        return f"status {self.status}, stdout {_shown(self.stdout)}, stderr {_shown(self.stderr)}"


def _shown(data: bytes) -> str:
    return f"{data[:200]!r}... ({len(data)} bytes)" if len(data) > 200 else repr(data)


COMMANDS: dict[str, str] = {
    "echo": "echo hello",
    "double quotes": 'echo "a \\"b\\" c"',
    "single quotes": "echo 'it'\\''s'",
    "backslashes": r"printf '%s\n' 'a\b\\c\n'",
    "expansions": 'echo `echo inner` "[$NO_SUCH_VARIABLE]" {a,b}; false; echo $?; cd ~ && pwd; (cd /tmp; pwd)',
    "control flow": 'f() { echo "f:$1"; return 7; }; f a; echo $?; for i in 1 2; do case $i in 1) echo a;; esac; done',
    "how shells end": "(exit 9); echo $?; true | false; echo $?; trap 'echo bye' EXIT; set -e; false; echo unreachable",
    "dollar": "x=5; echo $x '$x' \"$x\" $((x * 2)) ${x}y",
    "positional": 'echo "$# [$1] [$0]" | sed "s/\\[[^]]*\\]$/name/"',
    "globs": "cd /; echo [e]t[c] ?no-such* '*'",
    "pipe": "printf 'b\\na\\n' | sort | tr a-z A-Z",
    "and, or": "true && echo yes || echo no; false && echo yes || echo no",
    "comment": "echo a # b",
    "leading comment": "# nothing but a comment",
    "hash in a word": "echo a#b '#c'",
    "newlines": "echo a\necho b\n\necho c\n",
    "here-document": "cat <<'EOF'\nline $one\n  line two\\\nEOF\necho after",
    "redirections": "echo to-err >&2; echo to-out; echo both 2>&1 >/dev/null",
    "descriptors of ours": "for n in 3 4 5 6 7; do (: >&$n) 2>/dev/null && echo open $n; done; echo done",
    "umlauts": "echo 'grüße, 世界 🙂'",
    "replacement character": "printf 'a\\357\\277\\275b\\n'",
    "invalid bytes": "printf '\\377\\376\\200middle\\300\\n'",
    "invalid bytes at the end": "printf 'tail\\377\\376'",
    "invalid byte in the command": b"printf '%s' 'a\xffb'".decode(errors="surrogateescape"),
    "NUL": "printf 'a\\0b\\0'",
    "all bytes": 'i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %03o $i)"; i=$((i+1)); done',
    "control characters in the command": "printf '%s' 'a\x01\x03\x04\x1a\x7fb'",
    "tab in the command": "printf '%s' 'a\tb'",
    "CR and LF": "printf 'a\\r\\nb\\r\\n10%%\\r20%%\\r\\n\\r\\r\\n\\n\\n\\n\\r'",
    "CR in the command": "printf '%s' 'a\rb'",
    "escape sequences": "printf '\\033[31mred\\033[0m\\033]0;title\\007\\n'",
    "no final newline": "printf abc",
    "many blank lines": "printf '\\n\\n\\n'",
    "no output": "true",
    "5 MB of lines": "seq 1 700000",
    "200 kB on one line": "head -c 200000 /dev/zero | tr '\\0' y; echo",
    "100 kB on one line of stderr": "head -c 100000 /dev/zero | tr '\\0' z >&2",
    "stderr only": "echo only >&2",
    "stderr with blanks": "printf '  a\\\\b  \\n\\n\\t$x `y` %%s\\n' >&2",
    "stderr in UTF-8": "echo 'grüße 🙂' >&2; printf '\\303' >&2; printf '\\274\\n' >&2",
    "both at once": "for i in $(seq 1 300); do echo out $i; echo err $i >&2; done",
    "both from two processes": "(seq 1 2000 >&2) & seq 1 2000; wait",
    "a look-alike mark": "printf '\\036%s%s\\n' 0123456789abcdef0123456789abcdef X0; printf '\\036'; echo",
    "a look-alike mark on stderr": "printf '\\0360123456789abcdef0123456789abcdefX0\\n\\036' >&2",
    "a look-alike banner": "printf '\\n\\nExiting session with sessionId: ecs-execute-command-0.\\n\\n'",
    "syntax error": "{ if; } 2>/dev/null",
    "killed by TERM": "kill -TERM $$",
    "killed by KILL": "kill -KILL $$",
    "killed by INT": "kill -INT $$",
    "killed by SEGV": "ulimit -c 0; kill -SEGV $$",
    "child killed": "exec 2>/dev/null; sh -c 'kill -KILL $$'; echo $?",
    "background child, waited for": "sleep 0.1 & wait; echo done",
    "background child holds stdout": "(sleep 0.3; echo late) & echo early",
    "background child holds stderr": "(sleep 0.3; echo late >&2) & echo early",
    "stdin at its end": "cat; echo end",
    "stdin is no terminal": "test -t 0; echo $?",
    "stdout is no terminal": "test -t 1; echo $?; test -t 2; echo $?",
    "100 kB of command": "printf '%s' '" + "abc'\\''d\te\\f \"g\" $h" * 4700 + "'",
    "long and not ASCII": "printf '%s' '" + "grüße 世界 🙂 " * 2000 + "'",
    "just too long for inline": "echo " + "x" * 7000,
    "ssm parameter": "echo '{{ssm:x}}' {{ssm:y}} '{ {' '{{{'",
    "leading dash": "-no-such-option 2>/dev/null",
    "empty": "",
} | {f"exit {status}": f"exit {status}" for status in (1, 42, 124, 125, 126, 127, 255)}
"""Names and commands. stdin is empty, and no stream is a terminal."""


def locally(command: str, shell: Sequence[str], environ: Mapping[str, str], cwd: str = "/") -> Result:
    """Run a command on this machine, as the standard to compare with."""
    done = subprocess.run(
        [*shell, "-c", os.fsencode(command)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=dict(environ),
        cwd=cwd,
        timeout=60,
        check=False,
        start_new_session=True,
    )
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Result(done.stdout, done.stderr, status)
