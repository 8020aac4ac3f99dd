"""Conversations with the data channel, frame by frame."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest

from ecs_exec.errors import AwsError, ChannelLost, HandshakeMissed, HandshakeRefused, ProtocolError
from ecs_exec.ssm import messages
from ecs_exec.ssm.channel import HANDSHAKE_WITHIN, MAX_WAITING, DataChannel
from ecs_exec.ssm.delivery import MAX_AHEAD, MAX_UNACKNOWLEDGED, RoundTrip
from ecs_exec.ssm.events import Closed, Event, Output, Ready
from ecs_exec.ssm.handshake import Encryption
from ecs_exec.ssm.messages import Message, PayloadType

SIZE = b'{"cols":300,"rows":100}'


class Conversation:
    """A channel, and the agent that the test plays."""

    def __init__(
        self,
        encryption: Encryption | None = None,
        *,
        opened: bool = True,
        handshake_within: float | None = HANDSHAKE_WITHIN,
    ) -> None:
        """Begin; the channel opens at the time 0 by default."""
        ids = itertools.count(1)
        self.channel = DataChannel(
            "client",
            lambda: next(ids).to_bytes(16, "big"),
            1000.0,
            (300, 100),
            encryption,
            handshake_within=handshake_within,
        )
        self.numbers = itertools.count()
        self.now = 0.0
        if opened:
            self.channel.open("token", 0.0)

    def frame(self, payload: bytes, kind: PayloadType = PayloadType.OUTPUT, number: int | None = None) -> bytes:
        """Build the agent's next stream frame, or one of another number."""
        sequence = next(self.numbers) if number is None else number
        return messages.build("output_stream_data", sequence, b"a" * 16, kind, payload, 1)

    def receive(self, *frames: bytes) -> None:
        """Let frames arrive."""
        for frame in frames:
            self.channel.receive_frame(frame, self.now)

    def say(self, payload: bytes, kind: PayloadType = PayloadType.OUTPUT, number: int | None = None) -> None:
        """Let the agent send a stream frame."""
        self.receive(self.frame(payload, kind, number))

    def ask(self, kind: PayloadType, **fields: object) -> None:
        """Let the agent send JSON."""
        self.say(json.dumps(fields).encode(), kind)

    def acknowledge(self, *sequences: int) -> None:
        """Let the agent acknowledge."""
        for sequence in sequences:
            self.service("acknowledge", json.dumps({"AcknowledgedMessageSequenceNumber": sequence}).encode())

    def service(self, kind: str, payload: bytes = b"") -> None:
        """Let a frame arrive that is none of the stream."""
        self.receive(messages.build(kind, 0, b"s" * 16, 0, payload, 1))

    def sent(self) -> list[Message]:
        """Take the binary frames that the channel sends."""
        return [messages.parse(frame) for frame in self.channel.data_to_send() if isinstance(frame, bytes)]

    def stream(self) -> list[tuple[int, int, bytes]]:
        """Take what the channel sends, acknowledgements left out: number, type, payload."""
        return [(m.sequence, m.payload_type, m.payload) for m in self.sent() if m.kind == "input_stream_data"]

    def acknowledged(self) -> list[int]:
        """Take what the channel sends, acknowledgements only: the numbers."""
        acks = [json.loads(m.payload) for m in self.sent() if m.kind == "acknowledge"]
        return [ack["AcknowledgedMessageSequenceNumber"] for ack in acks]

    def events(self) -> list[Event]:
        """Take the events."""
        return list(iter(self.channel.next_event, None))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.channel.on_time(self.now)

    def make_ready(self) -> None:
        """Let the agent take the size and ask for no handshake."""
        self.acknowledge(0)
        self.wait(HANDSHAKE_WITHIN)

    def typed(self, data: bytes) -> None:
        """Send input."""
        self.channel.send_input(data, self.now)

    def shake_hands(self, *actions: dict[str, Any]) -> None:
        """Let the agent begin a handshake."""
        session_type = {"ActionType": "SessionType", "ActionParameters": {"SessionType": "InteractiveCommands"}}
        actions = (session_type, *actions)
        self.ask(PayloadType.HANDSHAKE_REQUEST, AgentVersion="3.3.0.0", RequestedClientActions=actions)

    def complete(self) -> None:
        """Let the agent end a handshake."""
        self.ask(PayloadType.HANDSHAKE_COMPLETE, HandshakeTimeToComplete=1, CustomerMessage="")


