"""The policy that denied a call, found by AWS's words.

They are from "Troubleshoot access denied error messages" of the IAM User Guide and "Troubleshoot access denied (403
Forbidden) errors" of the S3 User Guide, with S3's action or, where it decides, one of ours; and from public reports.
"""

from __future__ import annotations

import pytest

from ecs_exec.ecs.client import Refused
from ecs_exec.ecs.failures import refused
from ecs_exec.errors.causes import of
from ecs_exec.errors.causes.denials import CAUSES, action_of, recognise

MARY = "User: arn:aws:iam::123456789012:user/MaryMajor is not authorized to perform:\ns3:GetObject"
OBJECT = 'on resource: "arn:aws:s3:::amzn-s3-demo-bucket1/object-name"'
ROLE = "User: arn:aws:sts::123456789012:assumed-role/rundeck/x is not authorized to perform:"
TASK = "on resource: arn:aws:ecs:us-east-1:123456789012:task/c/0123"

SCP = "arn:aws:organizations::705927066274:policy/o-ysrrabz20z/service_control_policy/p-ddxnpgbm"
KEY = "on resource: arn:aws:kms:us-east-1:123456789012:key/x"
NO_IDENTITY = "because no identity-based policy allows the"

TEXTS = [
    (f"{MARY} because no identity-based policy allows the s3:GetObject action", "denied-not-allowed"),
    (f"{MARY} {OBJECT} with\nan explicit deny in an identity-based policy", "denied-identity"),
    (f"{MARY} because no resource-based policy allows the s3:GetObject action", "denied-resource"),
    (f"{MARY} {OBJECT} with\nan explicit deny in a resource-based policy", "denied-resource"),
    (f"{MARY} because no service control policy allows the s3:GetObject action", "denied-scp"),
    (f"{MARY} with an explicit deny in a service control policy", "denied-scp"),
    # as public reports of 2026 have it: with the ARN of the policy
    (f"{MARY} {OBJECT}\nwith an explicit deny in a service control policy:\n{SCP}", "denied-scp"),
    (f"{MARY} {OBJECT}\nwith an explicit deny in a resource control policy", "denied-rcp"),
    (f"{MARY} because no VPC endpoint policy allows the s3:GetObject action", "denied-endpoint"),
    (f"{MARY} {OBJECT} with\nan explicit deny in a VPC endpoint policy", "denied-endpoint"),
    (f"{MARY} {OBJECT}\nbecause no permissions boundary allows the s3:GetObject action", "denied-boundary"),
    (f"{MARY} with an explicit deny in a permissions boundary", "denied-boundary"),
    (f"{MARY} because no session policy allows the s3:GetObject action", "denied-session"),
    (f"{MARY} {OBJECT} with\nan explicit deny in a session policy", "denied-session"),
    (f"{ROLE} sts:AssumeRole {TASK} because no role trust policy allows the sts:AssumeRole action", "denied-trust"),
    (f"{ROLE} sts:AssumeRole on resource: arn:aws:iam::210987654321:role/ops", "denied-trust"),
    (f"{ROLE} ecs:ExecuteCommand {TASK} {NO_IDENTITY} ecs:ExecuteCommand action", "denied-exec"),
    (f"{ROLE} ecs:ExecuteCommand {TASK} with an explicit deny in an identity-based policy", "denied-identity"),
    (f"{ROLE} ecs:ExecuteCommand {TASK} with an explicit deny", "denied-explicitly"),
    (f"{ROLE} kms:GenerateDataKey {KEY} {NO_IDENTITY} kms:GenerateDataKey action", "denied-key"),
    (f"{ROLE} ecs:DescribeTasks on resource: arn:aws:ecs:us-east-1:1:task/session policy/0123", "denied-not-allowed"),
    ("Access Denied", "denied-not-allowed"),
    (f"{ROLE} ecs:ListTasks on resource: * because no permissions boundary allows the action", "denied-boundary"),
]


@pytest.mark.parametrize(("text", "name"), TEXTS)
def test_the_policy_is_named(text: str, name: str) -> None:
    """And the advice is not to grant what a further grant would not change."""
    action = action_of(text, "ecs:X")
    assert recognise(text, action) == name
    line = str(refused("ecs:X", "cluster c", "us-east-1", Refused("AccessDeniedException", text, 400)))
    assert "ecs:X failed" in line
    assert "us-east-1" in line
    assert line.endswith(f"[{name}]")
    assert action in line
    assert "AccessDeniedException" in line
    if name in {"denied-scp", "denied-rcp", "denied-boundary", "denied-session", "denied-endpoint", "denied-identity"}:
        assert "grant it to these credentials" not in line
        assert f"grant {action} to these credentials" not in line


def test_every_kind_is_tried() -> None:
    """The table has a row for each."""
    assert {name for _, name in TEXTS} == {cause.name for cause in CAUSES}
    assert of("denied-scp").cure
