"""Every cause of an error, with its name, its text and its cure. Imported only after an error, to save time."""

from __future__ import annotations

from functools import cache

from ecs_exec.errors.causes.cause import Cause, Section


def of(name: str) -> Cause:
    """Return the cause with a name. Raises KeyError for an unknown name."""
    return _by_name()[name]


def sections() -> tuple[Section, ...]:
    """Return all causes, in the order of docs/troubleshooting.md."""
    from ecs_exec.errors.causes import (
        access,
        calls,
        closing,
        credentials,
        denials,
        deploying,
        fetching,
        readiness,
        running_tasks,
        sessions,
        settings_and_targets,
        stopped_tasks,
    )

    return (
        *settings_and_targets.SECTIONS,
        *calls.SECTIONS,
        Section("Credentials", credentials.INTRO, credentials.CAUSES),
        Section("Denied calls", denials.INTRO, denials.CAUSES),
        Section("What the task shows", readiness.INTRO, readiness.CAUSES),
        Section("Permissions and the route to SSM", access.INTRO, access.CAUSES),
        *sessions.SECTIONS,
        Section("Fetching files", fetching.INTRO, fetching.CAUSES),
        Section("Deploying and scaling a service", deploying.INTRO, deploying.CAUSES),
        Section("What ended the session", closing.INTRO, closing.CAUSES),
        *running_tasks.SECTIONS,
        *stopped_tasks.SECTIONS,
    )


@cache
def _by_name() -> dict[str, Cause]:
    return {cause.name: cause for section in sections() for cause in section.causes}
