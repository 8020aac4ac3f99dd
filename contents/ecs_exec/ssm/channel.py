"""One session's data channel, without I/O.

The owner feeds it frames, input and the time, and takes from it frames to send and events. Times are seconds of
one monotonic clock; the channel never reads a clock itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from uuid import UUID

from ecs_exec.errors import ChannelLost, ProtocolError
from ecs_exec.ssm import messages, payloads
from ecs_exec.ssm.delivery import Inbox, Outbox
from ecs_exec.ssm.events import Closed, Event, Output, Ready
from ecs_exec.ssm.handshake import Encryption, Handshake
from ecs_exec.ssm.messages import MAX_INPUT, Message, PayloadType

_PRINTED = frozenset((PayloadType.OUTPUT, PayloadType.STDERR))


class DataChannel:
    """The client's end of a data channel, over as many connections as it takes."""

    def __init__(
        self,
        client_id: str,
        new_id: Callable[[], bytes],
        epoch: float,
        size: tuple[int, int],
        encryption: Encryption | None = None,
    ) -> None:
        """Begin with nothing sent.

        `client_id` is a UUID in text, constant for the session. `new_id` gives 16 random bytes for each frame.
        `epoch` is the wall clock's time, in seconds since 1970, at which the monotonic clock shows 0: frames carry
        the time of day. `size` is the terminal's columns and rows.
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
        self._early: bytearray | None = bytearray()
        """Input sent before the agent's first frame. If that begins a handshake, the agent has thrown it away."""
        self._ready_with: int | None = None
        """The number of the Size frame whose acknowledgement says that the terminal is there."""
        self._ready = False
        self._size_due = False
        self._paused = False
        self._opened = False
        self.closed = False
        """Set by the service's word that the session is over."""

    # --- What the owner calls

    def open(self, token: str, now: float) -> None:
        """Begin a connection, the first or one after a cut; what was not acknowledged is sent again at once.

        Acknowledgements that the old connection did not take are dropped: the agent sends those frames again.
        """
        request_id = str(UUID(bytes=self._new_id()))
        self._to_send = [payloads.open_data_channel(token, self._client_id, request_id)]
        self._paused = False
        if self._opened:
            self._to_send += self._outbox.all_again(now)
            return
        self._opened = True
        self._ready_with = self._send_size(now)

    def receive_frame(self, frame: bytes | bytearray, now: float) -> None:
        """Take in one websocket message, text or binary.

        Raises ProtocolError if it breaks the rules, HandshakeRefused if the agent asks for what cannot be done,
        ChannelLost if the session ended with output missing. Events from before are still to be fetched, and
        `data_to_send` may hold the refusal.
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
            self._paused = False
        self._send_input(now)

    def send_input(self, data: bytes, now: float) -> None:
        """Queue terminal input; it goes out in order once the terminal is there."""
        self._input += data
        self._send_input(now)

    def send_size(self, columns: int, rows: int, now: float) -> None:
        """Tell the terminal's size; the same again is the service's sign of life from a silent user."""
        self._size = (columns, rows)
        # Before the first connection, and until a handshake is over, the size goes out anyway.
        self._size_due = self._opened and not self._handshake.in_progress
        self._send_input(now)

    def on_time(self, now: float) -> None:
        """Send a frame again whose acknowledgement is overdue."""
        if self._paused or self.closed:
            return
        frame = self._outbox.due(now)
        if frame is not None:
            self._to_send.append(frame)

    def next_deadline(self) -> float | None:
        """Tell when to call `on_time`; None if nothing waits."""
        return None if self._paused or self.closed else self._outbox.deadline()

    def data_to_send(self) -> list[str | bytes]:
        """Take the frames to send: str as text, bytes as binary messages."""
        frames, self._to_send = self._to_send, []
        return frames

    def next_event(self) -> Event | None:
        """Take the next event; None if there is none. Output that lies together comes as one event."""
        if not self._events:
            self._flush_printed()
        return self._events.popleft() if self._events else None

    def drained(self) -> bool:
        """Tell whether the agent has acknowledged all input and sizes."""
        return not self._outbox and not self._input and not self._size_due

    # --- Incoming

    def _on_stream(self, message: Message, now: float) -> None:
        self._paused = False
        if not self._inbox.accept(message):
            return
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
            self._ready_with = self._send_size(now)

    def _on_output(self, data: bytes) -> None:
        if self._handshake.in_progress:
            raise ProtocolError("the agent sent output before its handshake was complete")
        self._early = None
        self._become_ready()
        data = self._handshake.decrypt(data)
        if data:
            self._printed.append(data)

    def _on_handshake_request(self, payload: bytes, now: float) -> None:
        if self._early is None:
            raise ProtocolError("the agent began a handshake after its first frame")
        answer = self._handshake.answer(payload)
        self._take_back_input(now)
        self._send_stream(PayloadType.HANDSHAKE_RESPONSE, answer, now)
        if self._handshake.refusal is not None:
            raise self._handshake.refusal

    def _take_back_input(self, now: float) -> None:
        """Queue again what was sent before the agent turned out to shake hands.

        Our answer is numbered after all of it, so the agent meets it before its handshake is over, and throws it
        away - or, in a session to be encrypted, cannot decrypt it and waits for that number for ever. So what is
        not acknowledged becomes a harmless size under the same numbers.
        """
        self._ready_with = None
        self._input[:0] = self._early or b""
        self._early = None
        columns, rows = self._size
        size = payloads.size(columns, rows)
        self._to_send += self._outbox.rewrite(lambda number: self._build(number, PayloadType.SIZE, size, now), now)

    def _on_acknowledge(self, message: Message, now: float) -> None:
        sequence = payloads.acknowledged_sequence(message.payload)
        self._paused = False
        self._outbox.acknowledge(sequence, now)
        if sequence == self._ready_with:
            self._become_ready()

    def _on_closed(self, message: Message) -> None:
        reason = payloads.closed_reason(message.payload)
        self.closed = True
        missing = self._inbox.missing()
        if missing is not None:
            raise ChannelLost(f"the session ended and the output frame {missing} never came, though later ones did")
        self._flush_printed()
        self._events.append(Closed(reason))

    # --- Outgoing

    def _become_ready(self) -> None:
        """Let input flow, again if a handshake came in between; the owner is told once."""
        self._ready_with = None
        if not self._ready:
            self._ready = True  # nothing is printed before, so the event is in its place
            self._events.append(Ready())

    def _flush_printed(self) -> None:
        """Keep an event that is about to be queued behind the output before it."""
        if self._printed:
            self._events.append(Output(b"".join(self._printed)))
            self._printed = []

    def _send_input(self, now: float) -> None:
        """Send what may be sent: nothing before the terminal is there, nor while the service says pause."""
        if self._paused or self.closed:
            return
        if self._size_due:
            self._send_size(now)
        while self._input and self._takes_input() and not self._outbox.full():
            chunk = bytes(self._input[:MAX_INPUT])
            del self._input[:MAX_INPUT]
            if self._early is not None:
                self._early += chunk
            self._send_stream(PayloadType.OUTPUT, self._handshake.encrypt(chunk), now)

    def _takes_input(self) -> bool:
        return self._ready and self._ready_with is None and not self._handshake.in_progress

    def _send_size(self, now: float) -> int:
        self._size_due = False
        return self._send_stream(PayloadType.SIZE, payloads.size(*self._size), now)

    def _send_stream(self, payload_type: PayloadType, payload: bytes, now: float) -> int:
        """Send a frame that counts, and keep it until it is acknowledged; gives its number."""
        frame = self._build(self._outbox.next_sequence, payload_type, payload, now)
        self._to_send.append(frame)
        return self._outbox.add(frame, now)

    def _build(self, sequence: int, payload_type: PayloadType, payload: bytes, now: float) -> bytes:
        created = self._created(now)
        return messages.build(messages.INPUT_STREAM, sequence, self._new_id(), payload_type, payload, created)

    def _created(self, now: float) -> int:
        return int((self._epoch + now) * 1000)
