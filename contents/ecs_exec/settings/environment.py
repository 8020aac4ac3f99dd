"""Completes the environment, which Rundeck up to 5.5 reduces to its own RD_* variables for executors.

The missing variables for credentials, proxies and certificate authorities are read from the server's process, so that
they work as on later versions. Rundeck's settings always take precedence over them.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import MutableMapping

from ecs_exec.server import is_reduced, server_environment

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_TAKEN = (
    r"AWS_\w+"  # credentials, region, configuration files, metadata services, endpoints, certificate authorities
    r"|(?i:https?_proxy|all_proxy|no_proxy)"
    r"|REQUESTS_CA_BUNDLE|SSL_CERT_FILE|SSL_CERT_DIR"  # session-manager-plugin reads the last two
    r"|HOME"  # for ~/.aws
    r"|PATH"  # to find credential_process and session-manager-plugin
)
"""All variables that are taken. Other variables of the server may be secret, and AWS does not need them."""


def complete_environment(environ: MutableMapping[str, str]) -> None:
    """Add the missing variables that AWS's configuration needs, if Rundeck passed only its own. Replaces nothing."""
    if is_reduced(environ):
        for name, value in server_environment(environ).items():
            if re.fullmatch(_TAKEN, name):
                environ.setdefault(name, value)
    environ.setdefault("PATH", _SYSTEM_PATH)
    if "HOME" not in environ:
        try:
            environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:  # a container may run with a user id that has no entry in /etc/passwd
            environ["HOME"] = "/"
