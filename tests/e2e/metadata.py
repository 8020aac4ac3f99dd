"""A metadata service on loopback that gives credentials, as those of ECS and EC2 do; or that does not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEYS = {
    "AccessKeyId": "ASIAIOSFODNN7EXAMPLE",
    "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "SessionToken": "token",
}

Answer = Callable[[str, str], tuple[int, str]]
"""Gives status and body for a method and a path."""


def keys_until(seconds: float = 3600) -> dict[str, Any]:
    """Give keys as the service of ECS does, good for so long from now."""
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    keys = {name: KEYS[name] for name in ("AccessKeyId", "SecretAccessKey")}
    return {**keys, "Token": KEYS["SessionToken"], "Expiration": expires}


def _good(_method: str, _path: str) -> tuple[int, str]:
    return 200, json.dumps(keys_until())


class MetadataServer:
    """Answers every request by one function; a context manager."""

    def __init__(self, answer: Answer = _good) -> None:
        """Take what answers."""
        self.asked: list[str] = []
        """Method and path of each request."""
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(f"{self.command} {self.path}")
                status, body = answer(self.command, self.path)
                self.send_response(status)
                self.end_headers()
                with suppress(ConnectionError):  # the one who asked may not wait for it
                    self.wfile.write(body.encode())

            def do_PUT(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/credentials"

    def __enter__(self) -> MetadataServer:  # noqa: PYI034 - not to be subclassed
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
