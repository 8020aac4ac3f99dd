"""The way to the service's host: TCP, an HTTP proxy where the environment names one, TLS.

Everything here is a generator that never blocks, except for the look-up of names: it yields a `Want` and is
resumed when that is met or over, so that a wake-up descriptor or a deadline can end any wait.
"""

from __future__ import annotations

import base64
import errno
import os
import select
import socket
import ssl
from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from ecs_exec.errors import CannotOpenChannel

T = TypeVar("T")


class Want(NamedTuple):
    """What a step waits for: events on a descriptor (-1: none, only time), or a moment of the monotonic clock."""

    fd: int
    events: int
    until: float


Steps = Generator[Want, bool, T]
"""Yields what it waits for; is sent whether the descriptor is ready; returns a T."""

Clock = Callable[[], float]

_MAX_ANSWER = 16 * 1024
"""Bytes of a proxy's answer to CONNECT: what proxies themselves take as headers."""


class Address(NamedTuple):
    """Where to connect, and how long to try."""

    host: str
    port: int
    secure: bool
    until: float

    def failed(self, cause: object, hint: str, *, transient: bool = False) -> CannotOpenChannel:
        """Say in one line what could not be reached, why, and what to look at."""
        text = f"cannot open the data channel to {self.host}:{self.port}: {cause}; {hint}"
        return CannotOpenChannel(text, transient=transient)


_HINT_NETWORK = (
    "check that this host may reach it on that port:"
    " a route to the internet, a VPC endpoint for ssmmessages, or HTTPS_PROXY"
)
_HINT_NAME = "check DNS, the region, and in a VPC without internet the interface endpoint for ssmmessages"
_HINT_TLS = "if a proxy inspects TLS, name its certificate authority in AWS_CA_BUNDLE"
_HINT_PROXY = "check HTTPS_PROXY and NO_PROXY, and that the proxy lets CONNECT through to that host"


def dial(address: Address, clock: Clock, ca_bundle: str | None, debug: Callable[[str], None]) -> Steps[socket.socket]:
    """Connect, through a proxy if there is one, and begin TLS if the address asks for it.

    Returns a non-blocking socket. Raises CannotOpenChannel.
    """
    proxy = find_proxy(address)
    if proxy is None:
        sock = yield from _connect(address, address, clock)
    else:
        debug(f"connecting through the proxy {proxy.address.host}:{proxy.address.port}")
        sock = yield from _connect_through(proxy, address, clock)
    if not address.secure:
        return sock
    return (yield from _begin_tls(sock, address, clock, ca_bundle))


# --- TCP


def _connect(to: Address, target: Address, clock: Clock) -> Steps[socket.socket]:
    """Try the addresses behind a name in turn; `target` is what errors are about."""
    try:
        found = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        name = "" if to is target else f"the proxy {to.host}: "
        raise target.failed(f"{name}{_cause(error)}", _HINT_NAME) from error
    last: CannotOpenChannel | None = None
    for left, (family, kind, protocol, _, place) in zip(range(len(found), 0, -1), found, strict=True):
        # A share of the time for each, so that one dead address cannot use it all.
        until = clock() + max(0.0, to.until - clock()) / left
        try:
            return (yield from _connect_one(socket.socket(family, kind, protocol), place, until, clock))
        except OSError as error:
            through = "" if to is target else f"the proxy {to.host}:{to.port}: "
            hint = _HINT_NETWORK if to is target else _HINT_PROXY
            last = target.failed(f"{through}{_cause(error)}", hint, transient=True)
    raise last or target.failed("no address", _HINT_NAME)


def _connect_one(sock: socket.socket, place: object, until: float, clock: Clock) -> Steps[socket.socket]:
    """Connect one socket; closes it when that fails or is given up."""
    try:
        sock.setblocking(False)
        result = sock.connect_ex(place)  # type: ignore[arg-type]
        if result in {errno.EINPROGRESS, errno.EWOULDBLOCK}:
            if not (yield from wait(sock, select.POLLOUT, until, clock)):
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


def wait(sock: socket.socket, events: int, until: float, clock: Clock) -> Steps[bool]:
    """Wait for a socket; tells whether it became ready in time, however often it is asked."""
    while not (yield Want(sock.fileno(), events, until)):
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


