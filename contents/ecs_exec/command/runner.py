"""Runs one command in one container: from settings to an exit status."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from ecs_exec.command import shell_wrapper
from ecs_exec.command.idle_timer import Intervals
from ecs_exec.command.script_protocol import RawProtocol, ScriptProtocol, SessionProtocol
from ecs_exec.command.session_driver import Limits, SessionDriver
from ecs_exec.command.sessions import TERMINATE_WITHIN, Sessions
from ecs_exec.ecs.api import Aws
from ecs_exec.ecs.locate import locate, with_runtime_id
from ecs_exec.ecs.target import Target
from ecs_exec.ecs.task_status import TaskProbe
from ecs_exec.errors import (
    EXIT_ABORTED,
    AwsError,
    CannotOpenChannel,
    ChannelLost,
    EcsExecError,
    HandshakeMissed,
    HandshakeRefused,
    SessionEnded,
    SettingsError,
    TargetError,
)
from ecs_exec.record import NamedTuple
from ecs_exec.retry import Backoff
from ecs_exec.settings import Execution, Wanted
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.streams import OutputStreams
from ecs_exec.transport import Session, Transport

if TYPE_CHECKING:
    from ecs_exec.errors.causes.readiness import Found

T = TypeVar("T")

_TELL_WITHIN = 0.3
"""Seconds by which a channel gives up before `connect-timeout` ends, so that the error has its reason, not only that
the time is over."""

_LEAST_ATTEMPT = 1.0
"""Seconds that another session needs. With less time left, the last error is reported."""


class Work(NamedTuple):
    """The content of a session that is more than the execution's command: a copy or a script."""

    wrapped: shell_wrapper.Wrapped
    protocol: Callable[[OutputStreams, str], SessionProtocol]
    """Makes the protocol of one session from the output streams and the container's name."""


