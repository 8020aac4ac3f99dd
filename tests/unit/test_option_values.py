"""Names for the options of jobs: what is listed, and the form in which Rundeck reads it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from e2e.rundeck_launch import variables
from ecs_exec import main
from ecs_exec.errors import AwsError, SettingsError
from ecs_exec.settings.options import Options, read_options
from ecs_exec.steps import option_values
from ecs_exec.steps.calls import Caller

ARN = "arn:aws:ecs:us-east-1:123456789012"


class Account:
    """Answers calls with pages of two names, as AWS does with pages of a hundred."""

    def __init__(self, names: list[str]) -> None:
        """Take what every list has."""
        self.asked: list[Mapping[str, Any]] = []
        self.aws = self
        self._names = names

    def patiently(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Make a call."""
        return call()

    def call(self, _service: str, action: str, _where: str, **parameters: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """Answer a call with a page."""
        self.asked.append(parameters)
        field = {"ListServices": "serviceArns", "ListTaskDefinitionFamilies": "families"}[action]
        some, token = self._page(parameters.get("nextToken", ""))
        return {field: some} | ({"nextToken": token} if token else {})

    def list_clusters(self, token: str) -> tuple[list[str], str]:
        """Return a page."""
        return self._page(token)

    def list_tasks(self, _cluster: str, token: str, filters: Mapping[str, str]) -> tuple[list[str], str]:
        """Return a page."""
        self.asked.append(filters)
        return self._page(token)

    def tasks(self, _cluster: str, arns: list[str]) -> list[dict[str, Any]]:
        """Describe tasks, each with a container that has its name, and one that all have."""
        return [{"containers": [{"name": arn.rpartition("/")[2]}, {"name": "log-router"}]} for arn in arns]

    def _page(self, token: str) -> tuple[list[str], str]:
        start = int(token or 0)
        return self._names[start : start + 2], str(start + 2) if start + 2 < len(self._names) else ""


def names(kind: str, account: Account, **config: str) -> list[str]:
    """List names with a configuration."""
    return option_values.names(asked(kind, **config), cast("Caller", account))


def asked(kind: str, **config: str) -> Options:
    """Read a configuration."""
    return read_options(kind, variables("CONFIG", config))


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [("clusters", f"{ARN}:cluster/"), ("services", f"{ARN}:service/prod/"), ("families", ""), ("containers", "task/")],
)
def test_all_pages_are_listed_in_order(kind: str, prefix: str) -> None:
    """Each name once, without the rest of its ARN."""
    found = names(kind, Account([prefix + name for name in ("web", "api", "zebra", "api_2", "Web-2")]))
    assert [name for name in found if name != "log-router"] == ["Web-2", "api", "api_2", "web", "zebra"]
    assert found.count("log-router") == (kind == "containers")


def test_patterns_choose_names() -> None:
    """Any of them; an empty setting chooses all."""
    account = Account(["shop-web", "shop-api", "web", "webber"])
    assert names("families", account, names="shop-*, web") == ["shop-api", "shop-web", "web"]


def test_the_cluster_and_service_are_asked_for() -> None:
    """They may be ARNs, whose cluster and region hold then."""
    service = f"{ARN.replace('us-east-1', 'eu-west-1')}:service/prod/web"
    options = asked("containers", service=service)
    assert (options.wanted.cluster, options.access.region) == ("prod", "eu-west-1")
    account = Account([])
    assert names("containers", account, service=service) == []
    assert names("containers", account, family="web") == []
    assert names("containers", account) == []
    assert names("services", account) == []
    assert account.asked[:3] == [{"serviceName": service}, {"family": "web"}, {}]
    assert account.asked[3]["cluster"] == "default"


def test_rundeck_reads_what_is_written() -> None:
    """It splits lines at colons and skips those that begin with #, between two marks."""
    lines = option_values.document(["api", "web-2"]).decode().splitlines()
    start, end = lines.index("==START_OPTIONS=="), lines.index("==END_OPTIONS==")
    assert [line.split(":") for line in lines[start + 1 : end]] == [["api", "api"], ["web-2", "web-2"]]


@pytest.mark.parametrize("odd", ["a:b", "#a", "", "a b", "a\nb"])
def test_names_that_rundeck_would_cut_are_an_error(odd: str) -> None:
    """AWS has no such names, so the answer is not from AWS."""
    with pytest.raises(AwsError, match=r"\[not-aws\]"):
        names("families", Account(["web", odd]))


@pytest.mark.parametrize(
    ("kind", "config", "words"),
    [
        ("containers", {"service": "web", "family": "web"}, "service and family are set"),
        ("services", {"cluster": "a b"}, "cluster is 'a b'"),
        ("clusters", {"names": "a;b"}, "names is 'a;b'"),
        ("tasks", {}, "not one of clusters, services, families, containers"),
    ],
)
def test_faults(kind: str, config: Mapping[str, str], words: str) -> None:
    """The error says which setting is wrong."""
    with pytest.raises(SettingsError, match=words):
        asked(kind, **config)


def test_a_silent_endpoint_does_not_hold_the_page_up(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The page of the job waits for the names, and Rundeck sets no limit."""
    monkeypatch.setattr(main, "_OPTION_SECONDS", 0.3)
    monkeypatch.setattr("sys.argv", ["option-values.py", "clusters"])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        environ = variables("CONFIG", {"endpoint-url": f"http://127.0.0.1:{port}", "region": "us-east-1"})
        environ |= {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "PATH": "/bin"}
        monkeypatch.setattr(os, "environ", environ)
        assert main.option_values() == 125
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("ecs-exec: the names for an option were not listed within 0.3 s")
    assert err.rstrip().endswith("[option-values-late]")
