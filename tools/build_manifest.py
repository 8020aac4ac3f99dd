"""Writes plugin.yaml, the form messages and the tables of settings, from ecs_exec.settings.properties.

plugin.yaml keeps its head, up to `providers:`. Documents change only between the marks of a table.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml

import build_troubleshooting
from ecs_exec.interpreter import OPTIONS
from ecs_exec.settings.properties import ACCESS, RUN, SECRET_ACCESS_KEY, UNSET_REFERENCES, Group, Property
from ecs_exec.settings.providers import PROVIDERS, Provider

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = Path("plugin.yaml")
TROUBLESHOOTING = Path("docs/troubleshooting.md")
MESSAGES = Path("resources/i18n/messages.properties")
CREDENTIALS = Path("docs/credentials.properties")
DOCUMENTS = (
    Path("README.md"),
    Path("docs/node-source.md"),
    Path("docs/scripts.md"),
    Path("docs/steps.md"),
    Path("docs/option-values.md"),
)
"""Pages that have tables of settings. Each table is in one of them."""

_WITHOUT_JOB = {"ResourceModelSource", "OptionValues"}
"""Services whose scripts have no job around them."""
_LOWEST = {"Advanced"}
"""Groups that a form shows folded up."""


def main() -> int:
    """Write the files of this checkout."""
    for path, text in build(ROOT).items():
        (ROOT / path).write_text(text, encoding="utf-8")
    return 0


def build(root: Path) -> dict[Path, str]:
    """Return the new texts of all files that describe settings, made from a checkout's own."""
    return {
        MANIFEST: manifest((root / MANIFEST).read_text(encoding="utf-8")),
        MESSAGES: messages(),
        CREDENTIALS: credentials((root / CREDENTIALS).read_text(encoding="utf-8")),
        TROUBLESHOOTING: build_troubleshooting.page((root / TROUBLESHOOTING).read_text(encoding="utf-8")),
        **documents({path: (root / path).read_text(encoding="utf-8") for path in DOCUMENTS if (root / path).exists()}),
    }


def described(item: Property) -> str:
    """Return a property's help with its default, its node attribute and who sets it, as the forms show it."""
    # A checkbox shows its default, which is off.
    default = f" Default: {item.default}." if item.default and item.kind != "Boolean" else ""
    attribute = f" Node attribute: {item.attribute}." if item.attribute else ""
    whose = " Set in the project's or the server's configuration only." if item.administrator else ""
    return f"{item.help}{' Required.' if item.required else ''}{default}{attribute}{whose}"


# --- plugin.yaml


def manifest(present: str) -> str:
    """Return plugin.yaml with the same head and the current providers."""
    head = present.partition("providers:\n")[0]
    listed = [_provider(each) for each in PROVIDERS]
    body = yaml.dump({"providers": listed}, Dumper=_Dumper, sort_keys=False, width=116, allow_unicode=True)
    return head + body


