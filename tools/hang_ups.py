"""End sessions at random moments: `python -m hang_ups --count 1000`.

Commands, scripts and copies in every shell get hang-up signals as from the SSM agent when a session ends. Afterwards
nothing may still run, and no file may be left. Several sessions run in parallel, so that the machine is busy. The same
seed draws the same moments; what happens at a moment depends on the machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ecs_exec.errors import EcsExecError
from unit.terminals import SHELLS, Conversation, Talk, available, program
from unit.uploads import Script, Upload

KINDS = ("command", "script", "copy")
_STUBBORN = "trap '' HUP; sleep 60 & sleep 60"
"""A command that continues until it is killed."""

_PLACE = "place"
"""Folder for all files that the sessions make."""

_LATEST = 0.4
"""Latest moment of a hang-up, in seconds after the start. By then most sessions work, unless the machine is busy."""

_GONE_WITHIN = 60.0
"""Seconds that a busy machine may take. A process that lives longer does not end by itself."""


@dataclass(frozen=True)
class Plan:
    """One session. Seed and number determine all of it."""

    number: int
    shell: str
    kind: str
    moment: float
    """Seconds after the start."""


def plans(count: int, seed: int, shells: Sequence[str] = tuple(SHELLS)) -> Iterator[Plan]:
    """Draw `count` sessions for each of the shells."""
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    for number in range(count * len(shells)):
        kind = KINDS[number // len(shells) % len(KINDS)]
        yield Plan(number, shells[number % len(shells)], kind, _LATEST * draw.random())


def hang_up(plan: Plan) -> tuple[Plan, str, str]:
    """Start the planned session and hang up. Return how far it had got, and what was left."""
    with tempfile.TemporaryDirectory(prefix="hang-ups-") as name:
        folder = Path(name)
        talk = _start(plan, folder)
        with talk:
            _carry_on(talk, time.monotonic() + plan.moment)
            reached = "begun" if talk.protocol.begun else "not begun"
            talk.hang_up()
            return plan, reached, _left(talk, folder)


def _start(plan: Plan, folder: Path) -> Talk:
    interpreter = program(plan.shell)
    inner = _one_word(plan.shell, interpreter, folder)
    if plan.kind == "command":
        return Conversation(_STUBBORN, plan.shell, shell=inner)
    (folder / _PLACE).mkdir()
    if plan.kind == "script":
        return Script(_STUBBORN.encode(), interpreter, inner=inner, environ={"TMPDIR": str(folder / _PLACE)})
    source = folder / "source"
    source.write_bytes(os.urandom(500_000))
    return Upload(source, f"{folder}/{_PLACE}/new/goal", interpreter, inner=inner)


def _one_word(name: str, interpreter: Sequence[str], folder: Path) -> str:
    """Return a shell as the setting takes it."""
    if len(interpreter) == 1:
        return interpreter[0]
    link = folder / ("sh" if name == "bash as sh" else "ash")
    link.symlink_to(interpreter[0])
    return str(link)


def _carry_on(talk: Talk, until: float) -> None:
    """Let the session go on for a while."""
    with suppress(TimeoutError, EcsExecError):
        while (left := until - time.monotonic()) > 0:
            if not (data := talk.terminal.read(left)):
                return
            talk.protocol.output(data, time.monotonic())


def _left(talk: Talk, folder: Path) -> str:
    """Return the processes and files that are left after the time limit; normally none."""
    until = time.monotonic() + _GONE_WITHIN
    while (processes := talk.left_over()) and time.monotonic() < until:
        time.sleep(0.01)
    found = [f"process {pid}" for pid in processes]
    found += [f"{path.relative_to(folder)}" for path in folder.glob(f"{_PLACE}/**/*") if not _is_whole(path)]
    return ", ".join(found)


def _is_whole(path: Path) -> bool:
    """Return whether the path is a finished copy, or the folder of one."""
    whole = path if path.name == "goal" else path / "goal"
    source = path.parents[len(path.parts) - 1 - path.parts.index(_PLACE)] / "source"
    return whole.is_file() and whole.read_bytes() == source.read_bytes()


def soak(count: int, seed: int, tell: Callable[[str], None], shells: Sequence[str] = ()) -> str:
    """Run all sessions; return a summary line. Raises AssertionError that names what was left."""
    chosen = list(plans(count, seed, shells or [name for name in SHELLS if available(name)]))
    reached: Counter[str] = Counter()
    faults = []
    started = time.monotonic()
    with _pool() as pool:
        for done, future in enumerate(as_completed([pool.submit(hang_up, plan) for plan in chosen]), 1):
            plan, how_far, left = future.result()
            reached[f"{plan.kind} {how_far}"] += 1
            if left:
                faults.append(f"{plan}: {left}")
                tell(faults[-1])
            if done % 500 == 0:
                tell(f"{done} of {len(chosen)}, {len(faults)} left something, {time.monotonic() - started:.0f} s")
    told = ", ".join(f"{number} {what}" for what, number in sorted(reached.items()))
    assert not faults, "\n".join(faults)
    return f"{len(chosen)} sessions were hung up, nothing was left: {told}"


@contextmanager
def _pool() -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of twice as many processes as processors, so that each processor is busy."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2 * (os.cpu_count() or 1), mp_context=context) as pool:
        yield pool


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(prog="make soak-hang-ups ARGS=", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="sessions for each shell (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="other moments (default: %(default)s)")
    parser.add_argument("--shells", default="", help="comma-separated names; default: all that are installed")
    options = parser.parse_args(arguments)
    shells = [name for name in options.shells.split(",") if name]
    try:
        print(soak(options.count, options.seed, lambda line: print(line, flush=True), shells))
    except AssertionError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
