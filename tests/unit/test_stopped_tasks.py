"""Stopped tasks: which are shown, what their reasons mean, and how they look in each format."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from ecs_exec.errors.causes.stopped_reasons import explain
from ecs_exec.settings.steps import Format
from ecs_exec.steps.stopped import newest_first
from ecs_exec.steps.tables import data_lines, render

ARN = "arn:aws:ecs:us-east-1:123456789012:task/demo/"


def at(minute: int) -> datetime:
    """Give a moment."""
    return datetime(2026, 11, 24, 22, minute, 11, tzinfo=timezone.utc)


def container(name: str, code: int | None = None, reason: str = "") -> dict[str, Any]:
    """Describe a container as ecs:DescribeTasks does."""
    described: dict[str, Any] = {"name": name}
    return described | ({"exitCode": code} if code is not None else {}) | ({"reason": reason} if reason else {})


def task(name: str, minute: int | None, *containers: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Describe a task as ecs:DescribeTasks does."""
    described = {
        "taskArn": f"{ARN}{name}",
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/web:7",
        "group": "service:web",
        "lastStatus": "STOPPED",
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
        "containers": list(containers),
        **more,
    }
    return described | ({"stoppedAt": at(minute)} if minute is not None else {})


OOM = task(
    "a", 10, container("app", 137, "OutOfMemoryError: Container killed due to memory usage"), container("log", 0)
)
PULL = task(
    "b",
    20,
    container("app"),
    group="family:job",
    taskDefinitionArn="arn:aws:ecs:us-east-1:123456789012:task-definition/job:1",
    stopCode="TaskFailedToStart",
    stoppedReason="CannotPullContainerError: no|pipe <b> &\n*not found*",
)
STOPPING = task("c", None, container("app"), lastStatus="STOPPING", stopCode="UserInitiated", stoppedReason="for fun")


@pytest.mark.parametrize("break_", [*"\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"], ids=ascii)
def test_no_text_of_awss_breaks_a_line(break_: str) -> None:
    """Neither data lines nor JSON: whatever a reader takes for a line's end, each line is whole."""
    odd = f"x{break_}RUNDECK:DATA:y = z"
    stopped = newest_first([task("a", 10, container(odd, 1, odd), stopCode=odd, stoppedReason=odd, group=odd)])
    assert all(len(line.splitlines()) == 1 for line in data_lines(stopped))
    begin, *content, end = [part for line in render("json", stopped) for part in line.splitlines()]
    assert (begin[:1], end[:1]) == ("#", "#")
    assert json.loads("\n".join(content))[0]["containers"].startswith(f"{odd}: exit code 1")


# --- Which


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["c", "b", "a"]),
        ({"family": "job"}, ["b"]),
        ({"family": "jo"}, []),
        ({"container": "log"}, ["a"]),
        ({"since": at(15).timestamp()}, ["c", "b"]),
        ({"family": "web", "since": at(11).timestamp()}, ["c"]),
    ],
)
def test_which_tasks(filters: dict[str, Any], names: list[str]) -> None:
    """The newest first, those still stopping before them; all filters must fit."""
    assert [one.task for one in newest_first([OOM, PULL, STOPPING], **filters)] == names


def test_a_container_s_own_end() -> None:
    """With a container named, the others' ends are left out, and so is what they mean."""
    (one,) = newest_first([OOM], container="log")
    assert [(ended.name, ended.exit_code) for ended in one.containers] == [("log", 0)]
    assert one.explanations == ()


# --- What it means


@pytest.mark.parametrize(
    ("stop_code", "exit_code", "cause"),
    [
        ("EssentialContainerExited", 0, ""),
        ("EssentialContainerExited", 1, "exit-1"),
        ("EssentialContainerExited", 3, "exit-code"),
        ("EssentialContainerExited", 126, "exit-126"),
        ("EssentialContainerExited", 127, "exit-127"),
        ("EssentialContainerExited", 134, "exit-134"),
        ("EssentialContainerExited", 137, "exit-137"),
        ("EssentialContainerExited", 139, "exit-139"),
        ("EssentialContainerExited", 143, "exit-143"),
        ("EssentialContainerExited", 255, "exit-255"),
        ("UserInitiated", 137, ""),
        ("ServiceSchedulerInitiated", 137, ""),
        ("SpotInterruption", 137, "spot-interrupted"),
        ("TerminationNotice", 143, "host-gone"),
        ("InfrastructureHealth", 137, "infrastructure-failed"),
    ],
)
def test_codes(stop_code: str, exit_code: int, cause: str) -> None:
    """A stop code that is a cause counts. Otherwise an exit code counts, unless somebody stopped the task."""
    task = {"stopCode": stop_code, "stoppedReason": "Essential container in task exited"}
    assert [one.name for one in explain(task, [{"exitCode": exit_code}])] == ([cause] if cause else [])


def test_memory_without_its_word_is_not_guessed() -> None:
    """A container is killed for more than one cause."""
    (killed,) = explain({"stopCode": "EssentialContainerExited"}, [{"exitCode": 137}])
    assert "memory" not in killed.cause
    assert "memory" in killed.cure


