"""Why a session was not opened, or ended before its command. Pure."""

from __future__ import annotations

from ecs_exec.causes.cause import Cause, Section

OPENING = (
    Cause(
        "sessions-in-use",
        "the ECS Exec agent runs and takes no session: most likely all sessions that a container may have at a time, 2"
        " by default, are in use",
        "wait for the others to end (aws ssm describe-sessions --state Active), or ask AWS for a higher quota",
    ),
    Cause(
        "not-aws",
        "the answer did not come from AWS",
        "check endpoint-url and HTTPS_PROXY; curl shows who answers",
    ),
    Cause(
        "no-answer",
        "no answer from the container within {seconds} s",
        "check that the task's exec agent is RUNNING and may reach SSM (ssmmessages), or raise connect-timeout",
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
        "try it: curl -sv https://ssmmessages.REGION.amazonaws.com from the server, as Rundeck's user",
    ),
    Cause(
        "channel-name-unknown",
        "cannot open the data channel, the name of its host cannot be resolved: {why}",
        "check DNS, the region, and in a VPC without internet the interface endpoint for ssmmessages (private DNS)",
    ),
    Cause(
        "channel-unreachable",
        "cannot open the data channel, its host cannot be reached: {why}",
        "check that this host may reach it on that port: a route to the internet, a VPC endpoint for ssmmessages, or"
        " HTTPS_PROXY",
    ),
    Cause(
        "channel-proxy",
        "cannot open the data channel, the proxy does not let it through: {why}",
        "check HTTPS_PROXY and NO_PROXY, that the proxy lets CONNECT through to that host, and its user and password",
    ),
    Cause(
        "channel-certificate",
        "cannot open the data channel, the certificate is not accepted: {why}",
        "if a proxy inspects TLS, name its certificate authority in AWS_CA_BUNDLE",
    ),
    Cause(
        "ca-bundle-unreadable",
        "cannot open the data channel, the certificate authorities cannot be read: {why}",
        "check ca_bundle of the profile, AWS_CA_BUNDLE and REQUESTS_CA_BUNDLE",
    ),
    Cause(
        "channel-silent",
        "cannot open the data channel, what answers is silent: {why}",
        "something took the connection and does not answer: check proxies and the VPC endpoint for ssmmessages",
    ),
    Cause(
        "channel-not-websocket",
        "cannot open the data channel, what answers is not a websocket: {why}",
        "check the stream URL, and what stands between this host and the service: a proxy may strip the upgrade",
    ),
    Cause(
        "channel-token-invalid",
        "cannot open the data channel, the session's token is refused: {why}",
        "the session's token is not valid there: check ssmmessages-endpoint and the proxy",
    ),
    Cause(
        "channel-forbidden",
        "cannot open the data channel, it is forbidden: {why}",
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
        "AWS refuses the data channel: the signature did not arrive whole",
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
        "read AWS's words, and see Credentials on this page",
    ),
    Cause(
        "handshake-refused",
        "the agent asks for a session that this transport cannot make, or for a KMS key that cannot be used",
        "grant kms:GenerateDataKey on the cluster's key to these credentials; else set transport to"
        " session-manager-plugin",
        "kms:GenerateDataKey",
    ),
    Cause(
        "handshake-missed",
        "the agent began its handshake after input had been sent, so the command was not run",
        "raise connect-timeout for another attempt",
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
        "run it by hand: session-manager-plugin --version; it must be for this processor",
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
        "the shell is a restricted one, like rbash",
        "set shell or ecs-shell to one without restrictions",
    ),
    Cause(
        "user-unknown",
        "the container does not have the user",
        "check user or ecs-user, and /etc/passwd in the image",
    ),
    Cause(
        "group-unknown",
        "the container does not have the group behind the user's name",
        "check user or ecs-user, and /etc/group in the image",
    ),
    Cause(
        "user-not-switched",
        "the container's user may not become the other user, or the image has no program for it",
        "run the container as root, or add setpriv, runuser or su to the image; or do not set user",
    ),
    Cause(
        "workdir-missing",
        "the directory of workdir does not exist in the container or may not be entered",
        "check workdir or ecs-workdir",
    ),
    Cause(
        "no-processes-left",
        "the container has reached its limit of processes",
        "end some, or raise the limit (pids limit, ulimit -u); the line says how many a session needs",
    ),
    Cause(
        "command-incomplete",
        "the command arrived incomplete, and was not started",
        "run the job again",
    ),
    Cause(
        "command-not-run",
        "the container's shell did not begin the command; the line says why",
        "follow the line; nothing of the command was started",
    ),
    Cause(
        "session-ended",
        "the session was over before the end of the command was seen; the service's or the agent's words follow",
        "find out what has been done before you run it again: the plugin never runs a command twice",
    ),
    Cause(
        "session-disturbed",
        "something in the container wrote into the session, so the command's output and exit status are not known",
        "look in the container for what prints to the session's terminal, like the image's startup files",
    ),
    Cause(
        "status-unknown",
        "the command ran, and its exit status is not known",
        "set shell to another one that the image has",
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
        "start a new task: the agent is not started again in this one",
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
        "try again; set transport to session-manager-plugin if it stays so",
    ),
    Cause(
        "output-lost",
        "a part of the output never arrived",
        "run the command again if that does no harm; check the connection to SSM",
    ),
    Cause(
        "channel-protocol",
        "what came through the data channel is not what an SSM agent sends",
        "remove inspecting proxies, or set transport to session-manager-plugin; report it with the agent's version",
    ),
    Cause(
        "output-not-written",
        "the command's output cannot be written: {why}",
        "check the disk space of the Rundeck server, and its log",
    ),
    Cause(
        "timed-out",
        "it ran longer than timeout allows, and was stopped (exit status 124)",
        "raise timeout or ecs-timeout, or look what it waits for",
    ),
    Cause(
        "internal-error",
        "a fault of the plugin",
        "run the job at log level Debug, and report the line with the debug output",
    ),
)

