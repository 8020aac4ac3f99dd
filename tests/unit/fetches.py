"""Files on their way out of a container, on a real terminal and in a real shell."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import final

from ecs_exec.command import shell_wrapper
from ecs_exec.files.fetch import FetchProtocol
from ecs_exec.files.fetch_script import Job, script_for
from ecs_exec.files.fetched_tree import Budget
from ecs_exec.files.reception import Fetched, Reception
from ecs_exec.files.staging import Staging
from ecs_exec.files.unpacking import packings
from ecs_exec.settings.fetch import Place
from ecs_exec.streams import OutputStreams
from unit.terminals import Recorder, Talk

TOOLS = "base64 openssl od head cat dd stat ls wc gzip xz sha256sum sha512sum sha1sum md5sum cksum stty"
"""All programs that the script uses if the image has them."""

ENVIRON = {"LANG": "C.UTF-8", "TERM": "xterm-256color", "HOME": "/root"}


@final
class Fetching(Talk):
    """A running fetch, which a test can inspect and stop."""

    def __init__(
        self,
        source: str,
        place: Place,
        interpreter: list[str],
        *,
        inner: str = "",
        environ: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str = "",
        packs: str | None = None,
        follow: bool = False,
        command: str = "",
        before: str = "",
        most: int = 1 << 30,
    ) -> None:
        """Start it; `inner` is the command's shell if it is another one."""
        shell = inner or interpreter[0]
        script = script_for(
            Job(
                source=source,
                command=command,
                before=before,
                shell=shell,
                packs=" ".join(packings()) if packs is None else packs,
                try_first=packs is None,
                follow=follow,
            )
        )
        wrapped = shell_wrapper.wrap(script.text, nonce=shell_wrapper.new_nonce(), shell=shell, user=user)
        self.staging = Staging(place)
        self.reception: Reception

        def protocol(streams: OutputStreams) -> FetchProtocol:
            self.reception = Reception(
                script.mark, self.staging, Budget(most), streams, "the terminal", exact=not follow
            )
            return FetchProtocol(wrapped, streams, "the terminal", shell, self.reception)

        super().__init__(
            wrapped, protocol, interpreter, {"PATH": os.environ["PATH"], **ENVIRON, **(environ or {})}, cwd
        )

    def __enter__(self) -> Fetching:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        self.staging.__exit__()
        super().__exit__()

    def finish(self) -> list[Fetched]:
        """Carry it to its end; give what was fetched."""
        self.until(lambda: self.protocol.status is not None)
        self.protocol.farewell()
        self.to_the_end()
        assert self.protocol.status is not None
        self.reception.finish(self.protocol.status)
        self.staging.place()
        return self.reception.fetched


def fetch(
    source: str,
    folder: Path,
    interpreter: list[str],
    *,
    path: tuple[str, ...] = (),
    overwrite: bool = False,
    is_directory: bool = False,
    **how: object,
) -> list[Fetched]:
    """Fetch files into a folder; return what was fetched."""
    place = Place(str(folder), path, is_directory, overwrite)
    with Fetching(source, place, interpreter, **how) as fetching:  # type: ignore[arg-type]
        return fetching.finish()


def taken(*marks: bytes, folder: Path, most: int = 1 << 20, files: int = 1000) -> list[Fetched]:
    """Give a reception the marks of a script, which a hostile container may have made up, and place what came.

    A mark is a line of the script, without the random word; `<...>` is content.
    """
    word = b"\x1eword"
    with Staging(Place(str(folder), (), is_directory=True, overwrite=False)) as staging:
        reception = Reception(word, staging, Budget(most, files), Recorder(), "the terminal", exact=True)
        for mark in marks:
            if mark.startswith(b"<"):
                reception.feed(word + b"<\n" + mark[1:] + word + b">\n")
            else:
                reception.feed(word + mark + b"\n")
        reception.finish(0)
        staging.place()
        return reception.fetched
