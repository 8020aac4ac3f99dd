"""The settings that only administrators may set, taken from the arguments, which no job can change.

Rundeck ignores a step's value for a property of project scope. But a job can add variables to the environment: in the
step Global Variable, its author chooses a group and a name. The group `config-session` with the name `manager-plugin`
becomes RD_CONFIG_SESSION_MANAGER_PLUGIN, the variable of the setting. A job cannot add arguments: script-args in
plugin.yaml names group and property exactly, and Rundeck inserts the configured value or the default.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

from ecs_exec.errors import SettingsError
from ecs_exec.settings.attribute_names import variable


def take_arguments(environ: MutableMapping[str, str], arguments: Sequence[str]) -> None:
    """Put the settings in `arguments`, each a `name=value`, into the environment.

    A name like `rundeck.base` is a value of Rundeck's own.

    Without arguments, Rundeck did not start the program, and the environment is used as it is. Raises SettingsError if
    the environment has another value: then a job has set it.
    """
    for name, _, text in (argument.partition("=") for argument in arguments):
        of_rundeck = name.startswith("rundeck.")
        exported = f"RD_{variable(name)}" if of_rundeck else f"RD_CONFIG_{variable(name)}"
        value = "" if text == (f"${{{name}}}" if of_rundeck else f"${{config.{name}}}") else text
        if environ.get(exported, "") != value:
            raise SettingsError(name="setting-not-the-administrator-s", variable=exported, setting=name)
        environ[exported] = value
