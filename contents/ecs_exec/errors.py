"""Every error the plugin raises on purpose.

EcsExecError
  +-- SettingsError          a setting or a node attribute cannot be used
  +-- TargetError            no task or container fits what was asked for
  +-- AwsError               an AWS call was refused or could not be made
  +-- Incomplete             not all nodes could be read
  |     +-- RefreshTimeout       not in the time that a refresh may take
  +-- CommandError           the far side could not begin the command, or its end was not seen
  |     +-- SessionEnded         the session was over before the command was
  +-- TransportError         the way to the container
        +-- CannotOpenChannel    the data channel could not be opened; nothing was started
        +-- HandshakeRefused     the agent asks for what this transport cannot do; nothing was started
        +-- HandshakeMissed      the agent asks for a handshake after it was sent input; nothing was started
        +-- ChannelLost          an open channel broke for good
        +-- ProtocolError        the far side broke the data channel's rules

Each message is one line for an operator: what failed, on what, and what to do about it.
"""

from __future__ import annotations

EXIT_TIMEOUT = 124
"""The command ran longer than `timeout` allows."""

EXIT_NOT_RUN = 125
"""The command could not be run, or its end was not seen."""

EXIT_ABORTED = 143
"""The plugin was asked to stop (128 + SIGTERM)."""


class EcsExecError(Exception):
    """Root of the tree; never raised itself. Ends the plugin with exit status 125."""

    transient = False
    """Whether to try again may help."""


class SettingsError(EcsExecError):
    """One or more settings or node attributes cannot be used; the message names them all."""


class TargetError(EcsExecError):
    """No task or container fits what was asked for."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        """Take the line for the operator, and whether what is missing is on its way."""
        super().__init__(message)
        self.transient = transient


class AwsError(EcsExecError):
    """An AWS call was refused or could not be made."""

    def __init__(self, message: str, *, code: str = "", transient: bool = False, brief: str = "") -> None:
        """Take the line for the operator, AWS's error code if there is one, and whether to try again may help.

        `brief` is AWS's own words alone, for a line that says more than they do.
        """
        super().__init__(message)
        self.code = code
        self.brief = brief or message
        self.transient = transient


class Incomplete(EcsExecError):
    """Not all nodes could be read, so none are told; each line names something that could not be."""

    def __init__(self, lines: list[str]) -> None:
        """Take the lines for the operator."""
        super().__init__("; ".join(lines))
        self.lines = lines


class RefreshTimeout(Incomplete):
    """Reading the nodes took longer than `refresh-timeout` allows. Ends the plugin with exit status 124."""


class CommandError(EcsExecError):
    """The far side could not begin the command, or the command's end was not seen."""


class SessionEnded(CommandError):
    """The session was over before the command was."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        """Take the line for the operator, and what the service said of the end."""
        super().__init__(message)
        self.reason = reason


class TransportError(EcsExecError):
    """The way to the container failed."""


class CannotOpenChannel(TransportError):
    """The data channel could not be opened; the command was not started."""

    def __init__(self, message: str, *, transient: bool = False, refused: bool = False) -> None:
        """Take the line for the operator, and whether the same may work a moment later.

        `refused`: it was reached and does not accept these credentials, so another program's attempt with them is vain.
        """
        super().__init__(message)
        self.transient = transient
        self.refused = refused


class HandshakeRefused(TransportError):
    """The agent asks for what this transport cannot do; the command was not started."""


class HandshakeMissed(TransportError):
    """The agent asks for a handshake after it was sent input; the command was not started."""

    transient = True


class ChannelLost(TransportError):
    """An open data channel broke and could not be resumed."""


class ProtocolError(TransportError):
    """The far side broke the data channel's rules."""
