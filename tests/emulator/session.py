"""One session: the command, the agent that runs it and its end of the data channel, the service in between."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from emulator import splitter, wire
from emulator.channel import Channel
from emulator.handshake import Handshake, HandshakeError, KeyService, failure_text
from emulator.link import Direction, Faults, Link
from emulator.processes import TAG
from emulator.quirks import Quirks
from emulator.terminal import StartError, Terminal
from emulator.utf8 import Utf8Carry
from emulator.wire import Payload
from emulator.world import Container, Task

_BUFFER = 4096  # the agent reads the terminal through a buffer of this size, then takes read_size out of it
_YIELD_EVERY = 16  # frames sent without a rest before others get their turn
_RESOLVED_BY_AGENT = "{{ssm:"
IDLE_TEXT = "Your session timed out due to inactivity and has been terminated"
FAILURE_HEAD = "\n----------ERROR-------\nUnable to start command: "


@dataclass(frozen=True)
class Place:
    """Where a command runs."""

    cluster: str
    task: Task
    container: Container
    target: str
    """The agent's name for itself, part of the KMS context."""


class Client:
    """One websocket of the client."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]], cut: Callable[[], None]) -> None:
        """Take how to send a binary frame and how to break the connection off without a goodbye."""
        self.send = send
        self.cut = cut


class Session:
    """A session from ExecuteCommand to its end; websockets of the client come and go."""

    def __init__(self, session_id: str, place: Place, command: str, quirks: Quirks, faults: Faults) -> None:
        """Make a session whose command has not started."""
        self.id = session_id
        self.place = place
        self.command = command
        self.quirks = quirks
        self.link = Link(faults, f"{place.target}/{command}")
        self.token = self.new_token()
        self.spent_tokens: set[str] = set()
        self.client_id = ""
        self.argv: list[str] = []
        self.starts = 0
        self.state = "starting"
        self.ended_by = ""
        self.output = ""
        self.exit_code: int | None = None
        self.resumes = self.opens = 0
        self.upgrades: list[dict[str, Any]] = []
        """Requests for a websocket: `how` they were signed, by which `accessKey`, and the `status` of the answer."""
        self.violations: list[str] = []
        self.created = time.time()
        self.ended = asyncio.Event()
        self.channel = Channel(quirks, self._to_client, self._input, self.violations.append)
        self.terminal: Terminal | None = None
        self.handshake: Handshake | None = None
        self._shaken = quirks.handshake == "none"
        self._deaf = False
        self._client: Client | None = None
        self._run: asyncio.Task[None] | None = None
        self._helpers: set[asyncio.Task[None]] = set()
        self._waits: set[asyncio.Future[None]] = set()
        self._stopping = False
        self._active = time.monotonic()
        self._agent_away = False
        if quirks.absent_client == "pause":
            self.channel.pause()

    @property
    def pid(self) -> int:
        """The command's process, 0 if there is none that has not been reaped."""
        return self.terminal.pid if self.terminal and self.exit_code is None else 0

    def new_token(self) -> str:
        """Make the token that opens the next websocket; the one before is void."""
        self.token = secrets.token_urlsafe(48)
        return self.token

    def report(self) -> dict[str, Any]:
        """Return what tests ask about."""
        channel = self.channel
        return {
            "sessionId": self.id,
            "cluster": self.place.cluster,
            "task": self.place.task.id,
            "container": self.place.container.name,
            "command": self.command,
            "argv": self.argv,
            "starts": self.starts,
            "state": self.state,
            "endedBy": self.ended_by,
            "output": self.output,
            "exitCode": self.exit_code,
            "pid": self.pid,
            "opens": self.opens,
            "resumes": self.resumes,
            "upgrades": list(self.upgrades),
            "clientVersion": self.handshake.client_version if self.handshake else "",
            "framesSent": channel.sent,
            "framesResent": channel.resent,
            "framesReceived": channel.received,
            "duplicatesReceived": channel.duplicates,
            "unacknowledged": channel.unacknowledged,
            "deaf": self._deaf,
            "violations": list(self.violations),
        }

    # The agent

    def start(self, keys: KeyService, key_id: str) -> None:
        """Set the agent to work; returns at once."""
        if not self._shaken:
            self.handshake = Handshake(self.quirks, self.id, self.place.target, keys, key_id)
        self._run = asyncio.create_task(self._agent())
        if self.quirks.resend:
            self._helper(self.channel.resend_forever())
        if self.quirks.idle_timeout:
            self._helper(self._watch_idleness())

    def _helper(self, work: Any) -> None:  # noqa: ANN401 - a coroutine of no result
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)

    async def _agent(self) -> None:
        if _RESOLVED_BY_AGENT in self.command:  # the agent fails to resolve it and only logs that
            self.state = "unresolved"
            return
        await asyncio.sleep(self.quirks.pty_delay)
        try:
            if self.handshake is not None:
                self.state = "handshake"
                await asyncio.sleep(self.quirks.handshake_delay)
                await self.handshake.perform(self.channel)
                self._shaken = True
            if self.quirks.end_text:
                await self._finish("refused", self.quirks.end_text)
                return
            self._start_command()
        except HandshakeError as exc:
            await self._finish("handshake failed", failure_text(exc))
        except (StartError, splitter.SplitError) as exc:
            await asyncio.sleep(self.quirks.fail_pause)
            prefix = "Failed to start pty" if isinstance(exc, StartError) else "Failed to parse commands input"
            await self._finish("not started", f"{FAILURE_HEAD}{prefix}: {exc}\n")
        except _EmptyCommandError as exc:
            await self._finish("not started", str(exc))
        else:
            await self._pump()
            await self._end_of_command()

    def _start_command(self) -> None:
        if not self.command.strip():
            raise _EmptyCommandError("Commands cannot be empty for session type InteractiveCommands")
        self.argv = splitter.split(self.command)
        if not self.argv:
            raise _EmptyCommandError("")
        container = self.place.container
        env = {"LANG": "C.UTF-8", **self.place.task.environment(container)}
        env |= {"TERM": "xterm-256color", "HOME": "/root", TAG: self.id}
        self.terminal = Terminal.start(self.argv, env, container.workdir, container.programs)
        self.starts += 1
        self.state = "running"

    async def _pump(self) -> None:
        """Carry the terminal's output to the client until all who hold the terminal are gone."""
        await asyncio.sleep(self.quirks.start_delay)
        carry = Utf8Carry()
        buffer = b""
        frames = 0
        while True:
            await self.channel.flowing()
            if not buffer and not (buffer := await self._read()):
                return
            piece, buffer = buffer[: self.quirks.read_size], buffer[self.quirks.read_size :]
            payload = carry.feed(piece) if self.quirks.mangle_utf8 else piece
            if payload and self.handshake and self.handshake.cipher:
                payload = self.handshake.cipher.encrypt(payload)
            await self.channel.send(Payload.OUTPUT, payload)
            frames += 1
            if self.quirks.pacing or frames % _YIELD_EVERY == 0:
                await asyncio.sleep(self.quirks.pacing)

    async def _read(self) -> bytes:
        """Return bytes of the terminal, none at its end."""
        assert self.terminal is not None
        while True:
            try:
                return os.read(self.terminal.master, max(_BUFFER, self.quirks.read_size))
            except BlockingIOError:
                await self._ready(self.terminal.master, "reader")
            except OSError as exc:
                if exc.errno == errno.EIO:
                    return b""
                raise

    async def _ready(self, descriptor: int, side: str) -> None:
        """Wait until a descriptor can be read or written, or the session is stopped."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        self._waits.add(ready)
        getattr(loop, f"add_{side}")(descriptor, _settle, ready)
        try:
            await ready
        finally:
            getattr(loop, f"remove_{side}")(descriptor)
            self._waits.discard(ready)

    async def _end_of_command(self) -> None:
        await self.channel.drained(self.quirks.drain_wait)
        await self._finish("command ended", "")
        await self._reap()

    async def _reap(self) -> None:
        """Wait for the direct child, which may outlive its terminal."""
        assert self.terminal is not None
        wait = 0.001
        while (status := self.terminal.reap()) is None:
            await asyncio.sleep(wait)
            wait = min(wait * 2, 0.1)
        self.exit_code = status
        self.terminal.close()

    async def _input(self, payload_type: int, payload: bytes) -> bool:
        """Take a payload of the client in its turn; False: not ready, let it be sent again."""
        self._active = time.monotonic()
        if not self._shaken and self.handshake:
            self.handshake.take(payload_type, payload)
            return True
        if payload_type == Payload.OUTPUT and self.handshake and self.handshake.cipher:
            try:
                payload = self.handshake.cipher.decrypt(payload)
            except ValueError as exc:
                self.violations.append(str(exc))
                return False
        if self.terminal is None or self.terminal.master < 0 or self._stopping:
            return False
        if payload_type == Payload.OUTPUT:
            return await self._type(self.terminal, payload)
        if payload_type == Payload.SIZE:
            return self._resize(self.terminal, payload)
        if payload_type != Payload.FLAG:  # the shell plugin acknowledges and ignores it
            self.violations.append(f"client sent payload type {payload_type}")
        return True

    async def _type(self, terminal: Terminal, payload: bytes) -> bool:
        if not payload:
            self.violations.append("client sent empty input")
        rest = memoryview(payload)
        while rest and not self._stopping:
            try:
                rest = rest[os.write(terminal.master, rest) :]
            except BlockingIOError:
                await self._ready(terminal.master, "writer")
            except OSError:  # nobody holds the terminal any more
                return False
        return not rest

    def _resize(self, terminal: Terminal, payload: bytes) -> bool:
        try:
            size = json.loads(payload)
            terminal.resize(int(size["rows"]), int(size["cols"]))
        except (ValueError, KeyError, TypeError, OSError) as exc:
            self.violations.append(f"size cannot be set: {exc!r}")
            return False
        return True

    async def _watch_idleness(self) -> None:
        while (rest := self._active + self.quirks.idle_timeout - time.monotonic()) > 0:  # noqa: ASYNC110 - the end moves
            await asyncio.sleep(rest)
        await self.terminate("idle", IDLE_TEXT)

    # The service

    async def terminate(self, ended_by: str, output: str = "", *, close: bool = True) -> None:
        """End the session as the service does: the agent kills its child and closes the terminal."""
        if self.ended.is_set():
            return
        self._stopping = True
        if self._run is not None:
            self._run.cancel()
            await asyncio.wait([self._run])
        for waiting in list(self._waits):
            _settle(waiting)
        await asyncio.sleep(0)  # they let go of the descriptor before it is closed
        if self.terminal is not None:
            self.terminal.kill()
            self.terminal.close()
            self._helper(self._reap())
        await self._finish(ended_by, output, close=close)

    async def _finish(self, ended_by: str, output: str, *, close: bool = True) -> None:
        if self.ended.is_set():
            return
        self.state, self.ended_by, self.output = "ended", ended_by, output
        self.ended.set()
        current = asyncio.current_task()
        for helper in list(self._helpers):
            if helper is not current and not _is_reaper(helper):
                helper.cancel()
        if close:
            await asyncio.sleep(self.quirks.close_delay)
            await self._say_closed()

    async def _say_closed(self) -> None:
        if self._client is not None:
            closed = wire.channel_closed(self.id, self.place.target, self.output)
            with contextlib.suppress(ConnectionError, RuntimeError):
                await self._client.send(closed)

    async def attach(self, client: Client) -> None:
        """Take the client's new websocket; the one before is cut."""
        if self._client is not None:
            self._client.cut()
        self._client = client
        self.opens += 1
        if self.ended.is_set():
            await self._say_closed()
        elif not self._agent_away:
            self.channel.resume()

    def detach(self, client: Client) -> None:
        """Forget a websocket that is gone."""
        if self._client is client:
            self._client = None
            if self.quirks.absent_client == "pause":
                self.channel.pause()

    async def receive(self, data: bytes) -> None:
        """Take a binary frame of the client and carry it over the link to the agent."""
        await self._carry("to_agent", data, self._at_agent)

    async def _to_client(self, data: bytes) -> None:
        if self._client is not None:
            await self._carry("to_client", data, self._at_client)

    async def _carry(self, direction: Direction, data: bytes, arrive: Callable[[bytes], Awaitable[None]]) -> None:
        if self._agent_away:
            return
        passage = self.link.passage(direction, data)
        if passage.agent_cut:
            self._helper(self._cut_agent_off())
            return
        if not passage.arrivals:
            self._helper(self._release(direction, arrive))
        for delay, arriving in passage.arrivals:
            if delay:
                self._helper(_later(delay, arrive, arriving))
            else:
                await arrive(arriving)
        if passage.cut and self._client is not None:
            self._client.cut()
            self.detach(self._client)

    async def _cut_agent_off(self) -> None:
        """Disconnect the agent for a while. The service sends the client a pause, and later the word to continue."""
        self._agent_away = True
        self.channel.pause()
        await self._at_client(wire.publication(wire.PAUSE_PUBLICATION))
        await asyncio.sleep(self.link.faults.agent_away)
        self._agent_away = False
        await self._at_client(wire.publication(wire.START_PUBLICATION))
        if self._client is not None or self.quirks.absent_client == "drop":
            self.channel.resume()

    async def _release(self, direction: Direction, arrive: Callable[[bytes], Awaitable[None]]) -> None:
        lane = self.link.faults.to_client if direction == "to_client" else self.link.faults.to_agent
        await asyncio.sleep(lane.hold)
        if (held := self.link.released(direction)) is not None:
            await arrive(held)

    async def _at_client(self, data: bytes) -> None:
        if self._client is not None:
            with contextlib.suppress(ConnectionError, RuntimeError):
                await self._client.send(data)

    async def _at_agent(self, data: bytes) -> None:
        try:
            frame = wire.decode(data)
        except wire.WireError as exc:
            self.violations.append(str(exc))
            return
        if frame.violations and not self.link.faults.to_agent.corrupt:
            self.violations.extend(f"{frame.message_type}: {fault}" for fault in frame.violations)
        self._deaf = self._deaf or self._panics(frame)
        if not self._deaf:
            await self.channel.receive(frame)

    def _panics(self, frame: wire.Frame) -> bool:
        """Return whether the agent decrypts this frame without a key, which ends its reading of the websocket.

        It still sends: its request for the handshake, again and again, until the handshake times out.
        """
        encrypted = self.quirks.handshake == "kms" and not self._shaken
        return encrypted and frame.message_type == wire.INPUT and frame.payload_type == Payload.OUTPUT


class _EmptyCommandError(Exception):
    """There is nothing to start."""


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _later(delay: float, arrive: Callable[[bytes], Awaitable[None]], data: bytes) -> None:
    await asyncio.sleep(delay)
    await arrive(data)


def _is_reaper(task: asyncio.Task[None]) -> bool:
    return getattr(task.get_coro(), "__name__", "") == "_reap"
