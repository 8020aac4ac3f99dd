"""Removes the parts of the dependencies that the plugin never uses: most of botocore's files are of other services.

The code of the libraries is not edited, except that methods of botocore's clients have no documentation.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

Files = dict[str, bytes]
"""Contents by path, with `/` between its parts."""


class Fault(Exception):
    """The zip cannot be built; the text says why, on one line."""


SERVICES = (
    "application-autoscaling",
    "ec2",
    "ecs",
    "iam",
    "kms",
    "logs",
    "signin",
    "sso",
    "sso-oidc",
    "ssm",
    "sts",
)
"""Services that the plugin calls, or that credentials may come from."""

OPERATIONS = {
    "application-autoscaling": ("DescribeScalableTargets",),
    "ec2": ("DescribeSubnets", "DescribeVpcEndpoints"),
    "ecs": (
        "DescribeClusters",
        "DescribeContainerInstances",
        "DescribeServiceDeployments",
        "DescribeServices",
        "DescribeTaskDefinition",
        "DescribeTasks",
        "ExecuteCommand",
        "ListClusters",
        "ListServiceDeployments",
        "ListServices",
        "ListTaskDefinitionFamilies",
        "ListTasks",
        "RegisterTaskDefinition",
        "StopServiceDeployment",
        "RunTask",
        "StopTask",
        "UpdateService",
    ),
    "iam": ("SimulatePrincipalPolicy",),
    "kms": ("GenerateDataKey",),
    "logs": ("FilterLogEvents", "GetLogEvents"),
    "ssm": ("ResumeSession", "TerminateSession"),
    "sts": ("AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"),
}
"""Operations that are kept of the services with large models. The other services keep all."""

_DOCSTRINGS = '''\
"""Methods of clients have no documentation here: making it takes time at each start, and nobody reads it."""


class _None(str):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)


ClientMethodDocstring = PaginatorDocstring = WaiterDocstring = _None
'''

_REPLACED = {
    "botocore/docs/__init__.py": "",
    "botocore/docs/docstring.py": _DOCSTRINGS,
    "urllib3/http2/__init__.py": "",
}
_UNUSED = re.compile(r"botocore/docs/(?!utils\.py).*|urllib3/http2/(?!probe\.py).*")

CHANGES = (
    f"botocore/data holds {', '.join(SERVICES)} only, and no examples; its compressed files are stored uncompressed.",
    "botocore/data/endpoints.json holds the endpoints of these services only.",
    f"Of {', '.join(OPERATIONS)} it holds only the newest version, without documentation, and these operations: "
    + ", ".join(name for names in OPERATIONS.values() for name in names),
    "botocore/docs gives no documentation for methods of clients. Only the files that other code needs are kept.",
    "urllib3/http2 needs a library that is not here. Only the files that other code needs are kept.",
)
"""Sentences for the README of the libraries."""


def trimmed(files: Files) -> Files:
    """Return the dependencies without the parts that the plugin never uses."""
    kept = {path: data for path, data in _uncompressed(files) if not _UNUSED.fullmatch(path) or path in _REPLACED}
    kept |= {path: text.encode() for path, text in _REPLACED.items() if path in kept}
    prefixes = {_endpoint_prefix(kept, service) for service in SERVICES}
    endpoints = json.loads(kept["botocore/data/endpoints.json"])
    for partition in endpoints["partitions"]:
        partition["services"] = {name: it for name, it in partition["services"].items() if name in prefixes}
    kept["botocore/data/endpoints.json"] = json.dumps(endpoints, separators=(",", ":")).encode()
    for service, operations in OPERATIONS.items():
        kept = _with_operations(kept, service, operations)
    return kept


def _with_operations(files: Files, service: str, operations: Sequence[str]) -> Files:
    """Keep only the newest version of a service: the model of some operations, and its endpoints."""
    folder = f"botocore/data/{service}/"
    newest = max(path.split("/")[3] for path in files if path.startswith(folder))
    kept = {path: data for path, data in files.items() if not path.startswith(folder)}
    for name in ("service-2.json", "endpoint-rule-set-1.json"):
        kept[f"{folder}{newest}/{name}"] = files[f"{folder}{newest}/{name}"]
    model = trimmed_model(json.loads(files[f"{folder}{newest}/service-2.json"]), operations)
    kept[f"{folder}{newest}/service-2.json"] = json.dumps(model, separators=(",", ":")).encode()
    return kept


def trimmed_model(model: Mapping[str, Any], operations: Sequence[str]) -> dict[str, Any]:
    """Return a service's model with only some operations and the shapes that they reach, without documentation."""
    if missing := sorted(set(operations) - set(model["operations"])):
        raise Fault(f"botocore's {model['metadata']['serviceId']} has no operation {', '.join(missing)}")
    kept = {name: model["operations"][name] for name in operations}
    reached = set(_shapes_in(kept))
    waiting = list(reached)
    while waiting:
        fresh = set(_shapes_in(model["shapes"][waiting.pop()])) - reached
        reached |= fresh
        waiting += fresh
    shapes = {name: shape for name, shape in model["shapes"].items() if name in reached}
    trimmed: dict[str, Any] = _without_documentation({**model, "operations": kept, "shapes": shapes})
    return trimmed


def _shapes_in(part: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield the names of the shapes to which a part of a model refers."""
    if isinstance(part, dict):
        if isinstance(part.get("shape"), str):
            yield part["shape"]
        for value in part.values():
            yield from _shapes_in(value)
    elif isinstance(part, list):
        for value in part:
            yield from _shapes_in(value)


def _without_documentation(part: Any) -> Any:  # noqa: ANN401 - any JSON
    """Leave out documentation; a member with that name is not documentation."""
    if isinstance(part, dict):
        kept = {name: value for name, value in part.items() if name != "documentation" or not isinstance(value, str)}
        return {name: _without_documentation(value) for name, value in kept.items()}
    return [_without_documentation(value) for value in part] if isinstance(part, list) else part


def _uncompressed(files: Files) -> Iterator[tuple[str, bytes]]:
    for name, data in files.items():
        path = PurePosixPath(name)
        if path.parts[:2] != ("botocore", "data"):
            yield name, data
        elif _is_used_data(path):
            yield (name[: -len(".gz")], gzip.decompress(data)) if path.suffix == ".gz" else (name, data)


def _is_used_data(path: PurePosixPath) -> bool:
    of_all_services = len(path.parts) == len(("botocore", "data", "name"))
    return of_all_services or (path.parts[2] in SERVICES and not path.name.startswith("examples-"))


def _endpoint_prefix(files: Files, service: str) -> str:
    """Return the name that a service has in endpoints.json."""
    models = [files[name] for name in files if PurePosixPath(name).match(f"botocore/data/{service}/*/service-2.json")]
    if not models:
        raise Fault(f"botocore has no data for {service}")
    model: dict[str, Any] = json.loads(models[-1])
    return str(model["metadata"]["endpointPrefix"])
