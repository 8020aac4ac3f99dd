"""A limit of time for what may block."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Within = Callable[[float], AbstractContextManager[None]]
"""Makes a block that ends after so many seconds, without an error."""


def no_limit(_seconds: float) -> AbstractContextManager[None]:
    """Limit nothing. For threads: signals reach only the main thread, which keeps the time."""
    return nullcontext()
