"""One session's data channel, without I/O.

The owner passes frames, input and the time in, and takes events and frames to send out. Times are seconds of one
monotonic clock; the channel never reads a clock itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from ecs_exec.errors import ChannelLost, HandshakeMissed, ProtocolError
from ecs_exec.ssm import messages, payloads
from ecs_exec.ssm.delivery import Inbox, Outbox
from ecs_exec.ssm.events import Closed, Event, Output, Ready
from ecs_exec.ssm.handshake import Encryption, Handshake
from ecs_exec.ssm.messages import MAX_INPUT, Message, PayloadType

_PRINTED = frozenset((PayloadType.OUTPUT, PayloadType.STDERR))

MAX_WAITING = 1024 * 1024
"""Most bytes of input that may wait to be sent. An upload queues a quarter of this at a time, whenever the container
acknowledges what it got before. A container that acknowledges without getting anything would make us hold a whole file
in memory."""

HANDSHAKE_WITHIN = 0.33
"""Seconds after the agent's first sign of life within which its request for a handshake usually comes.

An agent that encrypts the session decrypts all input. It crashes over input that comes before it has the key
(amazon-ssm-agent 3.3, `datachannel.go`, `processStreamDataMessage`). So input waits. The agent sends its request when
it connects. If the service could not deliver the first one, it sends it again after 200 ms, which it checks every
100 ms. The wait does not delay a short command: the agent passes on no output in its first second.
"""


class State(Enum):
    """How far a channel has come; `_TRANSITIONS` is the same as a table.

    CHANNEL_CLOSED leads from every state to CLOSED. A trigger that is not named here leaves the state as it is.

    - NEW: no connection yet. OPENED, which sends the terminal's size: OPENING.
    - OPENING: the agent has given no sign of life, so input waits. SIZE_ACKNOWLEDGED: WAITING. REQUESTED: HANDSHAKE.
      PRINTED: OPEN.
    - WAITING: the agent is there and may still request a handshake, so input waits. TIMED_OUT: ASSUMED. REQUESTED:
      HANDSHAKE. PRINTED: OPEN.
    - ASSUMED: no request came in time. Input may be sent, but none was. INPUT_SENT: GUESSED. REQUESTED:
      LATE_HANDSHAKE. PRINTED: OPEN.
    - GUESSED: input was sent, although nothing proves yet that the agent needs no handshake. PRINTED: OPEN. A request
      now raises HandshakeMissed: the session is lost.
    - HANDSHAKE: the agent's request is answered. The agent drops input, so input waits. Output raises ProtocolError.
      COMPLETED, which sends the terminal's size again: CONFIRMING.
    - LATE_HANDSHAKE: the same, but the owner has got the event Ready before. COMPLETED: OPEN.
    - CONFIRMING: the handshake is over, and input waits until the agent reads it. SIZE_ACKNOWLEDGED or PRINTED: OPEN.
    - OPEN: input is sent at once. A request for a handshake raises ProtocolError. Only CHANNEL_CLOSED leads out.
    - CLOSED: the service has reported the end of the session. Nothing is sent or taken in any more.
    """

    NEW = auto()
    OPENING = auto()
    WAITING = auto()
    ASSUMED = auto()
    GUESSED = auto()
    HANDSHAKE = auto()
    LATE_HANDSHAKE = auto()
    CONFIRMING = auto()
    OPEN = auto()
    CLOSED = auto()


class _Trigger(Enum):
    """What changes a channel's state."""

    OPENED = auto()
    """The owner made the first connection."""
    SIZE_ACKNOWLEDGED = auto()
    """The agent acknowledged the size that was sent at the beginning, or after the handshake."""
    TIMED_OUT = auto()
    """The wait for the agent's request is over."""
    INPUT_SENT = auto()
    REQUESTED = auto()
    """The agent requested a handshake, and input was not sent before."""
    COMPLETED = auto()
    """The agent completed the handshake."""
    PRINTED = auto()
    """The agent sent output."""
    CHANNEL_CLOSED = auto()


