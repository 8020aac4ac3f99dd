"""Answers that are not AWS's: errors show their status and type, never their content."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from ecs_exec.ecs.answers import NotAws, check
from ecs_exec.ecs.api import Aws
from ecs_exec.errors import AwsError
from ecs_exec.settings import Access

SECRET = b"hunter2"
BODIES = {
    "a page": (b"<html><body>Login <br> hunter2</body></html>", "text/html"),
    "a page that is XML": (b"<?xml version='1.0'?><html><p>hunter2</p></html>", "application/xhtml+xml"),
    "text": (b"hunter2 denied", "text/plain"),
    "JSON of others": (b'{"message": "hunter2", "code": "hunter2", "error": {"code": "hunter2"}}', "application/json"),
    "a list": (b'["hunter2"]', "application/json"),
    "lists in lists": (b"[" * 100_000, "application/json"),
    "JSON in JSON": (b'{"tasks":' + b"[" * 100_000, "application/json"),
    "XML of others": (b"<Error><Code>hunter2</Code><Message>hunter2</Message></Error>", "application/xml"),
    "cut off": (b'{"__type": "AccessDenied", "message": "hunter2', "application/x-amz-json-1.1"),
    "no name": (b'{"__type": "hunter2 <x>", "message": "hunter2"}', "application/x-amz-json-1.1"),
    "bytes": (b"\xff\xfe\0hunter2", "hunter2\u2028 of no kind"),
    "nothing": (b"", ""),
    "other kinds": (b'{"session": "hunter2", "taskArns": {"hunter2": 1}, "Plaintext": 5}', "application/json"),
    "other kinds within": (b'{"taskArns": ["hunter2"], "tasks": ["hunter2"]}', "application/json"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[SimpleNamespace]:
    """Give a server whose answers a test chooses."""
    asked = SimpleNamespace(status=200, body=b"", type="")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(asked.status)
            self.send_header("Content-Type", asked.type.encode().decode("latin-1"))
            self.send_header("Content-Length", str(len(asked.body)))
            self.end_headers()
            self.wfile.write(asked.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        asked.url = f"http://127.0.0.1:{running.server_port}"
        yield asked
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def calls(server: SimpleNamespace) -> dict[str, Callable[[], object]]:
    """Give calls of every protocol that the plugin speaks."""
    aws = Aws(Access(region="eu-west-1", access_key_id="AKIA", secret_access_key="x", endpoint_url=server.url))
    return {
        "run": lambda: aws.execute_command("c", "t", "x", "true"),
        "describe": lambda: aws.describe_tasks("c", ["t"]),
        "list": lambda: aws.list_tasks("c", "", {}),
        "key": lambda: aws.generate_data_key("k", {}),
        "end": lambda: aws.terminate_session("x"),
        "who": lambda: aws.call("sts", "GetCallerIdentity", "me"),
        "subnets": lambda: aws.call("ec2", "DescribeSubnets", "me"),
    }


def failure(call: Callable[[], object]) -> AwsError | None:
    """Make a call and return its error, if any."""
    try:
        call()
    except AwsError as error:
        return error
    return None


@pytest.mark.parametrize("status", [200, 302, 403, 502])
@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_never_told(
    server: SimpleNamespace, calls: dict[str, Callable[[], object]], name: str, status: int
) -> None:
    """Whoever answered, with whatever: one error, of one line, or an answer with nothing in it."""
    server.status = status
    server.body, server.type = BODIES[name]
    for call in calls.values():
        failed = failure(call)
        assert failed or status == 200
        text = f"{failed} {failed.said}" if failed else ""
        assert "hunter2" not in text
        assert "\n" not in text
        if failed and status != 200:
            assert f"HTTP status {status}" in text
            assert failed.transient == (status == 502)


AWS = {
    "JSON": ("json", 400, b'{"__type":"AccessDeniedException","message":"User: x is not authorized"}', {}),
    "JSON with a service": ("json", 400, b'{"__type":"com.amazon.coral.service#ThrottlingException"}', {}),
    "JSON without a message": ("json", 400, b'{"__type":"ExpiredTokenException","Message":null}', {}),
    "a header": ("json", 500, b"{}", {"x-amzn-errortype": "ServerException:http://internal.amazon.com/coral/x/"}),
    "REST": ("rest-json", 401, b'{"message":"Session token not found"}', {"x-amzn-errortype": "Unauthorized"}),
    "good": ("json", 200, b'{"tasks": []}', {}),
    "good and empty": ("json", 200, b"", {}),
    "query": ("query", 403, b"<ErrorResponse xmlns='x'><Error><Code>AccessDenied</Code></Error></ErrorResponse>", {}),
    "EC2": (
        "ec2",
        403,
        b"<?xml version='1.0'?>\n<Response><Errors><Error><Code>X</Code></Error></Errors></Response>",
        {},
    ),
    "good XML": ("query", 200, b"<GetCallerIdentityResponse xmlns='x'></GetCallerIdentityResponse>", {}),
}


@pytest.mark.parametrize("name", AWS)
def test_aws_is_known(name: str) -> None:
    """By the forms of its protocols."""
    protocol, status, body, headers = AWS[name]
    model = SimpleNamespace(service_model=SimpleNamespace(metadata={"protocol": protocol}))
    check({"status_code": status, "body": body, "headers": headers}, model)
    if status >= 300:
        with pytest.raises(NotAws, match=f"HTTP status {status} with no known type of content"):
            check({"status_code": status, "body": b"<html/>", "headers": {}}, model)
