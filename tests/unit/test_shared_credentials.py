"""Region and credentials of the project's global variables, which count if a provider has none of its own."""

from __future__ import annotations

import pytest

from ecs_exec.errors import SettingsError
from ecs_exec.settings import Access, read_execution
from ecs_exec.settings.steps import read_stopped_tasks

NODE = {"RD_EXEC_COMMAND": "true", "RD_NODE_ECS_TASK": "0123456789abcdef0123456789abcdef"}
UNSET = {
    "RD_CONFIG_SHARED_SECRET_ACCESS_KEY": "${globals.ecs-secret-access-key}",
    "RD_CONFIG_SHARED_SESSION_TOKEN": "${globals.ecs-session-token}",
}
"""Values that Rundeck passes if there are no such variables."""
ROLE = "arn:aws:iam::123456789012:role/ops"
GLOBALS = {
    "RD_GLOBALS_ECS_REGION": "eu-west-1",
    "RD_GLOBALS_ECS_ACCESS_KEY_ID": "AKIASHARED",
    "RD_GLOBALS_ECS_SECRET_ACCESS_KEY": "keys/project/shop/secret",
    "RD_GLOBALS_ECS_ASSUME_ROLE_ARN": ROLE,
    "RD_GLOBALS_ECS_EXTERNAL_ID": f"{ROLE}=ext-1",
}
FOUND = {"RD_CONFIG_SHARED_SECRET_ACCESS_KEY": "shared-secret"}


def access(environ: dict[str, str]) -> Access:
    """Read the node executor's."""
    return read_execution(NODE | UNSET | environ).access


def fault(environ: dict[str, str]) -> str:
    """Give the error of the node executor's."""
    with pytest.raises(SettingsError) as caught:
        access(environ)
    return str(caught.value)


def test_no_such_variables() -> None:
    """A reference that Rundeck did not replace is no value."""
    assert access({}) == Access()


def test_all_of_them() -> None:
    """The role's own external ID is taken."""
    assert access(GLOBALS | FOUND) == Access("eu-west-1", "AKIASHARED", "shared-secret", "", "", ROLE, "ext-1")
    token = {"RD_CONFIG_SHARED_SESSION_TOKEN": "token\n", "RD_GLOBALS_ECS_SESSION_TOKEN": "keys/token"}
    assert access(GLOBALS | FOUND | token).session_token == "token"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"RD_CONFIG_REGION": "us-east-1"}, {"region": "us-east-1"}),
        ({"RD_NODE_ECS_REGION": "us-east-1"}, {"region": "us-east-1"}),
        ({"AWS_REGION": "us-east-1"}, {"region": "eu-west-1"}),
        ({"RD_NODE_ASSUME_ROLE_ARN": f"{ROLE}2"}, {"assume_role_arn": f"{ROLE}2", "external_id": ""}),
        ({"RD_CONFIG_EXTERNAL_ID": "own-1"}, {"external_id": "own-1"}),
        (
            {"RD_CONFIG_ACCESS_KEY_ID": "AKIAOWN", "RD_CONFIG_SECRET_ACCESS_KEY": "own"},
            {"access_key_id": "AKIAOWN", "secret_access_key": "own"},
        ),
        ({"RD_CONFIG_SECRET_ACCESS_KEY": "own"}, {"access_key_id": "AKIASHARED", "secret_access_key": "own"}),
        ({"RD_CONFIG_PROFILE": "ops"}, {"access_key_id": "", "secret_access_key": "", "profile": "ops"}),
    ],
)
def test_own_settings_come_first(own: dict[str, str], expected: dict[str, str]) -> None:
    """A provider's settings and the node's attributes override the variables."""
    found = access(GLOBALS | FOUND | own)
    assert {name: getattr(found, name) for name in expected} == expected


def test_an_own_key_is_not_completed() -> None:
    """An own key ID never gets the shared secret."""
    assert "access-key-id is set and secret-access-key is not" in fault(
        GLOBALS | FOUND | {"RD_CONFIG_ACCESS_KEY_ID": "AKIAOWN"}
    )


@pytest.mark.parametrize("value", ["keys/project/shop/secret", "keys/other"])
def test_a_secret_that_rundeck_could_not_read(value: str) -> None:
    """Rundeck passes the path then. The error names the variable."""
    text = fault(GLOBALS | {"RD_CONFIG_SHARED_SECRET_ACCESS_KEY": value})
    assert "globals.ecs-secret-access-key is not usable: Rundeck passed the Key Storage path" in text


def test_a_secret_in_the_variable_itself() -> None:
    """Secrets stay in Key Storage. The error does not show this one."""
    text = fault(GLOBALS | dict.fromkeys((*FOUND, "RD_GLOBALS_ECS_SECRET_ACCESS_KEY"), "plain-hush"))
    assert "globals.ecs-secret-access-key is not usable" in text
    assert "hush" not in text


def test_no_secret() -> None:
    """The error says where to set it: executors by a variable, steps by their own setting."""
    assert "there is no secret access key: set globals.ecs-secret-access-key" in fault(GLOBALS)
    with pytest.raises(SettingsError, match="set secret-access-key of this step"):
        read_stopped_tasks({"RD_CONFIG_CLUSTER": "shop"} | GLOBALS)


def test_a_step() -> None:
    """It has the secret from its own setting, and the rest from the variables."""
    found = read_stopped_tasks({"RD_CONFIG_CLUSTER": "shop", "RD_CONFIG_SECRET_ACCESS_KEY": "own"} | GLOBALS).access
    assert found == Access("eu-west-1", "AKIASHARED", "own", "", "", ROLE, "ext-1")
