"""Settings from the environment, and the errors for values that cannot be used."""

from __future__ import annotations

import pytest

from ecs_exec.endpoint import Endpoint
from ecs_exec.errors import SettingsError
from ecs_exec.settings import Access, Run, Wanted, complete_environment, is_debug, read_execution

TASK = "arn:aws:ecs:eu-west-1:123456789012:task/demo/0123456789abcdef0123456789abcdef"
LEAST = {"RD_EXEC_COMMAND": "true", "RD_NODE_ECS_TASK": "0123456789abcdef0123456789abcdef"}


def faults(environ: dict[str, str]) -> str:
    """Return the line that names the faults."""
    with pytest.raises(SettingsError) as caught:
        read_execution(LEAST | environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults() -> None:
    """A node that names a task is enough."""
    execution = read_execution(LEAST)
    assert execution.command == "true"
    assert execution.access == Access()
    assert execution.wanted == Wanted("default", "0123456789abcdef0123456789abcdef")
    assert execution.run == Run()
    assert not execution.debug


def test_everything_set() -> None:
    """Every property arrives under its name."""
    execution = read_execution(
        LEAST
        | {
            "RD_NODE_NAME": "web-1",
            "RD_CONFIG_REGION": "us-east-1",
            "RD_CONFIG_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "RD_CONFIG_SECRET_ACCESS_KEY": "secret+/=\n",
            "RD_CONFIG_SESSION_TOKEN": "token\n",
            "RD_CONFIG_ASSUME_ROLE_ARN": "arn:aws:iam::123456789012:role/path/name",
            "RD_CONFIG_EXTERNAL_ID": "ext-1",
            "RD_CONFIG_ENDPOINT_URL": "http://127.0.0.1:4566",
            "RD_CONFIG_TRANSPORT": "native",
            "RD_CONFIG_SESSION_MANAGER_PLUGIN": "/opt/smp",
            "RD_CONFIG_SHELL": "/bin/bash",
            "RD_CONFIG_USER": "app",
            "RD_CONFIG_WORKDIR": "/srv/my app",
            "RD_CONFIG_TTY": "true",
            "RD_CONFIG_ENV": "RD_JOB_*",
            "RD_JOB_EXECID": "7",
            "RD_CONFIG_TIMEOUT": "60",
            "RD_CONFIG_CONNECT_TIMEOUT": "5",
        }
    )
    assert execution.node == "web-1"
    assert execution.access == Access(
        "us-east-1",
        "AKIAEXAMPLE",
        "secret+/=",
        "token",
        "",
        "arn:aws:iam::123456789012:role/path/name",
        "ext-1",
        "http://127.0.0.1:4566",
    )
    assert execution.run == Run(
        "native", "/opt/smp", "/bin/bash", "app", "/srv/my app", True, {"RD_JOB_EXECID": "7"}, 60, 5
    )


def test_secrets_are_not_shown() -> None:
    """Settings that are printed by accident show no values."""
    environ = {"RD_CONFIG_ACCESS_KEY_ID": "AKIA", "RD_CONFIG_SECRET_ACCESS_KEY": "hush1"}
    environ |= {"RD_CONFIG_SESSION_TOKEN": "hush2", "RD_CONFIG_EXTERNAL_ID": "hush3", "RD_JOB_X": "hush4"}
    assert "hush" not in repr(read_execution(LEAST | environ | {"RD_CONFIG_ENV": "RD_JOB_*"}))
    assert "hush" not in faults({"RD_CONFIG_SECRET_ACCESS_KEY": "hush hush", "RD_CONFIG_SESSION_TOKEN": "hush\thush"})


@pytest.mark.parametrize(
    ("property_", "attribute", "value", "field"),
    [
        ("TRANSPORT", "ECS_TRANSPORT", "native", "transport"),
        ("SHELL", "ECS_SHELL", "/bin/bash", "shell"),
        ("USER", "ECS_USER", "app", "user"),
        ("WORKDIR", "ECS_WORKDIR", "/srv", "workdir"),
    ],
)
def test_the_node_comes_before_the_project(property_: str, attribute: str, value: str, field: str) -> None:
    """An attribute overrides the configuration; an empty one does not."""
    configured = LEAST | {f"RD_CONFIG_{property_}": value}
    assert getattr(read_execution(configured).run, field) == value
    assert getattr(read_execution(configured | {f"RD_NODE_{attribute}": ""}).run, field) == value
    other = LEAST | {f"RD_CONFIG_{property_}": "/other" if value.startswith("/") else "auto"}
    if field == "user":
        other[f"RD_CONFIG_{property_}"] = "other"
    assert getattr(read_execution(other | {f"RD_NODE_{attribute}": value}).run, field) == value


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({}, ""),
        ({"RD_CONFIG_REGION": "us-east-1"}, "us-east-1"),
        ({"AWS_REGION": "us-west-2"}, "us-west-2"),
        ({"RD_CONFIG_REGION": "us-east-1", "AWS_REGION": "us-west-2"}, "us-east-1"),
        ({"RD_CONFIG_REGION": "us-east-1", "RD_NODE_ECS_TASK_ARN": TASK}, "eu-west-1"),
        ({"RD_NODE_ECS_CLUSTER_ARN": "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/c"}, "cn-north-1"),
        (
            {"RD_CONFIG_REGION": "us-east-1", "RD_NODE_ECS_TASK_ARN": TASK, "RD_NODE_ECS_REGION": "sa-east-1"},
            "sa-east-1",
        ),
    ],
)
def test_where_the_region_comes_from(environ: dict[str, str], region: str) -> None:
    """The attribute, an ARN, the configuration, the environment."""
    assert read_execution(LEAST | environ).access.region == region


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"RD_NODE_ECS_TASK_ARN": TASK}, Wanted("demo", TASK)),
        ({"RD_NODE_ECS_TASK_ARN": TASK, "RD_NODE_ECS_CLUSTER": "demo"}, Wanted("demo", TASK)),
        ({"RD_NODE_ECS_SERVICE": "web", "RD_NODE_ECS_TASK": ""}, Wanted("default", "", "web")),
        ({"RD_NODE_ECS_FAMILY": "api", "RD_NODE_ECS_TASK": ""}, Wanted("default", "", "", "api")),
        (
            {"RD_NODE_ECS_CLUSTER_ARN": "arn:aws:ecs:eu-west-1:123456789012:cluster/c", "RD_NODE_ECS_CLUSTER": "d"},
            Wanted("arn:aws:ecs:eu-west-1:123456789012:cluster/c", LEAST["RD_NODE_ECS_TASK"]),
        ),
        (
            {"RD_NODE_ECS_CONTAINER_NAME": "app", "RD_NODE_ECS_CONTAINER": "other", "RD_NODE_ECS_RUNTIME_ID": "r-1"},
            Wanted("default", LEAST["RD_NODE_ECS_TASK"], container="app", runtime_id="r-1"),
        ),
    ],
)
def test_what_the_node_says_of_the_target(environ: dict[str, str], wanted: Wanted) -> None:
    """The first attribute found wins; a task's ARN holds the cluster."""
    assert read_execution(LEAST | environ).wanted == wanted


