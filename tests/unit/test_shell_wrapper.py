"""The container's script: what a command sees, and what comes back, with every shell and few tools."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from commands import COMMANDS, Result, locally
from ecs_exec.command import shell_wrapper
from ecs_exec.errors import CommandError
from unit.terminals import SHELLS, Conversation, Pty, path_without, program, run

ENVIRON = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color", "HOME": "/root"}


def single_program(name: str, folder: Path) -> str:
    """Give a shell as one word, as the setting takes it."""
    words = program(name)
    if len(words) == 1:
        return words[0]
    link = folder / ("sh" if name == "bash as sh" else "ash")
    if not link.exists():
        link.symlink_to(words[0])
    return str(link)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (name, command)
        for name in SHELLS
        for command in COMMANDS
        # yash holds text as wide characters: it drops an argument with bytes that its locale does not know.
        if name != "bash as sh" and (name, command) != ("yash", "invalid byte in the command")
    ],
)
def test_a_command_comes_out_as_it_does_locally(name: str, command: str, tmp_path: Path) -> None:
    """Stdout, stderr and status are those of `sh -c`, the script and the command both run by the same shell."""
    inner = single_program(name, tmp_path)
    expected = locally(COMMANDS[command], [inner], ENVIRON)
    assert run(COMMANDS[command], name, environ=ENVIRON, shell=inner).result == expected


@pytest.mark.parametrize("tty", [False, True])
def test_a_limit_of_the_image_ends_nothing(tty: bool, tmp_path: Path) -> None:
    """TMOUT ends `read` in bash and ksh93, and an interactive shell; the command sees it as the image set it."""
    environ = ENVIRON | {"TMOUT": "1"}
    command = "echo $TMOUT; sleep 1.3; echo out; exit 4"
    shells = [name for name in SHELLS if name != "bash as sh"]

    def outcome(name: str) -> Result:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        return run(command, name, environ=environ, shell=single_program(name, folder), tty=tty).result

    with ThreadPoolExecutor(len(shells)) as pool:
        found = dict(zip(shells, pool.map(outcome, shells), strict=True))
    assert found == dict.fromkeys(shells, Result(b"1\nout\n", b"", 4))


@pytest.mark.parametrize("command", [name for name in COMMANDS if not name.startswith("5 MB")])
def test_a_terminal_that_cannot_be_made_raw_changes_nothing(command: str) -> None:
    """Without `stty` in the image its echo and its line ends are undone."""
    environ = ENVIRON | {"PATH": path_without("stty")}
    expected = locally(COMMANDS[command], ["/bin/sh"], environ)
    seen = run(COMMANDS[command], "dash", environ=environ)
    assert b"Bc\r\n" in seen.raw
    assert seen.result == expected


@pytest.mark.parametrize("missing", ["setsid", "cat", "id", "head", "setsid cat id stty head tr sed"])
@pytest.mark.parametrize("name", ["dash", "bash", "ksh", "zsh"])
def test_no_tool_is_needed(name: str, missing: str) -> None:
    """The script does with what the image has."""
    environ = ENVIRON | {"PATH": path_without(*missing.split())}
    command = "echo a; echo b >&2; printf 'no\\tend'; exit 3"
    assert run(command, name, environ=environ).result == Result(b"a\nb\n"[:2] + b"no\tend", b"b\n", 3)


@pytest.mark.parametrize("name", ["dash", "bash", "busybox", "ksh", "mksh", "zsh"])
def test_incomplete_characters_pass_without_cat(name: str) -> None:
    """In a locale of UTF-8, bash's own `read` takes a byte 1 behind them for a mark of its own."""
    environ = ENVIRON | {"PATH": path_without("cat"), "LC_ALL": "C.UTF-8"}
    seen = run(r"printf 'a\303\001\001b\302\001\200\001c\343\201\001d\n'", name, environ=environ)
    assert seen.result == Result(b"a\303\001\001b\302\001\200\001c\343\201\001d\n", b"", 0)


def test_zsh_s_notices_are_no_output() -> None:
    """Without `setsid` it runs the command as a job, and prints now and then, to stdout, how that has ended."""
    environ = ENVIRON | {"PATH": path_without("setsid")}
    with ThreadPoolExecutor(8) as pool:
        results = set(pool.map(lambda _: str(run("exit 3", "zsh", environ=environ).result), range(80)))
    assert results == {str(Result(b"", b"", 3))}


