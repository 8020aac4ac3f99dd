"""The page for migrants from Rundeck Enterprise: each row of its tables has a test, or says that it is only read."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

import pytest

from documents import ROOT
from migration.names import KEYS, KNOWN, OURS

PAGE = ROOT / "docs" / "from-enterprise.md"
READ = "only read, 2026-11-26"

CONVERTED = "unit/test_migration.py::test_settings_of_the_server"
PROJECT = "real/test_migration.py::test_a_project_and_three_jobs"
OLDER = "real/test_migration.py::test_an_older_project"
SOURCE = "e2e/test_node_source.py"
POLICIES = "e2e/test_policies.py::test_what_is_called_is_allowed_and_no_more"
TESTED = {
    "Credentials": {
        "Plugin group *AWS* of a project": PROJECT,
        "`project.aws.access_key`": OLDER,
        "Plugin group *AWS* of the system": CONVERTED,
        "Credential Provider": "e2e/test_executor.py::test_the_default_chain",
        "IAM Role Delegation: Role ARN": CONVERTED,
    },
    "The node source": {
        "region, one": PROJECT,
        "Access Key ID, Secret Key Path": PROJECT,
        "Assume Role ARN": f"{SOURCE}::test_several_accounts",
        "ECS Clusters": f"{SOURCE}::test_filters",
        "Filter Behavior": f"{SOURCE}::test_filters",
        "Service Name": f"{SOURCE}::test_filters",
        "Task Definition Name": f"{SOURCE}::test_filters",
        "Container Name": OLDER,
        "Tags": f"{SOURCE}::test_filters",
        "Permissions": POLICIES,
    },
    "Nodes": {
        "Name:": f"{SOURCE}::test_attributes",
        "`ECS:Cluster-ARN`": "unit/test_attributes.py::test_attributes_are_all_known",
        "`assume-role-arn`": f"{SOURCE}::test_another_account",
        "Node filters": "real/test_node_source.py::test_nodes_and_commands_on_them",
    },
    "The node executor": {
        "*AWS / ECS / Node Executor*": OLDER,
        "Access Key ID": "unit/test_migration.py::test_settings_of_the_executor_are_also_the_copier_s",
        "Output": "e2e/test_commands.py::test_a_command_comes_out_as_it_does_locally",
        "Exit status": OLDER,
    },
    "Run Command": {
        "Step": PROJECT,
        "Cluster Name": PROJECT,
        "Access Key ID": "unit/test_migration.py::test_spellings_of_credentials",
        "Last line": PROJECT,
        "Permissions": POLICIES,
    },
    "Stop Task": {
        "Step": PROJECT,
        "Cluster ID": PROJECT,
        "Region": PROJECT,
        "Assume Role ARN": "unit/test_step_settings.py::test_the_node_s_role_comes_first",
        "Permission": POLICIES,
    },
    "Stopped Task Details": {
        "Step": PROJECT,
        "ECS Cluster Name": PROJECT,
        "Output": "real/test_steps.py::test_stopped_task_details",
        "A line": "unit/test_migration.py::test_what_is_unknown_is_kept_and_told",
        "Permissions": POLICIES,
    },
    "The prebuilt diagnostics jobs": {
        "*Java Thread Dump": "unit/test_migration.py::test_other_plugins_of_enterprise",
        "*Stopped ECS Task Errors*": "real/test_jobs.py::test_the_report_of_stopped_tasks",
        "Option values": "unit/test_migration.py::test_other_plugins_of_enterprise",
    },
}
"""By heading: the beginning of each row that has a test, and the test."""


class Row(NamedTuple):
    """A row of a table."""

    section: str
    first: str
    text: str


def rows() -> list[Row]:
    """Give the rows of all tables that compare the two."""
    found = []
    for part in re.split(r"(?m)^## ", PAGE.read_text(encoding="utf-8"))[1:]:
        heading = part.partition("\n")[0]
        table = re.findall(r"(?m)^\| (.*?) \| .* \|$", part)
        if table[:1] == ["Enterprise"]:
            lines = re.findall(r"(?m)^\| .* \|$", part)[1:]
            found += [Row(heading, line[2:].partition(" | ")[0], line) for line in lines]
    return found


ROWS = rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.section}: {row.first[:40]}")
def test_a_row_has_a_test_or_says_that_it_is_only_read(row: Row) -> None:
    """Never both: a claim that was only read must not look tested."""
    tests = [test for start, test in TESTED[row.section].items() if row.first.startswith(start)]
    assert len(tests) + (READ in row.text) == 1, tests


def test_the_tests_exist() -> None:
    """And each row that has one is on the page."""
    for section, tested in TESTED.items():
        for start, test in tested.items():
            assert [row for row in ROWS if row.section == section and row.first.startswith(start)], (section, start)
            path, _, name = test.partition("::")
            tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
            assert name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)], test
    assert len(ROWS) > 35


def test_names_of_the_page_are_the_converter_s() -> None:
    """Names that the page calls public are those that the converter takes for certain."""
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"`(aws-ecs-[\w-]+)`", text)) == set(KNOWN)
    named = {name: set(KEYS[new].values()) for name, new in KNOWN.items()}
    assert {"cluster", "task", "container", "command", "region"} <= named["aws-ecs-run-command"]


def test_the_converter_knows_the_plugin_s_settings() -> None:
    """Each setting that it writes exists."""
    from ecs_exec.settings.providers import PROVIDERS

    assert set(KEYS) <= OURS
    for name, keys in KEYS.items():
        settings = {item.name for each in PROVIDERS if each.name == name for item in each.properties}
        assert set(keys.values()) <= settings, name
