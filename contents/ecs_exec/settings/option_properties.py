"""The properties of the providers that list names for the options of jobs.

Rundeck gives these providers the configuration of the project and the server, and nothing else: no job, no global
variables, no values from Key Storage. So there are no settings for access keys.
"""

from __future__ import annotations

from ecs_exec.settings.properties import ASSUME_ROLE_ARN, ENDPOINT_URL, EXTERNAL_ID, PROFILE, REGION, Property
from ecs_exec.settings.step_properties import CLUSTER, FAMILY, SERVICE

NAMES = Property(
    "names",
    "Names",
    "Names to list: comma-separated; * matches any characters, for example shop-*,web. Empty: all names.",
    "Filters",
)
_LISTED_CLUSTER = CLUSTER._replace(
    help="Name or ARN of the cluster whose names are listed, for example prod. Empty: the cluster named default."
)
_LISTED_SERVICE = SERVICE._replace(
    help="Name or ARN of a service, for example web: only the containers of its running tasks are listed. Empty: family"
    " is used; if it is empty, too, the containers of all running tasks of the cluster."
)
_LISTED_FAMILY = FAMILY._replace(
    help="Family of a task definition, without a revision, for example nightly-report: only the containers of its"
    " running tasks are listed. Empty: service is used."
)
_ACCESS = (
    REGION._replace(
        help="AWS region, for example eu-west-1. Empty: the region in an ARN of the settings, then the one in the"
        " server's AWS configuration.",
        attribute="",
    ),
    PROFILE._replace(
        help="Profile in the AWS configuration of the user that runs Rundeck, for example ops. Empty: the server's"
        " default credentials: environment, shared files, container role or instance role."
    ),
    ASSUME_ROLE_ARN._replace(
        help="ARN of a role to assume, for example arn:aws:iam::123456789012:role/rundeck. Empty: no role is assumed.",
        attribute="",
    ),
    EXTERNAL_ID._replace(
        help="External ID that the role's trust policy requires, for example rundeck-prod. Empty: no external ID is"
        " sent."
    ),
    ENDPOINT_URL,
)

CLUSTERS = (NAMES, *_ACCESS)
SERVICES = (_LISTED_CLUSTER, NAMES, *_ACCESS)
FAMILIES = (NAMES, *_ACCESS)
CONTAINERS = (_LISTED_CLUSTER, _LISTED_SERVICE, _LISTED_FAMILY, NAMES, *_ACCESS)
