"""Every property that can be set, with its texts, default and node attribute. New settings are added here only.

The readers in this package take names, defaults and node attributes from here. `make manifest` writes the forms
(plugin.yaml, resources/i18n/messages.properties) and the tables in README.md and docs/ from it.
"""

from __future__ import annotations

from typing import Literal

from ecs_exec.record import NamedTuple

Group = Literal["Script", "Command", "Target", "Step", "Credentials", "Filters", "Nodes", "Session", "Advanced"]
"""The groups of a form, in the order in which every form shows them."""


class Property(NamedTuple):
    """A configuration property of a provider."""

    name: str
    """The variable in the environment is RD_CONFIG_<NAME>."""
    title: str
    help: str
    """What it is, its form with an example, what empty means. `make manifest` adds the default and the attribute."""
    group: Group
    default: str = ""
    """This package applies it; forms only show it in the help. The job editor would store a default of plugin.yaml in
    each job, where it would override the project's setting. And Rundeck passes no defaults to node sources."""
    attribute: str = ""
    """The node attribute that overrides the configuration."""
    kind: Literal["String", "Boolean", "Integer", "Select"] = "String"
    values: tuple[str, ...] = ()
    """The choices of a Select."""
    required: bool = False
    """Forms only show it in the help: with a required property, a server rejects project settings that leave it out."""
    key_storage: bool = False
    """The configuration holds a Key Storage path; the environment holds the value that is stored there."""
    display: Literal["", "MULTI_LINE", "CODE", "HIDDEN"] = ""
    """How a form shows a long text. HIDDEN: the form keeps the value, but does not show it."""
    shell_text: bool = False
    """The text may hold references of the shell, like ${name}, beside Rundeck's; see `UNSET_REFERENCES`."""
    read_by_rundeck: bool = False
    """Rundeck reads its default in plugin.yaml; the plugin does not use it."""
    from_globals: str = ""
    """The global variable of the project or the server that holds its value. No form shows such a property."""
    administrator: bool = False
    """Only the project's or the server's configuration may set it; see `settings.administrator`."""


