"""When a silent session is probed and its task looked at."""

from __future__ import annotations

from ecs_exec.command.idle_timer import Pace, Task, Vigil

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


def test_a_sign_of_life_starts_both_timers_again() -> None:
    """After the probe and after looks too, and from the moment at which it came, not from the one that was due."""
    vigil = Vigil(PACE, 0.0)
    assert vigil.due(4.9) is None
    vigil.heard(4.9)
    assert vigil.next() == 9.9
    assert told(vigil, 24.0) == [(9.9, Task.PROBE), (12.9, Task.LOOK), (19.9, Task.LOOK)]
    vigil.heard(24.5)
    assert vigil.next() == 29.5
    assert told(vigil, 40.0) == [(29.5, Task.PROBE), (32.5, Task.LOOK), (39.5, Task.LOOK)]


def test_nothing_is_due_before_its_time() -> None:
    """To ask what is due changes nothing, and is no sign of life."""
    vigil = Vigil(PACE, 0.0)
    for tenth in range(50):
        assert vigil.due(tenth / 10) is None
        assert vigil.next() == 5.0
    assert vigil.due(5.0) is Task.PROBE
    for tenth in range(50, 80):
        assert vigil.due(tenth / 10) is None
        assert vigil.next() == 8.0
    assert vigil.due(8.0) is Task.LOOK


def test_a_late_look_is_followed_by_a_pause() -> None:
    """A look may take seconds, and a machine may sleep: the probe still comes first, and looks do not come in a row."""
    vigil = Vigil(PACE, 0.0)
    assert vigil.due(100.0) is Task.PROBE
    assert vigil.due(100.0) is Task.LOOK
    assert vigil.due(100.0) is None
    assert vigil.next() == 107.0


def test_a_pace_with_an_early_look() -> None:
    """Whichever timer is first is the next one."""
    vigil = Vigil(Pace(probe=6.0, look=2.0, look_again=3.0), 0.0)
    assert told(vigil, 8.0) == [(2.0, Task.LOOK), (5.0, Task.LOOK), (6.0, Task.PROBE), (8.0, Task.LOOK)]


def test_an_end_is_noticed_in_time() -> None:
    """The promise is 15 seconds, also for a far side that goes away right after a sign of life."""
    assert PACE.look < 15
    assert PACE.look + PACE.look_again <= 15
    assert PACE.keep_alive < 20 * 60 / 2
