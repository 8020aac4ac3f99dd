"""Converts the properties of a project or of the framework."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ecs_exec.settings.properties import SECRET_ACCESS_KEY
from ecs_exec.settings.providers import PROVIDERS
from migration import lines
from migration.lines import Entry
from migration.names import CREDENTIALS, IGNORED, KEYS, Successor, is_path, plain, successor
from migration.report import Report, shown

_SHARED = re.compile(r"(?P<level>project|framework)\.(?:aws|plugin\.PluginGroup\.AWS)\.(?P<key>[^.]+)")
_DEFAULT = re.compile(r"(?:project\.|framework\.)?service\.(?P<service>NodeExecutor|FileCopier)\.default\.provider")
_PLUGIN = re.compile(r"(?P<level>project|framework)\.plugin\.(?P<service>\w+)\.(?P<name>[^.]+)\.(?P<key>[^.]+)")
_SOURCE = re.compile(r"(?P<start>(?:project\.)?resources\.source\.\d+)\.(?:type|config\.(?P<key>.+))")
_GROUP_SWITCH = re.compile(r"project\.PluginGroup\.AWS\.enabled")

_COPIER = "ecs-file-copier"


class _Shared(NamedTuple):
    """Region and credentials that Enterprise's AWS plugins share, by this plugin's names."""

    level: str
    values: Mapping[str, str]


class Converter:
    """Converts one file."""

    def __init__(self, entries: Sequence[Entry], given: Mapping[str, str], report: Report) -> None:
        """Take the lines; `given` holds successors of providers that the user has named."""
        self._given = given
        self._report = report
        self._entries = list(entries)
        self._old = {entry.key: entry.value for entry in entries if entry.key}
        self._new: list[Entry] = []
        self._sources: dict[str, Successor] = {}
        for key, value in self._old.items():
            place = _SOURCE.fullmatch(key)
            found = successor("ResourceModelSource", value, given) if key.endswith(".type") and place else None
            if place and found:
                self._sources[place["start"]] = found

    def convert(self) -> list[Entry]:
        """Return the lines of the new file."""
        converted = [self._line(each) if each.key else each for each in self._entries]
        shared = self._shared()
        for each in shared:
            self._add_shared(each)
        for start in self._sources:
            self._complete_source(start, shared, converted)
        self._new = [entry for entry in self._new if entry.key not in {each.key for each in converted}]
        if not self._new:
            return converted
        if converted and not converted[-1].raw.endswith(("\n", "\r")):
            converted.append(Entry("\n"))
        return [*converted, Entry("\n# Added by migrate.py of rundeck-ecs-exec.\n"), *self._new]

    # --- One line

    def _line(self, entry: Entry) -> Entry:
        key, place = entry.key, shown(entry.key)
        if _SHARED.fullmatch(key) or _GROUP_SWITCH.fullmatch(key):
            return entry  # other plugins for AWS may read it
        if found := _DEFAULT.fullmatch(key):
            return self._default(entry, found["service"])
        if found := _SOURCE.fullmatch(key):
            return self._source(entry, found["start"], found["key"])
        if (found := _PLUGIN.fullmatch(key)) and (new := successor(found["service"], found["name"], self._given)):
            if not new.name:
                self._report.left(
                    place,
                    f"{shown(found['name'])} is not known; if it has a counterpart, name it:"
                    f" --provider {shown(found['name'])}=NAME",
                )
                return entry
            start = f"{found['level']}.plugin.{found['service']}.{new.name}"
            changed = self._renamed(entry, new, start, found["key"])
            if found["service"] == "NodeExecutor" and changed is not entry:
                copier = changed.key.replace(start, f"{found['level']}.plugin.FileCopier.{_COPIER}", 1)
                self._new.append(lines.entry(copier, changed.value))
            return changed
        return entry

    def _default(self, entry: Entry, service: str) -> Entry:
        new = successor(service, entry.value, self._given)
        if new is None:
            return entry
        self._told(new, shown(entry.key), entry.value)
        return lines.entry(entry.key, new.name)

    def _source(self, entry: Entry, start: str, key: str | None) -> Entry:
        new = self._sources.get(start)
        if new is None:
            return entry
        if key is None:
            self._told(new, shown(entry.key), entry.value)
            return lines.entry(entry.key, new.name)
        changed = self._renamed(entry, new, f"{start}.config", key)
        if changed.key == f"{start}.config.containers" and entry.value.strip():
            self._new.append(lines.entry(f"{start}.config.container-filter", "task"))
            self._report.done(
                shown(f"{start}.config.container-filter"), "task, as Enterprise's documentation describes it"
            )
        return changed

    def _told(self, new: Successor, place: str, old: str) -> None:
        self._report.done(place, f"{shown(old)} is now {new.name}")
        if not new.certain:
            self._report.check(place, f"{shown(old)} was recognised by its words only")

    def _renamed(self, entry: Entry, new: Successor, start: str, key: str) -> Entry:
        """Return a setting under its new name; the same entry if it has none."""
        place, name = shown(entry.key), KEYS.get(new.name, {}).get(plain(key))
        if name is None and plain(key) in IGNORED:
            return entry
        if name is None:
            self._report.left(place, "has no counterpart and was kept")
            return entry
        if name == SECRET_ACCESS_KEY.name and entry.value and not is_path(entry.value):
            self._report.left(place, "holds no Key Storage path and was kept: store the secret in Key Storage")
            return entry
        if f"{start}.{name}" in self._old and f"{start}.{name}" != entry.key:
            self._report.left(place, f"was kept, because {start}.{name} is set already")
            return entry
        if f"{start}.{name}" != entry.key:
            self._report.done(place, f"is now {start}.{name}")
        return lines.entry(f"{start}.{name}", entry.value)

    # --- Credentials that plugins share

    def _shared(self) -> list[_Shared]:
        """Return them by level. The plugin group comes before the older properties."""
        found: dict[str, dict[str, str]] = {}
        for key, value in sorted(self._old.items(), key=lambda item: ".aws." in item[0]):
            place = _SHARED.fullmatch(key)
            if place is None or not value.strip():
                continue
            name = CREDENTIALS.get(plain(place["key"]))
            if name == SECRET_ACCESS_KEY.name and not is_path(value):
                self._report.left(shown(key), "holds no Key Storage path: store the secret in Key Storage")
            elif name:
                found.setdefault(place["level"], {}).setdefault(name, value)
            elif plain(place["key"]) not in IGNORED:
                self._report.left(shown(key), "has no counterpart and was kept")
        return [_Shared(level, values) for level, values in found.items()]

    def _add_shared(self, shared: _Shared) -> None:
        for name, value in shared.values.items():
            self._new.append(lines.entry(f"{shared.level}.globals.ecs-{name}", value))
            self._report.done(f"{shared.level}.globals.ecs-{name}", "set from the settings of Enterprise's AWS plugins")
            if name == "assume-role-arn":
                self._report.check(
                    f"{shared.level}.globals.ecs-{name}", "the role must trust this server's credentials"
                )
        if secret := shared.values.get(SECRET_ACCESS_KEY.name):
            steps = [
                each
                for each in PROVIDERS
                if each.service.startswith("Workflow")
                and SECRET_ACCESS_KEY.name in {item.name for item in each.properties}
            ]
            for each in steps:
                key = f"{shared.level}.plugin.{each.service}.{each.name}.{SECRET_ACCESS_KEY.name}"
                self._new.append(lines.entry(key, secret))
            self._report.done(
                f"{shared.level}.plugin.Workflow….{SECRET_ACCESS_KEY.name}", f"set for {len(steps)} steps"
            )

    def _complete_source(self, start: str, shared: Sequence[_Shared], converted: Sequence[Entry]) -> None:
        """Give a node source the project's region and credentials: Rundeck passes it only its own settings."""
        mine = {entry.key.removeprefix(f"{start}.config.") for entry in converted if entry.value.strip()}
        values = next((each.values for each in shared if each.level == "project"), {})
        added = []
        if "regions" not in mine and "region" in values:
            added.append(("regions", values["region"]))
        if "access-key-id" not in mine and "secret-access-key" not in mine:
            added += [(name, values[name]) for name in ("access-key-id", "secret-access-key") if name in values]
        if "assume-role-arn" not in mine and "assume-role-arn" in values:
            added += [(name, values[name]) for name in ("assume-role-arn", "external-id") if name in values]
        for name, value in added:
            self._new.append(lines.entry(f"{start}.config.{name}", value))
            self._report.done(shown(f"{start}.config.{name}"), "set from the settings of Enterprise's AWS plugins")
        if "regions" not in {*mine, *(name for name, _ in added)}:
            self._report.check(
                shown(start), "names no region: set config.regions, unless the server's AWS configuration has it"
            )


def convert(text: str, given: Mapping[str, str], report: Report) -> str:
    """Return the new text of a file."""
    return lines.write(Converter(lines.read(text), given, report).convert())
