"""What was converted, and what was left. No line holds a value of a file: it may be a secret."""

from __future__ import annotations

from ecs_exec.text import printable, shortened

_LONGEST = 120
"""Most characters of a name from a file in a line."""


def shown(name: str) -> str:
    """Return a name from a file on one line."""
    return shortened(printable(name), _LONGEST)


class Report:
    """Collects the lines about one file."""

    def __init__(self) -> None:
        """Begin without lines."""
        self.lines: list[str] = []
        self.converted = 0
        self.open = 0
        """Lines of things that a person must look at."""

    def done(self, place: str, text: str) -> None:
        """Tell that something was converted."""
        self.converted += 1
        self.lines.append(f"converted  {place}: {text}")

    def check(self, place: str, text: str) -> None:
        """Tell that something was converted, but may be wrong."""
        self.open += 1
        self.lines.append(f"check      {place}: {text}")

    def note(self, place: str, text: str) -> None:
        """Tell something about another plugin."""
        self.lines.append(f"note       {place}: {text}")

    def left(self, place: str, text: str) -> None:
        """Tell that something was left as it is."""
        self.open += 1
        self.lines.append(f"left       {place}: {text}")
