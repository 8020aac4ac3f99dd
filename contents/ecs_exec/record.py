"""Base classes of plain values with fields. They take less of a command's start than those of the standard library."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple  # noqa: PLC0414 - other modules import it from here
else:

    class _Fields(type):
        """Makes the classes of values, from the annotations in their bodies."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
            """Make a class, in which each field reads its place of the tuple."""
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body.pop(field) for field in fields if field in body}
            places = {field: property(itemgetter(place)) for place, field in enumerate(fields)}
            own = {"__slots__": (), "_fields": fields, "_defaults": defaults}
            return super().__new__(cls, name, bases, own | places | body)

    class NamedTuple(tuple, metaclass=_Fields):  # noqa: SLOT001 - the metaclass defines it
        """A tuple whose places have names, like typing.NamedTuple.

        typing.NamedTuple compiles a function for each class. For the 35 classes that a command needs, that took a
        seventh of all its instructions. An instance takes longer to make here, so it is not for values that are made
        for each frame.
        """

        def __new__(cls, *values: object, **named: object) -> NamedTuple:  # noqa: PYI034 - Self is of Python 3.11
            """Take the fields in their order, or by their names."""
            fields = cls._fields
            if len(values) < len(fields):
                rest = fields[len(values) :]
                if missing := [field for field in rest if field not in named and field not in cls._defaults]:
                    raise TypeError(f"{cls.__name__} without {', '.join(missing)}")
                values += tuple(named.pop(field) if field in named else cls._defaults[field] for field in rest)
            if named or len(values) > len(fields):
                raise TypeError(f"{cls.__name__} takes only {', '.join(fields)}, each once")
            return tuple.__new__(cls, values)

        def __getnewargs__(self) -> tuple[object, ...]:
            """Return the fields, for copies."""
            return tuple(self)

        def __repr__(self) -> str:
            """Return the class's name and the fields."""
            shown = (f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({', '.join(shown)})"

        def _replace(self, **changed: object) -> NamedTuple:
            """Return a value in which some fields are others."""
            return type(self)(**dict(zip(self._fields, self, strict=True)) | changed)


class Record:
    """A value that is compared and shown by its fields, which are the slots of its class.

    Values of different classes are never equal. A dataclass would be shorter, but takes a millisecond of each command's
    start: it makes its methods at import.
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
