"""Names of node attributes that Rundeck or a plugin acts on. Does no I/O.

Rundeck passes an attribute to scripts as the variable RD_NODE_<NAME>, in upper case, with `_` for every character other
than letters and digits (DataContextUtils.generateEnvVarName). So `ecs_user`, `ECS User` and `ecs-user` are one name.
"""

from __future__ import annotations

import re

_ACTED_ON = frozenset(
    [
        "",
        "ALWAYS_SET_PTY",
        "ASSUME_ROLE_ARN",
        "CONNECTION_TIMEOUT",
        "DESCRIPTION",
        "EDITURL",
        "ENABLE_SYNC",
        "EXECUTOR_CONFIG",
        "HOSTNAME",
        "INTERPRETER",
        "NAME",
        "NODENAME",
        "REMOTEURL",
        "TAGS",
        "TYPE",
        "USERNAME",
    ]
)
"""Attributes of Rundeck's node model, of its node pages and of its script steps. `type` is the name of a node's element
in Rundeck's XML. `name` becomes the variable that holds the node's own name."""

_ACTED_ON_FROM = (
    "ANSIBLE_",
    "AWS_",
    "DOCKER_",
    "ECS_",
    "FILE_BUSY_",
    "FILE_COPIER",
    "FILE_COPY_",
    "FRAMEWORK_",
    "K8S_",
    "KERBEROS_",
    "KUBERNETES_",
    "LOCAL_",
    "NODE_EXECUTOR",
    "OS_",
    "OSARCH",
    "OSFAMILY",
    "OSNAME",
    "OSVERSION",
    "PASSWORD",
    "PLUGIN_",
    "PROJECT_",
    "RUNDECK_",
    "SCP_",
    "SCRIPT_",
    "SFTP_",
    "SHELL_",
    "SSH_",
    "SSM_",
    "SUDO",
    "UI_",
    "WINRM",
)
"""Prefixes of attributes that node executors, file copiers and script steps read: Rundeck's own (SSH, script, local),
those of its Ansible, Docker, Kubernetes and WinRM plugins, and this plugin."""


def variable(name: str) -> str:
    """Return an attribute's or a property's part of the environment variable's name, for example ECS_USER."""
    # Upper case first, as Rundeck does it: the capital of U+017F is S, so `ec\u017f-user` is `ecs-user`, too.
    return re.sub(r"[^A-Z0-9_]", "_", name.upper())


def acted_on(name: str) -> bool:
    """Return whether Rundeck or a plugin acts on an attribute of this name, in any spelling."""
    known = variable(name).strip("_")
    return known in _ACTED_ON or known.startswith(_ACTED_ON_FROM)
