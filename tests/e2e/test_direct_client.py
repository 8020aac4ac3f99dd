"""Calls without botocore: credentials of each plain source, connections, and failures as botocore tells them."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from e2e.metadata import KEYS, Answer, MetadataServer, keys_until
from e2e.rundeck_launch import ACCESS_KEY, SECRET_KEY
from e2e.test_native import certificate, tls
from ecs_exec.ecs import direct_credentials, metadata
from ecs_exec.ecs.api import Aws
from ecs_exec.ecs.client import NotPlain
from ecs_exec.errors import AwsError
from ecs_exec.settings import Access
from ecs_exec.signals import Interrupts
from emulator import Emulator

pytestmark = pytest.mark.xdist_group("e2e-direct")

__all__ = ["certificate"]

OF_TASK = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
OF_INSTANCE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave no variable of AWS and no file of its configuration."""
    import os

    for name in os.environ:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def _of_instance(method: str, path: str) -> tuple[int, str]:
    """Answer as IMDSv2 does."""
    if method == "PUT":
        return 200, "session-token"
    return 200, json.dumps(keys_until()) if path.endswith("/ops") else "ops"


@pytest.mark.parametrize(("variable", "answer"), [(OF_TASK, None), (OF_INSTANCE, _of_instance)])
def test_a_metadata_service_gives_keys(
    fast: Emulator, variable: str, answer: Answer | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for all calls, and without botocore."""
    with MetadataServer(answer) if answer else MetadataServer() as server:
        monkeypatch.setenv(variable, server.url if variable == OF_TASK else server.url.removesuffix("/credentials"))
        aws = Aws(Access(fast.region, endpoint_url=fast.endpoint_url))
        assert aws.list_running_tasks("demo", service="web")
        assert aws.credentials() == (KEYS["AccessKeyId"], KEYS["SecretAccessKey"], KEYS["SessionToken"])
    roles = "/latest/meta-data/iam/security-credentials/"
    of_instance = ["PUT /latest/api/token", f"GET {roles}", f"GET {roles}ops"]
    assert server.asked == (["GET /credentials"] if variable == OF_TASK else of_instance)
    assert aws._botocore is None


@pytest.mark.parametrize("status", [404, 0])
def test_a_metadata_service_without_sessions(fast: Emulator, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is of the first version, or its answer does not reach a container."""

    def answer(method: str, path: str) -> tuple[int, str]:
        if method == "PUT":
            time.sleep(0 if status else 2)
            return status or 200, ""
        return _of_instance(method, path)

    with MetadataServer(answer) as server:
        monkeypatch.setenv(OF_INSTANCE, server.url.removesuffix("/credentials"))
        aws = Aws(Access(fast.region, endpoint_url=fast.endpoint_url))
        assert aws.credentials().access_key == KEYS["AccessKeyId"]
    assert aws._botocore is None


def test_a_role_is_assumed(fast: Emulator) -> None:
    """Once, with the external id; other calls use its keys."""
    role = "arn:aws:iam::123456789012:role/direct"
    access = Access(fast.region, ACCESS_KEY, SECRET_KEY, assume_role_arn=role, external_id="ext-9")
    aws = Aws(access._replace(endpoint_url=fast.endpoint_url))
    assert aws.list_running_tasks("demo", service="web")
    assert aws.credentials().access_key != ACCESS_KEY
    assert aws._botocore is None
    assumed = [call for call in fast.report()["calls"] if call["action"] == "AssumeRole" and role in json.dumps(call)]
    assert len(assumed) == 1
    assert "ext-9" in json.dumps(assumed)


def test_regions_share_what_botocore_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that gives the direct client no keys is asked once, and then once by botocore, for all regions."""
    asked = []

    def fail(*_: object) -> bytes:
        asked.append(1)
        time.sleep(0.1)
        raise OSError

    monkeypatch.setattr(metadata, "ask", fail)
    with MetadataServer() as server, _Service().running() as service:
        monkeypatch.setenv(OF_TASK, server.url)
        aws = Aws(Access("eu-west-1", endpoint_url=service.url))
        regions = [aws.in_region(name) for name in ("eu-west-1", "us-east-1", "moon-base-1")] * 4
        with ThreadPoolExecutor(len(regions)) as pool:
            list(pool.map(lambda there: there.list_tasks("c", "", {}), regions))
        assert [there.region for there in regions[:3]] == ["eu-west-1", "us-east-1", "moon-base-1"]
    assert (len(asked), len(server.asked)) == (1, 1)


def test_keys_are_renewed_before_they_end(fast: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal that fails does not matter while the keys at hand are valid; after that, the failure is told."""
    ends = [1.0, 2000.0]
    status = [200]
    with MetadataServer(lambda *_: (status[0], json.dumps(keys_until(ends[0])))) as server:
        monkeypatch.setenv(OF_TASK, server.url)
        monkeypatch.setattr(direct_credentials, "_EARLIER", 1000.0)
        aws = Aws(Access(fast.region, endpoint_url=fast.endpoint_url), patience=2)
        ends[0] = 5.0
        aws.prepare()
        status[0] = 500
        assert aws.list_running_tasks("demo", service="web")
        assert len(server.asked) == 2
        status[0], ends[0] = 200, 2000.0
        aws.prepare()
        aws.prepare()
        assert len(server.asked) == 3


class _Service:
    """Answers calls with empty lists; counts connections."""

    def __init__(self, *, close_after: float = 60.0) -> None:
        self.connections = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = close_after

            def setup(self) -> None:
                service.connections += 1
                super().setup()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                body = b'{"taskArns": [], "tasks": [], "failures": []}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[_Service]:
        """Answer until the block ends."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        yield self
        self._server.shutdown()
        self._server.server_close()


def _aws(url: str, patience: float = 5) -> Aws:
    return Aws(Access("eu-west-1", ACCESS_KEY, SECRET_KEY, endpoint_url=url), patience=patience)


def test_calls_share_a_connection() -> None:
    """One after the other; in another region, too."""
    with _Service().running() as service:
        aws = _aws(service.url)
        for _ in range(3):
            aws.list_tasks("c", "", {})
        assert service.connections == 1


def test_a_connection_that_the_server_has_closed_is_not_used() -> None:
    """The next call opens another one, and nothing fails."""
    with _Service(close_after=0.1).running() as service:
        aws = _aws(service.url)
        aws.list_tasks("c", "", {})
        time.sleep(0.5)
        aws.list_tasks("c", "", {})
        assert service.connections == 2


@contextmanager
def _listening(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """Give the URL of a server that does something with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    act(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _reset(connection: socket.socket) -> None:
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _saying(data: bytes) -> Callable[[socket.socket], None]:
    def say(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(data)

    return say


_DENIED = b'{"__type":"x#AccessDeniedException","message":"User is denied"}'
SERVERS: dict[str, Callable[[socket.socket], None]] = {
    "closes": _saying(b""),
    "resets": _reset,
    "waits": lambda _: time.sleep(1.5),
    "no HTTP": _saying(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "a page": _saying(b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
    "denied": _saying(b"HTTP/1.1 400 x\r\nContent-Length: %d\r\n\r\n%s" % (len(_DENIED), _DENIED)),
}


def _failures(url: str) -> list[AwsError]:
    """Return the error of one call by each client."""
    found = []
    for direct in (True, False):
        aws = _aws(url, patience=1)
        if not direct:
            aws._direct = None
        with pytest.raises(AwsError) as error:
            aws.list_tasks("c", "", {})
        assert (aws._botocore is None) == direct
        found.append(error.value)
    return found


@pytest.mark.parametrize("name", SERVERS)
def test_a_failure_is_told_as_botocore_does(name: str) -> None:
    """The same cause, place and effect; and whether a retry may help. Only the words behind may differ."""
    with _listening(SERVERS[name]) as url:
        ours, theirs = _failures(url)
    assert (ours.name, str(ours.where), ours.effect, ours.transient, ours.code) == (
        theirs.name,
        str(theirs.where),
        theirs.effect,
        theirs.transient,
        theirs.code,
    )


def test_an_answer_that_is_cut_off_is_a_broken_connection() -> None:
    """A retry may help. botocore takes such an answer for one of something else."""
    with _listening(_saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")) as url:
        ours, _ = _failures(url)
    assert (ours.name, ours.transient) == ("aws-unreachable", True)
    assert "closed before a complete answer came" in ours.said


def _drip(connection: socket.socket) -> None:
    connection.recv(10_000)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    with suppress(OSError):
        while True:
            connection.sendall(b"x")
            time.sleep(0.1)


def test_an_answer_that_never_ends_is_given_up() -> None:
    """A byte now and then satisfies the timeout of each read, also in botocore: such a server would hold a command."""
    with _listening(_drip) as url:
        begun = time.monotonic()
        with pytest.raises(AwsError, match="timed out") as error:
            _aws(url, patience=1).list_tasks("c", "", {})
        assert error.value.transient
        assert time.monotonic() - begun < 3


def test_a_metadata_service_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then botocore asks, with a limit for all sources of credentials together."""
    with _listening(_drip) as url:
        monkeypatch.setenv(OF_TASK, url)
        direct = Aws(Access("eu-west-1"), patience=1)._direct
        assert direct is not None
        begun = time.monotonic()
        with pytest.raises(NotPlain):
            direct.prepare()
        assert time.monotonic() - begun < 3


def test_a_resolver_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds neither a call nor an abort."""
    genuine = socket.getaddrinfo

    def look_up(host: bytes, *more: object, **named: int) -> object:
        if host == b"ecs.example" and not named.get("flags"):
            time.sleep(4)
        return genuine(host, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    begun = time.monotonic()
    with pytest.raises(AwsError, match=r"could not reach http://ecs\.example/: timed out"):
        _aws("http://ecs.example", patience=1).list_tasks("c", "", {})
    with Interrupts() as interrupts, interrupts.at_most(0.5):
        _aws("http://ecs.example", patience=5).list_tasks("c", "", {})
    assert time.monotonic() - begun < 3


def test_nobody_listens() -> None:
    """A refused connection is named with its address."""
    ours, theirs = _failures("http://127.0.0.1:1")
    assert (ours.name, ours.transient) == (theirs.name, theirs.transient)
    assert ours.said == "could not reach http://127.0.0.1:1/: Connection refused"


def test_tls_that_breaks_after_its_handshake(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the connection, and not the certificate: a retry may help. botocore says one or the other."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    context: ssl.SSLContext = tls(certificate)

    def spoil(connection: socket.socket) -> None:
        raw = connection.dup()
        with context.wrap_socket(connection, server_side=True) as wrapped, raw:
            wrapped.recv(10_000)
            wrapped.sendall(b"HTTP/1.1 200 OK\r\n")
            raw.sendall(b"no record of TLS")

    with _listening(spoil) as url:
        ours, _ = _failures(url.replace("http:", "https:"))
    assert (ours.name, ours.transient) == ("aws-unreachable", True)
    assert ours.said.endswith(": TLS: WRONG_VERSION_NUMBER")


def test_a_full_name_ends_with_a_dot(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps the resolver from adding domains; the name in a certificate has none."""
    context: ssl.SSLContext = tls(certificate)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *more, **named: look_up("127.0.0.1", *more, **named))

    def shake(connection: socket.socket) -> None:
        with suppress(OSError):
            context.wrap_socket(connection, server_side=True).close()

    with _listening(shake) as url:
        _failures(url.replace("http://127.0.0.1", "https://ecs.example."))
    assert names == ["ecs.example", "ecs.example"]


def test_an_unknown_authority(certificate: Path) -> None:
    """A certificate that cannot be checked is refused."""
    context: ssl.SSLContext = tls(certificate)

    def shake(connection: socket.socket) -> None:
        with suppress(OSError):
            context.wrap_socket(connection, server_side=True).close()

    with _listening(shake) as url:
        ours, theirs = _failures(url.replace("http:", "https:"))
    assert (ours.name, ours.transient) == (theirs.name, theirs.transient) == ("certificate-untrusted", False)
    assert "self-signed certificate" in ours.said.replace("self signed", "self-signed")