def find_proxy(address: Address) -> Proxy | None:
    """Give the proxy that the environment names for an address. Raises CannotOpenChannel for one of another kind."""
    from urllib.request import getproxies, proxy_bypass  # late: the AWS client has loaded it by then

    url = getproxies().get("https" if address.secure else "http")
    if not url or proxy_bypass(f"{address.host}:{address.port}"):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if host is None or parts.scheme != "http":
        # The URL may hold a password, so it is not quoted.
        raise address.failed("the proxy in the environment is not of the form http://host:port", _HINT_PROXY)
    return Proxy(Address(host, port, secure=False, until=address.until), _authorization(parts))


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    word = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return f"Proxy-Authorization: Basic {base64.b64encode(word).decode('ascii')}\r\n"


def _connect_through(proxy: Proxy, address: Address, clock: Clock) -> Steps[socket.socket]:
    """Have a proxy connect us to an address."""
    name = f"the proxy {proxy.address.host}:{proxy.address.port}"
    host = f"[{address.host}]" if ":" in address.host else address.host
    request = f"CONNECT {host}:{address.port} HTTP/1.1\r\nHost: {host}:{address.port}\r\n{proxy.authorization}\r\n"
    sock = yield from _connect(proxy.address, address, clock)
    try:
        yield from _send_all(sock, request.encode(), address.until, clock)
        status = yield from _read_status(sock, address.until, clock)
    except OSError as error:
        sock.close()
        raise address.failed(f"{name}: {_cause(error)}", _HINT_PROXY) from error
    except BaseException:
        sock.close()
        raise
    if status != "200":
        sock.close()
        said = status if status.isdecimal() else "what is not HTTP"
        raise address.failed(f"{name} answered {said}", _HINT_PROXY)
    return sock


def _send_all(sock: socket.socket, data: bytes, until: float, clock: Clock) -> Steps[None]:
    while data:
        if not (yield from wait(sock, select.POLLOUT, until, clock)):
            raise TimeoutError
        data = data[sock.send(data) :]


def _read_status(sock: socket.socket, until: float, clock: Clock) -> Steps[str]:
    """Read an HTTP answer's headers and nothing after them; gives the status code."""
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):
        if not (yield from wait(sock, select.POLLIN, until, clock)):
            raise TimeoutError
        # Byte by byte: what follows the headers is the tunnel's. They are short, and this is done once.
        byte = sock.recv(1)
        if not byte or len(answer) >= _MAX_ANSWER:
            break
        answer += byte
    return answer[len("HTTP/1.1 ") :][:3].decode("ascii", "replace")


# --- TLS


def _begin_tls(sock: socket.socket, address: Address, clock: Clock, ca_bundle: str | None) -> Steps[socket.socket]:
    try:
        context = ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        sock.close()
        raise address.failed(
            f"the certificates of AWS_CA_BUNDLE cannot be read ({_cause(error)})", _HINT_TLS
        ) from error
    try:
        wrapped = context.wrap_socket(sock, server_hostname=address.host, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        sock.close()
        raise address.failed(f"TLS: {_cause(error)}", _HINT_TLS) from error
    try:
        yield from _shake_hands(wrapped, address.until, clock)
    except TimeoutError as error:
        wrapped.close()
        raise address.failed("timed out in the TLS handshake", _HINT_NETWORK) from error
    except OSError as error:
        wrapped.close()
        raise address.failed(f"TLS: {_tls_cause(error)}", _HINT_TLS) from error
    except BaseException:
        wrapped.close()
        raise
    return wrapped


def _shake_hands(sock: ssl.SSLSocket, until: float, clock: Clock) -> Steps[None]:
    while True:
        try:
            return sock.do_handshake()
        except ssl.SSLWantReadError:
            events = select.POLLIN
        except ssl.SSLWantWriteError:
            events = select.POLLOUT
        if not (yield from wait(sock, events, until, clock)):
            raise TimeoutError


def _tls_cause(error: OSError) -> str:
    """Give the words of a certificate's fault where there are some, which OpenSSL's own line hides."""
    return getattr(error, "verify_message", "") or getattr(error, "reason", "") or _cause(error)
