"""How the far end behaves. Each habit of the real agent and service is a switch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

Handshake = Literal["none", "plain", "kms"]
Absent = Literal["pause", "drop"]
Upgrade = Literal["signed", "either", "unsigned", "none"]


@dataclass(frozen=True)
class Quirks:
    """Habits of the agent and of the service before it; the defaults are those of the real ones, times in seconds."""

    start_delay: float = 1.0
    """Output is not read before this."""
    pacing: float = 0.001
    """Rest after each read."""
    read_size: int = 1024
    """Largest payload of output."""
    fail_pause: float = 2.0
    """Rest before a command that cannot be started is reported."""
    drain_wait: float = 2.0
    """How long the end waits for acknowledgements."""
    close_delay: float = 0.0
    """From the agent's last word to channel_closed."""
    idle_timeout: float = 1200.0
    """A session whose client sends nothing, sizes included, ends after this; 0: never."""
    session_limit: int = 2
    """Sessions that a container may have at a time; 0: any number."""
    mangle_utf8: bool = True
    """Output goes through characters and back."""
    ack_before_ready: bool = False
    """Acknowledge and drop input that comes before the command's terminal; else the client must send it again."""
    pty_delay: float = 0.0
    """From ExecuteCommand to the command's start."""
    handshake: Handshake = "none"
    handshake_delay: float = 0.0
    """From the moment that the agent takes frames to its request for a handshake."""
    handshake_timeout: float = 15.0
    kms_key: str = ""
    """Key id or ARN for `handshake: kms`; empty: the emulator makes one."""
    require_kms_challenge: bool = False
    """Refuse a client that does not put the challenge into the encryption context."""
    absent_client: Absent = "pause"
    """The service, with no client on the channel: pauses the agent, or drops what it sends."""
    upgrade: Upgrade = "signed"
    """The service opens websockets that are signed, either, only unsigned, or none; a wrong signature opens none."""
    presigned: float = 0.0
    """Stream URLs are presigned and valid for so many seconds; 0: they are not presigned."""
    resume_url: bool = True
    """ssm:ResumeSession's answer holds a stream URL."""
    single_use_tokens: bool = False
    """A token opens one websocket only."""
    end_text: str = ""
    """The agent runs nothing, and the session ends with this text."""
    stop_closes: bool = True
    """A task that stops closes its sessions; else they fall silent."""
    stop_takes: float = 0.0
    """From StopTask to STOPPED, through the statuses between."""
    start_takes: float = 0.0
    """From ecs:RunTask to RUNNING, through the statuses between."""
    kill_after: float = 30.0
    """From SIGTERM to SIGKILL for the processes of a task of ecs:RunTask that is stopped."""
    log_delay: float = 0.0
    """Until CloudWatch Logs shows what a container has written."""
    resend: bool = True
    """Retransmit the oldest frame that is not acknowledged."""

    @classmethod
    def fast(cls) -> Quirks:
        """Return the same far end without its rests, for tests."""
        return cls(start_delay=0.0, pacing=0.0, fail_pause=0.0)

    def updated(self, values: Mapping[str, Any]) -> Quirks:
        """Return a copy with some switches set, texts converted; raise ValueError that names each fault."""
        known = {field.name: getattr(Quirks, field.name) for field in fields(Quirks)}
        converted: dict[str, Any] = {}
        faults = []
        for name, value in values.items():
            if name not in known:
                faults.append(f"agent.{name} is unknown; known are {', '.join(sorted(known))}")
                continue
            try:
                converted[name] = _convert(name, known[name], value)
            except ValueError as exc:
                faults.append(f"agent.{name}: {exc}")
        if faults:
            raise ValueError("; ".join(faults))
        return replace(self, **converted)


_CHOICES: dict[str, tuple[str, ...]] = {
    "handshake": get_args(Handshake),
    "absent_client": get_args(Absent),
    "upgrade": get_args(Upgrade),
}
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _convert(name: str, default: object, value: object) -> object:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ValueError(f"{value!r} is none of {', '.join(_CHOICES[name])}")
        return value
    if isinstance(default, bool):
        if str(value).lower() not in _TRUTH:
            raise ValueError(f"{value!r} is neither true nor false")
        return _TRUTH[str(value).lower()]
    if isinstance(default, str):
        return str(value)
    number = _number(value, whole=isinstance(default, int))
    if number < 0:
        raise ValueError(f"{value!r} is negative")
    return number


def _number(value: object, *, whole: bool) -> float:
    try:
        return int(str(value)) if whole else float(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a {'whole ' if whole else ''}number") from None
