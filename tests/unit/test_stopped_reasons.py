"""Reasons of stopped tasks, as AWS and Docker print them: which cause each has, and which have none."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_exec.errors.causes import stopped_reasons
from ecs_exec.errors.causes.stopped_reasons import explain


class Row(NamedTuple):
    """One reason, with its source."""

    cause: str
    """Empty where none is known."""
    source: str
    reason: str


def rows() -> list[Row]:
    """Read the table."""
    lines = Path(__file__).with_name("stopped_reasons.tsv").read_text(encoding="utf-8").splitlines()[1:]
    cells = [line.split("\t") for line in lines]
    return [
        Row("" if cause == "-" else cause, source, reason.replace(r"\n", "\n").replace(r"\t", "\t"))
        for cause, source, reason in cells
    ]


ROWS = rows()


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.source}: {row.cause or 'none'}" for row in ROWS])
def test_the_cause_of_a_reason(row: Row) -> None:
    """The cause is found, whether the reason is the task's or the container's."""
    expected = [row.cause] if row.cause else []
    of_task = {"stopCode": "TaskFailedToStart", "stoppedReason": row.reason}
    assert [one.name for one in explain(of_task, [{}])] == expected
    of_container = {"stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited"}
    assert [one.name for one in explain(of_container, [{"reason": row.reason}])] == expected


def test_the_table_is_wide() -> None:
    """The table has many sources, and reasons that nobody can explain."""
    sources = {row.source.split()[0] for row in ROWS}
    assert len({row.reason for row in ROWS}) >= 280
    assert len(sources) >= 150
    assert sum(not row.cause for row in ROWS) >= 45


OUTER = (
    "TaskFailedToStart: ",
    "Task failed to start: ",
    "CannotStartContainerError: ",
    "CannotCreateContainerError: Error response from daemon: ",
    "CannotPullContainerError: ",
    "ResourceInitializationError: ",
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: ",
    "ResourceInitializationError: failed to create new container runtime task: OCI runtime create failed: ",
    "ResourceInitializationError: failed to initialize logging driver: ",
    "(service web) was unable to place a task. Reason: ",
    "DockerStateError: ",
    "DockerTimeoutError: ",
    "unknown: ",
)
WORDS = st.text(alphabet="abcdefg XYZ0123:()'\"", max_size=12).map(lambda words: f"{words}: ")
PREFIXES = st.lists(st.sampled_from(OUTER) | WORDS, max_size=4)


@given(row=st.sampled_from(ROWS), prefixes=PREFIXES)
def test_outer_errors_change_nothing(row: Row, prefixes: list[str]) -> None:
    """They say where it happened; the innermost error decides."""
    assert stopped_reasons.name("".join(prefixes) + row.reason) == row.cause
