"""Opens sessions in a container, with retries while the container may still become ready, and ends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecs_exec.ecs.api import Aws
from ecs_exec.ecs.target import Target
from ecs_exec.ecs.task_status import TaskProbe
from ecs_exec.errors import AwsError, CommandError, EcsExecError
from ecs_exec.retry import Backoff
from ecs_exec.signals import Interrupts
from ecs_exec.signing import Credentials
from ecs_exec.streams import OutputStreams
from ecs_exec.transport import Resumed, Session

TERMINATE_WITHIN = 0.35
"""Seconds for ssm:TerminateSession while an abort waits for it."""

_ANSWER_WITHIN = 0.6
"""Seconds that an abort waits for the answer of ecs:ExecuteCommand: without its session id the session could not be
ended."""

_NOTHING_STARTED = frozenset({"InvalidParameterException", "TargetNotConnectedException", "ThrottlingException"})
"""Error codes after which the command cannot have been started."""

_UNCLEAR = frozenset({"ClientException", "InvalidParameterException", "TargetNotConnectedException"})
"""Error codes that do not say what is wrong: the task's description may."""


class Sessions:
    """Opens, resumes and ends the sessions of one run."""

    def __init__(self, aws: Aws, interrupts: Interrupts, streams: OutputStreams) -> None:
        """Take the calls, the signals and the output streams; no call is made."""
        self._aws = aws
        self._interrupts = interrupts
        self._streams = streams
        self._told = False

    def open(self, target: Target, command: str, task_probe: TaskProbe, backoff: Backoff, *, starts: bool) -> Session:
        """Call ecs:ExecuteCommand until it returns a session.

        `starts` says whether the command starts with the session. Then another attempt follows only a refusal after
        which the command cannot have been started. Raises EcsExecError. Raises Aborted, after it has ended a session
        that was opened.
        """
        while (answer := self._tried(target, command, task_probe, backoff, starts=starts)) is None:
            backoff.wait()
        session = self._session(target, answer)
        # A signal came while the answer was awaited: end the session here, because no caller will know it.
        if self._interrupts.received:
            self.terminate(session, TERMINATE_WITHIN)
        self._interrupts.check()
        return session

    def _tried(
        self, target: Target, command: str, task_probe: TaskProbe, backoff: Backoff, *, starts: bool
    ) -> Mapping[str, object] | None:
        """Make one attempt. Returns None if another one should follow; raises AwsError if none should."""
        try:
            return self._call(target, command)
        except AwsError as error:
            failure = self._judged(error, target, task_probe)
            may_repeat = failure.transient and not (starts and error.code not in _NOTHING_STARTED)
            if not may_repeat or not backoff.left:
                raise failure from error
            self._streams.debug(f"{error}; trying again")
            self._tell_wait(target, failure, backoff)
            return None

    def _call(self, target: Target, command: str) -> Mapping[str, object]:
        with self._interrupts.immediate(grace=_ANSWER_WITHIN):
            return self._aws.execute_command(target.cluster, target.task, target.container, command)

    def _judged(self, error: AwsError, target: Target, task_probe: TaskProbe) -> AwsError:
        """Return a refusal with the cause that the task's description shows; it is not transient if that is final."""
        refusal = task_probe.refusal() if error.code in _UNCLEAR else None
        if refusal is None:
            return error
        refused: dict[str, Any] = {
            "where": target.where(self._aws.region),
            "said": error.said or error.what,
            "code": error.code,
        }
        if refusal.found:
            first, *also = refusal.found
            transient = not refusal.final and (error.transient or error.code in _NOTHING_STARTED)
            return AwsError(name=first.name, also=also, transient=transient, **refused, **first.fields)
        if error.code != "TargetNotConnectedException":
            return error
        return AwsError(name="sessions-in-use", transient=True, **refused)

    def _tell_wait(self, target: Target, failure: AwsError, backoff: Backoff) -> None:
        """Log once that the plugin waits for a session, and why."""
        if self._told or failure.code not in _UNCLEAR:
            return
        self._told = True
        from ecs_exec.errors.causes.line import says

        self._streams.say(f"waiting up to {backoff.left:.0f} s for a session in {target}: {says(failure)}")

    def _session(self, target: Target, answer: Mapping[str, object]) -> Session:
        described = answer.get("session")
        if not isinstance(described, Mapping) or not described.get("streamUrl"):
            said = "ecs:ExecuteCommand returned no session"
            raise CommandError(name="not-aws", where=target.where(self._aws.region), said=said)
        if not str(described["streamUrl"]).lower().startswith("wss://") and not self._aws.is_plain:
            said = "ecs:ExecuteCommand returned no encrypted channel: its stream URL does not begin with wss://"
            raise CommandError(name="not-aws", where=target.where(self._aws.region), said=said)
        self._streams.debug(f"session {described.get('sessionId')} for {target}")
        return Session(
            str(described.get("sessionId", "")),
            str(described["streamUrl"]),
            str(described.get("tokenValue", "")),
            self._aws.region,
            target.ssm_name if target.runtime_id else "",
        )

    def resume(self, session: Session) -> Resumed:
        """Call ssm:ResumeSession. The token is empty if the session is over. Raises AwsError or Aborted."""
        with self._interrupts.immediate():
            return Resumed(*self._aws.resume_session(session.session_id))

    def credentials(self) -> Credentials:
        """Return the current credentials, renewed if necessary. Raises AwsError or Aborted."""
        with self._interrupts.immediate():
            return self._aws.credentials()

    def terminate(self, session: Session, within: float) -> bool:
        """End a session with ssm:TerminateSession within some seconds; return whether that worked.

        Never raises EcsExecError: the credentials may lack the permission.
        """
        ended = False
        try:
            with self._interrupts.at_most(within):
                self._aws.terminate_session(session.session_id)
                ended = True
        except EcsExecError as error:
            self._streams.debug(str(error))
        return ended
