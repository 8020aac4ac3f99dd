"""Connects to the service's host: TCP, an HTTP proxy if the environment names one, TLS.

Each function that has to wait is a coroutine: a generator that never blocks. It yields a `WaitFor`, and is resumed when
the descriptor is ready or the time is over. So a wake-up descriptor or a deadline can end any wait. A failure that may
pass is marked as transient: the caller retries.
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
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from ecs_exec.errors import CannotOpenChannel
from ecs_exec.record import NamedTuple
from ecs_exec.tls import trusting

if TYPE_CHECKING:
    from ecs_exec.transport.tunnel import TunnelledTls

T = TypeVar("T")


class WaitFor(NamedTuple):
    """What a coroutine waits for: events on a descriptor (-1: none), at most until a time of the monotonic clock."""

    fd: int
    events: int
    until: float


Coroutine = Generator[WaitFor, bool, T]
"""A generator that yields what it waits for, is sent whether the descriptor is ready, and returns a T."""

Clock = Callable[[], float]

Socket: TypeAlias = "socket.socket | TunnelledTls"

_MAX_ANSWER = 16 * 1024
"""Most bytes of a proxy's answer to CONNECT: the limit that proxies themselves have for headers."""


class Address(NamedTuple):
    """The host and port to connect to, whether to use TLS, and the deadline in seconds of the clock."""

    host: str
    port: int
    secure: bool
    until: float

    def failed(self, name: str, why: object, *, transient: bool = False) -> CannotOpenChannel:
        """Return the error for this address: `name` is the cause's, `why` the reason in words."""
        return CannotOpenChannel(name=name, where=f"{self.host}:{self.port}", why=why, transient=transient)


def dial(address: Address, clock: Clock, ca_bundle: str | None, debug: Callable[[str], None]) -> Coroutine[Socket]:
    """Connect, through a proxy if there is one, and begin TLS if the address says so.

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
"""The result of getaddrinfo."""


def _look_up(to: Address, target: Address, clock: Clock) -> Coroutine[_Places]:
    """Resolve a name in a thread: the resolver blocks for as long as it likes, and no signal ends it.

    `target` is the address that an error names: the service, also if `to` is its proxy.
    """
    try:
        # An IP address needs no look-up, and so no thread.
        return socket.getaddrinfo(_name(to), to.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
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
    """Put the answer or the failure into `found`, then close the pipe, which wakes the waiting coroutine."""
    try:
        found.append(socket.getaddrinfo(_name(to), to.port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        found.append(error)
    finally:
        os.close(writer)


def _name(to: Address) -> bytes | str:
    """Return the host's name as bytes if that is possible: then no module for international names is loaded."""
    return to.host.encode("ascii") if to.host.isascii() else to.host


# --- TCP


def _connect(to: Address, target: Address, clock: Clock) -> Coroutine[socket.socket]:
    """Try the addresses of a name in turn, and return a connected socket; `target` is the address that errors name."""
    found = yield from _look_up(to, target, clock)
    last: CannotOpenChannel | None = None
    for left, (family, kind, protocol, _, place) in zip(range(len(found), 0, -1), found, strict=True):
        # Each address gets a share of the time, so that one that does not answer cannot use all of it.
        until = clock() + max(0.0, to.until - clock()) / left
        try:
            return (yield from _connect_one(socket.socket(family, kind, protocol), place, until, clock))
        except OSError as error:
            through = "" if to is target else f"the proxy {to.host}:{to.port}: "
            name = "channel-unreachable" if to is target else "channel-proxy"
            last = target.failed(name, f"{through}{_cause(error)}", transient=True)
    raise last or target.failed("channel-name-unknown", "no address", transient=True)


def _connect_one(sock: socket.socket, place: object, until: float, clock: Clock) -> Coroutine[socket.socket]:
    """Connect one socket. Closes it if that fails or is given up; raises OSError."""
    try:
        sock.setblocking(False)
        result = sock.connect_ex(place)  # type: ignore[arg-type]
        if result in {errno.EINPROGRESS, errno.EWOULDBLOCK}:
            if not (yield from wait(sock.fileno(), select.POLLOUT, until, clock)):
                raise TimeoutError  # noqa: TRY301 - one place closes the socket
            result = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if result:
            raise OSError(result, os.strerror(result))  # noqa: TRY301
        # Acknowledgements are small. Nagle's algorithm would hold each back until the one before is confirmed.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def wait(descriptor: int, events: int, until: float, clock: Clock) -> Coroutine[bool]:
    """Wait for a descriptor; returns whether it became ready before `until`. An early resumption changes nothing."""
    while not (yield WaitFor(descriptor, events, until)):
        if clock() >= until:
            return False
    return clock() < until


