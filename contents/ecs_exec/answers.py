"""Whether an answer is AWS's, before anything of it is read: a proxy's page may hold what is no one else's business.

botocore takes the text of such a page for AWS's message. Here only its status and its type are told. Forms are those of
botocore's protocols: JSON with the error's name in `__type` or a header, XML with a root named `...Response`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_XML = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?<(?:\w+:)?\w*Response\b")
_NAME = re.compile(r"[A-Za-z][\w.:/#-]{0,199}")
"""An error's, with the service's before it and an address behind it, as some services write it."""

_TYPE = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,40}")
_GOOD = range(200, 300)
_LATER = frozenset({429, *range(500, 600)})
"""Statuses after which the same may work a moment later."""


class NotAws(ValueError):
    """Something else than AWS has answered."""

    def __init__(self, status: int, content_type: str) -> None:
        """Take the status of HTTP and the type of what came with it."""
        found = _TYPE.match(content_type)
        super().__init__(_told(status, found[0] if found else "no known type of content"))
        self.transient = status in _LATER


def _told(status: int, content_type: str) -> str:
    return f"HTTP status {status} with {content_type}"


def check(response_dict: Mapping[str, Any], operation_model: Any, **_: object) -> None:  # noqa: ANN401 - botocore's
    """Look at an answer, as a handler of botocore's `before-parse`. Raises NotAws."""
    status, body, headers = response_dict["status_code"], response_dict["body"], response_dict["headers"]
    protocol = operation_model.service_model.metadata.get("protocol")
    looks = _is_xml if protocol in {"query", "ec2"} else _is_json
    if not looks(status, body, headers):
        raise NotAws(status, str(headers.get("content-type", "")))


def _is_xml(status: int, body: bytes, headers: Mapping[str, str]) -> bool:  # noqa: ARG001 - one shape for both
    return bool(_XML.match(body)) and (status in _GOOD or b"<Code>" in body)


def _is_json(status: int, body: bytes, headers: Mapping[str, str]) -> bool:
    if status in _GOOD:
        return body.lstrip()[:1] in {b"", b"{"}
    try:
        content = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return False
    if not isinstance(content, dict) or not isinstance(_message(content), (str, type(None))):
        return False
    return bool(_NAME.fullmatch(str(headers.get("x-amzn-errortype") or content.get("__type") or "")))


def _message(content: Mapping[str, Any]) -> object:
    return content.get("message", content.get("Message"))
