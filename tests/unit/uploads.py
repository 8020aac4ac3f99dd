"""A file on its way to the container's receiver, on a real terminal and in a real shell."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import final

from commands import Result
from ecs_exec.command import shell_wrapper
from ecs_exec.command.script_protocol import ScriptProtocol
from ecs_exec.files import copier, script_step
from ecs_exec.files.local_file import LocalFile
from ecs_exec.files.receiver import BOOTSTRAP, for_destination, for_script
from ecs_exec.files.script_command import command
from ecs_exec.files.unix_text import as_unix_text
from ecs_exec.files.upload import UploadProtocol
from ecs_exec.streams import OutputStreams
from unit.terminals import Talk

TOOLS = (
    "dd head base64 openssl gzip gunzip zcat sha256sum sha512sum sha1sum md5sum cksum"
    " cat stty wc chmod mkdir mv readlink"
)
"""All programs that the receiver uses if the image has them, except rm: without rm nothing can be removed."""

ENVIRON = {"LANG": "C.UTF-8", "TERM": "xterm-256color", "HOME": "/root"}


class Line:
    """The way to a terminal, on which something may happen to what is sent."""

    def __init__(self, upload: Upload) -> None:
        """Take the upload, whose `happen` may be replaced."""
        self._upload = upload

    def send(self, data: bytes) -> None:
        """Send what is left of it."""
        self._upload.terminal.send(self._upload.happen(data))


@final
class Upload(Talk):
    """A running copy, which a test can inspect and stop."""

    def __init__(
        self,
        source: Path,
        destination: str,
        interpreter: list[str],
        *,
        inner: str = "",
        environ: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str = "",
        happen: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Start it; `inner` is the receiver's shell if it is another one."""
        self.content = LocalFile.open(str(source))
        self.receiver = receiver = for_destination(destination, self.content.name, self.content.mode)
        wrapped = shell_wrapper.wrap(
            "",
            nonce=shell_wrapper.new_nonce(),
            shell=inner or interpreter[0],
            user=user,
            receiver=BOOTSTRAP,
        )

        self.destination = copier.Destination(destination, self.content.name)

        def protocol(streams: OutputStreams) -> UploadProtocol:
            session = ScriptProtocol(wrapped, streams, "the terminal", "/bin/sh", copier.WORDING)
            return UploadProtocol(session, receiver, self.content, self.destination.objection)

        super().__init__(
            wrapped, protocol, interpreter, {"PATH": os.environ["PATH"], **ENVIRON, **(environ or {})}, cwd
        )
        self.happen = happen or bytes
        self.protocol.line = Line(self)

    def __enter__(self) -> Upload:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        super().__exit__()
        self.content.__exit__()

    def blocks(self) -> int:
        """Return how many blocks or lines of the file have arrived."""
        return self.seen.raw.count(self.receiver.mark + b"k")

    def finish(self) -> str:
        """Carry it to its end; give the path it has."""
        self.until(lambda: self.protocol.status is not None)
        assert self.protocol.status == 0
        self.protocol.farewell()
        self.to_the_end()
        return self.destination.path


@final
class Script(Talk):
    """A script on its way, and running."""

    def __init__(
        self,
        text: bytes,
        interpreter: list[str],
        *,
        inner: str = "",
        words: str = "",
        arguments: str = "",
        environ: Mapping[str, str] | None = None,
        user: str = "",
        tty: bool = False,
    ) -> None:
        """Start it; `words` are the script's interpreter, `inner` is the container's shell if it is another one."""
        content = LocalFile.of_text(as_unix_text(text))
        shell_name = inner or interpreter[0]
        wrapped = shell_wrapper.wrap(
            command(words.split(), arguments.split(), content.head(4096), shell_name),
            nonce=shell_wrapper.new_nonce(),
            shell=shell_name,
            user=user,
            tty=tty,
            receiver=BOOTSTRAP,
        )
        receiver = for_script()

        def protocol(streams: OutputStreams) -> UploadProtocol:
            session = ScriptProtocol(wrapped, streams, "the terminal", shell_name, script_step.WORDING)
            return UploadProtocol(session, receiver, content)

        super().__init__(wrapped, protocol, interpreter, {"PATH": os.environ["PATH"], **ENVIRON, **(environ or {})})

    def __enter__(self) -> Script:
        """Begin."""
        return self

    def finish(self) -> Result:
        """Carry it to its end; return what came of it."""
        self.until(lambda: self.protocol.status is not None)
        self.protocol.farewell()
        self.to_the_end()
        return self.seen.result


def copy(
    source: Path,
    destination: str,
    interpreter: list[str],
    *,
    inner: str = "",
    environ: Mapping[str, str] | None = None,
    cwd: str = "/",
    user: str = "",
) -> Path:
    """Copy a file; return its path in the container."""
    with Upload(source, destination, interpreter, inner=inner, environ=environ, cwd=cwd, user=user) as upload:
        return Path(upload.finish())
