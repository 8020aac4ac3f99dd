"""How data channels open: signed, presigned, without a signature, after cuts; and the error if none opens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from commands import Result
from e2e.checks import one_line
from e2e.rundeck_launch import ACCESS_KEY, Launcher
from e2e.test_connecting import Trouble, before, hang_up
from emulator import Emulator, signatures

pytestmark = pytest.mark.xdist_group("e2e-upgrade")

NATIVE, BINARY = "native", "session-manager-plugin"
TRANSPORTS = (NATIVE, BINARY)
HABITS = {"session_limit": 0, "start_delay": 0, "pacing": 0, "fail_pause": 0}
KINDS: dict[str, dict[str, Any]] = {
    "signed": {},
    "unsigned": {"upgrade": "unsigned"},
    "none": {"upgrade": "none"},
    "presigned": {"presigned": 60},
    "shortly": {"presigned": 4},
    "expired": {"presigned": 0.001},
    "without-url": {"resume_url": False},
}
WORLD: dict[str, Any] = {
    "agent": HABITS,
    "clusters": {
        "c": {
            "tasks": [
                *({"family": name, "containers": {"app": {"agent": habits}}} for name, habits in KINDS.items()),
                {
                    "family": "denied",
                    "containers": {"app": {"deny": ["ssmmessages:OpenDataChannel"], "agent": {"upgrade": "either"}}},
                },
                {"family": "denied-both", "containers": {"app": {"deny": ["ssmmessages:OpenDataChannel"]}}},
            ]
        }
    },
}
ROLE = "arn:aws:iam::123456789012:role/ops"
TOKEN_KEY, TOKEN = "ASIAWITHTOKEN", "IQoJb3JpZ2lu//8%2F+a=b&c;d:e@f~{}|^`'\"<>\\=="
LINES = "for i in $(seq 40); do echo $i; sleep 0.03; done; exit 3"
LINES_OUT = "".join(f"{number}\n" for number in range(1, 41)).encode()
"""More frames than six channels carry that are cut after four, although a busy agent puts lines together."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a cluster whose tasks differ in how their channels open."""
    signatures.KEYS[TOKEN_KEY] = signatures.Key("x", TOKEN)
    with Emulator(world=WORLD) as running:
        yield running
        assert running.report()["violations"] == []


@pytest.fixture
def start(emulator: Emulator, session_manager_plugin: Path) -> Iterator[Launcher]:
    """Start executions against it; afterwards nothing goes wrong."""
    config = {"session-manager-plugin": str(session_manager_plugin), "transport": NATIVE}
    yield Launcher(emulator.endpoint_url, emulator.region, config=config)
    emulator.set_faults({})


def upgrades(emulator: Emulator) -> list[tuple[str, int]]:
    """Return how the last session's channels were asked for, and the answers."""
    return [(one["how"], one["status"]) for one in emulator.report()["sessions"][-1]["upgrades"]]


def sessions(emulator: Emulator) -> int:
    """Count the sessions so far."""
    return len(emulator.report()["sessions"])


CREDENTIALS: dict[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "plain keys": ({}, {}),
    "a session token": ({"access-key-id": TOKEN_KEY, "secret-access-key": "x", "session-token": TOKEN}, {}),
    "an assumed role": ({}, {"assume-role-arn": ROLE}),
}


@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_signed(start: Launcher, emulator: Emulator, transport: str, credentials: str) -> None:
    """By the credentials in use, and verified; where our own channel is cut, it is signed again each time."""
    config, attributes = CREDENTIALS[credentials]
    cuts = 5 if transport == NATIVE else 0
    emulator.set_faults({"cut_after_frames": 4, "cuts": cuts})
    node = {**emulator.node("c", "signed"), **attributes}
    result = start.run(node, LINES, {"transport": transport, **config})
    assert result == Result(LINES_OUT, b"", 3)
    assert upgrades(emulator) == [("signed", 101)] * (cuts + 1)
    used = {one["accessKey"] for one in emulator.report()["sessions"][-1]["upgrades"]}
    assert (ACCESS_KEY in used) == (credentials == "plain keys")
    assert TOKEN not in str(emulator.report())


def test_the_program_signs_again_after_cuts(start: Launcher, emulator: Emulator) -> None:
    """AWS's own program, by the credentials that it was given."""
    config, _ = CREDENTIALS["a session token"]
    emulator.set_faults({"cut_on": "cut-here", "cuts": 5})
    command = "for i in 1 2 3 4 5; do echo cut-here; sleep 0.6; done; exit 3"
    result = start.run(emulator.node("c", "signed"), command, {"transport": BINARY, **config})
    assert result == Result(b"cut-here\n" * 5, b"", 3)
    assert upgrades(emulator) == [("signed", 101)] * 6


