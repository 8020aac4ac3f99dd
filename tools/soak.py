"""Many sessions of random output over links with random faults: `python -m soak --sessions 1000`.

The plugin's own code runs the commands with the native transport, in parallel in a few processes, against the emulator
and its real shells. Every session must give exactly its output, its errors and its exit status, and must have started
its command once. If a fault makes it impossible to continue, the session must give 125, a reason, and the beginning of
the output. The same seed draws the same sessions and the same faults.

The sessions avoid output that the agent itself makes ambiguous: binary output has no U+FFFD, and begins with a byte
that is not text (see `ecs_exec.command.decoder.ReplacementCharRestorer`).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from e2e.rundeck_launch import CONTENTS, Launcher
from emulator import Emulator, Faults
from emulator.link import Lane

LARGEST = 1_000_000
_HANG = 150.0
"""Seconds after which a session counts as hanging. A lost frame delays the agent by some tenths of a second."""

_LOSSES = 8
"""Most lost frames of a session, on average: the agent resends only one at a time."""

_HABITS = {"session_limit": 0, "start_delay": 0, "fail_pause": 0}


@dataclass(frozen=True)
class Plan:
    """One session. Seed and number determine all of it."""

    number: int
    size: int
    offset: int
    binary: bool
    status: int
    faults: Faults
    hopeless: bool
    """The faults may make it impossible to continue."""

    def command(self, folder: Path) -> str:
        """Return the command; each start adds a line to a file."""
        head = "printf '\\377'; " if self.binary else ""
        source = folder / ("binary" if self.binary else "text")
        steps = (
            f": soak-{self.number}-",
            f"echo start >> {folder}/starts-{self.number}",
            f"{head}tail -c +{self.offset + 1} {source} | head -c {self.size}",
            f"echo error {self.number} >&2",
            f"exit {self.status}",
        )
        return "; ".join(steps)

    def output(self, folder: Path) -> bytes:
        """Return the command's output."""
        source = (folder / ("binary" if self.binary else "text")).read_bytes()
        return b"\xff" * self.binary + source[self.offset : self.offset + self.size]


def plan(seed: int, number: int) -> Plan:
    """Draw a session."""
    draw = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable, not secret
    size = round(LARGEST ** draw.random())
    frames = 4 + size // 1024
    hopeless = draw.random() < 0.04
    cuts = draw.choice((0, 0, 1, 1, 2, 4)) or int(hopeless)
    to_client, to_agent, agent_cuts = _lane(draw, frames), _lane(draw, frames), draw.choice((0, 0, 1, 2))
    if to_agent.lose_acks == 1 and not hopeless:
        # The agent resends only its oldest frame. Without that frame's acknowledgement, it resends no other frame.
        to_client, cuts, agent_cuts = replace(to_client, drop=0.0), 0, 0
    faults = Faults(
        to_client=to_client,
        to_agent=to_agent,
        seed=draw.getrandbits(32),
        cuts=cuts,
        cut_probability=min(0.3, draw.uniform(0.5, 4) / frames) if cuts else 0.0,
        agent_cuts=agent_cuts,
        agent_cut_probability=min(0.2, 1 / frames),
        agent_away=draw.uniform(0.05, 0.5),
        refuse_resume=-1 if hopeless and draw.random() < 0.5 else draw.choice((0, 0, 1, 2)),
        empty_resume_token=hopeless and draw.random() < 0.5,
        refuse_open=draw.choice((0, 0, 0, 1)),
    )
    return Plan(number, size, draw.randrange(LARGEST), draw.random() < 0.5, draw.randrange(256), faults, hopeless)


def _lane(draw: random.Random, frames: int) -> Lane:
    """Draw the faults of one direction: some kinds of fault, each with a random probability."""

    def some(most: float) -> float:
        return draw.uniform(0, most) if draw.random() < 0.5 else 0.0

    return Lane(
        drop=some(min(0.3, _LOSSES / frames)),
        duplicate=some(0.4),
        reorder=some(0.2),
        delay=some(0.3),
        lose_acks=1.0 if draw.random() < 0.05 else some(min(0.3, _LOSSES / frames)),
        hold=draw.uniform(0.005, 0.03),
    )


# --- One session, in a process of the pool


def _run(session: Plan, environment: dict[str, str], folder: Path) -> tuple[int, float, str]:
    """Run a session; return its number, its seconds, and what is wrong, or a text that begins with `ok`."""
    begun = time.monotonic()
    got = execute(environment)
    return session.number, time.monotonic() - begun, _verdict(session, folder, got)


def execute(environment: dict[str, str]) -> tuple[int, bytes, bytes]:
    """Run one execution in this process; return its status, stdout and stderr."""
    from ecs_exec.command.runner import Runner
    from ecs_exec.errors import EcsExecError
    from ecs_exec.settings import read_execution
    from ecs_exec.signals import Interrupts
    from ecs_exec.streams import OutputStreams

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Interrupts() as interrupts:
        streams = OutputStreams(interrupts, stdout=out.fileno(), stderr=err.fileno())
        try:
            status = Runner(read_execution(environment), environment, interrupts, streams).run()
        except EcsExecError as error:
            streams.say(str(error))
            status = 125
        out.seek(0)
        err.seek(0)
        return status, out.read(), err.read()


