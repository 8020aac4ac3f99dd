"""Redeploy Service with each deployment strategy of ECS against every fault: the table of its verdicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from e2e.rundeck_launch import variables
from ecs_exec.settings.steps import Redeploy, read_redeploy, read_scale
from ecs_exec.steps import redeploy, scale
from virtual_services import VirtualEcs, run

_LIMIT = 900
ALL = ("ROLLING", "BLUE_GREEN", "LINEAR", "CANARY")
SHIFTS = ("BLUE_GREEN", "LINEAR", "CANARY")
LATE = {"listed_at": "SCALE_UP", "primary_at": "PRODUCTION_TRAFFIC_SHIFT"}
TRIPS = {"fails": -1, "circuit_breaker": 3}
RIVAL = {"rival": 40.0}


class Fault(NamedTuple):
    """What goes wrong in a deployment, and what the step makes of it."""

    rollout: Mapping[str, Any]
    status: int = 0
    words: str = ""
    """A pattern of the line on stderr."""
    strategies: tuple[str, ...] = ALL


def rolled_back(rollout: Mapping[str, Any], why: str, strategies: tuple[str, ...] = ALL) -> Fault:
    """Describe a fault after which ECS goes back to the old revision."""
    return Fault(rollout, 2, rf"{why}.*the service runs web:1 .*\[deployment-rolled-back\]", strategies)


FAULTS = {
    "nothing": Fault({}),
    "no api": Fault({"api": False}),
    "no states": Fault({"states": False}),
    "no api and no states": Fault({"api": False, "states": False}),
    "recorded late": Fault({"recorded_after": 25.0}),
    "listed late": Fault(LATE, strategies=SHIFTS),
    "primary late, no api": Fault({"api": False, "states": False, "primary_at": "BAKE_TIME"}, strategies=SHIFTS),
    "all of it late": Fault({**LATE, "recorded_after": 25.0, "states": False}, strategies=SHIFTS),
    "drains": Fault({"drains": 120.0}),
    "a task fails": Fault({"fails": 1}),
    "scaled": Fault({"scaled": 3}),
    "breaker": Fault(TRIPS, 1, r"circuit breaker gave it up.*\[deployment-unsuccessful\]"),
    "breaker, back": rolled_back({**TRIPS, "rollback": True}, "circuit breaker gave it up after 3 failed tasks"),
    "breaker, back, no api": rolled_back({**TRIPS, "rollback": True, "api": False}, "ECS rolled deployment"),
    "alarm": Fault({"alarm": "BAKE_TIME"}, 1, r"alarms went off: errors.*\[deployment-unsuccessful\]"),
    "alarm, back": rolled_back({"alarm": "BAKE_TIME", "rollback": True}, "alarms went off: errors"),
    "hook": rolled_back({"hooks": {"PRE_SCALE_UP": "fails"}}, "the lifecycle hook check.* failed"),
    "hook, never listed": rolled_back({**LATE, "hooks": {"PRE_SCALE_UP": "fails"}}, "lifecycle hook check.* failed"),
    "hook at the end": rolled_back(
        {"hooks": {"POST_PRODUCTION_TRAFFIC_SHIFT": "times out"}}, "hook check of stage POST_PROD.* timed out", SHIFTS
    ),
    "hook pauses": Fault(
        {"hooks": {"POST_SCALE_UP": "pauses"}}, 124, r"stage POST_SCALE_UP \[deployment-timeout\]", SHIFTS
    ),
    "no way back": Fault({**TRIPS, "rollback": True, "rollback_fails": True}, 1, r"No rollback.*\[rollback-failed\]"),
    "rival": Fault(RIVAL, 3, r"somebody else's deployment ecs-svc/\d+ .*; it runs web:2.*\[deployment-replaced\]"),
    "rival, late": Fault({**LATE, **RIVAL}, 3, r"somebody else's deployment .*\[deployment-replaced\]", SHIFTS),
    "rival, no api": Fault({**RIVAL, "api": False}, 3, r"\[deployment-replaced\]"),
    "hangs": Fault({"drains": -1}, 124, r"not complete after 900 s.*\[deployment-timeout\]"),
    "bakes for long": Fault({"bake": 1200.0}, 124, r"stage BAKE_TIME \[deployment-timeout\]", SHIFTS),
    "fails for ever": Fault({"fails": -1}, 124, r"\[deployment-timeout\]"),
    "deleted": Fault({"deleted": 40.0}, 1, r"INACTIVE.*\[service-deleted\]"),
}
CASES = [(name, strategy) for name, fault in FAULTS.items() for strategy in fault.strategies]


def world(strategy: str, **rollout: Any) -> dict[str, Any]:  # noqa: ANN401 - as the world's file has it
    """Describe a service of two tasks whose deployment takes minutes."""
    times = {"takes": 30.0, "stage_takes": 5.0, "bake": 120.0, "strategy": strategy}
    web = {"desired": 2, "containers": {"app": {"image": "web:1"}}, "rollout": {**times, **rollout}}
    return {"clusters": {"c": {"services": {"web": web}}}}


def asked(**config: str) -> Redeploy:
    """Read the settings of the step."""
    given = {"cluster": "c", "service": "web", "region": "us-east-1", "wait-timeout": str(_LIMIT), **config}
    return read_redeploy(variables("CONFIG", given))


@pytest.mark.parametrize(("name", "strategy"), CASES)
def test_every_fault_with_every_strategy(name: str, strategy: str) -> None:
    """The status is 0 only if the new revision runs and the old one is gone. Each other end has its line."""
    fault = FAULTS[name]
    ecs = VirtualEcs(world(strategy, **fault.rollout))
    began = ecs.loop.time()
    ended = run(redeploy, asked(tag="2"), ecs)
    passed = ecs.loop.time() - began
    ecs.end()
    assert ended.status == fault.status, ended
    assert ecs.calls.count("UpdateService") == 1
    tasks = [task for task in ecs.tasks if task.last_status != "STOPPED"]
    images = {item.image for task in tasks if task.running for item in task.group.containers}
    if fault.status == 0:
        assert (images, len(tasks), ended.err) == ({"web:2"}, 3 if name == "scaled" else 2, "")
    else:
        (line,) = ended.err.splitlines()
        assert re.search(fault.words, line), line
    assert passed <= _LIMIT + 1, ended.out
    assert ("old tasks: 2 DEACTIVATING" in str(ended.out)) == (name in ("drains", "hangs"))


def test_stages() -> None:
    """Each stage is printed once, with the share of the traffic; a line warns at once if the limit is too short."""
    ecs = VirtualEcs(world("CANARY", bake=600.0, stage_takes=20.0))
    ended = run(redeploy, asked(**{"wait-timeout": "400"}), ecs)
    ecs.end()
    assert ended.status == 124
    assert ended.out[1:3] == [
        "the deployment strategy is CANARY: the old tasks stay until a bake time of 10 min is over",
        "wait-timeout is 400 s, but the strategy takes more than 660 s: set a higher wait-timeout",
    ]
    stages = [line.partition("stage ")[2] for line in ended.out if "  stage " in line]
    assert [text.partition(":")[0] for text in stages] == [
        *("PRE_SCALE_UP", "SCALE_UP", "POST_SCALE_UP", "TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT"),
        *("PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT") * 2,
        *("POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME"),
    ]
    assert [text for text in stages if text.endswith("(10 %)")] != []


def test_a_paused_deployment() -> None:
    """The line has the command that continues it."""
    ecs = VirtualEcs(world("LINEAR", hooks={"POST_SCALE_UP": "pauses"}))
    ended = run(redeploy, asked(), ecs)
    ecs.end()
    (line,) = [line for line in ended.out if "continue-service-deployment" in line]
    assert re.search(r"--service-deployment-arn arn:\S+/D7\d+ --hook-id hook-7\d+ --action CONTINUE", line)


@pytest.mark.parametrize("rollout", [{}, LATE, {"hooks": {"PRE_SCALE_UP": "pauses"}, **LATE}, {"states": False}])
@pytest.mark.parametrize("strategy", SHIFTS)
def test_an_abort_that_rolls_back(strategy: str, rollout: Mapping[str, Any]) -> None:
    """It ends in the old revision, at any stage, and says so; the task definition is not deployed a second time."""
    for after in (12.0, 40.0, 140.0):
        ecs = VirtualEcs(world(strategy, **rollout))
        ended = run(redeploy, asked(tag="2", **{"on-abort": "rollback"}), ecs, abort_after=after)
        ecs.wait(300)
        running = {item.image for task in ecs.tasks if task.running for item in task.group.containers}
        ecs.end()
        assert (ended.status, ecs.calls.count("StopServiceDeployment"), running) == (143, 1, {"web:1"}), ended
        assert re.search(r"ECS rolls deployment ecs-svc/7\d+ back", ended.err)


@pytest.mark.parametrize("strategy", ALL)
def test_an_abort_that_leaves(strategy: str) -> None:
    """ECS goes on with the deployment to its end."""
    ecs = VirtualEcs(world(strategy))
    ended = run(redeploy, asked(tag="2"), ecs, abort_after=20.0)
    ecs.wait(900)
    running = {item.image for task in ecs.tasks if task.running for item in task.group.containers}
    ecs.end()
    assert (ended.status, running) == (143, {"web:2"}), ended
    assert re.search(r"ECS goes on with deployment ecs-svc/7\d+", ended.err)


@pytest.mark.parametrize("strategy", ALL)
def test_a_lost_answer(strategy: str) -> None:
    """The request is repeated only if it had no effect, also if ECS lists the new deployment late."""
    for api in (True, False):
        rollout = {} if strategy == "ROLLING" else {**LATE, "recorded_after": 25.0, "stage_takes": 20.0}
        ecs = VirtualEcs(world(strategy, **rollout, api=api), faults={"UpdateService": ["lost"]})
        ended = run(redeploy, asked(tag="2"), ecs)
        ecs.end()
        assert (ended.status, ecs.calls.count("UpdateService")) == (0, 1), ended


@pytest.mark.parametrize("strategy", ALL)
def test_a_request_without_effect(strategy: str) -> None:
    """It is repeated after a look."""
    ecs = VirtualEcs(world(strategy), faults={"UpdateService": ["ServerException"]})
    ended = run(redeploy, asked(tag="2"), ecs)
    ecs.end()
    assert (ended.status, ecs.calls.count("UpdateService")) == (0, 2), ended


THROTTLED = ["ThrottlingException"] * 6


@pytest.mark.parametrize(
    ("faults", "status", "updates", "words"),
    [
        ({"UpdateService": THROTTLED}, 0, 7, ""),
        ({"RegisterTaskDefinition": THROTTLED}, 0, 1, ""),
        ({"RegisterTaskDefinition": ["lost"]}, 0, 1, ""),
        ({"UpdateService": ["lost", *THROTTLED]}, 0, 1, ""),
        ({"DescribeServices": ["", *THROTTLED], "ListTasks": THROTTLED}, 0, 1, ""),
        ({"UpdateService": ["AccessDeniedException"]}, 125, 1, r"grant ecs:UpdateService"),
        ({"DescribeServices": ["", "", "ClusterNotFoundException"]}, 125, 1, r"may go on with it.*cluster-unknown\]"),
        ({"DescribeServices": ["", "", "ExpiredTokenException"]}, 125, 1, r"may go on.*\[credentials-expired\]"),
    ],
)
@pytest.mark.parametrize("strategy", ["ROLLING", "BLUE_GREEN"])
def test_failing_calls(strategy: str, faults: dict[str, list[str]], status: int, updates: int, words: str) -> None:
    """Throttled calls are repeated for half a minute; no revision and no deployment is made twice."""
    ecs = VirtualEcs(world(strategy), faults={action: list(codes) for action, codes in faults.items()})
    ended = run(redeploy, asked(tag="2"), ecs)
    ecs.end()
    assert (ended.status, ecs.calls.count("UpdateService")) == (status, updates), ended
    assert len(ecs.registered) == 1
    assert re.search(words, " ".join(ended.err.split()))


@pytest.mark.parametrize(
    ("running", "config", "status", "words"),
    [
        (2, {}, 0, ""),
        (2, {"desired-count": "3"}, 125, r"\[daemon-not-scalable\]"),
        (0, {}, 125, r"\[daemon-without-instances\]"),
    ],
)
def test_daemons(running: int, config: Mapping[str, str], status: int, words: str) -> None:
    """They are deployed like other services; a number of tasks is refused before anything is changed."""
    given = world("ROLLING", scheduling="DAEMON")
    given["clusters"]["c"]["services"]["web"]["desired"] = running
    ecs = VirtualEcs(given)
    ended = run(redeploy, asked(tag="2", **config), ecs)
    ecs.end()
    assert ended.status == status, ended
    assert re.search(words, ended.err)
    assert len(ecs.registered) == (status == 0)


@pytest.mark.parametrize(
    ("rollout", "status", "words"),
    [
        ({}, 0, ""),
        ({"deleted": 10.0}, 1, r"INACTIVE.*\[service-deleted\]"),
        ({"fails": -1}, 124, r"does not have 4 running tasks after 900 s.*\[scale-timeout\]"),
        ({"takes": 1e6}, 124, r"\[scale-timeout\]"),
        ({"scaling": "1-2", "undone": 10.0}, 3, r"Application Auto Scaling or somebody else.*\[count-changed\]"),
        ({"scheduling": "DAEMON"}, 125, r"\[daemon-not-scalable\]"),
        ({"controller": "EXTERNAL"}, 125, r"\[deployment-controller\]"),
    ],
)
def test_scaling(rollout: Mapping[str, Any], status: int, words: str) -> None:
    """Scale Service against its faults."""
    ecs = VirtualEcs(world("ROLLING", **rollout))
    given = {"cluster": "c", "service": "web", "region": "us-east-1", "desired-count": "4", "wait-timeout": str(_LIMIT)}
    ended = run(scale, read_scale(variables("CONFIG", given)), ecs)
    ecs.end()
    assert ended.status == status, ended
    assert re.search(words, ended.err)


def test_scaling_that_cannot_be_followed() -> None:
    """The line says that ECS may go on."""
    ecs = VirtualEcs(world("ROLLING"), faults={"DescribeServices": ["", "", "ClusterNotFoundException"]})
    given = {"cluster": "c", "service": "web", "region": "us-east-1", "desired-count": "4"}
    ended = run(scale, read_scale(variables("CONFIG", given)), ecs)
    ecs.end()
    assert ended.status == 125
    assert "the step no longer follows the service; ECS may go on to set 4 tasks" in ended.err
    assert re.fullmatch(r"ecs-exec: [^\n]*\[cluster-unknown\]\n", ended.err)


def test_a_scaling_without_an_answer() -> None:
    """Whether ECS received the request is not known, and the line says so."""
    ecs = VirtualEcs(world("ROLLING"), faults={"UpdateService": ["ServerException"] * 50})
    given = {"cluster": "c", "service": "web", "region": "us-east-1", "desired-count": "4"}
    ended = run(scale, read_scale(variables("CONFIG", given)), ecs)
    ecs.end()
    assert ended.status == 125
    assert "; it may have received the request for 4 tasks; " in ended.err


@pytest.mark.parametrize("action", ["ListServiceDeployments", "DescribeServiceDeployments"])
def test_the_service_deployment_api_is_denied(action: str) -> None:
    """The step goes on without it, and says which permission it lacks."""
    ecs = VirtualEcs(world("ROLLING"), faults={action: ["AccessDeniedException"] * 50})
    ended = run(redeploy, asked(), ecs)
    ecs.end()
    assert ended.status == 0, ended
    assert sum(f"ecs:{action} failed: AccessDeniedException" in line for line in ended.out) == 1


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_services_of_other_controllers(controller: str) -> None:
    """ECS would refuse the deployment. Nothing is changed, and no revision is registered."""
    ecs = VirtualEcs(world("ROLLING", controller=controller))
    ended = run(redeploy, asked(tag="2"), ecs)
    ecs.end()
    assert (ended.status, ended.out, ecs.calls) == (125, [], ["DescribeServices"])
    assert re.fullmatch(rf"[^\n]*its deployment controller is {controller}.*\[deployment-controller\]\n", ended.err)
