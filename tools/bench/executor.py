"""The figures of the node executor."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.clients import Bench
from bench.measure import Cost, Program, Spread, peak_memory, run, side_by_side

MB = 1_000_000
_AGENT_SECOND = 1.0
_REAL: dict[str, object] = {}
_UNPACED: dict[str, object] = {"start_delay": 0, "pacing": 0}
_LINES = 200


@dataclass(frozen=True)
class Figure:
    """One row of the table. `value` must reach `mark`; `bound` says which side of the mark is good."""

    name: str
    ours: Spread
    peer: Spread | None
    unit: str
    value: float
    """The value that is compared with the mark: a ratio of medians, or a single figure."""
    mark: float
    bound: str = "at most"
    digits: int = 2

    @property
    def reached(self) -> bool:
        """Return whether the mark is reached."""
        return self.value <= self.mark if self.bound == "at most" else self.value >= self.mark


def ratio(name: str, ours: Spread, peer: Spread, unit: str, mark: float, digits: int = 2) -> Figure:  # noqa: PLR0917
    """Make a row of a ratio to the peer."""
    return Figure(name, ours, peer, unit, ours.middle / peer.middle, mark, digits=digits)


def figures(work: Path, runs: int) -> Iterator[Figure]:
    """Measure; yield each figure as soon as it is known."""
    with Bench(100, _REAL, work) as bench:
        yield from _true(bench, runs)
        yield from _fan_out(bench, runs)
        yield _paced(bench, runs)
        yield _delay("delay of a line", bench, 1, 0.010)
        yield _delay("delay of a line, 20 sessions at once", bench, 20, 0.050)
    with Bench(1, _UNPACED, work) as bench:
        yield from _unpaced(bench, runs)


@dataclass(frozen=True)
class Growth:
    """The cost of a number of executions at once."""

    count: int
    program: str
    rate: float
    """Executions a second."""
    beyond: Spread
    """Milliseconds of one execution beyond the agent's second."""
    cpu: float
    """Milliseconds of processor time of one execution."""
    memory: float
    """MB of all executions together."""
    delay: Spread | None
    """Milliseconds from a line's printing to its arrival."""


def growth(work: Path, counts: Sequence[int] = (1, 10, 50)) -> Iterator[Growth]:
    """Measure a number of executions at once, ours and the peer's."""
    with Bench(max(counts), _REAL, work) as bench:
        for count in counts:
            ours = [bench.ours("true", task) for task in range(count)]
            peer = [bench.peer("true", task) for task in range(count)]
            yield _grown(count, "ours", ours, _delays(bench, count))
            yield _grown(count, "peer", peer, None)


