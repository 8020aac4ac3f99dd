"""Scripts in real shells: who reads them, what prints meanwhile, and who removes them."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest

from commands import Result
from ecs_exec.errors import EcsExecError
from ecs_exec.files.local_file import LocalFile
from ecs_exec.files.script_command import reads_stdin
from ecs_exec.files.unix_text import MARK
from unit.terminals import SHELLS, program
from unit.test_shell_wrapper import single_program
from unit.uploads import Script

STDIN = [
    "sh -s",
    "bash -s",
    "/bin/bash -s",
    "bash -eus",
    "bash -s --",
    "bash -o pipefail -s",
    "bash -s -o pipefail",
    "bash --norc -s",
    "bash --rcfile x -s",
    "env -i bash -s",
    "env - bash -s",
    "nice -n 1 bash -s",
    "busybox sh -s",
    "python3 -",
    "python3 -u -",
    "perl -",
    "su - app -c -",
    "ssh host bash -s",
    "bash -s first",
]
FILE = [
    "sh",
    "bash -eu",
    "bash -",
    "bash --",
    "bash -c",
    "bash -sc",
    "bash +s",
    "bash --posix",
    "python3 -s",
    "python3",
    "su - app",
    "su - app -s /bin/bash",
    "env -",
    "sudo -u app bash",
    "bash file -s",
]


@pytest.mark.parametrize(("words", "stdin"), [*((each, True) for each in STDIN), *((each, False) for each in FILE)])
def test_which_interpreters_read_stdin(words: str, *, stdin: bool) -> None:
    """A script whose path is given to them would not be run, and that would look like a success."""
    assert reads_stdin(shlex.split(words)) == stdin


@pytest.mark.parametrize(
    "words",
    [
        "",
        "sh",
        "sh -s",
        "bash -s",
        "bash -s --",
        "bash -eus",
        "dash -",
        "env - bash -s",
        "busybox sh -s",
        "nice bash -s",
    ],
)
@pytest.mark.parametrize("arguments", ["a b", "-x +x"])
def test_a_script_runs_whatever_reads_it(words: str, arguments: str, tmp_path: Path) -> None:
    """With its arguments and its own exit status; nothing is left."""
    with Script(
        b"echo ran $*; exit 6", program("dash"), words=words, arguments=arguments, environ={"TMPDIR": str(tmp_path)}
    ) as script:
        assert script.finish() == Result(f"ran {arguments}\n".encode(), b"", 6)
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_has_no_word_for_stdin_gets_the_script_there(tmp_path: Path) -> None:
    """With < as the last word."""
    environ = {"TMPDIR": str(tmp_path)}
    with Script(b"one\ntwo\n", program("dash"), words="sed -n <", arguments="2p", environ=environ) as script:
        assert script.finish() == Result(b"two\n", b"", 0)


# --- Windows line ends


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (b"#!/bin/bash\r\necho $BASH | tail -c 5\r\nif true\r\nthen\r\n  echo yes\r\nfi\r\n", b"bash\nyes\n"),
        (b"#!/bin/sh -e\r\necho one\r\nfalse\r\necho never\r\n", b"one\n"),
        (b"#!/usr/bin/env python3\r\nif True:\r\n  print(1)\r\n", b"1\n"),
        (MARK + b"#!/bin/bash\r\necho ${BASH_VERSION:+bash}\r\n", b"bash\n"),
        (MARK + b"echo mark", b"mark\n"),
        (b"#!/bin/sh\nprintf 'a\\r\\n'; echo mixed\r\n", b"a\r\nmixed\n"),
        (b"#!/bin/sh\r\n" + b"echo x\r\n" * 60_000, b"x\n" * 60_000),
    ],
)
def test_windows_line_ends(text: bytes, printed: bytes, tmp_path: Path) -> None:
    """In the form's text and in a file alike; the file on the server stays as it is."""
    path = tmp_path / "script"
    path.write_bytes(text)
    with LocalFile.open(str(path)).as_unix_text() as content:
        as_file = content.head(10_000_000)
        assert content.size == len(as_file)
    assert path.read_bytes() == text
    with Script(text, program("dash")) as script:
        assert script.finish().stdout == printed
    with Script(as_file, program("dash")) as script:
        assert script.finish().stdout == printed


@pytest.mark.parametrize("data", [b"\x7fELF\r\n\0\r\n", b"#!/bin/sh\r\n" + b"x" * 600_000 + b"\0\r\n", b"a\nb\r", b""])
def test_other_files_are_sent_as_they_are(data: bytes, tmp_path: Path) -> None:
    """Programs, and texts that carry one; a lone CR is no line end."""
    path = tmp_path / "script"
    path.write_bytes(data)
    with LocalFile.open(str(path)).as_unix_text() as content:
        assert content.head(10_000_000) == data


