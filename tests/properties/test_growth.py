"""The worst that a far side can send, in small; `make fuzz` measures megabytes of it."""

from __future__ import annotations

import pytest

from growth import WORST, growth


@pytest.mark.parametrize("name", WORST)
def test_twice_as_much_takes_twice_as_long(name: str) -> None:
    """Processor time, for 64 to 512 KiB."""
    assert not growth(name, 64 * 1024)
