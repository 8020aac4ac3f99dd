"""Fetches files out of a container: one session sends them, and nothing gets its name here before it was verified."""

from __future__ import annotations

from collections.abc import Mapping

from ecs_exec.command import shell_wrapper
from ecs_exec.command.decoder import Stderr, Stdout
from ecs_exec.command.runner import Runner, Work
from ecs_exec.command.script_protocol import ScriptProtocol, Wording
from ecs_exec.errors import EcsExecError
from ecs_exec.files.fetch_script import for_source
from ecs_exec.files.reception import Limits, Reception
from ecs_exec.files.staging import Staging
from ecs_exec.files.unpacking import packings
from ecs_exec.settings.fetch import Fetch
from ecs_exec.signals import Interrupts
from ecs_exec.streams import OutputStreams

WORDING = Wording("the fetch", "the fetch's end", "nothing was fetched from")

_NOT_KEPT = "no file was kept on this server"


class FetchProtocol(ScriptProtocol):
    """The client's side of a session whose command sends files."""

    def __init__(
        self, wrapped: shell_wrapper.Wrapped, streams: OutputStreams, where: str, shell_name: str, reception: Reception
    ) -> None:
        """Take the session's script, and what takes its stdout."""
        super().__init__(wrapped, streams, where, shell_name, WORDING)
        self.doubt = _NOT_KEPT
        self.stopped = False
        """The plugin itself has stopped the fetch."""
        self._reception = reception

    def output(self, data: bytes, now: float) -> None:
        """Take bytes that the terminal printed. Raises CommandError if the fetch has failed, and ends it there."""
        try:
            super().output(data, now)
        except EcsExecError:
            self.kill()
            raise

    def pass_on(self, event: Stdout | Stderr) -> None:
        """Give stdout to the reception. After a stop nothing more is needed."""
        if isinstance(event, Stderr):
            super().pass_on(event)
        elif not self.stopped:
            self._reception.feed(event.data)

    def interrupt(self) -> None:
        """Stop the fetch."""
        self.stopped = True
        super().interrupt()


def fetch(asked: Fetch, environ: Mapping[str, str], interrupts: Interrupts, streams: OutputStreams) -> int:
    """Fetch the files; return the exit status. Raises EcsExecError unless all were verified and are in place."""
    with Staging(asked.place) as staging:
        return _fetch(asked, staging, environ, interrupts, streams)


def _fetch(
    asked: Fetch, staging: Staging, environ: Mapping[str, str], interrupts: Interrupts, streams: OutputStreams
) -> int:
    run = asked.execution.run
    script = for_source(asked.source, _packs(asked.compress), try_first=asked.compress == "auto", follow=asked.follow)
    wrapped = shell_wrapper.wrap(
        script.text,
        nonce=shell_wrapper.new_nonce(),
        shell=run.shell,
        user=run.user,
        workdir=run.workdir,
    )
    protocols: list[FetchProtocol] = []
    receptions: list[Reception] = []

    def protocol(streams: OutputStreams, where: str) -> FetchProtocol:
        reception = Reception(script.mark, staging, Limits(asked.max_size), streams, where, exact=not asked.follow)
        receptions.append(reception)
        protocols.append(FetchProtocol(wrapped, streams, where, run.shell, reception))
        return protocols[-1]

    status = Runner(asked.execution, environ, interrupts, streams, work=Work(wrapped, protocol)).run()
    if interrupts.received or not protocols or protocols[-1].stopped:
        return status
    receptions[-1].finish(status)
    staging.place()
    for path, file in zip(staging.placed, receptions[-1].fetched, strict=True):
        streams.out(f"{path}: {file.size} bytes, sha256 {file.sha256}\n".encode(errors="surrogateescape"))
    return 0


def _packs(compress: str) -> str:
    """Return the ways to compress that the container may use."""
    known = packings()
    if compress == "auto":
        return " ".join(known)
    return compress if compress in known else ""
