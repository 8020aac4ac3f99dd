"""Makes the request for a task from the step's fields, the task definition and the service. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecs_exec.errors import SettingsError, TargetError
from ecs_exec.settings.run_task import Network, RunTask, request_of
from ecs_exec.steps import service_copy
from ecs_exec.task_description import Described, essential_names, short

_MOST_TAGS = 50
_STARTED_BY = 36
"""Characters of startedBy that every version of the API accepts."""


def definition_of(asked: RunTask, service: Described) -> str:
    """Return the task definition to run. Raises SettingsError if the service names none."""
    found = asked.definition or str(service.get("taskDefinition") or _task_set(service).get("taskDefinition") or "")
    if not found:
        raise SettingsError(f"service {short(asked.service)} has no task definition: set task-definition")
    return found


def _task_set(service: Described) -> Mapping[str, Any]:
    """Return the primary task set of a service that an external deployment controller deploys; empty for others."""
    sets = [item for item in service.get("taskSets") or [] if isinstance(item, Mapping)]
    return next((item for item in sets if item.get("status") == "PRIMARY"), {})


def container_of(asked: RunTask, definition: Described) -> str:
    """Return the container whose exit code counts: the named, the only, or the only essential one.

    Raises TargetError if there is no such container.
    """
    names = [str(item.get("name")) for item in definition.get("containerDefinitions", [])]
    what = short(str(definition.get("taskDefinitionArn", "")))
    if asked.container:
        if asked.container in names:
            return asked.container
        raise TargetError(
            name="container-not-defined", definition=what, container=asked.container, names=", ".join(names)
        )
    found = names if len(names) == 1 else essential_names(definition)
    if len(found) == 1:
        return found[0]
    raise TargetError(name="container-not-chosen", definition=what, names=", ".join(found or names))


def started_by(execution: str, token: str) -> str:
    """Return the field startedBy of the tasks, by which they are found again."""
    return f"rundeck/{execution}/{token[:8]}"[:_STARTED_BY] if execution.isdigit() else f"rundeck/{token[:8]}"


def request(asked: RunTask, definition: Described, service: Described, container: str, token: str) -> dict[str, Any]:
    """Return the parameters of ecs:RunTask. Raises SettingsError if ECS would refuse them."""
    overrides = request_of(asked.overrides, container)
    capacity = _capacity(asked.network, service)
    made: dict[str, Any] = {
        "cluster": asked.cluster,
        "taskDefinition": str(definition.get("taskDefinitionArn", "")),
        "count": asked.number,
        "clientToken": token,
        "startedBy": started_by(asked.execution, token),
        "enableExecuteCommand": asked.enable_exec,
        **capacity,
        **service_copy.copied(service, definition, capacity),
    }
    if network := _network(asked.network, service, definition):
        made["networkConfiguration"] = {"awsvpcConfiguration": network}
    if overrides:
        made["overrides"] = overrides
    if tags := _tags(asked, service):
        made["tags"] = tags
    return made


def _capacity(network: Network, service: Described) -> dict[str, Any]:
    """Return the capacity provider or the launch type, and the platform version of the service."""
    if network.capacity_provider:
        return {"capacityProviderStrategy": [{"capacityProvider": network.capacity_provider}]}
    if network.launch_type:
        return {"launchType": network.launch_type}
    source = service if service.get("taskDefinition") else {**service, **_task_set(service)}
    platform = {"platformVersion": str(source["platformVersion"])} if source.get("platformVersion") else {}
    if strategy := source.get("capacityProviderStrategy"):
        return {"capacityProviderStrategy": strategy, **platform}
    return {"launchType": str(source["launchType"]), **platform} if source.get("launchType") else platform


def _network(network: Network, service: Described, definition: Described) -> dict[str, Any]:
    if definition.get("networkMode") != "awsvpc":
        return {}
    source = service if service.get("networkConfiguration") else _task_set(service)
    configured = source.get("networkConfiguration")
    given = configured.get("awsvpcConfiguration") if isinstance(configured, Mapping) else None
    found: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    found |= {"subnets": list(network.subnets)} if network.subnets else {}
    found |= {"securityGroups": list(network.security_groups)} if network.security_groups else {}
    if network.public_ip is not None:
        found["assignPublicIp"] = "ENABLED" if network.public_ip else "DISABLED"
    if not found.get("subnets"):
        raise SettingsError(
            "subnets is empty, but the task definition's network mode is awsvpc: set subnets, or like-service"
        )
    return found


def _tags(asked: RunTask, service: Described) -> list[dict[str, str]]:
    """Return the tags; those of the form come before those of the job, and these before those of the service."""
    of_service = {str(tag.get("key")): str(tag.get("value") or "") for tag in service.get("tags", [])}
    kept = {key: value for key, value in of_service.items() if not key.lower().startswith("aws:")}
    chosen = {**asked.job_tags, **asked.tags}
    room = _MOST_TAGS - len(chosen)
    others = [(key, value) for key, value in kept.items() if key not in chosen][:room]
    return [{"key": key, "value": value} for key, value in (*others, *chosen.items())]
