"""Which configurations the plugin calls AWS with by itself, and which it leaves to botocore."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from botocore.httpsession import get_cert_path

from ecs_exec.ecs.direct_settings import endpoint_url, plan
from ecs_exec.ecs.http_client import Host
from ecs_exec.ecs.metadata import MetadataSource
from ecs_exec.http_answer import Answer
from ecs_exec.settings import Access
from ecs_exec.signing import Credentials

KEYS = Access("eu-west-1", "AKIA", "secret", "token")
NONE = Access("eu-west-1")
ENV = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
ROLE = "arn:aws:iam::123456789012:role/ops"


class Case(NamedTuple):
    """A documented configuration."""

    access: Access = NONE
    environ: Mapping[str, str] = {}
    file: str = ""
    """A file below the home directory."""


DIRECT = {
    "keys of the settings": Case(KEYS),
    "keys of the environment": Case(NONE, ENV),
    "temporary keys of the environment": Case(NONE, {**ENV, "AWS_SESSION_TOKEN": "t"}),
    "a task role": Case(NONE, {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1"}),
    "a pod identity": Case(
        NONE,
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/var/run/secrets/token",
        },
    ),
    "an instance profile": Case(),
    "an assumed role": Case(KEYS._replace(assume_role_arn=ROLE, external_id="x")),
    "a task role that assumes a role": Case(
        NONE._replace(assume_role_arn=ROLE), {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1"}
    ),
    "the region of the environment": Case(KEYS._replace(region=""), {"AWS_DEFAULT_REGION": "us-gov-west-1"}),
    "an endpoint of the settings": Case(KEYS._replace(endpoint_url="http://127.0.0.1:4566")),
    "an endpoint of the environment": Case(KEYS, {"AWS_ENDPOINT_URL_ECS": "https://vpce-1.ecs.example"}),
    "certificate authorities": Case(KEYS, {"AWS_CA_BUNDLE": get_cert_path(True)}),
    "China": Case(KEYS._replace(region="cn-north-1")),
}
BOTOCORE = {
    "a profile of the settings": Case(NONE._replace(profile="ops")),
    "a profile of the environment": Case(NONE, {"AWS_PROFILE": "ops"}),
    "a configuration file": Case(KEYS, {}, ".aws/config"),
    "a credentials file": Case(NONE, ENV, ".aws/credentials"),
    "a file of boto": Case(NONE, {}, ".boto"),
    "a configuration file elsewhere": Case(KEYS, {"AWS_CONFIG_FILE": "/etc/aws"}),
    "a web identity": Case(NONE, {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": ROLE}),
    "FIPS endpoints": Case(KEYS, {"AWS_USE_FIPS_ENDPOINT": "true"}),
    "dual-stack endpoints": Case(KEYS, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
    "ignored endpoints": Case(KEYS, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}),
    "a proxy": Case(KEYS, {"https_proxy": "http://proxy:3128"}),
    "a proxy in capitals": Case(KEYS, {"HTTPS_PROXY": "http://proxy:3128"}),
    "other models": Case(KEYS, {}, ".aws/models"),
    "plug-ins of botocore": Case(KEYS, {"BOTOCORE_EXPERIMENTAL__PLUGINS": "x=y"}),
    "an unknown variable": Case(KEYS, {"AWS_NEW_IN_2027": "x"}),
    "an empty variable": Case(KEYS, {"AWS_CA_BUNDLE": ""}),
    "an empty file of certificate authorities": Case(KEYS, {"REQUESTS_CA_BUNDLE": ""}),
    "a missing file of certificate authorities": Case(KEYS, {"AWS_CA_BUNDLE": "/nonexistent.pem"}),
    "half of the keys": Case(NONE, {"AWS_ACCESS_KEY_ID": "AKIA"}),
    "keys with a space": Case(NONE, {**ENV, "AWS_SECRET_ACCESS_KEY": "a b"}),
    "no region": Case(KEYS._replace(region="")),
    "a region with a foreign digit": Case(KEYS._replace(region=""), {"AWS_DEFAULT_REGION": "eu-west-\u0661"}),
    "a role that is not UTF-8": Case(KEYS._replace(assume_role_arn=f"{ROLE}\udcff")),
    "an unknown partition": Case(KEYS._replace(region="moon-base-1")),
    "an endpoint with a path": Case(KEYS._replace(endpoint_url="https://proxy.example/ecs")),
    "an endpoint with a misspelt scheme": Case(KEYS, {"AWS_ENDPOINT_URL": "htps://ecs.example:443"}),
    "an endpoint with a space": Case(KEYS, {"AWS_ENDPOINT_URL": " http://ecs.example"}),
    "an endpoint with a line end": Case(KEYS, {"AWS_ENDPOINT_URL_SSM": "http://ssm.example\n"}),
    "an endpoint with an empty query": Case(KEYS, {"AWS_ENDPOINT_URL": "http://ecs.example?"}),
    "an endpoint with a user": Case(KEYS, {"AWS_ENDPOINT_URL": "https://user@host"}),
    "container credentials by TLS": Case(NONE, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://localhost/x"}),
    "container credentials of a stranger": Case(NONE, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/x"}),
    "no metadata service": Case(NONE, {"AWS_EC2_METADATA_DISABLED": "true"}),
}


def way(case: Case, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return who makes the calls with a configuration."""
    monkeypatch.setenv("HOME", str(home))
    if case.file:
        (home / case.file).parent.mkdir(exist_ok=True)
        (home / case.file).write_text("[default]\n")
    return "botocore" if plan(case.access, case.environ) is None else "direct"


