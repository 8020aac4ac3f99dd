"""Causes of sessions that were not opened, or that ended before their command. Does no I/O."""

from __future__ import annotations

from ecs_exec.errors.causes.cause import Cause, Section

OPENING = (
    Cause(
        "sessions-in-use",
        "the ECS Exec agent runs but takes no session: most likely all sessions of the container are in use, 2 at a"
        " time by default",
        "wait until others end (aws ssm describe-sessions --state Active), or ask AWS for a higher quota",
    ),
    Cause(
        "not-aws",
        "the answer did not come from AWS",
        "check endpoint-url and HTTPS_PROXY; curl shows who answers",
    ),
    Cause(
        "no-answer",
        "no answer from the container within {seconds} s",
        "check that the task's exec agent is RUNNING and can reach SSM (ssmmessages), or raise connect-timeout",
    ),
    Cause(
        "begin-not-seen",
        "the command did not begin within {seconds} s",
        "check whether the container is short of CPU, or raise connect-timeout",
    ),
    Cause(
        "channel-not-opened",
        "the data channel to SSM (ssmmessages, port 443, a websocket) could not be opened from this server; the line"
        " says why and what to check",
        "test it from the server as the user that runs Rundeck: curl -sv https://ssmmessages.REGION.amazonaws.com",
    ),
    Cause(
        "channel-name-unknown",
        "cannot open the data channel because its host name cannot be resolved: {why}",
        "check DNS, the region, and in a VPC without internet access the interface endpoint for ssmmessages (private"
        " DNS)",
    ),
    Cause(
        "channel-unreachable",
        "cannot open the data channel because its host cannot be reached: {why}",
        "check that this server can reach that host and port: a route to the internet, a VPC endpoint for ssmmessages,"
        " or HTTPS_PROXY",
    ),
    Cause(
        "channel-proxy",
        "cannot open the data channel because the proxy does not let it through: {why}",
        "check HTTPS_PROXY and NO_PROXY, the proxy's user and password, and that the proxy allows CONNECT to that host",
    ),
    Cause(
        "channel-certificate",
        "cannot open the data channel because the certificate is not trusted: {why}",
        "if a proxy inspects TLS, set AWS_CA_BUNDLE to a file with its certificate authority",
    ),
    Cause(
        "ca-bundle-unreadable",
        "cannot open the data channel because the certificate authorities cannot be read: {why}",
        "check ca_bundle of the profile, AWS_CA_BUNDLE and REQUESTS_CA_BUNDLE",
    ),
    Cause(
        "channel-silent",
        "cannot open the data channel because the other side does not answer: {why}",
        "something accepted the connection but does not answer: check proxies and the VPC endpoint for ssmmessages",
    ),
    Cause(
        "channel-not-websocket",
        "cannot open the data channel because the other side did not answer as a websocket: {why}",
        "check the stream URL, and proxies between this server and SSM: a proxy may remove the Upgrade header",
    ),
    Cause(
        "channel-token-invalid",
        "cannot open the data channel because the session's token is refused: {why}",
        "check ssmmessages-endpoint and the proxy: the session's token is not valid at this host",
    ),
    Cause(
        "channel-forbidden",
        "cannot open the data channel because access to it is forbidden: {why}",
        "allow ssmmessages:OpenDataChannel on the session for these credentials, and check the policy of the VPC"
        " endpoint, the proxy and this server's clock",
        "ssmmessages:OpenDataChannel",
    ),
    Cause(
        "channel-clock-wrong",
        "AWS refuses the data channel: the time of the signature is not valid",
        "set this server's clock (timedatectl, chronyc tracking)",
    ),
    Cause(
        "channel-credentials-expired",
        "AWS refuses the data channel: the credentials have expired",
        "renew them; a role of the server, or assume-role-arn, renews itself",
    ),
    Cause(
        "channel-key-unknown",
        "AWS refuses the data channel: it does not know the access key id or the session token",
        "check access-key-id and session-token",
    ),
    Cause(
        "channel-secret-wrong",
        "AWS refuses the data channel: the secret access key does not belong to the access key id",
        "check secret-access-key",
    ),
    Cause(
        "channel-signature-damaged",
        "AWS refuses the data channel: the signature arrived incomplete",
        "check the proxy: it must not change headers (HTTPS_PROXY, NO_PROXY)",
    ),
    Cause(
        "stream-url-expired",
        "the session's presigned stream URL had expired when the data channel was opened",
        "check this server's clock, or run the command again",
    ),
    Cause(
        "stream-url-presigned",
        "session-manager-plugin cannot open a presigned stream URL at ssmmessages-endpoint",
        "set transport to native",
    ),
    Cause(
        "channel-not-signed",
        "the request for the data channel cannot be signed, because there are no credentials",
        "read AWS's words at the end of the line, and see Credentials on this page",
    ),
    Cause(
        "handshake-refused",
        "the agent asks for a session that this transport cannot make, or for a KMS key that cannot be used",
        "grant kms:GenerateDataKey on the cluster's key to these credentials; otherwise set transport to"
        " session-manager-plugin",
        "kms:GenerateDataKey",
    ),
    Cause(
        "handshake-missed",
        "the agent began its handshake after the plugin had sent input, so the command was not run",
        "raise connect-timeout, so that there is time for another attempt",
    ),
    Cause(
        "program-missing",
        "the program {program} is not on this server",
        "install AWS's session-manager-plugin, give its path in the setting session-manager-plugin, or set transport to"
        " native",
    ),
    Cause(
        "program-failed",
        "AWS's session-manager-plugin could not be started or ended before its session",
        "run it by hand: session-manager-plugin --version; it must be built for this server's processor",
    ),
)

