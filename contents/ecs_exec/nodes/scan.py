"""Reads all tasks of many clusters in parallel, completely or not at all.

Threads make the calls. One thread reads their results and alone decides about the next calls. Throttled calls and
transient failures are retried. Permanent failures are collected, so that the error lists all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any, Generic, Protocol, TypeVar

from ecs_exec.ecs.failures import THROTTLED
from ecs_exec.errors import AwsError, Incomplete, RefreshTimeout
from ecs_exec.nodes.rate_limiter import RateLimiter
from ecs_exec.retry import CALL
from ecs_exec.task_description import Described, short

R = TypeVar("R")

WORKERS = 24
"""Most calls at a time in one region of an account. A call usually takes a quarter of a second, so they exceed AWS's
full rate."""

_WORKERS_IN_ALL = 96
"""Threads for all places. Each place has its own share, so that one that cannot be reached does not delay others."""

RATE = 20.0
"""Calls a second that AWS documents for an account and region: for ListClusters, and for ListTasks and DescribeTasks
together."""

PAGE = 100
"""Tasks in one ecs:DescribeTasks, the API's limit."""

_ATTEMPTS = 4
"""Attempts for a call with transient failures other than throttling."""


class Calls(Protocol):
    """The AWS calls that a scan needs; `ecs.api.Aws` makes them. Each raises AwsError."""

    def list_clusters(self, token: str) -> tuple[list[str], str]: ...  # noqa: D102 - see Aws
    def list_tasks(self, cluster: str, token: str, list_filters: dict[str, str]) -> tuple[list[str], str]: ...  # noqa: D102
    def describe_raw(self, cluster: str, tasks: list[str]) -> tuple[list[Any], list[Any]]: ...  # noqa: D102


@dataclass(frozen=True)
class Place:
    """A region of an account, and the clusters to read there."""

    calls: Calls
    region: str
    role: str
    clusters: tuple[str, ...]
    """Names, names with `*`, ARNs; empty: all."""
    cluster_bucket: RateLimiter = field(default_factory=lambda: RateLimiter(RATE))
    task_bucket: RateLimiter = field(default_factory=lambda: RateLimiter(RATE))

    def __str__(self) -> str:
        """Return the region and the role in words."""
        return f"region {self.region}" + (f" with role {self.role}" if self.role else "")


@dataclass
class _Cluster:
    """A cluster that is being read."""

    place: Place
    name: str
    named: bool
    """Whether the settings name it; otherwise ecs:ListClusters does."""
    lists_open: int = 0
    """Lists of tasks that are not complete yet."""
    waiting: list[str] = field(default_factory=list)
    """ARNs of tasks that are not described yet."""
    failed: bool = False
    found: bool = False


@dataclass(frozen=True)
class _Job(Generic[R]):
    """A call for a thread, and the functions for its result and its error. They run in the deciding thread."""

    place: Place
    bucket: RateLimiter
    call: Callable[[], R]
    done: Callable[[R], None]
    failed: Callable[[AwsError], None]
    needed: Callable[[], bool] = lambda: True


