"""The peer of the node source: a plain script that makes the same nodes with one boto3 call after another."""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3

_NOT_PLAIN = {"containers", "attachments", "attributes", "overrides", "tags", "managedAgents", "networkInterfaces"}


def main() -> None:
    """Print a node for each container, as such scripts do: plain values become attributes."""
    nodes: dict[str, Any] = {}
    ecs = boto3.client("ecs")
    for clusters in ecs.get_paginator("list_clusters").paginate():
        for cluster in clusters["clusterArns"]:
            for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster):
                found = ecs.describe_tasks(cluster=cluster, tasks=page["taskArns"], include=["TAGS"])
                for task in found["tasks"]:
                    nodes |= _nodes(task)
    json.dump(nodes, sys.stdout)


def _nodes(task: dict[str, Any]) -> dict[str, Any]:
    plain = {f"ECS:Task-{key}": str(value) for key, value in task.items() if key not in _NOT_PLAIN}
    tags = {f"ECS:Tag-{tag['key']}": tag["value"] for tag in task["tags"]}
    nodes = {}
    for container in task["containers"]:
        mine = {f"ECS:Container-{key}": str(value) for key, value in container.items() if key not in _NOT_PLAIN}
        name = f"{container['name']}-{container['containerArn'].rpartition('/')[2]}"
        nodes[name] = {"hostname": name, **plain, **tags, **mine}
    return nodes


if __name__ == "__main__":
    main()
