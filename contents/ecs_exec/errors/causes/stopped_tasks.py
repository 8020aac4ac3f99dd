"""Causes of stopped tasks. Does no I/O.

The words come from the ECS agent, Fargate, Docker, runc and containerd; the ECS Developer Guide explains many of them
under "Amazon ECS stopped tasks error messages".
"""

from __future__ import annotations

from ecs_exec.errors.causes.cause import Cause, Section

_ROUTE = "a NAT gateway, a public IP address, or VPC endpoints for {endpoints} that allow port 443 from the task"


def _route(endpoints: str) -> str:
    return _ROUTE.format(endpoints=endpoints)


_REGISTRY = _route("ecr.api, ecr.dkr and S3 (gateway)")

IMAGE = (
    Cause(
        "image-not-found",
        "the registry has no such image or tag",
        "check name, tag, account and region of the image in the task definition, and the repository's lifecycle rules;"
        " push the image again",
    ),
    Cause(
        "image-not-found-or-private",
        "the registry has no such image, or the task is not allowed to see it",
        "check the image's name; for a private image let the task execution role pull it (ECR), or set"
        " repositoryCredentials (other registries)",
    ),
    Cause(
        "image-pull-denied",
        "the registry refused the pull",
        "grant ecr:GetAuthorizationToken, ecr:GetDownloadUrlForLayer and ecr:BatchGetImage to the task execution role"
        " (on EC2 without one: the instance's role); check the policies of the repository and of the VPC endpoint",
        "ecr:BatchGetImage",
    ),
    Cause(
        "image-rate-limit",
        "the registry limits pulls, and the limit is reached",
        "pull as a user with a login (repositoryCredentials), or through an ECR pull-through cache",
    ),
    Cause(
        "image-platform",
        "the image has no variant for this processor or operating system",
        "build it for the task's platform (docker buildx build --platform), or set runtimePlatform in the task"
        " definition",
    ),
    Cause(
        "registry-unreachable",
        "the registry could not be reached from the task",
        f"give the task's subnet a route to the registry: {_REGISTRY}",
    ),
    Cause(
        "registry-login-wrong",
        "the registry did not accept the user name and password",
        "correct the secret that repositoryCredentials names in the task definition",
    ),
    Cause(
        "registry-certificate",
        "the registry's certificate is not trusted",
        "install its certificate authority on the instance, or use a registry with a public certificate",
    ),
    Cause(
        "image-name-invalid",
        "the image's name in the task definition is not valid",
        "write it as REGISTRY/NAME:TAG, in lower case",
    ),
    Cause(
        "disk-full",
        "the disk is full",
        "raise ephemeralStorage (Fargate), or clean up or enlarge the instance's disk (EC2)",
    ),
)

SECRETS = (
    Cause(
        "secret-denied",
        "the task execution role is not allowed to read a secret of Secrets Manager",
        "grant secretsmanager:GetSecretValue on that secret to the task execution role, and check the secret's own"
        " policy",
        "secretsmanager:GetSecretValue",
    ),
    Cause(
        "secret-missing",
        "Secrets Manager has no secret of that name in this region",
        "check the ARN under secrets in the task definition, including the six characters at its end, and the region",
    ),
    Cause(
        "secret-without-value",
        "the secret exists, but this version of it has no value",
        "store a value in the secret, or correct the version in its ARN in the task definition",
    ),
    Cause(
        "secret-deleted",
        "the secret is scheduled for deletion",
        "restore it (aws secretsmanager restore-secret), or name another secret in the task definition",
    ),
    Cause(
        "secret-not-json",
        "the task definition asks for a key of the secret, and the secret is not JSON",
        'store the secret as {"KEY": "value"}, or remove the key from the end of its ARN in the task definition',
    ),
    Cause(
        "secret-key-missing",
        "the secret does not have the key that the task definition asks for",
        "add the key to the secret, or correct it in the task definition; keys are case-sensitive",
    ),
    Cause(
        "secret-arn-invalid",
        "the task definition has an ARN of a secret or parameter that AWS cannot read",
        "copy the ARN from Secrets Manager or Parameter Store into the task definition",
    ),
    Cause(
        "secrets-unreachable",
        "Secrets Manager could not be reached from the task",
        f"give the task's subnet a route to it: {_route('secretsmanager')}",
    ),
    Cause(
        "parameter-denied",
        "the task execution role is not allowed to read a parameter of Parameter Store",
        "grant ssm:GetParameters on that parameter to the task execution role",
        "ssm:GetParameters",
    ),
    Cause(
        "parameter-missing",
        "Parameter Store has no parameter of that name in this region",
        "check the names under secrets in the task definition, and the region and account",
    ),
    Cause(
        "parameters-unreachable",
        "Parameter Store could not be reached from the task",
        f"give the task's subnet a route to it: {_route('ssm')}",
    ),
    Cause(
        "kms-denied",
        "the task execution role is not allowed to use the KMS key of a secret, parameter or image",
        "grant kms:Decrypt on that key to the role, in its policy and, if necessary, in the key policy",
        "kms:Decrypt",
    ),
    Cause(
        "start-throttled",
        "the account makes too many calls in this region, and a call that the start needs was refused",
        "start fewer tasks at once; for Parameter Store turn on higher throughput",
    ),
    Cause(
        "env-file-denied",
        "the task execution role is not allowed to read an environment file",
        "grant s3:GetObject on the file, and s3:GetBucketLocation on its bucket, to the task execution role",
        "s3:GetObject",
    ),
    Cause(
        "env-file-missing",
        "an environment file of the task definition is not in its bucket",
        "check the ARN under environmentFiles in the task definition",
    ),
    Cause(
        "env-file-unreachable",
        "the environment file could not be fetched from S3",
        "give the task's subnet a route to S3 (a gateway endpoint), and check the bucket's region",
    ),
)

