"""What Rundeck says about the node, the configuration and the command, as frozen dataclasses."""

from ecs_exec.settings.access import Access
from ecs_exec.settings.execution import Execution, complete_environment, is_debug, read_execution
from ecs_exec.settings.file_copy import FileCopy, read_file_copy
from ecs_exec.settings.properties import ACCESS, COPY, RUN, SCRIPT_STEP, Property
from ecs_exec.settings.run import Run
from ecs_exec.settings.script import Script, read_script
from ecs_exec.settings.target import Wanted

__all__ = [
    "ACCESS",
    "COPY",
    "RUN",
    "SCRIPT_STEP",
    "Access",
    "Execution",
    "FileCopy",
    "Property",
    "Run",
    "Script",
    "Wanted",
    "complete_environment",
    "is_debug",
    "read_execution",
    "read_file_copy",
    "read_script",
]
