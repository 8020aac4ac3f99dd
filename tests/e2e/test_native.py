"""NativeTransport over real sockets, against a small websocket server and through a relay that can fail."""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import json
import logging
import os
import resource
import select
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from ecs_exec.errors import AwsError, CannotOpenChannel, ChannelLost, HandshakeRefused, ProtocolError, TransportError
from ecs_exec.retry import Policy
from ecs_exec.ssm import messages
from ecs_exec.ssm.channel import MAX_WAITING
from ecs_exec.ssm.events import Closed, Event, Output, Ready
from ecs_exec.ssm.messages import Message, PayloadType
from ecs_exec.transport import Resumed, Session, Transport
from ecs_exec.transport.native import Limits, NativeTransport
from ecs_exec.transport.opening import Access

FAST = Limits(connect=3.0, ping_every=30.0, resume_tries=4, resume_within=5.0, delays=Policy(0.02, 6.0))
HASTY = FAST._replace(connect=0.3)
"""For failures that are retried until the time to connect is over."""

TOKEN = "the-secret-token"


# --- The far side


def stream(number: int, payload: bytes, kind: int = PayloadType.OUTPUT) -> bytes:
    """Build a stream frame of the agent's."""
    return messages.build("output_stream_data", number, os.urandom(16), kind, payload, 1)


def closed(reason: str = "") -> bytes:
    """Build the frame that ends a session."""
    return messages.build("channel_closed", 0, b"s" * 16, 0, json.dumps({"Output": reason}).encode(), 1)


class Peer:
    """One connection of the client's, as the service and the agent behind it see it."""

    def __init__(self, connection: ServerConnection) -> None:
        """Take the text frame that opens it."""
        self.connection = connection
        opening = connection.recv(10)
        assert isinstance(opening, str)
        self.opening: dict[str, str] = json.loads(opening)

    def read(self, timeout: float = 10) -> Message:
        """Read the next frame; stream frames are acknowledged."""
        data = self.connection.recv(timeout)
        assert isinstance(data, bytes)
        message = messages.parse(data)
        if message.kind == "input_stream_data":
            number = json.dumps({"AcknowledgedMessageSequenceNumber": message.sequence}).encode()
            with suppress(ConnectionClosed):  # a client that is gone by now has sent the frame all the same
                self.send(messages.build("acknowledge", 0, b"s" * 16, 0, number, 1))
        return message

    def read_until(self, wanted: Callable[[Message], bool]) -> Message:
        """Read frames up to one."""
        while not wanted(message := self.read()):
            pass
        return message

    def read_acknowledgements(self, numbers: set[int]) -> None:
        """Read until all of these numbers are acknowledged."""
        left = set(numbers)
        while left:
            message = self.read()
            if message.kind == "acknowledge":
                left.discard(json.loads(message.payload)["AcknowledgedMessageSequenceNumber"])

    def send(self, *frames: bytes) -> None:
        """Send binary messages."""
        for frame in frames:
            self.connection.send(frame)


Script = Callable[[Peer], None]


class Service:
    """A websocket server that plays one script for each connection, the last one again and again."""

    def __init__(self, *scripts: Script) -> None:
        """Remember the scripts."""
        self.scripts = list(scripts)
        self.peers: list[Peer] = []
        self.failures: list[BaseException] = []
        self.finished = threading.Event()

    def handle(self, connection: ServerConnection) -> None:
        """Play the next script."""
        try:
            peer = Peer(connection)
            self.peers.append(peer)
            self.scripts[min(len(self.peers), len(self.scripts)) - 1](peer)
        except (ConnectionClosed, TimeoutError):
            pass  # the client went away: for some scripts that is the end
        except BaseException as failure:  # noqa: BLE001 - the test sees it
            self.failures.append(failure)
        self.finished.set()


