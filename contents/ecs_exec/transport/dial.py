"""The way to the service's host: TCP, an HTTP proxy where the environment names one, TLS.

Everything here is a generator that never blocks: it yields a `Want` and is resumed when that is met or over, so that a
wake-up descriptor or a deadline can end any wait. A failure that may pass is marked as transient: the caller retries.
"""

from __future__ import annotations

import base64
import errno
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from ecs_exec.errors import CannotOpenChannel

if TYPE_CHECKING:
    from ecs_exec.transport.tunnel import TunnelledTls

T = TypeVar("T")


class Want(NamedTuple):
    """What a step waits for: events on a descriptor (-1: none, only time), or a moment of the monotonic clock."""

    fd: int
    events: int
    until: float


Steps = Generator[Want, bool, T]
"""Yields what it waits for; is sent whether the descriptor is ready; returns a T."""

Clock = Callable[[], float]

Socket: TypeAlias = "socket.socket | TunnelledTls"

_MAX_ANSWER = 16 * 1024
"""Bytes of a proxy's answer to CONNECT: what proxies themselves take as headers."""


class Address(NamedTuple):
    """Where to connect, and how long to try."""

    host: str
    port: int
    secure: bool
    until: float

    def failed(self, name: str, why: object, *, transient: bool = False) -> CannotOpenChannel:
        """Return the error for what could not be reached: the name of its cause, and what happened."""
        return CannotOpenChannel(name=name, where=f"{self.host}:{self.port}", why=why, transient=transient)


def dial(address: Address, clock: Clock, ca_bundle: str | None, debug: Callable[[str], None]) -> Steps[Socket]:
    """Connect, through a proxy if there is one, and begin TLS if the address asks for it.

    `ca_bundle` is a file of certificate authorities; None: the system's. Returns a non-blocking socket. Raises
    CannotOpenChannel.
    """
    proxy = find_proxy(address)
    if proxy is None:
        sock: Socket = yield from _connect(address, address, clock)
    else:
        debug(f"connecting through the proxy {proxy.address.host}:{proxy.address.port}")
        sock = yield from _connect_through(proxy, address, clock, ca_bundle)
    if not address.secure:
        return sock
    return (yield from _begin_tls(sock, address, address, clock, ca_bundle))


# --- Names

_Places: TypeAlias = "Sequence[tuple[int, int, int, str, Any]]"
"""What getaddrinfo gives."""


def _look_up(to: Address, target: Address, clock: Clock) -> Steps[_Places]:
    """Resolve a name in a thread: the resolver blocks for as long as it likes, and no signal ends it."""
    try:
        # An address needs no look-up.
        return socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        reader, writer = os.pipe()
    found: list[_Places | Exception] = []
    thread = threading.Thread(target=_resolve, args=(to, found, writer), daemon=True)
    thread.start()
    try:
        yield from wait(reader, select.POLLIN, to.until, clock)
    finally:
        os.close(reader)
    answer = found[0] if found else TimeoutError()
    if not isinstance(answer, Exception):
        return answer
    name = "" if to is target else f"the proxy {to.host}: "
    raise target.failed("channel-name-unknown", f"{name}{_cause(answer)}", transient=True) from answer