def input_frame(number: int, payload: bytes) -> tuple[int, int, bytes]:
    """Give what `Conversation.stream` shows of input."""
    return number, PayloadType.OUTPUT, payload


def size_frame(number: int) -> tuple[int, int, bytes]:
    """Give what `Conversation.stream` shows of a size."""
    return number, PayloadType.SIZE, SIZE


# --- Opening


def test_the_token_goes_first_and_the_size_second() -> None:
    """A connection begins with the text frame, the session with a size."""
    talk = Conversation()
    text, size = talk.channel.data_to_send()
    assert isinstance(text, str)
    assert json.loads(text)["TokenValue"] == "token"
    assert json.loads(text)["ClientId"] == "client"
    assert isinstance(size, bytes)
    message = messages.parse(size)
    assert (message.sequence, message.flags, message.payload) == (0, 0, SIZE)
    assert message.created == 1_000_000


def test_ready_when_no_handshake_was_asked_for_in_time() -> None:
    """A silent command is ready when the agent has taken the first size and its request for a handshake is overdue."""
    talk = Conversation()
    talk.typed(b"x")
    talk.wait(60.0)
    assert talk.events() == []
    talk.sent()
    talk.acknowledge(0)
    assert talk.channel.next_deadline() == 60.0 + HANDSHAKE_WITHIN
    talk.wait(HANDSHAKE_WITHIN - 0.01)
    assert (talk.events(), talk.stream()) == ([], [])
    talk.wait(0.02)
    assert (talk.events(), talk.stream()) == ([Ready()], [input_frame(1, b"x")])
    talk.acknowledge(0, 1)
    talk.wait(60.0)
    assert (talk.events(), talk.stream()) == ([], [])


def test_the_wait_for_a_handshake_begins_again_when_an_end_was_away() -> None:
    """A cut or a pause keep the request from coming, so they do not count."""
    talk = Conversation()
    talk.acknowledge(0)
    talk.wait(HANDSHAKE_WITHIN / 2)
    talk.channel.open("token", talk.now)
    talk.wait(HANDSHAKE_WITHIN / 2)
    talk.service("pause_publication")
    assert talk.channel.next_deadline() is None
    talk.wait(60.0)
    talk.service("start_publication")
    talk.wait(HANDSHAKE_WITHIN / 2)
    assert talk.events() == []
    talk.wait(HANDSHAKE_WITHIN)
    assert talk.events() == [Ready()]


def test_input_may_wait_until_no_handshake_can_come() -> None:
    """Then the size's acknowledgement is not enough, whatever the time."""
    talk = Conversation(handshake_within=None)
    talk.typed(b"x")
    talk.sent()
    talk.acknowledge(0)
    talk.wait(60.0)
    assert talk.channel.next_deadline() is None
    assert (talk.events(), talk.stream()) == ([], [])
    talk.say(b"out")
    assert talk.events() == [Ready(), Output(b"out")]
    assert talk.stream() == [input_frame(1, b"x")]


def test_ready_with_the_first_output() -> None:
    """Output says that the terminal is there, even before the size is acknowledged."""
    talk = Conversation()
    talk.say(b"x")
    talk.acknowledge(0)
    assert talk.events() == [Ready(), Output(b"x")]


def test_other_acknowledgements_do_not_make_ready() -> None:
    """Only the size's own acknowledgement counts."""
    talk = Conversation()
    talk.acknowledge(1, 99, -1)
    assert talk.events() == []