class Relay:
    """A TCP relay that can freeze and cut; with `answer` it is an HTTP proxy that gives this answer to CONNECT."""

    def __init__(self, target: int, answer: bytes | None = None) -> None:
        """Listen for connections to a local port."""
        self.target, self.answer = target, answer
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.frozen = False
        self.stopped = False
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        """Accept and copy until the relay is stopped."""
        while not self.stopped:
            ends = {end: other for pair in self.pairs for end, other in (pair, pair[::-1])}
            watched = [self.listener, *([] if self.frozen else ends)]
            with suppress(OSError, ValueError):
                for ready in select.select(watched, [], [], 0.01)[0]:
                    if ready is self.listener:
                        self.accept()
                    elif data := ready.recv(65536):
                        ends[ready].sendall(data)
                    else:
                        self.cut()

    def accept(self) -> None:
        """Take a connection, and CONNECT if this is a proxy."""
        near, _ = self.listener.accept()
        if self.answer is not None:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += near.recv(1024)
            self.requests.append(request)
            near.sendall(self.answer)
        self.pairs.append((near, socket.create_connection(("127.0.0.1", self.target))))

    def cut(self) -> None:
        """Reset all connections."""
        pairs, self.pairs = self.pairs, []
        for end in [end for pair in pairs for end in pair]:
            end.close()


@contextmanager
def relaying(target: int, answer: bytes | None = None) -> Iterator[Relay]:
    """Run a relay to a local port."""
    relay = Relay(target, answer)
    relay.thread.start()
    try:
        yield relay
    finally:
        relay.stopped = True
        relay.thread.join()
        relay.cut()
        relay.listener.close()


# --- The near side


class Near:
    """What the tests hold of the plugin's side."""

    def __init__(self) -> None:
        """Make the wake-up pipe."""
        self.wake, self.alarm = os.pipe()
        self.debug: list[str] = []
        self.resumed = 0
        self.url = ""
        self.transports: list[NativeTransport] = []

    def resume(self) -> Resumed:
        """Give a new token each time, and the URL of before."""
        self.resumed += 1
        return Resumed(f"{TOKEN}-{self.resumed}", self.url)

    def transport(
        self,
        port: int,
        limits: Limits = FAST,
        url: str = "ws://127.0.0.1",
        resume: Callable[[], Resumed] | None = None,
        ca_bundle: str | None = None,
    ) -> NativeTransport:
        """Make a transport to a local port."""
        self.url = f"{url}:{port}/v1/data-channel/id?role=publish_subscribe"
        session = Session("id", self.url, TOKEN, "r", "ecs:c_t_r")
        transport = NativeTransport(
            session,
            resume=resume or self.resume,
            wake=self.wake,
            limits=limits,
            debug=self.debug.append,
            access=Access(ca_bundle=ca_bundle),
        )
        self.transports.append(transport)
        return transport

    def close(self) -> None:
        """Close all transports."""
        for transport in self.transports:
            transport.close()


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> Iterator[Near]:
    """Give the near side, without proxies, and close what it opened."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    near = Near()
    with ExitStack() as stack:
        stack.callback(os.close, near.wake)
        stack.callback(os.close, near.alarm)
        yield near
        near.close()


@contextmanager
def serving(near: Near, service: Service, **options: Any) -> Iterator[int]:  # noqa: ANN401 - the server's own options
    """Run a service; gives its port, closes the transports in the end, and checks that the scripts did not fail."""
    logger = logging.Logger("server", logging.CRITICAL + 1)  # noqa: LOG001 - tests watch the real loggers
    with serve(service.handle, "127.0.0.1", 0, logger=logger, compression=None, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            near.close()
            server.shutdown()
            thread.join()
    assert service.failures == []


def events(transport: Transport, seconds: float = 10.0) -> Iterator[Event]:
    """Give events up to the end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        event = transport.receive(0.2)
        if event is not None:
            yield event
        if isinstance(event, Closed):
            return
    pytest.fail("the session did not end")


def printed(transport: Transport) -> bytes:
    """Give all output up to the end."""
    return b"".join(event.data for event in events(transport) if isinstance(event, Output))


def failure(transport: Transport) -> TransportError:
    """Give the error that ends a session."""
    with pytest.raises(TransportError) as caught:
        printed(transport)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return caught.value


def is_input(message: Message) -> bool:
    """Tell terminal input from sizes and acknowledgements."""
    return message.kind == "input_stream_data" and message.payload_type == PayloadType.OUTPUT


