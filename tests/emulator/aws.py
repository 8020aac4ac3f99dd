"""AWS's JSON and query protocols, for the calls that the emulator answers itself."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_SECRET = re.compile(r"token|secret|password|plaintext|ciphertext", re.IGNORECASE)
ECS = "AmazonEC2ContainerServiceV20141113"
SSM = "AmazonSSM"
_XML = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}
"""Services of the query protocol."""


@dataclass(frozen=True)
class Request:
    """A call, whatever its protocol."""

    service: str
    action: str
    region: str
    access_key: str
    parameters: Mapping[str, Any]
    body: bytes
    headers: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter that is a text."""
        value = self.parameters.get(name)
        return value if isinstance(value, str) else default

    def texts(self, name: str) -> list[str]:
        """Return a parameter that is a list of texts."""
        value = self.parameters.get(name)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


@dataclass(frozen=True)
class Response:
    """An answer, ready to be sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """A refusal in AWS's words."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """Take error code, text and HTTP status."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


KNOWN_ERRORS = {
    "ThrottlingException": ("Rate exceeded", 400),
    "ServerException": ("Service Unavailable", 500),
    "InternalServerError": ("Internal server error", 500),
    "TargetNotConnectedException": (
        "The execute command failed due to an internal error. Try again later.",
        400,
    ),
    "ClusterNotFoundException": ("Cluster not found.", 400),
    "ExpiredTokenException": ("The security token included in the request is expired", 400),
    "UnrecognizedClientException": ("The security token included in the request is invalid.", 400),
}


def known_error(code: str) -> ApiError:
    """Return the error of a code with AWS's usual text."""
    message, status = KNOWN_ERRORS.get(code, (f"{code} as configured", 400))
    return ApiError(code, message, status)


def parse(headers: Mapping[str, str], body: bytes) -> Request:
    """Read a call. Raises ApiError if it is not a call or has no credentials."""
    authorization = headers.get("Authorization", "")
    if not authorization:
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token", 400)
    scope = _SCOPE.search(authorization)
    if scope is None:
        raise ApiError("IncompleteSignatureException", "Authorization header requires 'Credential' parameter.", 403)
    target = headers.get("X-Amz-Target", "")
    try:
        parameters = json.loads(body or b"{}") if target else _query(body)
    except ValueError as exc:
        raise ApiError("SerializationException", f"body is not JSON: {exc}") from exc
    if not isinstance(parameters, dict):
        raise ApiError("SerializationException", "body is no JSON object")
    action = target.rpartition(".")[2] or str(parameters.get("Action", ""))
    return Request(scope["service"], action, scope["region"], scope["key"], parameters, body, headers)


def _query(body: bytes) -> dict[str, Any]:
    return {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}


def answer(content: Mapping[str, Any]) -> Response:
    """Return a JSON answer."""
    return Response(200, json.dumps(content).encode(), {"Content-Type": "application/x-amz-json-1.1"})


def refusal(error: ApiError, service: str) -> Response:
    """Return an error in the protocol of the service."""
    request_id = str(uuid.uuid4())
    if service == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
            f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
        return Response(error.status, body.encode(), {"Content-Type": "text/xml"})
    if service in _XML:
        body = (
            f'<ErrorResponse xmlns="{_XML[service]}"><Error><Type>Sender</Type>'
            f"<Code>{escape(error.code.removesuffix('Exception'))}</Code><Message>{escape(error.message)}</Message>"
            f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return Response(error.status, body.encode(), {"Content-Type": "text/xml", "x-amzn-RequestId": request_id})
    content = {"__type": error.code, "message": error.message}
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": request_id}
    return Response(error.status, json.dumps(content).encode(), headers)


def without_secrets(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return parameters with what must not be shown left out."""
    if isinstance(value, Mapping):
        return {
            name: "…" if _SECRET.search(str(name)) and isinstance(item, str) else without_secrets(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value
