"""Every property that can be set, and all that is known of it: the one place where a setting is added.

The readers in this package take names, defaults and node attributes from here. `make manifest` writes from it what
Rundeck's forms show (plugin.yaml, resources/i18n/messages.properties) and the tables in README.md.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Group = Literal["Script", "Credentials", "Target", "Session", "Step", "Filters", "Nodes", "Advanced"]


class Property(NamedTuple):
    """A configuration property of a provider."""

    name: str
    """RD_CONFIG_<NAME> in the environment."""
    title: str
    help: str
    """Form, meaning and an example, in whole sentences; the default and the attribute are added to it."""
    group: Group
    default: str = ""
    """Applied here, too: Rundeck gives no defaults to node sources."""
    attribute: str = ""
    """The node attribute that overrides the configuration."""
    kind: Literal["String", "Boolean", "Integer", "Select"] = "String"
    values: tuple[str, ...] = ()
    """What a Select offers."""
    required: bool = False
    key_storage: bool = False
    """The configuration holds a Key Storage path, the environment what is stored there."""
    display: Literal["", "MULTI_LINE", "CODE"] = ""
    """How a form shows a longer text."""
    keep_unknown: bool = False
    """Leave references that Rundeck does not know as they are: in a script they are the shell's."""
    administrator: bool = False
    """Only the project's or the server's configuration sets it; see `settings.administrator`."""


REGION = Property(
    "region",
    "Region",
    "AWS region, for example eu-west-1. Empty: the region inside the node's ARNs, else that of the server's AWS"
    " configuration.",
    "Target",
    attribute="ECS:Region",
)
ACCESS_KEY_ID = Property(
    "access-key-id",
    "Access Key ID",
    "Access key id, for example AKIAIOSFODNN7EXAMPLE. With neither key nor profile the server's own credentials are"
    " used: environment, shared files, container or instance role.",
    "Credentials",
)
SECRET_ACCESS_KEY = Property(
    "secret-access-key",
    "Secret Access Key",
    "Key Storage path of the secret key that belongs to the access key id, stored as a password, for example"
    " keys/aws/secret.",
    "Credentials",
    key_storage=True,
)
SESSION_TOKEN = Property(
    "session-token",
    "Session Token",
    "Key Storage path of the session token that temporary keys come with, for example keys/aws/token.",
    "Credentials",
    key_storage=True,
)
PROFILE = Property(
    "profile",
    "Profile",
    "Name of a profile in the AWS configuration of the user that runs Rundeck, for example ops.",
    "Credentials",
    administrator=True,
)
ASSUME_ROLE_ARN = Property(
    "assume-role-arn",
    "Assume Role ARN",
    "Role to assume after authentication, for example arn:aws:iam::123456789012:role/rundeck.",
    "Credentials",
    attribute="assume-role-arn",
)
EXTERNAL_ID = Property(
    "external-id",
    "External ID",
    "External id that the role's trust policy asks for, for example rundeck-prod.",
    "Credentials",
)
ENDPOINT_URL = Property(
    "endpoint-url",
    "Endpoint URL",
    "One endpoint for ECS, SSM, STS and KMS in place of AWS's public ones, for example"
    " https://vpce-1a2b.ecs.eu-west-1.vpce.amazonaws.com or http://127.0.0.1:4566.",
    "Advanced",
    administrator=True,
)
SSMMESSAGES_ENDPOINT = Property(
    "ssmmessages-endpoint",
    "Data Channel Endpoint",
    "Host, with a port if it is not 443, to which sessions connect instead of the host that ECS names, for example"
    " vpce-1a2b.ssmmessages.eu-west-1.vpce.amazonaws.com: for interface endpoints without private DNS.",
    "Advanced",
    administrator=True,
)

ACCESS = (
    REGION,
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    PROFILE,
    ASSUME_ROLE_ARN,
    EXTERNAL_ID,
    ENDPOINT_URL,
    SSMMESSAGES_ENDPOINT,
)
"""Properties of every provider."""

