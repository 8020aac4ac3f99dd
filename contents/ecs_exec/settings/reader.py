"""The only reader of the environment. It collects all faults, and reports them at once.

Rundeck passes each configuration property as RD_CONFIG_<NAME> and each attribute of the node as RD_NODE_<NAME>. Names
are in upper case, and any character other than a letter or digit is replaced by `_`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ecs_exec.errors import SettingsError
from ecs_exec.settings.attribute_names import variable
from ecs_exec.settings.properties import SECRET, Property
from ecs_exec.text import shortened, without_user

T = TypeVar("T")

_MOST_QUOTED = 80
"""Most characters of a value in a message."""


class Reader:
    """Reads one provider's values from the environment and collects the faults."""

    def __init__(self, environ: Mapping[str, str], properties: Iterable[Property]) -> None:
        """Take the environment and the properties that the provider has."""
        self.environ = environ
        self._properties = {item.name: item for item in properties}
        self._faults: list[str] = []
        self._faulty: set[str] = set()
        """Settings and attributes whose values are faults."""

    def fault(self, text: str) -> None:
        """Add a fault."""
        self._faults.append(text)

    def missing(self, text: str, *names: str) -> None:
        """Add a fault about settings that are all empty. One whose value is a fault is not empty."""
        if self._faulty.isdisjoint(names):
            self.fault(text)

    def finish(self) -> None:
        """Raise SettingsError if any fault was found."""
        if self._faults:
            raise SettingsError("; ".join(self._faults))

    def has(self, name: str) -> bool:
        """Return whether the provider has a property."""
        return name in self._properties

    def attribute(self, name: str) -> str:
        """Return a node attribute, empty if there is none."""
        return unix_lines(self.environ.get(f"RD_NODE_{variable(name)}", "")).strip()

    def text(self, name: str) -> str:
        """Return a property of the configuration unchanged, but with Unix line ends."""
        known = self._properties[name]
        return unix_lines(self.environ.get(f"RD_CONFIG_{variable(known.name)}", ""))

    def shared(self, name: str, parse: Callable[[str], T]) -> T:
        """Return a global variable of the project or the server."""
        text = unix_lines(self.environ.get(f"RD_GLOBALS_{variable(name)}", "")).strip()
        return self.parsed(f"globals.{name}", text, parse)

    def setting(self, name: str, parse: Callable[[str], T]) -> T:
        """Return a property: the node's attribute, else the configured value, else the default.

        `parse` raises ValueError with the accepted form. It parses the default, too.
        """
        known = self._properties[name]
        text, source = self.attribute(known.attribute) if known.attribute else "", known.attribute
        if not text:
            text, source = self.text(name).strip(), name
        return self.parsed(source, text or known.default, parse, parse(known.default) if known.default else None)

    def parsed(self, source: str, text: str, parse: Callable[[str], T], default: T | None = None) -> T:
        """Return what `parse` makes of a text. `source` names the setting or attribute in a fault."""
        try:
            return parse(text)
        except ValueError as error:
            hint = " (Rundeck found no value for the reference)" if re.search(r"\$\{[^}]*\}", text) else ""
            self.fault(f"{source} is {_shown(source, text)}{hint}: {error}")
            self._faulty.add(source)
        return default if default is not None else parse("")


def unix_lines(text: str) -> str:
    """Return a text with LF for CRLF. Browsers send a form's text field with CRLF, which shells cannot read."""
    return text.replace("\r\n", "\n")


def _shown(source: str, text: str) -> str:
    """Return a faulty value on one line; do not show a secret one."""
    if source in SECRET:
        return "not usable"
    text = without_user(text)
    return ascii(shortened(text, _MOST_QUOTED))


# --- Parsers that several settings share


def matching(pattern: str, form: str) -> Callable[[str], str]:
    """Return a parser that accepts an empty text, or one that matches `pattern`; `form` describes it for users."""

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
    """Return a parser of whole seconds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
            raise ValueError(f"expected a whole number of seconds, {least} or more")
        return int(text)

    return parse


def several(parse: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of a comma-separated list; entries that come twice are kept once."""

    def parse_all(text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(parse(entry) for part in text.split(",") if (entry := part.strip())))

    return parse_all
