"""One session's data channel, without I/O.

The owner feeds it frames, input and the time, and takes from it frames to send and events. Times are seconds of
one monotonic clock; the channel never reads a clock itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from uuid import UUID

from ecs_exec.errors import ChannelLost, HandshakeMissed, ProtocolError
from ecs_exec.ssm import messages, payloads
from ecs_exec.ssm.delivery import Inbox, Outbox
from ecs_exec.ssm.events import Closed, Event, Output, Ready
from ecs_exec.ssm.handshake import Encryption, Handshake
from ecs_exec.ssm.messages import MAX_INPUT, Message, PayloadType

_PRINTED = frozenset((PayloadType.OUTPUT, PayloadType.STDERR))

MAX_WAITING = 1024 * 1024
"""Bytes of input that may wait to be sent. Input is made as the container says that it took the input before, a quarter
of this at a time; what says so without having been sent anything would make us hold a whole file in memory."""

HANDSHAKE_WITHIN = 0.35
"""Seconds from the first sign of the agent within which its request for a handshake usually comes.

An agent that is to encrypt the session decrypts all input, and crashes over input that comes before it has the key. So
input waits. The agent sends its request when it connects, and again after 200 ms, which it checks every 100 ms, should
the service have had nobody to give the first one to. The wait costs a short command nothing: the agent passes on no
output in its first second.
"""


class DataChannel:
    """The client's end of a data channel, over as many connections as it takes."""

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

        `client_id` is a UUID in text, constant for the session. `new_id` gives 16 random bytes for each frame.
        `epoch` is the wall clock's time, in seconds since 1970, at which the monotonic clock shows 0: frames carry
        the time of day. `size` is the terminal's columns and rows. Input waits for the agent's request for a handshake
        as many seconds as `handshake_within` says; if it is None, until output or the handshake's end is there.
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
        self._silent = True
        """The agent has sent no stream frame yet. Only its first one can begin a handshake."""
        self._guessed = False
        """Input was sent without knowing whether the agent will shake hands."""
        self._ready_with: int | None = None
        """The number of the Size frame whose acknowledgement is the agent's first sign, or follows its handshake."""
        self._ready_at: float | None = None
        """When the wait for a handshake ends; None before the agent's first sign, and if it is not to end by itself."""
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
        self._wait_again(now)
        if self._opened:
            self._to_send += self._outbox.all_again(now)
            return
        self._opened = True
        self._ready_with = self._send_size(now)

    def receive_frame(self, frame: bytes | bytearray, now: float) -> None:
        """Take in one websocket message, text or binary.

        Raises ProtocolError if it breaks the rules, HandshakeRefused if the agent asks for what cannot be done,
        HandshakeMissed if it asks for a handshake after input, ChannelLost if the session ended with output missing.
        Events from before are still to be fetched, and `data_to_send` may hold the refusal.
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
        """Queue terminal input; it goes out in order once the terminal is there.

        Raises ProtocolError where more waits than anyone honest asks for.
        """
        if len(self._input) + len(data) > MAX_WAITING:
            raise ProtocolError("the container asked for more before it had been sent what it asked for")
        self._input += data
        self._send_input(now)

    def send_size(self, columns: int, rows: int, now: float) -> None:
        """Tell the terminal's size; the same again is the service's sign of life from a silent user."""
        self._size = (columns, rows)
        # Before the first connection, and until a handshake is over, the size goes out anyway.
        self._size_due = self._opened and not self._handshake.in_progress
        self._send_input(now)

    def on_time(self, now: float) -> None:
        """Send a frame again whose acknowledgement is overdue, and input when no handshake was asked for in time."""
        if self._paused or self.closed:
            return
        if self._ready_at is not None and now >= self._ready_at:
            self._become_ready()
            self._send_input(now)
        frame = self._outbox.due(now)
        if frame is not None:
            self._to_send.append(frame)

    def next_deadline(self) -> float | None:
        """Tell when to call `on_time`; None if nothing waits."""
        if self._paused or self.closed:
            return None
        return min((each for each in (self._outbox.deadline(), self._ready_at) if each is not None), default=None)

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
        self._go_on(now)
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
        self._silent = False
        self._become_ready()
        data = self._handshake.decrypt(data)
        if data:
            self._printed.append(data)

    def _on_handshake_request(self, payload: bytes, now: float) -> None:
        if not self._silent:
            raise ProtocolError("the agent began a handshake after its first frame")
        self._silent = False
        request = self._handshake.read(payload)
        if self._guessed:
            # Input is lost or has crashed the agent's reader, so the session is of no use. It has started nothing: the
            # agent starts the command when its handshake is complete, and for that it needs our answer, which it never
            # gets. Whether it has acknowledged that input tells nothing: before it sends its request, it acknowledges
            # and drops input (amazon-ssm-agent 3.3, `datachannel.go`, `processStreamDataMessage`).
            raise HandshakeMissed
        self._ready_with = self._ready_at = None
        self._send_stream(PayloadType.HANDSHAKE_RESPONSE, self._handshake.answer(request), now)
        if self._handshake.refusal is not None:
            raise self._handshake.refusal

    def _on_acknowledge(self, message: Message, now: float) -> None:
        sequence = payloads.acknowledged_sequence(message.payload)
        self._go_on(now)
        self._outbox.acknowledge(sequence, now)
        if sequence == self._ready_with:
            self._on_first_sign(now)

    def _on_first_sign(self, now: float) -> None:
        """Let input flow after a handshake; before it, leave the agent time to ask for one."""
        self._ready_with = None
        if not self._silent:
            self._become_ready()
        elif self._handshake_within is not None:
            self._ready_at = now + self._handshake_within

    def _go_on(self, now: float) -> None:
        """End a pause."""
        if self._paused:
            self._paused = False
            self._wait_again(now)

    def _wait_again(self, now: float) -> None:
        """Begin the wait for a handshake again: while one of the ends was away, no request could come."""
        if self._ready_at is not None and self._handshake_within is not None:
            self._ready_at = now + self._handshake_within

    def _on_closed(self, message: Message) -> None:
        reason = payloads.closed_reason(message.payload)
        self.closed = True
        missing = self._inbox.missing()
        if missing is not None:
            raise ChannelLost(
                f"the session ended and the output frame {missing} never came, though later ones did",
                name="output-lost",
            )
        self._flush_printed()
        self._events.append(Closed(reason))

    # --- Outgoing

    def _become_ready(self) -> None:
        """Let input flow; the owner is told once."""
        self._ready_with = self._ready_at = None
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
            self._guessed = self._guessed or self._silent
            self._send_stream(PayloadType.OUTPUT, self._handshake.encrypt(chunk), now)

    def _takes_input(self) -> bool:
        return self._ready and not self._handshake.in_progress

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