def _grown(count: int, name: str, programs: list[Program], delay: Spread | None) -> Growth:
    many = programs * max(4, 20 // count)
    seconds, costs = side_by_side(many, count)
    memory = peak_memory(*programs) / MB
    return Growth(count, name, len(many) / seconds, _beyond(costs), _cpu(costs).middle, memory, delay)


def _pairs(ours: Program, peer: Program, runs: int) -> tuple[list[Cost], list[Cost]]:
    """Run two programs in turn, after one warm-up run of each."""
    run(ours), run(peer)
    pairs = [(run(ours), run(peer)) for _ in range(runs)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _true(bench: Bench, runs: int) -> Iterator[Figure]:
    ours, peer = _pairs(bench.ours("true"), bench.peer("true"), runs)
    yield ratio("`true`: time beyond the agent's second", _beyond(ours), _beyond(peer), "ms", 0.18, 0)
    yield ratio("`true`: processor time", _cpu(ours), _cpu(peer), "ms", 0.16, 0)
    memory = [(peak_memory(bench.ours("true")), peak_memory(bench.peer("true"))) for _ in range(runs)]
    yield ratio(
        "`true`: peak memory",
        Spread.of(pair[0] / MB for pair in memory),
        Spread.of(pair[1] / MB for pair in memory),
        "MB",
        0.30,
        0,
    )
    before = len(bench.calls())
    run(bench.ours("true"))
    made = float(len(bench.calls()) - before)
    yield Figure("AWS calls of a command", Spread(made, made, made), None, "", made, 1, digits=0)
    through = bench.ours("true", transport="session-manager-plugin")
    run(through)
    beyond = _beyond([run(through) for _ in range(runs)])
    yield ratio("`true` through session-manager-plugin: time beyond the second", beyond, _beyond(peer), "ms", 0.50, 0)


def _beyond(costs: Sequence[Cost]) -> Spread:
    """Give the milliseconds beyond the agent's own second."""
    return Spread.of((cost.wall - _AGENT_SECOND) * 1000 for cost in costs)


def _cpu(costs: Sequence[Cost]) -> Spread:
    return Spread.of(cost.cpu * 1000 for cost in costs)


def _fan_out(bench: Bench, runs: int) -> Iterator[Figure]:
    tasks = range(len(bench.tasks))
    ours, peer = [bench.ours("true", task) for task in tasks], [bench.peer("true", task) for task in tasks]
    rounds = [(side_by_side(ours, 20), side_by_side(peer, 20)) for _ in range(max(1, runs // 3))]
    name = f"{len(tasks)} commands on as many containers, 20 at a time"
    of_ours, of_peer = zip(*rounds, strict=True)
    yield ratio(f"{name}: time", _seconds(of_ours), _seconds(of_peer), "s", 0.28, 1)
    yield ratio(f"{name}: processor time", _cpu_of_all(of_ours), _cpu_of_all(of_peer), "s", 0.16, 1)
    yield _rate(bench, runs)


def _rate(bench: Bench, runs: int) -> Figure:
    """Count the commands that end each second while 50 run. The emulator and its containers use the same processors.

    Of ours there are four for each place, so that the last second, in which only agents wait, is a small part. A wave
    of the peer takes half a minute, so one is enough.
    """
    ours = [bench.ours("true", task) for task in range(50)] * 4
    peer = [bench.peer("true", task) for task in range(50)]
    rounds = range(max(1, runs // 5))
    of_ours = Spread.of(len(ours) / side_by_side(ours, 50)[0] for _ in rounds)
    of_peer = Spread.of(len(peer) / side_by_side(peer, 50)[0] for _ in rounds)
    value = of_ours.middle / of_peer.middle
    return Figure("commands a second, 50 at once", of_ours, of_peer, "/s", value, 6, "at least", digits=1)


def _seconds(rounds: Iterable[tuple[float, list[Cost]]]) -> Spread:
    return Spread.of(seconds for seconds, _ in rounds)


def _cpu_of_all(rounds: Iterable[tuple[float, list[Cost]]]) -> Spread:
    return Spread.of(sum(cost.cpu for cost in costs) for _, costs in rounds)


def _paced(bench: Bench, runs: int) -> Figure:
    """Processor time of output at the agent's pace, without that of a command that prints nothing."""
    size = 10 * MB  # a start's own time varies by as much as one or two MB take
    command = f"head -c {size} /dev/zero"
    idle, idle_peer = _pairs(bench.ours("true"), bench.peer("true"), runs)
    # At that pace one takes 15 seconds and little of a processor, so four are run at once.
    pairs = [(bench.ours(command, task), bench.peer(command, task)) for task in range(runs)]
    _, costs = side_by_side([program for pair in pairs for program in pair], 4)
    busy, busy_peer = costs[::2], costs[1::2]

    def each(costs: list[Cost], rest: list[Cost]) -> Spread:
        base = Spread.of(cost.cpu for cost in rest).middle
        return Spread.of((cost.cpu - base) / size * MB * 1000 for cost in costs)

    return ratio("processor time of 1 MB at the agent's pace", each(busy, idle), each(busy_peer, idle_peer), "ms", 0.35)


def _unpaced(bench: Bench, runs: int) -> Iterator[Figure]:
    size = 50 * MB
    ours = [size / MB / run(bench.ours(f"head -c {size} /dev/zero")).wall for _ in range(runs)]
    small = 5 * MB
    peer = [small / MB / run(bench.peer(f"head -c {small} /dev/zero")).wall for _ in range(runs)]
    spread = Spread.of(ours)
    of_peer = Spread.of(peer)
    value = spread.middle / of_peer.middle
    yield Figure("output, the agent's pace off", spread, of_peer, "MB/s", value, 2, "at least", digits=1)
    one = peak_memory(bench.ours("head -c 1000000 /dev/zero")) / MB
    many = peak_memory(bench.ours("head -c 500000000 /dev/zero")) / MB
    grown = Spread(many - one, many - one, many - one)
    yield Figure("memory of 500 MB of output beyond that of 1 MB", grown, None, "MB", many - one, 10, digits=1)


def _delay(name: str, bench: Bench, sessions: int, mark: float) -> Figure:
    spread = _delays(bench, sessions)
    return Figure(name, spread, None, "ms", spread.middle / 1000, mark, digits=1)


def _delays(bench: Bench, sessions: int) -> Spread:
    """Milliseconds from the print of a line in the container to its arrival on our stdout; both use one clock."""
    script = f"import time,sys\nfor _ in range({_LINES}): print(time.time(), flush=True); time.sleep(0.02)"
    command = f"python3 -c '{script}'"

    def delays(task: int) -> list[float]:
        arrivals: list[tuple[float, float]] = []

        def arrived(data: bytes) -> None:
            now = time.time()
            arrivals.extend((float(line), now) for line in data.split())

        run(bench.ours(command, task), arrived)
        # Output that is printed before the agent begins to read waits for the agent.
        settled = arrivals[0][0] + 2 * _AGENT_SECOND
        return [(there - printed) * 1000 for printed, there in arrivals if printed > settled]

    with ThreadPoolExecutor(sessions) as pool:
        return Spread.of(delay for each in pool.map(delays, range(sessions)) for delay in each)
