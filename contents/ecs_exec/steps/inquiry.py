"""Looks up what ECS Exec needs. What the credentials may not read becomes Unavailable, with the missing permission."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ecs_exec.ecs.locate import locate
from ecs_exec.ecs.target import choose_container
from ecs_exec.errors import AwsError, EcsExecError, TargetError, Where
from ecs_exec.settings.target import Wanted
from ecs_exec.steps.calls import Caller
from ecs_exec.steps.facts import CONTROL, OPEN_CHANNEL, Decisions, Facts, Unavailable, key_and_logs, principal
from ecs_exec.task_description import Described, essential_names, short

T = TypeVar("T")

_PAGE = 100
"""Container instances in one call, the API's limit."""
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


def collect_facts(wanted: Wanted, caller: Caller) -> Facts:
    """Look up everything. Raises only Aborted: a failed look-up is part of the result."""
    facts = Facts(caller.aws.region, wanted.cluster)
    facts.identity = _seen("sts:GetCallerIdentity", lambda: _identity(caller))
    facts.task = _task(wanted, caller)
    facts.settings = _seen("ecs:DescribeClusters", lambda: _settings(caller, wanted.cluster))
    _complete(facts, wanted, caller, {})
    return facts


def collect_all(wanted: Wanted, tasks: Sequence[Described], caller: Caller) -> list[Facts]:
    """Look up everything for several tasks of a cluster; each look-up that they share is made once.

    IAM's simulator is asked about the first task only, because it is slow and few calls are allowed. Raises only
    Aborted.
    """
    identity = _seen("sts:GetCallerIdentity", lambda: _identity(caller))
    settings = _seen("ecs:DescribeClusters", lambda: _settings(caller, wanted.cluster))
    known: dict[str, Any] = {}
    hosts = list(dict.fromkeys(arn for task in tasks if (arn := str(task.get("containerInstanceArn") or ""))))
    if hosts:
        known |= _instances(caller, wanted.cluster, hosts)
    every: list[Facts] = []
    for task in tasks:
        facts = Facts(caller.aws.region, wanted.cluster, identity, task, settings=settings)
        _complete(facts, wanted, caller, known)
        every.append(facts)
    return every


def _complete(facts: Facts, wanted: Wanted, caller: Caller, known: dict[str, Any]) -> None:
    """Look up the rest for the task of the facts. `known` has what was looked up for other tasks, and gets the rest."""
    if facts.task is None or isinstance(facts.task, Unavailable):
        facts.container = wanted.container
        return

    def once(key: str, look: Callable[[], T]) -> T:
        if key not in known:
            known[key] = look()
        found: T = known[key]
        return found

    task = facts.task
    definition = str(task.get("taskDefinitionArn", ""))
    facts.definition = once(
        f"definition {definition}",
        lambda: _seen(
            "ecs:DescribeTaskDefinition",
            lambda: caller.patiently(lambda: caller.aws.describe_task_definition(definition)),
        ),
    )
    facts.container = wanted.container or _container(task, facts.definition)
    if arn := str(task.get("containerInstanceArn") or ""):
        facts.instance = once(arn, lambda: _instances(caller, wanted.cluster, [arn])[arn])
    facts.caller = once("caller", lambda: _caller_may(facts, caller))
    facts.role = once(f"role {_role(facts)}", lambda: _role_may(facts, caller))
    if subnet := _subnet(task):
        facts.endpoints = once(f"subnet {subnet}", lambda: _endpoints(caller, subnet))


def _seen(permission: str, look: Callable[[], T]) -> T | Unavailable:
    try:
        return look()
    except AwsError as error:
        return Unavailable(permission if error.code in _DENIED else "", str(error))
    except EcsExecError as error:
        return Unavailable("", str(error))


# --- ECS


def _identity(caller: Caller) -> str:
    answer = caller.patiently(lambda: caller.aws.call("sts", "GetCallerIdentity", "these credentials"))
    return str(answer.get("Arn", ""))


def _task(wanted: Wanted, caller: Caller) -> Described | Unavailable:
    """Describe the task. For a service or family: the task that commands go to, else the newest running one."""
    if wanted.task:
        return _seen("ecs:DescribeTasks", lambda: caller.task(wanted.cluster, wanted.task))

    def newest() -> Described:
        try:
            chosen = caller.patiently(lambda: locate(wanted, caller.aws))
        except TargetError:
            found = caller.running(wanted)
            if not found:
                raise
            return max(found, key=lambda task: str(task.get("startedAt") or task.get("createdAt") or ""))
        return caller.task(wanted.cluster, chosen.task)

    return _seen("ecs:ListTasks and ecs:DescribeTasks", newest)


