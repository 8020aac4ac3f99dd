"""When a silent session is probed and its task looked at."""

from __future__ import annotations

from ecs_exec.vigil import Pace, Task, Vigil

PACE = Pace()


def told(vigil: Vigil, until: float) -> list[tuple[float, Task]]:
    """Give what is asked for up to a moment, and when."""
    found = []
    while (now := vigil.next()) <= until:
        task = vigil.due(now)
        assert task is not None
        found.append((now, task))
    return found


def test_a_silence_is_probed_once_and_looked_at_again_and_again() -> None:
    """So that an end that ECS tells late is noticed, too."""
    assert told(Vigil(PACE, 100.0), 130.0) == [
        (105.0, Task.PROBE),
        (108.0, Task.LOOK),
        (115.0, Task.LOOK),
        (122.0, Task.LOOK),
        (129.0, Task.LOOK),
    ]


def test_what_is_heard_begins_the_silence_anew() -> None:
    """Nothing is asked for while output comes."""
    vigil = Vigil(PACE, 0.0)
    for now in range(0, 60, 4):
        vigil.heard(float(now))
        assert vigil.due(now + 3.9) is None
    assert told(vigil, 62.0) == [(61.0, Task.PROBE)]


def test_an_end_is_noticed_in_time() -> None:
    """The promise is 15 seconds, also for a far side that goes away right after a sign of life."""
    assert PACE.look < 15
    assert PACE.look + PACE.look_again <= 15
    assert PACE.keep_alive < 20 * 60 / 2
