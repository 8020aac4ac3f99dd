"""Finds which policy denied a call, from AWS's words, and so what helps. Does no I/O.

The IAM User Guide documents the words in "Troubleshoot access denied error messages": an implicit denial ends with
"because no <type> policy allows the <action> action", an explicit one with "with an explicit deny in a <type> policy",
and since 2025 with the policy's ARN after it. Older services say "with an explicit deny" without the type.
"""

from __future__ import annotations

import re

from ecs_exec.errors.causes.cause import Cause

INTRO = "AWS's own words, at the end of the line, name the caller, the action and the resource."

CAUSES = (
    Cause(
        "denied-not-allowed",
        "no policy allows {action}",
        "grant {action} to these credentials",
    ),
    Cause(
        "denied-identity",
        "a policy of these credentials denies {action} explicitly",
        "remove or narrow the Deny statement: another Allow does not help",
    ),
    Cause(
        "denied-explicitly",
        "a policy denies {action} explicitly",
        "look for the Deny statement in the policies of these credentials, of the resource and of the organization:"
        " another Allow does not help",
    ),
    Cause(
        "denied-scp",
        "a service control policy (SCP) does not allow {action}",
        "ask the administrators of the AWS organization to allow {action} there: a policy in this account cannot allow"
        " it",
    ),
    Cause(
        "denied-rcp",
        "a resource control policy (RCP) does not allow {action}",
        "ask the administrators of the AWS organization to allow {action} there: a policy in this account cannot allow"
        " it",
    ),
    Cause(
        "denied-boundary",
        "the permissions boundary of these credentials does not allow {action}",
        "allow {action} in the boundary of the user or role, too",
    ),
    Cause(
        "denied-session",
        "the session policy of these credentials does not allow {action}",
        "allow {action} in that policy, or assume the role without a session policy",
    ),
    Cause(
        "denied-endpoint",
        "the policy of the VPC endpoint does not allow {action}",
        "allow {action} in the policy of the VPC endpoint that this server calls AWS through",
    ),
    Cause(
        "denied-resource",
        "the policy of the resource does not allow {action}",
        "change the policy of the resource (a KMS key, a role's trust policy); if it is in another account, both must"
        " allow {action}",
    ),
    Cause(
        "denied-trust",
        "these credentials are not allowed to assume the role",
        "grant {action} to these credentials, and name them (and the external ID) in the role's trust policy",
    ),
    Cause(
        "denied-exec",
        "no policy allows {action} on this cluster or task",
        "grant {action} to these credentials, and check the policy's conditions (ecs:cluster, ecs:container-name,"
        " ecs:task, resource tags)",
    ),
    Cause(
        "denied-key",
        "no policy allows {action} on the key",
        "grant {action} on that key to these credentials, in their policy and, if necessary, in the key policy",
    ),
)

_TYPES = (
    (r"service control polic", "denied-scp"),
    (r"resource control polic", "denied-rcp"),
    (r"permissions boundar", "denied-boundary"),
    (r"session polic", "denied-session"),
    (r"VPC endpoint polic", "denied-endpoint"),
    (r"role trust polic", "denied-trust"),
    (r"resource-based polic", "denied-resource"),
)
_REASON = re.compile(r"(because no .* allows?\b|with an explicit deny in an? .*|explicit deny\b.*)", re.DOTALL)


def action_of(text: str, action: str) -> str:
    """Return the denied action. It may differ from `action`: ECS calls STS, SSM and KMS itself."""
    named = re.search(r"not authorized to perform:\s+(\S+)", text)
    return named[1] if named else action


def recognise(text: str, action: str) -> str:
    """Return the name of the cause from AWS's words; `action` is the denied action."""
    found = _REASON.search(" ".join(text.split()))
    reason = found[0] if found else ""
    for pattern, name in _TYPES:
        if re.search(pattern, reason, re.IGNORECASE):
            return name
    if "explicit deny" in reason:
        return "denied-identity" if "identity-based polic" in reason else "denied-explicitly"
    if action == "ecs:ExecuteCommand":
        return "denied-exec"
    if action.startswith("sts:AssumeRole"):
        return "denied-trust"
    return "denied-key" if action.startswith("kms:") else "denied-not-allowed"
