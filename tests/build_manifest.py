"""Writes what tells of the settings, from the one place where they stand: ecs_exec.settings.properties.

plugin.yaml keeps its head, up to `providers:`; README.md keeps all but what stands between its marks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ecs_exec.settings.properties import Property
from providers import PROVIDERS, Provider

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = Path("plugin.yaml")
MESSAGES = Path("resources/i18n/messages.properties")
README = Path("README.md")

_LOWEST = {"Advanced"}
"""Groups that a form shows folded up."""


def main() -> int:
    """Write the files of this checkout."""
    for path, text in build(ROOT).items():
        (ROOT / path).write_text(text, encoding="utf-8")
    return 0


def build(root: Path) -> dict[Path, str]:
    """Return the texts of all files that tell of settings, made from a checkout's own."""
    return {
        MANIFEST: manifest((root / MANIFEST).read_text(encoding="utf-8")),
        MESSAGES: messages(),
        README: readme((root / README).read_text(encoding="utf-8")),
    }


def described(item: Property) -> str:
    """Return a property's help with its default and its node attribute, as the forms show it."""
    default = f" Default: {item.default}." if item.default else ""
    attribute = f" Node attribute: {item.attribute}." if item.attribute else ""
    return f"{item.help}{default}{attribute}"


# --- plugin.yaml


def manifest(present: str) -> str:
    """Return plugin.yaml with the same head and the providers as they are to be."""
    head = present.partition("providers:\n")[0]
    listed = [_provider(each) for each in PROVIDERS]
    body = yaml.dump({"providers": listed}, Dumper=_Dumper, sort_keys=False, width=116, allow_unicode=True)
    return head + body


class _Dumper(yaml.SafeDumper):
    """Indents lists, and writes a value out each time: Rundeck's reader takes fifty aliases at most."""

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
        "script-interpreter": "python3 -u",
        "script-file": provider.script,
        **provider.more,
        "plugin-meta": {"fabicon": "aws"},
        "config": [_property(item) for item in provider.properties],
    }


def _property(item: Property) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": item.name,
        "type": item.kind,
        "title": item.title,
        "description": described(item),
    }
    if item.required:
        entry["required"] = True
    if item.default:
        entry["default"] = item.default
    if item.values:
        entry["values"] = ",".join(item.values)
    if item.keep_unknown:
        entry["blankIfUnexpandable"] = False
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
    return options


# --- resources/i18n


def messages() -> str:
    """Return what the forms show, by code; a property's texts are given again where a provider has others."""
    lines = ["# What the forms show. Written by `make manifest`, to be translated in files beside this one."]
    known: dict[str, str] = {}
    for provider in PROVIDERS:
        for code, text in _texts(provider):
            if known.setdefault(code, text) != text:
                lines.append(f"{provider.service}.{provider.name}.{code}={_escaped(text)}")
            elif f"{code}={_escaped(text)}" not in lines:
                lines.append(f"{code}={_escaped(text)}")
    return "\n".join(lines) + "\n"


def _texts(provider: Provider) -> Iterator[tuple[str, str]]:
    prefix = f"{provider.service}.{provider.name}.plugin"
    yield f"{prefix}.title", provider.title
    yield f"{prefix}.description", provider.help
    for item in provider.properties:
        yield f"property.{item.name}.title", item.title
        yield f"property.{item.name}.description", described(item)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


# --- README.md


def readme(present: str) -> str:
    """Return a README whose tables of settings are as they are to be."""
    for mark, table in tables().items():
        pattern = rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end of {re.escape(mark)} -->)"
        if not re.search(pattern, present, re.DOTALL):
            raise ValueError(f"README.md lacks the marks of {mark}")
        present = re.sub(pattern, lambda match, table=table: match[1] + table + match[2], present, flags=re.DOTALL)  # type: ignore[misc]
    return present


def tables() -> Mapping[str, str]:
    """Return, by mark, the tables of the README: what a provider adds to the properties of those before it."""
    found: dict[str, str] = {}
    told: set[Property] = set()
    for provider in PROVIDERS:
        mine = [item for item in provider.properties if item not in told]
        told |= set(mine)
        if mine:
            found[f"settings of {provider.name} ({provider.service})"] = _table(mine)
    return found


def _table(properties: list[Property]) -> str:
    rows = ["| Setting | Default | Node attribute | Meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{item.name}` | {_code(item.default)} | {_code(item.attribute)} | {item.help.replace('|', chr(92) + '|')} |"
        for item in properties
    ]
    return "\n".join(rows) + "\n"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.exit(main())