LOGS = (
    Cause(
        "log-group-missing",
        "the log group of the awslogs driver does not exist",
        "create it in the region of awslogs-region, or set awslogs-create-group to true",
    ),
    Cause(
        "log-stream-missing",
        "the log stream of the awslogs driver does not exist",
        "create it, or remove awslogs-create-stream from the options",
    ),
    Cause(
        "logs-denied",
        "the awslogs driver is not allowed to write to CloudWatch Logs",
        "grant logs:CreateLogStream and logs:PutLogEvents (with awslogs-create-group also logs:CreateLogGroup) to the"
        " task execution role; without one, to the instance's role",
        "logs:CreateLogStream",
    ),
    Cause(
        "logs-no-credentials",
        "the awslogs driver has no credentials",
        "give the task definition a task execution role, or the instance a role, with logs:CreateLogStream and"
        " logs:PutLogEvents",
    ),
    Cause(
        "logs-unreachable",
        "CloudWatch Logs could not be reached from the task",
        f"give the task's subnet a route to it: {_route('logs')}",
    ),
    Cause(
        "logs-region-wrong",
        "awslogs-region does not name a region",
        "set it to the code of a region, for example us-east-1",
    ),
    Cause(
        "log-driver-unreachable",
        "the log driver's server does not answer (fluentd, splunk, syslog or gelf)",
        "start that server before the task, and check its address in logConfiguration; with fluentd-async the driver"
        " connects later",
    ),
    Cause(
        "log-driver-refused",
        "the log driver's server refused the connection's token or user",
        "correct the token in logConfiguration or in the secret that secretOptions names",
    ),
    Cause(
        "log-driver-certificate",
        "the certificate of the log driver's server is not trusted",
        "name its certificate authority in the options of logConfiguration, or use a public certificate",
    ),
    Cause(
        "log-option-unknown",
        "the log driver does not know one of its options",
        "correct the options of logConfiguration in the task definition",
    ),
    Cause(
        "log-option-missing",
        "an option that the log driver requires is missing or empty",
        "set the options of logConfiguration in the task definition: awslogs needs awslogs-group and awslogs-region",
    ),
    Cause(
        "log-driver-missing",
        "the instance has no such log driver",
        "add it to ECS_AVAILABLE_LOGGING_DRIVERS and install its plugin, or choose another one",
    ),
)

