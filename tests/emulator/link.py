"""A bad link between client and agent: what happens to each frame on it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from emulator import wire

Direction = Literal["to_client", "to_agent"]


@dataclass(frozen=True)
class Lane:
    """Faults of one direction; each number but the last two is a probability per binary frame."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """The frame is held until the next one has passed (or `hold` is over)."""
    delay: float = 0.0
    corrupt: float = 0.0
    """One byte of the payload is changed, so that the digest is wrong."""
    corrupt_above: int = 0
    """Only if the payload is longer than this many bytes."""
    lose_acks: float = 0.0
    hold: float = 0.05
    """Seconds that a delayed or reordered frame waits at most."""
    every: float = 0.0
    """Seconds that every frame takes."""


@dataclass(frozen=True)
class Faults:
    """Faults between the client and the agent, and of the session API; none by default."""

    to_client: Lane = field(default_factory=Lane)
    to_agent: Lane = field(default_factory=Lane)
    seed: int = 0
    cut_after_frames: int = 0
    """Cut the client's websocket after this many frames in either direction; 0: do not."""
    cut_probability: float = 0.0
    """Cut it after a frame, at random."""
    cut_on: bytes = b""
    """Cut it right after a frame, in either direction, whose payload holds these bytes."""
    cuts: int = 1
    """How often a session is cut at most."""
    agent_cut_after_frames: int = 0
    """Cut the agent's own websocket after this many frames in either direction; 0: do not."""
    agent_cut_probability: float = 0.0
    """Cut it after a frame, at random."""
    agent_cuts: int = 1
    """How often the agent is cut off at most."""
    agent_away: float = 0.3
    """Seconds until it is back. Frames to it are lost meanwhile."""
    refuse_resume: int = 0
    """How many ResumeSession calls of a session fail; -1: all."""
    empty_resume_token: bool = False
    """ResumeSession answers with an empty token, as for a session that is over."""
    refuse_open: int = 0
    """How many websocket upgrades of a session are refused (HTTP 503); -1: all."""
    open_delay: float = 0.0
    """Seconds before a websocket upgrade is answered."""
    api_delays: Mapping[str, float] = field(default_factory=dict)
    """Action → seconds before its calls are looked at."""
    lost_answers: Mapping[str, int] = field(default_factory=dict)
    """Action → how many of its next calls take effect, but are answered with an error of the server."""
    api_errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Action → error codes that its next calls are answered with, one a call."""
    cut_answers: Mapping[str, int] = field(default_factory=dict)
    """Action → how many of its next calls take effect, and are then cut off before their answer."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Faults:
        """Read faults from JSON. Raises ValueError that names unknown switches."""
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown faults: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        ready = dict(values)
        try:
            for lane in ("to_client", "to_agent"):
                if lane in ready:
                    ready[lane] = Lane(**ready[lane])
            if "cut_on" in ready:
                ready["cut_on"] = str(ready["cut_on"]).encode()
            if "api_delays" in ready:
                ready["api_delays"] = {action: float(seconds) for action, seconds in ready["api_delays"].items()}
            if "api_errors" in ready:
                ready["api_errors"] = {action: tuple(codes) for action, codes in ready["api_errors"].items()}
        except (TypeError, AttributeError, ValueError) as exc:
            raise ValueError(f"faults cannot be read: {exc}") from exc
        return cls(**ready)


@dataclass(frozen=True)
class Passage:
    """The fate of a frame: bytes that arrive, each after a delay, and whether the websocket is cut then."""

    arrivals: tuple[tuple[float, bytes], ...]
    cut: bool = False
    agent_cut: bool = False
    """The agent is cut off, and the frame is lost."""


class Link:
    """The link of one session. Does no I/O: it takes frames and returns passages."""

    def __init__(self, faults: Faults, session_id: str) -> None:
        """Take the faults; the same seed gives the same session number the same fate."""
        self.faults = faults
        self._random = random.Random(f"{faults.seed}/{session_id}")  # noqa: S311 - repeatable, not secret
        self._held: dict[Direction, bytes | None] = {"to_client": None, "to_agent": None}
        self._frames = 0
        self._cuts = 0
        self._agent_frames = 0
        self._agent_cuts = 0

    def passage(self, direction: Direction, data: bytes) -> Passage:
        """Return what becomes of a frame."""
        if self._agent_cut():
            return Passage((), agent_cut=True)
        cut = self._cut(data)
        lane = self.faults.to_client if direction == "to_client" else self.faults.to_agent
        return Passage(tuple(self._arrivals(direction, lane, data)), cut)

    def released(self, direction: Direction) -> bytes | None:
        """Return a frame that was held for reordering and has waited long enough."""
        held, self._held[direction] = self._held[direction], None
        return held

    def _happens(self, probability: float) -> bool:
        return bool(probability) and self._random.random() < probability

    def _arrivals(self, direction: Direction, lane: Lane, data: bytes) -> list[tuple[float, bytes]]:
        acknowledges = data[4 : 4 + len(wire.ACKNOWLEDGE)] == wire.ACKNOWLEDGE.encode()
        if self._happens(lane.drop) or (acknowledges and self._happens(lane.lose_acks)):
            return []
        if len(data) - wire.HEADER.size > lane.corrupt_above and self._happens(lane.corrupt):
            data = self._corrupted(data)
        if self._held[direction] is None and self._happens(lane.reorder):
            self._held[direction] = data
            return []
        wait = lane.every + (self._random.uniform(0, lane.hold) if self._happens(lane.delay) else 0.0)
        arrivals = [(wait, data)] * (2 if self._happens(lane.duplicate) else 1)
        if (held := self.released(direction)) is not None:
            arrivals.append((wait, held))
        return arrivals

    def _corrupted(self, data: bytes) -> bytes:
        if len(data) <= wire.HEADER.size:
            return data
        at = self._random.randrange(wire.HEADER.size, len(data))
        return data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]

    def _agent_cut(self) -> bool:
        faults = self.faults
        self._agent_frames += 1
        if self._agent_cuts >= faults.agent_cuts:
            return False
        enough = faults.agent_cut_after_frames and self._agent_frames >= faults.agent_cut_after_frames
        wanted = bool(enough or self._happens(faults.agent_cut_probability))
        if wanted:
            self._agent_cuts += 1
            self._agent_frames = 0
        return wanted

    def _cut(self, data: bytes) -> bool:
        faults = self.faults
        self._frames += 1
        if self._cuts >= faults.cuts:
            return False
        wanted = (
            (faults.cut_after_frames and self._frames >= faults.cut_after_frames)
            or (faults.cut_on and faults.cut_on in data[wire.HEADER.size :])
            or self._happens(faults.cut_probability)
        )
        if wanted:
            self._cuts += 1
            self._frames = 0
        return bool(wanted)
