"""Random input from hostile or broken far sides, hundreds of thousands of inputs: `python -m fuzz --seed 1`.

The inputs are frames of the data channel, streams of marks (of commands and of uploads), banners of
session-manager-plugin, settings, descriptions of tasks, and requests of AWS's calls (see fuzz_requests). Each must give
events, or end in an error of the plugin's own tree that fits on a line, within limits of time and memory. The same seed
draws the same inputs.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

from ecs_exec.command import shell_wrapper
from ecs_exec.command.runner import Work
from ecs_exec.command.script_protocol import RawProtocol, ScriptProtocol, SessionProtocol
from ecs_exec.ecs.api import Aws
from ecs_exec.ecs.locate import locate, with_runtime_id
from ecs_exec.ecs.target import Target
from ecs_exec.ecs.task_status import TaskProbe
from ecs_exec.errors import EcsExecError, TransportError
from ecs_exec.files import copier, script_step
from ecs_exec.nodes.settings import read_source
from ecs_exec.nodes.source import rows_of
from ecs_exec.settings import Access, Execution, Wanted, read_execution
from ecs_exec.settings import properties as all_properties
from ecs_exec.settings import step_properties as all_step_properties
from ecs_exec.settings.file_copy import read_file_copy
from ecs_exec.settings.logs import read_logs
from ecs_exec.settings.options import PROPERTIES as OPTION_KINDS
from ecs_exec.settings.options import read_options
from ecs_exec.settings.properties import Property
from ecs_exec.settings.run_task import read_run_task
from ecs_exec.settings.script import read_script
from ecs_exec.settings.steps import read_check_exec, read_run_command, read_stop_task, read_stopped_tasks
from ecs_exec.signals import Interrupts
from ecs_exec.ssm import messages
from ecs_exec.ssm.channel import MAX_WAITING, DataChannel
from ecs_exec.ssm.events import Closed
from ecs_exec.streams import OutputStreams
from ecs_exec.transport.banners import Banners
from ecs_exec.transport.encryption import KmsEncryption
from fuzz_requests import requests
from growth import WORST, growth

COUNTS = {
    "frames": 300_000,
    "streams": 100_000,
    "banners": 100_000,
    "settings": 50_000,
    "documents": 10_000,
    "requests": 10_000,
}

ITS_TIME = 2.0
"""Seconds of processor time that one input may take: thousands of times what it needs."""

ITS_MEMORY = 256 * 1024
"""KiB by which the process may grow over all of one part."""


@contextmanager
def bounded(what: str) -> Iterator[None]:
    """Raise AssertionError if one input takes too long."""
    begun = time.process_time()
    yield
    taken = time.process_time() - begun
    assert taken < ITS_TIME, f"{what} took {taken:.1f} s"


def is_one_line(error: BaseException) -> None:
    """Raise AssertionError if an error is not one line for an operator. `OutputStreams` makes it printable."""
    said = str(error)
    assert said, type(error)
    assert len(said) < 10_000, said[:1000]


# --- Frames

_ACTIONS = [{"ActionType": "SessionType", "ActionParameters": {}}, {"ActionType": "KMSEncryption"}]
_KEY = {"KMSKeyId": "key", "Challenge": "Q2g="}
_BODIES = [
    ("output_stream_data", 1, b"output"),
    ("output_stream_data", 5, json.dumps({"RequestedClientActions": _ACTIONS}).encode()),
    (
        "output_stream_data",
        5,
        json.dumps(
            {"RequestedClientActions": [{"ActionType": "KMSEncryption", "ActionParameters": _KEY}] * 3}
        ).encode(),
    ),
    ("output_stream_data", 7, b'{"CustomerMessage":"hello"}'),
    ("output_stream_data", 8, b'{"Challenge":"aGVsbG8="}'),
    ("acknowledge", 0, b'{"AcknowledgedMessageSequenceNumber":0}'),
    ("acknowledge", 0, b"[" * 20_000),
    ("acknowledge", 0, b'{"AcknowledgedMessageSequenceNumber":' + b"9" * 5000 + b"}"),
    ("channel_closed", 0, b'{"Output":"bye"}'),
    ("channel_closed", 0, json.dumps({"Output": "log group \ud800\n" * 2000}).encode()),
    ("start_publication", 0, b""),
    ("pause_publication", 0, b""),
]


def mutated(rng: random.Random, frame: bytearray) -> bytearray:
    """Change some bytes, or cut, stretch or repeat a piece."""
    for _ in range(rng.randint(0, 3)):
        place = rng.randrange(len(frame)) if frame else 0
        match rng.randrange(4):
            case 0 if frame:
                frame[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 1:
                del frame[place:]
            case 2:
                frame[place:place] = rng.randbytes(rng.randint(1, 20))
            case _:
                frame += frame[place:]
    return frame


def _a_frame(rng: random.Random) -> bytearray:
    """Build a frame with a damaged payload, or damaged as a whole. With a correct digest, the codec accepts it."""
    kind, payload_type, payload = rng.choice(_BODIES)
    inner = mutated(rng, bytearray(payload)) if rng.random() < 0.5 else payload
    frame = bytearray(messages.build(kind, rng.randint(0, 5), b"i" * 16, payload_type, bytes(inner), 1))
    return mutated(rng, frame) if rng.random() < 0.5 else frame


def _opened(number: int, keys: list[str]) -> DataChannel:
    """Return a channel that waits for the agent, every other one with a KMS key; `keys` gets the keys asked for."""

    def generate(key_id: str, _context: Mapping[str, str]) -> tuple[bytes, bytes]:
        keys.append(key_id)
        return bytes(64), b"key"

    encryption = KmsEncryption(generate, "id", lambda: "target")
    channel = DataChannel("client", lambda: b"i" * 16, 0.0, (300, 100), encryption if number % 2 else None)
    channel.open("token", 0.0)
    channel.send_input(b"word", 0.0)
    return channel


def frames(count: int, seed: int) -> Counter[str]:
    """Give frames to channels, eight to each."""
    rng = random.Random(seed)  # noqa: S311
    outcomes: Counter[str] = Counter()
    keys: list[str] = []
    for number in range(count):
        if number % 8 == 0:
            assert len(keys) <= 1, "KMS was asked for more than one key"
            keys.clear()
            channel = _opened(number // 8, keys)
        now = number % 8 * 0.1
        with bounded(f"frame {number}"):
            try:
                channel.receive_frame(_a_frame(rng), now)
                channel.on_time(now)
                outcomes["taken"] += 1
            except TransportError as error:
                is_one_line(error)
                outcomes["refused"] += 1
            channel.data_to_send()
            while (event := channel.next_event()) is not None:
                assert not isinstance(event, Closed) or len(event.reason) <= 2000
    return outcomes


# --- Streams of marks


class _Line:
    """Takes a protocol's words, and answers as the scripts in the container do, as far as the session needs it."""

    def __init__(self, mark: bytes, file: bytes, rng: random.Random) -> None:
        self._said: deque[bytes] = deque()
        self._size = 0
        self._mark = mark
        self._file = file
        self._uploads = bool(file)
        self._rng = rng
        self._receiver = b""
        self._choice = False
        self._asked = False
        self.marks = [mark]

    def send(self, data: bytes) -> None:
        """Take a word, a line or a block."""
        self._said.append(data)
        self._size += len(data)
        assert self._size <= MAX_WAITING, "a container may have a whole file held in memory"

    def answer(self) -> bytes:
        """Return the answer to the next word; empty if there is none."""
        if not self._said:
            asked, self._asked = self._asked, True  # for the receiver: no command comes first
            return b"" if asked or not self._uploads or self._receiver else self._mark + b"A\n"
        said = self._said.popleft()
        self._size -= len(said)
        kind = self._kind(said)
        if kind[:1].isupper():
            return self._mark + kind + b"\n"
        return self._receiver + kind + b"\n" if kind else b""

    def _kind(self, said: bytes) -> bytes:
        """Return the mark that answers a word: the script's in upper case, the receiver's in lower case."""
        if said.startswith(b"g "):
            return b"Br"
        if self._choice:
            return self._of_file(said)
        if self._receiver:
            self._choice = said.startswith(b".")
            return (_ABLE[0] if self._rng.random() < 0.5 else self._rng.choice(_ABLE)) if self._choice else b"a"
        self._asked = True
        if word := re.match(rb"([0-9a-f]{16}) ([0-9a-f]{16}) ", said):
            self._receiver = b"\x1e" + word[1] + word[2]
            self.marks.append(self._receiver)
            return b"a"
        return b"S" if said.startswith(b".") and not self._uploads else b"A"

    def _of_file(self, said: bytes) -> bytes:
        if said == b"c\n":
            return b"S"
        if said[:2] in {b"d ", b"e ", b"h ", b"l "}:
            return b"g"
        return b"v%d %s" % (len(self._file), sha256(self._file).hexdigest().encode()) if said[:1] == b"e" else b"k"


