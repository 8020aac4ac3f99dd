"""Translations of resources/i18n/messages.properties: complete, with unchanged names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ecs_exec.settings.providers import PROVIDERS

FOLDER = Path(__file__).parents[2] / "resources" / "i18n"
TRANSLATIONS = sorted(FOLDER.glob("messages_*.properties"))

_PROPERTIES = {item.name: item for provider in PROVIDERS for item in provider.properties}
_NAMES = {name for name in _PROPERTIES if "-" in name} | {
    item.attribute for item in _PROPERTIES.values() if item.attribute
}
"""Settings and node attributes. A setting of one word, like `user`, is a word of the language, too."""

_TECHNICAL = re.compile(r"[/_:*={}<>@$&#\d]")
"""Texts that are not plain words: permissions, paths, variables, examples, numbers."""


def read(path: Path) -> dict[str, str]:
    """Read a file of messages, with no code in it twice."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pairs = [(code, text) for code, _, text in (line.partition("=") for line in lines)]
    codes = [code for code, _ in pairs]
    assert sorted({code for code in codes if codes.count(code) > 1}) == []
    return dict(pairs)


def untouchable(code: str, text: str) -> set[str]:
    """Return the words of an English text that stay the same in every language."""
    words = {word.strip("\"'(.,;:)") for word in text.split()}
    found = re.search(r"property\.([^.]+)\.description", code)
    values: set[str] = set()
    if found:
        item = _PROPERTIES[found[1]]
        values = {*item.values, item.default, *(("true", "false") if item.kind == "Boolean" else ())}
    examples = set(re.findall(r"for example ([^\s.;]+)(?:[.;]|$)", text))
    return {word for word in words if _TECHNICAL.search(word) or word in _NAMES or word in values} | examples


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.name)
def test_every_message_is_translated(path: Path) -> None:
    """Each file has exactly the codes of the English one, in its order, and a name that Rundeck looks for."""
    assert re.fullmatch(r"messages_[a-z]{2}(_[A-Z]{2})?\.properties", path.name)
    english, translated = read(FOLDER / "messages.properties"), read(path)
    missing, stale = sorted(english.keys() - translated.keys()), sorted(translated.keys() - english.keys())
    assert not missing, f"missing in {path.name}: {missing}"
    assert not stale, f"in {path.name} alone: {stale}"
    assert list(translated) == list(english)


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.name)
def test_helps_are_in_another_language(path: Path) -> None:
    """No message is left in English."""
    english, translated = read(FOLDER / "messages.properties"), read(path)
    same = [code for code, text in english.items() if code.endswith(".description") and text == translated.get(code)]
    assert same == []


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.name)
def test_names_are_left_as_they_are(path: Path) -> None:
    """Settings, attributes, values, permissions, variables, examples and numbers are the same in every language."""
    translated = read(path)
    lost = [
        f"{code}: {word}"
        for code, text in read(FOLDER / "messages.properties").items()
        for word in sorted(untouchable(code, text))
        if word and word not in translated.get(code, "")
    ]
    assert not lost, f"lost in {path.name}:\n" + "\n".join(lost)


def test_there_is_a_translation() -> None:
    """Otherwise the tests above would check nothing."""
    assert TRANSLATIONS
