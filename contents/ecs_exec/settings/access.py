"""How the plugin calls AWS: the properties that every provider has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from ecs_exec.endpoint import Endpoint, parse_endpoint
from ecs_exec.settings.reader import Reader, matching
from ecs_exec.settings.target import ARN


class Access(NamedTuple):
    """How the plugin calls AWS. Empty values leave the choice to botocore's default chain."""

    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    profile: str = ""
    assume_role_arn: str = ""
    external_id: str = ""
    endpoint_url: str = ""
    ssmmessages_endpoint: Endpoint | None = None
    """Where data channels connect, instead of the host in their stream URLs."""

    def __repr__(self) -> str:
        """Show nothing: some of the values are secret."""
        return "Access(...)"


REGION = matching(r"[a-z0-9][a-z0-9-]{0,62}", "a region like us-east-1")
_KEY_ID = matching(r"[!-~]{1,128}", "an access key id like AKIA...")
_PROFILE = matching(r"[^\x00-\x1f\x7f]+", "the name of a profile")
ROLE = matching(r"arn:aws[a-z-]*:iam::\d{12}:role/\S+", "a role like arn:aws:iam::123456789012:role/name")
_EXTERNAL_ID = matching(r"[\w+=,.@:/-]{2,1224}", "2 to 1,224 letters, digits and any of +=,.@:/-_")


def _secret(text: str) -> str:
    if text.startswith("keys/"):
        raise ValueError(
            "Rundeck passed the Key Storage path instead of the stored value; store the value there as a password"
        )
    if not text.isprintable() or not text.isascii() or " " in text:
        raise ValueError("expected ASCII characters without spaces; check the value in Key Storage")
    return text


def _url(text: str) -> str:
    if not text:
        return text
    parts = urlsplit(text)  # raises ValueError for an invalid IPv6 address
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise ValueError("expected a URL like https://host or http://127.0.0.1:4566")
    return text


_CHANNEL_VARIABLE = "AWS_ENDPOINT_URL_SSMMESSAGES"


def _channel_endpoint(reader: Reader) -> Endpoint | None:
    """Return the setting, else the value of AWS_ENDPOINT_URL_SSMMESSAGES.

    botocore has such a variable for each service that it knows; ssmmessages is not one of them.
    """
    if not reader.has("ssmmessages-endpoint"):
        return None  # node sources open no data channel

    def parse(text: str) -> Endpoint | None:
        return parse_endpoint(text) if text else None

    chosen = reader.setting("ssmmessages-endpoint", parse)
    # With this variable, botocore uses the public endpoints, too.
    ignored = reader.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
    if chosen or ignored:
        return chosen
    return reader.parsed(_CHANNEL_VARIABLE, reader.environ.get(_CHANNEL_VARIABLE, "").strip(), parse)


def read_access(reader: Reader, arns: Iterable[str] | None = None) -> Access:
    """Read the properties of every provider. The reader collects the faults.

    The region may come from an ARN in `arns`; without `arns`, from an ARN in the node's attributes.
    """
    return read_identity(reader, arns)._replace(assume_role_arn=reader.setting("assume-role-arn", ROLE))


def read_identity(reader: Reader, arns: Iterable[str] | None = None) -> Access:
    """Read the same properties without the role. The reader collects the faults."""
    access = Access(
        region=_region(reader, arns),
        access_key_id=reader.setting("access-key-id", _KEY_ID),
        secret_access_key=reader.setting("secret-access-key", _secret),
        session_token=reader.setting("session-token", _secret),
        profile=reader.setting("profile", _PROFILE),
        external_id=reader.setting("external-id", _EXTERNAL_ID),
        endpoint_url=reader.setting("endpoint-url", _url),
        ssmmessages_endpoint=_channel_endpoint(reader),
    )
    if bool(access.access_key_id) != bool(access.secret_access_key):
        present, missing = ("access-key-id", "secret-access-key")[:: 1 if access.access_key_id else -1]
        reader.fault(f"{present} is set and {missing} is not: set both, or neither")
    if access.session_token and not access.access_key_id:
        reader.fault("session-token is set and access-key-id is not: set access-key-id and secret-access-key, too")
    if access.profile and access.access_key_id:
        reader.fault("profile and access-key-id are both set: keep one of them")
    return access


_WITH_ARNS = ("ECS:Task-ARN", "ecs-task", "ecs-service", "ECS:Cluster-ARN", "ecs-cluster")


def _region(reader: Reader, arns: Iterable[str] | None) -> str:
    """Return the region from the attribute, an ARN, the configuration or AWS_REGION, the first that has one.

    Empty: botocore uses AWS_DEFAULT_REGION or the profile. botocore does not read AWS_REGION itself.
    """
    configured = reader.setting("region", REGION)
    if arns is None and reader.attribute("ECS:Region"):
        return configured
    for text in map(reader.attribute, _WITH_ARNS) if arns is None else arns:
        if found := ARN.fullmatch(text):
            return found["region"]
    return configured or reader.parsed("AWS_REGION", reader.environ.get("AWS_REGION", ""), REGION)
