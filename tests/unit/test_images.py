"""Whatever an image's environment holds, a command, a script and a copy come out as the image's own shell has them."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from commands import Result
from ecs_exec.command import shell_wrapper
from ecs_exec.command.script_protocol import ScriptProtocol, SessionProtocol
from ecs_exec.errors import CommandError, SessionDisturbed, SessionEnded
from ecs_exec.files import copier, script_step
from ecs_exec.files.local_file import LocalFile
from ecs_exec.files.receiver import BOOTSTRAP, for_destination, for_script
from ecs_exec.files.script_command import command as script_command
from ecs_exec.files.upload import UploadProtocol
from unit.images import ALIKE, by_itself, different, environ, environments, foreign, single
from unit.terminals import SHELLS, Conversation, Pty, Recorder, Talk, path_without, program, run

INJECTED = Path("/tmp/ecs-exec-injected")  # noqa: S108 - what the startup files would make

_PR_SET_CHILD_SUBREAPER = 36

COMMAND = "echo out; echo err >&2; /usr/bin/env; (exit 3)"
AT_ONCE = 4
Pair = tuple[Result, Result]
Pairs = dict[str, Pair]

LONG = f"{COMMAND}\n{'# long' * 2000}"

EXCEPT = {("mksh", "TMOUT is no number"), ("busybox", "versions"), ("busybox", "versions of others")}
"""mksh itself ends there before it reads a command. busybox counts SHLVL one too high where it seems to be another
shell, whose `exec` counts down."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder for startup files and links to shells, which others may enter."""
    return tmp_path_factory.mktemp("images")


def carried(
    wrapped: shell_wrapper.Wrapped, protocol: Callable[[Recorder], SessionProtocol], variables: Mapping[str, str]
) -> Result:
    """Carry one session to its end on a terminal; nobody may hold the terminal afterwards."""
    recorder = Recorder()
    terminal = Pty(wrapped.command, [wrapped.command.split("'")[1]], variables)
    talk = protocol(recorder)
    talk.line = terminal
    try:
        talk.ready()
        while talk.status is None:
            data = terminal.read()
            if not data:
                talk.closed("")
            talk.output(data, time.monotonic())
        talk.farewell()
        while terminal.read():
            pass
    finally:
        terminal.close()
    recorder.seen.status = talk.status
    return recorder.seen.result


def by_plugin(text: str, inner: str, variables: Mapping[str, str]) -> Result:
    """Run a command as the plugin does."""
    wrapped = shell_wrapper.wrap(text, nonce=shell_wrapper.new_nonce(), shell=inner)
    return carried(wrapped, lambda streams: ScriptProtocol(wrapped, streams, "the terminal", inner), variables)


def script_by_plugin(text: bytes, inner: str, variables: Mapping[str, str]) -> Result:
    """Run a script as the plugin does."""
    content, receiver = LocalFile.of_text(text), for_script()
    line = script_command((inner,), (), text, inner)
    wrapped = shell_wrapper.wrap(line, nonce=shell_wrapper.new_nonce(), shell=inner, receiver=BOOTSTRAP)

    def protocol(streams: Recorder) -> UploadProtocol:
        session = ScriptProtocol(wrapped, streams, "the terminal", inner, script_step.WORDING)
        return UploadProtocol(session, receiver, content)

    return carried(wrapped, protocol, variables)


def copy_by_plugin(source: Path, destination: str, inner: str, variables: Mapping[str, str]) -> Result:
    """Copy a file as the plugin does."""
    receiver = for_destination(destination, "source", 0o640)
    wrapped = shell_wrapper.wrap("", nonce=shell_wrapper.new_nonce(), shell=inner, receiver=BOOTSTRAP)
    with LocalFile.open(str(source)) as file:
        objection = copier.Destination(destination, file.name).objection

        def protocol(streams: Recorder) -> UploadProtocol:
            session = ScriptProtocol(wrapped, streams, "there", inner, copier.WORDING)
            return UploadProtocol(session, receiver, file, objection)

        return carried(wrapped, protocol, variables)


def comparable(result: Result, file: str) -> Result:
    """Leave out what differs from one start of a shell to the next.

    That is `_`, RANDOM, how far a trace has come, and the path of a script that was received.
    """
    out, err = (re.sub(rb"[^\s'=]*/\.ecs-exec-\w+", file.encode(), text) for text in (result.stdout, result.stderr))
    lines = [line for line in out.split(b"\n") if not re.match(rb"_=|RANDOM=|\*\d", line)]
    return Result(b"\n".join(sorted(lines)), re.sub(rb"(?m)^\+.*\n", b"", err), result.status)


