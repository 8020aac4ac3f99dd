"""The forms and pages show exactly the settings that the code reads."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

import build_manifest
from ecs_exec.errors import SettingsError
from ecs_exec.nodes.settings import read_source
from ecs_exec.settings import Property, read_execution, steps
from ecs_exec.settings.fetch import read_fetch
from ecs_exec.settings.file_copy import read_file_copy
from ecs_exec.settings.logs import read_logs_of_form, read_logs_of_node
from ecs_exec.settings.options import read_options
from ecs_exec.settings.properties import Group
from ecs_exec.settings.providers import PROVIDERS, Provider
from ecs_exec.settings.run_task import read_run_task
from ecs_exec.settings.script import read_script

ROOT = Path(__file__).parents[2]

LISTED: list[dict[str, Any]] = yaml.safe_load((ROOT / "plugin.yaml").read_text(encoding="utf-8"))["providers"]

ALL_PROPERTIES = sorted({item for provider in PROVIDERS for item in provider.properties})

READERS: dict[tuple[str, str], Callable[[Mapping[str, str]], object]] = {
    ("NodeExecutor", "ecs-node-executor"): read_execution,
    ("FileCopier", "ecs-file-copier"): read_file_copy,
    ("WorkflowNodeStep", "ecs-run-script"): read_script,
    ("WorkflowNodeStep", "ecs-fetch-file"): read_fetch,
    ("ResourceModelSource", "ecs-node-source"): read_source,
    ("WorkflowNodeStep", "ecs-check-exec"): steps.read_check_exec_of_node,
    ("WorkflowStep", "ecs-check-exec"): steps.read_check_exec_of_form,
    ("WorkflowNodeStep", "ecs-stop-task"): steps.read_stop_task_of_node,
    ("WorkflowStep", "ecs-stop-task"): steps.read_stop_task_of_form,
    ("WorkflowStep", "ecs-redeploy"): steps.read_redeploy,
    ("WorkflowStep", "ecs-scale"): steps.read_scale,
    ("WorkflowStep", "ecs-run-command"): steps.read_run_command,
    ("WorkflowStep", "ecs-run-task"): read_run_task,
    ("WorkflowNodeStep", "ecs-logs"): read_logs_of_node,
    ("WorkflowStep", "ecs-logs"): read_logs_of_form,
    ("WorkflowStep", "ecs-stopped-tasks"): steps.read_stopped_tasks,
    **{
        ("OptionValues", f"ecs-{kind}"): partial(read_options, kind)
        for kind in ("clusters", "services", "families", "containers")
    },
}
"""The function that reads the environment for each provider."""


class Asked(dict[str, str]):
    """An environment that records the variables that are read."""

    def __init__(self) -> None:
        """Start with no names."""
        super().__init__()
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        """Note the name."""
        self.names.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        """Note the name."""
        self.names.add(name)
        return default


def asked(provider: Provider) -> set[str]:
    """Give the variables that a provider's reader reads."""
    environ = Asked()
    with suppress(SettingsError):
        READERS[provider.service, provider.name](environ)
    return environ.names


def variable(group: str, name: str) -> str:
    """Name a value as Rundeck does."""
    return f"RD_{group}_" + "".join(char if char.isalnum() else "_" for char in name).upper()


@pytest.mark.parametrize("path", list(build_manifest.build(ROOT)), ids=str)
def test_files_are_as_they_would_be_written(path: Path) -> None:
    """plugin.yaml, the messages and the README agree with the one place of the settings; else: make manifest."""
    assert (ROOT / path).read_text(encoding="utf-8") == build_manifest.build(ROOT)[path]


def test_every_provider_has_a_reader() -> None:
    """Otherwise the tests below could leave one out."""
    assert set(READERS) == {(provider.service, provider.name) for provider in PROVIDERS}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: f"{provider.name}-{provider.service}")
def test_properties_are_read_and_nothing_else(provider: Provider) -> None:
    """Each property of the form has an effect, and no setting is secret knowledge."""
    read = {name for name in asked(provider) if name.startswith("RD_CONFIG_")}
    assert read == {variable("CONFIG", item.name) for item in provider.properties if not item.read_by_rundeck}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: f"{provider.name}-{provider.service}")
def test_attributes_that_override_are_read(provider: Provider) -> None:
    """Each node attribute that a form names is looked at."""
    named = {variable("NODE", item.attribute) for item in provider.properties if item.attribute}
    assert named <= asked(provider)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: f"{provider.name}-{provider.service}")
def test_entry_scripts_exist(provider: Provider) -> None:
    """An interpreter starts them, because Rundeck makes only the first of them executable."""
    assert (ROOT / "contents" / provider.script).is_file()


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: f"{listed['name']}-{listed['service']}")
def test_administrators_settings_are_out_of_reach(listed: Mapping[str, Any]) -> None:
    """No step's form has them, no node sets them, and what a job exports cannot take their place."""
    names = {
        "profile",
        "endpoint-url",
        "session-manager-plugin",
        "ssmmessages-endpoint",
        "script-folder",
        "fetch-folder",
    }
    mine = [item for item in listed["config"] if item["name"] in names]
    assert len(mine) >= 2
    for item in mine:
        assert item["scope"] == "Project"
        assert "default" in item  # else a reference to it would find a job's variable
        assert "instance-scope-node-attribute" not in item["renderingOptions"]
    if listed["service"] == "OptionValues":  # has no job around it; the argument says what is listed
        assert listed["name"] == f"ecs-{listed['script-args']}"
    elif listed["service"] != "ResourceModelSource":
        passed = listed["script-args"].split(" ")
        of_rundeck = ["rundeck.project"] if listed["name"] == "ecs-fetch-file" else []
        expected = [f"{item['name']}=${{config.{item['name']}}}" for item in mine]
        assert sorted(passed) == sorted([*expected, *(f"{name}=${{{name}}}" for name in of_rundeck)])


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: f"{listed['name']}-{listed['service']}")
def test_forms_store_no_defaults(listed: Mapping[str, Any]) -> None:
    """The job editor would store a default in each job, where it overrides the project's. So the code has it."""
    # No form shows properties of framework scope.
    shown = [item for item in listed["config"] if item.get("scope") != "Framework"]
    stored = {item["name"]: item["default"] for item in shown if item.get("default")}
    assert stored in ({}, {"unset-references": "preserveBash"})  # the latter is read by Rundeck, and no project sets it