_ABLE = (
    *(b"rd b - sha256sum - /tmp", b"re p z md5sum n /", b"rh o z cksum - /", b"rl b - cat - /", b"rl p z read n /"),
    *(b"rd b - cat - /", b"rl o - sha256sum - /x"),
)


def _streams_of(
    protocol: Callable[[], SessionProtocol], mark: bytes, count: int, rng: random.Random, file: bytes = b""
) -> Counter[str]:
    """Give streams to sessions that begin correctly and go wrong at some moment."""
    outcomes: Counter[str] = Counter()
    for number in range(count):
        talk, line = protocol(), _Line(mark, file, rng)
        talk.line = line
        with bounded(f"stream {number}"):
            try:
                _play(talk, line, rng)
                outcomes["taken"] += 1
            except EcsExecError as error:
                is_one_line(error)
                outcomes["refused"] += 1
        outcomes["begun"] += talk.begun
    return outcomes


def _play(talk: SessionProtocol, line: _Line, rng: random.Random) -> None:
    """Feed one stream to a session, a piece at a time, and act on it as an operator may."""
    talk.ready()
    trouble = rng.choice((0.003, 0.02, 0.1))
    idle = 0
    for number in range(300):
        stream = line.answer()
        idle += not stream
        if idle > 20:
            break
        if not stream or rng.random() < trouble:
            stream += b"".join(_a_mark(rng, line.marks) for _ in range(rng.randint(1, 4)))
        for at in range(0, len(stream), size := rng.choice((20, 300, 1024))):
            talk.output(stream[at : at + size], float(number))
        if rng.random() < trouble / 9:
            rng.choice((talk.interrupt, talk.kill, talk.farewell, talk.still_here))()
        if rng.random() < trouble:
            talk.ping(float(number))
        if talk.status is not None:
            return
    talk.closed(rng.choice(("", "Output", "log group " * 9)))