# --- Output


def test_output_in_order() -> None:
    """Output that lies together is one event, in order, each frame acknowledged."""
    talk = Conversation()
    talk.say(b"one ")
    talk.say(b"two")
    assert talk.events() == [Ready(), Output(b"one two")]
    assert talk.acknowledged() == [0, 1]


def test_acknowledgement_names_the_frame() -> None:
    """An acknowledgement carries the id of what it is for."""
    talk = Conversation()
    talk.sent()
    talk.say(b"x")
    (ack,) = talk.sent()
    assert json.loads(ack.payload)["AcknowledgedMessageId"] == "61616161-6161-6161-6161-616161616161"


def test_duplicates_are_acknowledged_again_and_not_delivered() -> None:
    """The agent sends a frame again because it has not seen the acknowledgement."""
    talk = Conversation()
    frames = [talk.frame(b"x"), talk.frame(b"y")]
    talk.receive(*frames, *frames, frames[0])
    assert talk.events() == [Ready(), Output(b"xy")]
    assert talk.acknowledged() == [0, 1, 0, 1, 0]


def test_later_frames_wait_for_the_missing_one() -> None:
    """Frames ahead are acknowledged, kept, and delivered in order."""
    talk = Conversation()
    talk.say(b"c", number=2)
    talk.say(b"b", number=1)
    talk.say(b"c", number=2)
    assert talk.events() == []
    talk.say(b"a", number=0)
    assert talk.events() == [Ready(), Output(b"abc")]
    assert talk.acknowledged() == [2, 1, 2, 0]


def test_frames_far_ahead_are_neither_kept_nor_acknowledged() -> None:
    """What memory has no room for is left to the agent to send again."""
    talk = Conversation()
    talk.say(b"x", number=MAX_AHEAD + 1)
    assert talk.acknowledged() == []
    talk.say(b"x", number=MAX_AHEAD)
    assert talk.acknowledged() == [MAX_AHEAD]


def test_large_frames_ahead_are_limited_by_their_bytes() -> None:
    """Frames larger than an agent's fill the memory for them before their number does."""
    talk = Conversation()
    large = b"x" * (messages.MAX_FRAME - 120)
    for number in range(1, 100):
        talk.say(large, number=number)
    assert talk.acknowledged() == list(range(1, 65))


def test_the_missing_frame_is_always_taken_and_frees_memory() -> None:
    """However full the memory is, the frame that all wait for goes through, and makes room for the next gap."""
    talk = Conversation()
    large = b"x" * (messages.MAX_FRAME - 120)
    for first in (0, 65):
        for number in range(first + 1, first + 65):
            talk.say(large, number=number)
        talk.say(large, number=first)
        assert talk.acknowledged() == [*range(first + 1, first + 65), first]
    assert sum(len(event.data) for event in talk.events() if isinstance(event, Output)) == 130 * len(large)


@pytest.mark.parametrize(
    "kind", [PayloadType.ERROR, PayloadType.PARAMETER, PayloadType.FLAG, PayloadType.EXIT_CODE, 99]
)
def test_payloads_that_are_no_output_are_acknowledged_only(kind: int) -> None:
    """Types that a shell session has no use for do not hold up the stream."""
    talk = Conversation()
    talk.receive(messages.build("output_stream_data", 0, b"a" * 16, kind, b"x", 1))
    assert talk.acknowledged() == [0]
    talk.say(b"y", number=1)
    assert talk.events() == [Ready(), Output(b"y")]


def test_stderr_is_output() -> None:
    """An agent that sends stderr apart is heard."""
    talk = Conversation()
    talk.say(b"oops", PayloadType.STDERR)
    assert talk.events() == [Ready(), Output(b"oops")]


def test_unknown_messages_are_ignored() -> None:
    """Message types of later releases, and those for others, change nothing."""
    talk = Conversation()
    talk.sent()
    talk.service("agent_session_state", b'{"SessionState":"Connected"}')
    talk.service("brand_new_type", b"?")
    assert talk.sent() == []
    assert talk.events() == []