@pytest.mark.parametrize(
    ("name", "wanted"), [*((name, "direct") for name in DIRECT), *((name, "botocore") for name in BOTOCORE)]
)
def test_who_makes_the_calls(name: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is plain goes the short way; everything that changes how AWS is called is left to botocore."""
    assert way((DIRECT | BOTOCORE)[name], tmp_path, monkeypatch) == wanted


def test_the_metadata_switch_does_not_matter_with_keys() -> None:
    """Servers outside AWS set it beside their keys."""
    assert plan(KEYS, {"AWS_EC2_METADATA_DISABLED": "true"}) is not None
    assert plan(NONE, {"AWS_EC2_METADATA_DISABLED": "true"} | ENV) is not None


def test_where_the_parts_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings take precedence over the environment, and a service's variable over the general one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    found = plan(KEYS, ENV | {"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_SSM": "http://ssm:8080"})
    assert found is not None
    assert (found.keys, found.metadata) == (Credentials("AKIA", "secret", "token"), None)
    assert [endpoint_url(found, name) for name in ("ecs", "ssm")] == ["http://all", "http://ssm:8080"]
    assert found.ca_bundle == get_cert_path(True)
    (tmp_path / "ca.pem").touch()
    public = plan(KEYS, {"AWS_CA_BUNDLE": "~/ca.pem", "REQUESTS_CA_BUNDLE": "/other.pem"})
    assert public is not None
    assert (public.ca_bundle, endpoint_url(public, "kms")) == (
        f"{tmp_path}/ca.pem",
        "https://kms.eu-west-1.amazonaws.com",
    )
    task = plan(NONE, {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/1?x=y"})
    assert task is not None
    assert task.metadata == MetadataSource(Host(secure=False, name="169.254.170.2", port=80), "/v2/1?x=y", True)


def test_an_unreadable_file_of_certificate_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of botocore names the certificates, not the connection."""
    monkeypatch.setattr("os.access", lambda *_: False)
    assert plan(KEYS, {"AWS_CA_BUNDLE": get_cert_path(True)}) is None


def test_nothing_secret_is_shown() -> None:
    """A plan, a source or an answer may end up in a traceback."""
    assert "secret" not in repr(plan(KEYS, {}))
    source = MetadataSource(Host(secure=False, name="localhost", port=80), "/", True, "secret")
    assert repr(source) == "MetadataSource(Host(secure=False, name='localhost', port=80))"
    assert repr(Answer(200, {"x": "secret"}, b"secret", True)) == "Answer(200)"


def test_the_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented configurations that go each way."""
    homes = {name: tmp_path / str(number) for number, name in enumerate(DIRECT | BOTOCORE)}
    for home in homes.values():
        home.mkdir()
    counted = Counter(way(case, homes[name], monkeypatch) for name, case in (DIRECT | BOTOCORE).items())
    assert counted == {"direct": len(DIRECT), "botocore": len(BOTOCORE)}
