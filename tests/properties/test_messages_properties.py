"""The frame codec, for all frames and for all garbage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ecs_exec.errors import ProtocolError, TransportError
from ecs_exec.ssm import messages
from ecs_exec.ssm.channel import DataChannel
from ecs_exec.ssm.messages import Message

# The wire pads a name with spaces and readers strip both, so names neither begin nor end with them.
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=32).filter(
    lambda name: not name.endswith("_publication")
)
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
MESSAGES = st.builds(
    Message,
    kind=NAMES | st.sampled_from([messages.OUTPUT_STREAM, messages.ACKNOWLEDGE, messages.CHANNEL_CLOSED]),
    sequence=st.integers(0, 2**63 - 1),
    flags=U64,
    message_id=st.binary(min_size=16, max_size=16),
    payload_type=U32,
    payload=st.binary(max_size=2000),
    created=U64,
)


def build(message: Message) -> bytes:
    """Write a message."""
    return messages.build(
        message.kind,
        message.sequence,
        message.message_id,
        message.payload_type,
        message.payload,
        message.created,
        message.flags,
    )


def opened() -> DataChannel:
    """Give a channel that waits for the agent."""
    channel = DataChannel("client", lambda: b"i" * 16, 0.0, (300, 100))
    channel.open("token", 0.0)
    return channel


@given(MESSAGES)
def test_what_is_written_is_read(message: Message) -> None:
    """Every message survives the wire."""
    assert messages.parse(build(message)) == message


@given(MESSAGES, st.data())
def test_one_byte_changed_is_an_event_or_a_protocol_error(message: Message, data: st.DataObject) -> None:
    """A damaged frame is read or refused, and a damaged payload is always refused."""
    frame = bytearray(build(message))
    place = data.draw(st.integers(0, len(frame) - 1))
    frame[place] ^= data.draw(st.integers(1, 255))
    try:
        read = messages.parse(frame)
    except ProtocolError:
        return
    assert place < 120 or not message.payload
    assert isinstance(read, Message)


@given(st.binary(max_size=400))
def test_garbage_is_a_protocol_error(garbage: bytes) -> None:
    """Bytes that are no frame are refused, and nothing else happens."""
    try:
        messages.parse(garbage)
    except ProtocolError:
        return


@given(st.lists(MESSAGES, max_size=10))
def test_any_messages_give_events_or_transport_errors(conversation: list[Message]) -> None:
    """Well-formed frames in any order, with any content, end in events or in an error of the tree."""
    channel = opened()
    try:
        for message in conversation:
            channel.receive_frame(build(message), 0.0)
    except TransportError:
        pass
    while channel.next_event() is not None:
        pass
