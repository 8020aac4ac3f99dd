"""`make pictures`: pictures of a terminal for the README, made from the real output of the programs."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
_WIDTH = 118
_FIRST = 3
"""Commands that the top of the README shows; the others are further down."""

# Rich's own template loads fonts from the internet; this one uses the reader's monospaced font.
_SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
  <style>
    .{unique_id}-matrix {{ font: {char_height}px/{line_height}px monospace; white-space: pre; }}
    .{unique_id}-title {{ font: bold 18px sans-serif; }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
    {lines}
  </defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">{matrix}</g>
  </g>
</svg>
"""  # noqa: E501 - one element

_COLOURS = (
    (re.compile(r"^\[.*$"), "bold"),
    (re.compile(r"^    stderr \|"), "red"),
    (re.compile(r"exit status 0\b.*"), "green"),
    (re.compile(r"exit status [1-9].*"), "yellow"),
)


def main() -> int:
    """Draw all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in zip(("nodes", "commands", "more-commands"), _demo(), strict=True):
        (FOLDER / f"{name}.svg").write_text(picture("make demo", text), encoding="utf-8")
    return 0


def picture(title: str, text: str) -> str:
    """Return an SVG of a terminal that shows a text."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    for line in text.rstrip().splitlines():
        shown = Text(line, overflow="fold")
        for pattern, style in _COLOURS:
            shown.highlight_regex(pattern, style)
        console.print(shown)
    return console.export_svg(title=title, code_format=_SVG, unique_id="still")


def _demo() -> tuple[str, str, str]:
    """Return the demo's output: the list of nodes, the first commands, and the other commands."""
    command = [sys.executable, "-m", "demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    nodes, *commands = done.stdout.split("\n\n[")
    commands = [f"[{each}" for each in commands]
    return nodes, "\n\n".join(commands[:_FIRST]), "\n\n".join(commands[_FIRST:])


if __name__ == "__main__":
    sys.exit(main())