_TRANSITIONS: dict[State, dict[_Trigger, State]] = {
    State.NEW: {_Trigger.OPENED: State.OPENING},
    State.OPENING: {
        _Trigger.SIZE_ACKNOWLEDGED: State.WAITING,
        _Trigger.REQUESTED: State.HANDSHAKE,
        _Trigger.PRINTED: State.OPEN,
    },
    State.WAITING: {
        _Trigger.TIMED_OUT: State.ASSUMED,
        _Trigger.REQUESTED: State.HANDSHAKE,
        _Trigger.PRINTED: State.OPEN,
    },
    State.ASSUMED: {
        _Trigger.INPUT_SENT: State.GUESSED,
        _Trigger.REQUESTED: State.LATE_HANDSHAKE,
        _Trigger.PRINTED: State.OPEN,
    },
    State.GUESSED: {_Trigger.PRINTED: State.OPEN},
    State.HANDSHAKE: {_Trigger.COMPLETED: State.CONFIRMING},
    State.LATE_HANDSHAKE: {_Trigger.COMPLETED: State.OPEN},
    State.CONFIRMING: {_Trigger.SIZE_ACKNOWLEDGED: State.OPEN, _Trigger.PRINTED: State.OPEN},
    State.OPEN: {},
    State.CLOSED: {},
}

_AGENT_SILENT = frozenset((State.OPENING, State.WAITING, State.ASSUMED, State.GUESSED))
"""The agent has sent nothing that counts. Only its first such frame can request a handshake."""

_TAKES_INPUT = frozenset((State.ASSUMED, State.GUESSED, State.OPEN))

_REPORTED_READY = frozenset((*_TAKES_INPUT, State.LATE_HANDSHAKE))
"""The owner has got the event Ready."""


