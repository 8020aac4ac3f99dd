"""One check of ECS Exec, and how it is shown. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ecs_exec.steps.facts import Unseen

State = Literal["ok", "warning", "failed", "not checkable"]


class Check(NamedTuple):
    """One thing that ECS Exec needs."""

    state: State
    what: str
    text: str

    def line(self) -> str:
        """Return it as one line of a table."""
        return f"{self.state:<13}  {self.what:<16}  {self.text}"


def unseen(what: str, fact: Unseen, would: str) -> Check:
    """Say what would have been seen, and by which permission."""
    if fact.permission:
        return Check("not checkable", what, f"{would}: grant {fact.permission} to these credentials to see it")
    return Check("not checkable", what, f"{would}: {fact.why}")


def warning(what: str, text: str, name: str) -> Check:
    """Return a warning; `name` is that of its cause, a row of docs/troubleshooting.md."""
    return Check("warning", what, f"{text} [{name}]")