def test_secrets_are_found_by_global_variables() -> None:
    """In the services whose defaults Rundeck expands. Without the variable, Rundeck passes the reference on."""
    found = {
        (each["service"], item["name"]): (item["default"], item["renderingOptions"]["valueConversionFailure"])
        for each in LISTED
        for item in each["config"]
        if item.get("scope") == "Framework"
    }
    assert found == {
        (service, f"shared-{name}"): (f"${{globals.ecs-{name}}}", "skip")
        for service in ("NodeExecutor", "FileCopier")
        for name in ("secret-access-key", "session-token")
    }


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: f"{listed['name']}-{listed['service']}")
def test_helps_name_defaults(listed: Mapping[str, Any]) -> None:
    """The form does not fill them in. A checkbox shows its own."""
    (provider,) = (each for each in PROVIDERS if (each.name, each.service) == (listed["name"], listed["service"]))
    shown = {item["name"]: item["description"] for item in listed["config"]}
    named = [item for item in provider.properties if item.default and item.kind != "Boolean"]
    assert [item.name for item in named if f" Default: {item.default}." not in shown[item.name]] == []


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: f"{listed['name']}-{listed['service']}")
def test_nothing_is_required(listed: Mapping[str, Any]) -> None:
    """A server refuses a project's settings that leave out a required one, even if it is the job's to set."""
    assert [item["name"] for item in listed["config"] if "required" in item] == []


def test_checkboxes_are_off_by_default() -> None:
    """An untouched checkbox is not stored, and looks off. So a setting with another default is a choice."""
    assert {item.default for item in ALL_PROPERTIES if item.kind == "Boolean"} == {"false"}


@pytest.mark.parametrize(
    "item", [item for item in ALL_PROPERTIES if item.kind == "Boolean"], ids=lambda item: item.name
)
def test_checkboxes_have_a_sentence(item: Property) -> None:
    """It says what a ticked box does, beginning with the verb."""
    assert not re.match(r"(true|false|if|whether)\b", item.help, re.IGNORECASE)
    assert re.match(r"[A-Z][a-z]+ ", item.help)


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: f"{listed['name']}-{listed['service']}")
def test_groups_come_in_one_order(listed: Mapping[str, Any]) -> None:
    """Forms show groups in the order in which they first appear; each stands together."""
    groups = [item["renderingOptions"]["groupName"] for item in listed["config"]]
    runs = [group for group, _ in itertools.groupby(groups)]
    assert runs == [group for group in get_args(Group) if group in groups]
    assert runs[-1] == "Advanced"


def test_the_node_source_has_one_field_for_regions() -> None:
    """The old name works, and keeps its value in a form that does not show it."""
    (source,) = (each for each in LISTED if each["name"] == "ecs-node-source")
    options = {item["name"]: item["renderingOptions"] for item in source["config"]}
    assert options["region"]["displayType"] == "HIDDEN"
    assert "displayType" not in options["regions"]
    assert read_source({"RD_CONFIG_REGION": "eu-west-1"}).regions == ("eu-west-1",)
    both = {"RD_CONFIG_REGION": "eu-west-1", "RD_CONFIG_REGIONS": "us-east-1,us-west-2"}
    assert read_source(both).regions == ("us-east-1", "us-west-2")


def test_providers_have_one_icon() -> None:
    """Rundeck's older pages draw the one of plugin-meta beside the file of resources."""
    assert [each["name"] for each in LISTED if "plugin-meta" in each] == []


def test_what_holds_shell_text_keeps_the_shell_s_references() -> None:
    """Rundeck can do this from 6.2 on. blankIfUnexpandable would leave unset options in the text on 6.1."""
    found = {
        (each["name"], item["name"]): item.get("unexpandableBehaviorFrom") for each in LISTED for item in each["config"]
    }
    chosen = {key: name for key, name in found.items() if name}
    assert {key for key in found if key[1] in {"script", "command", "before"}} == set(chosen)
    assert set(chosen.values()) == {"unset-references"}
    assert "blankIfUnexpandable" not in (ROOT / "plugin.yaml").read_text(encoding="utf-8")


def test_no_alias_is_used() -> None:
    """Rundeck's reader of YAML refuses a file with more than fifty."""
    tokens = yaml.scan((ROOT / "plugin.yaml").read_text(encoding="utf-8"))
    assert [token for token in tokens if isinstance(token, yaml.AliasToken)] == []


@pytest.mark.parametrize("item", ALL_PROPERTIES, ids=lambda item: item.name)
def test_every_help_says_form_and_example(item: Property) -> None:
    """A user fills in the form without leaving it."""
    assert item.title
    assert "example" in item.help or item.kind in {"Boolean", "Select"}
    assert item.help.endswith(".")