class _Dumper(yaml.SafeDumper):
    """Indents lists, and repeats a value instead of an alias: Rundeck's reader accepts at most fifty aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _provider(provider: Provider) -> dict[str, Any]:
    return {
        "name": provider.name,
        "service": provider.service,
        "title": provider.title,
        "description": provider.help,
        "plugin-type": "script",
        "script-interpreter": " ".join(("python3", *OPTIONS)),
        "script-file": provider.script,
        **_arguments(provider),
        **provider.more,
        "config": [_scoped(provider.service, item) for item in provider.properties],
    }


def _arguments(provider: Provider) -> dict[str, str]:
    """Pass what administrators set as arguments: jobs can add variables to the environment, but no arguments."""
    if provider.service in _WITHOUT_JOB:
        return {}
    values = {item.name: f"config.{item.name}" for item in _administrators(provider)}
    values |= {name: name for name in provider.from_rundeck}
    return {"script-args": " ".join(f"{name}=${{{value}}}" for name, value in values.items())}


def _administrators(provider: Provider) -> list[Property]:
    return [item for item in provider.properties if item.administrator]


def _scoped(service: str, item: Property) -> dict[str, Any]:
    """Let a project or the server set properties that all steps of a kind share; else only the job could."""
    if item.administrator:
        # If a property has no value, a reference in script-args would find a value that a job may have set.
        return _property(item) | {"default": "", "scope": "Project"}
    if item.from_globals:
        # Framework scope: no form shows it, and no project's form stores it.
        return _property(item) | {"default": f"${{globals.{item.from_globals}}}", "scope": "Framework"}
    if service == "OptionValues":
        return _property(item) | {"scope": "Project"}
    shared = service.startswith("Workflow") and item.name in {each.name for each in ACCESS + RUN}
    return _property(item) | ({"scope": "Instance"} if shared else {})


def _property(item: Property) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": item.name,
        "type": item.kind,
        "title": item.title,
        "description": described(item),
    }
    if item.values:
        entry["values"] = ",".join(item.values)
    if item.shell_text:
        entry["unexpandableBehaviorFrom"] = UNSET_REFERENCES.name
    if item.read_by_rundeck:
        entry["default"] = item.default
    return entry | {"renderingOptions": _rendering(item)}


def _rendering(item: Property) -> dict[str, str]:
    options: dict[str, str] = {"groupName": item.group}
    if item.group in _LOWEST:
        options["grouping"] = "secondary"
    if item.attribute:
        options["instance-scope-node-attribute"] = item.attribute
    if item.display:
        options["displayType"] = item.display
    if item.key_storage:
        options |= {
            "selectionAccessor": "STORAGE_PATH",
            "storage-path-root": "keys",
            "storage-file-meta-filter": "Rundeck-data-type=password",
            "valueConversion": "STORAGE_PATH_AUTOMATIC_READ",
        }
    if item.from_globals:
        # Without such a variable the value is the reference itself, which is no path: Rundeck passes it on.
        options["valueConversionFailure"] = "skip"
    return options


# --- resources/i18n


def messages() -> str:
    """Return the texts of the forms by code. If a provider has another text, it has a code of its own."""
    lines = ["# What the forms show. Written by `make manifest`, to be translated in files beside this one."]
    known: dict[str, str] = {}
    lines += [f"{code}={group}" for group, code in _group_codes().items()]
    for provider in PROVIDERS:
        for code, text in _texts(provider):
            if known.setdefault(code, text) != text:
                lines.append(f"{provider.service}.{provider.name}.{code}={_escaped(text)}")
            elif f"{code}={_escaped(text)}" not in lines:
                lines.append(f"{code}={_escaped(text)}")
    return "\n".join(lines) + "\n"


def _group_codes() -> Mapping[str, str]:
    """Return, by group, the code under which Rundeck's older pages look up its name; newer ones do not translate it."""
    used = {item.group for provider in PROVIDERS for item in provider.properties}
    return {
        group: f"property.{'secondary' if group in _LOWEST else 'primary'}.{group}.groupName"
        for group in get_args(Group)
        if group in used
    }


def _texts(provider: Provider) -> Iterator[tuple[str, str]]:
    prefix = f"{provider.service}.{provider.name}.plugin"
    yield f"{prefix}.title", provider.title
    yield f"{prefix}.description", provider.help
    for item in provider.properties:
        yield f"property.{item.name}.title", item.title
        yield f"property.{item.name}.description", described(item)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


# --- The documents


def credentials(present: str) -> str:
    """Return the sample of credentials for all providers: the head of the present one, and a line for each step."""
    head, _, rest = present.partition("project.plugin.")
    path = rest.partition("\n")[0].partition("=")[2]
    steps = [each for each in PROVIDERS if SECRET_ACCESS_KEY in each.properties and each.service.startswith("Workflow")]
    lines = [f"project.plugin.{each.service}.{each.name}.{SECRET_ACCESS_KEY.name}={path}\n" for each in steps]
    return head + "".join(lines)


def documents(present: Mapping[Path, str]) -> dict[Path, str]:
    """Return documents with current tables of settings. Raises ValueError if a table has no place."""
    written = dict(present)
    for mark, table in tables().items():
        pattern = re.compile(rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end of {re.escape(mark)} -->)", re.DOTALL)
        holders = [path for path, text in written.items() if pattern.search(text)]
        if len(holders) != 1:
            raise ValueError(f"the marks of {mark} are in {len(holders)} documents, not in one")
        text = written[holders[0]]
        written[holders[0]] = pattern.sub(lambda match, table=table: match[1] + table + match[2], text)  # type: ignore[misc]
    return written


def tables() -> Mapping[str, str]:
    """Return the tables of settings by mark: the properties that the providers before it do not have."""
    found: dict[str, str] = {}
    told: set[tuple[str, str]] = set()
    for provider in PROVIDERS:
        shown = [item for item in provider.properties if not item.read_by_rundeck and not item.from_globals]
        mine = [item for item in shown if (item.name, item.help) not in told]
        told |= {(item.name, item.help) for item in mine}
        if mine:
            found[f"settings of {provider.name} ({provider.service})"] = _table(mine)
    return found


def _table(properties: list[Property]) -> str:
    rows = ["| Setting | Default | Node attribute | Meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{item.name}` | {_code(item.default)} | {_setters(item)} | {item.help.replace('|', chr(92) + '|')} |"
        for item in properties
    ]
    return "\n".join(rows) + "\n"


def _setters(item: Property) -> str:
    return "administrators only" if item.administrator else _code(item.attribute)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.exit(main())
