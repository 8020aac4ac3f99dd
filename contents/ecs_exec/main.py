"""What the entry scripts call: one function for each provider, from the environment to an exit status."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from ecs_exec.errors import EXIT_ABORTED, EXIT_NOT_RUN, EXIT_TIMEOUT, EcsExecError, Incomplete, RefreshTimeout
from ecs_exec.settings import complete_environment, is_debug, read_execution
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.sink import OutputClosed, Sink


def node_executor() -> int:
    """Run the command of RD_EXEC_COMMAND on the node; return the exit status."""

    def execute(interrupts: Interrupts, sink: Sink) -> int:
        execution = read_execution(os.environ)
        with interrupts.immediate():
            from ecs_exec.run import Runner  # botocore is behind it: faults of settings are told without it

            runner = Runner(execution, os.environ, interrupts, sink)
        return runner.run()

    return _guarded(execute)


def node_source() -> int:
    """Write the nodes that the settings describe, all of them or none; return the exit status."""

    def execute(interrupts: Interrupts, sink: Sink) -> int:
        from ecs_exec.settings.source import read_source

        settings = read_source(os.environ)
        # What AWS tells of tasks holds no cycles, and threads that compute need no quick turns.
        gc.disable()
        sys.setswitchinterval(0.05)
        sink.debugging = sink.debugging or settings.debug
        rows = None
        # AWS's calls keep to the time themselves; programs that give credentials may block, too.
        with interrupts.immediate(), interrupts.at_most(settings.refresh_timeout + 1):
            from ecs_exec.source import document, read_nodes

            rows = read_nodes(settings, sink.debug)
        if rows is None:
            raise RefreshTimeout([f"no credentials within {settings.refresh_timeout} s: check what gives them"])
        for chunk in document(rows):
            sink.out(chunk)
        return 0

    def reported(interrupts: Interrupts, sink: Sink) -> int:
        try:
            return execute(interrupts, sink)
        except Incomplete as error:
            for line in error.lines:
                sink.say(line)
            return EXIT_TIMEOUT if isinstance(error, RefreshTimeout) else EXIT_NOT_RUN
        except OutputClosed:
            sink.say("nobody reads the nodes any more")
            return EXIT_NOT_RUN

    return _guarded(reported, "before all nodes were read", "Rundeck keeps the nodes that it has")


def _guarded(
    execute: Callable[[Interrupts, Sink], int],
    aborted: str = "before the command was started",
    unknown: str = "whether the command ran is not known",
) -> int:
    """Turn whatever happens into an exit status and one line; the texts say what an abort or our own fault means."""
    with Interrupts() as interrupts:
        sink = Sink(interrupts, debug=is_debug(os.environ))
        complete_environment(os.environ)
        try:
            return execute(interrupts, sink)
        except Aborted:
            sink.say(f"aborted by {interrupts.name} {aborted}")
            return EXIT_ABORTED
        except EcsExecError as error:
            if interrupts.received:
                return EXIT_ABORTED
            sink.say(str(error))
            return EXIT_NOT_RUN
        except Exception as error:  # noqa: BLE001 - a fault of ours must not look like the command's
            sink.say(_internal(error, unknown))
            if sink.debugging:
                import traceback

                with suppress(OSError):
                    traceback.print_exc(file=sys.stderr)
            return EXIT_NOT_RUN


def _internal(error: Exception, unknown: str) -> str:
    """Tell an error that nobody thought of; its text may hold anything, so only its kind and place are shown."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" in {code.co_name}, line {trace.tb_lineno} of {os.path.basename(code.co_filename)}"
        trace = trace.tb_next
    return (
        f"internal error, {type(error).__name__}{place}: {unknown};"
        " run the job at log level Debug for details, and please report it"
    )
