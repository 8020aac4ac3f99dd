"""Delays the loading of modules that botocore, urllib3 and the standard library import but a command seldom uses."""

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
"""All of them are imported as `import x`: `from x import y` would load x at once."""


class _Postponed(ModuleType):
    """A module that loads itself when one of its attributes is first read.

    A module of importlib.util.LazyLoader loads already when it is imported again, because the import reads its
    `__spec__`.
    """

    def __getattr__(self, name: str) -> object:
        """Load the module and return its attribute. After a signal has interrupted the loading, it starts again."""
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
    """Delay the loading of these modules until their first use. This saves a tenth of the start's time.

    Not for providers with threads: two threads that use a module for the first time at once could find it half loaded.
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
