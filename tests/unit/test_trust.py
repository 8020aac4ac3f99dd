"""The certificate authorities that the data channel trusts are those of the calls."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import InvalidConfigError
from botocore.httpsession import get_cert_path

from ecs_exec.ecs.api import Aws
from ecs_exec.settings import Access
from ecs_exec.tls import trusting

_NAMES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


@pytest.mark.parametrize(
    ("environ", "of_profile", "file"),
    [
        ({}, "", get_cert_path(True)),
        ({"REQUESTS_CA_BUNDLE": "/requests.pem"}, "", "/requests.pem"),
        ({"REQUESTS_CA_BUNDLE": "~/requests.pem"}, "", "HOME/requests.pem"),
        ({"REQUESTS_CA_BUNDLE": "/requests.pem"}, "~/profile.pem", "HOME/profile.pem"),
        ({"AWS_CA_BUNDLE": "~/aws.pem", "REQUESTS_CA_BUNDLE": "/requests.pem"}, "", "HOME/aws.pem"),
        ({"AWS_CA_BUNDLE": "/aws.pem"}, "~/profile.pem", "/aws.pem"),
    ],
)
def test_the_order(
    environ: Mapping[str, str], of_profile: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is botocore's, and so is the file."""
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), **environ}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".aws").mkdir()
    keys = "aws_access_key_id=AKIAIOSFODNN7EXAMPLE\naws_secret_access_key=x\n"
    bundle = f"ca_bundle={of_profile}\n" if of_profile else ""
    (tmp_path / ".aws" / "config").write_text(f"[profile ops]\n{keys}{bundle}")
    aws = Aws(Access("eu-west-1", profile="ops"))
    client = aws._botocore_client()._client_of("ssm")
    calls = get_cert_path(client._endpoint.http_session._verify)
    assert aws.ca_bundle == os.path.expanduser(calls)  # noqa: PTH111 - as urllib3 does it
    assert aws.ca_bundle == file.replace("HOME", str(tmp_path))


def test_an_empty_name_never_means_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls fail, and the channel would take the bundle that comes with the plugin."""
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    aws = Aws(Access("eu-west-1", "AKIA", "x"))
    assert aws.ca_bundle == get_cert_path(True)
    with pytest.raises((InvalidConfigError, Exception), match="CA bundle"):
        aws.region  # noqa: B018 - makes a client


def test_many_threads_read_the_authorities_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the first calls of a node source read them 24 times, for most of a second."""
    reads = []

    class Counted(ssl.SSLContext):
        def load_verify_locations(self, **_: object) -> None:  # type: ignore[override]
            reads.append(1)
            time.sleep(0.05)

    monkeypatch.setattr(ssl, "SSLContext", Counted)
    with ThreadPoolExecutor(8) as pool:
        contexts = list(pool.map(trusting, ["/some.pem"] * 8))
    assert len(set(contexts)) == len(reads) == 1
