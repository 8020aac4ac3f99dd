r"""Finds the name of a cause in the reason of a stopped task. Does no I/O.

A reason is a chain of errors, the outer ones first: `CannotStartContainerError: ResourceInitializationError: ...`.
The outer errors say where it happened, the innermost says what happened, so the rightmost symptom decides. Some
symptoms, like a timeout, have a cause only together with a place: the nearest place before the symptom counts. If no
rule matches, there is no cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from ecs_exec.errors.causes.cause import Cause
from ecs_exec.errors.causes.stopped_tasks import EXIT, EXITS, SECTIONS

# --- Symptoms that are clear without a place

_CLEAR: tuple[tuple[str, str], ...] = (
    # Images
    ("image-rate-limit", r"toomanyrequests\b.*|\bpull rate limit\b|\b429 Too Many Requests"),
    (
        "image-platform",
        (
            r"does not contain descriptor matching platform(?:[^;]{0,200}\bnot found)?"
            r"|no match for (?:current )?platform\b(?:[^;]{0,200}\bnot found)?"
            r"|no matching manifest for \S+(?:[^;]{0,200}\bnot found)?"
            r"|image operating system \S+ cannot be used on this platform"
            r"|a Windows version \S+-based image is incompatible with a \S+ host"
            r"|container operating system does not match the host operating system"
        ),
    ),
    (
        "image-not-found-or-private",
        (
            r"repository does not exist or may require 'docker login'(?:: denied: requested access to the resource is"
            r" denied)?|requested access to the resource is denied"
            r"|repository does not exist or may require authorization(?:: server message: insufficient_scope:"
            r" authorization failed)?|not found: does not exist or no pull access"
            r"|failed to fetch anonymous token: unexpected status.{0,300}?\b(?:401 Unauthorized|403 Forbidden|denied)"
        ),
    ),
    (
        "registry-login-wrong",
        r"incorrect username or password|failed to fetch oauth token: unexpected status.{0,300}?\b401 Unauthorized",
    ),
    ("image-pull-denied", r"Check that the role has the permissions to pull images from the registry"),
    ("image-name-invalid", r"invalid reference format|failed to normalize image reference"),
    ("registry-unreachable", r"Could not reach any registry endpoint"),
    ("disk-full", r"no space left on device|free data blocks which is less than minimum required"),
    # Secrets
    ("secret-key-missing", r"did not contain json key\b"),
    ("secret-not-json", r"invalid character .{1,8} (?:looking for beginning of|after top-level value|in literal)"),
    ("secret-without-value", r"can't find the specified secret value for (?:staging label|VersionId)"),
    ("secret-deleted", r"perform this operation on the secret because it was marked for deletion"),
    (
        "secret-missing",
        r"Secrets Manager can't find the specified secret\b(?! value)|can't retrieve the secret with ARN",
    ),
    ("secret-arn-invalid", r"invalid ARN format for the AWS Secrets Manager secret|SSM parameter:\S+ is in an invalid"),
    ("parameter-missing", r"invalid (?:ssm )?parameters: "),
    (
        "kms-denied",
        (
            r"Access to KMS is not allowed|ciphertext refers to a customer master key that does not exist"
            r"(?:, does not exist in this region)?(?:, or you are not allowed to access)?"
        ),
    ),
    # Logs
    ("log-group-missing", r"specified log group does not exist"),
    ("log-stream-missing", r"specified log stream does not exist"),
    ("logs-region-wrong", r"MissingEndpoint: 'Endpoint' configuration is required"),
    ("log-option-unknown", r"unknown log opt '[^']*'"),
    ("log-driver-missing", r"no log driver named '?[\w-]+'? is registered|journald is not enabled on this host"),
    (
        "log-option-missing",
        (
            r"unable to get \w+ driver arguments: \S+ is required|must specify a value for log opt '[^']*'"
            r"|logging driver specified of container \S+, but no log configuration specified"
        ),
    ),
    ("logs-no-credentials", r"CredentialsEndpointError: failed to load credentials.*"),
    ("log-driver-unreachable", r"Unix syslog delivery error"),
    # Volumes
    ("efs-denied", r"mount\.nfs4: access denied by server"),
    ("efs-root-missing", r"reason given by server: No such file or directory"),
    ("efs-dns", r"Failed to resolve (?:server )?\"?(?:[\w-]+\.)?fs-\w+"),
    ("efs-access-point-missing", r"\baccess ?point \S+ (?:was )?(?:not found|does not exist)"),
    ("efs-tls", r"Failed to initialize TLS tunnel"),
    (
        "volume-driver-missing",
        r"volume plugin \"?\S+?\"?: (?:Plugin\.Activate: )?(?:legacy )?plugin \"?[^\"]+\"? not found",
    ),
    ("mount-source-missing", r"bind source path does not exist"),
    (
        "mount-kind-mismatch",
        r"mount a directory onto a file \(or vice-versa\)|error mounting \S+ to rootfs at .{0,400}?: not a directory",
    ),
    ("volume-owner-refused", r"failed to chown [^:]+: (?:lchown [^:]+: )?operation not permitted"),
    ("ebs-role-not-assumable", r"ECS was unable to assume the configured ECS Infrastructure Role\b"),
    ("ebs-key-unusable", r"ECS failed to set up the EBS volume. Encountered IdempotentParameterMismatch.*"),
    ("ebs-timeout", r"ECS timed out while configuring the EBS volume attachment"),
    ("ephemeral-storage-timeout", r"Timeout waiting for EphemeralStorage provisioning"),
    # Networks
    (
        "subnet-full",
        (
            r"InsufficientFreeAddressesInSubnet|(?:not have enough|insufficient) free (?:IP )?addresses"
            r"|Create Network Interface with public IP assignment enabled in subnet '[^']*'?\.?\s*\Z"
        ),
    ),
    ("eni-limit", r"NetworkInterfaceLimitExceeded"),
    ("eni-timeout", r"Timeout wait(?:ing)? for network interface provision"),
    (
        "eni-attach-failed",
        (
            r"attempting to attach network interface to instance|unable to get device with hardware address"
            r"|netplugin failed with no error message|Unable to attach network interface to unused device index"
        ),
    ),
    (
        "eni-denied",
        r"attempting to Create Network Interface.*\b(?:AuthFailure|UnauthorizedOperation|to perform: ec2:\w+)",
    ),
    ("eni-tag-policy", r"TagPolicyViolation"),
    ("subnet-missing", r"InvalidSubnetI[Dd]\.NotFound"),
    ("security-group-missing", r"Invalid(?:Group|SecurityGroupI[Dd])\.NotFound"),
    ("port-in-use", r"port is already allocated|address already in use|already using a port required"),
    ("service-connect-network", r"failed to resolve container IP for SC bridge mode pause container"),
    # Programs
    (
        "command-not-found",
        (
            r"executable file not found in\b"
            r"|exec: (?:[\\]*\"[^\"]*\"|\S+): stat [^:]*: no such file or direct"
            r"|exec: (?:[\\]*\"[^\"]*\"|\S+): stat \S+?\.\.\.no such file or direct"
            r"|exec: (?:[\\]*\"[^\"]*\"|\S+): no such file or direct"
            r"|System::CreateProcess:? .{0,120}?The system cannot find the (?:file|path) specified"
        ),
    ),
    (
        "command-not-executable",
        (
            r"exec:? (?:[\\]*\"[^\"]*\"|\S+): (?:permission denied|is a directory)"
            r"|exec user process caused:? [\\\"]*permission denied"
        ),
    ),
    ("exec-format", r"exec format error"),
    (
        "interpreter-missing",
        r"exec user process caused:? [\\\"]*no such file or direct|\bexec /\S+: no such file or direct",
    ),
    (
        "user-not-found",
        r"no matching entries in (?:passwd|group) file|mount callback failed on \S+: no (?:users|groups) found",
    ),
    (
        "workdir-unusable",
        (
            r"chdir to cwd \([^)]*\) set in config\.json failed"
            r"(?:: (?:no such file or direct|permission denied|not a direct))?"
            r"|cannot mkdir: \S+ is not a directory"
        ),
    ),
    (
        "image-broken",
        r"mismatched image rootfs and manifest layers|number of layers and diffIDs don't match(?:: \d+ != \d+)?",
    ),
    ("image-broken", r"mount callback failed on \S+: open \S+/etc/(?:passwd|group): no such file or direct"),
    ("out-of-memory", r"OutOfMemoryError: Container killed due to memory usage"),
    ("out-of-memory-at-start", r"container init was OOM-killed|Minimum memory limit allowed is \d+ ?MB"),
    (
        "gpu-unavailable",
        (
            r"nvidia-container-cli: |unknown (?:or invalid )?runtime (?:specified|name:?) nvidia"
            r"|could not select device driver \"\w*\" with capabilities: \[+[^\]]*\bgpu\b"
        ),
    ),
    ("device-missing", r"gathering device information while adding custom device \"[^\"]*\": no such file or direct"),
    ("docker-timeout", r"Could not tran\w+ to \w+(?:; timed out after waiting \w+)?"),
    ("dependency-failed", r"failed to resolve the container ordering dependency"),
    # Capacity and hosts
    ("fargate-capacity", r"Capacity is unavailable at this time"),
    (
        "fargate-quota",
        (
            r"reached the limit on the number of (?:vCPUs|tasks) (?:that )?you can run concurrently"
            r"|requested (?:CPU|MEMORY) configuration is above your limit"
        ),
    ),
    ("instance-quota", r"\b(?:MaxSpotInstanceCountExceeded|VcpuLimitExceeded|InstanceLimitExceeded)\b"),
    ("instances-unavailable", r"\b(?:UnfulfillableCapacity|InsufficientInstanceCapacity)\b"),
    (
        "capacity-provider-denied",
        r"Unable to launch instance\(s\) for capacity provider.*not authorized to perform: (?:iam|ec2):\w+",
    ),
    ("placement-constraint", r"\b(?:MemberOf|DistinctInstance) placement constraint unsatisfied"),
    (
        "no-capacity",
        (
            r"\bRESOURCE:(?:CPU|MEMORY|ENI|GPU|PORTS?(?:_TCP|_UDP)?)\b"
            r"|doesn't have (?:enough|sufficient) (?:CPU|memory|GPU)\b|has insufficient (?:CPU units|memory|GPU)\b"
            r"|maximum allowed reserved port limit"
        ),
    ),
    (
        "no-instances",
        (
            r"No Container Instances were found in your (?:cluster|capacity provider)"
            r"|(?:\A|: )(?:EMPTY CAPACITY PROVIDER|NO ACTIVE INSTANCES)\Z"
        ),
    ),
    ("instance-attribute-missing", r"is missing an attribute required by your task|(?:\A|: )ATTRIBUTE\Z"),
    (
        "agent-disconnected",
        (
            r"doesn't have the agent connected|encountered error \"AGENT\"|(?:\A|: )AGENT\Z"
            r"|Timed out waiting for Amazon ECS Agent to start"
        ),
    ),
    ("spot-interrupted", r"Your Spot Task was interrupted"),
    ("fargate-maintenance", r"ECS is performing maintenance on the underlying infrastructure"),
    (
        "host-gone",
        r"Host EC2 \(instance [^)]*\) (?:stopped|terminated)|Container instance deregistration forced by user",
    ),
    ("instance-draining", r"container instance is in DRAINING state"),
    # Services
    ("elb-health-check", r"Task failed ELB health checks|is unhealthy in \(?(?:target-group|elb)\b"),
    ("elb-zone-disabled", r"Target is in an Availability Zone that is not enabled for the load balancer"),
    ("target-missing", r"is not healthy in target-group \S+ due to TARGET (?:GROUP )?IS NOT FOUND"),
    ("container-health-check", r"Task failed container health checks"),
    ("service-scaled", r"Scaling activity initiated by \(deployment\b"),
    ("deployment-failed", r"deployment failed: tasks failed to start|Deployment Circuit Breaker was triggered"),
    ("role-not-assumable", r"ECS was unable to assume the role\b"),
    ("service-role-missing", r"unable to assume the service[- ]linked role"),
    (
        "execution-role-missing",
        (
            r"execution role credentials not available|unable to find execution role credentials"
            r"|to have execution role ARN\b"
        ),
    ),
    ("launch-type-mismatch", r"selected task definition is not compatible with the selected compute strategy"),
)

# --- Words that look like a symptom, but mean something else without a known cause

_MISLEADING = (
    # The kernel has no control groups or inotify watches left; the disk is not full.
    r"/sys/fs/cgroup\S*: no space left on device|(?:inotify|fsnotify)\w*[^;]{0,80}?: no space left on device"
)

# --- Symptoms whose cause depends on the place

_PLACES: tuple[tuple[str, str], ...] = (
    (
        "image",
        (
            r"CannotPull\w*Error\b|pull image manifest\b|inspect image has been retried|ref pull has been retried"
            r"|failed to resolve ref|cannot pull \S+ from the|can.t pull the image|pulling image\b"
            r"|\becr registry auth\b|registry auth from Amazon ECR|\bapi\.ecr\.|\.dkr\.ecr\.|Failed to pull image\b"
        ),
    ),
    (
        "registry",
        (
            r"https?://(?![\w.-]*(?:\.dkr\.ecr\.|\bapi\.ecr\.))[\w.:-]+/(?:v[12]/|token\b)|\bdocker\.io/|\bghcr\.io/"
            r"|\bquay\.io/|\bgcr\.io/|\.pkg\.dev/|\.azurecr\.io/|\bpublic\.ecr\.aws/|\bmcr\.microsoft\.com/"
        ),
    ),
    (
        "secret",
        (
            r"\bfrom asm\b|\basm fetching secret\b|AWS Secrets Manager\b|from secrets manager\b|:secretsmanager:"
            r"|\bsecretsmanager\."
        ),
    ),
    ("parameter", r"\bfrom ssm\b|AWS Systems Manager\b|SSM Parameter Store|\bssm\.[\w-]+\.amazonaws"),
    ("cloudwatch", r"Cloudwatch logs?\b|Amazon CloudWatch\b|logger args\b|\bawslogs\b|\blogs\.[\w-]+\.amazonaws"),
    ("driver", r"failed to initialize logging driver"),
    ("efs", r"\bEFS utils commands\b|\bmount\.nfs4\b"),
    ("file", r"\bdownload env files?\b|\benv file with key\b|\benvironment ?files?\b"),
)

_VAGUE: tuple[tuple[str, str], ...] = (
    (
        "unreachable",
        (
            r"\bi/o time\w*|\bconnection timed out|\bcontext deadl\w*(?: exceeded)?|\brequest canceled\b"
            r"|\bRequestCanceled\b|\bconnection refused|\bconnection reset by peer|\bno such host|\bno route to host"
            r"|\bnetwork is unreachable|\bTLS handshake timeout|\bconnection issue\b|\bCheck your (?:task )?network"
            r"|\bsend request failed|\bdial unix \S+ connect: no such file or directory|\bsignal: killed"
            r"|\bfailed due to timeout|\bexceeded maximum number of attempts|\brequest send failed"
            r"|\b(?:wsarecv|connectex): (?:An existing connection was forcibly closed|A connection attempt failed|No"
            r" connection could be made)"
        ),
    ),
    (
        "denied",
        (
            r"\bnot authorized to perform|\b403\b(?: Forbidden)?|\bunauthorized\b|\bPermissionDenied\b"
            r"|\bdenied: (?:denied|permission_denied)\b"
            r"|\bno basic auth credentials|\bpull access denied\b|\baccess forbidden|\bAccess Denied\b"
        ),
    ),
    (
        "missing",
        (
            r"\bResourceNotFoundException\b|\bnot found\b|\bmanifest unknown\b|\bNoSuchKey\b|\bdoes not exist\b"
            r"|\bNoSuchBucket\b"
        ),
    ),
    ("denied-by-aws", r"\bAccessDenied(?:Exception)?\b"),
    ("throttled", r"\bThrottlingException\b|\bRate exceeded\b"),
    ("untrusted", r"\bx509: certificate\b"),
    ("no-credentials", r"\bNoCredentialProviders\b"),
)

_BY_PLACE = {
    ("image", "unreachable"): "registry-unreachable",
    ("image", "denied"): "image-pull-denied",
    ("image", "denied-by-aws"): "image-pull-denied",
    ("image", "missing"): "image-not-found",
    ("image", "throttled"): "image-rate-limit",
    ("image", "untrusted"): "registry-certificate",
    ("registry", "unreachable"): "registry-unreachable",
    ("registry", "denied"): "image-not-found-or-private",
    ("registry", "missing"): "image-not-found",
    ("registry", "throttled"): "image-rate-limit",
    ("registry", "untrusted"): "registry-certificate",
    ("secret", "unreachable"): "secrets-unreachable",
    ("secret", "denied"): "secret-denied",
    ("secret", "throttled"): "start-throttled",
    ("secret", "denied-by-aws"): "secret-denied",
    ("secret", "missing"): "secret-missing",
    ("parameter", "unreachable"): "parameters-unreachable",
    ("parameter", "denied"): "parameter-denied",
    ("parameter", "throttled"): "start-throttled",
    ("parameter", "denied-by-aws"): "parameter-denied",
    ("parameter", "missing"): "parameter-missing",
    ("cloudwatch", "unreachable"): "logs-unreachable",
    ("cloudwatch", "denied"): "logs-denied",
    ("cloudwatch", "throttled"): "start-throttled",
    ("cloudwatch", "denied-by-aws"): "logs-denied",
    ("cloudwatch", "missing"): "log-group-missing",
    ("cloudwatch", "no-credentials"): "logs-no-credentials",
    ("driver", "unreachable"): "log-driver-unreachable",
    ("driver", "denied"): "log-driver-refused",
    ("driver", "untrusted"): "log-driver-certificate",
    ("driver", "denied-by-aws"): "logs-denied",
    ("driver", "no-credentials"): "logs-no-credentials",
    ("efs", "unreachable"): "efs-unreachable",
    ("efs", "denied"): "efs-denied",
    ("file", "unreachable"): "env-file-unreachable",
    ("file", "denied"): "env-file-denied",
    ("file", "denied-by-aws"): "env-file-denied",
    ("file", "missing"): "env-file-missing",
}

_BY_ACTION = {
    "ecr": "image-pull-denied",
    "secretsmanager": "secret-denied",
    "ssm": "parameter-denied",
    "logs": "logs-denied",
    "kms": "kms-denied",
    "elasticfilesystem": "efs-denied",
    "s3": "env-file-denied",
}
"""Causes by the service of a denied call, which is more precise than the place: kms:Decrypt means a secret's key."""