_TEXTS = (b"", b"r", b"c", b"0", b"255", b"999", b"x" * 600, b"\xef", b"\xff\xfe", "ö".encode(), b"< >", b"- - -")
_SAID = (
    *(b"B", b"A", b"F", b"S", b"X", b"e", b"p", b"U", b"Z", b""),
    *(b"Br", b"Bc", b"A", b"S", b"X0", b"eerror", b"Fd", b"L", b"L", b"X", b"X99999999"),
    *(b"Urd b z sha256sum - /tmp", b"Url p - cat n /a\xffb", b"Urz", b"Ug", b"Uk", b"U<", b"U>", b"Uv1 2", b"Ufd x"),
    *(b"rd b z sha256sum - /tmp", b"rl b - md5sum - /", b"g", b"k", b"<", b">", b"v1 2", b"v- ", b"fw no space", b"a"),
)


def _a_mark(rng: random.Random, marks: Sequence[bytes]) -> bytes:
    """Return a forged or damaged mark, or bytes that are no mark."""
    mark = rng.choice(marks)
    choice = rng.random()
    if choice < 0.1:
        return rng.choice(
            (mark, mark[: rng.randint(1, len(mark))], b"\xef" * 9, rng.randbytes(20), b"\r\n", b"x" * 5000)
        )
    said = rng.choice(_SAID) + (rng.choice(_TEXTS) if choice < 0.3 else b"")
    if choice < 0.4:
        said = bytes(mutated(rng, bytearray(said)))
    return (mark + said + rng.choice((b"\n", b"\n", b"\n", b"\r\n", b""))) * rng.choice((1, 1, 1, 1, 1, 30))


