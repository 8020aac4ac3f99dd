"""Texts of forms, whose lines browsers end with CRLF."""

from __future__ import annotations

import pytest

from ecs_exec.settings.execution import read_execution
from ecs_exec.settings.properties import ACCESS, COPY, RUN, SCRIPT_STEP, Property
from ecs_exec.settings.reader import Reader
from ecs_exec.settings.script import read_script
from ecs_exec.settings.steps import read_run_command

ALL: dict[str, Property] = {item.name: item for item in (*ACCESS, *RUN, *COPY, *SCRIPT_STEP)}
NODE = {"RD_NODE_NAME": "n", "RD_NODE_ECS_TASK": "0" * 32, "RD_CONFIG_REGION": "eu-west-1"}


@pytest.mark.parametrize("name", ALL)
def test_every_field_has_unix_lines(name: str) -> None:
    """Whatever it is for; a lone CR is no line end."""
    variable = "RD_CONFIG_" + name.replace("-", "_").upper()
    reader = Reader({variable: "a\r\nb\rc\r\n"}, ALL.values())
    assert reader.text(name) == "a\nb\rc\n"
    assert reader.setting(name, str) == "a\nb\rc"


def test_commands_and_scripts_have_unix_lines() -> None:
    """This holds for the node executor, Run Command and Run Script, also for its arguments and interpreter."""
    lines = {"RD_EXEC_COMMAND": "if true\r\nthen echo 'a\r\nb'\r\nfi"}
    assert read_execution(NODE | lines).command == "if true\nthen echo 'a\nb'\nfi"
    form = {"RD_CONFIG_COMMAND": "echo a\r\necho b\r\n", "RD_CONFIG_CLUSTER": "c", "RD_CONFIG_SERVICE": "s"}
    assert read_run_command({"RD_CONFIG_REGION": "eu-west-1"} | form).execution.command == "echo a\necho b\n"
    script = read_script(
        NODE
        | {
            "RD_CONFIG_SCRIPT": "#!/bin/sh\r\necho $1\r\n",
            "RD_CONFIG_ARGUMENTS": "'a\r\nb' c\r\nd",
            "RD_CONFIG_INTERPRETER": "bash\r\n-eu\r\n",
        }
    )
    assert script.text == "#!/bin/sh\necho $1\n"
    assert script.arguments == ("a\nb", "c", "d")
    assert script.interpreter == ("bash", "-eu")
