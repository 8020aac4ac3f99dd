"""Every error the plugin raises on purpose.

EcsExecError
  +-- SettingsError          a setting or a node attribute cannot be used
  +-- TargetError            no task or container fits the node or the step
  +-- AwsError               an AWS call was refused or could not be made
  +-- DeploymentError        a deployment of a service did not succeed
  +-- Incomplete             not all nodes could be read
  |     +-- RefreshTimeout       not within `refresh-timeout`
  +-- CommandError           the far side could not begin the command, or its end was not seen
  |     +-- SessionEnded         the session ended before the command did
  |     +-- SessionDisturbed     something in the container wrote marks of its own into the session
  +-- TransportError         the connection to the container failed
        +-- CannotOpenChannel    the data channel could not be opened; nothing was started
        +-- HandshakeRefused     the agent asks for something that this transport cannot do; nothing was started
        +-- HandshakeMissed      the agent asks for a handshake after input was sent; nothing was started
        +-- ChannelLost          an open channel broke for good
        +-- ProtocolError        the far side broke the data channel's rules

ecs_exec.errors.causes.line makes one line for the operator from the fields of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ecs_exec.record import NamedTuple

EXIT_TIMEOUT = 124
"""The command ran longer than `timeout` allows."""

EXIT_NOT_RUN = 125
"""The command could not be run, or its end was not seen."""

EXIT_ABORTED = 143
"""The plugin got a signal to stop (128 + SIGTERM)."""


class Where(NamedTuple):
    """The place of a failure. An empty field is not known or does not matter."""

    cluster: str = ""
    """Cluster, task and container are names or ids here, not ARNs."""
    task: str = ""
    container: str = ""
    region: str = ""

    def __str__(self) -> str:
        """Return the place in words, for example `container web of task 1a2b in cluster prod, eu-west-1`."""
        container = f"container {self.container} of " if self.container else ""
        task = f"{container}task {self.task} in " if self.task else ""
        parts = [f"{task}cluster {self.cluster}" if self.cluster else "", self.region]
        return ", ".join(part for part in parts if part)


class EcsExecError(Exception):
    """Root of the tree; never raised itself. Ends the plugin with exit status 125, if a subclass says nothing else."""

    transient = False
    """Whether a retry may help."""

    kind = ""
    """Name of the cause, if the error is raised without one."""

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
        """Take the content of the line.

        `name` is the name of a cause in ecs_exec.errors.causes, which has its words and its cure; `fields` fill in
        their placeholders. `where` is the place, `effect` what the failure means for the command, `said` the words of
        AWS or of a program, `also` further causes. `what` replaces the words and the cure of the cause, if these are
        not enough.
        """
        super().__init__(what)
        self.what = what
        self.name = name or self.kind
        self.where = where
        self.effect = effect
        self.said = said
        self.also = tuple(also)
        self.fields = fields

    def add_effect(self, text: str) -> None:
        """Add what the failure means for the command or the step."""
        self.effect = f"{self.effect}; {text}" if self.effect else text

    def __str__(self) -> str:
        """Return the line for the operator."""
        from ecs_exec.errors.causes.line import line  # late: only needed after a failure

        return line(self)


class Finding(Protocol):
    """A further cause that AWS's descriptions show: its name, and the fields of its sentences."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def fields(self) -> Mapping[str, str]: ...  # noqa: D102


class SettingsError(EcsExecError):
    """One or more settings or node attributes cannot be used; the message names them all."""

    kind = "setting-invalid"


class TargetError(EcsExecError):
    """No task or container fits the node or the step."""

    def __init__(self, what: str = "", *, transient: bool = False, **more: Any) -> None:  # noqa: ANN401 - see the root
        """Take the root's arguments, and whether the missing task or container is still starting."""
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
        """Take the root's arguments, AWS's error code if there is one, and whether a retry may help."""
        super().__init__(what, **more)
        self.code = code
        self.transient = transient


class DeploymentError(EcsExecError):
    """A deployment of a service did not begin, or did not succeed. The step chooses the exit status."""

    kind = "deployment-unsuccessful"


class Incomplete(EcsExecError):
    """Not all nodes could be read, so the node source writes none."""

    kind = "nodes-incomplete"

    def __init__(self, lines: list[str]) -> None:
        """Take the lines for the operator: each names one thing that could not be read."""
        super().__init__("; ".join(lines))
        self.lines = lines


class RefreshTimeout(Incomplete):
    """Reading the nodes took longer than `refresh-timeout` allows. Ends the plugin with exit status 124."""

    kind = "refresh-timeout"


class CommandError(EcsExecError):
    """The far side could not begin the command, or the command's end was not seen."""

    kind = "command-not-run"


class SessionEnded(CommandError):
    """The session ended before the command did."""

    kind = "session-ended"

    def __init__(self, what: str = "", *, reason: str = "", **more: Any) -> None:  # noqa: ANN401 - see the root
        """Take the root's arguments, and the service's words about the end."""
        super().__init__(what, **more)
        self.reason = reason


class SessionDisturbed(CommandError):
    """Something in the container wrote marks of its own into the session; the command may still run."""

    kind = "session-disturbed"


class TransportError(EcsExecError):
    """The connection to the container failed."""

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
        """Take the root's arguments, and whether a retry may help.

        `refused`: the service was reached and does not accept these credentials, so another program would fail with
        them, too.
        """
        super().__init__(what, **more)
        self.transient = transient
        self.refused = refused


class HandshakeRefused(TransportError):
    """The agent asks for something that this transport cannot do; the command was not started."""

    kind = "handshake-refused"


class HandshakeMissed(TransportError):
    """The agent asks for a handshake after input was sent; the command was not started."""

    kind = "handshake-missed"

    transient = True


class ChannelLost(TransportError):
    """An open data channel broke and could not be resumed."""

    kind = "channel-lost"


class ProtocolError(TransportError):
    """The far side broke the data channel's rules."""

    kind = "channel-protocol"
