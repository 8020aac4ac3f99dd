"""Decides whether the plugin makes its calls itself, and with which region, credentials and endpoints.

It does so only with what is plain: see `plan`. botocore makes the calls in every other case. Each rule here gives what
botocore would give; tests compare the two.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ecs_exec.ecs.http_client import host_of
from ecs_exec.record import NamedTuple
from ecs_exec.settings import Access
from ecs_exec.signing import Credentials

if TYPE_CHECKING:
    from ecs_exec.ecs.metadata import MetadataSource


TARGETS = {"ecs": "AmazonEC2ContainerServiceV20141113", "kms": "TrentService", "ssm": "AmazonSSM", "sts": ""}
"""The header X-Amz-Target of each service without the action. It is empty for STS, which has the query protocol."""

_PARTITIONS = (
    (r"(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-[0-9]+", "amazonaws.com"),
    (r"us-gov-[a-z]+-[0-9]+", "amazonaws.com"),
    (r"cn-[a-z]+-[0-9]+", "amazonaws.com.cn"),
    (r"eusc-de-[a-z]+-[0-9]+", "amazonaws.eu"),
    (r"us-iso-[a-z]+-[0-9]+", "c2s.ic.gov"),
    (r"us-isob-[a-z]+-[0-9]+", "sc2s.sgov.gov"),
    (r"eu-isoe-[a-z]+-[0-9]+", "cloud.adc-e.uk"),
    (r"us-isof-[a-z]+-[0-9]+", "csp.hci.ic.gov"),
)
"""Patterns of the regions of each partition, and the domain of its endpoints."""

_KNOWN = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_CA_BUNDLE",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_ECS",
        "AWS_ENDPOINT_URL_KMS",
        "AWS_ENDPOINT_URL_SSM",
        "AWS_ENDPOINT_URL_SSMMESSAGES",
        "AWS_ENDPOINT_URL_STS",
        "AWS_EXECUTION_ENV",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    }
)
"""Variables whose effect is known here. Any other variable of AWS or botocore, and an empty one, leaves the calls to
botocore."""

_OF_METADATA = "AWS_EC2_METADATA_DISABLED"
"""A variable that changes nothing if there are keys."""

_FILES = ("~/.aws/config", "~/.aws/credentials", "~/.aws/models", "~/.boto", "/etc/boto.cfg")
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
_KEY = r"[!-~]+"
_URL = r"https?://[a-z0-9.:\[\]-]+/?"


class Plan(NamedTuple):
    """How calls are made without botocore."""

    region: str
    ca_bundle: str
    endpoints: Mapping[str, str]
    """URLs of services that are not called at their public endpoints; the name "" stands for all others."""
    keys: Credentials | None
    """None: `metadata` gives them."""
    metadata: MetadataSource | None
    role: str = ""
    """ARN of the role to assume."""
    external_id: str = ""

    def __repr__(self) -> str:
        """Show nothing: some of the values are secret."""
        return "Plan(...)"


def plan(access: Access, environ: Mapping[str, str]) -> Plan | None:
    """Return how to make the calls without botocore; None if botocore has to make them.

    The plain case has no profile and no file of the AWS configuration, no proxy, and no variable that changes how AWS
    is called, except those in _KNOWN. Its keys come from the settings, the environment, or the metadata service of a
    container or an instance. A role may be assumed with them.
    """
    region = access.region or environ.get("AWS_DEFAULT_REGION", "")
    keys = _keys(access, environ)
    odd_role = not access.assume_role_arn.isprintable()
    if access.profile or odd_role or not _is_plain(environ, with_keys=bool(keys)) or not domain(region):
        return None
    ca_bundle = _ca_bundle(environ)
    endpoints = _endpoints(access, environ)
    metadata = None
    if keys is None:
        from ecs_exec.ecs.metadata import find_source  # late: keys need no service

        metadata = find_source(environ)
    if not _is_readable(ca_bundle) or endpoints is None or (keys is None and metadata is None):
        return None
    return Plan(region, ca_bundle, endpoints, keys, metadata, access.assume_role_arn, access.external_id)


def domain(region: str) -> str:
    """Return the domain of the public endpoints in a region, empty if the region is in no known partition."""
    return next((name for pattern, name in _PARTITIONS if re.fullmatch(pattern, region)), "")


def endpoint_url(plan: Plan, service: str) -> str:
    """Return the URL at which a service is called."""
    given = plan.endpoints.get(service) or plan.endpoints.get("")
    return given or f"https://{service}.{plan.region}.{domain(plan.region)}"


def _is_plain(environ: Mapping[str, str], *, with_keys: bool) -> bool:
    for name, value in environ.items():
        foreign = name.startswith(("AWS_", "BOTO")) and not (name in _KNOWN and value)
        if foreign and not (with_keys and name == _OF_METADATA):
            return False
        if name.lower() in _PROXIES and value:
            return False
    return not any(os.path.lexists(os.path.expanduser(path)) for path in _FILES)


def _keys(access: Access, environ: Mapping[str, str]) -> Credentials | None:
    if access.access_key_id:
        return Credentials(access.access_key_id, access.secret_access_key, access.session_token)
    found = [environ.get(f"AWS_{name}", "") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")]
    if not found[0]:
        return None
    if not found[1] or not all(re.fullmatch(_KEY, text) for text in found if text):
        return None
    return Credentials(*found)


def _ca_bundle(environ: Mapping[str, str]) -> str:
    """Return the file of certificate authorities that botocore would take; empty if that is not certain."""
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        if name in environ:
            return os.path.expanduser(environ[name])
    files = (f"{folder or '.'}/{package}/cacert.pem" for package in ("certifi", "botocore") for folder in sys.path)
    return next(filter(os.path.isfile, files), "")


def _is_readable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.R_OK)


def _endpoints(access: Access, environ: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return the URLs that are given for services; None if one of them is not plain."""
    if access.endpoint_url:
        found = {"": access.endpoint_url}
    else:
        names = {"": "AWS_ENDPOINT_URL"} | {name: f"AWS_ENDPOINT_URL_{name.upper()}" for name in TARGETS}
        found = {name: environ[variable] for name, variable in names.items() if environ.get(variable)}
    return found if all(map(_is_plain_url, found.values())) else None


def _is_plain_url(url: str) -> bool:
    try:
        host_of(url)
    except (KeyError, ValueError):
        return False
    return bool(re.fullmatch(_URL, url, re.IGNORECASE | re.ASCII))
