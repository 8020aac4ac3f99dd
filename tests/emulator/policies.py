"""IAM's answers about users and roles: moto lacks SimulatePrincipalPolicy."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from xml.sax.saxutils import escape

from emulator.aws import ApiError, Request, Response
from emulator.world import World

_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


def user(world: World) -> str:
    """Return the user that every access key belongs to."""
    return f"arn:aws:iam::{world.account}:user/rundeck"


def simulate(request: Request, world: World) -> Response:
    """Answer SimulatePrincipalPolicy: what the world denies is denied, all else is allowed."""
    denied = _denied(request.text("PolicySourceArn"), world)
    resource = request.text("ResourceArns.member.1", "*")
    results = "".join(_result(action, resource, denied) for action in members(request, "ActionNames"))
    body = (
        f'<SimulatePrincipalPolicyResponse xmlns="{_NAMESPACE}"><SimulatePrincipalPolicyResult>'
        f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"
        f"</SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
        "</SimulatePrincipalPolicyResponse>"
    )
    return Response(200, body.encode(), {"Content-Type": "text/xml"})


def members(request: Request, name: str) -> list[str]:
    """Return a list of the query protocol."""
    found = [key for key in request.parameters if re.fullmatch(rf"{name}\.member\.\d+", key)]
    return [request.text(key) for key in sorted(found, key=lambda key: int(key.rpartition(".")[2]))]


def _denied(arn: str, world: World) -> Collection[str]:
    if arn == user(world):
        return {action for cluster in world.clusters for action in cluster.deny} | set(world.deny)
    groups = [group for cluster in world.clusters for group in cluster.groups]
    role = next((group for group in groups if arn == f"arn:aws:iam::{world.account}:role/{group.family}"), None)
    if role is None:
        raise ApiError("NoSuchEntity", f"The role with name {arn.rpartition('/')[2]} cannot be found.", 404)
    return role.role_deny


def _result(action: str, resource: str, denied: Collection[str]) -> str:
    decision = "implicitDeny" if action in denied else "allowed"
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>{escape(resource)}</EvalResourceName><EvalDecision>{decision}</EvalDecision>"
        "<MatchedStatements/><MissingContextValues/></member>"
    )
