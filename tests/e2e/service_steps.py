"""Runs steps that wait for a service in this process, with a clock that goes twenty times as fast."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from e2e.rundeck_launch import ACCESS_KEY, SECRET_KEY, variables
from ecs_exec.ecs.api import Aws
from ecs_exec.errors import EcsExecError
from ecs_exec.signals import Interrupts
from ecs_exec.steps.calls import Caller
from ecs_exec.streams import OutputStreams
from emulator import Emulator

_FAST = 20


class FastCaller(Caller):
    """Waits a twentieth of the time, and has a clock for that."""

    def pause(self, seconds: float) -> None:
        """Wait."""
        super().pause(seconds / _FAST)


class Ended(NamedTuple):
    """An end of a step."""

    status: int
    out: list[str]
    err: str


def environ(emulator: Emulator, service: str, config: Mapping[str, str]) -> dict[str, str]:
    """Give the variables of a step for a service of the cluster c."""
    shared = {"region": emulator.region, "endpoint-url": emulator.endpoint_url, "access-key-id": ACCESS_KEY}
    limits = {"cluster": "c", "service": service, "wait-timeout": "300"}
    named = {key.replace("_", "-"): value for key, value in config.items()}
    return variables("CONFIG", {**shared, "secret-access-key": SECRET_KEY, **limits, **named})


def run(step: ModuleType, asked: Any, aws: Aws, output: pytest.CaptureFixture[bytes]) -> Ended:  # noqa: ANN401
    """Run a step with its settings to its end."""
    with Interrupts() as interrupts:
        streams = OutputStreams(interrupts)
        caller = FastCaller(aws, interrupts, streams, lambda: time.monotonic() * _FAST)
        try:
            status = step.run(asked, caller, interrupts, streams)
        except EcsExecError as error:
            status = 125
            streams.say(str(error))
    out, err = output.readouterr()
    return Ended(status, out.decode().splitlines(), err.decode())


def calls(emulator: Emulator, action: str) -> int:
    """Count the calls of an action so far."""
    return sum(call["action"] == action for call in emulator.report()["calls"])