@pytest.mark.parametrize("status", range(256))
def test_every_exit_status_is_reported(status: int) -> None:
    """From 0 to 255."""
    assert run(f"exit {status}").status == status


@pytest.mark.parametrize("name", SHELLS)
def test_a_terminal_is_given_on_request(name: str) -> None:
    """With `tty` stdout and stderr are one terminal; stdin is not."""
    seen = run("test -t 1 && echo out; test -t 2 && echo err >&2; test -t 0 || echo no input; exit 6", name, tty=True)
    assert seen.result == Result(b"out\nerr\nno input\n", b"", 6)


@pytest.mark.parametrize("name", SHELLS)
def test_the_working_directory(name: str) -> None:
    """The command starts in it, and CDPATH is not asked."""
    assert run("pwd", name, workdir="/usr/lib", environ={"CDPATH": "/var"}).result == Result(b"/usr/lib\n", b"", 0)


@pytest.mark.parametrize("name", SHELLS)
def test_the_environment_travels_apart_from_the_command(name: str) -> None:
    """Values come through whatever they hold, and are not in the string that CloudTrail keeps."""
    values = {"RD_JOB_NAME": 'it\'s "x" $y `z` \\n', "RD_OPTION_TEXT": "a\nb\tc\r\x01é\n\n", "RD_EMPTY": ""}
    words = " ".join(f'"${variable}"' for variable in values)
    seen = run(f"printf '[%s]' {words}", name, env=values)
    assert seen.result == Result("".join(f"[{value}]" for value in values.values()).encode(), b"", 0)
    wrapped = shell_wrapper.wrap("true", nonce=shell_wrapper.new_nonce(), env=values)
    assert "RD_JOB" not in wrapped.command


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("tools", ["", "setpriv", "setpriv runuser"])
@pytest.mark.parametrize("name", ["dash", "bash", "busybox", "ksh"])
def test_another_user(name: str, tools: str, tmp_path: Path) -> None:
    """By setpriv, runuser or su, with that user's groups and home."""
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if not folder.stat().st_mode & 0o001:  # pytest's own folders are closed to others
            folder.chmod(folder.stat().st_mode | 0o055)
    environ = ENVIRON | {"PATH": path_without(*tools.split())}
    seen = run("id -un; id -gn; echo $HOME; exit 4", name, environ=environ, user="games")
    assert seen.result == Result(b"games\ngames\n/usr/games\n", b"", 4)


@pytest.mark.parametrize(
    ("how", "text"),
    [({"workdir": "/no/such"}, "workdir"), ({"user": "nobody-there"}, "user does not exist")],
)
def test_what_cannot_be_done_is_refused(how: dict[str, Any], text: str) -> None:
    """The command is not run."""
    with pytest.raises(CommandError, match=text):
        run("echo never", **how)


def test_no_way_to_become_a_user_is_reported() -> None:
    """An image with none of the programs."""
    environ = ENVIRON | {"PATH": path_without("setpriv", "runuser", "su", "chroot", "gosu", "su-exec")}
    with pytest.raises(CommandError, match="none of setpriv, runuser, su, chroot, gosu and su-exec"):
        run("echo never", environ=environ, user="games")


@pytest.mark.parametrize("name", SHELLS)
def test_stopping_reaches_the_whole_process_group(name: str) -> None:
    """INT is sent first, and a command that ignores it is killed, children and all."""
    with Conversation("trap '' INT; echo begun; sleep 60 & sleep 60; sleep 60", name) as talk:
        talk.until(lambda: talk.seen.stdout.endswith(b"begun\n"))
        talk.protocol.interrupt()
        talk.protocol.kill()
        talk.until(lambda: talk.protocol.status is not None)
        assert talk.protocol.status == 128 + signal.SIGKILL
        talk.protocol.farewell()
        talk.to_the_end()
        assert talk.left_over() == []


@pytest.mark.parametrize("name", SHELLS)
def test_an_interrupted_command_may_clean_up(name: str) -> None:
    """Its last words are seen, and its own status."""
    with Conversation("trap 'echo bye; exit 5' INT; echo begun; while :; do sleep 0.05; done", name) as talk:
        talk.until(lambda: talk.seen.stdout.endswith(b"begun\n"))
        talk.protocol.interrupt()
        talk.until(lambda: talk.protocol.status is not None)
        assert (bytes(talk.seen.stdout), talk.protocol.status) == (b"begun\nbye\n", 5)


