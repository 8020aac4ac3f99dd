"""Fetches files out of a container: one session sends them, and nothing gets its name here before it was verified."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from ecs_exec.command import shell_wrapper
from ecs_exec.command.decoder import Stderr, Stdout
from ecs_exec.command.runner import Runner, Work
from ecs_exec.command.script_protocol import ScriptProtocol, Wording
from ecs_exec.errors import EXIT_ABORTED, EXIT_TIMEOUT, CommandError, EcsExecError
from ecs_exec.files.fetch_script import Job, script_for
from ecs_exec.files.fetched_tree import Budget
from ecs_exec.files.reception import Fetched, Reception
from ecs_exec.files.staging import Staging
from ecs_exec.files.unpacking import packings
from ecs_exec.settings.fetch import Fetch
from ecs_exec.settings.target import Wanted
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.streams import OutputClosed, OutputStreams
from ecs_exec.text import one_line

WORDING = Wording("the fetch", "the fetch's end", "nothing was fetched from")

_HEADERS = 256 * 1024 * 1024
"""Bytes that the headers of an archive may need beyond its files: more than its most files have."""

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
        self.reception = reception

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
            self.reception.feed(event.data)

    def interrupt(self) -> None:
        """Stop the fetch."""
        self.stopped = True
        super().interrupt()


def fetch(asked: Fetch, environ: Mapping[str, str], interrupts: Interrupts, streams: OutputStreams) -> int:
    """Fetch the files; return the exit status. Raises EcsExecError unless all were verified and are in place."""
    with Staging(asked.place) as staging:
        return _Step(asked, environ, interrupts, streams).run(staging)


class _Step:
    """One execution of the step."""

    def __init__(
        self, asked: Fetch, environ: Mapping[str, str], interrupts: Interrupts, streams: OutputStreams
    ) -> None:
        self._asked = asked
        self._environ = environ
        self._interrupts = interrupts
        self._streams = streams

    def run(self, staging: Staging) -> int:
        """Fetch, place and report the files, and remove them from the container if that is asked for."""
        asked, run = self._asked, self._asked.execution.run
        script = script_for(_job(asked))
        wrapped = shell_wrapper.wrap(
            script.text,
            nonce=shell_wrapper.new_nonce(),
            shell=run.shell,
            user=run.user,
            workdir=run.workdir,
            env=run.env,
        )
        protocols: list[FetchProtocol] = []

        def protocol(streams: OutputStreams, where: str) -> FetchProtocol:
            budget, files_only = Budget(asked.max_size), asked.remove
            reception = Reception(
                script.mark, staging, budget, streams, where, exact=not asked.follow, directories=not files_only
            )
            protocols.append(FetchProtocol(wrapped, streams, where, run.shell, reception))
            return protocols[-1]

        runner = Runner(asked.execution, self._environ, self._interrupts, self._streams, work=Work(wrapped, protocol))
        status = runner.run()
        if self._interrupts.received and status not in (EXIT_ABORTED, EXIT_TIMEOUT):  # it came after the last byte
            self._streams.say(f"aborted by {self._interrupts.name}; {_NOT_KEPT}")
            return EXIT_ABORTED
        if self._interrupts.received or not protocols or protocols[-1].stopped:
            return status
        reception = protocols[-1].reception
        reception.finish(status)
        if reception.status:
            return reception.status
        staging.place()
        try:
            self._report(staging.placed, reception.fetched)
        except Aborted:
            said = f"aborted by {self._interrupts.name}; the files were fetched: {', '.join(staging.placed)}"
            self._streams.say(one_line(said))
            return EXIT_ABORTED
        if asked.remove and runner.used is not None:
            return self._remove(runner.used, protocols[-1].where, reception.fetched)
        return 0

    def _report(self, placed: list[str], fetched: list[Fetched]) -> None:
        """Print a line for each item, and the data lines."""
        lines = [
            f"{path}: {item.size} bytes, {f'sha256 {item.sha256}' if item.sha256 else f'{item.files} files'}"
            for path, item in zip(placed, fetched, strict=True)
        ]
        if self._asked.data:
            first = fetched[0]
            values = {"count": len(fetched), "path": placed[0], "bytes": first.size, "sha256": first.sha256}
            lines += [f"RUNDECK:DATA:ecs-fetched-{name} = {value}" for name, value in values.items() if value != ""]
        with suppress(OutputClosed):  # the files are in place, whether or not somebody reads this
            for line in lines:
                self._streams.out(os.fsencode(line) + b"\n")

    def _remove(self, wanted: Wanted, where: str, fetched: list[Fetched]) -> int:
        """Remove the fetched files from the container; return the exit status. Raises EcsExecError."""
        calls = [f"remove {shell_wrapper.single_quoted(os.fsdecode(item.path))} {item.size}" for item in fetched]
        command = "\n".join([_REMOVE.strip(), *calls, "exit $status"])
        run = self._asked.execution.run._replace(env={})
        execution = self._asked.execution._replace(command=command, wanted=wanted, run=run)
        status = Runner(execution, self._environ, self._interrupts, self._streams).run()
        if status and not self._interrupts.received:
            raise CommandError(name="fetch-not-removed", where=where, status=status)
        return status


# The size is compared as a text: mksh counts to 2^31 only. Without wc it is not known.
_REMOVE = r"""
[ -z "${ZSH_VERSION-}" ] || emulate sh
status=0
remove() {
  size=$(wc -c <"$1")
  for size in $size; do :; done
  case $size in
  "$2" | '') rm -f -- "$1" || status=1 ;;
  *)
    echo "$1 has $size bytes now, and was not removed" >&2
    status=1
    ;;
  esac
}
"""


def _job(asked: Fetch) -> Job:
    return Job(
        source=asked.source,
        command=asked.command,
        before=asked.before,
        shell=asked.execution.run.shell,
        packs=_packs(asked.compress),
        try_first=asked.compress == "auto",
        most=2 * asked.max_size + _HEADERS,
        follow=asked.follow,
    )


def _packs(compress: str) -> str:
    """Return the ways to compress that the container may use."""
    known = packings()
    if compress == "auto":
        return " ".join(known)
    return compress if compress in known else ""
