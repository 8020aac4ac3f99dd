"""The interface of the two clients for AWS's calls, and their errors. Does no I/O.

`ecs.direct_client` makes the calls of an ordinary command by itself; `ecs.botocore_client` makes all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ecs_exec.signing import Credentials

ROLE_SESSION_NAME = "rundeck-ecs-exec"

CONNECT_SECONDS = 10
READ_SECONDS = 30


class Client(Protocol):
    """Makes calls in one region. Each call is one attempt."""

    @property
    def region(self) -> str:
        """The region in use. Raises AwsError if there is none."""

    @property
    def ca_bundle(self) -> str:
        """The file of certificate authorities that all connections trust."""

    def endpoint_url(self, service: str) -> str:
        """Return the URL at which a service is called."""

    def prepare(self) -> None:
        """Find the credentials now, so that later calls do not wait for them. Raises AwsError."""

    def credentials(self) -> Credentials:
        """Return the current credentials, renewed if necessary. Raises AwsError."""

    def call(self, service: str, action: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer of a call.

        Raises Refused for AWS's refusal, NotMade for every other failure of the call, and AwsError if there are no
        credentials.
        """


class Refused(Exception):
    """AWS has refused a call."""

    def __init__(self, code: str, message: str, status: int) -> None:
        """Take AWS's code and message, and the HTTP status."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class NotMade(Exception):
    """A call could not be made, or its answer is not AWS's."""

    def __init__(self, name: str, said: str = "", *, transient: bool = False) -> None:
        """Take the name of the cause, the text of the failure, and whether a retry may help."""
        super().__init__(said or name)
        self.name = name
        self.said = said
        self.transient = transient


class NotPlain(Exception):
    """The sources of credentials that the direct client knows give none."""


NO_AWS_ANSWER = "the answer does not have the form of an answer from AWS"
