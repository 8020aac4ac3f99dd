"""Commands that must come out as `sh -c` gives them, whatever lies between: the table of the promise."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """What a command leaves behind."""

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
    "two words": "echo 'two  words'",
    "double quotes": 'echo "a \\"b\\" c"',
    "single quotes": "echo 'it'\\''s'",
    "backslashes": r"printf '%s\n' 'a\b\\c\n'",
    "backquotes": "echo `echo inner`",
    "dollar": "x=5; echo $x '$x' \"$x\" $((x * 2)) ${x}y",
    "unset variable": 'echo "[$NO_SUCH_VARIABLE]"',
    "positional": 'echo "$# [$1] [$0]" | sed "s/\\[[^]]*\\]$/name/"',
    "special parameters": "true; echo $?; false; echo $?",
    "globs": "cd /; echo [e]t[c] ?no-such* '*'",
    "braces": "echo {a,b} '{a,b}'",
    "tilde": "cd ~ && pwd",
    "pipe": "printf 'b\\na\\n' | sort | tr a-z A-Z",
    "and, or": "true && echo yes || echo no; false && echo yes || echo no",
    "semicolons": "echo a; echo b;echo c",
    "comment": "echo a # b",
    "leading comment": "# nothing but a comment",
    "comment then command": "# first\necho second",
    "hash in a word": "echo a#b '#c'",
    "newlines": "echo a\necho b\n\necho c\n",
    "here-document": "cat <<'EOF'\nline $one\n  line two\\\nEOF\necho after",
    "here-document expanded": "v=x; cat <<EOF\n[$v] `echo y`\nEOF",
    "function": 'f() { echo "f:$1"; return 7; }; f a; echo $?',
    "loop": "for i in 1 2 3; do echo $i; done",
    "case": "case abc in a*) echo starts;; *) echo no;; esac",
    "subshell": "(cd /tmp; pwd); pwd >/dev/null",
    "redirections": "echo to-err >&2; echo to-out; echo both 2>&1 >/dev/null",
    "spare descriptors": "exec 8>&1; echo eight >&8; { echo x >&9; } 9>&2",
    "descriptors of ours": "for n in 3 4 5 6 7; do (: >&$n) 2>/dev/null && echo open $n; done; echo done",
    "umlauts": "echo 'grüße, 世界 🙂'",
    "umlauts one by one": "printf '\\303'; sleep 0.05; printf '\\274\\n'",
    "combining": "printf 'e\\314\\201\\n'",
    "replacement character": "printf 'a\\357\\277\\275b\\n'",
    "invalid bytes": "printf '\\377\\376\\200middle\\300\\n'",
    "invalid bytes at the end": "printf 'tail\\377\\376'",
    "latin-1": "printf 'caf\\351\\n'",
    "invalid byte in the command": b"printf '%s' 'a\xffb'".decode(errors="surrogateescape"),
    "NUL": "printf 'a\\0b\\0'",
    "all bytes": 'i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %03o $i)"; i=$((i+1)); done',
    "control characters": "printf '\\001\\002\\003\\004\\015\\021\\023\\032\\034\\177\\n'",
    "control characters in the command": "printf '%s' 'a\x01\x03\x04\x1a\x7fb'",
    "tab in the command": "printf '%s' 'a\tb'",
    "CRLF": "printf 'a\\r\\nb\\r\\n'",
    "CR": "printf '10%%\\r20%%\\r100%%\\n'",
    "CR in the command": "printf '%s' 'a\rb'",
    "CR before LF before CR": "printf '\\r\\r\\n\\n\\r'",
    "escape sequences": "printf '\\033[31mred\\033[0m\\033]0;title\\007\\n'",
    "no final newline": "printf abc",
    "only a newline": "echo",
    "many blank lines": "printf '\\n\\n\\n'",
    "no output": "true",
    "5 MB": "head -c 5000000 /dev/zero | tr '\\0' x",
    "5 MB of lines": "seq 1 700000",
    "200 kB on one line": "head -c 200000 /dev/zero | tr '\\0' y; echo",
    "100 kB on one line of stderr": "head -c 100000 /dev/zero | tr '\\0' z >&2",
    "a thousand lines of stderr": "seq 1 1000 >&2",
    "stderr only": "echo only >&2",
    "stderr without newline": "printf part >&2",
    "stderr with blanks": "printf '  a\\\\b  \\n\\n\\t$x `y` %%s\\n' >&2",
    "stderr in UTF-8": "echo 'grüße 🙂' >&2; printf '\\303' >&2; printf '\\274\\n' >&2",
    "both": "echo o1; echo e1 >&2; echo o2; echo e2 >&2",
    "both at once": "for i in $(seq 1 300); do echo out $i; echo err $i >&2; done",
    "both from two processes": "(seq 1 2000 >&2) & seq 1 2000; wait",
    "a look-alike mark": "printf '\\036%s%s\\n' 0123456789abcdef0123456789abcdef X0; printf '\\036'; echo",
    "a look-alike mark on stderr": "printf '\\0360123456789abcdef0123456789abcdefX0\\n\\036' >&2",
    "a look-alike banner": "printf '\\n\\nExiting session with sessionId: ecs-execute-command-0.\\n\\n'",
    "missing command": "no-such-command-here 2>/dev/null",
    "syntax error": "{ if; } 2>/dev/null",
    "exit in a subshell": "(exit 9)",
    "pipeline status": "true | false",
    "set -e": "set -e; false; echo unreachable",
    "exec": "exec sh -c 'echo replaced; exit 5'",
    "trap": "trap 'echo bye' EXIT; exit 4",
    "killed by TERM": "kill -TERM $$",
    "killed by KILL": "kill -KILL $$",
    "killed by INT": "kill -INT $$",
    "killed by HUP": "kill -HUP $$",
    "killed by SEGV": "ulimit -c 0; kill -SEGV $$",
    "killed by PIPE": "sh -c 'kill -PIPE $$'",
    "broken pipe": "yes 2>/dev/null | head -n 1",
    "child killed": "exec 2>/dev/null; sh -c 'kill -KILL $$'; echo $?",
    "background child, waited for": "sleep 0.1 & wait; echo done",
    "background child holds stdout": "(sleep 0.3; echo late) & echo early",
    "background child holds stderr": "(sleep 0.3; echo late >&2) & echo early",
    "stdin at its end": "cat; echo end",
    "read at the end": "read x; echo $?",
    "stdin is no terminal": "test -t 0; echo $?",
    "stdout is no terminal": "test -t 1; echo $?; test -t 2; echo $?",
    "nohup": "nohup sh -c 'echo kept' 2>/dev/null",
    "100 kB of command": "printf '%s' '" + "abc'\\''d\te\\f \"g\" $h" * 4700 + "'",
    "long and not ASCII": "printf '%s' '" + "grüße 世界 🙂 " * 2000 + "'",
    "just too long for inline": "echo " + "x" * 7000,
    "ssm parameter": "echo '{{ssm:x}}' {{ssm:y}} '{ {' '{{{'",
    "leading blank": "   echo blank",
    "leading dash": "-no-such-option 2>/dev/null",
    "empty": "",
    "blank": "   ",
} | {
    f"exit {status}": f"exit {status}" for status in (1, 2, 3, 42, 63, 64, 100, 124, 125, 126, 127, 128, 130, 143, 255)
}
"""A name and a command each; stdin is at its end, and no terminal anywhere."""


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
