"""Redeploy Service against random deployments: it never reports a success that is none, and always ends in time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from e2e.rundeck_launch import variables
from ecs_exec.settings.steps import read_redeploy
from ecs_exec.steps import redeploy
from virtual_services import VirtualEcs, run

_LIMIT = 900
_STAGES = ("PRE_SCALE_UP", "SCALE_UP", "POST_SCALE_UP", "PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP")
_SETTINGS: Mapping[str, tuple[float, Callable[[random.Random], Any]]] = {
    "strategy": (0.75, lambda r: r.choice(("BLUE_GREEN", "LINEAR", "CANARY"))),
    "fails": (0.2, lambda r: r.choice((1, 2, 5, -1))),
    "circuit_breaker": (0.4, lambda _: 3),
    "rollback": (0.5, lambda _: True),
    "rollback_fails": (0.1, lambda _: True),
    "drains": (0.15, lambda r: r.choice((20.0, 100.0, -1))),
    "rival": (0.15, lambda r: r.choice((1.0, 20.0, 70.0, 130.0, 200.0))),
    "api": (0.25, lambda _: False),
    "states": (0.3, lambda _: False),
    "alarm": (0.1, lambda r: r.choice(_STAGES)),
    "hooks": (0.1, lambda r: {r.choice(_STAGES): r.choice(("fails", "times out", "pauses"))}),
    "recorded_after": (0.2, lambda r: r.choice((5.0, 40.0, 100.0))),
    "listed_at": (0.25, lambda r: r.choice(_STAGES[:3])),
    "primary_at": (0.25, lambda r: r.choice(_STAGES[1:5])),
    "deleted": (0.05, lambda r: r.choice((3.0, 50.0, 150.0))),
    "scaled": (0.1, lambda r: r.choice((1, 3))),
    "takes": (1.0, lambda r: r.choice((1.0, 10.0, 30.0, 60.0))),
    "stage_takes": (1.0, lambda r: r.choice((0.0, 1.0, 5.0, 20.0))),
}
"""Of a rollout: how probable each is, and its value."""
_CALLS = ("UpdateService", "DescribeServices", "ListTasks", "ListServiceDeployments", "DescribeServiceDeployments")


def _rollout(chance: random.Random) -> dict[str, Any]:
    found = {name: choose(chance) for name, (share, choose) in _SETTINGS.items() if chance.random() < share}
    if "strategy" not in found:  # a rolling deployment is listed at once
        found = {name: value for name, value in found.items() if name not in ("listed_at", "primary_at")}
    return {"bake": 120.0, **found}


@pytest.mark.parametrize("seed", range(40))
def test_random_deployments(seed: int) -> None:
    """Status 0 means: the wanted revision runs with all its tasks, no old task is left, and nobody deployed later."""
    chance = random.Random(seed)  # noqa: S311 - the same each time
    rollout = _rollout(chance)
    errors = ("", "", "ThrottlingException", "ServerException")
    faults = {name: [chance.choice(errors) for _ in range(6)] for name in _CALLS if chance.random() < 0.2}
    web = {"desired": 2, "containers": {"app": {"image": "web:1"}}, "rollout": rollout}
    ecs = VirtualEcs({"clusters": {"c": {"services": {"web": web}}}}, faults=faults)
    given = {"cluster": "c", "service": "web", "region": "us-east-1", "tag": "2", "wait-timeout": str(_LIMIT)}
    ended = run(redeploy, read_redeploy(variables("CONFIG", given)), ecs)
    passed, living = ecs.loop.time(), [task for task in ecs.tasks if task.last_status != "STOPPED"]
    ecs.end()
    assert ended.status in (0, 1, 2, 3, 124, 125)
    assert passed <= _LIMIT + 35, "a call is retried for half a minute"
    assert len(ecs.registered) <= 1
    if ended.status == 0:
        assert ended.err == ""
        assert {item.image for task in living for item in task.group.containers} == {"web:2"}
        assert len({task.deployment for task in living}) == 1
        assert len(living) == rollout.get("scaled", 2)
        assert "deleted" not in rollout or passed < rollout["deleted"]
    else:
        assert sum(line.endswith("]") for line in ended.err.splitlines()) == 1, ended.err