_SET, _NAMED = "RD_CONFIG_SSMMESSAGES_ENDPOINT", "AWS_ENDPOINT_URL_SSMMESSAGES"


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({_SET: "VPCE-1.example"}, Endpoint("vpce-1.example")),
        ({_SET: "vpce-1.example:8443"}, Endpoint("vpce-1.example", 8443)),
        ({_SET: "https://vpce-1.example/"}, Endpoint("vpce-1.example", None, True)),
        ({_SET: "http://127.0.0.1:80"}, Endpoint("127.0.0.1", 80, False)),
        ({_SET: "wss://[::1]:1"}, Endpoint("::1", 1, True)),
        ({_NAMED: "https://vpce-2.example"}, Endpoint("vpce-2.example", None, True)),
        ({_SET: "vpce-1.example", _NAMED: "https://vpce-2.example"}, Endpoint("vpce-1.example")),
        ({_NAMED: "https://vpce-2.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None),
    ],
)
def test_another_host_for_data_channels(environ: dict[str, str], endpoint: Endpoint | None) -> None:
    """The setting counts, else the variable, unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is set."""
    assert read_execution(LEAST | environ).access.ssmmessages_endpoint == endpoint


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"RD_CONFIG_REGION": "US East"}, ["region", "'US East'", "us-east-1"]),
        ({"RD_NODE_ECS_REGION": "nowhere!"}, ["ECS:Region", "'nowhere!'"]),
        ({"RD_CONFIG_REGION": "${globals.region}"}, ["region", "no value for the reference"]),
        ({"RD_CONFIG_ACCESS_KEY_ID": "AKIA"}, ["access-key-id is set and secret-access-key is not"]),
        ({"RD_CONFIG_SECRET_ACCESS_KEY": "x"}, ["secret-access-key is set and access-key-id is not"]),
        (
            {"RD_CONFIG_ACCESS_KEY_ID": "AKIA", "RD_CONFIG_SECRET_ACCESS_KEY": "keys/project/aws"},
            ["secret-access-key", "Key Storage path", "password"],
        ),
        ({"RD_CONFIG_SESSION_TOKEN": "t"}, ["session-token", "access-key-id"]),
        (
            {"RD_CONFIG_PROFILE": "p", "RD_CONFIG_ACCESS_KEY_ID": "A", "RD_CONFIG_SECRET_ACCESS_KEY": "s"},
            ["profile", "access-key-id", "keep one"],
        ),
        ({"RD_CONFIG_ASSUME_ROLE_ARN": "admin"}, ["assume-role-arn", "'admin'", "arn:aws:iam::"]),
        ({"RD_CONFIG_ENDPOINT_URL": "localhost:4566"}, ["endpoint-url", "http://"]),
        ({"RD_CONFIG_ENDPOINT_URL": "http://[::1"}, ["endpoint-url"]),
        ({"RD_CONFIG_SSMMESSAGES_ENDPOINT": "ftp://host"}, ["ssmmessages-endpoint", "https://host:port"]),
        ({"RD_CONFIG_SSMMESSAGES_ENDPOINT": "host/path"}, ["ssmmessages-endpoint", "https://host:port"]),
        ({"RD_CONFIG_SSMMESSAGES_ENDPOINT": "user@host"}, ["ssmmessages-endpoint", "https://host:port"]),
        ({"RD_CONFIG_SSMMESSAGES_ENDPOINT": "host:0"}, ["ssmmessages-endpoint", "https://host:port"]),
        ({"RD_CONFIG_SSMMESSAGES_ENDPOINT": "host:x"}, ["ssmmessages-endpoint"]),
        ({"RD_CONFIG_SSMMESSAGES_ENDPOINT": "[::1"}, ["ssmmessages-endpoint"]),
        ({"AWS_ENDPOINT_URL_SSMMESSAGES": "https://"}, ["AWS_ENDPOINT_URL_SSMMESSAGES", "https://host:port"]),
        ({"RD_CONFIG_TRANSPORT": "ssh"}, ["transport", "'ssh'", "auto, native or session-manager-plugin"]),
        ({"RD_CONFIG_SHELL": "/bin/bash -l"}, ["shell", "'/bin/bash -l'", "one program"]),
        ({"RD_NODE_ECS_SHELL": "a\tb"}, ["ecs-shell"]),
        ({"RD_CONFIG_USER": "root; reboot"}, ["user", "'root; reboot'"]),
        ({"RD_CONFIG_WORKDIR": "srv"}, ["workdir", "absolute path"]),
        ({"RD_CONFIG_TTY": "maybe"}, ["tty", "true or false"]),
        ({"RD_CONFIG_TIMEOUT": "1h"}, ["timeout", "'1h'", "seconds"]),
        ({"RD_CONFIG_TIMEOUT": "-1"}, ["timeout"]),
        ({"RD_CONFIG_CONNECT_TIMEOUT": "0"}, ["connect-timeout", "1 or more"]),
        ({"RD_CONFIG_ENV": "PATH"}, ["env", "RD_*"]),
        ({"RD_CONFIG_ENV": "RD_SECUREOPTION_PASSWORD"}, ["RD_SECUREOPTION_PASSWORD is secure"]),
        ({"RD_CONFIG_SHELL": "none", "RD_CONFIG_USER": "app"}, ["user needs a shell"]),
        ({"RD_NODE_ECS_TASK": ""}, ["names no task", "ECS:Task-ARN", "ecs-service"]),
        ({"RD_NODE_ECS_TASK": "../../etc"}, ["ecs-task", "id or ARN"]),
        ({"RD_NODE_ECS_CLUSTER": "my cluster"}, ["ecs-cluster", "'my cluster'", "name or ARN"]),
        ({"RD_NODE_ECS_FAMILY": "api:3"}, ["ecs-family", "without a revision"]),
        ({"RD_NODE_ECS_CONTAINER_NAME": "a b"}, ["ECS:Container-Name"]),
        ({"RD_NODE_ECS_TASK_ARN": TASK, "RD_NODE_ECS_CLUSTER": "other"}, ["cluster demo", "other"]),
    ],
)
def test_faults_name_the_setting_and_the_accepted_form(environ: dict[str, str], words: list[str]) -> None:
    """Each in one line, by the name that the operator set."""
    line = faults(environ)
    assert all(word in line for word in words), line