def _resolve(to: Address, found: list[_Places | Exception], writer: int) -> None:
    """Put the answer or the failure into `found`, and end the pipe."""
    try:
        found.append(socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        found.append(error)
    finally:
        os.close(writer)


# --- TCP


def _connect(to: Address, target: Address, clock: Clock) -> Steps[socket.socket]:
    """Try the addresses behind a name in turn; `target` is what errors are about."""
    found = yield from _look_up(to, target, clock)
    last: CannotOpenChannel | None = None
    for left, (family, kind, protocol, _, place) in zip(range(len(found), 0, -1), found, strict=True):
        # A share of the time for each, so that one dead address cannot use it all.
        until = clock() + max(0.0, to.until - clock()) / left
        try:
            return (yield from _connect_one(socket.socket(family, kind, protocol), place, until, clock))
        except OSError as error:
            through = "" if to is target else f"the proxy {to.host}:{to.port}: "
            name = "channel-unreachable" if to is target else "channel-proxy"
            last = target.failed(name, f"{through}{_cause(error)}", transient=True)
    raise last or target.failed("channel-name-unknown", "no address", transient=True)


def _connect_one(sock: socket.socket, place: object, until: float, clock: Clock) -> Steps[socket.socket]:
    """Connect one socket; closes it when that fails or is given up."""
    try:
        sock.setblocking(False)
        result = sock.connect_ex(place)  # type: ignore[arg-type]
        if result in {errno.EINPROGRESS, errno.EWOULDBLOCK}:
            if not (yield from wait(sock.fileno(), select.POLLOUT, until, clock)):
                raise TimeoutError  # noqa: TRY301 - one place closes the socket
            result = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if result:
            raise OSError(result, os.strerror(result))  # noqa: TRY301
        # Acknowledgements are small and must not wait for each other.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def wait(descriptor: int, events: int, until: float, clock: Clock) -> Steps[bool]:
    """Wait for a descriptor; returns whether it became ready in time, however often it is asked."""
    while not (yield Want(descriptor, events, until)):
        if clock() >= until:
            return False
    return clock() < until


def _cause(error: Exception) -> str:
    """Give the words of an error without its number."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


# --- Proxy


class Proxy(NamedTuple):
    """An HTTP proxy; `authorization` is the header line that it is owed, or empty."""

    address: Address
    authorization: str


_PROXY_PORTS = {"http": 80, "https": 443}


def find_proxy(address: Address) -> Proxy | None:
    """Give the proxy that the environment names for an address. Raises CannotOpenChannel for one of another kind."""
    from urllib.request import getproxies, proxy_bypass  # late: the AWS client has loaded it by then

    url = getproxies().get("https" if address.secure else "http")
    if not url or proxy_bypass(f"{address.host}:{address.port}"):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or _PROXY_PORTS[parts.scheme]
    except (KeyError, ValueError):
        host, port = None, 0
    if host is None:
        # The URL may hold a password, so it is not quoted.
        raise address.failed("channel-proxy", "the proxy in the environment does not have the form http://host:port")
    secure = parts.scheme == "https"
    return Proxy(Address(host, port, secure=secure, until=address.until), _authorization(parts))


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    word = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return f"Proxy-Authorization: Basic {base64.b64encode(word).decode('ascii')}\r\n"


def _connect_through(proxy: Proxy, address: Address, clock: Clock, ca_bundle: str | None) -> Steps[Socket]:
    """Have a proxy connect us to an address."""
    sock: Socket = yield from _connect(proxy.address, address, clock)
    if proxy.address.secure:
        sock = yield from _begin_tls(sock, proxy.address, address, clock, ca_bundle)
    name = f"the proxy {proxy.address.host}:{proxy.address.port}"
    try:
        status = yield from _ask_to_connect(sock, proxy, address, clock)
    except OSError as error:
        sock.close()
        raise address.failed("channel-proxy", f"{name}: {_cause(error)}", transient=True) from error
    except BaseException:
        sock.close()
        raise
    if status != "200":
        sock.close()
        later = not status or status.startswith("5")
        raise address.failed("channel-proxy", f"{name} {_said(status)}", transient=later)
    return sock


def _said(status: str) -> str:
    if not status:
        return "did not answer"
    return f"answered HTTP status {status}" if status.isdecimal() else "answered something that is not HTTP"


def _ask_to_connect(sock: Socket, proxy: Proxy, address: Address, clock: Clock) -> Steps[str]:
    """Send CONNECT; returns the answer's status code, empty where the connection ends without an answer."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    request = f"CONNECT {host}:{address.port} HTTP/1.1\r\nHost: {host}:{address.port}\r\n{proxy.authorization}\r\n"
    data = request.encode()
    while data:
        data = data[(yield from _when_ready(sock, select.POLLOUT, partial(sock.send, data), address.until, clock)) :]
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n") and len(answer) < _MAX_ANSWER:
        # Byte by byte: what follows the headers is the tunnel's. They are short, and this is done once.
        byte = yield from _when_ready(sock, select.POLLIN, partial(sock.recv, 1), address.until, clock)
        if not byte:
            break
        answer += byte
    status = answer[len("HTTP/1.1 ") :][:3].decode("ascii", "replace")
    return status or ("???" if answer else "")


# --- TLS


def _begin_tls(
    sock: Socket, to: Address, target: Address, clock: Clock, ca_bundle: str | None
) -> Steps[ssl.SSLSocket | TunnelledTls]:
    """Speak TLS to the service or its proxy; closes the socket when that fails. `target` is what errors are about."""
    name = "" if to is target else f"the proxy {to.host}:{to.port}: "
    try:
        wrapped = _wrapped(sock, to.host, _context(target, ca_bundle))
    except BaseException as error:
        sock.close()
        if isinstance(error, (OSError, ValueError)):
            raise target.failed("channel-certificate", f"{name}TLS: {_cause(error)}") from error
        raise
    try:
        yield from _when_ready(wrapped, select.POLLIN, wrapped.do_handshake, target.until, clock)
    except BaseException as error:
        wrapped.close()
        if isinstance(error, TimeoutError):
            cause = f"{name}timed out in the TLS handshake"
            raise target.failed("channel-unreachable", cause, transient=True) from error
        if isinstance(error, OSError):
            cut = not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError)
            raise target.failed("channel-certificate", f"{name}TLS: {_tls_cause(error)}", transient=cut) from error
        raise
    return wrapped


def _context(target: Address, ca_bundle: str | None) -> ssl.SSLContext:
    """Trust as botocore does: not by the strict rules of later Pythons, which reject older certificate authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca_bundle is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile=ca_bundle)
    except OSError as error:
        cause = f"the certificate authorities in {ca_bundle} cannot be read ({_cause(error)})"
        raise target.failed("ca-bundle-unreadable", cause) from error
    return context


def _wrapped(sock: Socket, host: str, context: ssl.SSLContext) -> ssl.SSLSocket | TunnelledTls:
    if isinstance(sock, ssl.SSLSocket):
        from ecs_exec.transport.tunnel import TunnelledTls  # late: few proxies are reached by https

        return TunnelledTls(sock, context, host)
    if isinstance(sock, socket.socket):
        return context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    raise TypeError("nothing tunnels through a tunnel")


def _when_ready(sock: Socket, events: int, action: Callable[[], T], until: float, clock: Clock) -> Steps[T]:
    """Do what may have to wait for `events`. Raises TimeoutError when the time is over, and what `action` raises."""
    while True:
        wanted = events
        try:
            return action()
        except BlockingIOError:
            pass
        except ssl.SSLWantReadError:
            wanted = select.POLLIN
        except ssl.SSLWantWriteError:
            wanted = select.POLLOUT
        if not (yield from wait(sock.fileno(), wanted, until, clock)):
            raise TimeoutError


def _tls_cause(error: OSError) -> str:
    """Give the words of a certificate's fault where there are some, which OpenSSL's own line hides."""
    return getattr(error, "verify_message", "") or getattr(error, "reason", "") or _cause(error)
