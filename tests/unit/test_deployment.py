"""Verdicts about deployments, and new revisions of task definitions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ecs_exec.errors import TargetError
from ecs_exec.steps import revision
from ecs_exec.steps.deployment import Outcome, View, counts, failure, has_failed, verdict

NOW = datetime(2026, 11, 26, tzinfo=timezone.utc)


def row(number: int, status: str = "PRIMARY", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - of any type
    """Describe a deployment of two tasks that run."""
    counted = {"desiredCount": 2, "runningCount": 2, "pendingCount": 0, "createdAt": NOW}
    return {"id": f"ecs-svc/{number}", "status": status, "taskDefinition": f"f/web:{number}", **counted, **more}


def task(started_by: str = "ecs-svc/2", status: str = "RUNNING", age: int = 0) -> dict[str, Any]:
    """Describe a task."""
    return {"taskArn": "t", "startedBy": started_by, "lastStatus": status, "createdAt": NOW - timedelta(seconds=age)}


NEW, OLD = task(), task("ecs-svc/1", age=99)
DONE, GOES_ON = row(2, rolloutState="COMPLETED"), row(2, rolloutState="IN_PROGRESS")
ROLLBACK = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
TRIPPED = {"deploymentCircuitBreaker": {"status": "TRIGGERED", "failureCount": 3}}


Tasks = tuple[Mapping[str, Any], ...]


def view(*rows: Mapping[str, Any], tasks: Tasks | None = (NEW, NEW), record: str = "", **more: object) -> View:
    """Describe what ECS shows, of deployment 2 after deployment 1."""
    service = {"status": "ACTIVE", "desiredCount": 2, "deployments": list(rows), **more}
    shown = {"status": record, **TRIPPED} if record else None
    return View(service, "ecs-svc/2", frozenset({"ecs-svc/1"}), shown, tasks)


@pytest.mark.parametrize(
    "shown",
    [
        view(DONE),
        view(row(2)),  # blue/green deployments have no rolloutState
        view(DONE, record="SUCCESSFUL"),
        view(DONE, tasks=(NEW, NEW, task("ecs-svc/1", "STOPPED"), task("ecs-svc/1", "DEPROVISIONING"))),
        view(DONE, tasks=(task("x"), task("x"), task("x", "STOPPED", age=99))),  # startedBy names something else
    ],
)
def test_complete(shown: View) -> None:
    """The new tasks run, and the containers of all others have ended."""
    assert verdict(shown) == Outcome(0)


@pytest.mark.parametrize(
    "shown",
    [
        view(GOES_ON),
        view(DONE, tasks=None),
        view(DONE, tasks=(NEW, NEW, OLD)),
        view(DONE, tasks=(NEW, NEW, task("ecs-svc/1", "DEACTIVATING"))),
        view(DONE, tasks=(NEW, task(status="PENDING"))),
        view(DONE, tasks=(NEW,)),
        view(DONE, tasks=(task("x"), task("x"), task("x", age=99))),
        view(DONE, tasks=()),
        view(row(2, rolloutState="COMPLETED", pendingCount=1)),
        view(row(2, rolloutState="COMPLETED", runningCount=1)),
        view(DONE, row(1, "ACTIVE", runningCount=1)),
        view(DONE, record="IN_PROGRESS"),
        view(DONE, record="ROLLBACK_REQUESTED"),
        view(row(1), row(2, "ACTIVE"), record="ROLLBACK_IN_PROGRESS"),
        view(row(2, rolloutState="FAILED"), deploymentConfiguration=ROLLBACK),
        view(row(1, rolloutState="IN_PROGRESS"), row(2, "ACTIVE", rolloutState="FAILED")),
        view(),
    ],
)
def test_not_yet(shown: View) -> None:
    """The deployment goes on, or the rollback does, or nothing is certain."""
    assert verdict(shown) is None


@pytest.mark.parametrize(
    ("shown", "status", "cause"),
    [
        (view(row(2, rolloutState="FAILED")), 1, "deployment-unsuccessful"),
        (view(DONE, record="STOPPED"), 1, "deployment-unsuccessful"),
        (view(row(1), record="STOPPED"), 1, "deployment-unsuccessful"),
        (view(row(1), record="ROLLBACK_FAILED"), 1, "rollback-failed"),
        (view(DONE, status="DRAINING"), 1, "service-deleted"),
        (view(DONE, desiredCount=0), 1, "desired-count-zero"),
        (view(row(1), record="ROLLBACK_SUCCESSFUL"), 2, "deployment-rolled-back"),
        (view(row(1, rolloutState="COMPLETED")), 2, "deployment-rolled-back"),
        (view(row(3), row(2, "ACTIVE", rolloutState="FAILED")), 2, "deployment-rolled-back"),
        (view(row(3))._replace(failed_before=True), 2, "deployment-rolled-back"),
        (view(row(3)), 3, "deployment-replaced"),
        (view(row(3), row(2, "ACTIVE"), record="SUCCESSFUL"), 3, "deployment-replaced"),
        (view(row(3))._replace(record={"status": "STOPPED"}), 3, "deployment-replaced"),
    ],
)
def test_other_ends(shown: View, status: int, cause: str) -> None:
    """Each has its exit status, none of them 0."""
    outcome = verdict(shown)
    assert outcome is not None
    assert (outcome.status, outcome.cause) == (status, cause)


def test_counts_in_words() -> None:
    """New and old tasks are counted apart."""
    shown = view(row(2, runningCount=1, pendingCount=1), row(1, "ACTIVE", runningCount=1))
    assert str(counts(shown.service, "ecs-svc/2")) == "1 of 2 new tasks running, 1 pending; 1 old task left"


def test_failed_tasks() -> None:
    """A task that ECS replaced, or that a person stopped, has not failed."""
    reason = {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": "Scaling activity initiated by (deployment x)"}
    assert not has_failed(reason)
    assert not has_failed({"stopCode": "UserInitiated"})
    unhealthy = {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": "Task failed ELB health checks in (x)"}
    assert has_failed(unhealthy)
    lines = failure({"taskArn": "a/b/7", "stopCode": "EssentialContainerExited", "containers": [{"exitCode": 137}]})
    assert lines[0].startswith("task 7 failed: EssentialContainerExited")
    assert "[" in lines[1]


# --- Revisions

DEFINITION: dict[str, Any] = {
    "taskDefinitionArn": "arn:aws:ecs:r:1:task-definition/web:7",
    "family": "web",
    "revision": 7,
    "status": "ACTIVE",
    "registeredBy": "ann",
    "requiresAttributes": [{"name": "x"}],
    "compatibilities": ["EC2"],
    "cpu": "256",
    "containerDefinitions": [
        {"name": "app", "image": "r/web:1", "environment": [{"name": "A", "value": "b"}]},
        {"name": "log", "image": "r/log:1", "essential": False},
    ],
}


@pytest.mark.parametrize(
    ("image", "tag", "new"),
    [
        ("web", "2", "web:2"),
        ("web:1", "2", "web:2"),
        ("reg:5000/a/web", "2", "reg:5000/a/web:2"),
        ("reg:5000/a/web:1", "2", "reg:5000/a/web:2"),
        ("reg/web:1@sha256:" + "0" * 64, "2", "reg/web:2"),
        ("reg/web:1", "sha256:" + "a" * 64, "reg/web@sha256:" + "a" * 64),
    ],
)
def test_tags(image: str, tag: str, new: str) -> None:
    """A port of the registry is no tag, and a digest goes."""
    assert revision.with_tag(image, tag) == new


def test_a_new_revision() -> None:
    """Read-only fields and AWS's own tags are left out, and only one image differs."""
    change = revision.change(DEFINITION, "", "", "2")
    assert change == ("app", "r/web:1", "r/web:2")
    tags = [{"key": "team", "value": "x"}, {"key": "aws:y", "value": "z"}]
    app, log = DEFINITION["containerDefinitions"]
    wanted = {"family": "web", "cpu": "256", "containerDefinitions": [{**app, "image": "r/web:2"}, log]}
    made = revision.content(DEFINITION, tags, change)
    assert made == {**wanted, "tags": tags[:1]}
    assert "tags" not in revision.content(DEFINITION, [], change)
    assert revision.has_content({**DEFINITION, **wanted, "revision": 8}, made)
    assert not revision.has_content(DEFINITION, made)


def test_the_container_that_changes() -> None:
    """The named one, else the only essential one."""
    assert revision.change(DEFINITION, "log", "other", "").container == "log"
    with pytest.raises(TargetError, match=r"no container x: it has app, log.*\[container-not-in-definition\]"):
        revision.change(DEFINITION, "x", "other", "")
    two = {**DEFINITION, "containerDefinitions": [{"name": "a"}, {"name": "b"}]}
    with pytest.raises(TargetError, match=r"several containers \(a, b\).*\[container-to-change-unclear\]"):
        revision.change(two, "", "other", "")