@pytest.mark.parametrize("name", SHELLS)
def test_a_script_answers_while_its_command_runs(name: str, tmp_path: Path) -> None:
    """Each answer comes, and none is in the output, however busy the terminal is.

    The image's `cat` writes small pieces, so that answers may come in the middle of a frame of stderr. ksh93 does not
    answer: its pipes are sockets, which cannot be opened in /proc.
    """
    cat = tmp_path / "cat"
    cat.write_text("#!/bin/sh\nexec dd bs=97 2>/dev/null\n")
    cat.chmod(0o755)
    environ = ENVIRON | {"PATH": f"{tmp_path}:{ENVIRON['PATH']}"}
    loop = "i=0; while [ $i -lt 3000 ]; do echo out $i; echo err $i >&2; i=$((i + 1)); done"
    command = f"sleep 0.3; {loop}; sleep 0.3; exit 3"
    asked = 0

    def answers() -> int:
        return talk.seen.raw.count(talk.wrapped.mark + b"L\n")

    def ended() -> bool:
        nonlocal asked
        if talk.protocol.begun and asked < answers() + 3:
            talk.protocol.ping(0.0)
            asked += 1
        return talk.protocol.status is not None

    with Conversation(command, name, environ=environ) as talk:
        talk.until(ended)
        assert talk.seen.result == locally(command, ["/bin/sh"], ENVIRON)
        if name == "ksh":
            assert answers() == 0
        else:
            assert asked - 3 <= answers() <= asked
            assert asked > 3
        talk.protocol.farewell()
        talk.to_the_end()


@pytest.mark.parametrize("name", SHELLS)
def test_an_answer_that_waits_for_the_terminal_delays_no_stop(name: str) -> None:
    """The client reads while it stops a command, so the script gets to the next word."""
    with Conversation("echo begun; while :; do echo out; done", name) as talk:
        talk.until(lambda: talk.seen.stdout.startswith(b"begun\n"))
        time.sleep(0.3)
        talk.protocol.ping(0.0)
        time.sleep(0.1)
        talk.protocol.kill()
        stopped = time.monotonic()
        talk.until(lambda: talk.protocol.status is not None)
        assert talk.protocol.status == 128 + signal.SIGKILL
        assert time.monotonic() - stopped < 1
        assert bytes(talk.seen.stdout).removeprefix(b"begun\n").replace(b"out\n", b"") in (b"", b"o", b"ou", b"out")


@pytest.mark.parametrize("name", SHELLS)
def test_hanging_up_ends_the_command(name: str) -> None:
    """The end of the session leaves nothing behind, ignored HUP or not."""
    with Conversation("trap '' HUP; echo begun; sleep 60 & sleep 60", name) as talk:
        talk.until(lambda: talk.seen.stdout.endswith(b"begun\n"))
        talk.hang_up()
        talk.wait_for(lambda: talk.left_over() == [])


LATE = {
    "what waits for the status": ("control() {\n", "control() {\nsleep 0.3\n"),
    "what listens to the client": (
        "{\nwhile IFS= read -r _w; do\ncase",
        "{\nsleep 0.3\nwhile IFS= read -r _w; do\ncase",
    ),
}
"""Parts of the script that a busy machine gets to after the command has begun."""


@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("tty", [False, True])
def test_hanging_up_on_a_busy_machine_ends_the_command(
    name: str, late: str, monkeypatch: pytest.MonkeyPatch, *, tty: bool
) -> None:
    """Whatever part of the script comes to know of it last."""
    script = shell_wrapper._COMMAND.replace(*LATE[late])
    assert script != shell_wrapper._COMMAND
    monkeypatch.setattr(shell_wrapper, "_COMMAND", script)
    with Conversation("trap '' HUP; echo begun; sleep 60 & sleep 60", name, tty=tty) as talk:
        talk.until(lambda: talk.seen.stdout.endswith(b"begun\n"))
        talk.hang_up()
        talk.wait_for(lambda: talk.left_over() == [])


@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("sent", ["INT", "QUIT", "TERM"])
def test_a_command_may_signal_its_group(name: str, sent: str, *, tty: bool) -> None:
    """On a terminal that is the script's as well; a signal that the command ignores ends neither."""
    seen = run(f"trap '' {sent}; kill -{sent} 0; echo went on; exit 3", name, tty=tty)
    assert seen.result == Result(b"went on\n", b"", 3)


