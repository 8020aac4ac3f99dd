"""What botocore, urllib3 and the standard library import and a command seldom uses is loaded at its first use."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType

_SELDOM = (
    "configparser",  # for files of AWS's configuration
    "dateutil.parser",  # for times in answers
    "inspect",  # for classes that lack a text
    "jmespath",  # for paginators and waiters
    "locale",  # for names of months
    "mimetypes",  # for uploads by HTTP
    "textwrap",  # for tracebacks of several exceptions at once
)
"""All of them are imported by their names alone: `from x import y` would load x at once."""


class _Postponed(ModuleType):
    """Loads itself when something in it is asked for.

    Those of importlib.util.LazyLoader already do when they are imported again, which asks for their `__spec__`.
    """

    def __getattr__(self, name: str) -> object:
        """Come here for what is not there yet; where loading is cut short by a signal, it is begun anew next time."""
        spec = self.__spec__
        if spec is None or spec.loader is None:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        try:
            spec.loader.exec_module(self)
        except BaseException:
            self.__class__ = _Postponed
            raise
        return getattr(self, name)


def postpone() -> None:
    """Let the modules be loaded at their first use; a tenth of a start's time.

    Not for what has threads: two that use a module for the first time at once could find it half made.
    """
    for name in _SELDOM:
        spec = None if name in sys.modules else find_spec(name)
        if spec is not None:
            module = module_from_spec(spec)
            module.__class__ = _Postponed
            sys.modules[name] = module
            parent, _, own = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], own, module)