def farewell(peer: Peer) -> None:
    """Script: end at once."""
    peer.send(closed())
    peer.read_until(lambda _: False)


def silence(peer: Peer) -> None:
    """Script: acknowledge and say nothing."""
    peer.read_until(lambda _: False)


# --- A session


def test_a_session(near: Near) -> None:
    """Token, size, Ready, input that was queued early, output, and the end with its reason."""

    def script(peer: Peer) -> None:
        assert peer.opening["TokenValue"] == TOKEN
        assert peer.read().payload_type == PayloadType.SIZE
        assert peer.read_until(is_input).payload == b"hello"
        peer.send(stream(0, b"HEL"), stream(1, b"LO"), closed("the reason"))

    with serving(near, Service(script)) as port:
        transport = near.transport(port)
        transport.send(b"hello")
        assert not transport.drained()
        found = list(events(transport))
    assert found[0] == Ready()
    assert found[-1] == Closed("the reason")
    assert b"".join(event.data for event in found if isinstance(event, Output)) == b"HELLO"
    assert transport.drained()
    assert transport.receive(5.0) is None


def test_two_megabytes(near: Near) -> None:
    """Much output arrives whole and in order, every frame acknowledged."""
    pieces = [number.to_bytes(4, "big") * 256 for number in range(2000)]

    def script(peer: Peer) -> None:
        peer.send(*(stream(number, piece) for number, piece in enumerate(pieces)))
        peer.read_acknowledgements(set(range(len(pieces))))
        peer.send(closed())

    with serving(near, Service(script)) as port:
        assert printed(near.transport(port)) == b"".join(pieces)


def test_a_megabyte_of_input(near: Near) -> None:
    """Much input arrives complete and in order, and `drained` shows when."""
    data = os.urandom(MAX_WAITING)
    got = bytearray()

    def script(peer: Peer) -> None:
        while len(got) < len(data):
            message = peer.read()
            if is_input(message) and message.sequence == len(numbers) + 1:
                numbers.add(message.sequence)
                got.extend(message.payload)
        silence(peer)

    numbers: set[int] = set()
    with serving(near, Service(script)) as port:
        transport = near.transport(port)
        transport.send(data)
        until = time.monotonic() + 10
        while not transport.drained() and time.monotonic() < until:
            transport.receive(0.1)
        assert transport.drained()
    assert got == data


def test_fragmented_messages(near: Near) -> None:
    """A frame in several websocket fragments is put together."""
    frame = stream(0, b"whole")

    def script(peer: Peer) -> None:
        peer.connection.send([frame[:1], frame[1:60], b"", frame[60:]])
        farewell(peer)

    with serving(near, Service(script)) as port:
        assert printed(near.transport(port)) == b"whole"


EMPTY, ONE, LAST = b"\x00\x00", b"\x00\x01x", b"\x80\x00"
"""Fragments that go on with a message: with nothing, with a byte, and at its end; as a server writes them."""


def raw(peer: Peer, data: bytes) -> None:
    """Send bytes past the library, which would not send these. Raises TimeoutError when the client is gone."""
    try:
        peer.connection.socket.sendall(data)
    except OSError as error:
        raise TimeoutError from error


def test_thousands_of_fragments_are_one_message(near: Near) -> None:
    """Fragments of one byte, with empty ones between them. The next message is read as usual."""
    frame = stream(0, b"whole")

    def script(peer: Peer) -> None:
        pieces = [b"\x00\x01" + frame[at : at + 1] + EMPTY * 50 for at in range(1, len(frame))]
        raw(peer, b"\x02\x01" + frame[:1] + b"".join(pieces) + LAST)
        farewell(peer)

    with serving(near, Service(script)) as port:
        assert printed(near.transport(port)) == b"whole"


