"""The providers of the plugin, for `build_manifest`: names, titles, entry scripts, and the properties of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ecs_exec.settings.properties import ACCESS, NODE_SOURCE, RUN, Property


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
        "ecs-node-source",
        "ResourceModelSource",
        "AWS / ECS-Fargate / Resource Model",
        "node-source.py",
        "Make every container of Amazon ECS a node, on Fargate, EC2 and elsewhere, of several regions and accounts. The"
        " server's credentials need ecs:ListTasks and ecs:DescribeTasks, and ecs:ListClusters where clusters are not"
        " named.",
        NODE_SOURCE,
        {"resource-format": "resourcejson"},
    ),
)
