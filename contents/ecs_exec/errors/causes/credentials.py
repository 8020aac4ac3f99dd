"""Causes of missing or unusable AWS credentials. Does no I/O.

botocore's errors are recognised by the names of their classes, because only `ecs.api` imports botocore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ecs_exec.errors.causes.cause import Cause

INTRO = (
    "All sources of credentials together must answer within `connect-timeout`. The plugin never prompts. It ends every"
    " program that it started for credentials."
)

OTHER_SOURCES = (
    "give the Rundeck server a role, or set access-key-id and secret-access-key, or profile (option values: only"
    " profile)"
)

CAUSES = (
    Cause(
        "metadata-silent",
        "no AWS credentials: the EC2 instance's metadata service gave no token; in a container its hop limit of 1 is"
        " the usual cause",
        "raise the limit (aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2), or set keys or a"
        " profile",
    ),
    Cause(
        "instance-without-role",
        "no AWS credentials: the EC2 instance has no role",
        "attach an instance profile to it, or set keys or a profile",
    ),
    Cause(
        "mfa-required",
        "{source} asks for an MFA code (mfa_serial), and a server cannot enter one",
        "use a profile without mfa_serial, and a role whose trust policy does not require MFA",
    ),
    Cause(
        "login-expired",
        "{source} has expired or was never made, and a server cannot log in",
        "run `aws sso login` or `aws login` for it as the user that runs Rundeck; a role is better, because a login"
        " ends after hours",
    ),
    Cause(
        "credentials-late",
        "{source} gave no credentials within {seconds} s",
        "check that source as the user that runs Rundeck, or raise connect-timeout",
    ),
    Cause(
        "credential-process-failed",
        "credential_process failed: {program} {how}",
        "run the program as the user that runs Rundeck, without a terminal, and correct it",
    ),
    Cause(
        "credential-process-output",
        "credential_process: {program} printed no JSON with credentials ({why})",
        "it must print one object with Version 1, AccessKeyId and SecretAccessKey, and nothing else",
    ),
    Cause(
        "credentials-stale",
        "{source} gave credentials that have expired already; this server's clock says {now}",
        "set the clock of this server if it is ahead (timedatectl, chronyc tracking); otherwise check that source",
    ),
    Cause(
        "credentials-unreadable",
        "{source} cannot be read: {path}: {why}",
        "let the user that runs Rundeck read the file; in Kubernetes check the mounted service account and fsGroup",
    ),
    Cause(
        "credentials-incomplete",
        "{source} has only a part of the credentials",
        "set the access key ID and the secret access key together, in the same place",
    ),
    Cause(
        "profile-not-found",
        "the AWS configuration has no profile {profile}",
        "check profile and AWS_PROFILE, and the AWS configuration of the user that runs Rundeck (aws configure"
        " list-profiles)",
    ),
    Cause(
        "aws-configuration-broken",
        "the AWS configuration file {path} cannot be parsed",
        "correct it; `aws configure list` as the user that runs Rundeck shows the line",
    ),
    Cause("credentials-failed", "{source} gave no credentials", "check that source; or " + OTHER_SOURCES),
)

_SOURCES = {
    "env": "the environment",
    "assume-role": "the role of profile {profile}",
    "assume-role-with-web-identity": "the web identity token (AWS_WEB_IDENTITY_TOKEN_FILE)",
    "sso": "the SSO login of profile {profile}",
    "shared-credentials-file": "the credentials file",
    "login": "the login of profile {profile}",
    "custom-process": "credential_process of profile {profile}",
    "config-file": "the AWS configuration file",
    "container-role": "the role of the task or pod (AWS_CONTAINER_CREDENTIALS)",
    "iam-role": "the role of the EC2 instance",
}

_BY_CLASS = {
    "LoginError": "login-expired",
    "SSOError": "login-expired",
    "TokenRetrievalError": "login-expired",
    "UnknownTokenProviderError": "login-expired",
    "RefreshWithMFAUnsupportedError": "mfa-required",
    "MfaRequired": "mfa-required",
    "PartialCredentialsError": "credentials-incomplete",
    "ProfileNotFound": "profile-not-found",
    "ConfigParseError": "aws-configuration-broken",
}


def source(method: str, profile: str) -> str:
    """Return the name of a source of botocore's credential chain, for an operator."""
    return _SOURCES.get(method, "the AWS configuration").format(profile=profile or "default")


def recognise(classes: Sequence[str], text: str) -> str:
    """Return the name of the cause of a botocore error, from the names of its classes and its text."""
    for name in classes:
        if name in _BY_CLASS:
            return _BY_CLASS[name]
    if "RuntimeError" in classes and "still expired" in text:
        return "credentials-stale"
    return "credentials-failed"


def of_metadata(exchanges: Sequence[tuple[str, str]]) -> str:
    """Return the cause of missing credentials after these requests to the metadata service of EC2.

    Each request is an HTTP method, with the status of the answer or the name of an error. If the hop limit is too low,
    the connection succeeds, but no token arrives. If there is no metadata service, the connection fails.
    """
    if ("PUT", "ReadTimeoutError") in exchanges:
        return "metadata-silent"
    return (
        "instance-without-role"
        if ("GET", "404") in exchanges and ("PUT", "200") in exchanges
        else "credentials-missing"
    )


def fields_of(error: Exception) -> Mapping[str, Any]:
    """Return the fields of a botocore error that the sentences above need."""
    known = getattr(error, "kwargs", {})
    return {name: str(known[name]) for name in ("profile", "path") if isinstance(known, dict) and name in known}