RUNNING = (
    Cause(
        "shell-missing",
        "the image does not have the shell",
        "set shell or ecs-shell to a shell that the image has, or to none",
    ),
    Cause(
        "shell-unusable",
        "the shell ended before it read the plugin's script: it is probably not a POSIX shell",
        "set shell or ecs-shell to dash, bash, busybox ash, ksh93, mksh, yash or zsh",
    ),
    Cause(
        "shell-restricted",
        "the shell is a restricted shell, for example rbash",
        "set shell or ecs-shell to one without restrictions",
    ),
    Cause(
        "user-unknown",
        "the container does not have the user",
        "check user or ecs-user, and /etc/passwd in the image",
    ),
    Cause(
        "group-unknown",
        "the container does not have the group that is given after the user, as in user:group",
        "check user or ecs-user, and /etc/group in the image",
    ),
    Cause(
        "user-not-switched",
        "the container's user is not allowed to become the other user, or the image has no program for that",
        "run the container as root, or add setpriv, runuser or su to the image; or leave user empty",
    ),
    Cause(
        "workdir-missing",
        "the directory of workdir does not exist in the container, or cannot be entered",
        "check workdir or ecs-workdir",
    ),
    Cause(
        "no-processes-left",
        "the container has reached its limit of processes",
        "end some processes, or raise the limit (pids limit, ulimit -u); the line says how many a session needs",
    ),
    Cause(
        "command-incomplete",
        "the command arrived incomplete, and was not started",
        "run the job again",
    ),
    Cause(
        "command-not-run",
        "the container's shell did not begin the command; the line says why",
        "do what the line says; no part of the command was started",
    ),
    Cause(
        "session-ended",
        "the session ended before the end of the command was seen; the service's or the agent's words follow",
        "find out what the command has done before you run it again: the plugin never runs a command twice",
    ),
    Cause(
        "session-disturbed",
        "something in the container wrote into the session, so the command's output and exit status are not known",
        "find what prints to the session's terminal in the container, for example a startup file of the image",
    ),
    Cause(
        "status-unknown",
        "the command ran, but its exit status is not known",
        "set shell to another shell of the image",
    ),
    Cause(
        "task-vanished",
        "the task is gone, and ECS no longer knows it",
        "look for a deployment or scale-in; run long commands in a task of their own (aws ecs run-task)",
    ),
    Cause(
        "task-stopped-meanwhile",
        "the task has stopped ({how})",
        "the step Stopped Task Details explains the reason; run long commands in a task of their own",
    ),
    Cause(
        "container-stopped",
        "the container has stopped ({how})",
        "look at its log; the step Stopped Task Details explains the reason",
    ),
    Cause(
        "agent-stopped-meanwhile",
        "the ECS Exec agent in the container has stopped{because}",
        "start a new task: the agent does not start again in this one",
    ),
    Cause(
        "channel-lost",
        "the data channel broke and could not be resumed",
        "grant ssm:ResumeSession; if it breaks every few minutes, look for an idle limit of a proxy, NAT gateway or"
        " VPN",
        "ssm:ResumeSession",
    ),
    Cause(
        "channel-cut-often",
        "the data channel broke many times within a minute",
        "look at the proxy, NAT gateway or VPN between this server and SSM, and at this server's load",
    ),
    Cause(
        "session-over",
        "the session had ended when its data channel broke, so it could not be resumed",
        "look at the task: the container, its agent or the host may have stopped",
    ),
    Cause(
        "resume-without-url",
        "ssm:ResumeSession gave no stream URL",
        "try again; if it happens again, set transport to session-manager-plugin",
    ),
    Cause(
        "output-lost",
        "a part of the output did not arrive",
        "run the command again if that does no harm; check the connection to SSM",
    ),
    Cause(
        "channel-protocol",
        "the data channel delivered data that an SSM agent does not send",
        "remove proxies that inspect TLS, or set transport to session-manager-plugin; report it with the agent's"
        " version",
    ),
    Cause(
        "output-not-written",
        "the command's output cannot be written: {why}",
        "check the disk space of the Rundeck server, and its log",
    ),
    Cause(
        "timed-out",
        "the command or the copy ran longer than timeout allows, and was stopped (exit status 124)",
        "raise timeout or ecs-timeout, or find out what it waits for",
    ),
    Cause(
        "internal-error",
        "a fault in the plugin",
        "run the job at log level Debug, and report the line with the debug output",
    ),
)

