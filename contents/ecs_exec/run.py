"""Run one command on one target: from settings to an exit status."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ecs_exec import diagnosis, shell
from ecs_exec.aws import Aws
from ecs_exec.conversation import Conversation, Limits
from ecs_exec.dialogue import Dialogue, Marked, Plain
from ecs_exec.errors import (
    EXIT_ABORTED,
    AwsError,
    CannotOpenChannel,
    CommandError,
    EcsExecError,
    HandshakeRefused,
    SettingsError,
)
from ecs_exec.locate import locate, with_runtime_id
from ecs_exec.settings import Execution
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.sink import Sink
from ecs_exec.target import Described, Target
from ecs_exec.transport import Session, Transport

T = TypeVar("T")

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 8.0
"""Seconds before an attempt is repeated: at first, and at most."""

_SAFE_TO_REPEAT = frozenset({"ThrottlingException", "TargetNotConnectedException"})
"""Refusals after which nothing can have been started."""

_UNCLEAR = frozenset({"InvalidParameterException", "TargetNotConnectedException", "ClientException"})
"""Refusals that leave open what is wrong."""


_TERMINATE_WITHIN = 0.35
"""Seconds for ssm:TerminateSession while an abort waits for it."""


@dataclass(frozen=True)
class Work:
    """What a session is for, where it is not the execution's command alone."""

    wrapped: shell.Wrapped
    dialogue: Callable[[Sink, str], Dialogue]
    """Makes the talk of one session from where output goes and the container's name."""