def _container(task: Described, definition: Mapping[str, Any] | Unavailable) -> str:
    essential: Iterable[str] = () if isinstance(definition, Unavailable) else essential_names(definition)
    try:
        return str(choose_container(task, "", essential).get("name", ""))
    except TargetError:
        return ""


def _settings(caller: Caller, cluster: str) -> Mapping[str, Any]:
    where = f"cluster {short(cluster)}"
    ask = {"clusters": [cluster], "include": ["CONFIGURATIONS"]}
    answer = caller.patiently(lambda: caller.aws.call("ecs", "DescribeClusters", where, **ask))
    if not answer.get("clusters"):
        raise TargetError(name="cluster-not-described", where=Where(short(cluster), region=caller.aws.region))
    configuration = answer["clusters"][0].get("configuration") or {}
    return dict(configuration.get("executeCommandConfiguration") or {})


def _instances(caller: Caller, cluster: str, arns: Sequence[str]) -> dict[str, Mapping[str, Any] | Unavailable]:
    """Return the descriptions of container instances by their ARNs."""
    found: dict[str, Mapping[str, Any] | Unavailable] = {}
    for start in range(0, len(arns), _PAGE):
        some = list(arns[start : start + _PAGE])
        where = f"container instance {short(some[0])}" if len(some) == 1 else f"{len(some)} container instances"
        ask = {"cluster": cluster, "containerInstances": some}

        def look(where: str = where, ask: Mapping[str, Any] = ask) -> Mapping[str, Any]:
            return caller.patiently(lambda: caller.aws.call("ecs", "DescribeContainerInstances", where, **ask))

        answer = _seen("ecs:DescribeContainerInstances", look)
        if isinstance(answer, Unavailable):
            found |= dict.fromkeys(some, answer)
            continue
        found |= {str(one.get("containerInstanceArn")): dict(one) for one in answer.get("containerInstances", [])}
        for arn in some:
            missing = TargetError(
                name="instance-not-described", where=f"container instance {short(arn)}, cluster {short(cluster)}"
            )
            found.setdefault(arn, Unavailable("", str(missing)))
    return found


# --- IAM


def _caller_may(facts: Facts, caller: Caller) -> Decisions | Unavailable | None:
    if isinstance(facts.identity, Unavailable) or isinstance(facts.task, Unavailable) or facts.task is None:
        return None
    who = principal(facts.identity)
    if not who:
        return Unavailable("", f"{facts.identity} is neither a user nor a role")
    task = str(facts.task.get("taskArn", ""))
    _, partition, _, region, account, _ = task.split(":", 5)
    sessions = f"arn:{partition}:ssm:{region}:{account}:session/ecs-execute-command-0123456789abcdef0"
    asked: list[tuple[tuple[str, ...], str]] = [(("ecs:ExecuteCommand", "ssm:StartSession"), task)]
    asked.append((("ssm:ResumeSession", "ssm:TerminateSession", OPEN_CHANNEL), sessions))
    key, _ = key_and_logs({} if isinstance(facts.settings, Unavailable) else facts.settings)
    if key := _key_arn(key, task):
        asked.append((("kms:GenerateDataKey",), key))
    context = {"ecs:cluster": _cluster_arn(task), "ecs:task": task, "ecs:container-name": facts.container}
    return _seen("iam:SimulatePrincipalPolicy", lambda: _decisions(caller, who, asked, context))


def _role_may(facts: Facts, caller: Caller) -> Decisions | Unavailable | None:
    assert facts.task is not None  # noqa: S101
    assert not isinstance(facts.task, Unavailable)  # noqa: S101
    role = _role(facts)
    if isinstance(role, Unavailable):
        return role
    if not role:
        return None
    task = str(facts.task.get("taskArn", ""))
    asked: list[tuple[tuple[str, ...], str]] = [(CONTROL, "*")]
    if not isinstance(facts.settings, Unavailable):
        asked += _for_logs(facts.settings, task)
    return _seen("iam:SimulatePrincipalPolicy", lambda: _decisions(caller, role, asked, {}))


