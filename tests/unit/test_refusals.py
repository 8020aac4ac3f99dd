"""The error of an upgrade that was refused with 403."""

from __future__ import annotations

import json

import pytest

from ecs_exec.errors import CannotOpenChannel
from ecs_exec.http_answer import Answer
from ecs_exec.transport import refusals, stream_url
from ecs_exec.transport.websocket import UpgradeRefused

PLACE = stream_url.parse("wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/s")
SECRET = "x-amz-security-token:the-token"


def refused(body: str, status: int = 403, kind: str = "") -> UpgradeRefused:
    """Make a refusal with an error type in a header, as AWS's services give it, and a body."""
    headers = {"x-amzn-errortype": kind} if kind else {}
    answer = Answer(status, headers, body.encode(), reusable=False)
    return UpgradeRefused(CannotOpenChannel("refused"), answer, transient=False)


def message(text: str) -> str:
    """Make AWS's JSON of an error."""
    return json.dumps({"message": text})


@pytest.mark.parametrize(
    ("kind", "body", "words", "name"),
    [
        (
            "InvalidSignatureException",
            message(f"does not match ... {SECRET}"),
            "secret access key does not belong",
            "channel-secret-wrong",
        ),
        (
            "",
            f"<Error><Code>SignatureDoesNotMatch</Code><X>{SECRET}</X></Error>",
            "secret access key does not belong",
            "channel-secret-wrong",
        ),
        (
            "InvalidSignatureException:http://x/",
            message("Signature expired: 2 is now earlier than 3"),
            "clock",
            "channel-clock-wrong",
        ),
        (
            "InvalidSignatureException",
            message("Signature not yet current: 2 is later than 3"),
            "clock",
            "channel-clock-wrong",
        ),
        ("", '{"__type":"com.amazon.coral#RequestTimeTooSkewed"}', "clock", "channel-clock-wrong"),
        (
            "ExpiredTokenException",
            message("The security token included in the request is expired"),
            "expired: renew",
            "channel-credentials-expired",
        ),
        (
            "UnrecognizedClientException",
            message("is invalid"),
            "access key id or the session token is not known",
            "channel-key-unknown",
        ),
        ("IncompleteSignatureException", message("no"), "arrived incomplete", "channel-signature-damaged"),
        ("AccessDeniedException", message("not authorized"), "ssmmessages:OpenDataChannel", "channel-forbidden"),
        ("ForbiddenException", message("Forbidden"), "policy of the VPC endpoint", "channel-forbidden"),
        ("", f"<html>blocked {SECRET}</html>", "the proxy, if there is one", "channel-forbidden"),
        ("", "", "ssmmessages:OpenDataChannel", "channel-forbidden"),
    ],
)
def test_why_a_signature_is_refused(kind: str, body: str, words: str, name: str) -> None:
    """The cause is named where the answer names it, and nothing that was signed is shown."""
    line = str(refusals.of_signature(PLACE, refused(body, kind=kind), refused("")))
    assert words in line
    assert line.endswith(f"[{name}]")
    assert "HTTP status 403 both with these credentials' signature and without one" in line
    assert "ssmmessages.eu-west-1.amazonaws.com:443" in line
    assert "the-token" not in line


def test_what_else_may_follow_a_refusal() -> None:
    """Another status is reported; a transient failure is retried; an open channel is not retried unsigned."""
    assert "and 401 without one" in str(refusals.of_signature(PLACE, refused(""), refused("", 401)))
    later = UpgradeRefused(CannotOpenChannel("refused"), Answer(503, {}, b"", reusable=False), transient=True)
    error = refusals.of_signature(PLACE, refused(""), later)
    assert (error.transient, error.refused) == (True, False)
    alone = refusals.of_signature(PLACE, refused(""), None)
    assert "HTTP status 403 with these credentials' signature; " in str(alone)
    assert alone.refused


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("X-Amz-Date=20260101T000000Z&X-Amz-Expires=60", "it expired 40 s ago according to this server's clock"),
        ("X-Amz-Date=20260101T000000Z&X-Amz-Expires=300", "policy of the VPC endpoint"),
        ("X-Amz-Date=today&X-Amz-Expires=1", "policy of the VPC endpoint"),
        ("X-Amz-Signature=1", "policy of the VPC endpoint"),
    ],
)
def test_why_a_presigned_url_is_refused(query: str, words: str) -> None:
    """It has expired, or something else forbids it."""
    place = stream_url.parse(f"wss://ssmmessages.eu-west-1.amazonaws.com/x?{query}")
    assert words in str(refusals.of_presigned(place, 1767225700.0))