def _cause(error: Exception) -> str:
    """Return the words of an error without its number."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


# --- Proxy


class Proxy(NamedTuple):
    """An HTTP proxy; `authorization` is the header line with its user and password, or empty."""

    address: Address
    authorization: str


_PROXY_PORTS = {"http": 80, "https": 443}


def find_proxy(address: Address) -> Proxy | None:
    """Return the proxy that the environment names for an address, None if there is none.

    Raises CannotOpenChannel for a proxy of another kind than http and https.
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # late: it loads many modules

    url = getproxies().get("https" if address.secure else "http")
    if not url or proxy_bypass(f"{address.host}:{address.port}"):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or _PROXY_PORTS[parts.scheme]
    except (KeyError, ValueError):
        host, port = None, 0
    if host is None:
        # The error does not quote the URL: it may hold a password.
        raise address.failed("channel-proxy", "the proxy in the environment does not have the form http://host:port")
    secure = parts.scheme == "https"
    return Proxy(Address(host, port, secure=secure, until=address.until), _authorization(parts))


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    word = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return f"Proxy-Authorization: Basic {base64.b64encode(word).decode('ascii')}\r\n"


def _connect_through(proxy: Proxy, address: Address, clock: Clock, ca_bundle: str | None) -> Coroutine[Socket]:
    """Connect to a proxy, and ask it for a tunnel to an address. Returns the socket of the tunnel."""
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


def _ask_to_connect(sock: Socket, proxy: Proxy, address: Address, clock: Clock) -> Coroutine[str]:
    """Send CONNECT; returns the answer's status code.

    It is empty if the connection ends without an answer. Raises OSError.
    """
    host = f"[{address.host}]" if ":" in address.host else address.host
    request = f"CONNECT {host}:{address.port} HTTP/1.1\r\nHost: {host}:{address.port}\r\n{proxy.authorization}\r\n"
    data = request.encode()
    while data:
        data = data[(yield from _when_ready(sock, select.POLLOUT, partial(sock.send, data), address.until, clock)) :]
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n") and len(answer) < _MAX_ANSWER:
        # Byte by byte: bytes behind the headers belong to the tunnel, and must stay in the socket for TLS. Headers are
        # short, and this happens once.
        byte = yield from _when_ready(sock, select.POLLIN, partial(sock.recv, 1), address.until, clock)
        if not byte:
            break
        answer += byte
    status = answer[len("HTTP/1.1 ") :][:3].decode("ascii", "replace")
    return status or ("???" if answer else "")


# --- TLS


def _begin_tls(
    sock: Socket, to: Address, target: Address, clock: Clock, ca_bundle: str | None
) -> Coroutine[ssl.SSLSocket | TunnelledTls]:
    """Begin TLS with the service or its proxy; closes the socket if that fails. `target` is what errors name."""
    name = "" if to is target else f"the proxy {to.host}:{to.port}: "
    try:
        wrapped = _wrapped(sock, to, _context(target, ca_bundle))
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
    """Return the TLS context."""
    try:
        return trusting(ca_bundle)
    except OSError as error:
        cause = f"the certificate authorities in {ca_bundle} cannot be read ({_cause(error)})"
        raise target.failed("ca-bundle-unreadable", cause) from error


def _wrapped(sock: Socket, to: Address, context: ssl.SSLContext) -> ssl.SSLSocket | TunnelledTls:
    if isinstance(sock, ssl.SSLSocket):
        from ecs_exec.transport.tunnel import TunnelledTls  # late: few proxies are reached by https

        return TunnelledTls(sock, context, to.host)
    if isinstance(sock, socket.socket):
        return context.wrap_socket(sock, server_hostname=_name(to), do_handshake_on_connect=False)
    raise TypeError("nothing tunnels through a tunnel")


def _when_ready(sock: Socket, events: int, action: Callable[[], T], until: float, clock: Clock) -> Coroutine[T]:
    """Call `action`, again after each wait until it does not block. Raises TimeoutError, and what `action` raises.

    It waits for `events`, or for the direction that TLS asks for: TLS may have to write in order to read.
    """
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
    """Return the words for a fault of a certificate, if there are some: OpenSSL's own line hides them."""
    return getattr(error, "verify_message", "") or getattr(error, "reason", "") or _cause(error)
