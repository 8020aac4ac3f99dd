"""The environment for AWS's session-manager-plugin."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NEEDED = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|TZ|LANG|LC_[A-Z]+"  # for any program
    r"|(?:https?|no|all)_proxy|(?:HTTPS?|NO|ALL)_PROXY|SSL_CERT_(?:FILE|DIR)"  # for Go's network library
    r"|AWS_[A-Z0-9_]+"
)
_CREDENTIALS = re.compile(
    r"AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|CREDENTIAL_EXPIRATION"
    r"|PROFILE|DEFAULT_PROFILE|WEB_IDENTITY_TOKEN_FILE|ROLE_[A-Z_]+|CONTAINER_[A-Z_]+|BEARER_TOKEN_[A-Z_]+)"
)


def child_environment(
    environ: Mapping[str, str], credentials: Mapping[str, str] | None, endpoint_url: str, ca_bundle: str
) -> dict[str, str]:
    """Return only the variables that the program needs: no secure options, and nothing else of the server's.

    `credentials` are the variables with the credentials that it gets; None: it finds credentials as the plugin does.
    `ca_bundle` is the file of certificate authorities that the plugin trusts.
    """
    found = {name: value for name, value in environ.items() if _NEEDED.fullmatch(name)}
    # Its websocket trusts the certificates that Go finds: none in an image without ca-certificates. It expands no `~`.
    found = {"SSL_CERT_FILE": ca_bundle} | found | ({"AWS_CA_BUNDLE": ca_bundle} if "AWS_CA_BUNDLE" in found else {})
    if credentials is not None:
        found = {name: value for name, value in found.items() if not _CREDENTIALS.fullmatch(name)} | dict(credentials)
    return found | ({"AWS_ENDPOINT_URL": endpoint_url} if endpoint_url else {})
