"""Draws the picture that GitHub and chats show for the repository: a PNG, made without any library.

The letters are drawn here, five dots wide and seven high. The picture is the same on every machine.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 1280, 640
"""The size that GitHub recommends."""

_Colour = tuple[int, int, int]
_BACK: _Colour = (13, 27, 42)
_TITLE: _Colour = (255, 153, 0)
_TEXT: _Colour = (224, 232, 240)
_FRAME: _Colour = (60, 90, 120)

_ROWS = 7
_LETTERS = """\
a ..... ..... .###. ....# .#### #...# .####
b #.... #.... ####. #...# #...# #...# ####.
c ..... ..... .###. #.... #.... #.... .###.
d ....# ....# .#### #...# #...# #...# .####
e ..... ..... .###. #...# ##### #.... .###.
f ..##. .#..# .#... ###.. .#... .#... .#...
g ..... ..... .#### #...# .#### ....# .###.
h #.... #.... ####. #...# #...# #...# #...#
i ..#.. ..... .##.. ..#.. ..#.. ..#.. .###.
j ...#. ..... ..##. ...#. ...#. #..#. .##..
k #.... #.... #..#. #.#.. ##... #.#.. #..#.
l .##.. ..#.. ..#.. ..#.. ..#.. ..#.. .###.
m ..... ..... ##.#. #.#.# #.#.# #.#.# #...#
n ..... ..... ####. #...# #...# #...# #...#
o ..... ..... .###. #...# #...# #...# .###.
p ..... ..... ####. #...# ####. #.... #....
q ..... ..... .#### #...# .#### ....# ....#
r ..... ..... #.##. ##... #.... #.... #....
s ..... ..... .#### #.... .###. ....# ####.
t .#... .#... ###.. .#... .#... .#..# ..##.
u ..... ..... #...# #...# #...# #...# .####
v ..... ..... #...# #...# #...# .#.#. ..#..
w ..... ..... #...# #.#.# #.#.# #.#.# .#.#.
x ..... ..... #...# .#.#. ..#.. .#.#. #...#
y ..... ..... #...# #...# .#### ....# .###.
z ..... ..... ##### ...#. ..#.. .#... #####
A .###. #...# #...# ##### #...# #...# #...#
C .###. #...# #.... #.... #.... #...# .###.
E ##### #.... #.... ####. #.... #.... #####
R ####. #...# #...# ####. #.#.. #..#. #...#
S .#### #.... #.... .###. ....# ....# ####.
- ..... ..... ..... ##### ..... ..... .....
, ..... ..... ..... ..... .##.. ..#.. .#...
. ..... ..... ..... ..... ..... .##.. .##..
$ ..#.. .#### #.#.. .###. ..#.# ####. ..#..
"""
_DRAWN = {line[0]: line[2:].split(" ") for line in _LETTERS.splitlines()} | {" ": ["....."] * _ROWS}


class _Line(NamedTuple):
    """A line of text on the picture."""

    text: str
    top: int
    dot: int
    """Pixels of a letter's dot."""
    colour: _Colour


def picture(title: str, lines: Sequence[str]) -> bytes:
    """Return a PNG with a title and lines of text. Raises ValueError for a letter that is not drawn here."""
    rows = [bytearray(bytes(_BACK) * WIDTH) for _ in range(HEIGHT)]
    for edge in (40, HEIGHT - 46):
        for row in rows[edge : edge + 6]:
            row[3 * 60 : 3 * (WIDTH - 60)] = bytes(_FRAME) * (WIDTH - 120)
    shown = [_Line(title, 130, 12, _TITLE)]
    shown += [_Line(text, 300 + 80 * number, 5, _TEXT) for number, text in enumerate(lines)]
    for line in shown:
        _draw(rows, line)
    return _png(rows)


def _draw(rows: Sequence[bytearray], line: _Line) -> None:
    left = (WIDTH - (6 * len(line.text) - 1) * line.dot) // 2
    if left < 0 or line.top + _ROWS * line.dot > HEIGHT:
        raise ValueError(f"no room for {line.text!r}")
    for column, letter in enumerate(line.text):
        if letter not in _DRAWN:
            raise ValueError(f"there is no letter {letter!r}")
        for down, dots in enumerate(_DRAWN[letter]):
            for across, dot in enumerate(dots):
                if dot == "#":
                    start = 3 * (left + (6 * column + across) * line.dot)
                    for row in rows[line.top + down * line.dot : line.top + (down + 1) * line.dot]:
                        row[start : start + 3 * line.dot] = bytes(line.colour) * line.dot


def _png(rows: Sequence[bytearray]) -> bytes:
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)  # eight bits for each of red, green and blue
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