COPYING = (
    Cause(
        "copy-failed",
        "the file could not be copied into the container; the line says why",
        "check the destination's directory (ls -ld), the user, and the room on its volume (df -h)",
    ),
    Cause(
        "destination-taken",
        "a directory, or something that is not a file, has the destination's name",
        "choose another destination",
    ),
    Cause(
        "destination-unclear",
        "the path of the destination cannot be resolved in the container",
        "give an absolute path, without line breaks, of the file itself",
    ),
    Cause(
        "destination-not-writable",
        "the destination's directory cannot be written to",
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
        "make room (df -h), or raise the quota or the limit (ulimit -f)",
    ),
    Cause(
        "destination-changed",
        "something else changed the destination's directory during the copy",
        "try again",
    ),
    Cause(
        "destination-not-replaced",
        "the existing file cannot be replaced, and its content cannot be saved before it is overwritten",
        "make room in its directory or in /tmp, or remove the file first",
    ),
    Cause(
        "destination-damaged",
        "the existing file could not be overwritten, and its old content could not be restored",
        "the line names the file that holds the old content: put it back by hand",
    ),
    Cause(
        "no-temporary-directory",
        "the container has no directory for temporary files that can be written to",
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
        "not all nodes could be read; Rundeck keeps those that it has",
        "correct what the line names",
    ),
    Cause(
        "refresh-timeout",
        "reading the nodes took longer than refresh-timeout (exit status 124)",
        "raise refresh-timeout, or read less with regions, clusters, services or task-definitions; check what gives the"
        " credentials",
    ),
)

SECTIONS = (
    Section("Opening the session", "When one of these ends a job, nothing was started.", OPENING),
    Section("While a command runs", "A command may have run in part. The plugin never runs it twice.", RUNNING),
    Section(
        "Copying files",
        "Also for the script of *Run Script*. A file that was not copied whole is removed from the container.",
        COPYING,
    ),
    Section("The node source", "These lines are in the server's log (`service.log`).", NODES),
)