REGION = Property(
    "region",
    "Region",
    "AWS region, for example eu-west-1. Empty: the region in the node's ARNs, then the global variable ecs-region, then"
    " the server's AWS configuration.",
    "Target",
    attribute="ECS:Region",
)
ACCESS_KEY_ID = Property(
    "access-key-id",
    "Access Key ID",
    "Access key ID of static credentials, for example AKIAIOSFODNN7EXAMPLE. Empty: the profile, then the global"
    " variable ecs-access-key-id, then the server's default credentials: environment, shared files, container role or"
    " instance role.",
    "Credentials",
)
SECRET_ACCESS_KEY = Property(
    "secret-access-key",
    "Secret Access Key",
    "Key Storage path of the secret access key, for example keys/aws/secret. Store the key as a password. If it is"
    " empty, access-key-id must be empty, too. Node executor and file copier then use the global variable"
    " ecs-secret-access-key.",
    "Credentials",
    key_storage=True,
)
SESSION_TOKEN = Property(
    "session-token",
    "Session Token",
    "Key Storage path of the session token of temporary credentials, for example keys/aws/token. Store the token as a"
    " password. Empty: the access key has no session token.",
    "Credentials",
    key_storage=True,
)
PROFILE = Property(
    "profile",
    "Profile",
    "Profile in the AWS configuration of the user that runs Rundeck, for example ops. Empty: the access key, then the"
    " server's default credentials.",
    "Credentials",
    administrator=True,
)
ASSUME_ROLE_ARN = Property(
    "assume-role-arn",
    "Assume Role ARN",
    "ARN of a role to assume, for example arn:aws:iam::123456789012:role/rundeck. Empty: the global variable"
    " ecs-assume-role-arn; without it, no role is assumed.",
    "Credentials",
    attribute="assume-role-arn",
)
EXTERNAL_ID = Property(
    "external-id",
    "External ID",
    "External ID that the role's trust policy requires, for example rundeck-prod. If each role has its own, write"
    " ROLE-ARN=ID for each, separated by semicolons, for example"
    " arn:aws:iam::123456789012:role/rundeck=rundeck-prod. Empty: the global variable ecs-external-id; without it, no"
    " external ID is sent.",
    "Credentials",
)
SHARED_SECRET_ACCESS_KEY = Property(
    "shared-secret-access-key",
    "Shared Secret Access Key",
    "Key Storage path of the secret access key, from the global variable ecs-secret-access-key, for example"
    " keys/project/production/aws-secret.",
    "Credentials",
    key_storage=True,
    from_globals="ecs-secret-access-key",
)
SHARED_SESSION_TOKEN = Property(
    "shared-session-token",
    "Shared Session Token",
    "Key Storage path of the session token, from the global variable ecs-session-token, for example"
    " keys/project/production/aws-token.",
    "Credentials",
    key_storage=True,
    from_globals="ecs-session-token",
)
SHARED_SECRETS = (SHARED_SECRET_ACCESS_KEY, SHARED_SESSION_TOKEN)
"""Secrets that node executor and file copier find by global variables. Rundeck replaces references in the defaults of
these services only; in steps it replaces them only in what the job itself holds."""
ENDPOINT_URL = Property(
    "endpoint-url",
    "Endpoint URL",
    "One endpoint for every AWS call of the plugin, for example http://127.0.0.1:4566: of ECS, SSM, STS and KMS, in"
    " some steps also of CloudWatch Logs, Application Auto Scaling, IAM and EC2. To set the endpoint of one service"
    " only, use a variable of the server's environment, for example AWS_ENDPOINT_URL_ECS. Empty: the endpoints in the"
    " server's AWS configuration, then AWS's own.",
    "Advanced",
    administrator=True,
)
SSMMESSAGES_ENDPOINT = Property(
    "ssmmessages-endpoint",
    "Data Channel Endpoint",
    "Host of the data channel, with a port if it is not 443, for example"
    " vpce-1a2b.ssmmessages.eu-west-1.vpce.amazonaws.com. Set it for interface endpoints without private DNS. Empty:"
    " the environment variable AWS_ENDPOINT_URL_SSMMESSAGES, then the host that ECS returns.",
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
    "Shell in the container: a path or a name, for example /bin/bash. The value none is for images without a shell:"
    " the command is split into words and started directly, and its exit status is unknown.",
    "Session",
    "/bin/sh",
    "ecs-shell",
)
USER = Property(
    "user",
    "User",
    "User in the container that runs the command: a name or a number, for example app. The plugin uses setpriv,"
    " runuser or su, whichever the image has. Empty: root, the user of ECS Exec sessions.",
    "Session",
    attribute="ecs-user",
)
WORKDIR = Property(
    "workdir",
    "Working Directory",
    "Working directory in the container: an absolute path, for example /srv/app. Empty: the directory in which ECS"
    " Exec starts the session.",
    "Session",
    attribute="ecs-workdir",
)
TTY = Property(
    "tty",
    "Terminal",
    "Run the command on a terminal. stdout and stderr then arrive as one stream.",
    "Session",
    "false",
    "ecs-tty",
    kind="Boolean",
)
ENV = Property(
    "env",
    "Environment",
    "RD_* variables to pass to the command: comma-separated names; * matches any characters, for example"
    " RD_OPTION_*,RD_JOB_EXECID. Secure options are never passed. Empty: no variables.",
    "Session",
    attribute="ecs-env",
)
TIMEOUT = Property(
    "timeout",
    "Timeout",
    "Time that the command may run, in seconds, for example 600; 0 means no limit. A command that runs longer is"
    " stopped, and the exit status is 124.",
    "Session",
    "0",
    "ecs-timeout",
    kind="Integer",
)
CONNECT_TIMEOUT = Property(
    "connect-timeout",
    "Connect Timeout",
    "Time within which the command must start, retries included, in seconds, for example 60.",
    "Session",
    "30",
    "ecs-connect-timeout",
    kind="Integer",
)
TRANSPORT = Property(
    "transport",
    "Transport",
    "How the plugin connects to the container. native: its own data channel. session-manager-plugin: AWS's program"
    " with this name. auto: native first; AWS's program if the data channel cannot be opened and the program is"
    " installed.",
    "Advanced",
    "auto",
    "ecs-transport",
    kind="Select",
    values=("auto", "native", "session-manager-plugin"),
)
SESSION_MANAGER_PLUGIN = Property(
    "session-manager-plugin",
    "session-manager-plugin",
    "Path or name of AWS's session-manager-plugin program on this server, for example"
    " /usr/local/bin/session-manager-plugin. Only the transports session-manager-plugin and auto use it.",
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
    "AWS regions to read, comma-separated, for example eu-west-1,us-east-1. Empty: the older setting region if this"
    " source has it, then the server's AWS configuration.",
    "Target",
)
ROLES = ASSUME_ROLE_ARN._replace(
    title="Assume Role ARNs",
    help="ARNs of roles to assume, one for each account to read, comma-separated, for example"
    " arn:aws:iam::123456789012:role/rundeck. Each node gets its role as the attribute assume-role-arn, which the node"
    " executor uses. Empty: only the account of the credentials is read.",
    attribute="",
)
CLUSTERS = Property(
    "clusters",
    "Clusters",
    "Clusters to read: comma-separated names or ARNs; * matches any characters, for example web,batch-*. Empty: all"
    " clusters. An empty value and * need the permission ecs:ListClusters.",
    "Target",
)
FILTER_BEHAVIOR = Property(
    "filter-behavior",
    "Filter Behavior",
    "Which containers become nodes. include: those that match every filter. exclude: those that match no filter.",
    "Filters",
    "include",
    kind="Select",
    values=("include", "exclude"),
)
SERVICES = Property(
    "services",
    "Services",
    "Services to filter by: comma-separated names; * matches any characters, for example web,worker-*. Empty: no"
    " filter by service.",
    "Filters",
)
TASK_DEFINITIONS = Property(
    "task-definitions",
    "Task Definitions",
    "Task definitions to filter by: comma-separated families, with or without a revision; * matches any characters,"
    " for example api,web:12. Empty: no filter by task definition.",
    "Filters",
)
CONTAINERS = Property(
    "containers",
    "Containers",
    "Containers to filter by: comma-separated names; * matches any characters, for example app,*-sidecar. Empty: no"
    " filter by container.",
    "Filters",
)
CONTAINER_FILTER = Property(
    "container-filter",
    "Container Filter",
    "What the filter containers selects. container: the containers with these names. task: all containers of the tasks"
    " that have a container with one of these names.",
    "Filters",
    "container",
    kind="Select",
    values=("container", "task"),
)
TAGS = Property(
    "tags",
    "Tags",
    "Task tags to filter by: comma-separated key=value; * matches any characters, for example team=web,env=prod. If a"
    " key is listed with several values, any of them matches. A key alone matches any value. Empty: no filter by tag.",
    "Filters",
)
EXEC_READY_ONLY = Property(
    "exec-ready-only",
    "Exec-Ready Containers Only",
    "Make nodes only of containers that are running, have ECS Exec enabled and have a running exec agent.",
    "Filters",
    "false",
    kind="Boolean",
)
NODE_NAME = Property(
    "node-name",
    "Node Name",
    "Name of each node: text with attributes or fields in braces, for example {ECS:Service-Name,group}-{name}. If"
    " several nodes get the same name, the oldest keeps it and the others get the container's ID appended.",
    "Nodes",
    "{name}-{ECS:Container-ID}",
)
MAPPING = Property(
    "mapping",
    "Mapping",
    "Rules that set node attributes from values of the task, in the syntax of the EC2 node source or as YAML, for"
    " example hostname.selector=tags/Name,ECS:Private-IP; username.default=app; tags.selector=tags|tags/Role. Empty:"
    " the default attributes.",
    "Nodes",
    display="MULTI_LINE",
)
MAPPING_FILE = Property(
    "mapping-file",
    "Mapping File",
    "Path of a file on the Rundeck server with such rules, for example /etc/rundeck/ecs-mapping.properties. A rule of"
    " mapping replaces the file's rule with the same name. Empty: only mapping is used.",
    "Nodes",
)
STATIC_ATTRIBUTES = Property(
    "static-attributes",
    "Static Attributes",
    "Attributes that every node gets: name=value entries on separate lines or separated by semicolons, or YAML, for"
    " example ecs-user=app; ecs-workdir=/srv; tags=aws. Empty: no static attributes.",
    "Nodes",
    display="MULTI_LINE",
)
REFRESH_TIMEOUT = Property(
    "refresh-timeout",
    "Refresh Timeout",
    "Time that a refresh may take, in seconds, for example 600. A refresh that takes longer fails, and Rundeck keeps"
    " its current nodes.",
    "Advanced",
    "300",
    kind="Integer",
)
DEBUG = Property(
    "debug",
    "Debug",
    "Write details of each refresh to the server's log, service.log.",
    "Advanced",
    "false",
    kind="Boolean",
)

