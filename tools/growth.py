"""Checks that the worst input of a far side takes linear time: twice as much input, about twice the time."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable
from math import inf

from ecs_exec.command.decoder import Decoder, Newlines, ReplacementCharRestorer
from ecs_exec.ecs import diagnosis
from ecs_exec.ssm import messages
from ecs_exec.ssm.channel import DataChannel
from ecs_exec.ssm.delivery import Inbox
from ecs_exec.ssm.events import Output
from ecs_exec.text import one_line
from ecs_exec.transport.banners import Banners

MARK = b"\x1e" + b"0123456789abcdef" * 2
PIECE = 64 * 1024
SIZES = (1, 2, 4, 8)
MOST = 2.2
"""How many times as long twice as much may take."""

ENOUGH = 0.02
"""Seconds of processor time below which a measurement is noise."""

ATTEMPTS = 20


def fed(feed: Callable[[bytes], object], data: bytes) -> None:
    """Feed data in the pieces of a read."""
    for at in range(0, len(data), PIECE):
        feed(data[at : at + PIECE])


def to_decoder(data: bytes) -> None:
    """Decode a command's output."""
    decoder = Decoder(MARK)
    decoder.feed(MARK + b"Br\n" + MARK + b"S\n")
    fed(decoder.feed, data)
    decoder.close()


def to_banners(data: bytes) -> None:
    """Remove the banners from the output of session-manager-plugin."""
    banners = Banners("id")
    banners.feed(b"\nStarting session with SessionId: id\n")
    fed(banners.feed, data)
    banners.close()


def to_restorer(data: bytes) -> None:
    """Restore U+FFFD."""
    restorer = ReplacementCharRestorer()
    fed(restorer.feed, data)
    restorer.close()


def to_newlines(data: bytes) -> None:
    """Undo a terminal's changes of newlines."""
    newlines = Newlines()
    fed(newlines.feed, data)


def to_words(data: bytes) -> None:
    """Explain the text of a session's end."""
    text = data.decode("latin-1")
    diagnosis.cure(text)
    one_line(text)


def to_channel(data: bytes) -> None:
    """Take frames in the wrong order, each twice."""
    channel = DataChannel("client", lambda: b"i" * 16, 0.0, (300, 100))
    channel.open("token", 0.0)
    count = len(data) // 1024
    for start in range(0, count, 1000):
        for number in reversed(range(start, min(count, start + 1000))):
            frame = messages.build(messages.OUTPUT_STREAM, number, b"i" * 16, 1, b"x", 1)
            channel.receive_frame(frame, 0.0)
            channel.receive_frame(frame, 0.0)
        channel.data_to_send()
        while channel.next_event() is not None:
            pass


def to_session(data: bytes) -> None:
    """Take output in frames of the agent's size, and decode it."""
    channel = DataChannel("client", lambda: b"i" * 16, 0.0, (300, 100))
    channel.open("token", 0.0)
    decoder = Decoder(MARK)
    decoder.feed(MARK + b"Br\n" + MARK + b"S\n")
    for number in range(len(data) // 1024):
        payload = data[number * 1024 : (number + 1) * 1024]
        channel.receive_frame(messages.build(messages.OUTPUT_STREAM, number, b"i" * 16, 1, payload, 1), 0.0)
        channel.data_to_send()
        while (event := channel.next_event()) is not None:
            if isinstance(event, Output):
                decoder.feed(event.data)


def to_inbox(data: bytes) -> None:
    """Take frames that wait for one that never comes."""
    inbox = Inbox()
    for number in range(len(data) // 256):
        inbox.accept(messages.Message(messages.OUTPUT_STREAM, number + 1, 0, b"", 1, b"x", 1))
        list(inbox.in_order())
        inbox.missing()


WORST: dict[str, tuple[Callable[[bytes], None], bytes]] = {
    "lone EFs": (to_restorer, b"\xef"),
    "lone EFs in text": (to_restorer, b"\xefa"),
    "lone EFs in what is no text": (to_restorer, b"\xef\xff" + b"\xef\xbf\xbd" * 1400),
    "text that turns binary again and again": (to_restorer, b"\xff" + b"x" * 4097 + b"\xef\xef"),
    "beginnings of marks": (to_decoder, MARK[:-1]),
    "marks without an end": (to_decoder, MARK),
    "pieces of stderr": (to_decoder, MARK + b"e\n"),
    "carriage returns": (to_newlines, b"\r"),
    "newlines among banners": (to_banners, b"\n"),
    "beginnings of banners": (to_banners, b"\n\nSessionId: id : "),
    "a refusal that goes on": (to_banners, b"Cannot perform start session: x"),
    "words of the log group": (to_words, b"log group cloudwatch s3 bucket "),
    "words of keys": (to_words, b"Fetching data key failed"),
    "users in URLs": (to_words, b"://a@"),
    "frames in disorder": (to_channel, b"x" * 1024),
    "frames that wait": (to_inbox, b"x" * 256),
}


def seconds(work: Callable[[bytes], None], data: bytes) -> float:
    """Return the processor time of a call: the lower one of two runs.

    Without the garbage collector, whose time depends on all objects of the process.
    """
    taken = []
    gc.disable()
    try:
        for _ in range(2):
            begun = time.process_time()
            work(data)
            taken.append(time.process_time() - begun)
    finally:
        gc.enable()
    return min(taken)


def _is_linear(times: list[float]) -> bool:
    return all(later <= max(ENOUGH, MOST * earlier) for earlier, later in itertools.pairwise(times))


def growth(name: str, unit: int) -> str:
    """Measure 1, 2, 4 and 8 units of so many bytes; return what is wrong, empty if nothing is.

    A busy machine makes some measurements longer. So one good round of several is enough, or the lowest of all rounds
    for each size.
    """
    work, worst = WORST[name]
    times = [inf] * len(SIZES)
    for _ in range(ATTEMPTS):
        measured = [seconds(work, worst * (size * unit // len(worst))) for size in SIZES]
        times = [min(pair) for pair in zip(times, measured, strict=True)]
        if _is_linear(measured) or _is_linear(times):
            return ""
    shown = ", ".join(f"{each:.3f}" for each in times)
    return f"{name}: {shown} s for {', '.join(str(size * unit // 1024) for size in SIZES)} KiB"