def streams(count: int, seed: int) -> Counter[str]:
    """Play hostile containers to commands with and without a shell, to copies and to scripts, a quarter each."""
    rng = random.Random(seed)  # noqa: S311
    outcomes: Counter[str] = Counter()
    with Interrupts() as interrupts, tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("wb") as nothing:
        streams = OutputStreams(interrupts, stdout=nothing.fileno(), stderr=nothing.fileno())
        content = rng.randbytes(300_000)
        file = Path(folder, "file")
        file.write_bytes(content)
        share = count // 4
        wrapped = shell_wrapper.wrap("true; " * 3000, nonce=shell_wrapper.new_nonce())
        outcomes += _streams_of(lambda: ScriptProtocol(wrapped, streams, "there", "/bin/sh"), wrapped.mark, share, rng)
        outcomes += _streams_of(lambda: RawProtocol(streams, "there", announced=True), b"\x1e", share, rng)

        class Player:
            """Stands for the runner of an upload."""

            def __init__(self, *_: object, work: Work) -> None:
                self._work = work

            def run(self) -> int:
                nonlocal outcomes
                protocol = self._work.protocol
                outcomes += _streams_of(
                    lambda: protocol(streams, "there"), self._work.wrapped.mark, share, rng, content
                )
                return 1

        environ = _environ({"endpoint-url": "http://127.0.0.1:1", "region": "r"}) | _environ(_WHERE, "NODE")
        with mock.patch.object(copier, "Runner", Player), mock.patch.object(script_step, "Runner", Player):
            copied = {**environ, "RD_FILE_COPY_FILE": str(file), "RD_FILE_COPY_DESTINATION": "/tmp/x"}  # noqa: S108
            copier.copy(read_file_copy(copied), environ, interrupts, streams)
            scripted = {**environ, "RD_CONFIG_SCRIPT_FILE": str(file)}
            script_step.run_script(read_script(scripted), environ, interrupts, streams)
    return outcomes


# --- Banners


def banners(count: int, seed: int) -> Counter[str]:
    """Give possible output of session-manager-plugin, in pieces."""
    rng = random.Random(seed)  # noqa: S311
    outcomes: Counter[str] = Counter()
    parts = (
        *(b"\nStarting session with SessionId: id\n", b"This session is encrypted using AWS KMS.\n", b"output", b"\n"),
        *(b"\n\nExiting session with sessionId: id.\n\n", b"\n\nSessionId: id : ", b"Session: id timed out."),
        *(b"Cannot perform start session: ", b"EOF\n", b"\xef\xff", b"\n\nSession", b"x" * 20_000),
    )
    for number in range(count):
        taken = Banners("id")
        stream = b"".join(rng.choice(parts) for _ in range(rng.randint(0, 12)))
        stream = (parts[0] if rng.random() < 0.8 else b"") + bytes(mutated(rng, bytearray(stream)))
        given = 0
        with bounded(f"banner {number}"):
            for at in range(0, len(stream), size := rng.choice((5, 300, 65536)) if len(stream) < 5000 else 4096):
                given += len(taken.feed(stream[at : at + size]))
                if rng.random() < 0.1 and taken.waiting:
                    given += len(taken.release())
            given += len(taken.close())
        assert given <= len(stream)
        assert len(taken.reason) <= 2000
        outcomes["ended" if taken.ended else "open"] += 1
    return outcomes


# --- Settings

_VALUES = (
    *(
        "",
        " ",
        "true",
        "false",
        "0",
        "-1",
        "1e9",
        "9" * 5000,
        "NaN",
        "none",
        "auto",
        "native",
        "\0",
        "\udcff",
        "ö\u2028",
    ),
    *(
        "arn:aws:ecs:us-east-1:123456789012:cluster/c",
        "arn:aws:ecs:::",
        "us-east-1",
        "http://[::1",
        "http://x:y@z:99999",
    ),
    *(
        "name=x",
        "*=[",
        "a.selector=tags/*",
        "{a: [*b",
        "- &a [*a]",
        "[" * 3000,
        "x" * 100_000,
        "'",
        '"$(reboot)`',
        "@x",
    ),
    *(
        "$RD_OPTION_X",
        "${x}",
        "%s%n",
        "../../etc/passwd",
        "/dev/null",
        "/",
        "1.5",
        "\uff11",
        "a,b,,c",
        "a;b",
        "\n",
        "()" * 50,
    ),
)
_READERS: tuple[Callable[[Mapping[str, str]], object], ...] = (
    *(read_execution, read_file_copy, read_script, read_source),
    *(read_stop_task, read_stopped_tasks, read_run_command, read_check_exec, read_run_task, read_logs),
    *(partial(read_options, kind) for kind in OPTION_KINDS),
)
_NODE = (
    *(
        "ECS:Cluster-ARN",
        "ECS:Task-ARN",
        "ECS:Container-Name",
        "ECS:Runtime-ID",
        "ECS:Region",
        "ecs-cluster",
        "ecs-task",
    ),
    *("ecs-service", "ecs-family", "ecs-container", "ecs-transport", "ecs-shell", "ecs-user", "ecs-workdir", "ecs-tty"),
    *("ecs-env", "ecs-timeout", "ecs-connect-timeout", "assume-role-arn"),
)


