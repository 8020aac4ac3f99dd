"""Every error the plugin raises on purpose.

EcsExecError
  +-- SettingsError          a setting or a node attribute cannot be used
  +-- TargetError            no task or container fits what was asked for
  +-- AwsError               an AWS call was refused or could not be made
  +-- Incomplete             not all nodes could be read
  |     +-- RefreshTimeout       not in the time that a refresh may take
  +-- CommandError           the far side could not begin the command, or its end was not seen
  |     +-- SessionEnded         the session was over before the command was
  |     +-- SessionDisturbed     something in the container wrote marks of its own into the session
  +-- TransportError         the way to the container
        +-- CannotOpenChannel    the data channel could not be opened; nothing was started
        +-- HandshakeRefused     the agent asks for what this transport cannot do; nothing was started
        +-- HandshakeMissed      the agent asks for a handshake after it was sent input; nothing was started
        +-- ChannelLost          an open channel broke for good
        +-- ProtocolError        the far side broke the data channel's rules

Each becomes one line for an operator, which ecs_exec.causes.line makes of its fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

EXIT_TIMEOUT = 124
"""The command ran longer than `timeout` allows."""

EXIT_NOT_RUN = 125
"""The command could not be run, or its end was not seen."""

EXIT_ABORTED = 143
"""The plugin was asked to stop (128 + SIGTERM)."""


class Where(NamedTuple):
    """The place of a failure; what is empty is not known or does not matter."""

    cluster: str = ""
    """Names or ids here, not ARNs."""
    task: str = ""
    container: str = ""
    region: str = ""

    def __str__(self) -> str:
        """Name it for the operator."""
        container = f"container {self.container} of " if self.container else ""
        task = f"{container}task {self.task} in " if self.task else ""
        parts = [f"{task}cluster {self.cluster}" if self.cluster else "", self.region]
        return ", ".join(part for part in parts if part)


class EcsExecError(Exception):
    """Root of the tree; never raised itself. Ends the plugin with exit status 125."""

    transient = False
    """Whether to try again may help."""

    kind = ""
    """The cause of an error without a name of its own."""

    def __init__(
        self,
        what: str = "",
        *,
        name: str = "",
        where: object = "",
        effect: str = "",
        said: str = "",
        also: Iterable[Finding] = (),
        **fields: object,
    ) -> None:
        """Take what the line says.

        `name` is that of a cause in ecs_exec.causes, which has the words and the cure; `fields` fill its sentences.
        `where` is the place, `effect` what it means for what was asked for, `said` the words of AWS or of a program,
        `also` holds further causes. `what` takes the place of the cause's words and cure, where they are not enough.
        """
        super().__init__(what)
        self.what = what
        self.name = name or self.kind
        self.where = where
        self.effect = effect
        self.said = said
        self.also = tuple(also)
        self.fields = fields

    def __str__(self) -> str:
        """Return the line for the operator."""
        from ecs_exec.causes.line import line  # only where something failed

        return line(self)


class Finding(Protocol):
    """A cause with the fields of its sentences, as descriptions of AWS show it."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def fields(self) -> Mapping[str, str]: ...  # noqa: D102


class SettingsError(EcsExecError):
    """One or more settings or node attributes cannot be used; the message names them all."""

    kind = "setting-invalid"


class TargetError(EcsExecError):
    """No task or container fits what was asked for."""

    def __init__(self, what: str = "", *, transient: bool = False, **more: Any) -> None:  # noqa: ANN401 - see the root
        """Take what the root takes, and whether what is missing is on its way."""
        super().__init__(what, **more)
        self.transient = transient


class AwsError(EcsExecError):
    """An AWS call was refused or could not be made."""

    kind = "call-not-made"

    def __init__(
        self,
        what: str = "",
        *,
        code: str = "",
        transient: bool = False,
        **more: Any,  # noqa: ANN401 - see the root
    ) -> None:
        """Take what the root takes, AWS's error code if there is one, and whether to try again may help."""
        super().__init__(what, **more)
        self.code = code
        self.transient = transient


class Incomplete(EcsExecError):
    """Not all nodes could be read, so none are told; each line names something that could not be."""

    kind = "nodes-incomplete"

    def __init__(self, lines: list[str]) -> None:
        """Take the lines for the operator."""
        super().__init__("; ".join(lines))
        self.lines = lines


class RefreshTimeout(Incomplete):
    """Reading the nodes took longer than `refresh-timeout` allows. Ends the plugin with exit status 124."""

    kind = "refresh-timeout"


class CommandError(EcsExecError):
    """The far side could not begin the command, or the command's end was not seen."""

    kind = "command-not-run"


class SessionEnded(CommandError):
    """The session was over before the command was."""

    kind = "session-ended"

    def __init__(self, what: str = "", *, reason: str = "", **more: Any) -> None:  # noqa: ANN401 - see the root
        """Take what the root takes, and what the service said of the end."""
        super().__init__(what, **more)
        self.reason = reason


class SessionDisturbed(CommandError):
    """Something in the container wrote marks of its own into the session; the command may still run."""

    kind = "session-disturbed"


class TransportError(EcsExecError):
    """The way to the container failed."""

    kind = "channel-not-opened"


class CannotOpenChannel(TransportError):
    """The data channel could not be opened; the command was not started."""

    def __init__(
        self,
        what: str = "",
        *,
        transient: bool = False,
        refused: bool = False,
        **more: Any,  # noqa: ANN401 - see the root
    ) -> None:
        """Take what the root takes, and whether the same may work a moment later.

        `refused`: it was reached and does not accept these credentials, so another program's attempt with them is vain.
        """
        super().__init__(what, **more)
        self.transient = transient
        self.refused = refused


class HandshakeRefused(TransportError):
    """The agent asks for what this transport cannot do; the command was not started."""

    kind = "handshake-refused"


class HandshakeMissed(TransportError):
    """The agent asks for a handshake after it was sent input; the command was not started."""

    kind = "handshake-missed"

    transient = True


class ChannelLost(TransportError):
    """An open data channel broke and could not be resumed."""

    kind = "channel-lost"


class ProtocolError(TransportError):
    """The far side broke the data channel's rules."""

    kind = "channel-protocol"