class DataChannel:
    """The client's end of a data channel. It lives on over several connections, one after the other."""

    def __init__(
        self,
        client_id: str,
        new_id: Callable[[], bytes],
        epoch: float,
        size: tuple[int, int],
        encryption: Encryption | None = None,
        *,
        handshake_within: float | None = HANDSHAKE_WITHIN,
    ) -> None:
        """Begin with nothing sent.

        `client_id` is a UUID as text, constant for the session. `new_id` returns 16 random bytes for each frame.
        `epoch` is the wall clock's time, in seconds since 1970, at which the monotonic clock shows 0: frames carry
        the time of day. `size` is the terminal's columns and rows. `handshake_within` is how many seconds input waits
        for the agent's request for a handshake. If it is None, input waits until output comes or the handshake is over.
        """
        self._client_id = client_id
        self._new_id = new_id
        self._epoch = epoch
        self._size = size
        self._handshake = Handshake(encryption)
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._to_send: list[str | bytes] = []
        self._events: deque[Event] = deque()
        self._printed: list[bytes] = []  # output since the last event, joined into one when it is fetched
        self._input = bytearray()
        self._handshake_within = handshake_within
        self._state = State.NEW
        self._awaited_size: int | None = None
        """Sequence number of the Size frame whose acknowledgement changes the state, None after that."""
        self._request_deadline: float | None = None
        """When the state WAITING ends. None in other states, and if only output ends that state."""
        self._size_due = False
        self._paused = False

    @property
    def closed(self) -> bool:
        """Whether the service has reported the end of the session."""
        return self._state is State.CLOSED

    # --- The owner's interface

    def open(self, token: str, now: float) -> None:
        """Begin the first connection, or one after a cut. Frames without acknowledgement are sent again at once.

        Acknowledgements that the old connection did not send are dropped: the agent sends those frames again.
        """
        request_id = messages.id_text(self._new_id())
        self._to_send = [payloads.open_data_channel(token, self._client_id, request_id)]
        self._paused = False
        self._await_request(now)
        if self._state is not State.NEW:
            self._to_send += self._outbox.all_again(now)
            return
        self._change_state(_Trigger.OPENED)
        self._awaited_size = self._send_size(now)

    def receive_frame(self, frame: bytes | bytearray, now: float) -> None:
        """Take in one websocket message, text or binary.

        Raises ProtocolError if it breaks the rules, HandshakeRefused if the agent asks for something that is not
        supported, HandshakeMissed if it asks for a handshake after input was sent, and ChannelLost if the session ended
        with output missing. After an error there may be events to fetch, and `data_to_send` may hold the refusal.
        """
        if self.closed:
            return
        message = messages.parse(frame)
        if message.kind == messages.OUTPUT_STREAM:
            self._on_stream(message, now)
        elif message.kind == messages.ACKNOWLEDGE:
            self._on_acknowledge(message, now)
        elif message.kind == messages.CHANNEL_CLOSED:
            self._on_closed(message)
        elif message.kind == messages.PAUSE_PUBLICATION:
            self._paused = True
        elif message.kind == messages.START_PUBLICATION:
            self._go_on(now)
        self._send_input(now)

    def send_input(self, data: bytes, now: float) -> None:
        """Queue terminal input. It is sent in order once the terminal is there.

        Raises ProtocolError if more than MAX_WAITING bytes would wait: only a dishonest container asks for that.
        """
        if len(self._input) + len(data) > MAX_WAITING:
            raise ProtocolError("the container requested more input before it got the input that it had requested")
        self._input += data
        self._send_input(now)

    def send_size(self, columns: int, rows: int, now: float) -> None:
        """Send the terminal's size. An unchanged size still counts as client input, so it keeps the session open."""
        self._size = (columns, rows)
        # Before the first connection and during a handshake there is nothing to do: then the size is sent anyway.
        self._size_due = self._state is not State.NEW and not self._handshake.in_progress
        self._send_input(now)

    def on_time(self, now: float) -> None:
        """Send a frame again if its acknowledgement is overdue; send input if no handshake was asked for in time."""
        if self._paused or self.closed:
            return
        if self._request_deadline is not None and now >= self._request_deadline:
            self._change_state(_Trigger.TIMED_OUT)
            self._send_input(now)
        frame = self._outbox.due(now)
        if frame is not None:
            self._to_send.append(frame)

    def next_deadline(self) -> float | None:
        """Return the time at which to call `on_time`, None if nothing waits."""
        if self._paused or self.closed:
            return None
        deadlines = (self._outbox.deadline(), self._request_deadline)
        return min((each for each in deadlines if each is not None), default=None)

    def data_to_send(self) -> list[str | bytes]:
        """Return the frames to send and forget them: str as text messages, bytes as binary ones."""
        frames, self._to_send = self._to_send, []
        return frames

    def next_event(self) -> Event | None:
        """Return the next event and forget it, None if there is none. Adjacent output comes as one event."""
        if not self._events:
            self._flush_printed()
        return self._events.popleft() if self._events else None

    def drained(self) -> bool:
        """Return whether the agent has acknowledged all input and sizes."""
        return not self._outbox and not self._input and not self._size_due

    # --- Incoming

    def _on_stream(self, message: Message, now: float) -> None:
        self._go_on(now)
        if not self._inbox.accept(message):
            return
        # A frame that came before is acknowledged again: its first acknowledgement may be lost, and the agent sends no
        # later frame again before this one is acknowledged.
        self._to_send.append(messages.build_acknowledge(message, self._new_id(), self._created(now)))
        for ordered in self._inbox.in_order():
            self._on_payload(ordered, now)

    def _on_payload(self, message: Message, now: float) -> None:
        kind = message.payload_type
        if kind in _PRINTED:
            self._on_output(message.payload)
        elif kind == PayloadType.HANDSHAKE_REQUEST:
            self._on_handshake_request(message.payload, now)
        elif kind == PayloadType.ENC_CHALLENGE_REQUEST:
            answer = self._handshake.answer_challenge(message.payload)
            self._send_stream(PayloadType.ENC_CHALLENGE_RESPONSE, answer, now)
        elif kind == PayloadType.HANDSHAKE_COMPLETE:
            self._handshake.complete(message.payload)
            self._change_state(_Trigger.COMPLETED)
            self._awaited_size = self._send_size(now)

    def _on_output(self, data: bytes) -> None:
        if self._state is not State.OPEN:
            if self._handshake.in_progress:
                raise ProtocolError("the agent sent output before its handshake was complete")
            self._change_state(_Trigger.PRINTED)
        data = self._handshake.decrypt(data)
        if data:
            self._printed.append(data)

    def _on_handshake_request(self, payload: bytes, now: float) -> None:
        if self._state not in _AGENT_SILENT:
            raise ProtocolError("the agent began a handshake after its first frame")
        actions = self._handshake.read(payload)
        if self._state is State.GUESSED:
            # Input is lost or has crashed the agent's reader, so the session is useless. It has started nothing: the
            # agent starts the command when its handshake is complete, and that takes our answer, which it never gets.
            # An acknowledgement of that input proves nothing: before the agent sends its request, it acknowledges and
            # drops input (amazon-ssm-agent 3.3, `datachannel.go`, `processStreamDataMessage`).
            raise HandshakeMissed
        self._change_state(_Trigger.REQUESTED)
        self._send_stream(PayloadType.HANDSHAKE_RESPONSE, self._handshake.answer(actions), now)
        if self._handshake.refusal is not None:
            raise self._handshake.refusal

    def _on_acknowledge(self, message: Message, now: float) -> None:
        sequence = payloads.acknowledged_sequence(message.payload)
        self._go_on(now)
        self._outbox.acknowledge(sequence, now)
        if sequence == self._awaited_size:
            self._awaited_size = None
            self._change_state(_Trigger.SIZE_ACKNOWLEDGED)
            self._await_request(now)

    def _go_on(self, now: float) -> None:
        """End a pause: any acknowledgement or stream frame does, as in the agent, not only start_publication."""
        if self._paused:
            self._paused = False
            self._await_request(now)

    def _await_request(self, now: float) -> None:
        """Start the wait for the agent's request, again after a pause or a cut: then one of the ends was away."""
        if self._state is State.WAITING and self._handshake_within is not None:
            self._request_deadline = now + self._handshake_within

    def _on_closed(self, message: Message) -> None:
        reason = payloads.closed_reason(message.payload)
        self._change_state(_Trigger.CHANNEL_CLOSED)
        missing = self._inbox.missing()
        if missing is not None:
            raise ChannelLost(
                f"the session ended without the output frame {missing}, although later frames arrived",
                name="output-lost",
            )
        self._flush_printed()
        self._events.append(Closed(reason))

    def _change_state(self, trigger: _Trigger) -> None:
        """Change the state as `_TRANSITIONS` says. The owner gets the event Ready once, when input is first taken."""
        before = self._state
        closed = trigger is _Trigger.CHANNEL_CLOSED
        self._state = State.CLOSED if closed else _TRANSITIONS[before].get(trigger, before)
        if self._state is before:
            return
        self._request_deadline = None
        if self._state in _REPORTED_READY and before not in _REPORTED_READY:
            self._events.append(Ready())  # no output was queued before, so the event is in the right place

    # --- Outgoing

    def _flush_printed(self) -> None:
        """Queue the output so far, so that the next event comes behind it."""
        if self._printed:
            self._events.append(Output(b"".join(self._printed)))
            self._printed = []

    def _send_input(self, now: float) -> None:
        """Send what may be sent: no input before the terminal is there, nothing while the service says pause."""
        if self._paused or self.closed:
            return
        if self._size_due:
            self._send_size(now)
        while self._input and self._state in _TAKES_INPUT and not self._outbox.full():
            chunk = bytes(self._input[:MAX_INPUT])
            del self._input[:MAX_INPUT]
            self._change_state(_Trigger.INPUT_SENT)
            self._send_stream(PayloadType.OUTPUT, self._handshake.encrypt(chunk), now)

    def _send_size(self, now: float) -> int:
        self._size_due = False
        return self._send_stream(PayloadType.SIZE, payloads.size(*self._size), now)

    def _send_stream(self, payload_type: PayloadType, payload: bytes, now: float) -> int:
        """Send a frame with the next sequence number, keep it until it is acknowledged, and return that number."""
        frame = self._build(self._outbox.next_sequence, payload_type, payload, now)
        self._to_send.append(frame)
        return self._outbox.add(frame, now)

    def _build(self, sequence: int, payload_type: PayloadType, payload: bytes, now: float) -> bytes:
        created = self._created(now)
        return messages.build(messages.INPUT_STREAM, sequence, self._new_id(), payload_type, payload, created)

    def _created(self, now: float) -> int:
        return int((self._epoch + now) * 1000)