NODE_SOURCE = (
    REGIONS,
    REGION._replace(
        help="Old name of the setting regions, for a single region, for example eu-west-1. Empty: regions is used.",
        attribute="",
        display="HIDDEN",
    ),
    CLUSTERS,
    ACCESS_KEY_ID._replace(
        help="Access key ID of static credentials, for example AKIAIOSFODNN7EXAMPLE. Empty: the profile, then the"
        " server's default credentials: environment, shared files, container role or instance role.",
    ),
    SECRET_ACCESS_KEY._replace(
        help="Key Storage path of the secret access key, for example keys/aws/secret. Store the key as a password. If"
        " it is empty, access-key-id must be empty, too.",
    ),
    SESSION_TOKEN,
    PROFILE,
    ROLES,
    EXTERNAL_ID._replace(help=EXTERNAL_ID.help.partition(" Empty:")[0] + " Empty: no external ID is sent."),
    FILTER_BEHAVIOR,
    SERVICES,
    TASK_DEFINITIONS,
    CONTAINERS,
    CONTAINER_FILTER,
    TAGS,
    EXEC_READY_ONLY,
    NODE_NAME,
    MAPPING,
    MAPPING_FILE,
    STATIC_ATTRIBUTES,
    ENDPOINT_URL,
    REFRESH_TIMEOUT,
    DEBUG,
)
"""Properties of the node source."""