def each(name: str, folder: Path, look: Callable[[str, str, dict[str, str]], Pair], turn: int | None = None) -> Pairs:
    """Look at a shell, called as an image has it, in each environment; several at once, as most of it is waiting.

    With a turn (0 or 1), only in every second one; the next shell has the other half. What an environment does to a
    shell shows in all of them, with short commands.
    """
    inner = single(name, folder)
    table = {
        title: environ(changes) for title, changes in different(folder, name).items() if (name, title) not in EXCEPT
    }
    assert len(table) >= (60 if name.startswith("bash") else 38)  # environments() has 70 for each
    titles = list(table) if turn is None else list(table)[(turn + ALIKE.index(name)) % 2 :: 2]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pairs = pool.map(lambda title: look(title, inner, table[title]), titles)
        found = dict(zip(titles, pairs, strict=True))
    assert not INJECTED.exists()
    return found


def differences(found: Mapping[str, Pair], file: str = "") -> dict[str, Pair]:
    """Keep the environments in which the two are not the same."""
    return {title: pair for title, pair in found.items() if len({comparable(result, file) for result in pair}) > 1}


threads = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)  # Python 3.12's fork


@pytest.mark.parametrize("name", [name for name in ALIKE if not name.startswith("bash")])
def test_variables_of_another_shell_are_text(name: str, folder: Path) -> None:
    """A shell that does not read them does the same with each of them as without: one environment may have them all."""
    table, inner = environments(folder, name), single(name, folder)
    words = [
        inner,
        "-c",
        'f() { echo "$1"; }; f a; no-such-program; echo [x]*; case a in A) echo b;; esac; false; exit 3',
    ]
    for titles in foreign(table, name):
        seen = {by_itself(words, environ(table[title])) for title in ["plain", *titles]}
        assert len(seen) == 1, titles


@threads
@pytest.mark.parametrize("text", [COMMAND, LONG], ids=["command", "long command"])
@pytest.mark.parametrize("name", ALIKE)
def test_a_command_is_as_the_shell_itself_runs_it(name: str, text: str, folder: Path) -> None:
    """Stdout, stderr, status and the environment are equal. Output never runs as a command."""

    def look(_: str, inner: str, variables: dict[str, str]) -> Pair:
        return by_plugin(text, inner, variables), by_itself([inner, "-c", text], variables)

    assert differences(each(name, folder, look, None if text == COMMAND else 0)) == {}


@threads
@pytest.mark.parametrize("name", ALIKE)
def test_a_script_is_as_the_shell_itself_runs_it(name: str, folder: Path, tmp_path: Path) -> None:
    """The same file, run there."""
    file, folder_of_receiver = tmp_path / "script", tmp_path / "tmp"
    file.write_text(f"{COMMAND}\n")
    folder_of_receiver.mkdir()

    def look(_: str, inner: str, variables: dict[str, str]) -> Pair:
        variables = variables | {"TMPDIR": str(folder_of_receiver)}
        itself = by_itself([inner, "-c", f"exec '{inner}' {file}"], variables)
        return script_by_plugin(file.read_bytes(), inner, variables), itself

    assert differences(each(name, folder, look, 1), str(file)) == {}
    assert list(folder_of_receiver.iterdir()) == []


@threads
@pytest.mark.parametrize("name", ALIKE)
def test_a_copy_is_the_same_file(name: str, folder: Path, tmp_path: Path) -> None:
    """It arrives, and nothing lies beside it. ASCII: yash in the locale C reads nothing else."""
    content = b"a line of a file\n" * 100
    source = tmp_path / "source"
    source.write_bytes(content)

    def look(title: str, inner: str, variables: dict[str, str]) -> Pair:
        place = tmp_path / title
        place.mkdir()
        result = copy_by_plugin(source, f"{place}/file", inner, variables)
        left = sorted(path.name for path in place.iterdir()) == ["file"] and (place / "file").read_bytes()
        return result, Result(left or b"", b"", 0)

    assert set(each(name, folder, look, 0).values()) == {(Result(b"", b"", 0), Result(content, b"", 0))}


