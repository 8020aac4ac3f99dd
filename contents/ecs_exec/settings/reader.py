"""The only reader of the environment: values out of it, and every fault found on the way.

Rundeck gives every configuration property as RD_CONFIG_<NAME> and every attribute of the node as RD_NODE_<NAME>, in
upper case, other characters than letters and digits turned into `_`. All faults are told at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ecs_exec.attribute_names import variable
from ecs_exec.errors import SettingsError
from ecs_exec.settings.properties import SECRET, Property
from ecs_exec.text import without_user

T = TypeVar("T")


class Reader:
    """Takes one provider's values out of the environment and keeps the faults found."""

    def __init__(self, environ: Mapping[str, str], properties: Iterable[Property]) -> None:
        """Take the environment and the properties that the provider has."""
        self.environ = environ
        self._properties = {item.name: item for item in properties}
        self._faults: list[str] = []

    def fault(self, text: str) -> None:
        """Keep a fault."""
        self._faults.append(text)

    def finish(self) -> None:
        """Raise SettingsError if there was any fault."""
        if self._faults:
            raise SettingsError("; ".join(self._faults))

    def has(self, name: str) -> bool:
        """Tell whether the provider has a property."""
        return name in self._properties

    def attribute(self, name: str) -> str:
        """Give a node attribute, empty if there is none."""
        return unix_lines(self.environ.get(f"RD_NODE_{variable(name)}", "")).strip()

    def text(self, name: str) -> str:
        """Return a property of the configuration, blanks and all, its lines ended as in a Unix file."""
        known = self._properties[name]
        return unix_lines(self.environ.get(f"RD_CONFIG_{variable(known.name)}", ""))

    def setting(self, name: str, parse: Callable[[str], T]) -> T:
        """Give a property, the node's attribute before the configuration before the default.

        `parse` raises ValueError with the accepted form. The default goes through it, too.
        """
        known = self._properties[name]
        text, source = self.attribute(known.attribute) if known.attribute else "", known.attribute
        if not text:
            text, source = self.text(name).strip(), name
        return self.parsed(source, text or known.default, parse, parse(known.default) if known.default else None)

    def parsed(self, source: str, text: str, parse: Callable[[str], T], default: T | None = None) -> T:
        """Give what `parse` makes of a text; a fault is kept under the name of where the text came from."""
        try:
            return parse(text)
        except ValueError as error:
            hint = " (Rundeck found no value for the reference)" if re.search(r"\$\{[^}]*\}", text) else ""
            self.fault(f"{source} is {_shown(source, text)}{hint}: {error}")
        return default if default is not None else parse("")


def unix_lines(text: str) -> str:
    """Return a text with LF for CRLF: browsers end the lines of a form's text field with CRLF, which no shell reads."""
    return text.replace("\r\n", "\n")


def _shown(source: str, text: str) -> str:
    """Show a faulty value on one line, a secret one not at all."""
    if source in SECRET:
        return "not usable"
    text = without_user(text)
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")  # noqa: PLR2004


# --- Forms that several settings have


def matching(pattern: str, form: str) -> Callable[[str], str]:
    """Make a parser that takes an empty text or one of a form."""

    def parse(text: str) -> str:
        if text and not re.fullmatch(pattern, text):
            raise ValueError(f"expected {form}")
        return text

    return parse


def switch(text: str) -> bool:
    """Read true or false."""
    if text.lower() not in {"true", "false"}:
        raise ValueError("expected true or false")
    return text.lower() == "true"


def seconds(least: int) -> Callable[[str], int]:
    """Make a parser of whole seconds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
            raise ValueError(f"expected a whole number of seconds, {least} or more")
        return int(text)

    return parse


def several(parse: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    """Make a parser of a list with commas between, each entry once."""

    def parse_all(text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(parse(entry) for part in text.split(",") if (entry := part.strip())))

    return parse_all