@pytest.mark.parametrize("named_by", ["setting", "variable"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_another_host(start: Launcher, emulator: Emulator, transport: str, named_by: str) -> None:
    """Data channels go there, on both transports, and are signed for it."""
    port = int(emulator.endpoint_url.rpartition(":")[2])
    direct = Trouble(0)
    with before(port, direct, hang_up) as other:
        url = f"http://127.0.0.1:{other}"
        config = {"transport": transport} | ({"ssmmessages-endpoint": url} if named_by == "setting" else {})
        environ = {} if named_by == "setting" else {"AWS_ENDPOINT_URL_SSMMESSAGES": url}
        assert start.run(emulator.node("c", "signed"), LINES, config, **environ) == Result(LINES_OUT, b"", 3)
    assert direct.seen == 1
    assert upgrades(emulator) == [("signed", 101)]


def test_another_host_that_the_program_cannot_be_sent_to(start: Launcher, emulator: Emulator) -> None:
    """A presigned URL is reported before the program starts."""
    config = {"transport": BINARY, "ssmmessages-endpoint": "localhost:1"}
    line = one_line(start.run(emulator.node("c", "presigned"), "true", config))
    assert "set transport to native" in line
    assert "X-Amz" not in line


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_presigned(start: Launcher, emulator: Emulator, transport: str) -> None:
    """Nothing is added to what ECS has signed."""
    assert start.run(emulator.node("c", "presigned"), LINES, {"transport": transport}) == Result(LINES_OUT, b"", 3)
    assert upgrades(emulator) == [("presigned", 101)]


@pytest.mark.parametrize(("family", "pause"), [("presigned", "0"), ("shortly", "4.2")])
def test_presigned_over_a_cut(start: Launcher, emulator: Emulator, family: str, pause: str) -> None:
    """After it, also after the first URL has expired, the one of ssm:ResumeSession's answer is opened."""
    emulator.set_faults({"cut_on": "cut-here"})
    result = start.run(emulator.node("c", family), f"echo begun; sleep {pause}; echo cut-here; sleep 0.2; echo end")
    assert result == Result(b"begun\ncut-here\nend\n", b"", 0)
    assert upgrades(emulator) == [("presigned", 101)] * 2


def test_a_presigned_url_that_has_expired(start: Launcher, emulator: Emulator) -> None:
    """It is reported as such, without its content, and not retried in another way."""
    before = sessions(emulator)
    result = start.run(emulator.node("c", "expired"), "true", RD_JOB_LOGLEVEL="DEBUG")
    line = next(line for line in result.stderr.decode().splitlines() if "debug" not in line)
    assert result.status == 125
    assert "presigned stream URL; it expired" in line
    assert "X-Amz" not in result.stderr.decode()
    assert upgrades(emulator) == [("presigned", 403)]
    assert sessions(emulator) == before + 1


def test_an_answer_without_a_url(start: Launcher, emulator: Emulator) -> None:
    """A broken session cannot continue, and the error says so."""
    emulator.set_faults({"cut_on": "cut-here"})
    result = start.run(emulator.node("c", "without-url"), "echo cut-here; sleep 1")
    assert (result.stdout, result.status) == (b"cut-here\n", 125)
    assert b"ssm:ResumeSession returned no stream URL" in result.stderr


@pytest.mark.parametrize("family", ["unsigned", "denied"])
def test_a_signature_that_is_refused(start: Launcher, emulator: Emulator, family: str) -> None:
    """One attempt without a signature follows; only log level Debug shows it. After a cut, what worked comes first."""
    before = sessions(emulator)
    emulator.set_faults({"cut_after_frames": 4, "cuts": 2})
    result = start.run(emulator.node("c", family), LINES, {"transport": "auto"})
    assert result == Result(LINES_OUT, b"", 3)
    assert upgrades(emulator) == [("signed", 403), *[("unsigned", 101)] * 3]
    assert sessions(emulator) == before + 1
    emulator.set_faults({})
    result = start.run(emulator.node("c", family), "true", RD_JOB_LOGLEVEL="DEBUG")
    assert b"HTTP status 403 instead of a websocket" in result.stderr
    assert b"trying without a signature" in result.stderr


@pytest.mark.parametrize("family", ["none", "denied-both"])
def test_all_refused(start: Launcher, emulator: Emulator, family: str) -> None:
    """One line that names both ways, the permission, the endpoint's policy and the proxy; and no second session."""
    before = sessions(emulator)
    line = one_line(start.run(emulator.node("c", family), "true", {"transport": "auto"}))
    assert "HTTP status 403 both with these credentials' signature and without one" in line
    for word in ("ssmmessages:OpenDataChannel", "policy of the VPC endpoint", "proxy"):
        assert word in line
    assert upgrades(emulator) == [("signed", 403), ("unsigned", 403)]
    assert sessions(emulator) == before + 1


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"secret-access-key": "wrong"}, "the secret access key does not belong to the access key id"),
        ({"session-token": "wrong"}, "the access key id or the session token is not known"),
    ],
    ids=["secret", "token"],
)
def test_wrong_credentials(start: Launcher, emulator: Emulator, config: Mapping[str, str], words: str) -> None:
    """They are reported as such: the endpoint's policy is not the cause."""
    line = one_line(start.run(emulator.node("c", "signed"), "true", config))
    assert words in line
    assert "policy" not in line