VOLUMES = (
    Cause(
        "efs-denied",
        "the EFS file system refused the mount",
        "grant elasticfilesystem:ClientMount and ClientWrite to the task role and set iam to ENABLED for the volume, or"
        " allow them in the file system's policy; check the access point",
        "elasticfilesystem:ClientMount",
    ),
    Cause(
        "efs-dns",
        "the name of the EFS file system cannot be resolved from the task",
        "check the file system's id; create a mount target in the task's zone; enable DNS hostnames and DNS resolution"
        " in the VPC",
    ),
    Cause(
        "efs-unreachable",
        "the EFS mount target does not answer",
        "allow port 2049 from the task's security group to the mount target's, and create a mount target in the task's"
        " zone",
    ),
    Cause(
        "efs-root-missing",
        "the root directory of the EFS volume does not exist",
        "create the directory on the file system, or use an access point that creates it",
    ),
    Cause(
        "efs-access-point-missing",
        "the EFS access point does not exist",
        "check accessPointId in the task definition, and that it belongs to this file system",
    ),
    Cause(
        "efs-tls",
        "the TLS tunnel to the EFS file system could not be opened",
        "allow port 2049 to the mount target, and check that the file system is ready",
    ),
    Cause(
        "volume-driver-missing",
        "the instance does not have the volume's driver",
        "install the plugin on the instance, or choose another driver in the task definition",
    ),
    Cause(
        "mount-source-missing",
        "a directory of the instance that the task mounts does not exist",
        "create it on the instance, or correct host.sourcePath in the task definition",
    ),
    Cause(
        "mount-kind-mismatch",
        "a directory is mounted onto a file of the image, or a file onto a directory",
        "mount a file onto a file, and a directory onto a directory: correct sourcePath or containerPath",
    ),
    Cause(
        "volume-owner-refused",
        "Docker is not allowed to change the owner of files on the volume, for example on an EFS access point with a"
        " POSIX user",
        "make the directory in the image belong to that user, or remove PosixUser from the access point",
    ),
    Cause(
        "ebs-role-not-assumable",
        "ECS is not allowed to assume the infrastructure role of the EBS volume",
        "name ecs.amazonaws.com in the role's trust policy, and allow the caller to pass the role (iam:PassRole)",
        "iam:PassRole",
    ),
    Cause(
        "ebs-key-unusable",
        "the KMS key of the EBS volume does not exist, or the infrastructure role is not allowed to use it",
        "check kmsKeyId, and grant the infrastructure role that key",
    ),
    Cause(
        "ebs-timeout",
        "the EBS volume was not ready in time; its file system may not fit the task's operating system",
        "check filesystemType: for a volume from a snapshot it must be that of the snapshot",
    ),
    Cause(
        "ephemeral-storage-timeout",
        "Fargate did not provide the task's disk in time",
        "start the task again; if it fails again, ask AWS Support",
    ),
)

NETWORK = (
    Cause(
        "subnet-full",
        "the subnet has no free IP addresses",
        "use a larger subnet or more subnets, or stop what uses its addresses: aws ec2 describe-subnets shows"
        " AvailableIpAddressCount",
    ),
    Cause(
        "eni-limit",
        "the account's limit of network interfaces is reached",
        "delete network interfaces that are not in use, or raise the limit (Service Quotas, VPC)",
    ),
    Cause(
        "eni-timeout",
        "the task's network interface was not ready in time",
        "start the task again; if it happens again on the same EC2 instance, replace the instance",
    ),
    Cause(
        "eni-attach-failed",
        "the network interface could not be attached to the instance",
        "replace the instance; check its limit of network interfaces, and ENI trunking (awsvpcTrunking)",
    ),
    Cause(
        "eni-denied",
        "ECS is not allowed to create the task's network interface",
        "check that the service-linked role AWSServiceRoleForECS exists and that no policy denies it"
        " ec2:CreateNetworkInterface; a shared subnet must still be shared",
        "ec2:CreateNetworkInterface",
    ),
    Cause(
        "eni-tag-policy",
        "a tag policy of the organization requires tags that the network interface does not have",
        "set propagateTags and the tags that the policy requires, or exempt network interfaces from the policy",
    ),
    Cause(
        "subnet-missing",
        "the subnet of the task does not exist",
        "correct the subnets of the service or of the run-task call",
    ),
    Cause(
        "security-group-missing",
        "a security group of the task does not exist, or belongs to another VPC",
        "correct the security groups of the service or of the run-task call",
    ),
    Cause(
        "port-in-use",
        "another process of the instance uses the host port",
        "use host port 0 (dynamic ports) or network mode awsvpc",
    ),
    Cause(
        "service-connect-network",
        "the Service Connect proxy's network could not be set up",
        "update the ECS agent of the instance, or replace the instance",
    ),
)

