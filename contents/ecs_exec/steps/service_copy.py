"""Takes from a service what makes a task like the service's own ones, as far as ecs:RunTask accepts it. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecs_exec.errors import SettingsError
from ecs_exec.steps.deployment import primary
from ecs_exec.task_description import Described, objects, short

_FARGATE = frozenset({"FARGATE", "FARGATE_SPOT"})
"""Launch type and capacity providers for which ECS refuses placement."""
_MOST_CONSTRAINTS = 10
"""Of a task, together with those of its task definition."""


def copied(service: Described, definition: Described, capacity: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of ecs:RunTask. `capacity` has those about launch type and capacity providers.

    Raises SettingsError if ECS would refuse the placement.
    """
    made: dict[str, Any] = {} if _on_fargate(capacity) else _placement(service, definition)
    if volumes := _volumes(service, definition):
        made["volumeConfigurations"] = volumes
    if service.get("enableECSManagedTags") is True:
        made["enableECSManagedTags"] = True
    if service.get("propagateTags") == "TASK_DEFINITION":
        # ecs:RunTask refuses SERVICE; the step copies the tags of the service itself.
        made["propagateTags"] = "TASK_DEFINITION"
    return made


def _on_fargate(capacity: Mapping[str, Any]) -> bool:
    providers = {str(item.get("capacityProvider")) for item in objects(capacity, "capacityProviderStrategy")}
    return bool(_FARGATE & {str(capacity.get("launchType")), *providers})


def _placement(service: Described, definition: Described) -> dict[str, Any]:
    constraints = objects(service, "placementConstraints")
    own = objects(definition, "placementConstraints")
    if constraints and len(constraints) + len(own) > _MOST_CONSTRAINTS:
        name = short(str(definition.get("taskDefinitionArn", "")))
        raise SettingsError(
            f"the service has {len(constraints)} placement constraints and task definition {name} has {len(own)}, but"
            f" ECS accepts {_MOST_CONSTRAINTS} together: use a task definition with fewer, or no like-service"
        )
    found = {"placementConstraints": constraints, "placementStrategy": objects(service, "placementStrategy")}
    return {name: value for name, value in found.items() if value}


def _volumes(service: Described, definition: Described) -> list[dict[str, Any]]:
    """Return the EBS volumes of the service that the task definition leaves open; each task gets new ones.

    ECS deletes them at the end of the task.
    """
    wanted = {str(item.get("name")) for item in objects(definition, "volumes") if item.get("configuredAtLaunch")}
    found = [item for item in objects(primary(service), "volumeConfigurations") if str(item.get("name")) in wanted]
    return [{**item, "managedEBSVolume": _volume(item["managedEBSVolume"])} for item in found if _is_managed(item)]


def _is_managed(item: Mapping[str, Any]) -> bool:
    return isinstance(item.get("managedEBSVolume"), Mapping)


def _volume(configured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a volume. A task cannot pass the tags of a service to it."""
    specifications = [
        {name: value for name, value in item.items() if name != "propagateTags" or value != "SERVICE"}
        for item in objects(configured, "tagSpecifications")
    ]
    rest = {name: value for name, value in configured.items() if name != "tagSpecifications"}
    return rest | ({"tagSpecifications": specifications} if specifications else {})
