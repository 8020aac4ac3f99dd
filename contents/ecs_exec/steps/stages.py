"""Says what ECS does in each lifecycle stage of a service deployment. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ecs_exec.task_description import objects

_GRADUAL = frozenset({"BLUE_GREEN", "LINEAR", "CANARY"})
"""Strategies with which all new tasks run beside all old tasks, until the production traffic was shifted and the bake
time is over. Their lifecycle stages are in the API's type ServiceDeploymentLifecycleStage."""

_MEANING = {
    "RECONCILE_SERVICE": "ECS ends the deployment that was in progress before",
    "PRE_SCALE_UP": "no new task has started",
    "SCALE_UP": "new tasks start, without traffic",
    "POST_SCALE_UP": "all new tasks run, without traffic",
    "TEST_TRAFFIC_SHIFT": "test traffic shifts to the new tasks",
    "POST_TEST_TRAFFIC_SHIFT": "the new tasks have the test traffic",
    "PRE_PRODUCTION_TRAFFIC_SHIFT": "production traffic will shift to the new tasks",
    "PRODUCTION_TRAFFIC_SHIFT": "production traffic shifts to the new tasks",
    "POST_PRODUCTION_TRAFFIC_SHIFT": "the new tasks have the production traffic",
    "BAKE_TIME": "the new tasks have the production traffic; the old tasks stay for the bake time",
    "CLEAN_UP": "the old tasks stop",
}
_SHIFTS = frozenset({"PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"})
_FAILED = {"FAILED": "failed", "TIMED_OUT": "timed out"}
_MINUTE = 60


def is_gradual(service: Mapping[str, Any]) -> bool:
    """Return whether new and old tasks of a service run side by side during a deployment."""
    return _configuration(service).get("strategy") in _GRADUAL


def may_begin_late(service: Mapping[str, Any]) -> bool:
    """Return whether ECS may show a new deployment late, or not at all if a lifecycle hook refuses it at once."""
    return is_gradual(service) or bool(_configuration(service).get("lifecycleHooks"))


def announcement(service: Mapping[str, Any], limit: int) -> Iterator[str]:
    """Yield lines about a strategy that shifts traffic, and about a time limit in seconds that is too short for it."""
    if not is_gradual(service):
        return
    configuration = _configuration(service)
    strategy, bake = configuration["strategy"], _minutes(configuration, "bakeTimeInMinutes")
    yield f"the deployment strategy is {strategy}: the old tasks stay until a bake time of {bake} min is over"
    least = _least_minutes(configuration) * _MINUTE
    if limit and limit < least:
        yield f"wait-timeout is {limit} s, but the strategy takes more than {least} s: set a higher wait-timeout"


def stage(record: Mapping[str, Any] | None) -> str:
    """Return the line about the lifecycle stage of a service deployment; empty if it shows none."""
    name = str((record or {}).get("lifecycleStage") or "")
    meaning = f": {_MEANING[name]}" if name in _MEANING else ""
    weight = ((record or {}).get("targetServiceRevision") or {}).get("requestedProductionTrafficWeight")
    share = f" ({weight:g} %)" if name in _SHIFTS and isinstance(weight, (int, float)) else ""
    return f"stage {name}{meaning}{share}" if name else ""


def pauses(record: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield a line for each lifecycle hook that waits until somebody continues the deployment."""
    for hook in _hooks(record):
        if hook.get("status") != "AWAITING_ACTION":
            continue
        until = hook.get("expiresAt")
        when = f" until {until:%Y-%m-%d %H:%M:%S}" if isinstance(until, datetime) else ""
        arn = str((record or {}).get("serviceDeploymentArn") or "")
        yield (
            f"a lifecycle hook waits{when} for somebody to continue: aws ecs continue-service-deployment"
            f" --service-deployment-arn {arn} --hook-id {hook.get('hookId')} --action CONTINUE"
        )


def failed_hook(record: Mapping[str, Any] | None) -> str:
    """Return which lifecycle hook ended a deployment, in words; empty if none did."""
    name = str((record or {}).get("lifecycleStage") or "")
    where = f" of stage {name}" if name else ""
    for hook in _hooks(record):
        if words := _FAILED.get(str(hook.get("status"))):
            target = str(hook.get("targetArn") or "").rpartition(":")[2]
            return f"the lifecycle hook {target}{where} {words}".replace("  ", " ")
    return f"a lifecycle hook{where} failed" if "lifecycle hook" in str((record or {}).get("statusReason")) else ""


def _configuration(service: Mapping[str, Any]) -> Mapping[str, Any]:
    found = service.get("deploymentConfiguration")
    return found if isinstance(found, Mapping) else {}


def _hooks(record: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return objects(record or {}, "lifecycleHookDetails")


def _minutes(configuration: Mapping[str, Any], name: str) -> int:
    value = configuration.get(name)
    return value if isinstance(value, int) else 0


def _least_minutes(configuration: Mapping[str, Any]) -> int:
    """Return the minutes for which ECS only waits."""
    least = _minutes(configuration, "bakeTimeInMinutes")
    linear, canary = configuration.get("linearConfiguration") or {}, configuration.get("canaryConfiguration") or {}
    if configuration.get("strategy") == "LINEAR" and (percent := linear.get("stepPercent")):
        least += int((100 - percent) // percent + bool((100 - percent) % percent)) * _minutes(
            linear, "stepBakeTimeInMinutes"
        )
    if configuration.get("strategy") == "CANARY":
        least += _minutes(canary, "canaryBakeTimeInMinutes")
    return least
