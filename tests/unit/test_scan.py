"""The calls of a scan, their order, and the handling of refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from ecs_exec.errors import AwsError, Incomplete, RefreshTimeout
from ecs_exec.nodes.scan import ClusterScan, Place
from ecs_exec.task_description import Described


class Ecs:
    """An ECS with one cluster: pages of tasks for each list filter. Errors are raised before answers."""

    def __init__(self, pages: dict[str, list[list[str]]], errors: dict[str, list[AwsError]] | None = None) -> None:
        """Take the pages by service, and errors by action."""
        self.pages = pages
        self.errors = errors or {}
        self.described: list[list[str]] = []
        self.failures: list[dict[str, str]] = []
        self.lists = 0

    def _check(self, action: str) -> None:
        if left := self.errors.get(action):
            raise left.pop(0)

    def list_clusters(self, token: str) -> tuple[list[str], str]:
        """Give two pages, the second of a cluster that nobody asked for."""
        self._check("ListClusters")
        return (["arn:aws:ecs:r:1:cluster/other"], "") if token else (["arn:aws:ecs:r:1:cluster/c"], "2")

    def list_tasks(self, cluster: str, token: str, list_filters: dict[str, str]) -> tuple[list[str], str]:
        """Give a page."""
        assert cluster.endswith("c")
        self.lists += 1
        self._check("ListTasks")
        pages, number = self.pages[list_filters.get("serviceName", "")], int(token or 0)
        return pages[number], str(number + 1) if number + 1 < len(pages) else ""

    def describe_raw(self, cluster: str, tasks: list[str]) -> tuple[list[Any], list[Any]]:
        """Give what was asked for."""
        assert cluster
        self._check("DescribeTasks")
        self.described.append(tasks)
        return [{"taskArn": name} for name in tasks], self.failures


def survey(ecs: Ecs, services: Iterable[str] = (), clusters: tuple[str, ...] = ("c",), within: float = 20) -> list[str]:
    """Read the cluster; give the tasks that were found, sorted."""
    found: list[str] = []

    def take(_: Place, tasks: Iterable[Described]) -> None:
        found.extend(str(task["taskArn"]) for task in tasks)

    narrowings = [{"serviceName": name} for name in services] or [{}]
    ClusterScan([Place(ecs, "us-east-1", "", clusters)], narrowings, take, within).read()
    return sorted(found)


def page(prefix: str, size: int) -> list[str]:
    """Give names of tasks."""
    return [f"{prefix}{number:03}" for number in range(size)]


def test_pages_are_described_as_they_come() -> None:
    """A hundred at a time, the rest at the end."""
    ecs = Ecs({"": [page("a", 100), page("b", 100), page("c", 1)]})
    assert survey(ecs) == page("a", 100) + page("b", 100) + page("c", 1)
    assert sorted(map(len, ecs.described)) == [1, 100, 100]


def test_short_lists_are_put_together() -> None:
    """One call describes all tasks of ten services with five tasks each."""
    services = [f"s{number}" for number in range(10)]
    ecs = Ecs({name: [page(name, 5)] for name in services})
    assert len(survey(ecs, services)) == 50
    assert list(map(len, ecs.described)) == [50]


def test_an_empty_cluster_costs_one_call() -> None:
    """And ecs:DescribeTasks, which would refuse an empty list, is not called."""
    ecs = Ecs({"": [[]]})
    assert survey(ecs) == []
    assert (ecs.lists, ecs.described) == (1, [])


def test_patterns_choose_among_all_clusters() -> None:
    """On every page of them."""
    assert survey(Ecs({"": [["a"]]}), clusters=("c*",)) == ["a"]


def test_a_service_of_another_cluster() -> None:
    """It is not reported as missing in this one."""
    ecs = Ecs({"here": [["a"]], "there": []}, {"ListTasks": [AwsError("no", code="ServiceNotFoundException")]})
    ecs.pages["there"] = ecs.pages["here"]
    assert survey(ecs, ["there", "here"]) == ["a"]


def test_a_task_that_is_gone() -> None:
    """It is not a failure; every other reason is."""
    ecs = Ecs({"": [["a"]]})
    ecs.failures = [{"arn": "task/c/gone", "reason": "MISSING"}]
    assert survey(ecs) == ["a"]
    ecs.failures = [{"arn": "task/c/odd", "reason": "ODD", "detail": "very"}]
    with pytest.raises(Incomplete, match=r"ecs:DescribeTasks failed for task odd in cluster c .*us-east-1.*: ODD very"):
        survey(ecs)


GONE = AwsError("no such cluster", code="ClusterNotFoundException")


@pytest.mark.parametrize("action", ["ListTasks", "DescribeTasks"])
@pytest.mark.parametrize("clusters", [(), ("c*",), ("*",)])
def test_a_cluster_that_is_listed_and_gone(action: str, clusters: tuple[str, ...]) -> None:
    """It has no nodes: ecs:ListClusters names an INACTIVE one for a while, and it may go between two calls."""

    class Other(Ecs):
        def list_clusters(self, token: str) -> tuple[list[str], str]:
            assert not token
            return ["arn:aws:ecs:r:1:cluster/c"], ""

    assert survey(Other({"": [["a"]]}, {action: [GONE]}), clusters=clusters) == []


@pytest.mark.parametrize("action", ["ListTasks", "DescribeTasks"])
def test_a_cluster_that_is_named_and_gone(action: str) -> None:
    """It is a failure."""
    with pytest.raises(Incomplete, match=r"no cluster c in .*ClusterNotFoundException"):
        survey(Ecs({"": [["a"]]}, {action: [GONE]}))


@pytest.mark.parametrize("action", ["ListTasks", "DescribeTasks"])
def test_what_fails_in_passing_is_asked_again(action: str) -> None:
    """Throttled calls are retried without limit, other transient failures a few times."""
    passing = [AwsError("slow down", code="ThrottlingException", transient=True)] * 2
    passing += [AwsError("oh", code="ServerException", transient=True)]
    assert survey(Ecs({"": [["a"]]}, {action: list(passing)})) == ["a"]
    for_good = [AwsError("oh", code="ServerException", transient=True)] * 4
    with pytest.raises(Incomplete, match="oh"):
        survey(Ecs({"": [["a"]]}, {action: list(for_good)}))


def test_one_failure_is_reported_once() -> None:
    """It is reported once, after any number of calls. A cluster that cannot be read gets no further calls."""
    denied = AwsError("denied", code="AccessDeniedException")
    ecs = Ecs({"": [page(str(number), 100) for number in range(9)]}, {"DescribeTasks": [denied] * 9})
    with pytest.raises(Incomplete) as caught:
        survey(ecs)
    assert caught.value.lines == ["denied [call-not-made]"]


def test_an_error_of_our_own_is_not_swallowed() -> None:
    """It is raised from any thread."""

    def take(_: Place, __: Iterable[Described]) -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        ClusterScan([Place(Ecs({"": [["a"]]}), "r", "", ("c",))], [{}], take, 20).read()


def test_a_reading_has_an_end() -> None:
    """The error lists the failures so far, and the clusters that were not read."""
    held = threading.Event()

    class Slow(Ecs):
        def describe_raw(self, cluster: str, tasks: list[str]) -> tuple[list[Any], list[Any]]:
            held.wait(20)
            return super().describe_raw(cluster, tasks)

    ended: Callable[[], list[str]] = lambda: survey(Slow({"": [["a"]] * 2}), within=0.3)  # noqa: E731
    with pytest.raises(RefreshTimeout, match=r"not complete after 0.3 s and \d calls"):
        ended()
    held.set()


def test_pages_without_an_end_meet_the_deadline() -> None:
    """Though an answer is always there."""

    class Endless(Ecs):
        def list_tasks(self, cluster: str, token: str, list_filters: dict[str, str]) -> tuple[list[str], str]:
            assert (cluster, list_filters) == ("c", {})
            self.lists += 1
            return [], f"{token}x"[-20:]

    with pytest.raises(RefreshTimeout):
        survey(Endless({}), within=0.3)
