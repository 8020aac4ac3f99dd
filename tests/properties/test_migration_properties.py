"""Any input of the converter ends with a status; no input is an error of the program's own."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from documents import ROOT
from migration.program import main

SAMPLES = sorted((ROOT / "tests" / "samples" / "enterprise").iterdir())
PIECES = st.one_of(
    st.binary(max_size=30), st.sampled_from([b"&a ", b"*a", b"\\", b"<!--", b"{", b"\xff", b"'", b"\n- "])
)


@settings(max_examples=60, deadline=None)
@given(
    sample=st.sampled_from(SAMPLES), at=st.floats(0, 1), length=st.integers(0, 80), piece=PIECES, kind=st.integers(0, 9)
)
def test_damaged_files(sample: Path, at: float, length: int, piece: bytes, kind: int) -> None:
    """A sample with a part replaced, sometimes read in another format."""
    data = sample.read_bytes()
    start = int(at * len(data))
    damaged = data[:start] + piece + data[start + length :]
    names = ["yaml", "json", "xml", "properties"]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
        file = Path(folder) / sample.name
        file.write_bytes(damaged)
        chosen = ["--format", names[kind]] if kind < len(names) else []
        with contextlib.redirect_stderr(out):
            assert main([str(file), *chosen]) in (0, 1, 2)
        assert file.read_bytes() == damaged