def test_fragments_without_an_end_hold_nobody_up(near: Near) -> None:
    """A receive returns in time and sees the wake-up. Empty fragments are not stored."""

    def script(peer: Peer) -> None:
        raw(peer, b"\x02\x00")
        while True:  # until the client hangs up
            raw(peer, EMPTY * 20_000)

    with serving(near, Service(script)) as port:
        transport = near.transport(port)
        transport.receive(0.1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(5):
            begun = time.thread_time()
            assert transport.receive(0.1) in {None, Ready()}
            assert time.thread_time() - begun < 3.0
        os.write(near.alarm, b"x")
        assert transport.receive(100.0) in {None, Ready()}
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_message_of_endless_fragments_is_refused(near: Near) -> None:
    """Once it is larger than any frame of the service's."""

    def script(peer: Peer) -> None:
        raw(peer, b"\x02\x01x" + ONE * (messages.MAX_FRAME + 1))
        silence(peer)

    with serving(near, Service(script)) as port:
        error = failure(near.transport(port))
    assert isinstance(error, ProtocolError)
    assert "broke the websocket protocol" in str(error)


def test_frames_right_behind_the_upgrade(near: Near) -> None:
    """Frames in the same packet as the server's answer are not lost, nor waited upon."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            sock, _ = listener.accept()
            request = sock.recv(4096)
            key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
            accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324
            head = b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept
            frame = closed("at once")
            sock.sendall(head + b"\r\n\r\n\x82\x7e" + len(frame).to_bytes(2, "big") + frame)
            sock.recv(4096)
            sock.close()

        thread = threading.Thread(target=answer)
        thread.start()
        transport = near.transport(listener.getsockname()[1])
        assert list(events(transport, 2.0)) == [Closed("at once")]
        transport.close()
        thread.join()


def test_keep_alive_is_a_size(near: Near) -> None:
    """A sign of life is the same size again, and nothing on the command's input."""
    sizes: list[bytes] = []

    def script(peer: Peer) -> None:
        sizes.extend(peer.read().payload for _ in range(2))
        farewell(peer)

    with serving(near, Service(script)) as port:
        transport = near.transport(port)
        assert transport.receive(5.0) == Ready()
        transport.keep_alive()
        printed(transport)
    assert sizes == [b'{"cols":300,"rows":100}'] * 2


def test_no_input_leaves_before_it_is_known_that_no_handshake_comes(near: Near) -> None:
    """Neither the words of an abort nor the last words are sent. Sizes do no harm."""
    seen: list[Message] = []

    def script(peer: Peer) -> None:
        while True:
            seen.append(peer.read())

    service = Service(script)
    with serving(near, service) as port:
        transport = near.transport(port, limits=FAST._replace(handshake_within=60.0))
        transport.send(b"kINT\n")
        assert transport.receive(0.2) is None
        transport.keep_alive()
        transport.send(b"q\n")
        assert transport.receive(0.1) is None
        transport.close()
        assert service.finished.wait(5)
    assert {message.payload_type for message in seen} == {PayloadType.SIZE}
    assert len(seen) == 2


def test_kms_is_refused_on_both_sides(near: Near) -> None:
    """The agent gets the refusal before the connection closes, so that it does not wait for its own time-out."""
    answers: list[Message] = []

    def script(peer: Peer) -> None:
        actions = [{"ActionType": "KMSEncryption", "ActionParameters": {"KMSKeyId": "alias/x"}}]
        peer.send(stream(0, json.dumps({"RequestedClientActions": actions}).encode(), PayloadType.HANDSHAKE_REQUEST))
        answers.append(peer.read_until(lambda message: message.payload_type == PayloadType.HANDSHAKE_RESPONSE))

    service = Service(script)
    with serving(near, service) as port:
        transport = near.transport(port)
        assert isinstance(failure(transport), HandshakeRefused)
        transport.close()
        assert service.finished.wait(5)
    assert json.loads(answers[0].payload)["ProcessedClientActions"][0]["ActionStatus"] == 3


@pytest.mark.parametrize("frame", [b"garbage", stream(0, b"x" * 200_000)], ids=["garbage", "oversize"])
def test_broken_frames_end_the_session(near: Near, frame: bytes) -> None:
    """A message that is no frame of a data channel, or is too large, is reported as such, after earlier output."""

    def script(peer: Peer) -> None:
        peer.send(stream(0, b"before"), frame)
        silence(peer)

    with serving(near, Service(script)) as port:
        transport = near.transport(port)
        assert transport.receive(5.0) == Ready()
        assert transport.receive(5.0) == Output(b"before")
        for _ in range(2):
            assert isinstance(failure(transport), ProtocolError)


# --- Waiting


def test_receive_keeps_its_time(near: Near) -> None:
    """Without events, receive returns after its time."""
    with serving(near, Service(silence)) as port:
        transport = near.transport(port)
        assert transport.receive(5.0) == Ready()
        begun = time.monotonic()
        assert transport.receive(0.1) is None
        assert 0.09 < time.monotonic() - begun < 0.5
        assert transport.receive(0.0) is None


def test_the_wake_up_descriptor_ends_a_wait(near: Near) -> None:
    """A readable descriptor ends a receive at once. Its data is not read."""
    with serving(near, Service(silence)) as port:
        transport = near.transport(port)
        assert transport.receive(5.0) == Ready()
        threading.Timer(0.1, os.write, (near.alarm, b"!")).start()
        begun = time.monotonic()
        assert transport.receive(10.0) is None
        assert time.monotonic() - begun < 1.0
    assert os.read(near.wake, 10) == b"!"


def test_the_wake_up_descriptor_ends_an_opening(near: Near) -> None:
    """An abort does not wait for a server that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = near.transport(listener.getsockname()[1])
        os.write(near.alarm, b"!")
        begun = time.monotonic()
        assert transport.receive(10.0) is None
        transport.close()
        assert time.monotonic() - begun < 1.0


def test_pings_both_ways(near: Near) -> None:
    """The service's pings are answered, and a silent service that answers ours is not given up."""
    answered = threading.Event()

    def script(peer: Peer) -> None:
        assert peer.connection.ping().wait(5)
        answered.set()
        silence(peer)

    service = Service(script)
    with serving(near, service) as port:
        transport = near.transport(port, Limits(ping_every=0.05, ping_answer=0.5))
        assert transport.receive(5.0) == Ready()
        assert transport.receive(1.0) is None
        assert answered.is_set()
    assert near.resumed == 0


# --- Opening


def test_refused(near: Near) -> None:
    """A port that nobody listens on is named with the cause and a hint."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(near.transport(port, HASTY))
    assert isinstance(error, CannotOpenChannel)
    assert f"cannot be reached: Connection refused (127.0.0.1:{port}); " in str(error)
    assert "VPC endpoint" in str(error)


def test_unknown_name(near: Near) -> None:
    """The error of a name that does not resolve mentions DNS and the endpoint."""
    error = failure(near.transport(1, HASTY, url="ws://ssmmessages.example.invalid"))
    assert isinstance(error, CannotOpenChannel)
    assert "ssmmessages.example.invalid:1" in str(error)
    assert "DNS" in str(error)


@pytest.mark.parametrize(("status", "word"), [(403, "ssmmessages:OpenDataChannel"), (503, "stream URL")])
def test_http_status(near: Near, status: int, word: str) -> None:
    """The error of a server that refuses the upgrade contains its status."""

    def refuse(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(status, "no\n")

    with serving(near, Service(), process_request=refuse) as port:
        error = failure(near.transport(port, HASTY))
    assert isinstance(error, CannotOpenChannel)
    assert f"HTTP status {status}" in str(error)
    assert word in str(error)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 101 Go\r\n\r\n"])
def test_not_a_websocket(near: Near, answer: bytes) -> None:
    """If another program listens there, the error says so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_once() -> None:
            sock, _ = listener.accept()
            sock.recv(4096)
            sock.sendall(answer)
            sock.close()

        thread = threading.Thread(target=serve_once)
        thread.start()
        error = failure(near.transport(listener.getsockname()[1]))
        thread.join()
    assert isinstance(error, CannotOpenChannel)
    assert "not a websocket handshake" in str(error)


def test_silent_server(near: Near) -> None:
    """A server that takes the connection and never answers is given up at the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        begun = time.monotonic()
        error = failure(near.transport(listener.getsockname()[1], Limits(connect=0.3)))
    assert 0.25 < time.monotonic() - begun < 2.0
    assert isinstance(error, CannotOpenChannel)
    assert "no answer" in str(error)


def test_a_url_that_is_none(near: Near) -> None:
    """A stream URL of another kind is refused without being quoted."""
    error = failure(near.transport(1, url="https://secret.example"))
    assert isinstance(error, CannotOpenChannel)
    assert "secret.example" not in str(error)


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate of its own authority for 127.0.0.1, with its key in the same file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).add_extension(address, critical=False)
    builder = builder.not_valid_after(now + dt.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem) + secret)
    return path


def tls(certificate: Path) -> ssl.SSLContext:
    """Make a server's context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_tls(near: Near, certificate: Path) -> None:
    """A wss URL is spoken through TLS, checked against the named authorities; much output passes."""

    def script(peer: Peer) -> None:
        peer.send(*(stream(number, b"x" * 1024) for number in range(500)))
        peer.read_acknowledgements(set(range(500)))
        farewell(peer)

    with serving(near, Service(script), ssl=tls(certificate)) as port:
        assert printed(near.transport(port, url="wss://127.0.0.1", ca_bundle=str(certificate))) == b"x" * 512_000


def test_tls_with_an_unknown_authority(near: Near, certificate: Path) -> None:
    """A certificate that cannot be checked is refused, with a hint at the bundle."""
    with serving(near, Service(silence), ssl=tls(certificate)) as port:
        error = failure(near.transport(port, url="wss://127.0.0.1"))
    assert isinstance(error, CannotOpenChannel)
    assert "self-signed certificate" in str(error).replace("self signed", "self-signed")
    assert "AWS_CA_BUNDLE" in str(error)


def test_tls_against_a_server_without(near: Near) -> None:
    """A server that does not speak TLS is reported as such. A silent server is reported at the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = failure(near.transport(listener.getsockname()[1], Limits(connect=0.3), url="wss://127.0.0.1"))
    assert "timed out in the TLS handshake" in str(error)


def test_tls_with_a_bundle_that_is_not_there(near: Near, certificate: Path) -> None:
    """A bundle that cannot be read is reported before anything is sent."""
    with serving(near, Service(silence), ssl=tls(certificate)) as port:
        error = failure(near.transport(port, url="wss://127.0.0.1", ca_bundle="/nonexistent.pem"))
    assert "/nonexistent.pem cannot be read (No such file or directory) (127.0.0.1" in str(error)
    assert "check ca_bundle" in str(error)


# --- Proxies

CONNECTED = b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n"


def test_through_a_proxy(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy is asked to connect, with its user and password."""
    with serving(near, Service(farewell)) as port, relaying(port, CONNECTED) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        assert printed(near.transport(port)) == b""
    (request,) = proxy.requests
    assert request.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode())
    assert b"Proxy-Authorization: Basic " + b64encode(b"user:p@ss") + b"\r\n" in request
    assert not [line for line in near.debug if "p%40ss" in line or "p@ss" in line]


