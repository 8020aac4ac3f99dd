"""Checks that an answer is AWS's before any of it is read: a proxy's page may hold private text.

botocore takes the text of such a page for AWS's message. Here an error names only its status and its type. AWS's forms
are those of botocore's protocols: JSON with the error's name in `__type` or a header, XML with a root named
`...Response`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ecs_exec.ecs.client import NotMade

_XML = rb"\s*(?:<\?xml[^>]*\?>\s*)?<(?:\w+:)?\w*Response\b"
_NAME = r"[A-Za-z][\w.:/#-]{0,199}"
"""An error's name. Some services write their own name before it and an address behind it."""

_TYPE = r"[\w.+-]{1,40}/[\w.+-]{1,40}"
_GOOD = range(200, 300)
_LATER = frozenset({429, *range(500, 600)})
"""HTTP statuses after which a retry may help."""


class NotAws(NotMade):
    """The answer is not AWS's."""

    def __init__(self, status: int, content_type: str) -> None:
        """Take the HTTP status and the Content-Type of the answer."""
        found = re.match(_TYPE, content_type)
        later = status in _LATER
        said = _told(status, found[0] if found else "no known type of content")
        super().__init__("aws-failed" if later else "not-aws", said, transient=later)


def _told(status: int, content_type: str) -> str:
    return f"HTTP status {status} with {content_type}"


def check(response_dict: Mapping[str, Any], operation_model: Any, **_: object) -> None:  # noqa: ANN401 - botocore's
    """Check an answer; this is a handler of botocore's event `before-parse`. Raises NotAws."""
    status, body, headers = response_dict["status_code"], response_dict["body"], response_dict["headers"]
    protocol = operation_model.service_model.metadata.get("protocol")
    check_answer(status, body, headers, xml=protocol in {"query", "ec2"})


def check_answer(status: int, body: bytes, headers: Mapping[str, Any], *, xml: bool) -> None:
    """Check an answer, of the query protocol with `xml`, else of the JSON protocols. Raises NotAws."""
    looks = _is_xml if xml else _is_json
    if not looks(status, body, headers):
        raise NotAws(status, str(headers.get("content-type", "")))


def _is_xml(status: int, body: bytes, headers: Mapping[str, str]) -> bool:  # noqa: ARG001 - one shape for both
    return bool(re.match(_XML, body)) and (status in _GOOD or b"<Code>" in body)


def _is_json(status: int, body: bytes, headers: Mapping[str, str]) -> bool:
    if status in _GOOD:
        return body.lstrip()[:1] in {b"", b"{"}
    try:
        content = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return False
    if not isinstance(content, dict) or not isinstance(_message(content), (str, type(None))):
        return False
    return bool(re.fullmatch(_NAME, str(headers.get("x-amzn-errortype") or content.get("__type") or "")))


def _message(content: Mapping[str, Any]) -> object:
    return content.get("message", content.get("Message"))
