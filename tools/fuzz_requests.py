"""Requests of the direct client beside botocore's, for drawn settings: `python -m fuzz requests`.

botocore is the oracle: URL, body and every header that AWS evaluates must be the same, byte for byte.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import string
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any, NamedTuple
from unittest import mock

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.credentials import Credentials
from botocore.parsers import ResponseParserError
from botocore.session import Session

from ecs_exec.ecs.client import ROLE_SESSION_NAME
from ecs_exec.ecs.direct_client import ACTIONS, DirectClient
from ecs_exec.ecs.direct_settings import plan
from ecs_exec.settings import Access

COUNTED = (*("authorization", "content-length", "content-type", "x-amz-date", "x-amz-security-token", "x-amz-target"),)
"""Headers that AWS evaluates."""

_PRINTABLE = string.ascii_letters + string.digits + string.punctuation + ' äß€日\U0001f600\n\t"\\'
_KEYS = string.ascii_letters + string.digits + "+/"
_ENDPOINTS = (
    *(
        "http://127.0.0.1:4566",
        "http://localhost",
        "http://localhost:80/",
        "https://[::1]:8443",
        "https://EXAMPLE.com:443",
    ),
    *("https://vpce-1a2b.ecs.eu-west-1.vpce.amazonaws.com", "http://[::1]", "https://proxy.example/ecs", "https://h:0"),
)
_ODD = (
    *("AWS_PROFILE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    *("AWS_CONFIG_FILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "https_proxy", "HTTP_PROXY", "AWS_SECURITY_TOKEN"),
)


class Drawn(NamedTuple):
    """One request, and the settings for it."""

    access: Access
    environ: Mapping[str, str]
    service: str
    action: str
    parameters: Mapping[str, Any]
    now: int


@cache
def regions() -> tuple[str, ...]:
    """Return all regions that botocore knows, and some that it does not."""
    session = Session()
    known = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ecs", partition_name=partition)
    ]
    return (*known, "eu-north-9", "cn-east-1", "us-isob-west-1", "eusc-de-west-1", "moon-1", "us-east")


def _text(rng: random.Random, letters: str, most: int) -> str:
    return "".join(rng.choices(letters, k=rng.randint(1, most)))


def _parameters(rng: random.Random, service: str, action: str) -> dict[str, Any]:
    words = [_text(rng, _PRINTABLE, 200) for _ in range(3)]
    if action == "AssumeRole":
        external = (
            {"ExternalId": "x" + _text(rng, string.ascii_letters + "+=,.@:/-_", 60)} if rng.random() < 0.5 else {}
        )
        role = f"arn:aws:iam::123456789012:role/{_text(rng, string.ascii_letters + '/+=,.@-_', 30)}"
        return {"RoleArn": role, "RoleSessionName": ROLE_SESSION_NAME, **external}
    if service == "ssm":
        return {"SessionId": _text(rng, string.ascii_letters + string.digits + "-", 90)}
    if service == "kms":
        return {"KeyId": words[0], "NumberOfBytes": 64, "EncryptionContext": dict.fromkeys(words, words[0])}
    token = {"nextToken": words[2]} if rng.random() < 0.5 else {}
    kinds: dict[str, dict[str, Any]] = {
        "DescribeTaskDefinition": {"taskDefinition": words[0]},
        "DescribeTasks": {"cluster": words[0], "tasks": words, **({"include": ["TAGS"]} if token else {})},
        "ExecuteCommand": {
            "cluster": words[0],
            "task": words[1],
            "container": words[2],
            "command": _text(rng, _PRINTABLE, 5000),
            "interactive": True,
        },
        "ListClusters": {"maxResults": 100, **token},
        "ListServices": {"cluster": words[0], "maxResults": 100, **token},
        "ListTaskDefinitionFamilies": {"status": "ACTIVE", "maxResults": 100, **token},
        "ListTasks": {"cluster": words[0], "family": words[1], "desiredStatus": "RUNNING", "maxResults": 100, **token},
        "StopTask": {"cluster": words[0], "task": words[1], "reason": words[2]},
    }
    return kinds[action]


def drawn(rng: random.Random, some: tuple[str, ...]) -> Drawn:
    """Draw settings, an environment and a request. `some` holds the regions."""
    service, action = rng.choice([*(tuple(name.split(":")) for name in sorted(ACTIONS)), ("sts", "AssumeRole")])
    keys = [_text(rng, _KEYS, 40), _text(rng, _KEYS, 60), rng.choice(("", _text(rng, _KEYS + "=%&;", 900)))]
    region, environ = rng.choice(some), {"HOME": "/nonexistent", "PATH": "/bin"}
    access = Access(region)
    if rng.random() < 0.5:
        access = access._replace(access_key_id=keys[0], secret_access_key=keys[1], session_token=keys[2])
    else:
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        environ |= {name: value for name, value in zip(names, keys, strict=True) if value}
    if rng.random() < 0.2:
        access, environ["AWS_DEFAULT_REGION"] = access._replace(region=""), region
    if rng.random() < 0.2:
        access = access._replace(endpoint_url=rng.choice(_ENDPOINTS))
    if rng.random() < 0.2:
        names = ("AWS_ENDPOINT_URL", f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL_S3")
        environ[rng.choice(names)] = rng.choice(_ENDPOINTS)
    if rng.random() < 0.1:
        environ[rng.choice(_ODD)] = rng.choice(("true", "x", ""))
    parameters = _parameters(rng, service, action)
    return Drawn(access, environ, service, action, parameters, rng.randint(1_000_000_000, 4_000_000_000))


_sent: list[AWSPreparedRequest] = []


@cache
def _loader() -> object:
    """Return what reads the models: all sessions can share it, and reading takes long."""
    return Session().get_component("data_loader")


@lru_cache(200)
def _client(service: str, region: str, endpoint: str, environ: frozenset[tuple[str, str]]) -> Any:  # noqa: ANN401
    """Return a client of botocore that sends nothing; `environ` holds the variables that change endpoints."""
    with mock.patch.dict(os.environ, dict(environ), clear=True):
        session = Session()
        session.set_credentials("key", "secret")
        session.register_component("data_loader", _loader())
        client = session.create_client(service, region_name=region or None, endpoint_url=endpoint or None)

    def keep(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        _sent.append(request)
        raw = mock.Mock(stream=lambda *_, **__: iter([b""]))
        return AWSResponse(request.url, 200, {}, raw)

    client.meta.events.register("before-send", keep)
    return client


def by_botocore(one: Drawn) -> tuple[str, bytes, dict[str, str]]:
    """Return the URL, the body and the counted headers of botocore's request."""
    changing = {name: value for name, value in one.environ.items() if name.startswith(("AWS_END", "AWS_DEF"))}
    client = _client(one.service, one.access.region, one.access.endpoint_url, frozenset(changing.items()))
    environ, access = one.environ, one.access
    keys = (
        (access.access_key_id, access.secret_access_key, access.session_token or None)
        if access.access_key_id
        else (environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], environ.get("AWS_SESSION_TOKEN"))
    )
    client._request_signer._credentials = Credentials(*keys)  # noqa: SLF001 - a new client for each would take hours
    when = dt.datetime.fromtimestamp(one.now, dt.timezone.utc)
    _sent.clear()
    with mock.patch("botocore.auth.get_current_datetime", return_value=when), suppress(ResponseParserError):
        client._make_api_call(one.action, dict(one.parameters))  # noqa: SLF001 - the method has another name for each
    (request,) = _sent
    body = request.body if isinstance(request.body, bytes) else str(request.body).encode()
    return f"{request.method} {request.url}", body, _counted(request.headers)