def _role(facts: Facts) -> str | Unavailable:
    """Return the ARN of the task role, empty if the task has none."""
    task: Described = {} if facts.task is None or isinstance(facts.task, Unavailable) else facts.task
    if role := str((task.get("overrides") or {}).get("taskRoleArn") or ""):
        return role
    return (
        facts.definition
        if isinstance(facts.definition, Unavailable)
        else str(facts.definition.get("taskRoleArn") or "")
    )


def _for_logs(settings: Mapping[str, Any], task: str) -> list[tuple[tuple[str, ...], str]]:
    """Return the actions that the task role needs for the cluster's key and logs, with their resources."""
    _, partition, _, region, account, _ = task.split(":", 5)
    key, logs = key_and_logs(settings)
    asked: list[tuple[tuple[str, ...], str]] = []
    if key := _key_arn(key, task):
        asked.append((("kms:Decrypt",), key))
    if bucket := logs.get("s3BucketName"):
        asked.append((("s3:PutObject",), f"arn:{partition}:s3:::{bucket}/{logs.get('s3KeyPrefix') or ''}log"))
        asked.append((("s3:GetEncryptionConfiguration",), f"arn:{partition}:s3:::{bucket}"))
    if group := logs.get("cloudWatchLogGroupName"):
        arn = f"arn:{partition}:logs:{region}:{account}:log-group:{group}:log-stream:ecs-exec"
        asked.append((("logs:DescribeLogGroups",), "*"))
        asked.append((("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"), arn))
    return asked


def _key_arn(key: str, task: str) -> str:
    """Return the ARN of a key given by ARN or id; empty for an alias, because policies name the key behind it."""
    if not key or ":alias/" in key or key.startswith("alias/"):
        return ""
    _, partition, _, region, account, _ = task.split(":", 5)
    return key if key.startswith("arn:") else f"arn:{partition}:kms:{region}:{account}:key/{key}"


def _cluster_arn(task: str) -> str:
    head, _, path = task.partition(":task/")
    return f"{head}:cluster/{path.partition('/')[0]}"


def _decisions(
    caller: Caller, who: str, asked: Iterable[tuple[tuple[str, ...], str]], context: Mapping[str, str]
) -> Decisions:
    results: list[Mapping[str, Any]] = []
    for actions, resource in asked:
        ask = {
            "PolicySourceArn": who,
            "ActionNames": list(actions),
            "ResourceArns": [resource],
            "ContextEntries": [
                {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for name, value in context.items()
                if value
            ],
        }
        answer = caller.patiently(lambda ask=ask: caller.aws.call("iam", "SimulatePrincipalPolicy", who, **ask))  # type: ignore[misc]
        results += answer.get("EvaluationResults", [])
    allowed = {str(one.get("EvalActionName")) for one in results if one.get("EvalDecision") == "allowed"}
    every = dict.fromkeys(str(one.get("EvalActionName")) for one in results)
    missing = {str(key) for one in results for key in one.get("MissingContextValues") or []}
    return Decisions(
        who,
        denied=tuple(action for action in every if action not in allowed),
        allowed=tuple(action for action in every if action in allowed),
        missing=tuple(sorted(missing)),
    )


# --- The route to SSM


def _subnet(task: Described) -> str:
    for attachment in task.get("attachments", []):
        for detail in attachment.get("details", []):
            if detail.get("name") == "subnetId":
                return str(detail.get("value", ""))
    return ""


def _endpoints(caller: Caller, subnet: str) -> list[Mapping[str, Any]] | Unavailable:
    def network() -> str:
        ask = {"SubnetIds": [subnet]}
        answer = caller.patiently(lambda: caller.aws.call("ec2", "DescribeSubnets", f"subnet {subnet}", **ask))
        return str(answer["Subnets"][0]["VpcId"]) if answer.get("Subnets") else ""

    vpc = _seen("ec2:DescribeSubnets", network)
    if isinstance(vpc, Unavailable):
        return vpc

    def look() -> list[Mapping[str, Any]]:
        ask = {"Filters": [{"Name": "vpc-id", "Values": [vpc]}]}
        answer = caller.patiently(lambda: caller.aws.call("ec2", "DescribeVpcEndpoints", f"VPC {vpc}", **ask))
        return list(answer.get("VpcEndpoints", []))

    return _seen("ec2:DescribeVpcEndpoints", look)
