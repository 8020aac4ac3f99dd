"""How many calls are made at a time, once AWS has refused some."""

from __future__ import annotations

from ecs_exec.nodes.rate_limiter import RateLimiter


class Clock:
    """A clock that moves only when the test moves it."""

    now = 100.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def waits(bucket: RateLimiter, calls: int) -> list[float]:
    """Give the seconds that calls which come together have to wait."""
    return [round(bucket.reserve(), 3) for _ in range(calls)]


def test_calls_are_free_until_one_is_refused() -> None:
    """Nobody but AWS knows how many an account is allowed."""
    assert waits(RateLimiter(20, Clock()), 1000) == [0.0] * 1000


def test_then_they_keep_to_the_rate() -> None:
    """One after the other, and no burst is saved up."""
    clock = Clock()
    bucket = RateLimiter(20, clock)
    bucket.refused()
    assert waits(bucket, 4) == [0.05, 0.1, 0.15, 0.2]
    clock.now += 60
    assert waits(bucket, 3) == [0.0, 0.05, 0.1]


def test_and_to_less_where_others_take_their_share() -> None:
    """Half of it for each second with refusals, never none; what goes through brings it back."""
    clock = Clock()
    bucket = RateLimiter(20, clock)
    for _ in range(5):  # calls that were under way together
        bucket.refused()
    assert bucket.rate == 20
    for expected in (10, 5, 2.5, 1.25, 0.625, 0.5, 0.5):
        clock.now += 1
        bucket.refused()
        bucket.refused()
        assert bucket.rate == expected
    for _ in range(1000):
        bucket.granted()
    assert bucket.rate == 20