def _counted(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    found = {name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in headers.items()}
    return {name: found[name] for name in COUNTED if name in found}


def requests(count: int, seed: int) -> Counter[str]:
    """Draw requests; count who makes them. Raises AssertionError for one that differs from botocore's."""
    rng = random.Random(seed)  # noqa: S311
    some = regions() if count >= len(regions()) * 40 else tuple(rng.sample(regions(), 12))
    outcomes: Counter[str] = Counter()
    for number in range(count):
        one = drawn(rng, some)
        chosen = plan(one.access, one.environ)
        if chosen is None or chosen.keys is None:
            outcomes["left to botocore"] += 1
            continue
        ours = DirectClient(chosen, 1.0, raw=True).prepared(
            one.service, one.action, one.parameters, chosen.keys, one.now
        )
        scheme = "https" if ours.host.secure else "http"
        url, body, headers = by_botocore(one)
        place = f"request {number} of {one.service}:{one.action} in {one.access.region}"
        sent = _url(f"POST {scheme}://{ours.headers['Host']}/")
        for mine, theirs in zip((sent, ours.body, _counted(ours.headers)), (_url(url), body, headers), strict=True):
            assert mine == theirs, f"{place}: {mine!r} instead of {theirs!r}"
        outcomes["made directly"] += 1
    return outcomes


def _url(text: str) -> str:
    """Return a URL without what does not change where a request goes: the case of its host and a default port."""
    scheme, _, rest = text.lower().rstrip("/").partition("://")
    return f"{scheme}://{rest.removesuffix(':443' if scheme.endswith('s') else ':80')}"
