"""What the facts say of permissions, and of the way to SSM. Pure.

What IAM's policy simulator does not allow is a warning: it knows no policies of the organization, of resources and of
endpoints, and not all conditions. Only the command at the end of the step proves what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ecs_exec.steps.check import Check, unseen
from ecs_exec.steps.facts import CONTROL, OPEN_CHANNEL, Decisions, Facts, Unseen, key_and_logs


def caller(facts: Facts) -> Iterator[Check]:
    """Look at what the credentials may do."""
    what, mine = "your permissions", facts.caller
    if mine is None:
        return
    if isinstance(mine, Unseen):
        yield unseen(what, mine, "whether these credentials may call ecs:ExecuteCommand")
        return
    must = [action for action in mine.denied if action in {"ecs:ExecuteCommand", "kms:GenerateDataKey"}]
    should = [action for action in mine.denied if action in {"ssm:ResumeSession", "ssm:TerminateSession"}]
    if must:
        yield Check("warning", what, f"{mine.who} lacks {', '.join(must)}: grant it{_open(mine)}")
    else:
        yield Check("ok", what, "ecs:ExecuteCommand is allowed")
    if OPEN_CHANNEL in mine.denied:
        reason = "the data channel is signed with these credentials, and without it AWS may refuse the signature"
        yield Check("warning", what, f"{mine.who} lacks {OPEN_CHANNEL} on the session: {reason}; grant it{_open(mine)}")
    if should:
        lost = "a broken connection cannot be taken up again, or a session not be ended from here"
        yield Check("warning", what, f"{mine.who} lacks {', '.join(should)}: without it {lost}; grant it")
    if "ssm:StartSession" in mine.allowed:
        text = "ssm:StartSession on the task is allowed, which opens sessions past the cluster's logs: deny it"
        yield Check("warning", what, text)
    if not isinstance(facts.settings, Unseen) and _hidden_key(facts.settings):
        yield Check("not checkable", what, "kms:GenerateDataKey: the cluster names its key by an alias; name the key")


def role(facts: Facts) -> Check:
    """Look at what the SSM agent in the container may do."""
    what, its = "task role", facts.role
    needs = f"{', '.join(action.replace('ssmmessages:', '') for action in CONTROL)}"
    if its is None:
        return Check("not checkable", what, f"whether there is one; the SSM agent needs ssmmessages:{needs}")
    if isinstance(its, Unseen):
        return unseen(what, its, "whether the SSM agent may open its channels")
    if its.denied:
        return Check("warning", what, f"{its.who} lacks {', '.join(its.denied)}: grant it{_open(its)}")
    return Check("ok", what, f"{its.who} allows {', '.join(its.allowed)}")


def _open(decisions: Decisions) -> str:
    """Say what a simulation could not know."""
    if not decisions.missing:
        return ""
    return f" (policies ask for {', '.join(decisions.missing)}, which a simulation cannot tell)"


def _hidden_key(settings: Mapping[str, Any]) -> bool:
    key, _ = key_and_logs(settings)
    return "alias/" in key


def way(facts: Facts) -> Check:
    """Look at how the task's network reaches SSM."""
    what, endpoints = "way to SSM", facts.endpoints
    if endpoints is None:
        return Check("not checkable", what, "the task has no network interface of its own; it takes the instance's way")
    if isinstance(endpoints, Unseen):
        return unseen(what, endpoints, "whether the VPC has an endpoint for ssmmessages")
    if not endpoints:
        return Check("ok", what, "the VPC has no endpoints: tasks need a NAT gateway or a public IP address")
    name = f"com.amazonaws.{facts.region}.ssmmessages"
    mine = [one for one in endpoints if str(one.get("ServiceName", "")).endswith(f".{facts.region}.ssmmessages")]
    ready = [one for one in mine if str(one.get("State", "")).lower() == "available"]
    if not mine:
        text = (
            f"the VPC has endpoints, but none for {name}: add it, unless there is a NAT gateway or a public IP address"
        )
    elif not ready:
        text = f"the endpoint {name} is {mine[0].get('State')}: wait, or make it anew"
    elif not any(one.get("PrivateDnsEnabled", True) for one in ready):
        text = f"the endpoint {name} has no private DNS name: turn that on"
    else:
        return Check("ok", what, f"endpoint {ready[0].get('VpcEndpointId')} for {name}")
    return Check("warning", what, text)
