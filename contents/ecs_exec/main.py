"""What the entry scripts call: one function for each provider, from the environment to an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ecs_exec.errors import EXIT_ABORTED, EXIT_NOT_RUN, EcsExecError
from ecs_exec.settings import complete_environment, is_debug, read_execution, read_file_copy, read_script
from ecs_exec.signals import Aborted, Interrupts
from ecs_exec.sink import Sink


def node_executor() -> int:
    """Run the command of RD_EXEC_COMMAND on the node; return the exit status."""

    def execute(interrupts: Interrupts, sink: Sink) -> int:
        execution = read_execution(os.environ)
        with interrupts.immediate():
            from ecs_exec.run import Runner  # botocore is behind it: faults of settings are told without it

            runner = Runner(execution, os.environ, interrupts, sink)
        return runner.run()

    return _guarded(execute)


def file_copier() -> int:
    """Copy RD_FILE_COPY_FILE to RD_FILE_COPY_DESTINATION on the node; return the exit status."""

    def execute(interrupts: Interrupts, sink: Sink) -> int:
        file_copy = read_file_copy(os.environ)
        with interrupts.immediate():
            from ecs_exec.copier import copy
        return copy(file_copy, os.environ, interrupts, sink)

    return _guarded(execute)


def script_step() -> int:
    """Run the configuration's script on the node; return the exit status."""

    def execute(interrupts: Interrupts, sink: Sink) -> int:
        script = read_script(os.environ)
        with interrupts.immediate():
            from ecs_exec.script_step import run_script
        return run_script(script, os.environ, interrupts, sink)

    return _guarded(execute)


def _guarded(execute: Callable[[Interrupts, Sink], int]) -> int:
    """Turn whatever happens into an exit status and one line."""
    debug = is_debug(os.environ)
    with Interrupts() as interrupts:
        sink = Sink(interrupts, debug=debug)
        complete_environment(os.environ)
        try:
            return execute(interrupts, sink)
        except Aborted:
            sink.say(f"aborted by {interrupts.name} before the command was started")
            return EXIT_ABORTED
        except EcsExecError as error:
            if interrupts.received:
                return EXIT_ABORTED
            sink.say(str(error))
            return EXIT_NOT_RUN
        except Exception as error:  # noqa: BLE001 - a fault of ours must not look like the command's
            sink.say(_internal(error))
            if debug:
                with suppress(OSError):
                    traceback.print_exc(file=sys.stderr)
            return EXIT_NOT_RUN


def _internal(error: Exception) -> str:
    """Tell an error that nobody thought of; its text may hold anything, so only its kind and place are shown."""
    place = ""
    if frames := traceback.extract_tb(error.__traceback__):
        place = f" in {frames[-1].name}, line {frames[-1].lineno} of {Path(frames[-1].filename).name}"
    return (
        f"internal error, {type(error).__name__}{place}: whether the command ran is not known;"
        " run the job at log level Debug for details, and please report it"
    )
