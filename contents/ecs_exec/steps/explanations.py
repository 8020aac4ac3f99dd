"""What the reasons of stopped tasks mean, and what to do about them. Pure.

The texts are those of the ECS agent and of Fargate, as the ECS Developer Guide lists them under "stopped task errors".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Explanation(NamedTuple):
    """What went wrong, and what to do; each without a full stop."""

    cause: str
    cure: str


_REGISTRY = (
    "the route to the registry: a NAT gateway or a public IP address, or VPC endpoints for ecr.api, ecr.dkr and S3,"
    " and security groups that let port 443 through"
)
_SECRETS_ROUTE = "VPC endpoints or a NAT gateway for Secrets Manager, SSM, KMS and ECR, and their security groups"

_KNOWN: tuple[tuple[str, Explanation], ...] = (
    # --- CannotPullContainerError, the narrow ones first
    (
        r"toomanyrequests|pull rate limit",
        Explanation(
            "the registry limits pulls (Docker Hub does so by address)",
            "pull as a logged-in user (repositoryCredentials), or through an ECR pull-through cache",
        ),
    ),
    (
        r"CannotPull.*(no match for platform|exec format|does not match the specified platform|image operating system)",
        Explanation(
            "the image was not built for this processor or operating system",
            "build it for the task's platform (docker buildx --platform), or set runtimePlatform.cpuArchitecture",
        ),
    ),
    (
        r"CannotPull.*(not found|manifest unknown|does not exist|repository .* not)",
        Explanation(
            "the image or its tag is not in the registry",
            "check the image's name, tag, account and region in the task definition, and the repository's lifecycle"
            " rules; push the image again",
        ),
    ),
    (
        r"CannotPull.*no space left|no space left on device",
        Explanation(
            "the disk is full", "raise ephemeralStorage (Fargate), or clean up or enlarge the instance's disk (EC2)"
        ),
    ),
    (
        r"CannotPull.*(403|denied|not authorized|no basic auth|unauthorized|access forbidden)",
        Explanation(
            "the registry refused the pull",
            "give the task execution role ecr:GetAuthorizationToken, ecr:BatchCheckLayerAvailability,"
            " ecr:GetDownloadUrlForLayer and ecr:BatchGetImage, and look at the repository's policy",
        ),
    ),
    (
        r"CannotPull.*(timeout|timed out|i/o|connection|no such host|EOF|dial tcp|awaiting headers|canceled)",
        Explanation("the registry could not be reached", f"check {_REGISTRY}"),
    ),
    (
        r"CannotPull",
        Explanation(
            "the image could not be pulled", f"check its name and tag, the task execution role, and {_REGISTRY}"
        ),
    ),
    # --- ResourceInitializationError
    (
        r"ResourceInitialization.*(AccessDenied|not authorized|access denied)",
        Explanation(
            "the task execution role may not read what the task needs before it starts",
            "grant it secretsmanager:GetSecretValue or ssm:GetParameters (and kms:Decrypt) on the secrets that the task"
            " definition names, ecr:GetAuthorizationToken for images",
        ),
    ),
    (
        r"ResourceInitialization.*(log driver|log group|log stream|logger|awslogs|cloudwatch)",
        Explanation(
            "the log driver could not start",
            "create the log group (or set awslogs-create-group), give the task execution role logs:CreateLogStream and"
            " logs:PutLogEvents, and give the subnet a route to CloudWatch Logs",
        ),
    ),
    (
        r"ResourceInitialization.*(ResourceNotFound|invalid ssm parameters|can't find the specified secret)",
        Explanation(
            "a secret or parameter that the task definition names does not exist",
            "check the ARNs under secrets in the task definition, and their region",
        ),
    ),
    (
        r"ResourceInitialization.*(EFS|mount)",
        Explanation(
            "the EFS file system could not be mounted",
            "check its mount targets in the task's zones, port 2049 in the security groups, DNS in the VPC, and the"
            " task role's elasticfilesystem permissions",
        ),
    ),
    (
        r"ResourceInitialization.*(secret|registry auth|asm|ssm|parameter)",
        Explanation("secrets or the registry's login could not be fetched", f"check {_SECRETS_ROUTE}"),
    ),
    (
        r"ResourceInitialization.*(network interface|ENI|subnet)|Timeout waiting for network interface",
        Explanation(
            "the network interface could not be made",
            "check that the subnet has free addresses and the account's limit of network interfaces",
        ),
    ),
    (
        r"ResourceInitialization",
        Explanation("what the task needs before it starts could not be set up", f"check {_SECRETS_ROUTE}"),
    ),
    # --- Containers
    (
        r"OutOfMemory",
        Explanation(
            "the container used more memory than it may",
            "raise memory in the task definition, or find what grows: a leak, or a heap limit above the container's",
        ),
    ),
    (
        r"CannotStart.*(executable file not found|no such file|exec: )",
        Explanation(
            "the container's program is not in the image", "check command and entryPoint in the task definition"
        ),
    ),
    (
        r"CannotStart.*(port is already allocated|address already in use)",
        Explanation(
            "another container on the instance has the host port",
            "use host port 0 (dynamic ports) or network mode awsvpc",
        ),
    ),
    (
        r"CannotStart",
        Explanation(
            "the container could not be started",
            "check command, entryPoint, user, memory and mounts in the task definition",
        ),
    ),
    (
        r"CannotCreateVolume",
        Explanation("a volume could not be made", "check the volumes in the task definition and their driver"),
    ),
    (
        r"CannotCreateContainer",
        Explanation(
            "Docker refused to make the container",
            "check mounts, user, capabilities and links in the task definition, and the instance's disk",
        ),
    ),
    (
        r"CannotInspectContainer|DockerTimeout|DockerStateError|CannotStopContainer",
        Explanation(
            "Docker on the instance does not answer in time", "look at the instance's load and disk, or replace it"
        ),
    ),
    # --- The task
    (
        r"failed ELB health checks|failed elb health|unhealthy in (\(?target-?group|\(?elb)",
        Explanation(
            "the load balancer's health check failed",
            "check the path, port and expected codes of the target group, the security groups from the load balancer"
            " to the task, and healthCheckGracePeriodSeconds",
        ),
    ),
    (
        r"failed container health checks",
        Explanation(
            "the container's own health check failed",
            "run its command in the container, and look at interval, timeout, retries and startPeriod",
        ),
    ),
    (
        r"Scaling activity initiated|deployment ecs-svc",
        Explanation(
            "the service's scheduler stopped it: a deployment, or fewer tasks wanted",
            "nothing to do if that was intended; else look at the service's events",
        ),
    ),
    (
        r"circuit breaker",
        Explanation(
            "the deployment was given up after repeated failures", "look at the reasons of the tasks that failed first"
        ),
    ),
    (
        r"Spot|interrupted due to a capacity|rebalance",
        Explanation(
            "AWS took the Spot capacity back",
            "let the program end on SIGTERM in time, or put tasks on other capacity providers too",
        ),
    ),
    (
        r"retirement|host is being|maintenance|Host EC2 .*(terminated|stopped)|instance .*(terminated|stopped|drain)",
        Explanation(
            "the host went away: maintenance, replacement or termination",
            "nothing to do if a new task runs; else check the capacity of the cluster",
        ),
    ),
    (
        r"Capacity is unavailable|RESOURCE:(MEMORY|CPU|ENI|PORTS)|insufficient",
        Explanation(
            "there is no capacity for the task",
            "try again later or in other zones; on EC2 add instances or ask for less cpu and memory",
        ),
    ),
    (
        r"unable to assume the (service linked )?role|ECS was unable to assume",
        Explanation(
            "ECS may not assume the task's role",
            "let the trust policies of task role and execution role name ecs-tasks.amazonaws.com",
        ),
    ),
    (
        r"Task failed to start|TaskFailedToStart",
        Explanation("the task did not start", "look at the reasons of its containers and at the service's events"),
    ),
)

_WAS_TOLD = frozenset({"UserInitiated", "ServiceSchedulerInitiated", "SpotInterruption", "TerminationNotice"})
"""Stop codes of tasks that were told to stop: what their containers end with says little."""

_EXIT_CODES = {
    126: Explanation("a file that should be executed cannot be", "check its mode, its format and its first line"),
    127: Explanation(
        "a program was not found", "check command and entryPoint in the task definition, and what the image holds"
    ),
    134: Explanation("the program aborted itself (SIGABRT)", "look at its log"),
    137: Explanation(
        "the container was killed (SIGKILL), most often for want of memory",
        "compare the memory it used with its limit; or it did not end within stopTimeout",
    ),
    139: Explanation("the program crashed (SIGSEGV)", "look at its log, and for a library of another architecture"),
    143: Explanation("the container ended as it was told to (SIGTERM)", "look for what stopped it"),
}


def explain(task: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> tuple[Explanation, ...]:
    """Return what a stopped task's reasons mean, each cause once; empty where none is known.

    `task` and `containers` are as ecs:DescribeTasks gives them. Exit codes are explained only where no reason is.
    """
    ended = list(containers)
    texts = [str(item.get("reason") or "") for item in ended] + [str(task.get("stoppedReason") or "")]
    found = [known for text in texts if text and (known := _known(text))]
    if not found and task.get("stopCode") not in _WAS_TOLD:
        codes = [item.get("exitCode") for item in ended]
        found = [_EXIT_CODES[code] for code in codes if code in _EXIT_CODES]
        found += [_program(code) for code in codes if code and code not in _EXIT_CODES]
    return tuple(dict.fromkeys(found))


def _known(text: str) -> Explanation | None:
    return next((known for pattern, known in _KNOWN if re.search(pattern, text, re.IGNORECASE | re.DOTALL)), None)


def _program(code: int) -> Explanation:
    return Explanation(f"the program itself ended with exit code {code}", "look at its log")
