"""What Rundeck says about the node, the configuration and the command, as frozen dataclasses."""

from ecs_exec.settings.access import Access
from ecs_exec.settings.administrator import take_arguments
from ecs_exec.settings.environment import complete_environment
from ecs_exec.settings.execution import Execution, is_debug, read_execution
from ecs_exec.settings.properties import ACCESS, COPY, NODE_SOURCE, RUN, SCRIPT_STEP, Property
from ecs_exec.settings.run import Run
from ecs_exec.settings.target import Wanted

__all__ = [
    "ACCESS",
    "COPY",
    "NODE_SOURCE",
    "RUN",
    "SCRIPT_STEP",
    "Access",
    "Execution",
    "Property",
    "Run",
    "Wanted",
    "complete_environment",
    "is_debug",
    "read_execution",
    "take_arguments",
]
