"""The providers of the plugin, for `build_manifest`: names, titles, entry scripts, and the properties of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ecs_exec.settings.properties import ACCESS, COPY, RUN, SCRIPT_STEP, Property


class Provider(NamedTuple):
    """One provider in plugin.yaml."""

    name: str
    service: str
    title: str
    script: str
    """Its file in contents/."""
    help: str
    properties: tuple[Property, ...]
    more: Mapping[str, str] = {}
    """Keys that only some services have."""


PROVIDERS = (
    Provider(
        "ecs-node-executor",
        "NodeExecutor",
        "AWS / ECS / Node Executor",
        "node-executor.py",
        "Run commands in Amazon ECS containers through ECS Exec: real exit codes, exact output, stderr apart. The"
        " server's credentials need ecs:ExecuteCommand.",
        ACCESS + RUN,
    ),
    Provider(
        "ecs-file-copier",
        "FileCopier",
        "AWS / ECS / File Copier",
        "file-copier.py",
        "Copy files into Amazon ECS containers through ECS Exec, for script steps and Copy File steps: any content and"
        " size, verified there before it counts. The server's credentials need ecs:ExecuteCommand; the image needs a"
        " shell.",
        ACCESS + COPY,
        {"script-args": ""},
    ),
    Provider(
        "ecs-run-script",
        "WorkflowNodeStep",
        "AWS / ECS / Run Script",
        "run-script.py",
        "Run a script in Amazon ECS containers in one session: sent, run and removed, with its exit code and output as"
        " the node executor gives them. The server's credentials need ecs:ExecuteCommand.",
        SCRIPT_STEP + ACCESS,
    ),
)
