"""The native transport: the plugin itself speaks the data channel, without another program and without a thread."""

from __future__ import annotations

import itertools
import math
import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from ecs_exec.errors import AwsError, CannotOpenChannel, ChannelLost, EcsExecError, TransportError
from ecs_exec.record import NamedTuple
from ecs_exec.retry import CONNECTION, Policy
from ecs_exec.ssm.channel import HANDSHAKE_WITHIN, DataChannel
from ecs_exec.ssm.handshake import Encryption
from ecs_exec.ssm.messages import id_text
from ecs_exec.transport import Event, Resumed, Session
from ecs_exec.transport.dial import Coroutine, WaitFor
from ecs_exec.transport.opening import Access, Opener
from ecs_exec.transport.websocket import ConnectionCut, WebSocket

if TYPE_CHECKING:
    from ecs_exec.transport.trace import Trace


class Limits(NamedTuple):
    """Limits of the transport; times are in seconds."""

    connect: float = 30.0
    """Time from the first attempt to an open websocket, retries included."""
    ping_every: float = 30.0
    """Silence after which a ping is sent. It is below the idle timeouts of proxies and NAT gateways (60 s and more)."""
    ping_answer: float = 20.0
    """Silence after a ping after which the connection counts as dead."""
    resume_tries: int = 12
    """Most attempts to resume without a frame from the far side in between."""
    resume_within: float = 30.0
    """Time for all of these attempts together."""
    cuts_in_a_minute: int = 30
    """More cuts than this in a minute end the session, even with frames in between: each costs a call of AWS's API."""
    handshake_within: float = HANDSHAKE_WITHIN
    """Time that input waits for the agent to ask for a handshake."""
    delays: Policy = CONNECTION
    """Waits before the attempts to connect again."""


_MINUTE = 60.0

_CLOSE_WITHIN = 0.2
"""Seconds for the last bytes to arrive. It is short, so that a dead connection does not delay the end of an aborted
job."""

_REST = 0.004
_COALESCE_FIRST = 0.00025
_COALESCE_MAX_UNACKNOWLEDGED = 0.004
_COALESCE_MAX = 0.048
"""Seconds of delay between reads while frames flow, so that one read coalesces several frames. The agent sends one each
millisecond, and three dozen at a time cost little more than one. Each delay is twice as long as the one before. After a
silence of _REST, or of two delays, the next frame is read at once. Delays stay short while frames of ours are not
acknowledged: input goes no faster than the acknowledgements come."""

_SIZE = (300, 100)
"""Columns and rows: wide, so that no program wraps its lines. AWS's client also sends this size without a terminal."""


_VERSION = bytes(byte & 0x0F | 0x40 for byte in range(256))
_VARIANT = bytes(byte & 0x3F | 0x80 for byte in range(256))


def _ids() -> Iterator[bytes]:
    """Yield random UUIDs, 256 from each read of random bytes: one is needed for each KiB of output."""
    while True:
        pool = bytearray(os.urandom(4096))
        pool[6::16] = pool[6::16].translate(_VERSION)
        pool[8::16] = pool[8::16].translate(_VARIANT)
        ids = bytes(pool)
        yield from (ids[at : at + 16] for at in range(0, len(ids), 16))


def _trace() -> Trace | None:
    path = os.environ.get("ECS_EXEC_TRACE")
    if not path:
        return None
    from ecs_exec.transport import trace

    return trace.Trace(path)


def _quiet(_line: str) -> None:
    """Drop a debug line."""