_WHERE = {"ECS:Task-ARN": "0123456789abcdef0123456789abcdef", "ECS:Cluster-ARN": "c", "ECS:Container-Name": "app"}


def _environ(config: Mapping[str, str], group: str = "CONFIG") -> dict[str, str]:
    return {f"RD_{group}_{re.sub('[^a-zA-Z0-9_]', '_', name).upper()}": value for name, value in config.items()}


def settings(count: int, seed: int) -> Counter[str]:
    """Read settings: most are valid, some are odd."""
    rng = random.Random(seed)  # noqa: S311
    outcomes: Counter[str] = Counter()
    found = [*vars(all_properties).values(), *vars(all_step_properties).values()]
    names = sorted({each.name for each in found if isinstance(each, Property)})
    for number in range(count):
        odd = {name: rng.choice(_VALUES) for name in rng.sample(names, rng.randint(0, 6))}
        node = _WHERE | {name: rng.choice(_VALUES) for name in rng.sample(_NODE, rng.randint(0, 3))}
        environ = {"RD_EXEC_COMMAND": rng.choice(("true", *_VALUES)), **_environ({"region": "r"} | odd)}
        environ |= _environ(node, "NODE") | {"RD_FILE_COPY_FILE": "/etc/hostname", "RD_FILE_COPY_DESTINATION": "/x"}
        with bounded(f"settings {number}"):
            try:
                read = rng.choice(_READERS)(environ)
                if isinstance(read, Execution):
                    shell_wrapper.wrap(read.command, nonce=shell_wrapper.new_nonce(), env=read.run.env)
                outcomes["taken"] += 1
            except EcsExecError as error:
                outcomes["refused" if str(error) else "refused without a word"] += 1
    return outcomes


# --- Descriptions of tasks

_SECONDS = 1_700_000_000.0
_TIME = datetime.fromtimestamp(_SECONDS, timezone.utc)
_TASK: dict[str, Any] = {
    "taskArn": "arn:aws:ecs:r:123456789012:task/c/0123456789abcdef0123456789abcdef",
    "clusterArn": "arn:aws:ecs:r:123456789012:cluster/c",
    "taskDefinitionArn": "arn:aws:ecs:r:123456789012:task-definition/web:3",
    "group": "service:web",
    "launchType": "FARGATE",
    "platformVersion": "1.4.0",
    "lastStatus": "RUNNING",
    "desiredStatus": "RUNNING",
    "enableExecuteCommand": True,
    "startedAt": _SECONDS,
    "createdAt": _SECONDS,
    "stoppedReason": "Essential container in task exited",
    "tags": [{"key": "Name", "value": "web"}],
    "attachments": [{"id": "a", "type": "eni", "status": "ATTACHED", "details": [{"name": "subnetId", "value": "s"}]}],
    "overrides": {"containerOverrides": [{"name": "app", "environment": [{"name": "A", "value": "b"}]}]},
    "containers": [
        {
            "name": "app",
            "runtimeId": "0123456789abcdef0123456789abcdef-1",
            "containerArn": "arn:aws:ecs:r:123456789012:container/c/t/x",
            "lastStatus": "RUNNING",
            "image": "busybox:1",
            "exitCode": 1,
            "reason": "OutOfMemoryError",
            "networkInterfaces": [{"attachmentId": "a", "privateIpv4Address": "10.0.0.1"}],
            "managedAgents": [{"name": "ExecuteCommandAgent", "lastStatus": "RUNNING", "lastStartedAt": _SECONDS}],
        },
        {"name": "side", "lastStatus": "STOPPED", "managedAgents": []},
    ],
}
_ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 10**400, 1.5, float("nan"), "", "x", "\ud800\n\u2028", "x" * 100_000, "log group " * 9000),
    *([], {}, [None], [[]], ["x"], [{}], {"": None}, {"name": []}, "STOPPED", "PENDING", "arn:aws:ecs"),
)


def _odd(rng: random.Random, task: dict[str, Any], times: int) -> Any:  # noqa: ANN401 - any JSON
    """Put odd values into some places of a description, or in its own."""
    for _ in range(times):
        holder: Any = task
        while True:
            places = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not places:
                break
            place = rng.choice(places)
            inside = holder[place]
            if isinstance(inside, (dict, list)) and inside and rng.random() < 0.8:
                holder = inside
                continue
            holder[place] = copy.deepcopy(rng.choice((*_ODD, _nested(rng))))
            break
    return task if rng.random() < 0.98 else copy.deepcopy(rng.choice(_ODD))


