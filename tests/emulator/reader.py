"""A mapping read key by key, all faults kept for one message."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any


class Reader:
    """Reads one mapping of a file; every fault goes to a list that all readers of the file share."""

    def __init__(self, value: object, where: str, faults: list[str]) -> None:
        """Take a value that should be a mapping; anything else is a fault and reads as empty."""
        self.where = where
        self.faults = faults
        self._seen: set[str] = set()
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            self._fault("", f"is a {_kind(value)}, not a mapping")
            value = {}
        self._values: Mapping[Any, Any] = value

    def _fault(self, key: str, text: str) -> None:
        path = ".".join(part for part in (self.where, key) if part) or "the file"
        self.faults.append(f"{path} {text}")

    def _take(self, key: str) -> Any:  # noqa: ANN401 - whatever the file holds
        self._seen.add(key)
        return self._values.get(key)

    def text(self, key: str, default: str = "", *, choices: Collection[str] = (), required: bool = False) -> str:
        """Return a text; numbers are taken as texts."""
        value = self._take(key)
        if value is None:
            if required:
                self._fault(key, "is missing")
            return default
        if isinstance(value, (bool, Mapping, list)):
            self._fault(key, f"is a {_kind(value)}, not a text")
            return default
        if choices and str(value) not in choices:
            self._fault(key, f"is {str(value)!r}, none of {', '.join(choices)}")
            return default
        return str(value)

    def number(self, key: str, default: int) -> int:
        """Return a whole number that is not negative."""
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self._fault(key, f"is {value!r}, not a whole number from 0")
            return default
        return value

    def optional_number(self, key: str) -> int | None:
        """Return a whole number, or None if there is none."""
        if self._take(key) is None:
            return None
        return self.number(key, 0)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a truth value."""
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self._fault(key, f"is {value!r}, not true or false")
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._fault(key, "is not a list of texts")
            return ()
        return tuple(value)

    def table(self, key: str) -> dict[str, str]:
        """Return a mapping of texts to texts."""
        value = self._take(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping) or any(isinstance(item, (Mapping, list)) for item in value.values()):
            self._fault(key, "is not a mapping of names to texts")
            return {}
        return {str(name): _plain(item) for name, item in value.items()}

    def raw(self, key: str) -> dict[str, Any]:
        """Return a mapping as it stands."""
        value = self._take(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self._fault(key, f"is a {_kind(value)}, not a mapping")
            return {}
        return dict(value)

    def named(self, key: str) -> Iterator[tuple[str, Reader]]:
        """Yield name and reader of each entry of a mapping of mappings."""
        for name, value in self.raw(key).items():
            yield str(name), Reader(value, ".".join(part for part in (self.where, key, str(name)) if part), self.faults)

    def listed(self, key: str) -> Iterator[Reader]:
        """Yield a reader of each entry of a list of mappings."""
        value = self._take(key)
        if value is None:
            return
        if not isinstance(value, list):
            self._fault(key, f"is a {_kind(value)}, not a list")
            return
        for number, item in enumerate(value):
            yield Reader(item, f"{self.where}.{key}[{number}]", self.faults)

    def end(self) -> None:
        """Note keys that nothing has asked for."""
        for key in self._values:
            if key not in self._seen:
                self._fault(str(key), f"is unknown; known are {', '.join(sorted(self._seen))}")


def _kind(value: object) -> str:
    return {dict: "mapping", list: "list", str: "text", bool: "truth value"}.get(type(value), type(value).__name__)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
