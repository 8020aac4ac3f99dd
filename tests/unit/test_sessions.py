"""The conditions for opening a channel to a session."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ecs_exec.command.sessions import Sessions
from ecs_exec.ecs.target import Target
from ecs_exec.errors import CommandError
from ecs_exec.transport import Session


def opened(url: str, *, plain: bool) -> Session:
    """Open a session for which ECS gives a stream URL."""
    answer = {"session": {"sessionId": "s", "streamUrl": url, "tokenValue": "t"}}
    aws = SimpleNamespace(execute_command=lambda *_: answer, is_plain=plain, region="eu-west-1")
    sessions = Sessions(
        cast("Any", aws), cast("Any", Uninterrupted()), cast("Any", SimpleNamespace(debug=lambda _: None))
    )
    return sessions.open(Target("c", "t", "app", ""), "true", cast("Any", None), cast("Any", None), starts=True)


class Uninterrupted:
    """Nothing interrupts."""

    received = False

    def check(self) -> None:
        """Find nothing."""

    def immediate(self, grace: float = 0) -> Uninterrupted:  # noqa: ARG002
        """Give a context."""
        return self

    def __enter__(self) -> Uninterrupted:  # noqa: PYI034
        """Do nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize("url", ["ws://host/x", "WS://host/x", "http://host/x", "wss:host", "//host", " wss://host"])
def test_a_channel_without_tls_is_refused(url: str) -> None:
    """Unless ECS itself is called without TLS."""
    with pytest.raises(CommandError, match="returned no encrypted channel") as caught:
        opened(url, plain=False)
    assert url not in str(caught.value)
    assert opened(url, plain=True).stream_url == url


@pytest.mark.parametrize("plain", [False, True])
def test_a_channel_with_tls_is_taken(plain: bool) -> None:
    """Always."""
    assert opened("wss://host/x", plain=plain).stream_url == "wss://host/x"
