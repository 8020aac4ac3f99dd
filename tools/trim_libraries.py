"""What of the dependencies does not go into the zip, because a server would read it at each start and never use it.

A command's start-up is mostly botocore's: its client of ECS was made in 60 ms, 30 of them for the models and endpoints
of what is never called, and its documentation generator takes 10 to import.
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


SERVICES = ("ec2", "ecs", "iam", "kms", "signin", "sso", "sso-oidc", "ssm", "sts")
"""What the plugin calls, and what credentials may come from."""

OPERATIONS = {
    "ec2": ("DescribeSubnets", "DescribeVpcEndpoints"),
    "ecs": (
        "DescribeClusters",
        "DescribeContainerInstances",
        "DescribeTaskDefinition",
        "DescribeTasks",
        "ExecuteCommand",
        "ListClusters",
        "ListTasks",
        "StopTask",
    ),
    "iam": ("SimulatePrincipalPolicy",),
    "kms": ("GenerateDataKey",),
    "ssm": ("ResumeSession", "TerminateSession"),
    "sts": ("AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"),
}
"""Operations that are kept of the services with large models; of the others it is all."""

_DOCSTRINGS = '''\
"""Methods of clients have no documentation here: making it takes time at each start, and nobody reads it."""


class _None(str):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)


ClientMethodDocstring = PaginatorDocstring = WaiterDocstring = _None
'''

_IPV6 = '''
class IPv6:
    """The pattern of an address: it takes a millisecond to compile, which waits for a text that may be one."""

    def __init__(self, pattern):
        self._pattern = pattern

    def match(self, text):
        return re.match(self._pattern, text) if ":" in text else None

'''

_REPLACED = {
    "botocore/docs/__init__.py": "",
    "botocore/docs/docstring.py": _DOCSTRINGS,
    "urllib3/http2/__init__.py": "",
}
_KWARGS = "    return inspect.getfullargspec(func)[2]\n"
_KWARGS_WITHOUT_INSPECT = f"""\
    code = getattr(func, "__code__", None) or getattr(type(func).__call__, "__code__", None)
    if code:
        return code.co_flags & 8
{_KWARGS}"""
_ALIASES = "\n_add_parameter_aliases(BUILTIN_HANDLERS)\n"
_FEWER_HANDLERS = f"""{_ALIASES}
BUILTIN_HANDLERS[:] = [
    each
    for each in BUILTIN_HANDLERS
    if not each[0].startswith("docs.") and (each[0] + ".*").split(".")[1] in {("*", *SERVICES)!r}
]
"""

_EDITED = {
    "botocore/compat.py": (
        ("import inspect\n", "import inspect\nfrom urllib3.util.url import IPv6\n"),
        ('re.compile("^" + IPV6_ADDRZ_PAT + "$")', 'IPv6("^" + IPV6_ADDRZ_PAT + "$")'),
        (_KWARGS, _KWARGS_WITHOUT_INSPECT),
    ),
    "botocore/credentials.py": (
        ("from dateutil.parser import parse\n", "parse = lambda text: dateutil.parser.parse(text)\n"),
    ),
    "botocore/handlers.py": ((_ALIASES, _FEWER_HANDLERS),),
    "urllib3/util/url.py": (
        ("\n_PERCENT_RE = ", _IPV6 + "\n_PERCENT_RE = "),
        ('\n_IPV6_RE = re.compile("^" + _IPV6_PAT + "$")\n', "\n"),
        ('re.compile("^" + _IPV6_ADDRZ_PAT + "$")', 'IPv6("^" + _IPV6_ADDRZ_PAT + "$")'),
        ('re.compile("^" + _IPV6_ADDRZ_PAT[2:-2] + "$")', 'IPv6("^" + _IPV6_ADDRZ_PAT[2:-2] + "$")'),
    ),
    "websockets/version.py": (("import importlib.metadata\n", ""),),
}
"""Texts in files, each there once, and what comes in their place."""

_UNUSED = re.compile(r"botocore/docs/(?!utils\.py).*|urllib3/http2/(?!probe\.py).*")

CHANGES = (
    f"botocore/data holds {', '.join(SERVICES)} only, and no examples; its compressed files are stored uncompressed.",
    "botocore/data/endpoints.json holds the endpoints of these services only.",
    f"Of {', '.join(OPERATIONS)} it holds the newest version only, no documentation, and these operations: "
    + ", ".join(name for names in OPERATIONS.values() for name in names),
    "botocore/docs gives no documentation for methods of clients, and is left out but for what else needs it.",
    "botocore/compat.py looks at functions without inspect, which is then imported only when it is used.",
    "botocore/credentials.py has no parse of dateutil's of its own: dateutil.parser is then imported when it is used.",
    "botocore/handlers.py registers no handlers of other services, and none of documentation.",
    "urllib3/http2, which takes a library that is not here, is left out but for what else needs it.",
    "urllib3/util/url.py and botocore/compat.py compile the patterns of IPv6 addresses when they are used.",
    "websockets/version.py does without an import that only a development version needs.",
)
"""For the text that goes with the libraries."""


def trimmed(files: Files) -> Files:
    """Leave out of the dependencies what the plugin never uses and each start would read."""
    kept = {path: data for path, data in _uncompressed(files) if not _UNUSED.fullmatch(path) or path in _REPLACED}
    kept |= {path: text.encode() for path, text in _REPLACED.items() if path in kept}
    kept |= {path: _edited(path, kept[path], edits) for path, edits in _EDITED.items() if path in kept}
    prefixes = {_endpoint_prefix(kept, service) for service in SERVICES}
    endpoints = json.loads(kept["botocore/data/endpoints.json"])
    for partition in endpoints["partitions"]:
        partition["services"] = {name: it for name, it in partition["services"].items() if name in prefixes}
    kept["botocore/data/endpoints.json"] = json.dumps(endpoints, separators=(",", ":")).encode()
    for service, operations in OPERATIONS.items():
        kept = _with_operations(kept, service, operations)
    return kept


def _edited(path: str, data: bytes, edits: Sequence[tuple[str, str]]) -> bytes:
    """Replace texts in a file. Raises Fault for one that is not there, or more than once: the library has changed."""
    for old, new in edits:
        times = data.count(old.encode())
        if times != 1:
            raise Fault(f"{path} is not what its edits are for: it has {old.strip()!r} {times} times")
        data = data.replace(old.encode(), new.encode())
    return data


def _with_operations(files: Files, service: str, operations: Sequence[str]) -> Files:
    """Keep of a service its newest version, and of that the model of some operations and its endpoints."""
    folder = f"botocore/data/{service}/"
    newest = max(path.split("/")[3] for path in files if path.startswith(folder))
    kept = {path: data for path, data in files.items() if not path.startswith(folder)}
    for name in ("service-2.json", "endpoint-rule-set-1.json"):
        kept[f"{folder}{newest}/{name}"] = files[f"{folder}{newest}/{name}"]
    model = trimmed_model(json.loads(files[f"{folder}{newest}/service-2.json"]), operations)
    kept[f"{folder}{newest}/service-2.json"] = json.dumps(model, separators=(",", ":")).encode()
    return kept


def trimmed_model(model: Mapping[str, Any], operations: Sequence[str]) -> dict[str, Any]:
    """Return a service's model with some operations only, and the shapes that they reach; texts for people left out."""
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
    """Yield the names of shapes that a part of a model refers to."""
    if isinstance(part, dict):
        if isinstance(part.get("shape"), str):
            yield part["shape"]
        for value in part.values():
            yield from _shapes_in(value)
    elif isinstance(part, list):
        for value in part:
            yield from _shapes_in(value)


def _without_documentation(part: Any) -> Any:  # noqa: ANN401 - any JSON
    """Leave out texts for people; a member that is named so is no text."""
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