# --- Input


def test_input_waits_until_the_terminal_is_there() -> None:
    """Input queued before Ready goes out behind the size, in order, in frames of 1024 bytes."""
    talk = Conversation(opened=False)
    talk.typed(b"a" * 1500)
    talk.channel.open("token", 0.0)
    talk.typed(b"b" * 600)
    assert talk.stream() == [size_frame(0)]
    talk.make_ready()
    sent = [input_frame(1, b"a" * 1024), input_frame(2, b"a" * 476 + b"b" * 548), input_frame(3, b"b" * 52)]
    assert talk.stream() == sent


def test_drained_when_everything_is_acknowledged() -> None:
    """The agent has it all when it has acknowledged it all."""
    talk = Conversation()
    assert not talk.channel.drained()
    talk.typed(b"x")
    talk.make_ready()
    assert not talk.channel.drained()
    talk.acknowledge(1)
    assert talk.channel.drained()


def test_window_is_bounded() -> None:
    """No more than a window of frames is on the way; acknowledgements let the next ones go."""
    talk = Conversation()
    talk.typed(b"x" * 1024 * (MAX_UNACKNOWLEDGED + 10))
    talk.make_ready()
    talk.sent()
    assert len(talk.channel._outbox) == MAX_UNACKNOWLEDGED
    talk.acknowledge(5)
    assert [number for number, _, _ in talk.stream()] == [MAX_UNACKNOWLEDGED + 1]


def test_waiting_input_is_bounded() -> None:
    """A container that asks for a file faster than it takes it gets no more than fits into little memory."""
    talk = Conversation()
    talk.typed(b"x" * MAX_WAITING)
    with pytest.raises(ProtocolError, match="requested more input"):
        talk.typed(b"x")
    talk.make_ready()
    talk.typed(b"x")


def test_size_again() -> None:
    """The same size again is a frame of its own."""
    talk = Conversation()
    talk.sent()
    talk.channel.send_size(300, 100, 0.0)
    assert talk.stream() == [size_frame(1)]


def test_pause_holds_back_new_input() -> None:
    """While the service says pause, input, sizes and retransmission wait; output is still acknowledged."""
    talk = Conversation()
    talk.make_ready()
    talk.typed(b"unacknowledged")
    talk.sent()
    talk.service("pause_publication")
    talk.typed(b"x")
    talk.channel.send_size(300, 100, 0.0)
    talk.channel.on_time(10.0)
    assert talk.stream() == []
    assert talk.channel.next_deadline() is None
    assert not talk.channel.drained()
    talk.service("start_publication")
    assert talk.stream() == [size_frame(2), input_frame(3, b"x")]
    talk.channel.on_time(10.0)
    assert talk.stream() == [input_frame(1, b"unacknowledged")]


@pytest.mark.parametrize("by", ["acknowledgement", "stream frame", "new connection"])
def test_pause_ends_with_any_sign_of_the_agent(by: str) -> None:
    """An acknowledgement, a stream frame and a new connection end a pause as start_publication does."""
    talk = Conversation()
    talk.make_ready()
    talk.sent()
    talk.service("pause_publication")
    talk.typed(b"x")
    if by == "acknowledgement":
        talk.acknowledge(0)
    elif by == "stream frame":
        talk.say(b"y")
    else:
        talk.channel.open("new", 0.0)
        talk.typed(b"")
    assert talk.stream() == [input_frame(1, b"x")]


# --- Retransmission


def test_the_oldest_frame_is_sent_again_when_it_is_overdue() -> None:
    """After 200 ms at first, the oldest unacknowledged frame goes out again, and no other."""
    talk = Conversation()
    talk.channel.send_size(300, 100, 0.0)
    talk.sent()
    assert talk.channel.next_deadline() == pytest.approx(0.2)
    talk.channel.on_time(0.19)
    assert talk.stream() == []
    talk.channel.on_time(0.2)
    assert talk.stream() == [size_frame(0)]
    assert talk.channel.next_deadline() == pytest.approx(0.4)


