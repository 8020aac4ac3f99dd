"""Causes of files that could not be fetched out of a container. Does no I/O."""

from __future__ import annotations

from ecs_exec.errors.causes.cause import Cause

INTRO = (
    "After one of these, except fetch-not-removed, no file of the step is on the server: everything that had already"
    " come was removed. The file in the container is unchanged."
)

CAUSES = (
    Cause(
        "fetch-source-missing",
        "there is no {file} in the container",
        "check source, and user and workdir: a relative path begins in workdir, and a ~ is the user's home directory",
    ),
    Cause(
        "fetch-tar-failed",
        "tar ended with status {status} in the directory {file}; the lines above say why",
        "check the permissions of its files, and user or ecs-user; or fetch the files with a pattern",
    ),
    Cause(
        "fetch-source-not-a-file",
        "{file} is not a regular file: it is a device, a socket or a pipe",
        "choose a file",
    ),
    Cause(
        "fetch-source-unreadable",
        "the user of the session may not read {file}",
        "check the file's permissions, and user or ecs-user",
    ),
    Cause(
        "fetch-cut-off",
        "{file} did not come completely: a program in the container that reads, compresses or verifies it has failed",
        "read the lines above; check whether the file can be read to its end (cat), and whether the container is short"
        " of memory",
    ),
    Cause(
        "fetch-source-changed",
        "{file} changed while it was fetched: {how}",
        "try again when nobody writes to it, or fetch a copy of it",
    ),
    Cause(
        "fetch-tar-missing",
        "the image cannot send the directory {file} as an archive, which needs tar, and gzip or tee with sha256sum; and"
        " its shell yash cannot list every name in it",
        "set shell to another shell of the image, or fetch the files with a pattern",
    ),
    Cause(
        "fetch-not-verifiable",
        "the image cannot verify what it sends: {why}",
        "add the tools to the image, or set shell to bash or busybox if it has one of them; or write the output of a"
        " command to a file with before, and fetch that file",
    ),
    Cause(
        "fetch-bytes-lost",
        "{file} did not arrive unchanged: the image has no base64, openssl or od, and its shell cannot send every byte",
        "add one of them to the image, or set shell to bash or busybox if it has one of them; a text file that nobody"
        " writes to arrives unchanged",
    ),
    Cause(
        "fetch-directory-not-removed",
        "{file} is a directory, and after is remove",
        "set after to keep: only files are removed after they were fetched",
    ),
    Cause(
        "fetch-not-removed",
        "the files were fetched, but not all of them were removed from the container: the command for it ended with"
        " status {status}",
        "remove them by hand, and check user and the permissions of their directory",
    ),
    Cause(
        "fetch-home-unknown",
        "the home directory of the user in source is unknown in the container",
        "use an absolute path",
    ),
    Cause(
        "fetch-name-refused",
        "the container sent a file name that is refused: {file}",
        "rename the file: a name must not contain .. or control characters, and a path not more than 100 names",
    ),
    Cause(
        "fetch-name-twice",
        "more than one of the files would get the name {file} on this server",
        "fetch each to a destination of its own, or fetch the directory that holds them; if the server's disk ignores"
        " the case of letters, pack them into one file in the container",
    ),
    Cause(
        "fetch-name-too-long",
        "the name {file} is too long for this server's disk",
        "choose a shorter destination, or rename the file in the container",
    ),
    Cause(
        "fetch-path-too-long",
        "the directory {file} has paths that are too long for the image's shell, and the image cannot send it as an"
        " archive, which needs tar, and gzip or tee with sha256sum",
        "add the tools to the image, or fetch directories further down",
    ),
    Cause(
        "fetch-too-large",
        "the files have more than {size} bytes",
        "raise max-size, or choose fewer files",
    ),
    Cause(
        "fetch-too-many-files",
        "there are more than {count} files",
        "choose fewer files, or pack them into one file in the container",
    ),
    Cause(
        "fetch-stream-broken",
        "the container sent something that the plugin's script cannot have sent: {why}",
        "try again; if it happens again, another program in the container writes to the session, or a tool of the image"
        " does not work",
    ),
    Cause(
        "fetch-incomplete",
        "the shell in the container ended with status {status} before everything was sent",
        "check whether the container is short of memory (137: a process was killed), or set compress to none",
    ),
    Cause(
        "fetch-status-unknown",
        "the exit status of {file} is unknown, or its output was cut off: a process of the session was killed in the"
        " container, or has failed",
        "read the lines above; check whether the container is short of memory, and try again",
    ),
    Cause(
        "fetch-folder-no-directory",
        "fetch-folder is {file}, which is not a directory on this server",
        "ask the administrator to correct fetch-folder",
    ),
    Cause(
        "fetch-destination-exists",
        "{file} exists on this server",
        "choose another destination, for example with ${{job.execid}} and ${{node.name}}, or set overwrite",
    ),
    Cause(
        "fetch-destination-taken",
        "a directory, a symbolic link or another kind of file is in the place of {file} on this server",
        "choose another destination, or remove it",
    ),
    Cause(
        "fetch-disk-full",
        "{file} cannot be written on this server: {why}",
        "free space below fetch-folder, or ask the administrator to move fetch-folder to a larger disk",
    ),
    Cause(
        "fetch-not-written",
        "{file} cannot be written on this server: {why}",
        "check that the user that runs Rundeck may write to fetch-folder",
    ),
)