@pytest.mark.parametrize("name", SHELLS)
def test_what_the_command_makes_of_the_terminal_does_not_matter(name: str) -> None:
    """The end mark is found."""
    assert run("stty sane <&1; echo hi; exit 3", name, tty=True).result == Result(b"hi\r\n", b"", 3)


@pytest.mark.parametrize("name", SHELLS)
def test_whatever_the_script_starts_it_reaps(name: str) -> None:
    """A container's first process that reaps nothing has no more children than before."""
    first = os.fork()  # a process without other children, which stands for the first one
    if not first:
        status = 98
        try:
            status = _left_behind(name)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 0


def _left_behind(name: str) -> int:
    """Run commands; return the number of processes that they left to this one, 99 if a command failed."""
    set_subreaper = ctypes.CDLL(None).prctl
    set_subreaper(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if not all(run("/bin/echo a; exit 3", name).status == 3 for _ in range(10)):
        return 99
    return sum(bool(_adopted()) for _ in range(50))


def _adopted() -> int:
    """Reap one child that others have left behind; 0 if there is none."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return 0


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
WHO = 'id -u; id -g; echo "$HOME $USER $LOGNAME"; echo one >/dev/stdout; echo two >/dev/stderr; exit 4'


@as_root
@pytest.mark.parametrize(
    ("user", "seen"),
    [
        ("games", "5 60 /usr/games games games"),
        ("5", "5 60 /usr/games games games"),
        ("nobody", "65534 65534 / nobody nobody"),
        ("12345", "12345 0 /  "),
        ("games:daemon", "5 1 /usr/games games games"),
        ("12345:1", "12345 1 /  "),
    ],
)
@pytest.mark.parametrize("name", ["dash", "bash", "mksh", "yash", "zsh"])
def test_users_are_those_of_docker_exec(name: str, user: str, seen: str) -> None:
    """Names and numbers; the home is one that exists, and the standard streams can be opened by their names."""
    uid, gid, rest = seen.split(" ", 2)
    assert run(WHO, name, user=user).result == Result(f"{uid}\n{gid}\n{rest}\none\n".encode(), b"two\n", 4)


@as_root
@pytest.mark.parametrize("there", ["setpriv", "runuser", "su", "chroot", "gosu"])
def test_one_way_to_become_a_user_is_enough(there: str, tmp_path: Path) -> None:
    """Whichever of the programs the image has; the user's login shell does not matter."""
    for place in (tmp_path, *tmp_path.parents):
        place.chmod(place.stat().st_mode | 0o055)
    if shutil.which(there) is None and not os.environ.get("CI"):
        pytest.skip(f"{there} is not installed")
    others = {"setpriv", "runuser", "su", "chroot", "gosu", "su-exec"} - {there}
    seen = run(WHO, "dash", environ={"PATH": path_without(*others)}, user="5")
    assert seen.result == Result(b"5\n60\n/usr/games games games\none\n", b"two\n", 4)


def test_a_restricted_shell_is_refused() -> None:
    """Before anything of the command was run, in one line that names those that work."""
    wrapped = shell_wrapper.wrap("echo never", nonce=shell_wrapper.new_nonce())
    talk = Talk(wrapped, lambda streams: ScriptProtocol(wrapped, streams, "there", "/bin/sh"), [*program("bash"), "-r"])
    with talk, pytest.raises(CommandError, match=r"shell there is restricted; set shell .* mksh"):
        talk.until(lambda: False)


@pytest.mark.parametrize("says", ["Unmatched '''.", "fish: Unsupported use of '='", "read: bad option(s)"])
def test_a_shell_that_reads_no_posix_script_is_named(says: str, tmp_path: Path) -> None:
    """With what it said."""
    other = tmp_path / "other"
    other.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit 1\n")
    other.chmod(0o755)
    wrapped = shell_wrapper.wrap("echo never", nonce=shell_wrapper.new_nonce(), shell=str(other))
    talk = Talk(wrapped, lambda streams: ScriptProtocol(wrapped, streams, "there", str(other)), [str(other)])
    with (
        talk,
        pytest.raises(CommandError, match=r"was not run .*/other ended before .*set shell or ecs-shell to one of dash"),
    ):
        talk.until(lambda: False)


@as_root
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 9, 11, 12])
@pytest.mark.parametrize("name", ["dash", "zsh"])
def test_no_processes_left_is_reported(name: str, limit: int, tmp_path: Path) -> None:
    """Whichever process it is that cannot be started, the command is not, and the line says what a session needs.

    The other shells try for 15 seconds and longer before they give up.
    """
    inner = program(name)
    limited = ["/usr/bin/prlimit", f"--nproc={limit}", "/usr/bin/setpriv", f"--reuid={70000 + limit}", "--clear-groups"]
    flag = tmp_path / "flag"
    wrapped = shell_wrapper.wrap(f"echo ran; : >{flag}", nonce=shell_wrapper.new_nonce(), shell=inner[0])
    talk = Talk(wrapped, lambda streams: ScriptProtocol(wrapped, streams, "there", inner[0]), [*limited, *inner])
    with talk, pytest.raises(CommandError, match=rf"was not run .*processes.*needs {shell_wrapper.NEEDED_PROCESSES}"):
        talk.until(lambda: False)
    assert not flag.exists()


