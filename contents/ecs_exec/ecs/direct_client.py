"""Makes the calls of an ordinary command without botocore, whose start takes longer than all else of a command.

The requests are botocore's, byte for byte, except for headers that AWS does not evaluate; a test compares them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from ecs_exec.ecs import answers
from ecs_exec.ecs.client import CONNECT_SECONDS, NO_AWS_ANSWER, READ_SECONDS, ROLE_SESSION_NAME, NotMade, Refused
from ecs_exec.ecs.direct_credentials import Temporary, of_plan, temporary
from ecs_exec.ecs.direct_settings import TARGETS, Plan, domain, endpoint_url
from ecs_exec.ecs.failures import translated
from ecs_exec.ecs.http_client import Host, HttpClient, host_of
from ecs_exec.http_answer import Answer, NotHttp
from ecs_exec.record import NamedTuple
from ecs_exec.signing import Credentials, Request, sign
from ecs_exec.text import one_line

ACTIONS = frozenset(
    {
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTasks",
        "ecs:ExecuteCommand",
        "ecs:ListClusters",
        "ecs:ListServices",
        "ecs:ListTaskDefinitionFamilies",
        "ecs:ListTasks",
        "ecs:StopTask",
        "kms:GenerateDataKey",
        "ssm:ResumeSession",
        "ssm:TerminateSession",
    }
)
"""The calls that this client makes."""

_BYTES = ("Plaintext", "CiphertextBlob")
"""Fields of kms:GenerateDataKey's answer that hold bytes, in base64."""

_METADATA_SECONDS = 1.0
"""Seconds for each step of asking a metadata service: it is near, or it is not there."""

_GOOD = range(200, 301)
_FIELD = r"<(\w+)>([^<]*)</\1>"
"""A field of an answer in XML. STS's answers name each field of credentials once."""

_STS_VERSION = "2011-06-15"


class Prepared(NamedTuple):
    """A signed request."""

    host: Host
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Prepared({self.host})"


