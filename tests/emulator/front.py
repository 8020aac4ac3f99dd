"""One endpoint for several regions and accounts: each call goes to the emulator of the region that it was signed for.

    with Emulator(world) as east, Emulator(other, region="eu-west-1") as west, Front([east, west]) as front:
        run_something_against(front.endpoint_url)

It also throttles calls, as each region of an account does, and can make a region unreachable.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from emulator import Emulator
from emulator.aws import known_error, refusal

_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/")
_LIMITED = frozenset({"ListTasks", "DescribeTasks"})


@dataclass
class Limit:
    """A bucket of calls, as AWS keeps one for an account and region."""

    burst: float
    rate: float
    left: float = field(init=False)
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Begin full."""
        self.left = self.burst

    def admits(self) -> bool:
        """Return whether a call may go through, and count it."""
        now = time.monotonic()
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Front:
    """An endpoint before several emulators, in threads of its own."""

    def __init__(self, emulators: Iterable[Emulator], burst: float = 0, rate: float = 0) -> None:
        """Take the emulators, one for each region of each account; the first one's account is the caller's own.

        With `rate`, ListTasks and DescribeTasks together are limited to so many calls a second after `burst` of them.
        """
        self._emulators = {(each.world.account, each.region): each for each in emulators}
        self._account = next(iter(self._emulators))[0]
        self._limits = {place: Limit(burst, rate) for place in self._emulators if rate}
        self._accounts: dict[str, str] = {}
        self._lock = threading.Lock()
        self.unreachable: set[str] = set()
        """Regions whose connections are closed without an answer."""
        self.garbled: dict[str, str] = {}
        """Actions that are answered with a page of a proxy."""
        self.silent: set[str] = set()
        """Regions that accept calls and never answer."""
        self.calls: list[dict[str, Any]] = []
        self.throttled = 0
        handler = type("Handler", (_Handler,), {"front": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Front:  # noqa: PYI034 - not to be subclassed
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint_url(self) -> str:
        """Return the endpoint."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def taken_calls(self) -> list[dict[str, Any]]:
        """Return the calls since the last time."""
        with self._lock:
            calls, self.calls = self.calls, []
        return calls

    def answer(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes] | None:
        """Return the answer to a call, None for no answer."""
        scope = _SCOPE.search(headers.get("Authorization", ""))
        key, region, service = (scope["key"], scope["region"], scope["service"]) if scope else ("", "", "")
        action = headers.get("X-Amz-Target", "").rpartition(".")[2]
        account = self._accounts.get(key, self._account)
        with self._lock:
            asked = json.loads(body) if action else dict(parse_qsl(body.decode()))
            self.calls.append({"action": action or service, "region": region, "account": account, "parameters": asked})
            limit = self._limits.get((account, region))
            if limit and action in _LIMITED and not limit.admits():
                self.throttled += 1
                refused = refusal(known_error("ThrottlingException"), service)
                return refused.status, refused.headers, refused.body
        if action in self.garbled:
            return 200, {"Content-Type": "text/html"}, self.garbled[action].encode()
        if region in self.silent:
            time.sleep(3600)
        if region in self.unreachable:
            return None
        if service == "sts":
            return self._assume_role(headers, body)
        emulator = self._emulators.get((account, region)) or next(iter(self._emulators.values()))
        return _forwarded(emulator, headers, body)

    def _assume_role(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Note to which account the role's key belongs."""
        role = parse_qs(body.decode()).get("RoleArn", [""])[0]
        account = role.split(":")[4] if role.count(":") > 4 else self._account
        emulator = next((each for (owner, _), each in self._emulators.items() if owner == account), None)
        status, fields, answer = _forwarded(emulator or next(iter(self._emulators.values())), headers, body)
        if found := re.search(rb"<AccessKeyId>(.+?)</AccessKeyId>", answer):
            self._accounts[found[1].decode()] = account
        return status, fields, answer


def _forwarded(emulator: Emulator, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
    connection = http.client.HTTPConnection(emulator.endpoint_url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", "/", body, dict(headers))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: Front

    def do_POST(self) -> None:
        """Answer a call."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.front.answer({name.title(): value for name, value in self.headers.items()}, body)
        if answer is None:
            self.close_connection = True
            return
        status, headers, content = answer
        kept = {name: value for name, value in headers.items() if name.lower() in {"content-type", "x-amzn-requestid"}}
        self.send_response(status)
        for name, value in {**kept, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