def test_each_acknowledgement_starts_the_wait_anew() -> None:
    """A burst that the agent works through slowly is not sent twice."""
    talk = Conversation()
    talk.channel.send_size(300, 100, 0.0)
    talk.sent()
    talk.now = 0.19
    talk.acknowledge(0)
    deadline = talk.channel.next_deadline()
    assert deadline is not None
    assert deadline > 0.3


def test_nothing_waits_when_all_is_acknowledged() -> None:
    """Without unacknowledged frames there is no deadline."""
    talk = Conversation()
    talk.make_ready()
    assert talk.channel.next_deadline() is None
    talk.sent()
    talk.channel.on_time(100.0)
    assert talk.sent() == []


def test_timeout_follows_the_agents_estimate() -> None:
    """The estimate is the agent's own: mean and variation, at most a second."""
    trip = RoundTrip()
    assert trip.timeout == 0.2
    trip.sample(0.1)
    assert trip.timeout == pytest.approx(0.1 + 0.01)
    trip.sample(0.2)
    assert trip.timeout == pytest.approx(0.1125 + 4 * 0.025)
    for _ in range(50):
        trip.sample(60.0)
    assert trip.timeout == 1.0


def test_a_new_connection_sends_what_is_unacknowledged_at_once() -> None:
    """After a cut the token goes first, then every unacknowledged frame, numbers kept."""
    talk = Conversation()
    talk.acknowledge(0)
    talk.typed(b"x")
    talk.say(b"lost acknowledgement")
    talk.channel.open("new token", 5.0)
    text, *frames = talk.channel.data_to_send()
    assert isinstance(text, str)
    assert json.loads(text)["TokenValue"] == "new token"
    assert json.loads(text)["ClientId"] == "client"
    assert [messages.parse(frame).payload for frame in frames if isinstance(frame, bytes)] == [b"x"]
    talk.say(b"lost acknowledgement", number=0)
    assert talk.acknowledged() == [0]
    assert talk.channel.next_deadline() == pytest.approx(5.11, abs=0.1)


# --- Handshake


def test_handshake_is_answered_and_the_size_sent_again() -> None:
    """Ready comes with the acknowledgement of the size that follows the handshake, input after that."""
    talk = Conversation()
    talk.typed(b"x")
    talk.sent()
    talk.shake_hands({"ActionType": "Dance", "ActionParameters": {}})
    (answer,) = talk.stream()
    assert answer[:2] == (1, PayloadType.HANDSHAKE_RESPONSE)
    statuses = [(a["ActionType"], a["ActionStatus"]) for a in json.loads(answer[2])["ProcessedClientActions"]]
    assert statuses == [("SessionType", 1), ("Dance", 3)]
    talk.acknowledge(0, 1)
    assert talk.events() == []
    talk.channel.send_size(300, 100, 0.0)
    assert talk.stream() == []
    talk.complete()
    assert talk.stream() == [size_frame(2)]
    assert talk.events() == []
    talk.acknowledge(2)
    assert talk.events() == [Ready()]
    assert talk.stream() == [input_frame(3, b"x")]


def test_output_after_the_handshake_makes_ready() -> None:
    """Output after the handshake says as much as the size's acknowledgement."""
    talk = Conversation()
    talk.shake_hands()
    talk.complete()
    talk.say(b"x")
    assert talk.events() == [Ready(), Output(b"x")]