def test_all_faults_are_reported_at_once() -> None:
    """Nobody fixes one to meet the next."""
    line = faults({"RD_CONFIG_REGION": "!", "RD_CONFIG_TTY": "2", "RD_CONFIG_TIMEOUT": "x", "RD_NODE_ECS_TASK": "?"})
    assert [name for name in ("region is", "tty is", "timeout is", "ecs-task is") if name not in line] == []


def test_values_of_strangers_stay_on_one_line() -> None:
    """An attribute cannot forge lines in the log, nor flood it."""
    line = faults({"RD_NODE_ECS_SHELL": "a\nb\x1b[31m" + "x" * 5000})
    assert len(line) < 300
    assert line.isprintable()


def test_no_command_is_a_fault() -> None:
    """Somebody has started the program by hand."""
    with pytest.raises(SettingsError, match="RD_EXEC_COMMAND"):
        read_execution({"RD_NODE_ECS_TASK": "0123456789abcdef0123456789abcdef"})


SECURE = {
    "RD_OPTION_NAME": "n",
    "RD_OPTION_PASSWORD": "hush",
    "RD_SECUREOPTION_PASSWORD": "hush",
    "RD_PRIVATE_KEY": "hush",
    "RD_CONFIG_REGION": "us-east-1",
    "RD_JOB_EXECID": "1",
    "OTHER": "x",
}


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("RD_OPTION_*", ["RD_OPTION_NAME"]),
        ("RD_OPTION_NAME,RD_JOB_EXECID", ["RD_JOB_EXECID", "RD_OPTION_NAME"]),
        ("RD_OPTION_NAME RD_NO_SUCH", ["RD_OPTION_NAME"]),
        ("*", ["RD_JOB_EXECID", "RD_NODE_ECS_TASK", "RD_OPTION_NAME"]),
        ("RD_*ID", ["RD_JOB_EXECID"]),
    ],
)
def test_no_secure_variable_is_handed_on(patterns: str, names: list[str]) -> None:
    """Whatever the pattern; an exposed secure option is there under an ordinary name, too."""
    environ = LEAST | SECURE | {"RD_CONFIG_ENV": patterns}
    assert sorted(read_execution(environ).run.env) == names


def test_home_and_path_are_completed() -> None:
    """Rundeck up to 5.5 gives neither. Existing values stay."""
    bare: dict[str, str] = {}
    complete_environment(bare)
    assert bare["HOME"].startswith("/")
    assert "/usr/bin" in bare["PATH"]
    full = {"HOME": "/h", "PATH": "/p"}
    complete_environment(full)
    assert full == {"HOME": "/h", "PATH": "/p"}


@pytest.mark.parametrize(("level", "debug"), [("DEBUG", True), ("INFO", False), ("", False), ("VERBOSE", True)])
def test_the_log_level_asks_for_details(level: str, debug: bool) -> None:
    """Rundeck's names for it are Debug and Verbose."""
    assert is_debug({"RD_JOB_LOGLEVEL": level}) is debug
