"""The result of one check, and its line. Does no I/O."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ecs_exec.steps.facts import Unavailable

State = Literal["ok", "warning", "failed", "not checkable"]


class Check(NamedTuple):
    """The result of one check of what ECS Exec needs."""

    state: State
    what: str
    text: str

    def line(self) -> str:
        """Return it as one line of a table."""
        return f"{self.state:<13}  {self.what:<16}  {self.text}"


def unseen(what: str, fact: Unavailable, would: str) -> Check:
    """Return a check that was not possible; `would` is what it would have shown."""
    if fact.permission:
        return Check("not checkable", what, f"{would}: grant {fact.permission} to these credentials to see it")
    return Check("not checkable", what, f"{would}: {fact.why}")


def warning(what: str, text: str, name: str) -> Check:
    """Return a warning; `name` is the name of its cause, a row in docs/troubleshooting.md."""
    return Check("warning", what, f"{text} [{name}]")