class Runner:
    """One execution of a provider that runs something in a container."""

    def __init__(
        self,
        execution: Execution,
        environ: Mapping[str, str],
        interrupts: Interrupts,
        streams: OutputStreams,
        *,
        clock: Callable[[], float] = time.monotonic,
        intervals: Intervals | None = None,
        work: Work | None = None,
    ) -> None:
        """Prepare the run; no call is made.

        `environ` is the environment for session-manager-plugin, which gets it without Rundeck's variables. `work`
        replaces the execution's command. Raises SettingsError if the command cannot be run at all.
        """
        self._run = execution.run
        self._wanted = execution.wanted
        self._access = execution.access
        self._environ = environ
        self._interrupts = interrupts
        self._streams = streams
        self._clock = clock
        self._intervals = intervals or Intervals()
        self._deadline = clock() + self._run.connect_timeout
        self._through_binary = self._run.transport == "session-manager-plugin"
        self._certain = False
        """The next session holds its input back until no handshake can come any more."""
        self._work = work
        self._wrapped = work.wrapped if work else _wrapped(execution)
        self._aws = Aws(execution.access, patience=self._run.connect_timeout, within=interrupts.at_most)
        self.used: Wanted | None = None
        """The container, once it was found: another run with this target uses the same one."""
        self._sessions = Sessions(self._aws, interrupts, streams)

    def run(self) -> int:
        """Run the command; return the plugin's exit status. Raises EcsExecError if the command's own is not known."""
        try:
            with self._interrupts.immediate():
                self._retry(self._aws.prepare)
                target = self._retry(lambda: locate(self._wanted, self._aws))
                if self._through_binary:
                    target = self._prepared_for_binary(target)
            return self._attempts(target)
        except Aborted:
            self._streams.say(f"aborted by {self._interrupts.name} before the command was started")
            return EXIT_ABORTED

    # --- Attempts

    def _attempts(self, target: Target) -> int:
        """Open sessions until one runs the command; never open another after the command may have begun."""
        self.used = Wanted(target.cluster, target.task, container=target.container, runtime_id=target.runtime_id)
        backoff = self._backoff()
        task_probe = TaskProbe(self._aws, target, self._interrupts, self._streams)
        while True:
            protocol = self._protocol(target)
            try:
                return self._attempt(target, protocol, task_probe)
            except HandshakeMissed as error:
                # The agent has started nothing, see DataChannel, and the session was ended. This happens once: the
                # next session waits for the handshake.
                if self._certain or not backoff.left:
                    raise
                self._certain = True
                self._streams.debug(f"{error}; opening another session")
                continue
            except (CannotOpenChannel, HandshakeRefused) as error:
                # During a handshake the agent drops all input and starts nothing, so another session is safe even
                # though input was sent.
                refused = isinstance(error, HandshakeRefused)
                if (protocol.committed and not refused) or not backoff.left:
                    raise
                if not self._through_binary and (prepared := self._fall_back(target, error)):
                    target = prepared
                    continue
                if not error.transient or backoff.left < _LEAST_ATTEMPT:
                    raise
                self._streams.debug(f"{error}; trying again")
                backoff.wait()
                if backoff.left < _LEAST_ATTEMPT:
                    raise
            except (ChannelLost, SessionEnded) as error:
                raise self._explained(error, target, protocol, task_probe) from error

    def _explained(
        self, error: EcsExecError, target: Target, protocol: SessionProtocol, task_probe: TaskProbe
    ) -> EcsExecError:
        """Return the error for the end of a session, with the cause that the task's description shows, if any."""
        reason = error.reason if isinstance(error, SessionEnded) else ""
        try:
            found = self._found(reason, protocol, task_probe)
        except Aborted:
            return error
        if not found or found[0].name == error.name:
            return error
        return SessionEnded(
            name=found[0].name,
            where=target.where(self._aws.region),
            effect=error.effect or _effect(protocol),
            said=error.said or str(error),
            also=found[1:],
            reason=reason,
            **found[0].fields,
        )

    def _found(self, reason: str, protocol: SessionProtocol, task_probe: TaskProbe) -> list[Found]:
        """Return the causes that the task's description shows for an end, the likeliest first. Raises Aborted."""
        if protocol.begun:
            found = task_probe.ended(reason)
            return [found] if found else []
        refusal = task_probe.refusal()
        return refusal.found if refusal else []

    def _attempt(self, target: Target, protocol: SessionProtocol, task_probe: TaskProbe) -> int:
        command = self._wrapped if isinstance(self._wrapped, str) else self._wrapped.command
        session = self._sessions.open(target, command, task_probe, self._backoff(), starts=protocol.committed)
        try:
            transport = self._transport(session, target, last=protocol.committed)
        except EcsExecError:
            self._sessions.terminate(session, TERMINATE_WITHIN)
            raise
        protocol.line = transport
        try:
            driver = SessionDriver(
                transport,
                protocol,
                str(target),
                limits=Limits(self._deadline, self._run.connect_timeout, self._run.timeout, self._intervals),
                terminate=lambda within: self._sessions.terminate(session, within),
                gone=task_probe.gone,
                interrupts=self._interrupts,
                streams=self._streams,
                clock=self._clock,
            )
            return driver.run()
        finally:
            transport.close()

    def _protocol(self, target: Target) -> SessionProtocol:
        if self._work is not None:
            return self._work.protocol(self._streams, str(target))
        if isinstance(self._wrapped, str):
            return RawProtocol(self._streams, str(target), announced=not self._through_binary)
        return ScriptProtocol(self._wrapped, self._streams, str(target), self._run.shell)

    def _fall_back(self, target: Target, error: EcsExecError) -> Target | None:
        """Change to session-manager-plugin if that is allowed and possible, and return the target that it needs.

        Returns None otherwise.
        """
        from ecs_exec.transport.session_manager_plugin import find_binary

        denied = isinstance(error, CannotOpenChannel) and error.refused
        if self._run.transport != "auto" or denied or isinstance(error.__cause__, (AwsError, TargetError)):
            return None  # AWS would refuse the program as well: it uses the same credentials
        try:
            find_binary(self._run.session_manager_plugin)
        except CannotOpenChannel:
            return None
        self._through_binary = True
        with self._interrupts.immediate():
            prepared = self._prepared_for_binary(target)
        self._streams.say(f"{error}; continuing with session-manager-plugin")
        return prepared

    def _prepared_for_binary(self, target: Target) -> Target:
        """Find the program, and add the runtime id to the target, before a session is opened: both may be missing."""
        from ecs_exec.transport.session_manager_plugin import find_binary

        find_binary(self._run.session_manager_plugin)
        return self._retry(lambda: with_runtime_id(target, self._aws))

    def _retry(self, call: Callable[[], T]) -> T:
        """Make a call, and retry it after transient failures until `connect-timeout`. Raises the last failure."""
        backoff = self._backoff()
        said = False
        while True:
            try:
                return call()
            except (AwsError, TargetError) as error:
                if not error.transient or not backoff.left:
                    raise
                if isinstance(error, TargetError) and not said:
                    self._streams.say(f"waiting up to {backoff.left:.0f} s: {error}")
                    said = True
                self._streams.debug(f"{error}; trying again")
            backoff.wait()

    def _backoff(self) -> Backoff:
        return Backoff(self._deadline, self._interrupts, self._clock)

    # --- Transports

    def _transport(self, session: Session, target: Target, *, last: bool) -> Transport:
        if not self._through_binary:
            from ecs_exec.transport import native, opening
            from ecs_exec.transport.encryption import KmsEncryption

            return native.NativeTransport(
                session,
                resume=lambda: self._sessions.resume(session),
                wake=self._interrupts.wake,
                limits=native.Limits(connect=self._time_to_connect(last=last)),
                debug=self._streams.debug,
                encryption=KmsEncryption(self._data_key, session.session_id, lambda: self._ssm_name(target)),
                access=opening.Access(
                    session.region,
                    self._sessions.credentials,
                    self._access.ssmmessages_endpoint,
                    self._aws.ca_bundle,
                ),
                certain=self._certain,
            )
        from ecs_exec.transport.session_manager_plugin import SessionManagerPluginTransport

        return SessionManagerPluginTransport(
            self._moved(session),
            binary=self._run.session_manager_plugin,
            profile=self._access.profile,
            ssm_endpoint=self._aws.ssm_endpoint,
            environment=self._child_environment(),
            wake=self._interrupts.wake,
        )

    def _moved(self, session: Session) -> Session:
        """Return the session with a stream URL that leads to `ssmmessages-endpoint`, if that is set."""
        if self._access.ssmmessages_endpoint is None:
            return session
        from ecs_exec.transport.stream_url import moved

        return session._replace(stream_url=moved(session.stream_url, self._access.ssmmessages_endpoint))

    def _time_to_connect(self, *, last: bool) -> float:
        """Return the seconds for opening our own channel.

        It is a third of the time left, at least three seconds: the rest is for another session or for
        session-manager-plugin. With `last` no other attempt may follow, so it is all of the time.
        """
        left = self._deadline - self._clock() - _TELL_WITHIN
        return max(_LEAST_ATTEMPT - _TELL_WITHIN, left if last else min(left, max(3.0, left / 3)))

    def _ssm_name(self, target: Target) -> str:
        with self._interrupts.immediate():
            return with_runtime_id(target, self._aws).ssm_name

    def _data_key(self, key_id: str, context: Mapping[str, str]) -> tuple[bytes, bytes]:
        with self._interrupts.immediate():
            return self._aws.generate_data_key(key_id, context)

    def _child_environment(self) -> dict[str, str]:
        """Return the environment for session-manager-plugin, with the credentials of the settings."""
        from ecs_exec.settings.child import child_environment

        named = self._access.access_key_id or self._access.assume_role_arn
        credentials = self._aws.credentials_environment() if named else None
        return child_environment(self._environ, credentials, self._access.endpoint_url, self._aws.ca_bundle)


def _effect(protocol: SessionProtocol) -> str:
    """Return the words for the effect of a session's end on the command."""
    return f"{protocol.what} may have run, completely or in part" if protocol.committed else "nothing was started"


def _wrapped(execution: Execution) -> shell_wrapper.Wrapped | str:
    """Return the string for ecs:ExecuteCommand, wrapped if there is a shell.

    Raises SettingsError for a command without a shell that is empty or has an open quote.
    """
    run, command = execution.run, execution.command
    if not run.shell:
        try:
            words = shell_wrapper.split(command)
        except ValueError as error:
            raise SettingsError(name="command-not-split", why=error) from error
        if not words:
            raise SettingsError(name="command-empty")
        return words
    return shell_wrapper.wrap(
        command,
        nonce=shell_wrapper.new_nonce(),
        shell=run.shell,
        user=run.user,
        workdir=run.workdir,
        tty=run.tty,
        env=run.env,
    )
