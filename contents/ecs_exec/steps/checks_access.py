"""Makes the checks of permissions and of the route to SSM. Does no I/O.

An action that IAM's policy simulator does not allow is only a warning: the simulator does not know the policies of the
organization, of resources and of endpoints, nor all conditions. Only the command at the end of the step is a proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ecs_exec.steps.check import Check, unseen, warning
from ecs_exec.steps.facts import CONTROL, OPEN_CHANNEL, Decisions, Facts, Unavailable, key_and_logs


def caller(facts: Facts) -> Iterator[Check]:
    """Check the permissions of the plugin's credentials."""
    what, mine = "your permissions", facts.caller
    if mine is None:
        return
    if isinstance(mine, Unavailable):
        yield unseen(what, mine, "whether these credentials may call ecs:ExecuteCommand")
        return
    must = [action for action in mine.denied if action in {"ecs:ExecuteCommand", "kms:GenerateDataKey"}]
    should = [action for action in mine.denied if action in {"ssm:ResumeSession", "ssm:TerminateSession"}]
    if must:
        lacks = f"{mine.who} lacks {', '.join(must)}: grant it{_open(mine)}"
        yield warning(what, lacks, "caller-lacks-permission")
    else:
        yield Check("ok", what, "ecs:ExecuteCommand is allowed")
    if OPEN_CHANNEL in mine.denied:
        reason = "without it AWS may refuse the data channel, which is signed with these credentials"
        lacks = f"{mine.who} lacks {OPEN_CHANNEL} on the session: {reason}; grant it{_open(mine)}"
        yield warning(what, lacks, "caller-lacks-channel")
    if should:
        lost = "the plugin cannot resume a broken session, or cannot end a session"
        yield warning(what, f"{mine.who} lacks {', '.join(should)}: {lost}; grant it", "caller-lacks-resume")
    if "ssm:StartSession" in mine.allowed:
        text = "ssm:StartSession on the task is allowed, and the cluster's logs do not record its sessions: deny it"
        yield warning(what, text, "start-session-allowed")
    if not isinstance(facts.settings, Unavailable) and _hidden_key(facts.settings):
        yield Check(
            "not checkable",
            what,
            "kms:GenerateDataKey: the cluster names its key by an alias; use the key's id or ARN instead",
        )


def role(facts: Facts) -> Check:
    """Check the permissions of the task role, which the SSM agent in the container uses."""
    what, its = "task role", facts.role
    needs = f"{', '.join(action.replace('ssmmessages:', '') for action in CONTROL)}"
    if its is None:
        return Check("not checkable", what, f"whether there is one; the SSM agent needs ssmmessages:{needs}")
    if isinstance(its, Unavailable):
        return unseen(what, its, "whether the SSM agent may open its channels")
    if its.denied:
        lacks = f"{its.who} lacks {', '.join(its.denied)}: grant it{_open(its)}"
        return warning(what, lacks, "task-role-lacks-permission")
    return Check("ok", what, f"{its.who} allows {', '.join(its.allowed)}")


def _open(decisions: Decisions) -> str:
    """Return the condition keys that the simulation does not know, for the end of a line."""
    if not decisions.missing:
        return ""
    return f" (policies depend on {', '.join(decisions.missing)}, which the simulation does not know)"


def _hidden_key(settings: Mapping[str, Any]) -> bool:
    key, _ = key_and_logs(settings)
    return "alias/" in key


def way(facts: Facts) -> Check:
    """Check how the task's network reaches SSM."""
    what, endpoints = "route to SSM", facts.endpoints
    if endpoints is None:
        return Check(
            "not checkable", what, "the task has no network interface of its own; it uses the instance's network"
        )
    if isinstance(endpoints, Unavailable):
        return unseen(what, endpoints, "whether the VPC has an endpoint for ssmmessages")
    if not endpoints:
        return Check("ok", what, "the VPC has no endpoints: tasks need a NAT gateway or a public IP address")
    return _endpoint(what, facts.region, endpoints)


def _endpoint(what: str, region: str, endpoints: Sequence[Mapping[str, Any]]) -> Check:
    """Check the VPC endpoint of ssmmessages. In China, the names of endpoints begin with `cn.`."""
    name = f"com.amazonaws.{region}.ssmmessages"
    mine = [one for one in endpoints if str(one.get("ServiceName", "")).endswith(f".{region}.ssmmessages")]
    ready = [one for one in mine if str(one.get("State", "")).lower() == "available"]
    if not mine:
        lacks = "add it, unless there is a NAT gateway or a public IP address"
        return warning(what, f"the VPC has endpoints, but none for {name}: {lacks}", "endpoint-missing")
    if not ready:
        text = f"the endpoint {name} is {mine[0].get('State')}: wait, or create it again"
        return warning(what, text, "endpoint-not-ready")
    if not any(one.get("PrivateDnsEnabled", True) for one in ready):
        return warning(what, f"the endpoint {name} has no private DNS name: enable it", "endpoint-without-dns")
    return Check("ok", what, f"endpoint {ready[0].get('VpcEndpointId')} for {name}")
