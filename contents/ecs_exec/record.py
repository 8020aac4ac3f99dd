"""Base class of plain values with fields."""

from __future__ import annotations


class Record:
    """A value that is compared and shown by its fields, which are the slots of its class.

    A dataclass would be shorter, but takes a millisecond of each command's start: it makes its methods at import.
    """

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Return whether the other has the same class and equal fields."""
        return type(self) is type(other) and self._fields() == other._fields()

    def __hash__(self) -> int:
        """Return the same hash for equal values."""
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        """Return the class's name and the fields."""
        return f"{type(self).__name__}{self._fields()!r}"

    def _fields(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)
