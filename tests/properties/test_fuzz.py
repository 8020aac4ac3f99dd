"""Mutated frames by the hundred thousand. ECS_EXEC_FUZZ_FRAMES sets how many, ECS_EXEC_FUZZ_SEED which."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable

from ecs_exec.encryption import KmsEncryption
from ecs_exec.errors import TransportError
from ecs_exec.ssm import messages
from ecs_exec.ssm.channel import DataChannel

FRAMES = int(os.environ.get("ECS_EXEC_FUZZ_FRAMES", "100000"))
SEED = int(os.environ.get("ECS_EXEC_FUZZ_SEED", "1"))

ACTIONS = [{"ActionType": "SessionType", "ActionParameters": {}}, {"ActionType": "KMSEncryption"}]
BODIES = [
    ("output_stream_data", 1, b"output"),
    ("output_stream_data", 5, json.dumps({"RequestedClientActions": ACTIONS}).encode()),
    ("output_stream_data", 7, b'{"CustomerMessage":"hello"}'),
    ("output_stream_data", 8, b'{"Challenge":"aGVsbG8="}'),
    ("acknowledge", 0, b'{"AcknowledgedMessageSequenceNumber":0}'),
    ("channel_closed", 0, b'{"Output":"bye"}'),
    ("start_publication", 0, b""),
    ("pause_publication", 0, b""),
]


def mutated(rng: random.Random, frame: bytearray) -> bytearray:
    """Change some bytes, or cut, stretch or repeat a piece."""
    for _ in range(rng.randint(0, 3)):
        place = rng.randrange(len(frame)) if frame else 0
        match rng.randrange(4):
            case 0 if frame:
                frame[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 1:
                del frame[place:]
            case 2:
                frame[place:place] = rng.randbytes(rng.randint(1, 20))
            case _:
                frame += frame[place:]
    return frame


def a_frame(rng: random.Random) -> bytearray:
    """Build a frame whose payload, or whose whole, is damaged: with a right digest it gets past the codec."""
    kind, payload_type, payload = rng.choice(BODIES)
    inner = mutated(rng, bytearray(payload)) if rng.random() < 0.5 else payload
    frame = bytearray(messages.build(kind, rng.randint(0, 5), b"i" * 16, payload_type, bytes(inner), 1))
    return mutated(rng, frame) if rng.random() < 0.5 else frame


def opened(number: int) -> DataChannel:
    """Give a channel that waits for the agent, every other one with a KMS key."""
    encryption = KmsEncryption(lambda _key, _context: (bytes(64), b"key"), "id", lambda: "target")
    channel = DataChannel("client", lambda: b"i" * 16, 0.0, (300, 100), encryption if number % 2 else None)
    channel.open("token", 0.0)
    return channel


def test_mutated_frames(record_property: Callable[[str, object], None]) -> None:
    """No frame does anything to a channel but give events or raise an error of the tree."""
    rng = random.Random(SEED)  # noqa: S311
    refused = taken = 0
    for number in range(FRAMES):
        if number % 8 == 0:
            channel = opened(number // 8)
        try:
            channel.receive_frame(a_frame(rng), 0.0)
        except TransportError:
            refused += 1
        else:
            taken += 1
        channel.data_to_send()
        while channel.next_event() is not None:
            pass
    assert refused > FRAMES // 10
    assert taken > FRAMES // 10
    record_property("told", f"fuzz: {FRAMES} frames, seed {SEED}: {taken} taken, {refused} refused, none did harm")
