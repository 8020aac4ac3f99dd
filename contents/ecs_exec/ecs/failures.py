"""Makes the plugin's errors of failed calls. Does no I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ecs_exec.ecs.client import NotMade, Refused
from ecs_exec.errors import AwsError
from ecs_exec.text import one_line

T = TypeVar("T")

SHOWN = 1000
"""Most characters of AWS's own words in a line."""

_SERVER_ERRORS = 500
"""HTTP statuses from here on are the server's errors."""

THROTTLED = frozenset({"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"})
"""Codes by which AWS limits the rate of calls. A call with such a refusal certainly had no effect."""

_TRANSIENT = THROTTLED | {
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "LimitExceededException",
    "RequestTimeout",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "TargetNotConnectedException",
}

_CAUSES = {
    "ClusterNotFoundException": "cluster-unknown",
    "ExpiredToken": "credentials-expired",
    "ExpiredTokenException": "credentials-expired",
    "IncompleteSignature": "credentials-invalid",
    "InvalidClientTokenId": "credentials-invalid",
    "InvalidSignatureException": "credentials-invalid",
    "SignatureDoesNotMatch": "credentials-invalid",
    "UnrecognizedClientException": "credentials-invalid",
    "DisabledException": "cluster-key-unusable",
    "NotFoundException": "cluster-key-unusable",
    "ThrottlingException": "too-many-calls",
    "ServerException": "aws-failed",
    "ServiceNotFoundException": "service-unknown",
}
"""Name of the cause by AWS's error code."""
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


def refused(action: str, where: str, region: str, error: Refused) -> AwsError:
    """Return the error for AWS's refusal. `action` is as IAM writes it; `where` names its subject."""
    code = error.code or "unknown error"
    text = one_line(error.message, SHOWN)
    unknown = "aws-failed" if error.status >= _SERVER_ERRORS else "call-failed"
    cause = {"name": _CAUSES.get(code, unknown)} if code not in _DENIED else _denial(action, text)
    return AwsError(
        where=_place(where, region),
        effect=f"{action} failed",
        said=f"{code}: {text}".rstrip(". :"),
        code=code,
        transient=code in _TRANSIENT or error.status >= _SERVER_ERRORS,
        **cause,
    )


def _denial(action: str, text: str) -> dict[str, str]:
    """Return the cause and the action of a denied call; AWS's text names the action.

    It may be one of STS, SSM or KMS that ECS was denied.
    """
    from ecs_exec.errors.causes import denials

    denied = denials.action_of(text, action)
    return {"name": denials.recognise(text, denied), "action": denied}


def translated(action: str, where: str, region: Callable[[], str], call: Callable[[], T]) -> T:
    """Make a call of a client. Raises AwsError instead of Refused and NotMade.

    `action` is as IAM writes it; `where` names its subject. `region` is only called after a failure.
    """
    try:
        return call()
    except Refused as error:
        raise refused(action, where, region(), error) from error
    except NotMade as error:
        raise not_made(f"{action} failed", where, region(), error) from error


def not_made(effect: str, where: str, region: str, error: NotMade) -> AwsError:
    """Return the error for a call that was not made. `effect` is what failed, `where` names its subject."""
    return AwsError(
        name=error.name, where=_place(where, region), effect=effect, said=error.said, transient=error.transient
    )


def _place(where: str, region: str) -> str:
    return f"{where}, {region}" if region and where else where