class ClusterScan:
    """Reads all clusters once."""

    def __init__(
        self,
        places: Sequence[Place],
        narrowings: Sequence[dict[str, str]],
        take: Callable[[Place, Iterable[Described]], None],
        within: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        begun: float | None = None,
    ) -> None:
        """Take the places to read, and the parameter sets for ecs:ListTasks, each of which is called for each cluster.

        `take` gets the tasks page by page, in threads. `within` is the time for all of it, in seconds since `begun`, a
        time of the clock (now).
        """
        self._places = places
        self._narrowings = narrowings
        self._take = take
        self._within = within
        self._clock = clock
        self._deadline = (clock() if begun is None else begun) + within
        self._outcomes: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stop = Event()
        self._pending = 0
        self._clusters: list[_Cluster] = []
        self._absent: dict[str, list[str]] = {}
        self._failures: dict[str, None] = {}
        self.calls = 0
        self.inactive: list[str] = []
        """Clusters that ecs:ListClusters lists although they are deleted."""

    def read(self) -> None:
        """Read everything. Raises Incomplete, which lists everything that could not be read, or RefreshTimeout."""
        workers = max(2, min(WORKERS, _WORKERS_IN_ALL // max(1, len(self._places))))
        self._pools = {id(place): ThreadPoolExecutor(workers, "scan") for place in self._places}
        try:
            for place in self._places:
                self._begin(place)
            while self._pending:
                self._next_outcome()()
                self._pending -= 1
        finally:
            self._stop.set()
            for pool in self._pools.values():
                pool.shutdown(wait=False, cancel_futures=True)
        self._note_absent()
        if self._failures:
            raise Incomplete(list(self._failures))

    def _next_outcome(self) -> Callable[[], None]:
        left = self._deadline - self._clock()
        # The deadline is checked before each result: results come for ever if each page names a next one.
        with suppress(Empty):
            if left > 0:
                return self._outcomes.get(timeout=left)
        raise RefreshTimeout([*self._failures, self._too_late()])

    def _too_late(self) -> str:
        left = [f"{short(each.name)} in {each.place}" for each in self._clusters if each.lists_open or each.waiting]
        named = f" (not read: {', '.join(left[:10])}{', …' if len(left) > 10 else ''})" if left else ""  # noqa: PLR2004
        return (
            f"the refresh was not complete after {self._within:g} s and {self.calls} calls{named}: raise"
            " refresh-timeout, or read less with regions, clusters, services or task-definitions"
        )

    # --- Clusters

    def _begin(self, place: Place) -> None:
        if not place.clusters or any("*" in name for name in place.clusters):
            self._list_clusters(place, "")
        for name in place.clusters:
            if "*" not in name:
                self._read_cluster(_Cluster(place, name, named=True))

    def _list_clusters(self, place: Place, token: str) -> None:
        def done(answer: tuple[list[str], str]) -> None:
            arns, more = answer
            if more:
                self._list_clusters(place, more)
            for arn in arns:
                if _wanted(short(arn), place.clusters):
                    self._read_cluster(_Cluster(place, arn, named=False))

        self._submit(_Job(place, place.cluster_bucket, lambda: place.calls.list_clusters(token), done, self._fail))

    def _read_cluster(self, cluster: _Cluster) -> None:
        self._clusters.append(cluster)
        for list_filters in self._narrowings:
            cluster.lists_open += 1
            self._list_tasks(cluster, list_filters, "")

    # --- Tasks

    def _list_tasks(self, cluster: _Cluster, list_filters: dict[str, str], token: str) -> None:
        def done(answer: tuple[list[str], str]) -> None:
            arns, more = answer
            cluster.found = True
            cluster.waiting += arns
            if more:
                self._list_tasks(cluster, list_filters, more)
            else:
                cluster.lists_open -= 1
            self._describe_waiting(cluster)

        def failed(error: AwsError) -> None:
            if error.code == "ServiceNotFoundException":  # the filter's service may be in another cluster
                done(([], ""))
            else:
                self._fail_cluster(cluster, error)

        calls = cluster.place.calls
        self._submit(
            _Job(
                cluster.place,
                cluster.place.task_bucket,
                lambda: calls.list_tasks(cluster.name, token, list_filters),
                done,
                failed,
                lambda: not cluster.failed,
            )
        )

    def _describe_waiting(self, cluster: _Cluster) -> None:
        """Describe tasks in full pages, and the rest once all lists are complete."""
        while len(cluster.waiting) >= PAGE or (cluster.waiting and not cluster.lists_open):
            page, cluster.waiting = cluster.waiting[:PAGE], cluster.waiting[PAGE:]
            self._describe(cluster, page)

    def _describe(self, cluster: _Cluster, page: list[str]) -> None:
        def call() -> list[str]:
            tasks, failures = cluster.place.calls.describe_raw(cluster.name, page)
            self._take(cluster.place, tasks)
            return _unexplained(cluster, failures)

        def done(faults: list[str]) -> None:
            self._failures |= dict.fromkeys(faults)

        place, failed = cluster.place, partial(self._fail_cluster, cluster)
        self._submit(_Job(place, place.task_bucket, call, done, failed, lambda: not cluster.failed))

    def _fail_cluster(self, cluster: _Cluster, error: AwsError) -> None:
        """Read no more of a cluster, and note its failure.

        ecs:ListClusters still lists a deleted cluster for a while. Such a cluster is INACTIVE and has no nodes. It is
        an error only if the settings name it.
        """
        cluster.failed = True
        if error.code != "ClusterNotFoundException":
            self._fail(error)
        elif cluster.named:
            cluster.found = False
            self._absent.setdefault(cluster.name, []).append(str(cluster.place))
        else:
            self.inactive.append(cluster.name)

    # --- Calls

    def _submit(self, job: _Job[Any]) -> None:
        self._pending += 1
        self.calls += 1
        self._pools[id(job.place)].submit(self._work, job)

    def _work(self, job: _Job[Any]) -> None:
        """Run a job in a thread, and queue its result or error for the deciding thread."""
        outcome: Callable[[], None]
        try:
            answer = self._retry(job) if job.needed() else None
        except AwsError as caught:
            error = caught
            outcome = lambda: job.failed(error)  # noqa: E731
        except BaseException as caught:  # noqa: BLE001 - raised again where it is seen
            raised = caught
            outcome = lambda: _raise(raised)  # noqa: E731
        else:
            outcome = (lambda: job.done(answer)) if answer is not None else lambda: None
        self._outcomes.put(outcome)

    def _retry(self, job: _Job[R]) -> R:
        """Make a call, with retries, at the rate of the bucket. Raises the last AwsError.

        Throttled calls are retried until the scan ends, other transient failures up to _ATTEMPTS times in all.
        """
        failures = 0
        for tries in count(1):
            self._rest(job.bucket.reserve())
            try:
                answer = job.call()
            except AwsError as error:
                if error.code in THROTTLED:
                    job.bucket.refused()
                else:
                    failures += 1
                if not error.transient or failures >= _ATTEMPTS:
                    raise
            else:
                job.bucket.granted()
                return answer
            self._rest(CALL.delay(tries))
        raise AssertionError  # counting has no end

    def _rest(self, seconds: float) -> None:
        """Wait. Raises _Stopped if the scan has ended meanwhile."""
        if self._stop.wait(seconds) if seconds else self._stop.is_set():
            raise _Stopped

    # --- Failures

    def _fail(self, error: AwsError) -> None:
        self._note(str(error))

    def _note(self, text: str) -> None:
        """Keep the line of a failure; the same line is kept once."""
        self._failures[text] = None

    def _note_absent(self) -> None:
        """Note a failure for each cluster of the settings that none of the places has."""
        present = {cluster.name for cluster in self._clusters if cluster.found}
        for name, places in self._absent.items():
            if name not in present:
                self._note(
                    f"ecs:ListTasks found no cluster {short(name)} in {' or in '.join(places)}"
                    " (ClusterNotFoundException): check clusters and regions"
                )


class _Stopped(Exception):
    """The scan has ended, and nobody waits for the result."""


def _raise(error: BaseException) -> None:
    raise error


def _wanted(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether to read a cluster that was listed: without patterns always, else if a pattern matches its name.

    A cluster that the settings also name without `*` is read anyway, so it is not read here a second time.
    """
    if not patterns:
        return True
    return name not in patterns and any(fnmatchcase(name, each) for each in patterns if "*" in each)


def _unexplained(cluster: _Cluster, failures: Iterable[Described]) -> list[str]:
    """Return a line for each task that could not be described, except those that ended meanwhile (MISSING)."""
    return [
        f"ecs:DescribeTasks failed for task {short(str(each.get('arn', '')))} in cluster {short(cluster.name)}"
        f" ({cluster.place}): {each.get('reason', 'no reason')} {each.get('detail') or ''}".rstrip()
        for each in failures
        if each.get("reason") != "MISSING"
    ]