@pytest.mark.parametrize("acknowledged", [False, True])
@pytest.mark.parametrize("kind", ["SessionType", "KMSEncryption"])
def test_a_handshake_after_input_gives_the_session_up(kind: str, acknowledged: bool) -> None:
    """It is not answered, so the agent starts nothing; KMS is not asked for a key."""
    cipher = Upside()
    talk = Conversation(cipher)
    talk.make_ready()
    talk.typed(b"x")
    if acknowledged:
        talk.acknowledge(1)
    talk.sent()
    with pytest.raises(HandshakeMissed):
        talk.ask(PayloadType.HANDSHAKE_REQUEST, RequestedClientActions=[{"ActionType": kind, "ActionParameters": {}}])
    assert talk.stream() == []
    assert cipher.asked == []


@pytest.mark.parametrize("name", ["KMSKeyId", "Challenge"])
@pytest.mark.parametrize("value", ["x" * 2001, ["key"], {"key": 1}, 7])
def test_what_kms_would_be_given_is_a_text(name: str, value: object) -> None:
    """It must have a length that KMS accepts; else KMS is not asked."""
    cipher = Upside()
    talk = Conversation(cipher)
    with pytest.raises(ProtocolError, match=f"whose {name} is not a text"):
        talk.shake_hands({"ActionType": "KMSEncryption", "ActionParameters": {name: value}})
    assert cipher.asked == []


@pytest.mark.parametrize("count", [2, 300])
def test_each_action_is_asked_for_once(count: int) -> None:
    """A request that would call KMS more than once is refused before the first call."""
    cipher = Upside()
    talk = Conversation(cipher)
    with pytest.raises(ProtocolError, match=f"with {count + 1} actions"):
        talk.shake_hands(*[{"ActionType": "KMSEncryption", "ActionParameters": {"KMSKeyId": "key"}}] * count)
    assert cipher.asked == []


def test_kinds_of_action_are_limited() -> None:
    """A request of any length costs no more than a few answers."""
    with pytest.raises(ProtocolError, match="with 1001 actions"):
        Conversation().shake_hands(*({"ActionType": str(number)} for number in range(1000)))


def test_kms_without_encryption_is_refused() -> None:
    """The agent gets the refusal, so that it ends the session at once. The error says what to do."""
    talk = Conversation()
    talk.sent()
    with pytest.raises(HandshakeRefused, match=r"KMS key alias/x.*session-manager-plugin"):
        talk.shake_hands({"ActionType": "KMSEncryption", "ActionParameters": {"KMSKeyId": "alias/x\n"}})
    answer = talk.stream()[-1]
    assert answer[1] == PayloadType.HANDSHAKE_RESPONSE
    assert [a["ActionStatus"] for a in json.loads(answer[2])["ProcessedClientActions"]] == [1, 3]


