"""How the plugin calls AWS: the properties that every provider has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from ecs_exec.endpoint import Endpoint, parse_endpoint
from ecs_exec.record import NamedTuple
from ecs_exec.settings.properties import SHARED_SECRET_ACCESS_KEY, SHARED_SESSION_TOKEN, Property
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
_OF_ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/\S+?=(?P<id>\S+)"


class ExternalIds(NamedTuple):
    """The setting `external-id`: one ID for every role, or an ID for each of several roles."""

    every: str = ""
    entries: tuple[str, ...] = ()
    """`ROLE-ARN=ID`."""

    def __repr__(self) -> str:
        """Show nothing: the setting is not shown either."""
        return "ExternalIds(...)"

    def of(self, role: str) -> str:
        """Return the ID to send for a role, empty if there is none."""
        own = [entry.removeprefix(f"{role}=") for entry in self.entries if entry.startswith(f"{role}=")]
        return own[0] if own else self.every


def external_ids(text: str) -> ExternalIds:
    """Parse the setting `external-id`. Raises ValueError."""
    entries = tuple(entry for part in text.split(";") if (entry := part.strip()))
    if not any(re.fullmatch(_OF_ROLE, entry) for entry in entries):
        return ExternalIds(_EXTERNAL_ID(text))
    for entry in entries:
        if (found := re.fullmatch(_OF_ROLE, entry)) is None:
            raise ValueError("expected an external ID, or entries like ROLE-ARN=ID, separated by semicolons")
        _EXTERNAL_ID(found["id"])
    return ExternalIds(entries=entries)


_NOT_READ = (
    "Rundeck passed the Key Storage path instead of the stored value: check that the path exists, that the value is"
    " stored there as a password, and that the user who runs the job may read it"
)


def _secret(text: str) -> str:
    if text.startswith("keys/"):
        raise ValueError(_NOT_READ)
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
    role = reader.setting("assume-role-arn", ROLE) or reader.shared("ecs-assume-role-arn", ROLE)
    ids = reader.setting("external-id", external_ids)
    if ids == ExternalIds():
        ids = reader.shared("ecs-external-id", external_ids)
    return read_identity(reader, arns)._replace(assume_role_arn=role, external_id=ids.of(role))


def read_identity(reader: Reader, arns: Iterable[str] | None = None) -> Access:
    """Read the same properties without role and external ID. The reader collects the faults."""
    access = Access(
        region=_region(reader, arns),
        access_key_id=reader.setting("access-key-id", _KEY_ID),
        secret_access_key=reader.setting("secret-access-key", _secret),
        session_token=reader.setting("session-token", _secret),
        profile=reader.setting("profile", _PROFILE),
        endpoint_url=reader.setting("endpoint-url", _url),
        ssmmessages_endpoint=_channel_endpoint(reader),
    )
    if not access.access_key_id and not access.profile and (found := _shared_keys(reader, access)):
        return found
    if bool(access.access_key_id) != bool(access.secret_access_key):
        present, missing = ("access-key-id", "secret-access-key")[:: 1 if access.access_key_id else -1]
        reader.missing(f"{present} is set and {missing} is not: set both, or neither", missing)
    if access.session_token and not access.access_key_id:
        reader.missing(
            "session-token is set and access-key-id is not: set access-key-id and secret-access-key, too",
            "access-key-id",
        )
    if access.profile and access.access_key_id:
        reader.fault("profile and access-key-id are both set: keep one of them")
    return access


def read_server_identity(reader: Reader, arns: Iterable[str]) -> Access:
    """Read the properties of a provider without access keys, role included. The reader collects the faults."""
    role = reader.setting("assume-role-arn", ROLE)
    return Access(
        region=_region(reader, arns),
        profile=reader.setting("profile", _PROFILE),
        assume_role_arn=role,
        external_id=reader.setting("external-id", external_ids).of(role),
        endpoint_url=reader.setting("endpoint-url", _url),
    )


def _shared_keys(reader: Reader, access: Access) -> Access | None:
    """Return the access with the project's or the server's access key; None if there is none.

    A step has its own setting for the secret: Rundeck reads secrets for steps from there only.
    """
    key_id = reader.shared("ecs-access-key-id", _KEY_ID)
    secret = access.secret_access_key or _shared_secret(reader, SHARED_SECRET_ACCESS_KEY)
    token = access.session_token or _shared_secret(reader, SHARED_SESSION_TOKEN)
    if not key_id:
        return None
    if not secret:
        where = (
            "globals.ecs-secret-access-key"
            if reader.has(SHARED_SECRET_ACCESS_KEY.name)
            else "secret-access-key of this step, in the project's configuration or in the job"
        )
        reader.fault(f"globals.ecs-access-key-id is set and there is no secret access key: set {where}")
    return access._replace(access_key_id=key_id, secret_access_key=secret, session_token=token)


def _shared_secret(reader: Reader, known: Property) -> str:
    """Return what Rundeck found in Key Storage by a global variable; empty if there is no such variable."""
    if not reader.has(known.name):
        return ""
    text = reader.text(known.name).strip()
    if text == f"${{globals.{known.from_globals}}}":
        return ""
    path = reader.shared(known.from_globals, str)

    def parse(text: str) -> str:
        if text and text == path:
            raise ValueError(_NOT_READ)
        return _secret(text)

    return reader.parsed(f"globals.{known.from_globals}", text, parse)


_WITH_ARNS = ("ECS:Task-ARN", "ecs-task", "ecs-service", "ECS:Cluster-ARN", "ecs-cluster")


def _region(reader: Reader, arns: Iterable[str] | None) -> str:
    """Return the region from the attribute, an ARN, the configuration, globals or AWS_REGION, the first that has one.

    Empty: botocore uses AWS_DEFAULT_REGION or the profile. botocore does not read AWS_REGION itself.
    """
    configured = reader.setting("region", REGION)
    if arns is None and reader.attribute("ECS:Region"):
        return configured
    named = list(filter(None, map(ARN.fullmatch, map(reader.attribute, _WITH_ARNS) if arns is None else arns)))
    if named:
        first = named[0]
        if other := next((each for each in named if each["region"] != first["region"]), None):
            reader.fault(
                f"the {first['kind']}'s ARN is in region {first['region']},"
                f" but the {other['kind']}'s ARN is in region {other['region']}"
            )
        return first["region"]
    shared = configured or reader.shared("ecs-region", REGION)
    return shared or reader.parsed("AWS_REGION", reader.environ.get("AWS_REGION", ""), REGION)
