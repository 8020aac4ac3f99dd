"""The worst that a far side can send, in small; `make fuzz` measures megabytes of it."""

from __future__ import annotations

import pytest

from growth import ATTEMPTS, WORST, growth, seconds, to_session


@pytest.mark.parametrize("name", WORST)
def test_twice_as_much_takes_twice_as_long(name: str) -> None:
    """Processor time, for 64 to 512 KiB."""
    assert not growth(name, 64 * 1024)


@pytest.mark.parametrize("unit", [b"\xef", b"\xefa", b"\xef" + b"a" * 99, b"\xef\xff"])
def test_lone_efs_cost_about_what_other_bytes_cost(unit: bytes) -> None:
    """Growth from the frame to the printed output. A U+FFFD in place of a byte is three times as long."""
    size = 2**19
    ratios = []
    for _ in range(ATTEMPTS):
        ratios.append(seconds(to_session, unit * (size // len(unit))) / seconds(to_session, b"a" * size))
        if ratios[-1] < 3:
            return
    pytest.fail(f"{ratios} times as long")
