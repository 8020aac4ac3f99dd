"""Encrypted sessions whose agent asks for its handshake late, each cut at another frame: `soak --handshakes 200`.

Like the real agent, the emulator's agent reads nothing more after input that comes before the handshake.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from e2e.rundeck_launch import Launcher
from emulator import Emulator, Faults
from soak import execute, processes

DELAYS = (0, 50, 200, 500, 1500)
"""Milliseconds from the agent's first sign to its request."""

CUTS = 20
"""Kinds of session: not cut, and cut after each of its first frames. The handshake ends after about fourteen frames."""

_ANSWERED = 10
"""Frames after which the handshake is not over yet."""

ALLOWED = 2.5
"""Seconds that a session may take longer than without a delay, beyond the delay itself."""

_HABITS = {"session_limit": 0, "handshake": "kms"}


class Late(NamedTuple):
    """One session."""

    number: int

    def __str__(self) -> str:
        """Name the delay and the cut."""
        return f"{self.delay} ms late, cut after {self.cut_after} frames"

    @property
    def delay(self) -> int:
        """Return the milliseconds until the agent asks for its handshake."""
        return DELAYS[self.number % len(DELAYS)]

    @property
    def cut_after(self) -> int:
        """Return after how many frames the session is cut; 0: it is not."""
        return self.number // len(DELAYS) % CUTS

    @property
    def plain(self) -> bool:
        """Return whether the command is executed without a shell. Its end has no mark, so no cut may come near it."""
        return self.number % 4 == 0 and self.cut_after <= _ANSWERED

    @property
    def command(self) -> str:
        """Return the command, which names the session."""
        if self.plain:
            return f"echo late-{self.number}-"
        return f"echo late-{self.number}-; echo err {self.number} >&2; exit {self.number % 100}"

    def verdict(self, got: tuple[int, bytes, bytes]) -> str:
        """Return what is wrong; empty if nothing is."""
        said = b"ecs-exec: the command has ended; it ran without a shell, so its exit status is unknown\n"
        stderr = said if self.plain else f"err {self.number}\n".encode()
        wanted = 0 if self.plain else self.number % 100, f"late-{self.number}-\n".encode(), stderr
        return "" if got == wanted else f"{got} instead of {wanted}"


def _world(start_delay: float) -> dict[str, object]:
    """Return a world with a service for each delay."""
    services = {
        f"late-{delay}": {"containers": {"app": {"agent": {"handshake_delay": delay / 1000}}}} for delay in DELAYS
    }
    return {"agent": {**_HABITS, "start_delay": start_delay}, "clusters": {"c": {"services": services}}}


def _run(session: Late, environment: dict[str, str]) -> tuple[Late, float, str]:
    begun = time.monotonic()
    got = execute(environment)
    return session, time.monotonic() - begun, session.verdict(got)


def soak_handshakes(numbers: Sequence[int], jobs: int, *, start_delay: float = 1.0, timed: bool = True) -> str:
    """Run sessions; return a line about them. Raises AssertionError that names what is wrong."""
    with Emulator(world=_world(start_delay)) as emulator:
        emulator.choose_faults(_faults)
        launcher = Launcher(emulator.endpoint_url, emulator.region, config={"transport": "native"})
        with processes(jobs) as pool:
            if timed:  # the first calls make KMS's key and load modules; they are not measured
                warm = launcher.environment(emulator.node("c", f"late-{DELAYS[0]}"), "true")
                assert all(status == 0 for status, _, _ in pool.map(execute, [warm] * jobs))
            before = len(emulator.report()["calls"])
            futures = [
                pool.submit(
                    _run,
                    session,
                    launcher.environment(
                        emulator.node("c", f"late-{session.delay}"),
                        session.command,
                        {"shell": "none"} if session.plain else None,
                    ),
                )
                for session in map(Late, numbers)
            ]
            done = [future.result(60 + len(futures)) for future in futures]
        report = emulator.report()
    wrong = [f"session {session.number}: {verdict}" for session, _, verdict in done if verdict]
    wrong += _starts(report["sessions"], numbers) + report["violations"]
    beyond = _beyond(done)
    if timed:
        wrong += [
            f"session {session.number}, {session}: {seconds:.1f} s more than without delay and cut, beyond the delay"
            for (session, *_), seconds in zip(done, beyond, strict=True)
            if seconds > ALLOWED
        ]
    reopened = sum(session["deaf"] for session in report["sessions"])
    calls = sum(call["action"] == "GenerateDataKey" for call in report["calls"][before:])
    line = (
        f"late handshakes: {len(done)} sessions, {len(done) - len(wrong)} complete; {reopened} opened again,"
        f" {sum(session['resumes'] for session in report['sessions'])} resumptions, {calls} keys;"
        f" at most {max(beyond):.1f} s longer than without delay and cut, the delay left out"
    )
    assert not wrong, "\n".join([line, *wrong])
    return line


def _starts(sessions: list[dict[str, object]], numbers: Sequence[int]) -> list[str]:
    """Return what is wrong with how often the emulator started each command."""
    starts: dict[int, int] = defaultdict(int)
    for session in sessions:
        if found := _number(str(session["command"])):
            starts[int(found)] += int(str(session["starts"]))
    return [f"session {number}: {starts[number]} starts" for number in numbers if starts[number] != 1]


def _beyond(done: list[tuple[Late, float, str]]) -> list[float]:
    """Return the seconds of each session beyond its delay and the median of sessions without a delay."""
    usual = median(seconds for session, seconds, _ in done if not session.delay)
    return [seconds - session.delay / 1000 - usual for session, seconds, _ in done]


def _number(command: str) -> str:
    found = re.search(r"late-(\d+)-", command)
    return found[1] if found else ""


def _faults(command: str) -> Faults | None:
    number = _number(command)
    cut_after = Late(int(number)).cut_after if number else 0
    return Faults(cut_after_frames=cut_after) if cut_after else None