@pytest.mark.parametrize("name", SHELLS)
def test_a_daemon_survives(name: str, tmp_path: Path) -> None:
    """One that let go of its output goes on after the session, as over SSH without a terminal."""
    flag = tmp_path / "flag"
    started = time.monotonic()
    command = f"(sleep 1; echo alive > {shlex.quote(str(flag))}) >/dev/null 2>&1 & echo started"
    with Conversation(command, name) as talk:
        talk.until(lambda: talk.protocol.status is not None)
        assert time.monotonic() - started < 1
        talk.protocol.farewell()
        talk.to_the_end()
        talk.hang_up()
        talk.wait_for(lambda: flag.exists() and flag.read_text() == "alive\n")


def test_nothing_starts_before_the_client_says_so(tmp_path: Path) -> None:
    """A session that is given up before has not run the command."""
    flag = tmp_path / "flag"
    with Conversation(f"touch {flag}", begin=False) as talk:
        talk.until(lambda: b"ecs-exec" in talk.seen.raw)
        talk.hang_up()
        talk.wait_for(lambda: talk.left_over() == [])
    assert not flag.exists()


@pytest.mark.parametrize("name", [name for name in SHELLS if name not in ("bash as sh", "yash")])
def test_a_script_that_nobody_speaks_to_leaves(name: str, tmp_path: Path) -> None:
    """A client that is gone leaves no shell behind, which would count as a session; nothing was run.

    yash waits until the service ends the session: its `read` has no time limit, and waits for input before it reads.
    """
    flag = tmp_path / "flag"
    command = shell_wrapper.wrap(f"touch {flag}", nonce=shell_wrapper.new_nonce()).command
    for long, short in (("min 0 time 250 &&", "min 0 time 1 &&"), ("-t 25", "-t 1"), ("-lt 12", "-lt 2")):
        assert long in command
        command = command.replace(long, short)
    terminal = Pty(command, program(name), ENVIRON)
    try:
        while terminal.read():
            pass
    finally:
        terminal.close()
    assert not flag.exists()


@pytest.mark.parametrize("name", ["dash", "busybox", "ksh", "zsh"])
def test_a_command_given_up_on_its_way_is_not_run(name: str, tmp_path: Path) -> None:
    """A script that still takes the command in leaves when it is stopped."""
    flag = tmp_path / "flag"
    command = f"touch {flag}\n" + "# long\n" * 20_000
    with Conversation(command, name) as talk:
        talk.until(lambda: talk.seen.raw.count(b"A\n") >= 2)
        talk.protocol.interrupt()
        with pytest.raises(CommandError, match="was not run"):
            talk.until(lambda: False)
        talk.wait_for(lambda: talk.left_over() == [])
    assert not flag.exists()


def test_a_command_cut_short_on_its_way_is_not_run(tmp_path: Path) -> None:
    """Lines that were lost are noticed by the lengths in the last one."""
    flag = tmp_path / "flag"
    command = f"touch {flag}\n" + "# long\n" * 2000
    with Conversation(command, lose_line=3) as talk, pytest.raises(CommandError, match="incomplete"):
        talk.until(lambda: talk.protocol.status is not None)
    assert not flag.exists()


@pytest.mark.parametrize("length", [10, shell_wrapper.MAX_INLINE - 3000, shell_wrapper.MAX_INLINE, 100_000])
def test_the_string_for_the_api_stays_short(length: int) -> None:
    """What is longer goes through the channel."""
    wrapped = shell_wrapper.wrap("x" * length, nonce=shell_wrapper.new_nonce())
    assert len(wrapped.command) <= shell_wrapper.MAX_INLINE
    assert bool(wrapped.payload) == (len(wrapped.command) < length + 1000)


def test_words_are_read_back_as_they_were() -> None:
    """Without a shell the words are those that a shell would make."""
    text = "prog 'a b' \"c'd\" e\\ f '' '#' '{{ssm:x}}'"
    quoted = shell_wrapper.split(text)
    assert shlex.split(quoted) == shlex.split(text)
    assert "{{" not in quoted


def test_an_open_quote_is_a_fault() -> None:
    """There is no shell that could say so."""
    with pytest.raises(ValueError, match="quotation"):
        shell_wrapper.split("echo 'a")


def test_all_shells_are_tried_where_it_counts() -> None:
    """On the machine of CI none is missing."""
    if os.environ.get("CI"):
        assert all(shutil.which(words[0]) or name == "ksh" for name, words in SHELLS.items())
