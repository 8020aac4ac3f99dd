"""What administrators alone may set, taken from where no job can write.

Rundeck ignores a step's value for a property of project scope. But a job can add variables to the environment: the step
Global Variable takes a group and a name of its author's choice, and the group `config-session` with the name
`manager-plugin` becomes RD_CONFIG_SESSION_MANAGER_PLUGIN, as the setting does. Arguments it cannot add: plugin.yaml's
script-args names group and property exactly, and Rundeck fills in the configured value or the default.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

from ecs_exec.attribute_names import variable
from ecs_exec.errors import SettingsError


def take_arguments(environ: MutableMapping[str, str], arguments: Sequence[str]) -> None:
    """Put the settings in `arguments`, `name=value` each, into the environment.

    Without arguments the program was not started by Rundeck, and the environment is the word of whoever started it.
    Raises SettingsError where the environment has another value: a job has set it.
    """
    for name, _, text in (argument.partition("=") for argument in arguments):
        exported = f"RD_CONFIG_{variable(name)}"
        value = "" if text == f"${{config.{name}}}" else text
        if environ.get(exported, "") != value:
            raise SettingsError(name="setting-not-the-administrator-s", variable=exported, setting=name)
        environ[exported] = value
