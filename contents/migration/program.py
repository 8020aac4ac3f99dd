"""The converter's command line."""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from migration import formats, project
from migration.jobs import convert_steps, note_others
from migration.names import OURS
from migration.report import Report, shown

_DONE, _OPEN, _FAILED = 0, 1, 2
_LARGEST = 16 << 20

_EPILOG = """\
Each FILE is a job definition that Rundeck exported as YAML, XML or JSON, or the properties of a project or of the
framework. The new file is written beside it, with .ecs-exec before the ending: jobs.yaml becomes jobs.ecs-exec.yaml.

The report has a line for everything that was converted, for everything that you should check, and for everything that
was left. It shows names of settings, never their values. Settings that are not known are kept.

Exit status: 0 if everything was converted, 1 if there is something to check or something was left, 2 if a file cannot
be read or written.
"""


class _Failed(Exception):
    """A file cannot be read or written."""


def main(arguments: Sequence[str]) -> int:
    """Convert the files of the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="migrate.py",
        description="Convert jobs and properties of Rundeck Enterprise's ECS plugins to those of rundeck-ecs-exec.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--output", metavar="FILE", type=Path, help="write there, if there is one FILE; it must not exist"
    )
    target.add_argument("--in-place", action="store_true", help="replace each FILE")
    parser.add_argument("--format", choices=sorted(_READERS), help="the format, if the ending of FILE does not tell it")
    parser.add_argument(
        "--provider",
        action="append",
        default=[],
        type=_pair,
        metavar="OLD=NEW",
        help="a plugin in FILE, and the one of rundeck-ecs-exec that takes its place; may be repeated",
    )
    asked = parser.parse_args(arguments)
    if asked.output and len(asked.files) > 1:
        parser.error("--output takes one FILE")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of jobs, on a terminal that lacks their characters
    status = _DONE
    for path in asked.files:
        try:
            status = max(status, _convert(path, asked))
        except _Failed as failed:
            print(f"migrate.py: {failed}", file=sys.stderr)
            status = _FAILED
    return status


def _pair(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    if not old or new not in OURS:
        raise argparse.ArgumentTypeError(f"expected OLD=NEW, where NEW is one of {', '.join(sorted(OURS))}")
    return old, new


def _convert(source: Path, asked: argparse.Namespace) -> int:
    """Convert one file and print the report. Raises _Failed."""
    chosen, given = asked.format, dict(asked.provider)
    target = asked.output or source.with_name(f"{source.stem}.ecs-exec{source.suffix}")
    kind = chosen or _ENDINGS.get(source.suffix.lower())
    if kind is None:
        raise _Failed(f"{shown(str(source))}: unknown ending; name the format with --format")
    try:
        if source.stat().st_size > _LARGEST:
            raise _Failed(f"{shown(str(source))}: larger than {_LARGEST >> 20} MiB")
        data = source.read_bytes()
    except OSError as error:
        raise _Failed(f"{shown(str(source))}: {error.strerror}") from None
    report = Report()
    try:
        written = _READERS[kind](data, given, report)
    except formats.Unreadable as error:
        raise _Failed(f"{shown(str(source))}: {error}") from None
    if report.converted:
        if asked.in_place:
            _replace(source, written)
        else:
            _create(target, written, source)
        print(f"{shown(str(source))} -> {shown(str(source if asked.in_place else target))}")
    else:
        print(f"{shown(str(source))}: nothing to convert; no file was written")
    for line in report.lines:
        print(f"  {line}")
    return _OPEN if report.open else _DONE


def _jobs(read: Callable[[bytes], formats.Jobs]) -> Callable[[bytes, Mapping[str, str], Report], bytes]:
    def convert(data: bytes, given: Mapping[str, str], report: Report) -> bytes:
        jobs = read(data)
        convert_steps(jobs.steps, given, report)
        note_others(jobs.steps, jobs.options, report)
        return jobs.written()

    return convert


def _properties(data: bytes, given: Mapping[str, str], report: Report) -> bytes:
    encoding = "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        encoding = "latin-1"  # Java's own encoding of properties files
        text = data.decode(encoding)
    return project.convert(text, given, report).encode(encoding)


_READERS: Mapping[str, Callable[[bytes, Mapping[str, str], Report], bytes]] = {
    "yaml": _jobs(formats.yaml_jobs),
    "json": _jobs(formats.json_jobs),
    "xml": _jobs(formats.xml_jobs),
    "properties": _properties,
}
_ENDINGS = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".xml": "xml", ".properties": "properties"}


def _create(target: Path, data: bytes, source: Path) -> None:
    """Write a new file with the source's permissions. Raises _Failed if there is one already."""
    try:
        mode = source.stat().st_mode & 0o777
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    except OSError as error:
        raise _Failed(f"{shown(str(target))}: {error.strerror}") from None


def _replace(source: Path, data: bytes) -> None:
    """Replace a file at once, with its permissions. Raises _Failed."""
    try:
        descriptor, name = tempfile.mkstemp(dir=source.parent, prefix=f".{source.name}.")
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            os.chmod(name, source.stat().st_mode & 0o777)
            os.replace(name, source)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise _Failed(f"{shown(str(source))}: {error.strerror}") from None