COPYING = (
    Cause(
        "copy-failed",
        "the file could not be copied into the container; the line says why",
        "check the destination's directory (ls -ld), the user, and the free space on its volume (df -h)",
    ),
    Cause(
        "destination-taken",
        "the destination is a directory, or something else that is not a file",
        "choose another destination",
    ),
    Cause(
        "destination-unclear",
        "the path of the destination cannot be resolved in the container",
        "give the absolute path of the file itself, without line breaks",
    ),
    Cause(
        "destination-not-writable",
        "the destination's directory is not writable",
        "check the directory (ls -ld), and user or ecs-user",
    ),
    Cause(
        "destination-read-only",
        "the destination's file system is read-only",
        "choose a destination on a volume",
    ),
    Cause(
        "destination-full",
        "the destination's file system is full, or a quota or a limit of file sizes is reached",
        "free space (df -h), or raise the quota or the limit (ulimit -f)",
    ),
    Cause(
        "destination-changed",
        "something else changed the destination's directory during the copy",
        "try again",
    ),
    Cause(
        "destination-not-replaced",
        "the existing file cannot be replaced, and its content cannot be saved before it is overwritten",
        "free space in its directory or in /tmp, or remove the file first",
    ),
    Cause(
        "destination-damaged",
        "the existing file could not be overwritten, and its old content could not be restored",
        "the line names the file that holds the old content: put it back by hand",
    ),
    Cause(
        "no-temporary-directory",
        "the container has no writable directory for temporary files",
        "make /tmp writable, or mount a volume at it",
    ),
    Cause(
        "terminal-not-raw",
        "stty in the container does not work",
        "correct or remove the image's stty",
    ),
    Cause(
        "upload-incomplete",
        "the file in the container differed from the source, and was removed",
        "copy it again; nothing was put in its place",
    ),
)

NODES = (
    Cause(
        "nodes-incomplete",
        "not all nodes could be read; Rundeck keeps the nodes that it has",
        "correct what the line names",
    ),
    Cause(
        "refresh-timeout",
        "reading the nodes took longer than refresh-timeout (exit status 124)",
        "raise refresh-timeout, or read less with regions, clusters, services or task-definitions; check the source of"
        " the credentials",
    ),
)

SECTIONS = (
    Section("Opening the session", "If one of these ends a job, the command was not started.", OPENING),
    Section("While a command runs", "The command may have run in part. The plugin never runs it twice.", RUNNING),
    Section(
        "Copying files",
        "These also apply to the script of *Run Script*. A file that was not copied completely is removed from the"
        " container.",
        COPYING,
    ),
    Section("The node source", "These lines are in the server's log (`service.log`).", NODES),
)