_DENIED_ACTION = r"not authorized to perform: (\w+):\w+"


class _Match(NamedTuple):
    """A symptom in a reason. The one that ends last counts; with equal ends a clear one, then the shortest."""

    end: int
    clear: bool
    start: int
    name: str


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


def name(reason: str) -> str:
    """Return the name of the cause of a reason, empty if it is unknown."""
    text = " ".join(reason.split())
    found = [*_clear(text), *_denied(text), *_vague(text)]
    for match in _compiled(_MISLEADING).finditer(text):
        found = [one for one in found if one.end != match.end()]
        found.append(_Match(match.end(), clear=True, start=match.start(), name=""))
    return max(found).name if found else ""


def _clear(text: str) -> Iterator[_Match]:
    for cause, pattern in _CLEAR:
        for match in _compiled(pattern).finditer(text):
            yield _Match(match.end(), clear=True, start=match.start(), name=cause)


def _denied(text: str) -> Iterator[_Match]:
    for match in _compiled(_DENIED_ACTION).finditer(text):
        if cause := _BY_ACTION.get(match[1].lower()):
            yield _Match(match.end(), clear=True, start=match.start(), name=cause)


def _vague(text: str) -> Iterator[_Match]:
    """Yield the symptoms that need a place. One without a place has no cause, but still hides symptoms before it."""
    places = [(match.start(), place) for place, pattern in _PLACES for match in _compiled(pattern).finditer(text)]
    for symptom, pattern in _VAGUE:
        for match in _compiled(pattern).finditer(text):
            before = [place for place in places if place[0] < match.end()]
            where = max(before)[1] if before else ""
            yield _Match(match.end(), clear=False, start=match.start(), name=_BY_PLACE.get((where, symptom), ""))