class DirectClient:
    """See `Client`. Each method that needs credentials also raises NotPlain, before a request is sent."""

    def __init__(self, plan: Plan, patience: float, *, raw: bool) -> None:
        """Take the plan, and the timeout of a call in seconds. With `raw`, times stay as AWS's JSON has them."""
        self._plan = plan
        self._raw = raw
        self._http = HttpClient(plan.ca_bundle, min(CONNECT_SECONDS, patience), min(READ_SECONDS, patience), patience)
        near = min(_METADATA_SECONDS, patience)
        self._source = of_plan(plan, HttpClient(plan.ca_bundle, near, near, near), self._assume_role)

    def in_region(self, region: str) -> DirectClient | None:
        """Return a client for another region, which shares the credentials; None if its endpoints are not known."""
        if not domain(region):
            return None
        from copy import copy  # late: only node sources read several regions

        other = copy(self)
        other.__dict__.update(_plan=self._plan._replace(region=region))
        return other

    def makes(self, action: str) -> bool:
        """Return whether this client makes a call, with a name as IAM writes it."""
        return action in ACTIONS

    @property
    def region(self) -> str:
        """The region in use."""
        return self._plan.region

    @property
    def ca_bundle(self) -> str:
        """The file of certificate authorities that all connections trust."""
        return self._plan.ca_bundle

    def endpoint_url(self, service: str) -> str:
        """Return the URL at which a service is called."""
        return endpoint_url(self._plan, service)

    def prepare(self) -> None:
        """Find the credentials now, so that later calls do not wait for them. Raises AwsError."""
        self._source.current()

    def credentials(self) -> Credentials:
        """Return the current credentials, renewed if necessary. Raises AwsError."""
        return self._source.current()

    def call(self, service: str, action: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer of a call, see `Client.call`."""
        answer = self._ask(service, action, parameters, self._source.current())
        answers.check_answer(answer.status, answer.body, answer.headers, xml=False)
        content = _content(answer)
        if answer.status not in _GOOD:
            raise _refusal(answer.status, content)
        return content if self._raw else _converted(content)

    def prepared(
        self, service: str, action: str, parameters: Mapping[str, Any], credentials: Credentials, now: float
    ) -> Prepared:
        """Return a request, signed at a time in seconds since 1970."""
        host, target = host_of(self.endpoint_url(service)), TARGETS[service]
        headers = {"Host": host.header}
        if target:
            body = json.dumps(parameters).encode()
            headers |= {"X-Amz-Target": f"{target}.{action}", "Content-Type": "application/x-amz-json-1.1"}
        else:
            body = urlencode({"Action": action, "Version": _STS_VERSION, **parameters}).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        request = Request("POST", "/", "", headers, hashlib.sha256(body).hexdigest())
        added = sign(request, credentials, self.region, service, moment)
        # Without Accept-Encoding, a gateway may compress the answer.
        more = {"User-Agent": ROLE_SESSION_NAME, "Accept-Encoding": "identity", "Content-Length": str(len(body))}
        return Prepared(host, headers | added | more, body)

    def _ask(self, service: str, action: str, parameters: Mapping[str, Any], credentials: Credentials) -> Answer:
        """Send a request. Raises NotMade."""
        request = self.prepared(service, action, parameters, credentials, time.time())
        url = f"{self.endpoint_url(service).rstrip('/')}/"
        try:
            return self._http.ask(request.host, "POST", "/", request.headers, request.body)
        except ssl.SSLEOFError as error:
            said = f"the connection to {url} was closed during the TLS handshake"
            raise NotMade("aws-unreachable", said, transient=True) from error
        except ssl.SSLError as error:
            said = f"TLS with {url}: {getattr(error, 'verify_message', '') or error.reason or error}"
            raise NotMade("certificate-untrusted", one_line(said)) from error
        except (OSError, NotHttp) as error:
            said = f"could not reach {url}: {_reason(error)}"
            raise NotMade("aws-unreachable", one_line(said), transient=True) from error

    def _assume_role(self, base: Credentials) -> Temporary:
        """Call sts:AssumeRole. Raises AwsError."""
        plan = self._plan
        parameters = {"RoleArn": plan.role, "RoleSessionName": ROLE_SESSION_NAME}
        if plan.external_id:
            parameters["ExternalId"] = plan.external_id

        def call() -> Temporary:
            answer = self._ask("sts", "AssumeRole", parameters, base)
            answers.check_answer(answer.status, answer.body, answer.headers, xml=True)
            return _role_credentials(answer)

        return translated("sts:AssumeRole", f"role {plan.role}", lambda: plan.region, call)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _content(answer: Answer) -> dict[str, Any]:
    """Return the JSON object of an answer, an empty one if there is none. Raises NotMade for anything else."""
    try:
        content = json.loads(answer.body) if answer.body else {}
    except (ValueError, RecursionError) as error:
        raise NotMade("not-aws", NO_AWS_ANSWER) from error
    if not isinstance(content, dict):
        raise NotMade("not-aws", NO_AWS_ANSWER)
    return content


def _refusal(status: int, content: Mapping[str, Any]) -> Refused:
    """Return AWS's refusal. A code may have a namespace before it and an address behind it."""
    code = str(content.get("__type") or status).partition(":")[0].rpartition("#")[2]
    return Refused(code, str(content.get("message", content.get("Message")) or ""), status)


def _converted(content: dict[str, Any]) -> dict[str, Any]:
    """Convert the texts of bytes, and the numbers of times, of an answer. Raises NotMade."""
    try:
        found: dict[str, Any] = _with_times(content)
        for name in _BYTES:
            if isinstance(found.get(name), str):
                found[name] = base64.b64decode(found[name], validate=True)
    except (ArithmeticError, OSError, RecursionError, ValueError) as error:
        raise NotMade("not-aws", NO_AWS_ANSWER) from error
    return found


def _with_times(value: Any, name: str = "") -> Any:  # noqa: ANN401 - JSON
    """Return a value with each number in a field whose name ends with At as a time: AWS writes seconds since 1970."""
    if isinstance(value, dict):
        return {key: _with_times(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_times(item) for item in value]
    is_time = name.endswith("At") and isinstance(value, (int, float)) and not isinstance(value, bool)
    return _time(value) if is_time else value


def _time(seconds: float) -> object:
    from datetime import datetime, timezone  # late: the answer of ecs:ExecuteCommand has no time

    return datetime.fromtimestamp(seconds, timezone.utc).astimezone()


def _role_credentials(answer: Answer) -> Temporary:
    """Return the credentials of sts:AssumeRole's answer. Raises Refused or NotMade."""
    import html  # late: only needed for a role

    try:
        found = {name: html.unescape(text) for name, text in re.findall(_FIELD, answer.body.decode())}
        if answer.status not in _GOOD:
            raise Refused(found.get("Code", ""), found.get("Message", ""), answer.status)
        return temporary(found)
    except (KeyError, TypeError, ValueError) as error:
        raise NotMade("not-aws", NO_AWS_ANSWER) from error