PROGRAM = (
    Cause(
        "command-not-found",
        "the image does not have the program that the container starts",
        "check command and entryPoint in the task definition (one entry for each word), and that no volume hides the"
        " program",
    ),
    Cause(
        "command-not-executable",
        "the program that the container starts is not executable",
        "make the file executable in the image (chmod +x), and check that it is not a directory",
    ),
    Cause(
        "exec-format",
        "the program is for another processor, or is a script whose first line does not begin with #!",
        "build the image for the task's platform, or set runtimePlatform; give a script its first line",
    ),
    Cause(
        "interpreter-missing",
        "the interpreter in the program's first line, or the program's loader, is not in the image",
        "check the first line (#!) and that the script's lines end with LF, not CRLF; check the image's C library",
    ),
    Cause(
        "user-not-found",
        "the image does not have the user or group that the container runs as",
        "correct user in the task definition, or add the user to the image",
    ),
    Cause(
        "workdir-unusable",
        "the container's working directory does not exist, or cannot be entered",
        "correct workingDirectory in the task definition, or the directory's mode in the image",
    ),
    Cause(
        "image-broken",
        "the image is empty or broken",
        "build the image again and push it; FROM scratch has no /etc/passwd, so give the user as a number",
    ),
    Cause(
        "out-of-memory",
        "the container used more memory than its limit allows",
        "raise memory in the task definition, or find what uses it: a leak, or a heap limit above the container's"
        " limit",
    ),
    Cause(
        "out-of-memory-at-start",
        "the container's memory limit is too low to start the container",
        "raise memory in the task definition: a container needs at least 6 MiB",
    ),
    Cause(
        "gpu-unavailable",
        "the GPU of the instance could not be used",
        "run the task on an instance with a GPU and the GPU-optimized AMI, and check the driver with nvidia-smi",
    ),
    Cause(
        "device-missing",
        "a device that the task definition lists is not on the instance",
        "correct linuxParameters.devices, or use an instance type that has the device",
    ),
    Cause(
        "docker-timeout",
        "the container runtime did not answer in time",
        "check the load and the disk of the instance; on Fargate check that the task can reach the log driver's"
        " service",
    ),
    Cause(
        "dependency-failed",
        "a container that this one depends on did not reach the state that dependsOn asks for",
        "look at that container's exit code and log",
    ),
)

CAPACITY = (
    Cause(
        "fargate-capacity",
        "AWS has no free Fargate capacity in this zone at present",
        "try again later, or give the service subnets in more zones",
    ),
    Cause(
        "fargate-quota",
        "the account's limit of Fargate vCPUs, memory or tasks is reached",
        "stop tasks, or raise the limit (Service Quotas, AWS Fargate)",
    ),
    Cause(
        "no-capacity",
        "no instance has the CPU, memory, ports, GPU or network interfaces that the task asks for",
        "add instances, or ask for less in the task definition",
    ),
    Cause(
        "no-instances",
        "the cluster or its capacity provider has no instances",
        "start instances that register with this cluster, or use Fargate",
    ),
    Cause(
        "instances-unavailable",
        "EC2 has no capacity for the instances that the capacity provider may start",
        "allow more instance types or zones in the capacity provider, or try again later",
    ),
    Cause(
        "instance-quota",
        "the account's limit of EC2 instances or vCPUs is reached",
        "stop instances, or raise the limit (Service Quotas, Amazon EC2)",
    ),
    Cause(
        "capacity-provider-denied",
        "the capacity provider's infrastructure role is not allowed to start instances",
        "grant the infrastructure role the action that AWS names, often iam:PassRole on the instance role",
        "iam:PassRole",
    ),
    Cause(
        "placement-constraint",
        "no instance satisfies the placement constraints",
        "correct placementConstraints of the service or the task definition, or add instances that satisfy them",
    ),
    Cause(
        "instance-attribute-missing",
        "no instance has an attribute that the task definition requires",
        "update the ECS agent, or use an AMI or instance type with that capability",
    ),
    Cause(
        "agent-disconnected",
        "the ECS agent of the instance is not connected",
        "restart the agent, check its route to ECS, or replace the instance",
    ),
    Cause(
        "spot-interrupted",
        "AWS took the Spot capacity back",
        "make the program end on SIGTERM within stopTimeout, or also run tasks on other capacity providers",
    ),
    Cause(
        "fargate-maintenance",
        "AWS stopped the task to maintain its host",
        "nothing to do if a service started another one; start a standalone task again",
    ),
    Cause(
        "host-gone",
        "the host of the task was stopped, terminated or taken out of service",
        "nothing to do if a new task runs; else check the capacity of the cluster",
    ),
    Cause(
        "infrastructure-failed",
        "the host of the task or its infrastructure failed",
        "nothing to do if a new task runs; else start the task again",
    ),
    Cause(
        "instance-draining",
        "the instance of the task is being drained",
        "nothing to do if a new task runs elsewhere; else add instances",
    ),
)

