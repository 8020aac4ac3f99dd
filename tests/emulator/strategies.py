"""The deployment strategies of ECS: their lifecycle stages, and what the API shows of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.deployments import Deployment
    from emulator.world import Rollout

HOOKS = {"fails": "FAILED", "times out": "TIMED_OUT", "pauses": "AWAITING_ACTION"}
"""Status of a lifecycle hook by what it does."""

_HOOK = "arn:aws:lambda:us-east-1:123456789012:function:check"
_ROLE = "arn:aws:iam::123456789012:role/hooks"
_STEPS = {"BLUE_GREEN": (100.0,), "LINEAR": (25.0, 50.0, 75.0, 100.0), "CANARY": (10.0, 100.0)}
"""Percentage of the production traffic after each shift."""


def stages(rollout: Rollout, *, others: bool) -> Iterator[tuple[str, float]]:
    """Yield the stages in their order, with the percentage of the production traffic that the new tasks then have."""
    if rollout.strategy == "ROLLING":
        yield from (("PRE_SCALE_UP", 0.0), ("SCALE_UP", 0.0))
        return
    if others:
        yield "RECONCILE_SERVICE", 0.0
    for stage in ("PRE_SCALE_UP", "SCALE_UP", "POST_SCALE_UP", "TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT"):
        yield stage, 0.0
    before = 0.0
    for weight in _STEPS[rollout.strategy]:
        yield "PRE_PRODUCTION_TRAFFIC_SHIFT", before
        yield "PRODUCTION_TRAFFIC_SHIFT", weight
        before = weight
    for stage in ("POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP"):
        yield stage, 100.0


def configuration(rollout: Rollout) -> dict[str, Any]:
    """Return deploymentConfiguration."""
    shown: dict[str, Any] = {
        "deploymentCircuitBreaker": {"enable": bool(rollout.circuit_breaker), "rollback": rollout.rollback},
        "minimumHealthyPercent": 100,
        "strategy": rollout.strategy,
    }
    if rollout.strategy != "ROLLING":
        shown["bakeTimeInMinutes"] = max(1, round(rollout.bake / 60))
    if rollout.strategy == "LINEAR":
        shown["linearConfiguration"] = {"stepPercent": 25.0, "stepBakeTimeInMinutes": 1}
    if rollout.strategy == "CANARY":
        shown["canaryConfiguration"] = {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 1}
    if rollout.hooks:
        hooks = {"hookTargetArn": _HOOK, "roleArn": _ROLE, "lifecycleStages": list(rollout.hooks)}
        shown["lifecycleHooks"] = [hooks]
    if rollout.alarm:
        shown["alarms"] = {"alarmNames": ["errors"], "enable": True, "rollback": rollout.rollback}
    return shown


def record(rollout: Rollout, deployment: Deployment, number: str) -> dict[str, Any]:
    """Return what DescribeServiceDeployments shows of the stages."""
    shown: dict[str, Any] = {"deploymentConfiguration": configuration(rollout)}
    if deployment.stage and rollout.strategy != "ROLLING":
        shown["lifecycleStage"] = deployment.stage
    if rollout.alarm:
        shown["alarms"] = {"alarmNames": ["errors"], "status": "TRIGGERED" if deployment.alarm else "MONITORING"}
        if deployment.alarm:
            shown["alarms"]["triggeredAlarmNames"] = ["errors"]
    if deployment.hook:
        kind = "PAUSE" if deployment.hook == "AWAITING_ACTION" else "AWS_LAMBDA"
        hook = {"hookId": f"hook-{number}", "targetType": kind, "status": deployment.hook, "timeoutAction": "ROLLBACK"}
        shown["lifecycleHookDetails"] = [hook if kind == "PAUSE" else {**hook, "targetArn": _HOOK}]
    return shown


def hook_failed(stage: str, status: str) -> str:
    """Return ECS's words about a lifecycle hook that failed."""
    return (
        f"Service deployment rolled back because {stage} lifecycle hook(s) failed. Lifecycle hook target {_HOOK}"
        f" returned {status} status."
    )
