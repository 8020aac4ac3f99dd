"""The command split into words, as the agent splits it before it executes them without a shell."""

from __future__ import annotations

import re
from enum import Enum, auto

_SPACE = " \t\r\n"


class SplitError(ValueError):
    """The command cannot be split; the text is the agent's own."""


class _State(Enum):
    START = auto()  # between words
    WORD = auto()
    ESCAPED = auto()
    QUOTED_ESCAPED = auto()
    DOUBLE = auto()
    SINGLE = auto()
    COMMENT = auto()


# What a character does in each state; a character that is not here is part of the word.
_MOVES: dict[_State, dict[str, _State]] = {
    _State.START: {
        **dict.fromkeys(_SPACE, _State.START),
        "#": _State.COMMENT,
        "\\": _State.ESCAPED,
        '"': _State.DOUBLE,
        "'": _State.SINGLE,
    },
    _State.WORD: {
        **dict.fromkeys(_SPACE, _State.START),
        "\\": _State.ESCAPED,
        '"': _State.DOUBLE,
        "'": _State.SINGLE,
    },
    _State.DOUBLE: {"\\": _State.QUOTED_ESCAPED, '"': _State.WORD},
    _State.SINGLE: {"'": _State.WORD},
    _State.COMMENT: {"\n": _State.START},
}
_LITERAL_THEN = {
    _State.START: _State.WORD,
    _State.WORD: _State.WORD,
    _State.DOUBLE: _State.DOUBLE,
    _State.SINGLE: _State.SINGLE,
    _State.ESCAPED: _State.WORD,
    _State.QUOTED_ESCAPED: _State.DOUBLE,
}
_LITERALS = {
    _State.WORD: re.compile(r"""[^ \t\r\n\\"']+"""),
    _State.DOUBLE: re.compile(r'[^\\"]+'),
    _State.SINGLE: re.compile("[^']+"),
    _State.COMMENT: re.compile(r"[^\n]+"),
}
"""Characters that have no meaning in a state, and are taken at once: commands are long."""
_UNFINISHED = {
    _State.DOUBLE: "EOF found when expecting closing quote",
    _State.SINGLE: "EOF found when expecting closing quote",
    _State.ESCAPED: "EOF found after escape character",
    _State.QUOTED_ESCAPED: "EOF found after escape character",
}


def split(command: str) -> list[str]:
    """Return the words of a command. Raises SplitError if a quote or an escape is left open.

    Quotes are as in POSIX, but a backslash escapes any character, inside double quotes too; a `#` where a word
    could begin opens a comment up to the end of the line; only blank, tab, CR and LF separate words.
    """
    words: list[str] = []
    word: list[str] = []
    state = _State.START
    at = 0
    while at < len(command):
        if state in _LITERALS and (literal := _LITERALS[state].match(command, at)):
            at = literal.end()
            if state is not _State.COMMENT:
                word.append(literal[0])
            continue
        char = command[at]
        at += 1
        after = _MOVES.get(state, {}).get(char)
        if after is None:
            word.append(char)
            state = _LITERAL_THEN[state]
        else:
            if state is _State.WORD and after is _State.START:
                words.append("".join(word))
                word.clear()
            state = after
    if state in _UNFINISHED:
        raise SplitError(_UNFINISHED[state])
    if state is _State.WORD:
        words.append("".join(word))
    return words
