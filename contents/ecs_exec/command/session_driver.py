"""Runs one session: from its transport's first event until the command ends or is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ecs_exec.command.idle_timer import Action, IdleTimer, Intervals
from ecs_exec.command.script_protocol import SessionProtocol
from ecs_exec.errors import (
    EXIT_ABORTED,
    EXIT_NOT_RUN,
    EXIT_TIMEOUT,
    ChannelLost,
    EcsExecError,
    ProtocolError,
    SessionDisturbed,
    SessionEnded,
    TransportError,
)
from ecs_exec.record import NamedTuple
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.streams import OutputBlocked, OutputClosed, OutputStreams
from ecs_exec.transport import Closed, Output, Ready, Transport

if TYPE_CHECKING:
    from ecs_exec.errors.causes.readiness import Found

_FAREWELL_WITHIN = 1.0
"""Seconds for the last word to reach the container. Without it the script there waits until its own limit ends."""

_GIVE_UP_WITHIN = 2.0
"""Seconds for ending a session that has failed."""


class Limits(NamedTuple):
    """When a command must have begun, and how long it may run."""

    begin_by: float
    """Deadline for the command's begin, in seconds of the clock."""
    connect_timeout: int
    """The setting behind `begin_by`, in seconds; the error quotes it."""
    timeout: int
    """Seconds that the command may run after its begin; 0: no limit."""
    intervals: Intervals = Intervals()
    """Intervals for watching a silent session."""


class _Patience(NamedTuple):
    """Seconds of the steps of a stop: wait after INT, wait after KILL, and end the session through the API."""

    interrupt: float
    kill: float
    terminate: float


_ON_ABORT = _Patience(0.35, 0.1, 0.3)
"""Together less than a second: Rundeck shows only the output of the first second after a job was aborted."""

_ON_TIMEOUT = _Patience(2.0, 0.5, 5.0)

_ON_TROUBLE = _Patience(0.35, 0.1, 2.0)
"""For a disturbed session, and for a time limit while nobody reads the output: the end mark would come behind seconds
of output that is dropped."""

_READ_WITHIN = 0.5
"""Seconds after a time-out in which a slow reader may still take the command's last output."""

_DELIVERED_WITHIN = 0.3
"""Seconds for the words that stop a command to reach the container, if ssm:TerminateSession is not allowed."""

_WITHDRAWN_WITHIN = 0.5
"""Seconds for a script that has not begun to exit by itself, if ssm:TerminateSession is not allowed. The word that asks
it to exit may first have to wait for a handshake that does not come."""


class _TimedOut(Exception):
    """The command ran longer than `timeout` allows."""


