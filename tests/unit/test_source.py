"""The document of nodes: its names and its order."""

from __future__ import annotations

import json

import pytest

from ecs_exec.errors import Incomplete
from ecs_exec.source import Row, document


def names(*rows: Row) -> list[str]:
    """Give the names in the document's order."""
    found = json.loads(b"".join(document(list(rows))))
    assert all(isinstance(node, dict) for node in found.values())
    return list(found)


def row(name: str, created: str = "2026", arn: str = "x/1", cluster: str = "c") -> Row:
    """Give a row."""
    return Row(cluster, name, created, arn, b'{"hostname":"h"}')


def test_no_node() -> None:
    """Is a document all the same, as Rundeck takes an empty one for an error."""
    assert b"".join(document([])) == b"{\n}\n"


def test_order() -> None:
    """By cluster, then by name, whatever order they came in."""
    rows = [row("b", arn="x/1"), row("a", arn="x/2"), row("z", arn="x/3", cluster="a")]
    assert names(*rows) == names(*reversed(rows)) == ["z", "a", "b"]


def test_one_name_for_several() -> None:
    """The oldest keeps it, in whatever cluster; the others are told apart, and none is lost."""
    rows = [
        row("a", "2025", "x/1", "z"),
        row("a", "2026", "x/2", "c"),
        row("a", "2026", "x/3", "c"),
        row("b", arn="x/4"),
    ]
    assert names(*rows) == names(*reversed(rows)) == ["a-2", "a-3", "b", "a"]


def test_a_container_that_was_read_twice() -> None:
    """Is one node: two roles may lead to one account."""
    assert names(row("a"), row("a")) == ["a"]


def test_names_that_cannot_be_told_apart() -> None:
    """Are a failure: Rundeck would silently make one node of two."""
    rows = [row("a", "2025", "x/1"), row("a", "2026", "x/2"), row("a-2", "2026", "x/5")]
    with pytest.raises(Incomplete, match="a-2"):
        names(*rows)


def test_large_documents_come_in_pieces() -> None:
    """So that they are not held twice."""
    rows = [Row("c", f"n{number:05}", "", f"x/{number}", b'{"a":"' + b"x" * 2000 + b'"}') for number in range(2000)]
    chunks = list(document(rows))
    assert len(chunks) > 3
    assert len(json.loads(b"".join(chunks))) == 2000
