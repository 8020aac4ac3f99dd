"""Opens a session's websocket: signed, presigned by the service, or unsigned after a signature was refused.

AWS's session-manager-plugin has signed since 1.2.764 (November 2025), except if the stream URL is presigned.
Credentials with ecs:ExecuteCommand may lack ssmmessages:OpenDataChannel, and older clients open the channel without a
signature. So after a refused signature there is one attempt without.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ecs_exec.endpoint import Endpoint
from ecs_exec.errors import AwsError, CannotOpenChannel
from ecs_exec.record import NamedTuple
from ecs_exec.signing import Credentials, Request, sign
from ecs_exec.transport import stream_url
from ecs_exec.transport.dial import Clock, Coroutine
from ecs_exec.transport.stream_url import StreamUrl
from ecs_exec.transport.websocket import UpgradeRefused, WebSocket, open_websocket

SERVICE = "ssmmessages"
"""Name of the service in the scope of signatures."""

_FORBIDDEN = 403


class Access(NamedTuple):
    """Region, credentials and addresses for opening a channel."""

    region: str = ""
    credentials: Callable[[], Credentials] | None = None
    """Returns the current credentials, renewed if necessary; may raise EcsExecError. None: nothing is signed."""
    endpoint: Endpoint | None = None
    """The host to connect to instead of the stream URL's; None: the stream URL's."""
    ca_bundle: str | None = None
    """A file of certificate authorities; None: the system's."""


class Opener:
    """Opens the websockets of one session, one after the other."""

    def __init__(
        self,
        access: Access,
        clock: Clock,
        debug: Callable[[str], None],
        epoch: Callable[[], float] = time.time,
    ) -> None:
        """Take the access, the monotonic clock and a function for debug lines.

        `epoch` returns the time for signatures, in seconds since 1970.
        """
        self._access = access
        self._clock = clock
        self._debug = debug
        self._epoch = epoch
        self._credentials = access.credentials
        """Signs the upgrade; None: open without a signature."""
        self._opened = False

    def open(self, url: str, seconds: float) -> Coroutine[WebSocket]:
        """Open a stream URL within so many seconds. Raises CannotOpenChannel."""
        until = self._clock() + seconds
        place = stream_url.parse(url)
        if self._access.endpoint is not None:
            place = place.at(self._access.endpoint)
        if place.presigned:
            websocket = yield from self._open_presigned(place, until)
        elif self._credentials is None:
            websocket = yield from self._open(place, {}, until)
        else:
            websocket = yield from self._open_signed(place, self._credentials, until)
        self._opened = True
        return websocket

    def _open(self, place: StreamUrl, headers: Mapping[str, str], until: float) -> Coroutine[WebSocket]:
        ca_bundle, debug = self._access.ca_bundle, self._debug
        return (
            yield from open_websocket(place, headers, until=until, clock=self._clock, ca_bundle=ca_bundle, debug=debug)
        )

    def _open_presigned(self, place: StreamUrl, until: float) -> Coroutine[WebSocket]:
        try:
            return (yield from self._open(place, {}, until))
        except UpgradeRefused as refused:
            if refused.status != _FORBIDDEN:
                raise
            from ecs_exec.transport import refusals  # late: only needed after a refusal

            raise refusals.of_presigned(place, self._epoch()) from refused

    def _open_signed(
        self, place: StreamUrl, credentials: Callable[[], Credentials], until: float
    ) -> Coroutine[WebSocket]:
        try:
            return (yield from self._open(place, self._signature(place, credentials), until))
        except UpgradeRefused as refused:
            if refused.status != _FORBIDDEN:
                raise
            # The channel was open before with a signature, so the refusal has another cause, and an attempt without
            # would not help.
            if self._opened:
                raise _explained(place, refused) from refused
            signed = refused
        self._debug(f"{signed}; trying without a signature")
        try:
            websocket = yield from self._open(place, {}, until)
        except UpgradeRefused as unsigned:
            raise _explained(place, signed, unsigned) from unsigned
        self._credentials = None
        return websocket

    def _signature(self, place: StreamUrl, credentials: Callable[[], Credentials]) -> dict[str, str]:
        """Return a signature's headers, made with the current credentials. Raises CannotOpenChannel without any."""
        try:
            current = credentials()
        except AwsError as error:
            name, later = "channel-not-signed", error.transient
            raise CannotOpenChannel(name=name, said=str(error), transient=later) from error
        request = Request("GET", place.path, place.query[1:], {"Host": place.host_header})
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._epoch()))
        return sign(request, current, self._access.region, SERVICE, now)


def _explained(place: StreamUrl, signed: UpgradeRefused, unsigned: UpgradeRefused | None = None) -> CannotOpenChannel:
    from ecs_exec.transport import refusals  # late: only needed after a refusal

    return refusals.of_signature(place, signed, unsigned)
