"""What the plugin says itself, whoever the words in it come from."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ecs_exec.signals import Interrupts
from ecs_exec.sink import Sink

HOSTILE = [
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m",
    "two\nlines\r\n",
    "\x00\x08\x7f",
    "left \u202eright",
    "line\u2028paragraph\u2029",
    "half a character \udcff",
]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_said_reaches_the_readers_terminal(pipe: tuple[int, int], text: str) -> None:
    """One line, of characters that can be seen."""
    Sink(Interrupts(), stderr=pipe[1]).say(f"it said {text}!")
    line = os.read(pipe[0], 4096).decode()
    assert line.startswith("ecs-exec: it said ")
    assert line.endswith("!\n")
    assert line[:-1].isprintable()


def test_the_commands_output_passes_untouched(pipe: tuple[int, int]) -> None:
    """Its escape sequences are its own business."""
    with Interrupts() as interrupts:
        sink = Sink(interrupts, stdout=pipe[1], stderr=pipe[1])
        for text in HOSTILE:
            data = text.encode(errors="surrogateescape")
            sink.out(data)
            sink.err(data)
            assert os.read(pipe[0], 4096) == data + data