def test_tls_through_a_proxy(near: Near, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS is with the service, inside the proxy's tunnel."""
    with serving(near, Service(farewell), ssl=tls(certificate)) as port, relaying(port, CONNECTED) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
        assert printed(near.transport(port, url="wss://127.0.0.1", ca_bundle=str(certificate))) == b""
    assert len(proxy.requests) == 1


def test_no_proxy(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY names hosts that are connected to without one."""
    with serving(near, Service(farewell)) as port:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert printed(near.transport(port)) == b""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Who are you\r\n\r\n", "answered HTTP status 407"),
        (b"no\nsense, or another protocol\r\n\r\n", "answered something that is not HTTP"),
    ],
)
def test_a_proxy_that_refuses(near: Near, answer: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a proxy's refusal has the proxy's name and a hint."""
    with serving(near, Service(farewell)) as port, relaying(port, answer) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        error = failure(near.transport(port))
    assert isinstance(error, CannotOpenChannel)
    assert f"the proxy 127.0.0.1:{proxy.port} {words}" in str(error)
    assert "HTTPS_PROXY" in str(error)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "socks5://user:secret@127.0.0.1:1", "http://127.0.0.1:x"])
def test_a_proxy_that_cannot_be_used(near: Near, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is missing or of another kind is reported, without its password."""
    monkeypatch.setenv("http_proxy", url)
    error = failure(near.transport(9, HASTY))
    assert isinstance(error, CannotOpenChannel)
    assert "proxy" in str(error)
    assert "secret" not in str(error)


# --- Cuts


def test_cut_and_resumed(near: Near) -> None:
    """After a cut the session goes on: a new token, the same client, nothing lost in either direction."""

    def first(peer: Peer) -> None:
        peer.read_until(lambda message: message.payload_type == PayloadType.SIZE)
        peer.send(stream(0, b"one "))
        peer.read_acknowledgements({0})
        peer.connection.recv(10)  # input that is never acknowledged
        relay.cut()

    def second(peer: Peer) -> None:
        received.append(peer.read())
        peer.send(stream(0, b"one "), stream(1, b"two"))
        peer.read_acknowledgements({0, 1})
        farewell(peer)

    received: list[Message] = []
    service = Service(first, second)
    with serving(near, service) as port, relaying(port) as relay:
        transport = near.transport(relay.port)
        assert transport.receive(5.0) == Ready()
        assert transport.receive(5.0) == Output(b"one ")
        transport.send(b"input")
        assert printed(transport) == b"two"
    assert [(message.sequence, message.payload) for message in received] == [(1, b"input")]
    assert [peer.opening["TokenValue"] for peer in service.peers] == [TOKEN, f"{TOKEN}-1"]
    assert len({peer.opening["ClientId"] for peer in service.peers}) == 1


def test_many_cuts(near: Near) -> None:
    """The count of attempts restarts whenever frames flow."""

    def script(peer: Peer) -> None:
        number = len(service.peers) - 1
        peer.send(stream(number, bytes([number])))
        peer.read_acknowledgements({number})
        if number == 9:
            farewell(peer)
        peer.connection.close(1011, "some\nreason")

    service = Service(script)
    with serving(near, service) as port:
        assert printed(near.transport(port)) == bytes(range(10))
    assert near.resumed == 9
    assert any("closed by the service (1011 some reason)" in line for line in near.debug)


def test_a_connection_that_only_breaks_is_given_up(near: Near) -> None:
    """Frames in between do not let it go on for ever: each cut costs a call of AWS's API."""
    number = itertools.count()

    def script(peer: Peer) -> None:
        peer.send(stream(next(number), b"x"))
        peer.read_until(lambda message: message.kind == "acknowledge")

    limits = FAST._replace(cuts_in_a_minute=5)
    with serving(near, Service(script)) as port:
        error = failure(near.transport(port, limits=limits))
    assert isinstance(error, ChannelLost)
    assert "more than 5 times within a minute" in str(error)
    assert near.resumed == 5


def test_an_empty_token_means_that_the_session_is_over(near: Near) -> None:
    """Output from before the cut comes first, then the loss."""

    def script(peer: Peer) -> None:
        peer.send(stream(0, b"before"))
        peer.read_acknowledgements({0})

    with serving(near, Service(script)) as port:
        transport = near.transport(port, resume=lambda: Resumed("", ""))
        assert transport.receive(5.0) == Ready()
        assert transport.receive(5.0) == Output(b"before")
        error = failure(transport)
    assert isinstance(error, ChannelLost)
    assert "session had already ended" in str(error)
    assert "closed by the service (1000)" in str(error)


def test_resuming_that_fails_is_tried_again_and_given_up(near: Near) -> None:
    """Every failure counts; the last one's words are in the error."""

    def resume() -> Resumed:
        tries.append(time.monotonic())
        raise AwsError("ThrottlingException", code="ThrottlingException", transient=True)

    tries: list[float] = []
    with serving(near, Service(lambda peer: peer.connection.close())) as port:
        error = failure(near.transport(port, resume=resume))
    assert isinstance(error, ChannelLost)
    assert "ThrottlingException" in str(error)
    assert len(tries) == FAST.resume_tries
    assert tries[2] - tries[1] >= 0.02
    assert tries[3] - tries[2] >= 0.04


def test_resuming_that_is_not_allowed_is_not_tried_again(near: Near) -> None:
    """The missing permission is reported at once."""
    tries: list[float] = []

    def resume() -> Resumed:
        tries.append(time.monotonic())
        raise AwsError("grant ssm:ResumeSession", code="AccessDeniedException")

    with serving(near, Service(lambda peer: peer.connection.close())) as port:
        error = failure(near.transport(port, resume=resume))
    assert isinstance(error, ChannelLost)
    assert "grant ssm:ResumeSession" in str(error)
    assert len(tries) == 1


def test_a_service_that_stays_away(near: Near) -> None:
    """If no further connection succeeds, the cause is reported."""
    with ExitStack() as stack:
        port = stack.enter_context(serving(near, Service(silence)))
        with relaying(port) as relay:
            transport = near.transport(relay.port)
            assert transport.receive(5.0) == Ready()
        error = failure(transport)
    assert isinstance(error, ChannelLost)
    assert "Connection refused" in str(error)


def test_a_dead_connection_is_noticed(near: Near) -> None:
    """A connection that answers no ping is cut, and the session goes on over another."""
    with serving(near, Service(silence, farewell)) as port, relaying(port) as relay:
        transport = near.transport(relay.port, Limits(ping_every=0.1, ping_answer=0.1, delays=Policy(0.4, 6.0)))
        assert transport.receive(5.0) == Ready()
        relay.frozen = True
        assert transport.receive(0.3) is None
        relay.cut()
        relay.frozen = False
        assert printed(transport) == b""
    assert any("no answer to a ping" in line for line in near.debug)


def test_the_wake_up_descriptor_ends_a_reconnection(near: Near) -> None:
    """An abort does not wait until the session is resumed."""
    slow = Limits(delays=Policy(6.0, 6.0))
    with serving(near, Service(lambda peer: peer.connection.close())) as port:
        transport = near.transport(port, slow)
        transport.receive(0.3)
        os.write(near.alarm, b"!")
        begun = time.monotonic()
        assert transport.receive(10.0) is None
        assert time.monotonic() - begun < 0.5


# --- The end


def test_close_never_raises(near: Near) -> None:
    """A transport can be closed before it is opened, while it opens, after a cut, and twice."""
    near.transport(1).close()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        opening = near.transport(listener.getsockname()[1])
        opening.receive(0.05)
        opening.close()
        opening.close()
        assert opening.receive(1.0) is None
    with serving(near, Service(silence)) as port, relaying(port) as relay:
        transport = near.transport(relay.port)
        assert transport.receive(5.0) == Ready()
        relay.cut()
        time.sleep(0.05)
        transport.send(b"x")
        transport.close()


def test_close_is_quick_and_sends_what_is_queued(near: Near) -> None:
    """The last input leaves before the connection closes, without waiting for an answer."""
    got: list[bytes] = []

    def script(peer: Peer) -> None:
        got.append(peer.read_until(is_input).payload)

    service = Service(script)
    with serving(near, service) as port:
        transport = near.transport(port)
        assert transport.receive(5.0) == Ready()
        transport.send(b"\x03")
        begun = time.monotonic()
        transport.close()
        assert time.monotonic() - begun < 0.2
        assert service.finished.wait(5)
    assert got == [b"\x03"]


def test_close_does_not_wait_for_a_frozen_peer(near: Near) -> None:
    """Bytes that nobody takes are given up."""
    with serving(near, Service(silence)) as port, relaying(port) as relay:
        transport = near.transport(relay.port)
        assert transport.receive(5.0) == Ready()
        relay.frozen = True
        transport.send(b"x" * 250_000)
        begun = time.monotonic()
        transport.close()
        assert time.monotonic() - begun < 0.4


def test_the_token_is_in_no_log(near: Near, caplog: pytest.LogCaptureFixture) -> None:
    """Neither debug lines nor any logger hold the token, whatever their level."""
    caplog.set_level(logging.DEBUG)
    with serving(near, Service(lambda peer: peer.connection.close(), farewell)) as port:
        printed(near.transport(port))
    assert near.debug
    assert TOKEN not in "\n".join(near.debug) + caplog.text
