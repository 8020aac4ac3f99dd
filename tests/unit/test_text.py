"""Texts for people: one line, without a URL's password."""

from __future__ import annotations

import sys

import pytest

from ecs_exec.errors import SettingsError
from ecs_exec.settings.access import read_access
from ecs_exec.settings.properties import ACCESS
from ecs_exec.settings.reader import Reader
from ecs_exec.text import printable, without_user

BREAKS = [chr(code) for code in range(sys.maxunicode + 1) if len(f"a{chr(code)}b".splitlines()) > 1]


@pytest.mark.parametrize("char", [*BREAKS, "\0", "\x1b", "\x7f", "\x9b", "\u200e", "\u202e", "\ufeff"], ids=ascii)
def test_no_character_breaks_a_line(char: str) -> None:
    """Nor moves the cursor, nor turns the text around."""
    assert printable(f"a{char}b") == "a b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to http://user:hunter2@proxy:3128/: refused", "to http://***@proxy:3128/: refused"),
        ('"https://hunter2@host"', '"https://***@host"'),
        ("https://:hunter2@host", "https://***@host"),
        ("http://user:hun@ter2@host and https://a:hunter2@b", "http://***@host and https://***@b"),
        ("http://user:hun/ter2@host", "http://***@host"),
        ("http://host/path", "http://host/path"),
        ("mail a@b, http://host", "mail a@b, http://host"),
        ("wss://hunter2@host", "wss://***@host"),
    ],
)
def test_no_url_shows_its_user(text: str, shown: str) -> None:
    """However the password is written."""
    assert without_user(text) == shown


@pytest.mark.parametrize(
    "url", ["https://user:hunter2@host", "https://:hunter2@host", "https://@host", "http://hunter2@"]
)
def test_an_endpoint_has_no_user(url: str) -> None:
    """It is refused, and its password is not quoted."""
    reader = Reader({"RD_CONFIG_ENDPOINT_URL": url}, ACCESS)
    read_access(reader)
    with pytest.raises(SettingsError, match="endpoint-url is") as caught:
        reader.finish()
    assert "hunter2" not in str(caught.value)