class NativeTransport:
    """A session's byte stream over the data channel; see `Transport`. It connects in the first `receive`."""

    def __init__(
        self,
        session: Session,
        *,
        resume: Callable[[], Resumed],
        wake: int,
        clock: Callable[[], float] = time.monotonic,
        limits: Limits | None = None,
        debug: Callable[[str], None] = _quiet,
        encryption: Encryption | None = None,
        access: Access | None = None,
        certain: bool = False,
    ) -> None:
        """Prepare the channel; no connection is made.

        `resume` calls ssm:ResumeSession; it may raise EcsExecError. `wake` is a descriptor that ends a `receive` when
        it becomes readable; it is not read. `debug` takes lines for the operator, which hold no secrets. `access`
        opens websockets; without it nothing is signed. With `certain`, input waits until the agent cannot begin a
        handshake any more. Otherwise it waits as long as a request for one usually takes.
        """
        self._session = session
        self._resume = resume
        self._wake = wake
        self._clock = clock
        self._limits = limits or Limits()
        self._debug = debug
        self._opener = Opener(access or Access(), clock, debug)
        self._stream_url = session.stream_url
        within = None if certain else self._limits.handshake_within
        epoch = time.time() - clock()
        ids = _ids()
        self._channel = DataChannel(
            id_text(next(ids)), partial(next, ids), epoch, _SIZE, encryption, handshake_within=within
        )
        self._websocket: WebSocket | None = None
        self._heard = 0.0  # time of the far side's last sign of life
        self._pinged: float | None = None
        self._cuts = _Cuts(self._limits)
        self._trace = _trace()
        self._life = self._live()
        self._wait_for: WaitFor | None = None
        self._failure: TransportError | None = None

    # --- The interface of Transport

    def receive(self, timeout: float) -> Event | None:
        """Wait up to `timeout` seconds for the next event; see `Transport.receive`.

        Output from before a failure comes first. Then each call raises the failure.
        """
        until = self._clock() + timeout
        self._step(ready=False)  # sends the input that was queued since the last call, before any wait
        while (event := self._channel.next_event()) is None:
            if self._failure is not None:
                raise self._failure
            if self._wait_for is None:
                return None
            ready, woken = self._poll(self._wait_for, until)
            self._step(ready=ready)
            if woken or self._clock() >= until:
                return self._channel.next_event()
        return event

    def send(self, data: bytes) -> None:
        """Queue bytes for the terminal's input. The next `receive` or `close` sends them."""
        self._channel.send_input(data, self._clock())

    def keep_alive(self) -> None:
        """Send the terminal's size again, which the command does not see."""
        self._channel.send_size(*_SIZE, self._clock())

    def probe(self) -> bool:
        """Send the terminal's size again: the agent itself acknowledges it, not the service in between."""
        self.keep_alive()
        return True

    def drained(self) -> bool:
        """Return whether the agent has acknowledged everything that was sent."""
        return self._channel.drained()

    def close(self) -> None:
        """Send the queued input and hang up, within a fraction of a second. Never raises."""
        self._life.close()  # closes a connection that is being made
        self._wait_for = None
        websocket, self._websocket = self._websocket, None
        if websocket is None:
            return
        try:
            websocket.send(self._to_send())
        except ConnectionCut as cut:
            self._debug(f"not everything was sent at the end: {cut}")
        websocket.close(0 if self._channel.closed else _CLOSE_WITHIN)

    # --- The coroutine and its driver

    def _poll(self, wait_for: WaitFor, until: float) -> tuple[bool, bool]:
        """Wait for a `WaitFor`, the wake-up descriptor or a time; returns whether each of the first two came."""
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        if wait_for.fd >= 0:
            poller.register(wait_for.fd, wait_for.events)
        seconds = max(0.0, min(wait_for.until, until) - self._clock())
        found = {fd for fd, _ in poller.poll(math.ceil(seconds * 1000))}
        return wait_for.fd in found, self._wake in found

    def _step(self, *, ready: bool) -> None:
        """Run the session's coroutine until it waits again. A failure that ends the session is kept for `receive`."""
        if self._failure is not None:
            return
        try:
            self._wait_for = next(self._life) if self._wait_for is None else self._life.send(ready)
        except StopIteration:
            self._wait_for = None
        except TransportError as error:
            self._wait_for, self._failure = None, error
        except BaseException:
            # A signal ended a call of AWS's API. The generator cannot go on from the middle of that call.
            self._wait_for, self._failure = None, ChannelLost("the data channel was abandoned")
            raise

    def _live(self) -> Coroutine[None]:
        """Open the channel, and reconnect after each cut until the session is over."""
        self._websocket = yield from self._connect_first()
        self._begin(self._session.token)
        while (cause := (yield from self._carry_until_cut(self._websocket))) is not None:
            self._drop()
            self._websocket = yield from self._reconnect(cause)

    def _connect_first(self) -> Coroutine[WebSocket]:
        """Open the first connection, with retries: the token works for more than one attempt.

        Raises the last attempt's error if there is no time for another. If the deadline cut that attempt off, raises
        the error of the one before, which says more.
        """
        until = self._clock() + self._limits.connect
        before: CannotOpenChannel | None = None
        for tries in itertools.count(1):
            try:
                return (yield from self._opener.open(self._stream_url, until - self._clock()))
            except CannotOpenChannel as error:
                if before is not None and error.transient and self._clock() >= until:
                    raise before from error
                before = error
                delay = self._limits.delays.delay(tries)
                if not error.transient or self._clock() + delay >= until:
                    raise
                self._debug(f"{error}; trying again")
            yield from self._pause(delay)
        raise AssertionError  # counting has no end

    def _begin(self, token: str) -> None:
        self._heard, self._pinged = self._clock(), None
        self._channel.open(token, self._heard)

    def _drop(self) -> None:
        if self._websocket is not None:
            self._websocket.close(0)
            self._websocket = None

    # --- An open connection

    def _carry_until_cut(self, websocket: WebSocket) -> Coroutine[str | None]:
        """Use a connection until it ends; returns how it was cut, None if the session is over."""
        try:
            yield from self._carry(websocket)
        except ConnectionCut as cut:
            return str(cut)
        return None

    def _carry(self, websocket: WebSocket) -> Coroutine[None]:
        """Move frames in both directions until the session is over. Raises ConnectionCut."""
        delay = 0.0
        while True:
            # Read before checking for life: a pong that is already here must count, however late this process runs.
            rest = self._clock() - self._heard
            came = self._take_in(websocket)
            if self._channel.closed:
                return
            now = self._clock()
            self._channel.on_time(now)
            self._check_life(websocket, now)
            websocket.send(self._to_send())
            if came:
                delay = self._coalesce_delay(delay, rest, websocket)
            if came and delay:
                yield from self._pause(delay)
            else:
                yield WaitFor(websocket.fileno(), websocket.wanted(), self._next_moment(websocket, now))

    def _coalesce_delay(self, last: float, rest: float, websocket: WebSocket) -> float:
        """Return the seconds until the next read; 0 after a `rest`, or if one read did not take all that was there."""
        if websocket.crowded or rest > max(2 * last, _REST):
            return 0.0
        longest = _COALESCE_MAX if self._channel.drained() else _COALESCE_MAX_UNACKNOWLEDGED
        return min(2 * last, longest) or _COALESCE_FIRST

    def _take_in(self, websocket: WebSocket) -> bool:
        """Read once; return whether anything came. Raises ConnectionCut, and as `DataChannel.receive_frame` does."""
        heard, frames = websocket.receive()
        if not heard and not frames:
            return False
        if self._trace:
            self._trace.received(frames)
        now = self._clock()
        self._heard, self._pinged = now, None
        for frame in frames:
            self._channel.receive_frame(frame, now)
        if frames:
            self._cuts.forget()
        return True

    def _to_send(self) -> list[str | bytes]:
        frames = self._channel.data_to_send()
        if self._trace and frames:
            self._trace.sent(frames)
        return frames

    def _check_life(self, websocket: WebSocket, now: float) -> None:
        """Ping a silent far side. Raises ConnectionCut if it does not answer."""
        if self._pinged is not None:
            if now - self._pinged >= self._limits.ping_answer:
                raise ConnectionCut(f"no data and no answer to a ping came for {now - self._heard:.0f} seconds")
        elif now - self._heard >= self._limits.ping_every:
            websocket.ping()
            self._pinged = now

    def _next_moment(self, websocket: WebSocket, now: float) -> float:
        """Return the time at which to go on although the connection is silent."""
        if websocket.pending():
            return now
        if self._pinged is None:
            moment = self._heard + self._limits.ping_every
        else:
            moment = self._pinged + self._limits.ping_answer
        deadline = self._channel.next_deadline()
        return moment if deadline is None else min(moment, deadline)

    # --- After a cut

    def _reconnect(self, cause: str) -> Coroutine[WebSocket]:
        """Resume the session over a new connection. Raises ChannelLost if that does not work in time."""
        self._debug(f"the data channel broke: {cause}")
        if self._cuts.too_many(self._clock()):
            times = self._limits.cuts_in_a_minute
            raise ChannelLost(
                f"the data channel broke more than {times} times within a minute: {cause}", name="channel-cut-often"
            )
        while (delay := self._cuts.next_delay(self._clock())) is not None:
            yield from self._pause(delay)
            try:
                websocket = yield from self._try_again(cause)
            except ChannelLost:
                raise
            except EcsExecError as error:
                self._debug(f"resuming failed: {error}")
                cause = str(error)
                if isinstance(error, AwsError) and not error.transient:
                    break  # a call that is not allowed now will not be allowed in a second
            else:
                self._debug("the data channel was resumed")
                return websocket
        raise ChannelLost(f"the data channel broke and could not be resumed: {cause}")

    def _try_again(self, cause: str) -> Coroutine[WebSocket]:
        """Resume and connect once. Raises ChannelLost if the session is over, another EcsExecError after a failure."""
        resumed = self._resume()
        if not resumed.token:
            raise ChannelLost(
                f"the session had already ended when its data channel broke: {cause}", name="session-over"
            )
        if not resumed.stream_url:
            raise ChannelLost(
                f"ssm:ResumeSession returned no stream URL after the data channel broke: {cause}",
                name="resume-without-url",
            )
        self._stream_url = resumed.stream_url
        seconds = min(self._limits.connect, self._cuts.time_left(self._clock()))
        websocket = yield from self._opener.open(self._stream_url, seconds)
        self._begin(resumed.token)
        return websocket

    def _pause(self, seconds: float) -> Coroutine[None]:
        until = self._clock() + seconds
        while self._clock() < until:
            yield WaitFor(-1, 0, until)


class _Cuts:
    """Counts cuts and attempts to resume. Attempts count from the first cut after the far side's last frame."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._tries = 0
        self._since = 0.0
        self._cuts: deque[float] = deque(maxlen=limits.cuts_in_a_minute)

    def forget(self) -> None:
        """Start the count of attempts again, because frames flow."""
        self._tries = 0

    def too_many(self, now: float) -> bool:
        """Return whether the connection broke `cuts_in_a_minute` times within the last minute."""
        return len(self._cuts) == self._cuts.maxlen and now - self._cuts[0] < _MINUTE

    def time_left(self, now: float) -> float:
        """Return the seconds that are left for all attempts together."""
        return max(0.0, self._since + self._limits.resume_within - now)

    def next_delay(self, now: float) -> float | None:
        """Return the seconds to wait before the next attempt, None if there should be none."""
        if self._tries == 0:
            self._since = now
            self._cuts.append(now)
        if self._tries >= self._limits.resume_tries or not self.time_left(now):
            return None
        self._tries += 1
        return self._limits.delays.delay(self._tries)