def _nested(rng: random.Random) -> Any:  # noqa: ANN401
    value: Any = "x"
    for _ in range(rng.choice((1, 20, 200))):
        value = [value] if rng.random() < 0.5 else {"name": value}
    return value


def documents(count: int, seed: int) -> Counter[str]:
    """Read descriptions as the node source does, and as the code that opens sessions and explains their ends does."""
    rng = random.Random(seed)  # noqa: S311
    outcomes: Counter[str] = Counter()
    source = read_source(_environ({"region": "r", "mapping": "hostname.selector=tags/Name"}))
    from ecs_exec.nodes.attributes import Shape
    from ecs_exec.nodes.filters import Choice
    from ecs_exec.nodes.scan import Place

    shape = Shape(Choice(source.filters), source.name, source.mapping)
    aws = Aws(Access("r", "AKIAEXAMPLE", "secret", endpoint_url="http://127.0.0.1:1"))
    with Interrupts() as interrupts, Path(os.devnull).open("wb") as nothing:
        streams = OutputStreams(interrupts, stdout=nothing.fileno(), stderr=nothing.fileno())
        for number in range(count):
            task = _odd(rng, copy.deepcopy(_TASK), rng.randint(0, 3))
            said: list[str] = []
            with bounded(f"document {number}"):
                place: Any = Place(aws, "r", "", ())
                rows = list(rows_of(place, [task], shape, said.append))
                for row in rows:
                    json.loads(row.body)
                for line in said:
                    assert len(line) < 10_000, line[:1000]
                outcomes["nodes" if rows else "left out"] += 1
                outcomes[_located(aws, _as_botocore(task), rng, interrupts, streams)] += 1
    return outcomes


def _as_botocore(value: Any, name: str = "") -> Any:  # noqa: ANN401
    """Return a description with the times that botocore makes of numbers."""
    if isinstance(value, dict):
        return {key: _as_botocore(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_botocore(item) for item in value]
    return _TIME if name.endswith("At") and value == _SECONDS else value


def _located(aws: Aws, task: Any, rng: random.Random, interrupts: Interrupts, streams: OutputStreams) -> str:  # noqa: ANN401
    """Find a container in a description, and explain what is wrong with it; return how that went."""
    answers = {"ListTasks": {"taskArns": ["t"]}, "DescribeTaskDefinition": {"taskDefinition": task}}
    answers["DescribeTasks"] = {"tasks": [task], "failures": rng.choice(([], None, "x", [{}]))}
    with mock.patch.object(Aws, "_call", lambda _self, _service, action, *_a, **_k: answers[action]):
        task_probe = TaskProbe(aws, Target("c", "t", "app", ""), interrupts, streams)
        try:
            task_probe.refusal()
            task_probe.gone()
            wanted = Wanted("c", rng.choice(("", "t")), "web", "", rng.choice(("", "app")), "")
            with_runtime_id(locate(wanted, aws)._replace(runtime_id=""), aws)
        except EcsExecError as error:
            is_one_line(error)
            return "refused"
    return "located"


# --- All of them

PARTS: dict[str, Callable[[int, int], Counter[str]]] = {
    "frames": frames,
    "streams": streams,
    "banners": banners,
    "settings": settings,
    "documents": documents,
    "requests": requests,
}


def fuzz(part: str, count: int, seed: int) -> str:
    """Draw one part; return a line about it. Raises AssertionError, or the error of the input that did harm."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    outcomes = PARTS[part](count, seed)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < ITS_MEMORY, f"{part} with seed {seed}: the process grew by {grown // 1024} MiB"
    told = ", ".join(f"{number} {name}" for name, number in sorted(outcomes.items()))
    return f"fuzz: {count} {part}, seed {seed}: {told}; {time.process_time() - begun:.0f} s of processor time"


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the inputs that the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Draw what hostile far sides send.")
    parser.add_argument("--seed", type=int, help="draws the same again (random)")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual counts")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    args = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(2**32) if args.seed is None else args.seed
    print(f"fuzz: seed {seed}")
    for part in args.parts or PARTS:
        print(fuzz(part, round(COUNTS[part] * args.share), seed), flush=True)
    if not args.parts:
        slow = [fault for name in WORST if (fault := growth(name, 2**20))]
        print(f"fuzz: 1, 2, 4 and 8 MB of the {len(WORST)} worst inputs: {slow or 'time grows with the size'}")
        return bool(slow)
    return 0


if __name__ == "__main__":
    sys.exit(main())
