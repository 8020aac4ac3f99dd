"""What only administrators may set, tried by a job's author through the real rundeck-core with a program as bait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from real.rundeck import Command, Copy, Execution, NodeStep, Run, Rundeck, Server, WorkflowStep
from real.rundeck_actions import Action

PROGRAM = "session-manager-plugin"
STEPS = {"WorkflowNodeStep": ("ecs-run-script", "ecs-check-exec"), "WorkflowStep": ("ecs-run-command",)}
PROVIDERS = {"NodeExecutor": ("ecs-node-executor",), "FileCopier": ("ecs-file-copier",), **STEPS}
SPELLINGS = (PROGRAM, "session_manager_plugin", "Session-Manager-Plugin", "SESSION.MANAGER.PLUGIN")
EXPORTS = (("config", "session_manager_plugin"), ("config-session", "manager-plugin"))
"""Groups and names that the step Global Variable can export as RD_CONFIG_SESSION_MANAGER_PLUGIN."""


class Bait:
    """A program that leaves a mark in its own folder when it runs, and fails at once."""

    def __init__(self, path: Path) -> None:
        """Write it."""
        self.path = path
        state = '(env; echo "core=$(ulimit -c) $(cat /proc/self/coredump_filter)") >>"$0.ran"'
        path.write_text(f"#!/bin/sh\n{state}\necho leaked; echo leaked >&2\nexit 3\n")
        path.chmod(0o755)

    @property
    def environment(self) -> str:
        """Return what it was run with; empty if it was not."""
        mark = Path(f"{self.path}.ran")
        return mark.read_text() if mark.exists() else ""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a service whose sessions can be opened."""
    world: dict[str, Any] = {"clusters": {"demo": {"services": {"web": {"containers": {"app": {}}}}}}}
    with Emulator(world=world, agent={"start_delay": 0, "pacing": 0, "session_limit": 0}) as running:
        yield running


def server(plugin_zip: Path, emulator: Emulator, attributes: Mapping[str, str], **more: str) -> Server:
    """Give a project with credentials, endpoint and the program's transport for every provider."""
    shared = {
        "region": emulator.region,
        "endpoint-url": emulator.endpoint_url,
        "access-key-id": "AKIAIOSFODNN7EXAMPLE",
        "secret-access-key": "keys/aws",
        "transport": PROGRAM,
        "connect-timeout": "1",
        **more,
    }
    chosen = {"node-executor": "ecs-node-executor", "file-copier": "ecs-file-copier"}
    prefixes = [f"project.plugin.{service}.{name}." for service, names in PROVIDERS.items() for name in names]
    return Server(
        plugins=[plugin_zip],
        nodes={"web": {"hostname": "web", **chosen, **emulator.node("demo", "web"), **attributes}},
        keys={"keys/aws": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
        project_properties={prefix + name: value for prefix in prefixes for name, value in shared.items()},
    )


def attempts(forged: str) -> dict[str, Action[Execution]]:
    """Name what a job's author may try in every provider that starts the program."""
    node = ["web"]
    config = dict.fromkeys(SPELLINGS, forged)
    where = {"cluster": "demo", "service": "web", "command": "true"}
    found: dict[str, Action[Execution]] = {
        "command": Command("true", on=node),
        "copy": Copy(on=node, content="text", destination="/tmp/x"),  # noqa: S108 - in the container
        "script": NodeStep("ecs-run-script", node, {"script": "true", **config}),
        "check": NodeStep("ecs-check-exec", node, config),
        "run": WorkflowStep("ecs-run-command", {**where, **config}),
    }
    for group, name in EXPORTS:
        run = Run(context={group: {name: forged}})
        found |= {
            f"command after {group}.{name}": Command("true", on=node, run=run),
            f"run after {group}.{name}": WorkflowStep("ecs-run-command", where, run=run),
        }
    return found


def files(folder: Path) -> dict[str, Action[Execution]]:
    """Name steps that ask for files of the server that no job may read."""
    node = ["web"]
    return {
        "kernel": NodeStep("ecs-run-script", node, {"script-file": "/proc/self/environ"}),
        "kernel copied": Copy(on=node, file=Path("/proc/self/environ"), destination="/tmp/x"),  # noqa: S108
        "elsewhere": NodeStep("ecs-run-script", node, {"script-file": str(folder), "script-folder": "/"}),
    }


def test_only_administrators_choose_the_program(
    rundeck: Rundeck, plugin_zip: Path, emulator: Emulator, tmp_path: Path
) -> None:
    """No field of a step, no attribute and no exported variable, in any spelling, starts the bait or shows its words.

    Files of the kernel, and those outside the folder of scripts, are not sent either.
    """
    bait, chosen = Bait(tmp_path / "printenv"), Bait(tmp_path / "it's $HOME; a plugin")
    attributes = {f"{prefix}{name}": str(bait.path) for name in SPELLINGS for prefix in ("", "config-")}
    actions = attempts(str(bait.path))
    wrong = files(bait.path)
    settings = {PROGRAM: str(chosen.path), "script-folder": str(tmp_path / "scripts")}
    project = server(plugin_zip, emulator, attributes, **settings)
    results = rundeck.run(project, *actions.values(), *wrong.values())
    assert bait.environment == ""
    for name, action in actions.items():
        text = "\n".join(event.text for event in results[action].events)
        assert "leaked" not in text, name
        started = "session-manager-plugin ended with status 3" in text
        refused = "only administrators may set session-manager-plugin" in text
        assert not results[action].success, name
        assert started or (refused and " after " in name), (name, text)
    assert "AWS_SSM_START_SESSION_RESPONSE" in chosen.environment
    assert "\nRD_" not in chosen.environment
    assert "core=0 00000000" in chosen.environment  # nor is a dump of its memory left
    for name, action in wrong.items():
        text = "\n".join(event.text for event in results[action].events)
        cause = "the only folder that script-folder allows" if name == "elsewhere" else "not a file on a disk"
        assert cause in text, (name, text)
