"""The libraries in the zip as a CycloneDX document, which scanners for known vulnerabilities read.

It holds no time and no random number: the same sources give the same document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from email.parser import BytesParser
from email.policy import compat32
from typing import Any, NamedTuple


class Library(NamedTuple):
    """A distribution that goes into the zip."""

    name: str
    version: str
    files: Sequence[tuple[str, str]]
    """The wheels whose files go into the zip, each with its SHA-256."""
    metadata: bytes
    """The content of its METADATA."""


def document(version: str, libraries: Sequence[Library]) -> bytes:
    """Return the document for a version of the plugin."""
    top = {"type": "application", "bom-ref": "rundeck-ecs-exec", "name": "rundeck-ecs-exec", "version": version}
    listed = sorted(libraries, key=lambda library: library.name.lower())
    references = {_normal(library.name): _reference(library) for library in listed}
    content = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**top, "licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": [_component(library) for library in listed],
        "dependencies": [
            {"ref": top["bom-ref"], "dependsOn": list(references.values())},
            *({"ref": _reference(library), "dependsOn": _needs(library, references)} for library in listed),
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"


def _component(library: Library) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": _reference(library),
        "name": library.name,
        "version": library.version,
        "purl": _reference(library),
        "licenses": [_licence(library.metadata)],
        "hashes": [{"alg": "SHA-256", "content": digest} for _, digest in library.files],
        "pedigree": {"notes": "What a server does not need is left out; contents/lib/README.txt says what is changed."},
        "properties": [
            {"name": "rundeck-ecs-exec:wheel", "value": f"{file} sha256:{digest}"} for file, digest in library.files
        ],
    }


def _reference(library: Library) -> str:
    return f"pkg:pypi/{re.sub('[-_.]+', '-', library.name).lower()}@{library.version}"


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def _needs(library: Library, references: Mapping[str, str]) -> list[str]:
    """Return the references of the libraries that a library needs without any extra."""
    wanted = _fields(library.metadata, "Requires-Dist")
    names = [_normal(re.split(r"[^\w.-]", text, maxsplit=1)[0]) for text in wanted if "extra ==" not in text]
    return sorted({references[name] for name in names if name in references})


def _licence(metadata: bytes) -> dict[str, Any]:
    """Return a licence as an SPDX expression if the library gives one, else by the library's own name for it."""
    if expression := _fields(metadata, "License-Expression"):
        return {"expression": expression[0]}
    named = [text for text in _fields(metadata, "License") if "\n" not in text]
    named += [text.rpartition(" :: ")[2] for text in _fields(metadata, "Classifier") if text.startswith("License ::")]
    return {"license": {"name": named[0] if named else "see its folder"}}


def _fields(metadata: bytes, name: str) -> list[str]:
    return [
        str(value) for value in BytesParser(policy=compat32).parsebytes(metadata, headersonly=True).get_all(name, [])
    ]