SHELL = Property(
    "shell",
    "Shell",
    "Shell in the container, a path or a name, for example /bin/bash. none: the words of the command are executed"
    " without a shell, for images that have none; then there is no exit status.",
    "Session",
    "/bin/sh",
    "ecs-shell",
)
USER = Property(
    "user",
    "User",
    "User in the container to run as, a name or a number, for example app; by setpriv, runuser or su, whichever is"
    " there. Empty: the one that ECS Exec gives, root.",
    "Session",
    attribute="ecs-user",
)
WORKDIR = Property(
    "workdir",
    "Working Directory",
    "Directory in the container to run in, an absolute path, for example /srv/app. Empty: the one that ECS Exec gives.",
    "Session",
    attribute="ecs-workdir",
)
TTY = Property(
    "tty",
    "Terminal",
    "true: the command gets a terminal as stdout, and stderr is merged into it.",
    "Session",
    "false",
    "ecs-tty",
    kind="Boolean",
)
ENV = Property(
    "env",
    "Environment",
    "Names of RD_* variables that the command gets, with commas between and * for any characters, for example"
    " RD_OPTION_*,RD_JOB_EXECID. Secure options are never among them.",
    "Session",
    attribute="ecs-env",
)
TIMEOUT = Property(
    "timeout",
    "Timeout",
    "Seconds the command may run, for example 600; 0: no limit. Then it is stopped, and the exit status is 124.",
    "Session",
    "0",
    "ecs-timeout",
    kind="Integer",
)
CONNECT_TIMEOUT = Property(
    "connect-timeout",
    "Connect Timeout",
    "Seconds until the command must have begun, retries included, for example 60.",
    "Session",
    "30",
    "ecs-connect-timeout",
    kind="Integer",
)
TRANSPORT = Property(
    "transport",
    "Transport",
    "How the container is reached. native: the plugin's own data channel. session-manager-plugin: AWS's program of"
    " that name. auto: native, and the program where native cannot be had and the program is installed.",
    "Advanced",
    "auto",
    "ecs-transport",
    kind="Select",
    values=("auto", "native", "session-manager-plugin"),
    required=True,
)
SESSION_MANAGER_PLUGIN = Property(
    "session-manager-plugin",
    "session-manager-plugin",
    "Path or name of AWS's program on this server, for example /usr/local/bin/session-manager-plugin; only that"
    " transport needs it.",
    "Advanced",
    "session-manager-plugin",
    administrator=True,
)

RUN = (
    SHELL,
    USER,
    WORKDIR,
    TTY,
    ENV,
    TIMEOUT,
    CONNECT_TIMEOUT,
    TRANSPORT,
    SESSION_MANAGER_PLUGIN,
)
"""Properties of the providers that run commands."""

REGIONS = Property(
    "regions",
    "Regions",
    "AWS regions to read, with commas between, for example eu-west-1,us-east-1. Empty: the one region of the setting"
    " region, else that of the server's AWS configuration.",
    "Target",
)
ROLES = ASSUME_ROLE_ARN._replace(
    title="Assume Role ARNs",
    help="Roles to assume after authentication, one for each account to read, with commas between, for example"
    " arn:aws:iam::123456789012:role/rundeck. The nodes carry theirs to the node executor.",
    attribute="",
)
CLUSTERS = Property(
    "clusters",
    "Clusters",
    "Names or ARNs of clusters, with commas between and * for any characters, for example web,batch-*. Empty: all;"
    " that, and *, need ecs:ListClusters.",
    "Target",
)
FILTER_BEHAVIOR = Property(
    "filter-behavior",
    "Filter Behavior",
    "include: nodes are the containers that fit every filter that is set. exclude: all but those that fit any.",
    "Filters",
    "include",
    kind="Select",
    values=("include", "exclude"),
    required=True,
)
SERVICES = Property(
    "services",
    "Services",
    "Names of services, with commas between and * for any characters, for example web,worker-*.",
    "Filters",
)
TASK_DEFINITIONS = Property(
    "task-definitions",
    "Task Definitions",
    "Families of task definitions, or families with a revision, with commas between and * for any characters, for"
    " example api,web:12.",
    "Filters",
)
CONTAINERS = Property(
    "containers",
    "Containers",
    "Names of containers, with commas between and * for any characters, for example app,*-sidecar.",
    "Filters",
)
TAGS = Property(
    "tags",
    "Tags",
    "Tags of tasks, key=value, with commas between and * for any characters, for example team=web,env=prod. Several"
    " values of one key: any of them; a key alone: any value.",
    "Filters",
)
EXEC_READY_ONLY = Property(
    "exec-ready-only",
    "Only where Commands Can Run",
    "true: nodes are only the containers that run, have ECS Exec enabled, and whose agent for it runs.",
    "Filters",
    "false",
    kind="Boolean",
)
NODE_NAME = Property(
    "node-name",
    "Node Name",
    "Name of each node: a text with attributes or fields in braces, for example {ECS:Service-Name,group}-{name}. Of"
    " several nodes with one name the oldest keeps it, and the others get the container's id added.",
    "Nodes",
    "{name}-{ECS:Container-ID}",
)
MAPPING = Property(
    "mapping",
    "Mapping",
    "Attributes from values of the task, in the grammar of the EC2 node source or as YAML, for example"
    " hostname.selector=tags/Name,privateIpv4Address; username.default=app; tags.selector=tags|tags/Role.",
    "Nodes",
    display="MULTI_LINE",
)
STATIC_ATTRIBUTES = Property(
    "static-attributes",
    "Static Attributes",
    "Attributes that every node gets, name=value on a line each or with semicolons between, or YAML, for example"
    " ecs-user=app; ecs-workdir=/srv; tags=aws.",
    "Nodes",
    display="MULTI_LINE",
)
REFRESH_TIMEOUT = Property(
    "refresh-timeout",
    "Refresh Timeout",
    "Seconds until a refresh must be complete, for example 600. Then it fails, and Rundeck keeps the nodes it has.",
    "Advanced",
    "300",
    kind="Integer",
)
DEBUG = Property(
    "debug",
    "Debug",
    "true: details of each refresh go to the server's log.",
    "Advanced",
    "false",
    kind="Boolean",
)