COPY = tuple(item for item in RUN if item not in (TTY, ENV))
"""Properties of the file copier."""

UNSET_REFERENCES = Property(
    "unset-references",
    "Unset References",
    "What Rundeck 6.2 and later does with references that have no value, for example preserveBash: Rundeck's"
    " references become empty, and the shell's are kept.",
    "Advanced",
    "preserveBash",
    display="HIDDEN",
    read_by_rundeck=True,
)
"""`unexpandableBehaviorFrom` of a `shell_text` property names this property: Rundeck 6.2 takes the behaviour from its
value or default. Older servers ignore that key. `blankIfUnexpandable: false` does not help on 6.1: it leaves an unset
${option.x} in the script, which shells reject as a bad substitution."""
SCRIPT = Property(
    "script",
    "Script",
    "Script to run, for example lines that start with #!/bin/bash. Rundeck replaces references such as"
    " ${option.name}; a reference without a value becomes empty. Before Rundeck 6.2, every other ${...} becomes empty,"
    " too: write $name there, or use a script file.",
    "Script",
    display="CODE",
    shell_text=True,
)
SCRIPT_FILE = Property(
    "script-file",
    "Script File",
    "Path of a script on the Rundeck server, used instead of the script text, for example /srv/scripts/deploy.sh. The"
    " file may have any size. Windows line endings in a text file become Unix ones. Empty: the script text is used.",
    "Script",
)
SCRIPT_FOLDER = Property(
    "script-folder",
    "Script Folder",
    "Folder on the Rundeck server that must contain every script-file, for example /srv/scripts. Symbolic links are"
    " resolved before the check. Empty: a step may name any file that the user of the Rundeck service can read.",
    "Script",
    administrator=True,
)
ARGUMENTS = Property(
    "arguments",
    "Arguments",
    'Arguments of the script, quoted as in a shell, for example --force "two words". Shell variables and patterns are'
    " not expanded. Empty: no arguments.",
    "Script",
)
INTERPRETER = Property(
    "interpreter",
    "Interpreter",
    "Program in the container that runs the script, with its options, for example bash -eu. The program gets the"
    " path of the script. It reads the script from stdin instead if its options ask for that, as in python3 - and bash"
    " -s, or if the last word is <. Empty: the program in the script's first line, else the shell.",
    "Script",
)
SECURE_OPTIONS = Property(
    "secure-options",
    "Secure Options",
    "Secure options to pass to the script as RD_OPTION_<NAME>: comma-separated option names, for example"
    " db-password,token. Empty: no secure options.",
    "Script",
)
_SCRIPT_ENV = ENV._replace(
    help=ENV.help.removesuffix(" Empty: no variables."),
    default="RD_OPTION_*,RD_NODE_*,RD_JOB_*",
)
SCRIPT_STEP = (
    SCRIPT,
    SCRIPT_FILE,
    SCRIPT_FOLDER,
    ARGUMENTS,
    INTERPRETER,
    SECURE_OPTIONS,
    *(_SCRIPT_ENV if item is ENV else item for item in RUN),
    UNSET_REFERENCES,
)
"""Properties of the script step, without ACCESS."""

GLOBALS = ("ecs-region", "ecs-access-key-id", "ecs-assume-role-arn", "ecs-external-id")
"""Global variables of a project (`project.globals.…`) or of the server (`framework.globals.…`) that are used if the
provider's own setting is empty. Those of secrets are in SHARED_SECRETS."""

SECRET = frozenset(
    {
        *(item.name for item in (SECRET_ACCESS_KEY, SESSION_TOKEN, EXTERNAL_ID)),
        *(f"globals.{item.from_globals}" for item in SHARED_SECRETS),
        "globals.ecs-external-id",
    }
)
"""Properties and global variables whose values are never shown."""
