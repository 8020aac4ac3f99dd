"""What the script step needs to run one script."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from ecs_exec.settings.access import read_access
from ecs_exec.settings.attribute_names import variable
from ecs_exec.settings.execution import Execution, is_debug
from ecs_exec.settings.properties import ACCESS, SCRIPT_STEP
from ecs_exec.settings.reader import Reader, matching
from ecs_exec.settings.run import read_run
from ecs_exec.settings.target import read_wanted


@dataclass(frozen=True)
class Script:
    """A script and how it is run."""

    text: str = field(repr=False)
    """Empty: the script is in `file`."""
    file: str
    """Path on this server."""
    folder: str
    """Folder that must contain the file; empty: any folder is allowed."""
    arguments: tuple[str, ...] = field(repr=False)
    interpreter: tuple[str, ...]
    execution: Execution
    """Its environment includes the secure options that the step names."""


_PATH = matching(r"/[^\x00-\x1f\x7f]*", "an absolute path on this server")


def read_script(environ: Mapping[str, str]) -> Script:
    """Read the settings of the script step. Raises SettingsError that names every fault."""
    reader = Reader(environ, ACCESS + SCRIPT_STEP)
    text = reader.text("script")
    file, folder = reader.setting("script-file", _PATH), reader.setting("script-folder", _PATH)
    if text.strip() and file:
        reader.fault("script and script-file are both set: keep one of them")
    if not text.strip() and not file:
        reader.missing("script and script-file are both empty: set one of them", "script-file")
    run = read_run(reader, "running a script")
    secure = reader.setting("secure-options", lambda names: _secure_options(names, environ))
    script = Script(
        text=text,
        file=file,
        folder=folder,
        arguments=reader.setting("arguments", _words),
        interpreter=reader.setting("interpreter", _words),
        execution=Execution(
            node=environ.get("RD_NODE_NAME", ""),
            command="",
            access=read_access(reader),
            wanted=read_wanted(reader),
            run=run._replace(env={**run.env, **secure}),
            debug=is_debug(environ),
        ),
    )
    reader.finish()
    return script


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:
        raise ValueError("a quote is not closed, or a backslash is the last character") from None


def _secure_options(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values of secure options under the names of ordinary options, RD_OPTION_<NAME>."""
    chosen = {}
    for name in filter(None, re.split(r"[\s,]+", text)):
        value = environ.get(f"RD_SECUREOPTION_{variable(name)}")
        if value is None:
            raise ValueError(
                f"the job passes no secure option {name}; Rundeck does not pass secure authentication options to steps"
            )
        chosen[f"RD_OPTION_{variable(name)}"] = value
    return chosen
