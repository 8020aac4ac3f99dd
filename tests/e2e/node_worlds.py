"""What the tests of the node source find: three clusters in two regions, and one in another account."""

from __future__ import annotations

from typing import Any

EAST = "us-east-1"
WEST = "eu-west-1"
OWN = "123456789012"
OTHER = "222222222222"
ROLE = f"arn:aws:iam::{OTHER}:role/rundeck"

IN_EAST: dict[str, Any] = {
    "account": OWN,
    "region": EAST,
    "clusters": {
        "shop": {
            "services": {
                "web": {
                    "desired": 2,
                    "tags": {"team": "storefront", "env": "prod"},
                    "containers": {
                        "nginx": {"image": "nginx:1.27", "health": "HEALTHY"},
                        "log-router": {"image": "fluent-bit:3", "essential": False},
                    },
                },
                "api": {
                    "family": "shop-api",
                    "tags": {"team": "backend", "env": "prod"},
                    "containers": {"app": {"image": "shop/api:7", "health": "UNHEALTHY"}},
                },
            },
            "tasks": [
                {
                    "family": "migrate",
                    "tags": {"team": "backend", "env": "staging"},
                    "containers": {"app": {"image": "shop/api:7"}},
                },
                {"family": "old", "last_status": "STOPPED", "containers": {"app": {}}},
            ],
        },
        "batch": {
            "services": {
                "worker": {
                    "desired": 2,
                    "launch_type": "EC2",
                    "tags": {"team": "data"},
                    "containers": {"worker": {"image": "batch/worker:3"}},
                }
            },
            "tasks": [
                {"family": "locked", "exec_enabled": False, "containers": {"app": {"image": "locked:1"}}},
                {"family": "young", "last_status": "PENDING", "containers": {"app": {"agent_status": "PENDING"}}},
            ],
        },
    },
}

IN_WEST: dict[str, Any] = {
    "account": OWN,
    "region": WEST,
    "clusters": {
        "shop": {
            "services": {
                "web": {
                    "tags": {"team": "storefront", "env": "prod"},
                    "containers": {"nginx": {"image": "nginx:1.27"}},
                }
            }
        }
    },
}

IN_OTHER: dict[str, Any] = {
    "account": OTHER,
    "region": EAST,
    "clusters": {"tools": {"tasks": [{"family": "bastion", "containers": {"shell": {"image": "busybox:1"}}}]}},
}

TAGGED = "ap-south-1"
IN_TAGGED: dict[str, Any] = {
    "account": OWN,
    "region": TAGGED,
    "clusters": {
        "shop": {
            "tasks": [
                {
                    "family": family,
                    "tags": {
                        "nodename": "shop",
                        "Name": "shop",
                        "team": family,
                        "node-executor": "local",
                        "file_copier": "stub",
                        "ecs_user": "nobody",
                        "ECS-Shell": "/bin/false",
                        "hostname": "elsewhere",
                        "username": "root",
                        "ui:icon:name": "skull",
                    },
                    "containers": {"app": {}},
                }
                for family in ("one", "two", "three")
            ]
        }
    },
}
"""Tasks whose tags are called like what Rundeck and the plugin act on."""