# --- What the container prints, and who removes the script

LINES = ["x; touch {}/injected", "/usr/x; touch {}/injected", "$(touch {}/injected)", "/etc/passwd"]


@pytest.mark.parametrize("name", ["bash", "zsh", "ksh", "mksh"])
@pytest.mark.parametrize("printed", LINES)
def test_what_a_startup_file_prints_is_no_path_and_no_code(name: str, printed: str, tmp_path: Path) -> None:
    """The script runs, and nothing of it is left."""
    line = shlex.quote(printed.format(tmp_path))
    startup = tmp_path / ".zshenv"
    startup.write_text(f"echo {line}\n")
    (tmp_path / "tmp").mkdir()
    environ = {name: str(startup) for name in ("BASH_ENV", "ENV")}
    environ |= {"ZDOTDIR": str(tmp_path), "TMPDIR": str(tmp_path / "tmp")}
    with Script(b"echo ran >&2; exit 3", program(name), environ=environ) as script:
        result = script.finish()
    assert (result.stderr, result.status) == (b"ran\n", 3)
    assert not (tmp_path / "injected").exists()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    "printed",
    [
        "{}/keep/.ecs-exec-0123456789abcdef",
        "{}/keep/../keep/.ecs-exec-0123456789abcdef",
        "/etc/hostname",
        "x; touch {}/injected",
        "{}/$(touch {}/injected)/.ecs-exec-0123456789abcdef",
        "{}/x y/.ecs-exec-0123456789abcdef",
        "/usr/.ecs-exec-0123456789abcdef\ntouch {}/injected",
        ".ecs-exec-0123456789abcdef",
        "",
    ],
)
def test_the_user_names_no_file_for_root(printed: str, scratch: Path) -> None:
    """What a process of the user prints in place of the receiver: root neither removes it nor runs it."""
    scratch.chmod(0o755)
    kept = scratch / "keep" / ".ecs-exec-0123456789abcdef"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("precious")
    fake = scratch / "fake"
    answer = shlex.quote(printed.replace("{}", str(scratch)))
    fake.write_text(
        f"#!/bin/sh\ncase $*$# in *'IFS=$s'*[2345]) echo {answer}; echo {answer} >&6; exit ;; esac\n"
        'exec /bin/dash "$@"\n'
    )
    fake.chmod(0o755)
    with Script(b"echo ran", ["/bin/dash"], inner=str(fake), user="games") as script:
        with pytest.raises(EcsExecError, match="was not run"):
            script.finish()
        script.hang_up()
        script.wait_for(lambda: script.left_over() == [])
    assert kept.read_text() == "precious"
    assert not (scratch / "injected").exists()
    assert Path("/etc/hostname").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("name", SHELLS)
def test_the_user_removes_the_script(name: str, tmp_path: Path, scratch: Path) -> None:
    """At its end, and when the session ends before."""
    for each in [tmp_path, *tmp_path.parents]:
        each.chmod(each.stat().st_mode | 0o055)
    scratch.chmod(0o755)
    own = scratch / f"own-{SHELLS[name][-1].strip('-')}"
    own.mkdir()
    shutil.chown(own, "games")
    environ = {"TMPDIR": str(own)}
    inner = single_program(name, tmp_path)
    with Script(b"id -un; [ -w $0 ] && exit 4", program(name), inner=inner, user="games", environ=environ) as script:
        assert script.finish() == Result(b"games\n", b"", 4)
    assert list(own.iterdir()) == []
    with Script(b"echo begun; sleep 60", program(name), inner=inner, user="games", environ=environ) as script:
        script.until(lambda: script.seen.stdout.endswith(b"begun\n"))
        script.hang_up()
        script.wait_for(lambda: script.left_over() == [] and list(own.iterdir()) == [])


@pytest.mark.parametrize("name", SHELLS)
def test_a_running_script_leaves_the_words_to_ours(name: str, tmp_path: Path) -> None:
    """The plugin's own script answers each PING; the other one sees nothing of it."""
    inner = single_program(name, tmp_path)
    with Script(b"echo begun; sleep 0.2; cat; echo out; exit 3", program(name), inner=inner) as script:
        script.until(lambda: script.seen.stdout == b"begun\n")
        for _ in range(3):
            script.protocol.ping(0.0)
        assert script.finish() == Result(b"begun\nout\n", b"", 3)
        assert script.seen.raw.count(script.wrapped.mark + b"L\n") == (0 if name == "ksh" else 3)
