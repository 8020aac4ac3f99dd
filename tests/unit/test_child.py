"""The part of the server's environment that AWS's session-manager-plugin gets."""

from __future__ import annotations

from ecs_exec.settings.child import child_environment

NEEDED = {
    "PATH": "/usr/bin",
    "HOME": "/home/rundeck",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "HTTPS_PROXY": "http://proxy",
    "no_proxy": "localhost",
    "SSL_CERT_FILE": "/etc/ssl/corp.pem",
    "AWS_CA_BUNDLE": "/etc/ssl/corp.pem",
    "AWS_CONFIG_FILE": "/etc/aws",
    "AWS_REGION": "eu-west-1",
}
BUNDLE = "/etc/ssl/corp.pem"
OWN = {
    "AWS_PROFILE": "ops",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x",
    "AWS_SESSION_TOKEN": "old",
}
OTHERS = {
    "RD_SECUREOPTION_PASSWORD": "x",
    "RD_CONFIG_SECRET_ACCESS_KEY": "x",
    "RUNDECK_DATABASE_PASSWORD": "x",
    "JAVA_OPTS": "-Dpassword=x",
    "XAWS_KEY": "x",
    "LD_PRELOAD": "/x.so",
    "PYTHONPATH": "/x",
}


def test_what_it_needs_and_nothing_else() -> None:
    """With credentials of the server's own it finds them as the plugin does."""
    assert child_environment({**NEEDED, **OWN, **OTHERS}, None, "", BUNDLE) == {**NEEDED, **OWN}


def test_only_the_credentials_of_the_settings() -> None:
    """Those of the server's own do not come along."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
    found = child_environment({**NEEDED, **OWN, **OTHERS}, keys, "http://127.0.0.1:1", BUNDLE)
    assert found == {**NEEDED, **keys, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}


def test_it_trusts_what_the_plugin_trusts() -> None:
    """Also where the server names no file, or names it by a path that only a shell expands."""
    assert child_environment({}, None, "", "/lib/cacert.pem") == {"SSL_CERT_FILE": "/lib/cacert.pem"}
    found = child_environment({"AWS_CA_BUNDLE": "~/corp.pem"}, None, "", "/home/rundeck/corp.pem")
    assert found == dict.fromkeys(("SSL_CERT_FILE", "AWS_CA_BUNDLE"), "/home/rundeck/corp.pem")
