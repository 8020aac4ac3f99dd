"""Plain values: the plugin's NamedTuple behaves as that of the standard library."""

from __future__ import annotations

import copy
import pickle
import typing
from collections.abc import Callable

import pytest

from ecs_exec.record import NamedTuple


class Ours(NamedTuple):
    """A value of ours."""

    a: int
    b: str = "x"
    c: tuple[int, ...] = ()

    @property
    def twice(self) -> int:
        """Return twice a field."""
        return 2 * self.a


class Theirs(typing.NamedTuple):
    """The same of the standard library."""

    a: int
    b: str = "x"
    c: tuple[int, ...] = ()

    @property
    def twice(self) -> int:
        """Return twice a field."""
        return 2 * self.a


USES: dict[str, Callable[[typing.Any], object]] = {
    "by place": lambda kind: kind(1, "y", (2,)),
    "by name": lambda kind: kind(c=(1,), a=2),
    "defaults": lambda kind: kind(3),
    "fields": lambda kind: (kind(1).a, kind(1).b, kind(1, c=(4,)).c, kind(2).twice),
    "replaced": lambda kind: kind(1)._replace(b="z"),
    "equal": lambda kind: (kind(1) == kind(1), kind(1) == kind(2), kind(1) == (1, "x", ()), hash(kind(1))),
    "unpacked": lambda kind: [*kind(1)],
    "copied": lambda kind: copy.copy(kind(1, "q")),
    "pickled": lambda kind: pickle.loads(pickle.dumps(kind(1, "q"))),  # noqa: S301 - our own
    "shown": lambda kind: repr(kind(1)).replace(kind.__name__, ""),
    "sorted": lambda kind: sorted([kind(2), kind(1)]),
}


@pytest.mark.parametrize("name", USES)
def test_it_is_used_like_the_standard_one(name: str) -> None:
    """Each use gives the same."""
    assert USES[name](Ours) == USES[name](Theirs)
    assert type(USES[name](Ours)) is not type(USES[name](Theirs)) or not isinstance(USES[name](Ours), Ours)


WRONG: dict[str, Callable[[typing.Any], object]] = {
    "nothing": lambda kind: kind(),
    "too much": lambda kind: kind(1, "y", (), 4),
    "unknown": lambda kind: kind(1, d=2),
    "twice": lambda kind: kind(1, a=2),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_what_no_value_can_be_made_of(name: str, kind: type) -> None:
    """Both raise TypeError."""
    with pytest.raises(TypeError):
        WRONG[name](kind)


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_a_value_does_not_change(kind: typing.Any) -> None:  # noqa: ANN401
    """Neither a field nor anything else can be set."""
    value = kind(1)
    for name in ("a", "z"):
        with pytest.raises(AttributeError):
            setattr(value, name, 2)