NODE_SOURCE = (
    REGIONS,
    REGION._replace(
        help="AWS region, for example eu-west-1, where regions is empty. Empty: that of the server's AWS"
        " configuration.",
        attribute="",
    ),
    CLUSTERS,
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    PROFILE,
    ROLES,
    EXTERNAL_ID,
    FILTER_BEHAVIOR,
    SERVICES,
    TASK_DEFINITIONS,
    CONTAINERS,
    TAGS,
    EXEC_READY_ONLY,
    NODE_NAME,
    MAPPING,
    STATIC_ATTRIBUTES,
    ENDPOINT_URL,
    REFRESH_TIMEOUT,
    DEBUG,
)
"""Properties of the node source."""

COPY = tuple(item for item in RUN if item not in (TTY, ENV))
"""Properties of the file copier."""

SCRIPT = Property(
    "script",
    "Script",
    "The script, for example lines that begin with #!/bin/bash. Rundeck replaces references like ${option.name} in it;"
    " before 6.1 it puts nothing in the place of every other ${...}, the shell's own too: there write $name, or keep"
    " the script in a file.",
    "Script",
    display="CODE",
    keep_unknown=True,
)
SCRIPT_FILE = Property(
    "script-file",
    "Script File",
    "Path of the script on the Rundeck server, for example /srv/scripts/deploy.sh, in place of its text. It may"
    " be of any size. Windows line ends of a text become Unix ones.",
    "Script",
)
SCRIPT_FOLDER = Property(
    "script-folder",
    "Script Folder",
    "Folder on the Rundeck server that holds every script-file, for example /srv/scripts; links are followed before"
    " they are looked at. Empty: a step may name any file that the user who runs Rundeck can read.",
    "Script",
    administrator=True,
)
ARGUMENTS = Property(
    "arguments",
    "Arguments",
    'Arguments of the script, with quotes as a shell reads them, for example --force "two words". Nothing else in them'
    " is expanded.",
    "Script",
)
INTERPRETER = Property(
    "interpreter",
    "Interpreter",
    "Program in the container that reads the script, for example bash -eu. The script is its stdin where it says so, as"
    " in python3 - and bash -s, or with < as the last word. Empty: the one in the script's first line, else the shell.",
    "Script",
)
SECURE_OPTIONS = Property(
    "secure-options",
    "Secure Options",
    "Names of secure options that the script gets as RD_OPTION_<NAME>, with commas between, for example"
    " db-password,token. Without it, it gets none.",
    "Script",
)
SCRIPT_STEP = (
    SCRIPT,
    SCRIPT_FILE,
    SCRIPT_FOLDER,
    ARGUMENTS,
    INTERPRETER,
    SECURE_OPTIONS,
    *(ENV._replace(default="RD_OPTION_*,RD_NODE_*,RD_JOB_*") if item is ENV else item for item in RUN),
)
"""Properties of the script step, without those of its session that have to be the same everywhere."""

SECRET = frozenset({SECRET_ACCESS_KEY.name, SESSION_TOKEN.name, EXTERNAL_ID.name})
"""Their values are shown to nobody."""
