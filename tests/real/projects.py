"""The settings of a project whose job steps reach an emulator."""

from __future__ import annotations

from ecs_exec.settings.providers import PROVIDERS
from emulator import Emulator
from real.rundeck import Key

_SECRET = "keys/project/demo/aws"
KEYS = {_SECRET: Key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", type="password")}
"""The project's Key Storage."""
_STEPS = {"WorkflowNodeStep", "WorkflowStep"}


def for_steps(emulator: Emulator) -> dict[str, str]:
    """Return region, endpoint and credentials for every step, as jobs expect them from their project."""
    shared = {
        "region": emulator.region,
        "endpoint-url": emulator.endpoint_url,
        "access-key-id": "AKIAIOSFODNN7EXAMPLE",
        "secret-access-key": _SECRET,
    }
    return {
        f"project.plugin.{provider.service}.{provider.name}.{setting}": value
        for provider in PROVIDERS
        if provider.service in _STEPS
        for setting, value in shared.items()
    }
