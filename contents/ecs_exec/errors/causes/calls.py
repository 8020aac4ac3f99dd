"""Causes of failed AWS calls. Does no I/O."""

from __future__ import annotations

from ecs_exec.errors.causes.cause import Cause, Section
from ecs_exec.errors.causes.credentials import OTHER_SOURCES

CALLS = (
    Cause(
        "call-failed",
        "AWS refused a call",
        "read AWS's words at the end of the line; CloudTrail has the request, too",
    ),
    Cause(
        "call-not-made",
        "an AWS call could not be made",
        "check the AWS configuration of the user that runs Rundeck (aws configure list), and endpoint-url",
    ),
    Cause(
        "option-values-late",
        "the names for an option were not listed within {seconds} s",
        "check the route to AWS and the source of the credentials; for containers, set service or family",
    ),
    Cause(
        "cluster-unknown",
        "there is no cluster of that name in this account and region",
        "check the cluster's name (of a node: ECS:Cluster-ARN or ecs-cluster) and the region: aws ecs list-clusters",
    ),
    Cause(
        "service-unknown",
        "there is no service of that name in this cluster",
        "check the service's name (of a node: ecs-service), the cluster and the region: aws ecs list-services",
    ),
    Cause(
        "credentials-expired",
        "the credentials have expired",
        "renew them; a role of the server, or assume-role-arn, renews itself",
    ),
    Cause(
        "credentials-invalid",
        "AWS does not accept the credentials' key or signature",
        "check access-key-id and secret-access-key, the profile or the server's role, and the server's clock",
    ),
    Cause(
        "credentials-missing",
        "there are no AWS credentials",
        OTHER_SOURCES,
    ),
    Cause("region-missing", "no AWS region is known", "set region, or the node attribute ECS:Region"),
    Cause(
        "cluster-key-unusable",
        "the cluster's KMS key is disabled or does not exist",
        "check kmsKeyId of the cluster's executeCommandConfiguration: aws kms describe-key",
    ),
    Cause(
        "too-many-calls",
        "the account makes too many calls in this region",
        "run fewer commands and steps at once, or raise the connect-timeout of commands;"
        " AWS raises the rate on request (Service Quotas)",
    ),
    Cause("aws-failed", "AWS, or a proxy in front of it, failed", "try again later; look at the AWS Health Dashboard"),
    Cause(
        "proxy-unreachable", "the proxy does not answer, or refuses the connection", "check HTTPS_PROXY and NO_PROXY"
    ),
    Cause(
        "certificate-untrusted",
        "the certificate of the server that answered is not trusted",
        "if a proxy inspects TLS, set AWS_CA_BUNDLE to a file with its certificate authority",
    ),
    Cause(
        "aws-unreachable",
        "AWS could not be reached from this server",
        "check the region, endpoint-url, DNS, and the route: the internet, a VPC endpoint, or HTTPS_PROXY",
    ),
)

SECTIONS = (Section("AWS calls", "", CALLS),)
