"""Prints the URL that each kind of call would be sent to, by region and kind of endpoint: `python tests/endpoints.py`.

The tests run it with the libraries of the zip, and with botocore as it is published.
"""

from __future__ import annotations

import json
import sys
from typing import Any

CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "ecs": ("list_clusters", {}),
    "ssm": ("terminate_session", {"SessionId": "s"}),
    "sts": ("get_caller_identity", {}),
    "kms": ("generate_data_key", {"KeyId": "k", "NumberOfBytes": 64}),
}
PARTITIONS = {
    "aws": "eu-west-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-eusc": "eusc-de-east-1",
}
"""A region of each partition."""

VARIANTS = {"": {}, "fips": {"use_fips_endpoint": True}, "dualstack": {"use_dualstack_endpoint": True}}
VARIANTS["fips dualstack"] = VARIANTS["fips"] | VARIANTS["dualstack"]


def main() -> int:
    """Print a JSON object of URLs."""
    sys.path[:0] = sys.argv[1:]
    from botocore.config import Config
    from botocore.session import Session

    session, found = Session(), {}
    for variant, switches in VARIANTS.items():
        for region in PARTITIONS.values():
            for service, (method, parameters) in CALLS.items():
                try:
                    client = session.create_client(
                        service,
                        region_name=region,
                        config=Config(**switches, retries={"total_max_attempts": 1}),
                        aws_access_key_id="AKIA",
                        aws_secret_access_key="x",
                    )
                    found[f"{service} {region} {variant}".strip()] = _asked(client, method, parameters)
                except Exception as error:  # noqa: BLE001 - what there is no endpoint for
                    found[f"{service} {region} {variant}".strip()] = type(error).__name__
    sys.stdout.write(json.dumps(found, indent=1))
    return 0


class _NotSentError(BaseException):
    """Ends a call before it is sent."""


def _asked(client: Any, method: str, parameters: dict[str, Any]) -> str:  # noqa: ANN401 - botocore's classes
    urls: list[str] = []

    def stop(request: Any, **_: object) -> None:  # noqa: ANN401
        urls.append(request.url)
        raise _NotSentError

    client.meta.events.register("before-send", stop)
    try:
        getattr(client, method)(**parameters)
    except _NotSentError:
        return urls[0]
    return ""


if __name__ == "__main__":
    sys.exit(main())
