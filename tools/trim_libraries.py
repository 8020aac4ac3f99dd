"""Removes the parts of the dependencies that a server would read at each start and never use.

botocore takes most of a command's start. Its client of ECS took 60 ms; 30 ms of them were for models and endpoints that
are never called. The import of its documentation generator takes 10 ms.
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
"""Services that the plugin calls, or that credentials may come from."""

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
"""Operations that are kept of the services with large models. The other services keep all."""

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
"""Texts that each occur once in a file, and their replacements."""

_UNUSED = re.compile(r"botocore/docs/(?!utils\.py).*|urllib3/http2/(?!probe\.py).*")

CHANGES = (
    f"botocore/data holds {', '.join(SERVICES)} only, and no examples; its compressed files are stored uncompressed.",
    "botocore/data/endpoints.json holds the endpoints of these services only.",
    f"Of {', '.join(OPERATIONS)} it holds only the newest version, without documentation, and these operations: "
    + ", ".join(name for names in OPERATIONS.values() for name in names),
    "botocore/docs gives no documentation for methods of clients. Only the files that other code needs are kept.",
    "botocore/compat.py looks at functions without inspect, so that inspect is imported only when it is used.",
    "botocore/credentials.py does not import dateutil's parse: dateutil.parser is imported only when it is used.",
    "botocore/handlers.py registers no handlers of other services, and none of documentation.",
    "urllib3/http2 needs a library that is not here. Only the files that other code needs are kept.",
    "urllib3/util/url.py and botocore/compat.py compile the patterns of IPv6 addresses when they are used.",
    "websockets/version.py leaves out an import that only a development version needs.",
)
"""Sentences for the README of the libraries."""


def trimmed(files: Files) -> Files:
    """Return the dependencies without the parts that each start would read and the plugin never uses."""
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
    """Replace texts in a file. Raises Fault if a text does not occur exactly once: then the library has changed."""
    for old, new in edits:
        times = data.count(old.encode())
        if times != 1:
            raise Fault(f"{path} is not what its edits are for: it has {old.strip()!r} {times} times")
        data = data.replace(old.encode(), new.encode())
    return data


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
