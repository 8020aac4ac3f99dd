"""The tasks and containers that filters accept, and the list filters that ECS gets."""

from __future__ import annotations

import pytest

from ecs_exec.nodes.filters import NARROW_AT_MOST, Choice, Filters, list_filters

TAGS = {"team": "web", "env": "prod", "empty": ""}


def fits(filters: Filters, service: str = "web", definition: str = "shop:7", container: str = "app") -> bool:
    """Tell whether a container of a task with TAGS becomes a node. The task also has a container named log-router."""
    choice = Choice(filters)
    return choice.of_task(service, definition, TAGS, (container, "log-router")) and choice.of_container(container)


@pytest.mark.parametrize(
    ("filters", "included"),
    [
        (Filters(services=("web",)), True),
        (Filters(services=("we",)), False),
        (Filters(services=("we*", "x")), True),
        (Filters(services=("*",)), True),
        (Filters(task_definitions=("shop",)), True),
        (Filters(task_definitions=("shop:7",)), True),
        (Filters(task_definitions=("shop:77", "sho")), False),
        (Filters(task_definitions=("s*:7",)), True),
        (Filters(task_definitions=("s*:*",)), True),
        (Filters(containers=("app",)), True),
        (Filters(containers=("a", "app2")), False),
        (Filters(tags=(("team", "web"),)), True),
        (Filters(tags=(("team", "w.b"),)), False),
        (Filters(tags=(("team", "x"), ("team", "web"))), True),
        (Filters(tags=(("team", "web"), ("env", "staging"))), False),
        (Filters(tags=(("empty", ""),)), True),
        (Filters(tags=(("empty", "*"),)), True),
        (Filters(tags=(("none", "*"),)), False),
        (Filters(tags=(("e*", "prod"),)), True),
    ],
)
def test_one_kind(filters: Filters, included: bool) -> None:
    """What is not included by a kind of filter alone is what excluding leaves, and the other way round."""
    assert fits(filters) is included
    excluding = Filters(True, filters.services, filters.task_definitions, filters.containers, filters.tags)
    several_tags = len(filters.tags) > 1 and not included
    assert fits(excluding) is (not included and not several_tags)


def test_kinds_together() -> None:
    """To be included takes all of them, to be excluded one."""
    assert fits(Filters(services=("web",), containers=("app",)))
    assert not fits(Filters(services=("web",), containers=("x",)))
    assert not fits(Filters(True, services=("web",), containers=("x",)))
    assert fits(Filters(True, services=("x",), containers=("x",)))


@pytest.mark.parametrize(
    ("filters", "included", "excluded"),
    [
        (Filters(containers=("log-*",), whole_tasks=True), True, False),
        (Filters(containers=("app",), whole_tasks=True), True, False),
        (Filters(containers=("x",), whole_tasks=True), False, True),
        (Filters(whole_tasks=True), True, True),
        (Filters(services=("web",), containers=("x",), whole_tasks=True), False, False),
        # Without it, a name selects the container alone.
        (Filters(containers=("log-*",)), False, True),
    ],
)
def test_containers_that_select_their_task(filters: Filters, included: bool, excluded: bool) -> None:
    """A task with a container of a listed name is included, or excluded, with all its containers."""
    assert fits(filters) is included
    assert fits(filters._replace(exclude=True)) is excluded


def test_a_task_of_no_service() -> None:
    """It belongs to no service. A pattern for any name does not match it."""
    assert not fits(Filters(services=("web",)), service="")
    assert not fits(Filters(services=("*",)), service="")
    assert fits(Filters(True, services=("*",)), service="")


@pytest.mark.parametrize(
    ("filters", "asked"),
    [
        (Filters(), [{}]),
        (Filters(services=("b", "a")), [{"serviceName": "a"}, {"serviceName": "b"}]),
        (Filters(services=("a", "b*")), [{}]),
        (Filters(task_definitions=("a", "a:1", "b:2")), [{"family": "a"}, {"family": "b"}]),
        (Filters(services=("a",), task_definitions=("b",)), [{"serviceName": "a"}]),
        (Filters(services=("a*",), task_definitions=("b",)), [{"family": "b"}]),
        (Filters(True, services=("a",)), [{}]),
        (Filters(containers=("a",), tags=(("a", "b"),)), [{}]),
        (Filters(services=tuple(f"s{number}" for number in range(NARROW_AT_MOST + 1))), [{}]),
    ],
)
def test_what_ecs_is_asked(filters: Filters, asked: list[dict[str, str]]) -> None:
    """For a service or a family by name, never for more than can be wanted, and never for less."""
    assert list_filters(filters) == asked
