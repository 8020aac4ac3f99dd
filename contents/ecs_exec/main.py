"""The functions that the entry scripts call: one for each provider, from the environment to an exit status."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ecs_exec.errors import EXIT_ABORTED, EXIT_NOT_RUN, EXIT_TIMEOUT, AwsError, EcsExecError, Incomplete, RefreshTimeout
from ecs_exec.settings import Access, Execution, complete_environment, is_debug, read_execution, take_arguments
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.streams import OutputClosed, OutputStreams

if TYPE_CHECKING:
    from ecs_exec.steps.calls import Caller


_OPTION_SECONDS = 15
"""Time for the names of an option."""
_NOT_BEGUN = "before a command was started"
_UNKNOWN = "it is not known whether the command ran"


def node_executor() -> int:
    """Run the command of RD_EXEC_COMMAND on the node; return the exit status."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        return _runner(read_execution(os.environ), interrupts, streams)

    return _guarded(execute)


def file_copier() -> int:
    """Copy RD_FILE_COPY_FILE to RD_FILE_COPY_DESTINATION on the node; return the exit status."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.file_copy import read_file_copy

        file_copy = read_file_copy(os.environ)
        with interrupts.immediate():
            from ecs_exec.files.copier import copy
        return copy(file_copy, os.environ, interrupts, streams)

    return _guarded(execute, "before anything was copied", "it is not known whether the file was copied")


def run_script() -> int:
    """Run the script of the step's form on the node; return the exit status."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.script import read_script

        script = read_script(os.environ)
        with interrupts.immediate():
            from ecs_exec.files import script_step as step
        return step.run_script(script, os.environ, interrupts, streams)

    return _guarded(execute, "before the script was started", "it is not known whether the script ran")


def fetch_file() -> int:
    """Fetch the files of the step's form from the node; return the exit status."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.fetch import read_fetch

        asked = read_fetch(os.environ)
        with interrupts.immediate():
            from ecs_exec.files.fetch import fetch
        return fetch(asked, os.environ, interrupts, streams)

    return _guarded(execute, "before anything was fetched", "it is not known whether the files were fetched")


def node_source() -> int:
    """Write the nodes of the settings to stdout, all of them or none; return the exit status."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.nodes.settings import read_source
        from ecs_exec.settings.server import server_names

        settings = read_source(os.environ)
        # Both save time: AWS's descriptions of tasks hold no cycles, and threads that compute need no quick turns.
        gc.disable()
        sys.setswitchinterval(0.05)
        streams.debugging = streams.debugging or settings.debug
        rows = None
        # AWS's calls keep the limit themselves. This one is for programs that print credentials: they may block.
        with interrupts.immediate(), interrupts.at_most(settings.refresh_timeout + 1):
            from ecs_exec.nodes.source import document, read_nodes

            rows = read_nodes(settings, streams.say, streams.debug)
        if rows is None:
            raise RefreshTimeout(
                [f"no credentials within {settings.refresh_timeout} s: check the program or service that provides them"]
            )
        for chunk in document(rows, server_names(os.environ)):
            streams.out(chunk)
        return 0

    def reported(interrupts: Interrupts, streams: OutputStreams) -> int:
        try:
            return execute(interrupts, streams)
        except Incomplete as error:
            for line in error.lines:
                streams.say(line if line.endswith("]") else f"{line} [{error.name}]")
            return EXIT_TIMEOUT if isinstance(error, RefreshTimeout) else EXIT_NOT_RUN
        except OutputClosed:
            streams.say("the output was closed before all nodes were written")
            return EXIT_NOT_RUN

    return _guarded(reported, "before all nodes were read", "Rundeck keeps its current nodes")


def stop_task() -> int:
    """Stop the task of the node, or of the step's form; return the exit status."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.steps import read_stop_task

        asked = read_stop_task(os.environ)
        caller = _caller(asked.access, interrupts, streams)
        from ecs_exec.steps import stop_task as step

        return step.run(asked, caller, interrupts, streams)

    return _guarded(execute)


def stopped_tasks() -> int:
    """Show why tasks stopped; return the exit status."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.steps import read_stopped_tasks

        asked = read_stopped_tasks(os.environ)
        caller = _caller(asked.access, interrupts, streams)
        from ecs_exec.steps import stopped_tasks as step

        return step.run(asked, caller)

    return _guarded(execute)


def redeploy() -> int:
    """Deploy the service of the step's form again; return 0 only if the new deployment runs and the old is gone."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.steps import read_redeploy

        asked = read_redeploy(os.environ)
        caller = _caller(asked.access, interrupts, streams)
        from ecs_exec.steps import redeploy as step

        return step.run(asked, caller, interrupts, streams)

    return _guarded(execute, "before anything was deployed", "look at the service: it may have been deployed")


def run_task() -> int:
    """Run tasks of the step's form to their end; return the exit code of their container."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.run_task import read_run_task

        asked = read_run_task(os.environ)
        caller = _caller(asked.access, interrupts, streams)
        from ecs_exec.steps import run_task as step

        return step.run(asked, caller, interrupts, streams)

    return _guarded(execute, "before a task was started", "it is not known whether a task runs")


