"""docs/troubleshooting.md is made of the causes; errors name causes that exist, and give them their fields."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from string import Formatter

import pytest

from contract.messages import ERRORS, PACKAGE, Named, named
from ecs_exec import errors
from ecs_exec.command import script_protocol
from ecs_exec.errors.causes import of, sections
from ecs_exec.errors.causes.cause import Cause
from ecs_exec.files import upload
from ecs_exec.transport import refusals

OF_RUNDECK = "\n## What Rundeck itself says\n"
PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
CAUSES = [cause for section in sections() for cause in section.causes]
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def fields(cause: Cause) -> set[str]:
    """Return the fields of a cause's sentences."""
    return {name for text in (cause.says, cause.cure) for _, name, _, _ in Formatter().parse(text) if name}


def test_names_are_unique_and_fit_for_anchors() -> None:
    """Users search for names, and addresses contain them."""
    names = [cause.name for cause in CAUSES]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", name)] == []


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_a_cause_is_whole(cause: Cause) -> None:
    """One sentence says what is wrong, one what to do; an action is written as IAM has it."""
    for text in (cause.says, cause.cure):
        assert text.strip() == text
        assert text
        assert not text.endswith(".")
    assert not cause.action or re.fullmatch(r"[a-z0-9-]+:[A-Z]\w+", cause.action)


@pytest.mark.parametrize("error", named(), ids=lambda error: error.place)
def test_an_error_names_a_cause_that_exists(error: Named) -> None:
    """The error gives all fields of the cause's sentences; without one, the line could not be made."""
    needed = fields(of(error.name))
    assert error.fields == needed if error.whole else error.fields <= needed, error


@pytest.mark.parametrize("table", [script_protocol._REFUSALS, upload._FAILURES, refusals._CODES])
def test_codes_have_causes(table: dict[str, tuple[str, str]]) -> None:
    """Each code from a container or AWS has its own text, and a row in the page."""
    names = {name for name, _ in table.values()} | {name for _, name, _ in upload._HINTS}
    assert names <= {cause.name for cause in CAUSES}


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_every_kind_of_error_has_a_cause(name: str) -> None:
    """Errors without a name of their own are in the page, too."""
    kind = getattr(errors, name).kind
    assert not kind or of(kind)
    assert kind or name == "TargetError"


def test_something_reports_every_cause() -> None:
    """The page explains only causes that the plugin prints."""
    named = Counter(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", "\n".join(SOURCES.values())))
    exits = {cause.name for cause in CAUSES if cause.name.startswith("exit-")}
    unused = [cause.name for cause in CAUSES if named[cause.name] < 2]
    assert set(unused) - exits == set()


def test_no_message_is_taken_apart() -> None:
    """Errors have fields; their lines are for people."""
    surgery = re.compile(r"in str\((?:error|failure)\)(?!\.)|str\((?:error|failure)\)\.(?:removeprefix|r?partition)\b")
    assert [str(path) for path, text in SOURCES.items() if surgery.search(text)] == []


def test_every_name_is_an_anchor_of_the_page() -> None:
    """An operator finds whatever the plugin prints."""
    anchors = re.findall(r'<a id="([^"]+)"></a>', PAGE.read_text(encoding="utf-8"))
    assert anchors == [cause.name for cause in CAUSES]


def test_rundeck_s_own_messages_have_rows() -> None:
    """Rundeck's messages that stop a new project from working. They are not in the code."""
    _, found, text = PAGE.read_text(encoding="utf-8").partition(OF_RUNDECK)
    assert found
    for words in (
        "Unable to load configuration key",
        "No matched nodes",
        "configuration was invalid",
        "bad substitution",
    ):
        assert re.search(rf"(?m)^\| `[^`]*{words}[^`]*`.*\|.*\|.*\|$", text), words
