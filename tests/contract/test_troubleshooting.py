"""docs/troubleshooting.md has every message of the plugin, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contract.messages import FUNCTIONS, PACKAGE, TABLES, Message, Module, collect, read

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
OF_RUNDECK = "\n## What Rundeck itself says\n"
HEADS = (["Message", "Cause", "Cure"], ["Name", "Cause", "Cure"])


def rows() -> dict[int, list[str]]:
    """Return the cells of each row of the page's tables of the plugin's messages, by the number of its line."""
    found = {}
    text, _, _ = PAGE.read_text(encoding="utf-8").partition(OF_RUNDECK)
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if line.startswith("|") and cells not in HEADS and set(line) - set("|-") and "<a id=" not in line:
            found[number] = cells
    return found


def told() -> list[Message]:
    """Return the messages of the page."""
    return [
        Message(text, f"{PAGE.name}:{number}")
        for number, cells in rows().items()
        for text in re.findall(r"`([^`]+)`", cells[0])
    ]


def unmatched(messages: list[Message], others: list[Message]) -> str:
    """Return those whose text no other has, a line each."""
    texts = {other.text for other in others}
    return "\n".join(f"{message.place}: {message.text}" for message in messages if message.text not in texts)


def test_every_message_of_the_code_is_in_the_page() -> None:
    """An operator finds whatever the plugin prints."""
    missing = unmatched(collect(), told())
    assert not missing, f"not in docs/troubleshooting.md:\n{missing}"


def test_every_row_of_the_page_is_a_message_of_the_code() -> None:
    """Nothing is explained that is not printed any more."""
    stale = unmatched(told(), collect())
    assert not stale, f"in docs/troubleshooting.md, and not in the code:\n{stale}"


def test_no_message_is_explained_twice() -> None:
    """Two rows for one message would grow apart."""
    texts = [message.text for message in told()]
    assert sorted({text for text in texts if texts.count(text) > 1}) == []


def test_rows_are_whole() -> None:
    """Each has a message, a cause and a cure; the first cell holds messages alone."""
    for number, cells in rows().items():
        where = f"{PAGE.name}:{number}"
        assert len(cells) == len(HEADS[0]), where
        assert all(cells), where
        assert re.fullmatch(r"`[^`]+`(<br>`[^`]+`)*", cells[0]), where


def test_rundeck_s_own_messages_have_rows() -> None:
    """Those that keep a new project from working; they are not in the code."""
    _, found, text = PAGE.read_text(encoding="utf-8").partition(OF_RUNDECK)
    assert found
    for words in (
        "Unable to load configuration key",
        "No matched nodes",
        "configuration was invalid",
        "bad substitution",
    ):
        assert re.search(rf"(?m)^\| `[^`]*{words}[^`]*`.*\|.*\|.*\|$", text), words


def test_links_lead_somewhere() -> None:
    """To files of the repository."""
    links = re.findall(r"\]\(([^)#:]+)", PAGE.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (PAGE.parent / link).exists()] == []


@pytest.mark.parametrize("name", [*TABLES, *FUNCTIONS])
def test_what_the_collection_names_exists(name: str) -> None:
    """A table or a function that was renamed would be left out silently."""
    parts = name.split(".")
    at = next(at for at in range(len(parts), 0, -1) if PACKAGE.joinpath(*parts[:at]).with_suffix(".py").is_file())
    module = Module.read(PACKAGE.joinpath(*parts[:at]).with_suffix(".py"))
    assert ".".join(parts[at:]) in {**module.constants, **module.functions}


SOURCE = """
_HINT = "look there"

class Talk:
    def end(self, what):
        why = "nobody is there" if what else f"{what} of them are there"
        raise CommandError(f"the {what} ended: {why}; {_HINT}")

    def say_so(self, sink):
        sink.say("one " "and two")
        sink.debug("a detail for some")
        sink.say(str(error))
        sink.say(self._line())

    def _line(self):
        return [f"a line that {self.name} {self.verb}"]

    def check(self, text):
        raise ValueError("no message where nobody parses")
"""


def test_what_the_collection_reads(tmp_path: Path) -> None:
    """Literals, fields, variables, constants and functions; neither details nor what is handed on."""
    path = tmp_path / "talk.py"
    path.write_text(SOURCE, encoding="utf-8")
    assert {message.text for message in read(path, tmp_path)} == {
        "the … ended: …; look there",
        "nobody is there",
        "… of them are there",
        "one and two",
        "a line that … …",
    }
