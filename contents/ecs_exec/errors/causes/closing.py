"""Finds why a session ended, from the service's closing text. Does no I/O."""

from __future__ import annotations

import re

from ecs_exec.errors.causes.cause import Cause

INTRO = "The service's or the agent's text is shown as it is. If the plugin knows it, the cause follows."

CAUSES = (
    Cause(
        "session-idle",
        "no input reached the session for 20 minutes, so the service ended it",
        "look for a proxy or firewall that holds back this server's traffic",
    ),
    Cause(
        "agent-damaged",
        "the SSM agent in the container is damaged: its disk or /tmp is full, or the image is for another processor"
        " architecture",
        "look at the disk from another container of the task, and start a new task",
    ),
    Cause(
        "session-key-denied",
        "the task role is not allowed to use the cluster's KMS key",
        "grant kms:Decrypt on that key to the task role, in its policy and, if necessary, in the key policy",
        "kms:Decrypt",
    ),
    Cause(
        "session-key-failed",
        "the agent could not decrypt the session's data key",
        "check that the task role has kms:Decrypt, and that the task can reach KMS",
        "kms:Decrypt",
    ),
    Cause(
        "data-key-denied",
        "these credentials are not allowed to use the cluster's KMS key",
        "grant kms:GenerateDataKey on that key to these credentials",
        "kms:GenerateDataKey",
    ),
    Cause(
        "handshake-failed",
        "the plugin did not answer the agent's handshake in time",
        "read the lines before this one, then try again",
    ),
    Cause(
        "log-group-not-encrypted",
        "the cluster requires an encrypted log group for its session logs, and the log group is not encrypted",
        "encrypt the log group of executeCommandConfiguration, or set its cloudWatchEncryptionEnabled to false",
    ),
    Cause(
        "log-bucket-not-encrypted",
        "the cluster requires an encrypted bucket for its session logs, and the bucket is not encrypted",
        "encrypt the bucket of executeCommandConfiguration, or set its s3EncryptionEnabled to false",
    ),
    Cause(
        "session-logs-denied",
        "the cluster logs sessions (executeCommandConfiguration), and the task role is not allowed to write there",
        "grant it logs:DescribeLogGroups, CreateLogStream, DescribeLogStreams and PutLogEvents, or s3:PutObject and"
        " GetEncryptionConfiguration",
        "logs:CreateLogStream",
    ),
)

_BY_NAME = {cause.name: cause for cause in CAUSES}

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("session-idle", r"timed out due to inactivity"),
    ("agent-damaged", r"Plugin with name .* not found"),
    ("session-key-denied", r"Fetching data key failed.*(?:AccessDenied|not authorized)"),
    ("session-key-failed", r"Fetching data key failed"),
    ("data-key-denied", r"KMSEncryption failed on client"),
    ("handshake-failed", r"(?i)handshake timed out|random challenge"),
    ("log-group-not-encrypted", r"encryption is not set up on the selected CloudWatch Logs log group"),
    ("log-bucket-not-encrypted", r"encryption is not set up on the selected Amazon S3 bucket"),
    (
        "session-logs-denied",
        r"(?i)(?:log group|cloudwatch|s3 bucket|bucket).*(?:AccessDenied|not authorized|not found|does not exist)",
    ),
)
"""Patterns of closing texts; the first match counts."""


def find(text: str) -> Cause | None:
    """Return the cause for a closing text, None if it is unknown."""
    name = next((name for name, pattern in _PATTERNS if re.search(pattern, text, re.DOTALL)), "")
    return _BY_NAME[name] if name else None