def scale() -> int:
    """Change the number of tasks of the service of the step's form; return 0 only if so many run."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.steps import read_scale

        asked = read_scale(os.environ)
        caller = _caller(asked.access, interrupts, streams)
        from ecs_exec.steps import scale as step

        return step.run(asked, caller, interrupts, streams)

    return _guarded(execute, "before anything was changed", "look at the service: it may have been scaled")


def logs() -> int:
    """Show the logs of the node's container, or of the tasks of the step's form; return the exit status."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.logs import read_logs

        asked = read_logs(os.environ)
        caller = _caller(asked.access, interrupts, streams)
        from ecs_exec.steps import logs as step

        return step.run(asked, caller, streams)

    return _guarded(execute, "while the logs were read", "the logs are not complete")


def run_command() -> int:
    """Run the command of the step's form in the container, or in all tasks, that the form names; return the status."""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.steps import read_run_command

        asked = read_run_command(os.environ)
        if not asked.all_tasks:
            return _runner(asked.execution, interrupts, streams)
        caller = _caller(asked.execution.access, interrupts, streams)
        from ecs_exec.steps import run_command as step

        return step.run_in_all(asked, caller, interrupts, streams, os.environ)

    return _guarded(execute)


def check_exec() -> int:
    """Check the conditions of ECS Exec for the node's container, or the tasks of the step's form.

    Returns 0 only if a test command ran in it, or in all of them.
    """

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.steps import read_check_exec

        asked = read_check_exec(os.environ)
        caller = _caller(asked.access, interrupts, streams)
        from ecs_exec.steps import check_exec as step

        return step.run(
            asked, caller, lambda execution: _runner(execution, interrupts, streams), interrupts, os.environ
        )

    return _guarded(execute)


def option_values() -> int:
    """Write names for the options of a job to stdout, of the kind in the first argument; return the exit status."""
    kind = sys.argv.pop(1) if len(sys.argv) > 1 else ""

    def execute(interrupts: Interrupts, streams: OutputStreams) -> int:
        from ecs_exec.settings.options import read_options

        asked = read_options(kind, os.environ)
        found = None
        # Somebody has opened the page of a job and waits for it.
        with interrupts.at_most(_OPTION_SECONDS):
            caller = _caller(asked.access, interrupts, streams)
            from ecs_exec.steps import option_values as step

            found = step.names(asked, caller)
        if found is None:
            raise AwsError(name="option-values-late", seconds=_OPTION_SECONDS)
        streams.out(step.document(found))
        return 0

    return _guarded(execute, "before the names were listed", "the option has no values")


def _runner(execution: Execution, interrupts: Interrupts, streams: OutputStreams) -> int:
    """Run a command; return the exit status. Raises EcsExecError."""
    with interrupts.immediate():
        from ecs_exec.command.runner import Runner  # late: errors of settings are reported without it

        runner = Runner(execution, os.environ, interrupts, streams)
    return runner.run()


def _caller(access: Access, interrupts: Interrupts, streams: OutputStreams) -> Caller:
    with interrupts.immediate():
        from ecs_exec.ecs.api import Aws
        from ecs_exec.steps.calls import Caller

        return Caller(Aws(access, within=interrupts.at_most), interrupts, streams)


def _guarded(
    execute: Callable[[Interrupts, OutputStreams], int],
    aborted: str = _NOT_BEGUN,
    unknown: str = _UNKNOWN,
) -> int:
    """Run a provider; turn every error into an exit status and one line.

    `aborted` holds the words for the moment of an abort, `unknown` those for the effect of a bug of ours.
    """
    _leave_no_core()
    with Interrupts() as interrupts:
        interrupts.before_exit.append(_end_programs)
        streams = OutputStreams(interrupts, debug=is_debug(os.environ))
        complete_environment(os.environ)
        try:
            take_arguments(os.environ, sys.argv[1:])
            return execute(interrupts, streams)
        except Aborted:
            streams.say(f"aborted by {interrupts.name} {aborted}")
            return EXIT_ABORTED
        except OutputClosed:
            return EXIT_ABORTED
        except EcsExecError as error:
            if interrupts.received:
                return EXIT_ABORTED
            _tell(error, streams)
            return EXIT_NOT_RUN
        except Exception as error:  # noqa: BLE001 - a fault of ours must not look like the command's
            streams.say(_internal(error, unknown))
            if streams.debugging:
                import traceback

                for line in traceback.format_exc().splitlines():
                    streams.debug(line)
            return EXIT_NOT_RUN
        finally:
            _end_programs()


def _end_programs() -> None:
    """End programs that print credentials: other threads may still wait for them."""
    if (programs := sys.modules.get("ecs_exec.ecs.credential_process")) is not None:
        programs.end_all()


def _leave_no_core() -> None:
    """Keep secrets out of core dumps, also of session-manager-plugin: the memory holds keys and secure options.

    The limit does not apply to dumps that go to a program like systemd-coredump; the filter does. PR_SET_DUMPABLE is
    not used: it needs ctypes, whose import would take a twentieth of the start's time.
    """
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError), open("/proc/self/coredump_filter", "wb", buffering=0) as memory:
        memory.write(b"0")


def _tell(error: EcsExecError, streams: OutputStreams) -> None:
    """Write an error's line, and at log level Debug the details that the line leaves out."""
    from ecs_exec.errors.causes.line import details, line

    for detail in details(error):
        streams.debug(detail)
    streams.say(line(error))


def _internal(error: Exception, unknown: str) -> str:
    """Return the line for an unexpected error. Its text may hold secrets, so only its kind and place are shown."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" in {code.co_name}, line {trace.tb_lineno} of {os.path.basename(code.co_filename)}"
        trace = trace.tb_next
    return (
        f"internal error, {type(error).__name__}{place}: {unknown};"
        " run the job at log level Debug for details, and please report it [internal-error]"
    )