@pytest.mark.parametrize("name", SHELLS)
def test_the_word_is_in_no_argument_and_no_environment(name: str) -> None:
    """Also where the image exports all variables and those of the script's own names."""
    variables = {"SHELLOPTS": "allexport", **{f"_{letter}": "x" for letter in "abcdefghijklmnopqrstuvwxyz"}}
    with Conversation("echo begun; read -r _ <&1; sleep 60", name, environ=variables) as talk:
        talk.until(lambda: talk.seen.stdout.endswith(b"begun\n"))
        word = talk.wrapped.mark[1:]
        assert len(word) == 32
        assert word not in talk.wrapped.command.encode()
        for pid in talk.left_over():
            for file in ("cmdline", "environ"):
                assert word not in Path(f"/proc/{pid}/{file}").read_bytes()


FORGED = ("Br", "A", "Fu", "S", "U<", "k", "", "X0 ")


@pytest.mark.parametrize("kind", FORGED)
def test_marks_of_someone_who_knows_the_word_end_the_session_as_a_fault(kind: str) -> None:
    """Out of order they are no end of the command, and no status."""
    with Conversation("echo begun; sleep 60", "dash") as talk:
        talk.until(lambda: talk.seen.stdout.endswith(b"begun\n"))
        mark = talk.wrapped.mark + kind.encode() + b"\n"
        expected = CommandError if kind.startswith("X") else SessionDisturbed
        with pytest.raises(expected):
            talk.protocol.output(mark, time.monotonic())
        assert talk.protocol.status is None
        talk.protocol.output(talk.wrapped.mark + b"X0\n", time.monotonic())
        assert talk.protocol.status is None


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("name", SHELLS)
def test_marks_of_someone_who_does_not_know_the_word_are_output(name: str, *, tty: bool) -> None:
    """They may be of every kind, on both streams. Timeout and abort still reach the command."""
    forged = "".join(rf"\036{'0' * 32}{kind}\n" for kind in (*FORGED, "X0", "eno", "pno"))
    command = f"printf '{forged}'; printf '{forged}' >&2; trap '' INT; echo; echo begun; sleep 60"
    with Conversation(command, name, tty=tty) as talk:
        talk.until(lambda: talk.seen.stdout.endswith(b"begun\n"))
        talk.until(lambda: (talk.seen.stdout + talk.seen.stderr).count(b"0" * 32 + b"X0\n") == 2)
        assert talk.protocol.status is None
        talk.protocol.interrupt()
        talk.protocol.kill()
        if tty:  # its process group is the session's own
            with pytest.raises(SessionEnded):
                talk.until(lambda: False)
        else:
            talk.until(lambda: talk.protocol.status is not None)
            assert talk.protocol.status == 128 + signal.SIGKILL
            talk.protocol.farewell()
            talk.to_the_end()
        talk.wait_for(lambda: talk.left_over() == [])


def test_marks_before_the_begin_are_no_marks(tmp_path: Path) -> None:
    """A startup file does not know the word, even if it prints or reads the terminal's input."""
    startup = tmp_path / "startup"
    startup.write_text(r"printf '\036ecs-exec\n\036%032dBr\n\036%032dS\n\036%032dX0\n' 0 0 0" + "\n")
    inner = tmp_path / "another-name"  # of which the plugin does not know that it is bash
    inner.symlink_to("/bin/bash")
    variables = environ({"BASH_ENV": str(startup)})
    assert by_plugin("echo ran; exit 5", str(inner), variables) == by_itself(
        [str(inner), "-c", "echo ran; exit 5"], variables
    )
