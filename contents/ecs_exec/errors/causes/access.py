"""Causes in permissions, in the route to SSM, and in session logs. Does no I/O."""

from __future__ import annotations

from ecs_exec.errors.causes.cause import Cause

INTRO = (
    "*Check Exec Readiness* shows these as warnings. IAM's simulator does not know every policy, so a warning can be"
    " wrong; the command at the end of the step is the proof."
)

CAUSES = (
    Cause(
        "caller-lacks-permission",
        "these credentials lack a permission that sessions need",
        "grant these credentials the actions that the line names",
        "ecs:ExecuteCommand",
    ),
    Cause(
        "caller-lacks-channel",
        "these credentials lack ssmmessages:OpenDataChannel, and AWS may refuse the signed data channel",
        "grant it on the session (arn:aws:ssm:*:*:session/*)",
        "ssmmessages:OpenDataChannel",
    ),
    Cause(
        "caller-lacks-resume",
        "these credentials cannot resume a broken session, or cannot end one",
        "grant ssm:ResumeSession and ssm:TerminateSession",
        "ssm:ResumeSession",
    ),
    Cause(
        "start-session-allowed",
        "these credentials can open sessions with ssm:StartSession, which the cluster's logs do not record",
        "deny ssm:StartSession on tasks",
    ),
    Cause(
        "task-role-lacks-permission",
        "the task role lacks a permission that the SSM agent needs",
        "grant the task role the actions that the line names",
        "ssmmessages:CreateControlChannel",
    ),
    Cause(
        "endpoint-missing",
        "the VPC has endpoints, but none for ssmmessages",
        "add it, unless the task has a NAT gateway or a public IP address",
    ),
    Cause("endpoint-not-ready", "the VPC endpoint for ssmmessages is not available", "wait, or create it again"),
    Cause(
        "endpoint-without-dns",
        "the VPC endpoint for ssmmessages has no private DNS name",
        "enable private DNS names for it",
    ),
    Cause(
        "init-process-missing",
        "the container has no init process, so ended sessions may leave zombies",
        "set linuxParameters.initProcessEnabled to true in the task definition",
    ),
    Cause(
        "logs-without-place",
        "the cluster logs sessions (OVERRIDE), but names neither a bucket nor a log group",
        "name one in executeCommandConfiguration, or set logging to DEFAULT",
    ),
)