class SessionDriver:
    """Passes one session's events to its protocol, and keeps the limits of time and the signals from Rundeck."""

    def __init__(
        self,
        transport: Transport,
        protocol: SessionProtocol,
        where: str,
        *,
        limits: Limits,
        terminate: Callable[[float], bool],
        gone: Callable[[], Found | None],
        interrupts: Interrupts,
        streams: OutputStreams,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the transport and the protocol.

        `where` names the container. `terminate` tries to end the session within a number of seconds, and returns
        whether it did. `gone` looks at the container's task, and returns why nothing can come from it any more, or
        None.
        """
        self._transport = transport
        self._protocol = protocol
        self._where = where
        self._limits = limits
        self._terminate = terminate
        self._gone = gone
        self._interrupts = interrupts
        self._streams = streams
        self._clock = clock
        self._over = False
        self._lives_on = False
        """The transport has ended, but the session may go on in the container."""
        self._ends_at: float | None = None
        self._stopping = False
        self._alive_at = clock() + limits.intervals.keep_alive
        self._idle_timer = IdleTimer(limits.intervals, clock())

    def run(self) -> int:
        """Run the session until the command ends, or stop the command; return the plugin's exit status.

        Raises EcsExecError if the command's exit status was not seen.
        """
        try:
            while self._protocol.status is None:
                self._interrupts.check()
                self._step(self._next_limit())
        except (Aborted, OutputClosed) as event:
            return self._abort(event)
        except (_TimedOut, OutputBlocked) as event:
            blocked = isinstance(event, OutputBlocked)
            self._streams.drop_when_blocked = blocked
            self._streams.limit(_READ_WITHIN)
            what = f"stopping {self._protocol.what} in {self._where}"
            self._streams.say(f"timed out after {self._limits.timeout} s; {what} [timed-out]")
            return self._stop(_ON_TROUBLE if blocked else _ON_TIMEOUT, EXIT_TIMEOUT)
        except EcsExecError as error:
            if isinstance(error, SessionDisturbed):  # its marks do not count any more, but the command may still run
                self._stop(_ON_TROUBLE, EXIT_NOT_RUN)
            else:
                self._give_up(_GIVE_UP_WITHIN)
            if self._interrupts.received:  # on an abort Rundeck ends session-manager-plugin before it signals us
                return EXIT_ABORTED
            self._place(error)
            raise
        except Exception:  # a bug of ours must not leave the command running either
            self._give_up(_GIVE_UP_WITHIN)
            raise
        finally:
            self._streams.limit(None)
        self._say_goodbye(_FAREWELL_WITHIN)
        return self._protocol.status

    def _place(self, error: EcsExecError) -> None:
        """Add the container to an error of the transport, which does not know it, and the effect on the command."""
        if not isinstance(error, TransportError) or error.where:
            return
        error.where = self._where
        if self._protocol.committed and isinstance(error, (ChannelLost, ProtocolError)):
            error.effect = f"{self._protocol.what} may have run, completely or in part"

    # --- Running

    def _step(self, until: float) -> None:
        """Wait for the next event until a moment of the clock, and act on it."""
        event = self._transport.receive(max(0.0, until - self._clock()))
        now = self._clock()
        # Before the command's begin a silence is no sign of trouble: `begin_by` limits that time.
        if event is not None or not self._protocol.begun:
            self._idle_timer.heard(now)
        if isinstance(event, Output):
            self._output(event.data, now)
        elif isinstance(event, Ready):
            self._protocol.ready()
        elif isinstance(event, Closed):
            self._over = True
            self._lives_on = not event.by_service
            self._protocol.closed(event.reason)
        if not self._over and not self._stopping and self._protocol.status is None:
            self._watch_over(now)

    def _output(self, data: bytes, now: float) -> None:
        """Pass output on. The command's time limit counts from its begin, also while nobody reads its output."""
        if self._limits.timeout and self._ends_at is None:
            self._streams.limit(self._limits.timeout)
        self._protocol.output(data, now)
        if self._limits.timeout and self._ends_at is None and self._protocol.begun:
            self._ends_at = now + self._limits.timeout

    def _watch_over(self, now: float) -> None:
        """Keep the session from ending as idle. Raises SessionEnded if the container or its agent is gone."""
        if now >= self._alive_at:
            self._alive_at = now + self._limits.intervals.keep_alive
            if not self._protocol.still_here():
                self._transport.keep_alive()
        task = self._idle_timer.due(now)
        if task is Action.PROBE:
            if not self._transport.probe():
                self._protocol.ping(now)  # the answer is output: it starts the silence again
        elif task is Action.LOOK and self._transport.drained():
            # The agent has acknowledged the probe, so it lives: the look, which is a call of AWS's API, is not needed.
            self._idle_timer.heard(now)
        elif task is Action.LOOK and (why := self._gone()):
            effect = f"{self._protocol.what} did not end by itself and may have run in part"
            raise SessionEnded(name=why.name, where=self._where, effect=effect, reason=why.says, **why.fields)

    def _next_limit(self) -> float:
        """Return the moment until which to wait. Raises ChannelLost or _TimedOut if a limit is over."""
        now = self._clock()
        if not self._protocol.begun:
            if now >= self._limits.begin_by:
                raise self._not_begun()
            return min(self._limits.begin_by, self._alive_at)
        watch_at = min(self._alive_at, self._idle_timer.next())
        if not self._limits.timeout:
            return watch_at
        if self._ends_at is None:
            self._ends_at = now + self._limits.timeout
            self._streams.limit(self._limits.timeout)
        if now >= self._ends_at:
            raise _TimedOut
        return min(self._ends_at, watch_at)

    def _not_begun(self) -> ChannelLost:
        seconds = self._limits.connect_timeout
        if self._protocol.committed:
            effect = "the command may have started; its session was ended"
            return ChannelLost(name="begin-not-seen", where=self._where, effect=effect, seconds=seconds)
        effect = "the command was not run"
        return ChannelLost(name="no-answer", where=self._where, effect=effect, seconds=seconds)

    # --- Stopping

    def _say_goodbye(self, within: float) -> None:
        """Let the container's side exit after the end mark was seen. A failure here changes nothing any more."""
        with suppress(EcsExecError, Aborted):
            if not self._over:
                self._protocol.farewell()
            self._deliver(within)

    def _deliver(self, within: float) -> None:
        """Wait until the container's side has all words. Raises EcsExecError or Aborted."""
        until = self._clock() + within
        while not self._over and not self._transport.drained() and self._clock() < until:
            self._over = isinstance(self._transport.receive(until - self._clock()), Closed)
            self._interrupts.check()

    def _abort(self, event: BaseException) -> int:
        self._interrupts.acknowledge()
        self._streams.drop_when_blocked = True
        why = f"aborted by {self._interrupts.name}" if isinstance(event, Aborted) else "nobody reads the output"
        self._streams.say(f"{why}; stopping {self._protocol.what} in {self._where}")
        return self._stop(_ON_ABORT, EXIT_ABORTED)

    def _stop(self, patience: _Patience, status: int) -> int:
        """Stop the remote command: send INT, then KILL, then end the session. Returns `status`."""
        self._stopping = True
        if self._protocol.committed and not self._over:
            self._protocol.interrupt()
            if not self._ends_within(patience.interrupt):
                self._protocol.kill()
                self._ends_within(patience.kill)
        if self._protocol.status is None:
            self._give_up(patience.terminate)
        else:
            self._say_goodbye(patience.terminate)
        return status

    def _ends_within(self, seconds: float) -> bool:
        """Go on for some seconds; return whether there is nothing more to stop."""
        until = self._clock() + seconds
        with suppress(EcsExecError, OutputClosed, Aborted):
            while self._protocol.status is None and not self._over and self._clock() < until:
                self._interrupts.check()
                try:
                    self._step(until)
                except OutputBlocked:
                    self._streams.drop_when_blocked = True
                    until = min(until, self._clock() + _ON_TROUBLE.interrupt)
        return self._protocol.status is not None or self._over

    def _give_up(self, within: float) -> None:
        """End the session, unless it is over already.

        If ssm:TerminateSession is not allowed, only words end it: those that stop the command, which a busy agent reads
        late, and the word to exit. That one goes right behind them, as the end mark may come too late for it. A script
        whose command still runs skips it, so it gets the word again at the end. A script without the word would wait
        for it until its own limit.
        """
        if self._over and not self._lives_on:
            return
        if self._terminate(within) or self._over:
            return
        self._protocol.farewell()
        if self._ends_within(_DELIVERED_WITHIN if self._protocol.committed else _WITHDRAWN_WITHIN):
            self._say_goodbye(_DELIVERED_WITHIN)
