"""The times at which a silent session is probed and its task is described."""

from __future__ import annotations

from ecs_exec.command.idle_timer import Action, IdleTimer, Intervals

INTERVALS = Intervals()


def told(idle_timer: IdleTimer, until: float) -> list[tuple[float, Action]]:
    """Give what is asked for up to a moment, and when."""
    found = []
    while (now := idle_timer.next()) <= until:
        task = idle_timer.due(now)
        assert task is not None
        found.append((now, task))
    return found


def test_a_silence_is_probed_once_and_looked_at_again_and_again() -> None:
    """So the plugin also notices an end that ECS shows late."""
    assert told(IdleTimer(INTERVALS, 100.0), 160.0) == [
        (105.0, Action.PROBE),
        (108.0, Action.LOOK),
        (115.0, Action.LOOK),
        (129.0, Action.LOOK),
        (143.0, Action.LOOK),
        (157.0, Action.LOOK),
    ]


def test_what_is_heard_begins_the_silence_anew() -> None:
    """Nothing is asked for while output comes."""
    idle_timer = IdleTimer(INTERVALS, 0.0)
    for now in range(0, 60, 4):
        idle_timer.heard(float(now))
        assert idle_timer.due(now + 3.9) is None
    assert told(idle_timer, 62.0) == [(61.0, Action.PROBE)]


def test_a_sign_of_life_starts_both_timers_again() -> None:
    """After the probe and after looks too, and from the moment at which it came, not from the one that was due."""
    idle_timer = IdleTimer(INTERVALS, 0.0)
    assert idle_timer.due(4.9) is None
    idle_timer.heard(4.9)
    assert idle_timer.next() == 9.9
    assert told(idle_timer, 24.0) == [(9.9, Action.PROBE), (12.9, Action.LOOK), (19.9, Action.LOOK)]
    idle_timer.heard(24.5)
    assert idle_timer.next() == 29.5
    assert told(idle_timer, 40.0) == [(29.5, Action.PROBE), (32.5, Action.LOOK), (39.5, Action.LOOK)]


def test_nothing_is_due_before_its_time() -> None:
    """Asking for due actions changes nothing, and is no sign of life."""
    idle_timer = IdleTimer(INTERVALS, 0.0)
    for tenth in range(50):
        assert idle_timer.due(tenth / 10) is None
        assert idle_timer.next() == 5.0
    assert idle_timer.due(5.0) is Action.PROBE
    for tenth in range(50, 80):
        assert idle_timer.due(tenth / 10) is None
        assert idle_timer.next() == 8.0
    assert idle_timer.due(8.0) is Action.LOOK


def test_a_late_look_is_followed_by_a_pause() -> None:
    """A look may take seconds, and a machine may sleep: the probe still comes first, and looks do not come in a row."""
    idle_timer = IdleTimer(INTERVALS, 0.0)
    assert idle_timer.due(100.0) is Action.PROBE
    assert idle_timer.due(100.0) is Action.LOOK
    assert idle_timer.due(100.0) is None
    assert idle_timer.next() == 107.0


def test_a_pace_with_an_early_look() -> None:
    """Whichever timer is first is the next one."""
    idle_timer = IdleTimer(Intervals(probe=6.0, look=2.0, look_again=3.0, look_later=1.0), 0.0)
    assert told(idle_timer, 8.0) == [(2.0, Action.LOOK), (5.0, Action.LOOK), (6.0, Action.PROBE), (8.0, Action.LOOK)]


def test_an_end_is_noticed_in_time() -> None:
    """The promise is 15 seconds, also for a far side that goes away right after a sign of life.

    And after a long silence, from the moment at which ECS shows the end.
    """
    assert INTERVALS.look < 15
    assert INTERVALS.look + INTERVALS.look_again <= 15
    assert INTERVALS.look_later < 15
    assert INTERVALS.keep_alive < 20 * 60 / 2