def _verdict(session: Plan, folder: Path, got: tuple[int, bytes, bytes]) -> str:
    status, stdout, stderr = got
    flag = folder / f"starts-{session.number}"
    starts = len(flag.read_text().split()) if flag.exists() else 0
    wanted = session.status, session.output(folder), f"error {session.number}\n".encode()
    if starts == 1 and got == wanted:
        return "ok"
    told = stderr.startswith((b"ecs-exec: ", b"error")) and b"ecs-exec: " in stderr
    if session.hopeless and status == 125 and starts <= 1 and told and wanted[1].startswith(stdout):
        return "ok, 125"
    return (
        f"status {status} in place of {session.status}, {len(stdout)} bytes in place of {len(wanted[1])}"
        f" ({'the same' if stdout == wanted[1] else 'others'}), {starts} starts, {stderr[-300:]!r}"
    )


@contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes that have loaded the plugin's modules, with contents/lib if it is filled."""
    former, paths = sys.path, [str(CONTENTS), str(CONTENTS / "lib")]
    sys.path = [*paths, *former]
    try:
        server = multiprocessing.get_context("forkserver")
        server.set_forkserver_preload(["ecs_exec.command.runner", "ecs_exec.transport.native", "soak"])
        with ProcessPoolExecutor(jobs, mp_context=server) as pool:
            yield pool
    finally:
        sys.path = former


# --- All of them


def _fill(folder: Path, seed: int) -> None:
    """Write the files whose pieces the commands print."""
    draw = random.Random(seed)  # noqa: S311
    (folder / "binary").write_bytes(draw.randbytes(2 * LARGEST).replace(b"\xef\xbf\xbd", b"\xef\xbf\xbc"))
    lines = (
        " ".join(draw.choices(("äöü", "世界", "text", "more of it", "0123456789", "\t", "~"), k=9))
        for _ in range(2**16)
    )
    (folder / "text").write_bytes("\n".join(lines).encode()[: 2 * LARGEST].ljust(2 * LARGEST, b"."))


def soak(sessions: int, seed: int, jobs: int, tell: Callable[[str], None]) -> str:
    """Run sessions; return a summary line. Raises AssertionError that names each wrong session."""
    plans = [plan(seed, number) for number in range(sessions)]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name, Emulator(agent=_HABITS) as emulator:
        folder = Path(name)
        _fill(folder, seed)
        emulator.choose_faults(lambda command: _faults_of(command, plans))
        launcher = Launcher(
            emulator.endpoint_url, emulator.region, config={"transport": "native", "connect-timeout": "300"}
        )
        node = emulator.node("demo", "web")
        with processes(jobs) as pool:
            futures = [
                pool.submit(_run, each, launcher.environment(node, each.command(folder)), folder)
                for each in sorted(plans, key=lambda each: -each.size)  # the long ones start first
            ]
            verdicts = []
            for future in as_completed(futures, timeout=_HANG * (1 + sessions / jobs / 10)):
                verdicts.append(future.result())
                if len(verdicts) % 100 == 0:
                    tell(f"{len(verdicts)} sessions, {time.monotonic() - begun:.0f} s")
        report = emulator.report()
    wrong = [f"session {number}: {verdict}" for number, _, verdict in verdicts if not verdict.startswith("ok")]
    wrong += report["violations"]
    counts = Counter(verdict for *_, verdict in verdicts if verdict.startswith("ok"))
    size = sum(each.size for each in plans) / 1e6
    resumed, resent = (sum(each[name] for each in report["sessions"]) for name in ("resumes", "framesResent"))
    line = (
        f"soak: {sessions} sessions, seed {seed}, {size:.1f} MB: {counts['ok']} complete, {counts['ok, 125']} ended"
        f" with 125 and a reason, {len(wrong)} wrong; {resumed} resumptions, {resent} frames sent again;"
        f" {time.monotonic() - begun:.0f} s, the longest {max(seconds for _, seconds, _ in verdicts):.0f} s"
    )
    assert not wrong, "\n".join([line, *wrong])
    return line


def _faults_of(command: str, plans: Sequence[Plan]) -> Faults | None:
    found = re.search(r": soak-(\d+)-;", command)
    return plans[int(found[1])].faults if found else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run as the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(prog="soak", description="Run many sessions over bad links.")
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--seed", type=int, help="draws the same sessions again (random)")
    parser.add_argument(
        "--handshakes", type=int, metavar="N", help="run N encrypted sessions with late handshakes instead"
    )
    parser.add_argument("--jobs", type=int, default=8 * (os.cpu_count() or 1), help="sessions at a time")
    args = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(2**32) if args.seed is None else args.seed
    try:
        if args.handshakes:
            from soak_handshakes import soak_handshakes

            print(soak_handshakes(range(args.handshakes), args.jobs))
            return 0
        print(soak(args.sessions, seed, args.jobs, lambda line: print(line, flush=True)))
    except AssertionError as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
