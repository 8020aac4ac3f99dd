"""The first connection of a data channel: which failures are retried, HTTPS proxies, and another host."""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from e2e.test_native import (
    CONNECTED,
    FAST,
    Near,
    Service,
    certificate,
    failure,
    farewell,
    near,
    printed,
    relaying,
    serving,
    tls,
)
from ecs_exec.endpoint import Endpoint
from ecs_exec.errors import CannotOpenChannel
from ecs_exec.retry import Policy
from ecs_exec.signing import Credentials
from ecs_exec.transport import Session, dial
from ecs_exec.transport.native import Limits, NativeTransport
from ecs_exec.transport.opening import Access
from emulator import signatures

__all__ = ["certificate", "near"]

ALWAYS = 1_000_000
HASTY = Limits(connect=0.4, delays=Policy(0.04, 6.0))


class Trouble:
    """Counts down the times that something goes wrong."""

    def __init__(self, times: int) -> None:
        """Take how often."""
        self.left = times
        self.seen = 0

    def now(self) -> bool:
        """Return whether it goes wrong this time."""
        self.seen += 1
        self.left -= 1
        return self.left >= 0


@contextmanager
def before(port: int, trouble: Trouble, spoil: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen before a service; while there is trouble, connections are spoilt, later ones reach it."""
    done = threading.Event()

    def copy(near_end: socket.socket) -> None:
        with near_end, socket.create_connection(("127.0.0.1", port)) as far_end, suppress(OSError):
            ends = {near_end: far_end, far_end: near_end}
            while not done.is_set():
                for ready in select.select(list(ends), [], [], 0.05)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    ends[ready].sendall(data)

    def run() -> None:
        while not done.is_set():
            if select.select([listener], [], [], 0.05)[0]:
                sock, _ = listener.accept()
                if trouble.now():
                    with sock, suppress(OSError):
                        spoil(sock)
                else:
                    copies.append(threading.Thread(target=copy, args=(sock,)))
                    copies[-1].start()

    copies: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            for each in (thread, *copies):
                each.join()


def hang_up(sock: socket.socket) -> None:
    """Read the request and close."""
    sock.recv(4096)


def reset(sock: socket.socket) -> None:
    """Read the request and reset the connection."""
    sock.recv(4096)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def answer(status: int) -> Callable[[socket.socket], None]:
    """Answer the request with a status."""

    def spoil(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    return spoil


SPOILT = {
    "closed": (hang_up, "the connection was closed before an answer came"),
    "reset": (reset, "Connection reset by peer"),
    "502": (answer(502), "HTTP status 502"),
    "503": (answer(503), "HTTP status 503"),
    "504": (answer(504), "HTTP status 504"),
}


def test_an_attempt_that_the_deadline_cuts_off_hides_no_cause(near: Near) -> None:
    """The attempt before it was answered: that answer is the cause."""
    over = threading.Event()
    first = iter([answer(502)])

    def spoil(sock: socket.socket) -> None:
        next(first, lambda _: over.wait(10))(sock)

    with serving(near, Service(farewell)) as port, before(port, Trouble(ALWAYS), spoil) as spoilt:
        error = failure(near.transport(spoilt, HASTY))
        over.set()
    assert "HTTP status 502" in str(error)


@pytest.mark.parametrize("kind", SPOILT)
@pytest.mark.parametrize("through", ["directly", "a proxy"])
def test_what_may_pass_is_retried(near: Near, kind: str, through: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one failure of the service or its proxy, the session continues. After lasting ones, an error says why."""
    spoil, words = SPOILT[kind]
    with serving(near, Service(farewell)) as port, relaying(port, CONNECTED) as proxy:
        for times, limits in ((1, FAST), (ALWAYS, HASTY)):
            trouble = Trouble(times)
            with before(proxy.port if through == "a proxy" else port, trouble, spoil) as spoilt:
                if through == "a proxy":
                    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{spoilt}")
                transport = near.transport(port if through == "a proxy" else spoilt, limits)
                if times == 1:
                    assert printed(transport) == b""
                    assert trouble.seen == 2
                else:
                    begun = time.monotonic()
                    error = failure(transport)
                    assert isinstance(error, CannotOpenChannel)
                    told = (
                        words if through == "directly" else words.replace("the connection was closed", "did not answer")
                    )
                    assert told.removesuffix(" before an answer came") in str(error)
                    assert trouble.seen > 2
                    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("through", ["directly", "a proxy"])
def test_what_does_not_pass_is_not_retried(
    near: Near, status: int, through: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is reported at once."""
    trouble = Trouble(ALWAYS)
    with before(1, trouble, answer(status)) as spoilt:
        if through == "a proxy":
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{spoilt}")
        assert f"HTTP status {status}" in str(failure(near.transport(spoilt)))
    assert trouble.seen == 1


def test_a_bad_certificate_is_not_retried(near: Near, certificate: Path) -> None:
    """A host that does not speak TLS is not retried either."""
    trouble = Trouble(0)
    with (
        serving(near, Service(farewell), ssl=tls(certificate)) as port,
        before(port, trouble, hang_up) as watched,
    ):
        failure(near.transport(watched, url="wss://127.0.0.1"))
    assert trouble.seen == 1


@pytest.mark.parametrize("times", [1, ALWAYS])
def test_a_look_up_that_fails(near: Near, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lookup is retried. A name that stays unknown is reported in time."""
    trouble, genuine = Trouble(times), socket.getaddrinfo

    def look_up(host: bytes, *arguments: object, **options: object) -> object:
        if host != b"ssmmessages.test":
            return genuine(host, *arguments, **options)  # type: ignore[arg-type]
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        if trouble.now():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return genuine("127.0.0.1", *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with serving(near, Service(farewell)) as port:
        if times == 1:
            assert printed(near.transport(port, url="ws://ssmmessages.test")) == b""
        else:
            error = failure(near.transport(port, HASTY, url="ws://ssmmessages.test"))
            assert "Temporary failure in name resolution" in str(error)
            assert "; check DNS" in str(error)
            assert trouble.seen > 2


def test_a_connection_that_is_refused_once(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is retried."""
    trouble, genuine = Trouble(1), dial._connect_one

    def connect(sock: socket.socket, *arguments: object) -> object:
        if trouble.now():
            sock.close()
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        return genuine(sock, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(dial, "_connect_one", connect)
    with serving(near, Service(farewell)) as port:
        assert printed(near.transport(port)) == b""
    assert any("Connection refused" in line and "trying again" in line for line in near.debug)


@pytest.mark.parametrize("while_it", ["looks up", "waits"])
def test_an_abort_ends_it_at_once(near: Near, while_it: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even while the plugin waits for a resolver that does not answer, or before the next attempt."""
    released = threading.Event()

    def look_up(*_: object, **options: object) -> object:
        if not options.get("flags") and while_it == "looks up":
            released.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    transport = near.transport(1, Limits(connect=100.0, delays=Policy(40.0, 40.0)), url="ws://ssmmessages.test")
    threading.Timer(0.1, os.write, (near.alarm, b"!")).start()
    begun = time.monotonic()
    assert transport.receive(15.0) is None
    transport.close()
    released.set()
    assert time.monotonic() - begun < 5


# --- Proxies by https


@contextmanager
def https_proxy(target: int, context: ssl.SSLContext) -> Iterator[int]:
    """Run a proxy that speaks TLS, and connects to one port."""
    with relaying(target, CONNECTED) as inner, socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            sock, _ = listener.accept()
            with (
                suppress(OSError),
                context.wrap_socket(sock, server_side=True) as near_end,
                socket.create_connection(("127.0.0.1", inner.port)) as far_end,
            ):
                while True:
                    ready = [near_end] if near_end.pending() else select.select([near_end, far_end], [], [])[0]
                    for end in ready:
                        data = end.recv(4096)
                        if not data:
                            return
                        (far_end if end is near_end else near_end).sendall(data)

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_through_a_proxy_that_speaks_tls(
    near: Near, certificate: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's own TLS is spoken inside the proxy's; much passes, in both directions."""
    data = os.urandom(20_000)
    got = bytearray()

    def script(peer: object) -> None:
        from e2e.test_native import Peer, is_input, stream

        assert isinstance(peer, Peer)
        numbers: set[int] = set()
        while len(got) < len(data):
            message = peer.read()
            if is_input(message) and message.sequence not in numbers:
                numbers.add(message.sequence)
                got.extend(message.payload)
        peer.send(*(stream(number, b"x" * 1024) for number in range(500)))
        peer.read_acknowledgements(set(range(500)))
        farewell(peer)

    options = {"ssl": tls(certificate)} if scheme == "wss" else {}
    with serving(near, Service(script), **options) as port, https_proxy(port, tls(certificate)) as proxy:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"https://127.0.0.1:{proxy}")
        transport = near.transport(port, url=f"{scheme}://127.0.0.1", ca_bundle=str(certificate))
        transport.send(data)
        assert printed(transport) == b"x" * 512_000
        transport.close()
    assert got == data


def test_a_proxy_whose_certificate_is_unknown(near: Near, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, and the error names it."""
    with serving(near, Service(farewell)) as port, https_proxy(port, tls(certificate)) as proxy:
        monkeypatch.setenv("http_proxy", f"https://127.0.0.1:{proxy}")
        error = str(failure(near.transport(port)))
    assert f"the proxy 127.0.0.1:{proxy}: TLS: self" in error


# --- Another host


def opened_at(near: Near, url: str, endpoint: Endpoint, ca_bundle: str | None = None) -> NativeTransport:
    """Make a signing transport whose channel is at another place."""
    access = Access("eu-west-1", lambda: Credentials("AKIA", "x", "a token+/="), endpoint, ca_bundle)
    session = Session("id", url, "token", "eu-west-1", "ecs:c_t_r")
    transport = NativeTransport(session, resume=near.resume, wake=near.wake, limits=FAST, access=access)
    near.transports.append(transport)
    return transport


@pytest.mark.parametrize("secure", [False, True])
def test_another_host(near: Near, certificate: Path, *, secure: bool) -> None:
    """It is connected to, TLS checks its name, and the signature is of it; path and query string stay."""
    requests: list[Request] = []

    def check(_: ServerConnection, request: Request) -> Response | None:
        requests.append(request)
        signatures.verify(request.path, list(request.headers.raw_items()), "eu-west-1")
        return None

    options = {"ssl": tls(certificate)} if secure else {}
    with serving(near, Service(farewell), process_request=check, **options) as port:
        url = "wss://ssmmessages.invalid:444/v1/data-channel/id?role=publish_subscribe&a=b/c"
        transport = opened_at(near, url, Endpoint("127.0.0.1", port, secure), str(certificate))
        assert printed(transport) == b""
    (request,) = requests
    assert request.headers["Host"] == f"127.0.0.1:{port}"
    assert request.path == "/v1/data-channel/id?role=publish_subscribe&a=b%2Fc"


def test_another_host_for_a_presigned_url(near: Near) -> None:
    """The signed host is still sent, and no signature of ours."""
    url = signatures.presigned("ws://ssmmessages.invalid/v1/data-channel/id?role=x", "eu-west-1", 60)
    requests: list[Request] = []

    def check(_: ServerConnection, request: Request) -> Response | None:
        requests.append(request)
        signatures.verify_presigned(request.path, dict(request.headers.raw_items()), "eu-west-1")
        return None

    with serving(near, Service(farewell), process_request=check) as port:
        assert printed(opened_at(near, url, Endpoint("127.0.0.1", port))) == b""
    assert "Authorization" not in requests[0].headers
    assert url.endswith(requests[0].path)