class Upside:
    """A cipher for tests: every bit turned over; each direction marked by its last byte."""

    def __init__(self, refusal: AwsError | None = None) -> None:
        """Remember what the handshake asks; refuse if the test wants that."""
        self.asked: list[tuple[str, str]] = []
        self.refusal = refusal

    def begin(self, key_id: str, challenge: str) -> bytes:
        """Give a data key."""
        self.asked.append((key_id, challenge))
        if self.refusal is not None:
            raise self.refusal
        return b"data key"

    def encrypt(self, data: bytes) -> bytes:
        """Encrypt as the client does."""
        return bytes(byte ^ 255 for byte in data) + b"c"

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt what the agent encrypted."""
        if not data.endswith(b"a"):
            raise ProtocolError("not the agent's")
        return bytes(byte ^ 255 for byte in data[:-1])

    def agents(self, data: bytes) -> bytes:
        """Encrypt as the agent does."""
        return self.encrypt(data)[:-1] + b"a"


def test_an_encrypted_session() -> None:
    """Keys are made, the challenge is proved, and then output and input travel encrypted, sizes do not."""
    cipher = Upside()
    talk = Conversation(cipher)
    talk.typed(b"in")
    talk.sent()
    talk.shake_hands({"ActionType": "KMSEncryption", "ActionParameters": {"KMSKeyId": "key", "Challenge": "Q2g="}})
    assert cipher.asked == [("key", "Q2g=")]
    result = json.loads(talk.stream()[-1][2])["ProcessedClientActions"][1]
    assert result["ActionStatus"] == 1
    assert result["ActionResult"] == {
        "KMSCipherTextKey": base64.b64encode(b"data key").decode(),
        "KMSCipherTextHash": None,
        "ChallengeAcknowledgement": True,
    }
    talk.ask(PayloadType.ENC_CHALLENGE_REQUEST, Challenge=base64.b64encode(cipher.agents(b"prove")).decode())
    number, kind, payload = talk.stream()[-1]
    assert (number, kind) == (2, PayloadType.ENC_CHALLENGE_RESPONSE)
    assert base64.b64decode(json.loads(payload)["Challenge"]) == cipher.encrypt(b"prove")
    talk.complete()
    assert talk.stream() == [size_frame(3)]
    talk.say(cipher.agents(b"out"))
    assert talk.events() == [Ready(), Output(b"out")]
    assert talk.stream() == [input_frame(4, cipher.encrypt(b"in"))]


def test_kms_that_refuses_is_told_to_both_sides() -> None:
    """KMS's refusal ends the handshake on both sides, with its words for the operator."""
    talk = Conversation(Upside(AwsError("AccessDenied")))
    with pytest.raises(HandshakeRefused, match="AccessDenied"):
        talk.shake_hands({"ActionType": "KMSEncryption", "ActionParameters": {"KMSKeyId": "key"}})
    assert json.loads(talk.stream()[-1][2])["ProcessedClientActions"][1]["ActionStatus"] == 2


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        ("nothing", PayloadType.HANDSHAKE_COMPLETE),
        ("nothing", PayloadType.ENC_CHALLENGE_REQUEST),
        ("handshake", PayloadType.HANDSHAKE_REQUEST),
        ("handshake", PayloadType.ENC_CHALLENGE_REQUEST),
        ("handshake", PayloadType.OUTPUT),
        ("output", PayloadType.HANDSHAKE_REQUEST),
    ],
)
def test_a_handshake_out_of_turn_is_refused(before: str, kind: PayloadType) -> None:
    """Frames that the handshake's order does not allow are protocol errors, plain output before its end too."""
    talk = Conversation()
    if before == "handshake":
        talk.shake_hands()
    elif before == "output":
        talk.say(b"x")
    with pytest.raises(ProtocolError):
        talk.ask(kind)


# --- The end


def test_closed_with_its_reason() -> None:
    """What was printed comes before the end; nothing comes after it."""
    talk = Conversation()
    talk.say(b"last")
    talk.service("channel_closed", b'{"Output":"the reason"}')
    talk.say(b"late")
    assert talk.events() == [Ready(), Output(b"last"), Closed("the reason")]
    assert talk.channel.closed


def test_the_reason_of_the_end_is_cut() -> None:
    """Patterns are matched with it, and its length is the far side's choice."""
    talk = Conversation()
    talk.service("channel_closed", json.dumps({"Output": "log group " * 9600}).encode())
    (closed,) = talk.events()
    assert isinstance(closed, Closed)
    assert closed.reason == ("log group " * 200)


def test_after_the_end_nothing_is_sent() -> None:
    """A closed channel sends no input, no size, and nothing again."""
    talk = Conversation()
    talk.service("channel_closed", b"{}")
    talk.sent()
    talk.typed(b"x")
    talk.channel.send_size(1, 1, 0.0)
    talk.channel.on_time(100.0)
    assert talk.channel.next_deadline() is None
    assert talk.sent() == []


def test_a_gap_at_the_end_is_a_loss() -> None:
    """If output is missing before later output, an error gives its number. The gap is never skipped."""
    talk = Conversation()
    talk.say(b"first", number=0)
    talk.say(b"third", number=2)
    with pytest.raises(ChannelLost, match="frame 1, "):
        talk.service("channel_closed", b"{}")
    assert talk.events() == [Ready(), Output(b"first")]
