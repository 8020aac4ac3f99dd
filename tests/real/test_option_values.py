"""The values that the plugin offers for options of jobs, as the real rundeck-core starts the script and reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ecs_exec.settings.providers import PROVIDERS
from emulator import Emulator
from real.jobs import Job
from real.rundeck import OptionValues, Rundeck, Server

# One server of each core lists all of them.
KINDS = ("ecs-clusters", "ecs-services", "ecs-families", "ecs-containers")
WORLD = {
    "clusters": {
        "production": {
            "services": {
                "web": {"desired": 2, "containers": {"nginx": {}, "log-router": {"essential": False}}},
                "worker": {"containers": {"app": {}}},
            },
            "tasks": [{"family": "nightly-report", "containers": {"report": {}}}],
        },
        "staging": {"services": {"web": {"containers": {"nginx": {}}}}},
    }
}
JOB = Path(__file__).parents[2] / "docs" / "jobs" / "restart-chosen-service.yaml"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give two clusters, and a region in which nothing may be listed."""
    with Emulator(world=WORLD) as running:
        yield running


def listed(
    rundeck: Rundeck, plugin_zip: Path, endpoint: str, settings: Mapping[str, str]
) -> tuple[list[Mapping[str, str]], str]:
    """List the values of each kind, with the endpoint in framework.properties and settings in the project's.

    Gives them by their labels, and the server's log.
    """
    server = Server(
        plugins=[plugin_zip],
        framework_properties={f"framework.plugin.OptionValues.{kind}.endpoint-url": endpoint for kind in KINDS},
        project_properties={f"project.plugin.OptionValues.{name}": value for name, value in settings.items()},
    )
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_REGION": "us-east-1",
    }
    actions = [OptionValues(kind) for kind in KINDS]
    results = rundeck.run(server, *actions, environ=environ)
    return [results[action] for action in actions], results.log


def test_names_are_listed(rundeck: Rundeck, plugin_zip: Path, emulator: Emulator) -> None:
    """Settings come from the server's and the project's configuration, credentials from the server's environment."""
    settings = {"ecs-services.cluster": "production", "ecs-containers.cluster": "production"}
    settings |= {"ecs-containers.service": "web", "ecs-families.names": "web,night*"}
    found, log = listed(rundeck, plugin_zip, emulator.endpoint_url, settings)
    assert [list(values) for values in found] == [
        ["production", "staging"],
        ["web", "worker"],
        ["nightly-report", "web"],
        ["log-router", "nginx"],
    ], log
    assert all(label == value for values in found for label, value in values.items())


def test_a_failure_gives_no_values_and_a_line_in_the_log(
    rundeck: Rundeck, plugin_zip: Path, emulator: Emulator
) -> None:
    """The line names the cause. Rundeck shows an empty list."""
    settings = {"ecs-services.cluster": "nowhere", "ecs-containers.cluster": "production"}
    settings |= {"ecs-containers.service": "nothing", "ecs-families.names": "a:b", "ecs-clusters.region": "EU"}
    found, log = listed(rundeck, plugin_zip, emulator.endpoint_url, settings)
    assert found == [{}] * 4
    for words in (
        "region is 'EU'",
        "ecs-exec: there is no cluster of that name in this account and region (cluster nowhere, us-east-1)",
        "names is 'a:b': expected names, like web or shop-*",
        "[service-unknown]",
    ):
        assert words in log


def test_the_job_names_a_plugin_that_is_there() -> None:
    """Rundeck would offer nothing for another name."""
    job = Job.load(JOB)
    assert list(job.faults()) == []
    named = {option["optionValuesPluginType"] for option in job.options.values()}
    assert named <= {each.name for each in PROVIDERS if each.service == "OptionValues"}
    assert named
