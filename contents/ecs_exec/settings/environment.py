"""What the environment lacks where Rundeck reduces it to its own variables, as it does up to 5.5 for executors.

There the credentials, proxies and certificate authorities that the server's service was given are taken from the
server's process, so that they work as they do on later versions. Settings of Rundeck come first anywhere.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import MutableMapping

from ecs_exec.server import is_reduced, server_environment

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_TAKEN = re.compile(
    r"AWS_\w+"  # credentials, region, configuration files, metadata services, endpoints, certificate authorities
    r"|(?i:https?_proxy|all_proxy|no_proxy)"
    r"|REQUESTS_CA_BUNDLE|SSL_CERT_FILE|SSL_CERT_DIR"  # the latter two are what session-manager-plugin reads
    r"|HOME"  # holds ~/.aws
    r"|PATH"  # where credential_process and session-manager-plugin are looked for
)
"""All that is taken. Not what else the server was given, which may be secret and is nothing to AWS."""


def complete_environment(environ: MutableMapping[str, str]) -> None:
    """Add what AWS's configuration needs where Rundeck hands on nothing but its own variables; nothing is replaced."""
    if is_reduced(environ):
        for name, value in server_environment(environ).items():
            if _TAKEN.fullmatch(name):
                environ.setdefault(name, value)
    environ.setdefault("PATH", _SYSTEM_PATH)
    if "HOME" not in environ:
        try:
            environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:  # a container's arbitrary user id
            environ["HOME"] = "/"