@pytest.mark.parametrize(
    "reason",
    [
        "Stopped by Rundeck: job ops/Spot check, execution 12",
        "maintenance window, the host is being patched",
        "Your Spot Task was interrupted.",
        "CannotPullContainerError: i/o timeout",
    ],
)
def test_what_a_person_wrote_is_not_explained(reason: str) -> None:
    """It may hold any word; what the agent says of a container is still explained."""
    assert explain({"stopCode": "UserInitiated", "stoppedReason": reason}, [{"exitCode": 137}]) == ()
    (one,) = explain(
        {"stopCode": "UserInitiated", "stoppedReason": reason},
        [{"reason": "OutOfMemoryError: Container killed due to memory usage"}],
    )
    assert one.name == "out-of-memory"


def test_a_service_s_scheduler_without_a_reason() -> None:
    """The line says who stopped the task, and where to look."""
    (one,) = explain({"stopCode": "ServiceSchedulerInitiated"}, [{"exitCode": 143}])
    assert one.name == "stopped-by-service"


def test_a_cause_is_reported_once() -> None:
    """Though several containers have it."""
    reason = {"reason": "OutOfMemoryError: Container killed due to memory usage"}
    assert len(explain({}, [reason, reason])) == 1


# --- How it looks


def lines(form: Format) -> list[str]:
    """Give the lines of a format."""
    return list(render(form, newest_first([OOM, PULL, STOPPING])))


def test_text() -> None:
    """Columns are aligned. Long texts are on lines below, with their own names."""
    assert lines("text") == [
        "STOPPED (UTC)        TASK  SERVICE OR FAMILY  STOP CODE                 EXIT CODES",
        "STOPPING             c     web                UserInitiated             -",
        "    reason  for fun",
        "2026-11-24 22:20:11  b     job:1              TaskFailedToStart         -",
        "    reason  CannotPullContainerError: no|pipe <b> & *not found*",
        "    cause   the registry has no such image or tag [image-not-found]",
        (
            "    to do   check name, tag, account and region of the image in the task definition, and the repository's"
            " lifecycle rules;"
        ),
        "            push the image again",
        "2026-11-24 22:10:11  a     web                EssentialContainerExited  app 137, log 0",
        "    reason  Essential container in task exited",
        "    app     OutOfMemoryError: Container killed due to memory usage",
        "    cause   the container used more memory than its limit allows [out-of-memory]",
        (
            "    to do   raise memory in the task definition, or find what uses it: a leak, or a heap limit above the"
            " container's limit"
        ),
    ]


def test_json() -> None:
    """Few keys with flat texts, the same in each: Rundeck draws them as a table and sorts the columns by name."""
    begin, *content, end = lines("json")
    assert (begin, end) == ("#BEGIN:RUNDECK:DATATYPE:application/json", "#END:RUNDECK:DATATYPE")
    stopping, pull, oom = json.loads("\n".join(content))
    columns = ["at", "cause", "code", "containers", "owner", "reason", "task", "toDo"]
    assert [list(each) for each in (stopping, pull, oom)] == [columns] * 3
    assert columns == sorted(columns)
    assert {type(value) for each in (stopping, pull, oom) for value in each.values()} == {str}
    assert stopping["at"] == "STOPPING"
    assert (pull["owner"], pull["containers"]) == ("job:1", "app: no exit code")
    assert oom["at"] == "2026-11-24T22:10:11Z"
    assert oom["containers"].startswith("app: exit code 137, OutOfMemoryError")
    assert oom["cause"] == "out-of-memory"
    assert "memory" in oom["toDo"]


def test_markdown() -> None:
    """A row for each task; no reason can break the table or be taken for markup."""
    begin, head, rule, *rows, end = lines("markdown")
    assert (begin, end) == ("#BEGIN:RUNDECK:DATATYPE:text/x-markdown", "#END:RUNDECK:DATATYPE")
    assert head.count(" | ") == rule.count(" | ") == 6
    assert rows[1].startswith(
        "| b | job:1 | 2026-11-24 22:20:11 | TaskFailedToStart | CannotPullContainerError: no\\|pipe"
    )
    assert "\\<b\\> \\& \\*not found\\*" in rows[1]


def test_html() -> None:
    """The table has only elements that Rundeck allows, and every text is escaped."""
    begin, *rows, end = lines("html")
    assert (begin, end) == ("#BEGIN:RUNDECK:DATATYPE:text/html", "#END:RUNDECK:DATATYPE")
    assert len(rows) == 6
    assert "<td>CannotPullContainerError: no|pipe &lt;b&gt; &amp; *not found*</td>" in rows[3]
    assert "<thead" not in "".join(rows)


def test_data_lines() -> None:
    """They have the form that the log filter reads: a key without spaces, and never an empty value."""
    assert list(data_lines(newest_first([OOM]))) == [
        "RUNDECK:DATA:ecs-stopped-count = 1",
        f"RUNDECK:DATA:ecs-stopped-task = {ARN}a",
        "RUNDECK:DATA:ecs-stopped-at = 2026-11-24T22:10:11Z",
        "RUNDECK:DATA:ecs-stopped-code = EssentialContainerExited",
        (
            "RUNDECK:DATA:ecs-stopped-reason = Essential container in task exited; container app: exit code 137,"
            " OutOfMemoryError: Container killed due to memory usage"
        ),
    ]
    assert list(data_lines([])) == ["RUNDECK:DATA:ecs-stopped-count = 0"]