class Runner:
    """One execution of a provider that runs something in a container."""

    def __init__(
        self,
        execution: Execution,
        environ: Mapping[str, str],
        interrupts: Interrupts,
        sink: Sink,
        *,
        clock: Callable[[], float] = time.monotonic,
        work: Work | None = None,
    ) -> None:
        """Take what is to be done; `environ` is what session-manager-plugin is given, but for Rundeck's variables."""
        self._run = execution.run
        self._wanted = execution.wanted
        self._access = execution.access
        self._environ = environ
        self._interrupts = interrupts
        self._sink = sink
        self._clock = clock
        self._deadline = clock() + self._run.connect_timeout
        self._through_binary = self._run.transport == "session-manager-plugin"
        self._work = work
        self._wrapped = work.wrapped if work else _wrapped(execution)
        self._aws = Aws(execution.access, patience=self._run.connect_timeout)

    def run(self) -> int:
        """Run the command; return the exit status to end with. Raises EcsExecError where its own cannot be told."""
        try:
            with self._interrupts.immediate():
                target = self._repeated(lambda: locate(self._wanted, self._aws), lambda error: error.transient)
                if self._through_binary:
                    target = self._prepared_for_binary(target)
            return self._attempts(target)
        except Aborted:
            self._sink.say(f"aborted by {self._interrupts.name} before the command was started")
            return EXIT_ABORTED

    # --- Attempts

    def _attempts(self, target: Target) -> int:
        """Open sessions until one carries the command: never a second one after the command may have begun."""
        delay = _FIRST_DELAY
        while True:
            dialogue = self._dialogue(target)
            try:
                return self._attempt(target, dialogue)
            except (CannotOpenChannel, HandshakeRefused) as error:
                # During a handshake the agent throws input away and starts nothing, whatever was sent.
                refused = isinstance(error, HandshakeRefused)
                if (dialogue.committed and not refused) or self._clock() >= self._deadline:
                    raise
                if not self._through_binary and (prepared := self._fallen_back(target, error)):
                    target = prepared
                    continue
                if refused or self._clock() + delay >= self._deadline:
                    raise
                self._sink.debug(f"{error}; trying again")
            with self._interrupts.immediate():
                time.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            delay = min(2 * delay, _LONGEST_DELAY)

    def _attempt(self, target: Target, dialogue: Dialogue) -> int:
        session = self._open_session(target, dialogue)
        try:
            transport = self._transport(session)
        except EcsExecError:
            self._terminate(session, _TERMINATE_WITHIN)
            raise
        dialogue.line = transport
        try:
            return self._conversation(session, transport, dialogue, target).to_the_end()
        finally:
            transport.close()

    def _conversation(self, session: Session, transport: Transport, dialogue: Dialogue, target: Target) -> Conversation:
        return Conversation(
            transport,
            dialogue,
            str(target),
            limits=Limits(self._deadline, self._run.connect_timeout, self._run.timeout),
            terminate=lambda within: self._terminate(session, within),
            interrupts=self._interrupts,
            sink=self._sink,
            clock=self._clock,
        )

    def _dialogue(self, target: Target) -> Dialogue:
        if self._work is not None:
            return self._work.dialogue(self._sink, str(target))
        if isinstance(self._wrapped, str):
            return Plain(self._sink, str(target), announced=not self._through_binary)
        return Marked(self._wrapped, self._sink, str(target), self._run.shell)

    def _fallen_back(self, target: Target, error: EcsExecError) -> Target | None:
        """Turn to session-manager-plugin where that is allowed and possible; return the target that it needs."""
        from ecs_exec.transport.session_manager_plugin import find_binary

        if self._run.transport != "auto":
            return None
        try:
            find_binary(self._run.session_manager_plugin)
        except CannotOpenChannel:
            return None
        self._through_binary = True
        with self._interrupts.immediate():
            prepared = self._prepared_for_binary(target)
        self._sink.say(f"{error}; going on with session-manager-plugin")
        return prepared

    def _prepared_for_binary(self, target: Target) -> Target:
        """Find the binary and the runtime id before a session is opened for them."""
        from ecs_exec.transport.session_manager_plugin import find_binary

        find_binary(self._run.session_manager_plugin)
        return self._repeated(lambda: with_runtime_id(target, self._aws), lambda error: error.transient)

    def _repeated(self, call: Callable[[], T], may_repeat: Callable[[AwsError], bool]) -> T:
        """Make a call, again after failures that may pass, until `connect-timeout`."""
        delay = _FIRST_DELAY
        while True:
            try:
                return call()
            except AwsError as error:
                if not may_repeat(error) or self._clock() + delay >= self._deadline:
                    raise
                self._sink.debug(f"{error}; trying again")
            with self._interrupts.immediate():
                time.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            delay = min(2 * delay, _LONGEST_DELAY)

    # --- Sessions

    def _open_session(self, target: Target, dialogue: Dialogue) -> Session:
        """Call ecs:ExecuteCommand. A signal waits a little for the answer, so that the session can be ended."""
        command = self._wrapped if isinstance(self._wrapped, str) else self._wrapped.command

        def call() -> Mapping[str, object]:
            with self._interrupts.immediate(grace=0.6):
                return self._aws.execute_command(target.cluster, target.task, target.container, command)

        def may_repeat(error: AwsError) -> bool:
            return error.code in _SAFE_TO_REPEAT if dialogue.committed else error.transient

        try:
            answer = self._repeated(call, may_repeat)
        except AwsError as error:
            raise self._explained(error, target) from error
        session = self._session(target, answer)
        if self._interrupts.received:
            self._terminate(session, _TERMINATE_WITHIN)
        self._interrupts.check()
        return session

    def _explained(self, error: AwsError, target: Target) -> AwsError:
        """Add to a refusal the cause that the task's description shows, where one may look at it."""
        if error.code not in _UNCLEAR:
            return error
        try:
            with self._interrupts.immediate():
                found, _ = self._aws.describe_tasks(target.cluster, [target.task])
                definition = self._definition(found[0]) if found else None
        except AwsError as other:
            self._sink.debug(f"no diagnosis: {other}")
            return error
        why = diagnosis.cause(found[0] if found else None, definition, target.container)
        return AwsError(f"{target} cannot be reached: {why} [{error}]", code=error.code) if why else error

    def _definition(self, task: Described) -> Mapping[str, object] | None:
        try:
            return self._aws.describe_task_definition(str(task.get("taskDefinitionArn", "")))
        except AwsError as other:
            self._sink.debug(f"diagnosis without the task definition: {other}")
            return None

    def _session(self, target: Target, answer: Mapping[str, object]) -> Session:
        described = answer.get("session")
        if not isinstance(described, Mapping) or not described.get("streamUrl"):
            raise CommandError(f"ecs:ExecuteCommand gave no session for {target}")
        self._sink.debug(f"session {described.get('sessionId')} for {target}")
        return Session(
            str(described.get("sessionId", "")),
            str(described["streamUrl"]),
            str(described.get("tokenValue", "")),
            self._aws.region,
            target.ssm_name if target.runtime_id else "",
        )

    def _transport(self, session: Session) -> Transport:
        if not self._through_binary:
            from ecs_exec.transport import native

            return native.NativeTransport(
                session,
                resume=lambda: self._aws.resume_session(session.session_id),
                wake=self._interrupts.wake,
                limits=native.Limits(connect=max(1.0, self._deadline - self._clock())),
                debug=self._sink.debug,
                ca_bundle=self._aws.ca_bundle,
            )
        from ecs_exec.transport.session_manager_plugin import SessionManagerPluginTransport

        return SessionManagerPluginTransport(
            session,
            binary=self._run.session_manager_plugin,
            profile=self._access.profile,
            ssm_endpoint=self._aws.ssm_endpoint,
            environment=self._child_environment(),
            wake=self._interrupts.wake,
        )

    def _child_environment(self) -> dict[str, str]:
        """Give session-manager-plugin the same credentials, and nothing of Rundeck's: options may be secret."""
        environment = {name: value for name, value in self._environ.items() if not name.startswith("RD_")}
        if self._access.access_key_id or self._access.assume_role_arn:
            for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
                environment.pop(name, None)
            environment |= self._aws.credentials_environment()
        if self._access.endpoint_url:
            environment["AWS_ENDPOINT_URL"] = self._access.endpoint_url
        return environment

    def _terminate(self, session: Session, within: float) -> None:
        """End a session by ssm:TerminateSession, which the credentials need not be allowed; never raises."""
        try:
            with self._interrupts.at_most(within):
                self._aws.terminate_session(session.session_id)
        except EcsExecError as error:
            self._sink.debug(str(error))


def _wrapped(execution: Execution) -> shell.Wrapped | str:
    """Make the string for ecs:ExecuteCommand. Raises SettingsError where the command cannot be run at all."""
    run, command = execution.run, execution.command
    if not run.shell:
        try:
            words = shell.split(command)
        except ValueError as error:
            raise SettingsError(f"the command cannot be split into words: {error}; shell is none") from error
        if not words:
            raise SettingsError("the command is empty, and shell is none")
        return words
    return shell.wrap(
        command,
        nonce=shell.new_nonce(),
        shell=run.shell,
        user=run.user,
        workdir=run.workdir,
        tty=run.tty,
        env=run.env,
    )
