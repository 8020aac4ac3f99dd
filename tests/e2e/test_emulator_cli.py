"""The emulator in the foreground, as a newcomer starts it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def emulator(*arguments: str) -> subprocess.Popen[str]:
    """Start it."""
    command = [sys.executable, "-m", "emulator", *arguments]
    return subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def greeting(process: subprocess.Popen[str]) -> str:
    """Read what it says before it waits."""
    assert process.stdout is not None
    said = ""
    while "Ctrl-C" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


def test_the_printed_example_works() -> None:
    """A user can paste it into a shell unchanged. A signal ends the emulator."""
    with emulator("--fast") as process:
        said = greeting(process)
        example = re.search(r"^env -i.*?status \$\?$", said, re.DOTALL | re.MULTILINE)
        assert example is not None, said
        done = subprocess.run(["/bin/sh", "-c", example[0]], capture_output=True, text=True, check=False, timeout=60)
        assert re.fullmatch(r"hello from ip-\S+\nstatus 3\n", done.stdout), done
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--agent", "tempo=1"], "agent.tempo is unknown"),
        (["--agent", "tempo"], "NAME=VALUE"),
        (["--faults", "["], "not JSON"),
        (["--faults", '{"weather": 1}'], "weather"),
        (["--world", "/no/such.yaml"], "world cannot be read"),
    ],
)
def test_what_cannot_be_run_is_reported(arguments: list[str], words: str) -> None:
    """In one line, with exit status 2."""
    assert words in complaint(*arguments)


def test_a_taken_port_is_reported() -> None:
    """It is named."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert port in complaint("--port", port)


def complaint(*arguments: str) -> str:
    """Give the one line of an emulator that does not start."""
    with emulator(*arguments) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (2, "")
    assert stderr.startswith("emulator: ")
    assert stderr.count("\n") == 1
    return stderr