SERVICE = (
    Cause(
        "elb-health-check",
        "the load balancer's health check failed",
        "check path, port and success codes of the target group, the security groups from the load balancer to the"
        " task, and healthCheckGracePeriodSeconds",
    ),
    Cause(
        "elb-zone-disabled",
        "the load balancer is not enabled in the task's Availability Zone",
        "add a subnet of that zone to the load balancer, or remove the zone from the service",
    ),
    Cause(
        "target-missing",
        "the target group of the service, or the task in it, does not exist",
        "check the target group's ARN in the service, and that nothing else deregisters its targets",
    ),
    Cause(
        "container-health-check",
        "the container's own health check failed",
        "run its command in the container, and check interval, timeout, retries and startPeriod",
    ),
    Cause(
        "service-scaled",
        "the service replaced the task in a deployment, or wants fewer tasks",
        "nothing to do if that was intended; else look at the service's events",
    ),
    Cause(
        "stopped-by-service",
        "the service's scheduler stopped the task",
        "look at the service's events",
    ),
    Cause(
        "deployment-failed",
        "the deployment failed because its tasks failed repeatedly",
        "look at the reasons of the tasks that failed first",
    ),
    Cause(
        "role-not-assumable",
        "ECS is not allowed to assume the task role or the task execution role",
        "check that the role exists and that its trust policy names ecs-tasks.amazonaws.com",
        "sts:AssumeRole",
    ),
    Cause(
        "service-role-missing",
        "ECS cannot assume its service-linked role",
        "create it: aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com",
    ),
    Cause(
        "execution-role-missing",
        "the task definition needs a task execution role",
        "set executionRoleArn in the task definition",
    ),
    Cause(
        "launch-type-mismatch",
        "the task definition does not fit the cluster's capacity (Fargate, EC2, External)",
        "set requiresCompatibilities in the task definition, or choose a capacity provider that fits it",
    ),
)

EXITS = {
    1: Cause("exit-1", "the program failed with exit code 1", "look at its log"),
    126: Cause("exit-126", "a file cannot be executed", "check its mode, its format and its first line"),
    127: Cause(
        "exit-127",
        "a program was not found",
        "check command and entryPoint in the task definition, and that the image contains the program",
    ),
    134: Cause("exit-134", "the program aborted itself (SIGABRT)", "look at its log"),
    137: Cause(
        "exit-137",
        "the container was killed (SIGKILL)",
        "compare its memory use with its limit, and the time that it takes to stop with stopTimeout",
    ),
    139: Cause(
        "exit-139", "the program crashed (SIGSEGV)", "look at its log, and for a library of another architecture"
    ),
    143: Cause("exit-143", "the container ended because it received SIGTERM", "find out what stopped it"),
    255: Cause(
        "exit-255",
        "the program ended with exit code 255, or its host failed",
        "look at its log, and at the state of the instance",
    ),
}
"""Causes by exit code, for tasks without another known cause."""

EXIT = Cause("exit-code", "the program itself ended with exit code {code}", "look at its log")

SECTIONS = (
    Section(
        "Why tasks stop",
        "The step *Stopped Task Details* shows these causes. If a reason contains several errors, the innermost one"
        " decides. If the plugin does not know a reason, it shows no cause. A reason that a person or another scheduler"
        " wrote (stop code `UserInitiated`) is shown without a cause.",
        (),
    ),
    Section("Images", "", IMAGE, level=3),
    Section("Secrets, parameters and environment files", "", SECRETS, level=3),
    Section("Logs", "", LOGS, level=3),
    Section("Volumes", "", VOLUMES, level=3),
    Section("Networks", "", NETWORK, level=3),
    Section("Programs", "", PROGRAM, level=3),
    Section("Capacity and hosts", "", CAPACITY, level=3),
    Section("Services", "", SERVICE, level=3),
    Section("Exit codes", "These are shown if no reason is known.", (*EXITS.values(), EXIT), level=3),
)