# --- Tasks


class Explanation(NamedTuple):
    """Why a task stopped, and what to do; both without a full stop."""

    name: str
    cause: str
    cure: str


_BY_CODE = {
    "SpotInterruption": "spot-interrupted",
    "TerminationNotice": "host-gone",
    "InfrastructureHealth": "infrastructure-failed",
}
"""Causes by stop code."""

_TOLD = frozenset({"UserInitiated", "ServiceSchedulerInitiated", *_BY_CODE})
"""Stop codes of tasks that somebody stopped: the exit codes of their containers are then no cause."""


def explain(task: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> tuple[Explanation, ...]:
    """Return the causes in a stopped task's reasons, each once; empty if none is known.

    `task` and `containers` are descriptions of ecs:DescribeTasks. A reason that a person or another scheduler wrote
    (UserInitiated) is not explained, because it is not an error. Exit codes are explained only without other causes.
    """
    ended = list(containers)
    code = str(task.get("stopCode") or "")
    names = [name(str(item.get("reason") or "")) for item in ended]
    reason = str(task.get("stoppedReason") or "")
    if code != "UserInitiated":
        names.append(name(reason) or _BY_CODE.get(code, ""))
    if code == "ServiceSchedulerInitiated" and not reason:
        names.append("stopped-by-service")
    found = [_explanation(one) for one in dict.fromkeys(names) if one]
    if found or code in _TOLD:
        return tuple(found)
    codes = dict.fromkeys(item.get("exitCode") for item in ended)
    return tuple(_of_exit(int(one)) for one in codes if one)


def _explanation(cause: str) -> Explanation:
    return Explanation(*_causes()[cause][:3])


@cache
def _causes() -> Mapping[str, Cause]:
    return {cause.name: cause for section in SECTIONS for cause in section.causes}


def _of_exit(code: int) -> Explanation:
    cause = EXITS.get(code, EXIT)
    return Explanation(cause.name, cause.says.format(code=code), cause.cure)
