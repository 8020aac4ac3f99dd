"""Jobs and projects of Rundeck Enterprise after the converter, read as a server imports them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import yaml

from documents import ROOT
from migration import lines
from migration.program import main
from real.rundeck import Execution, NodeStep, Run, Validate, WorkflowStep
from real.rundeck_actions import Action

SAMPLES = ROOT / "tests" / "samples" / "enterprise"


def converted(name: str, folder: Path) -> Path:
    """Convert a sample; give the new file."""
    target = folder / f"new-{name}"
    assert main([str(SAMPLES / name), "--output", str(target)]) in (0, 1)
    return target


def project(path: Path) -> dict[str, str]:
    """Read the properties of a project."""
    return {each.key: each.value for each in lines.read(path.read_text(encoding="utf-8")) if each.key}


def source(properties: Mapping[str, str], number: int = 2) -> tuple[str, dict[str, str]]:
    """Give type and settings of a node source."""
    start = f"resources.source.{number}."
    config = {
        key.removeprefix(f"{start}config."): value
        for key, value in properties.items()
        if key.startswith(f"{start}config.")
    }
    return properties[f"{start}type"], config


def steps(path: Path) -> list[dict[str, Any]]:
    """Give the steps of the only job of a file, and after each its error handler, as Rundeck's YAML has them."""
    if path.suffix == ".xml":
        return _xml_steps(path)
    text = path.read_text(encoding="utf-8")
    (job,) = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    found = []
    for step in job["sequence"]["commands"]:
        found += [step, *([step["errorhandler"]] if "errorhandler" in step else [])]
    return found


def _xml_steps(path: Path) -> list[dict[str, Any]]:
    found = []
    for element in ET.parse(path).iter():  # noqa: S314 - our own file
        if element.tag in ("step-plugin", "node-step-plugin"):
            config = {each.get("key"): each.get("value") for each in element.iter("entry")}
            node_step = element.tag == "node-step-plugin"
            found.append({"type": element.get("type"), "configuration": config, "nodeStep": node_step})
    return found


def actions(path: Path, options: Mapping[str, str], on: Sequence[str] = ()) -> list[Action[Execution]]:
    """Give the steps of a job as the server runs them, with the values of its options."""
    run = Run(context={"option": options})
    return [
        NodeStep(step["type"], on, step["configuration"], run)
        if step["nodeStep"]
        else WorkflowStep(step["type"], step["configuration"], run)
        for step in steps(path)
    ]


def validations(paths: Iterable[Path]) -> list[Validate]:
    """Give the checks that a server makes when it imports jobs."""
    found = [step for path in paths for step in steps(path)]
    kinds = {True: "WorkflowNodeStep", False: "WorkflowStep"}
    return [Validate(kinds[step["nodeStep"]], step["type"], step["configuration"]) for step in found]


def project_validations(properties: Mapping[str, str]) -> list[Validate]:
    """Give the checks that a server makes when it saves a project's configuration."""
    blocks: dict[tuple[str, str], dict[str, str]] = {}
    for key, value in properties.items():
        if match := re.fullmatch(r"project\.plugin\.(\w+)\.(ecs-[\w-]+)\.([\w-]+)", key):
            blocks.setdefault((match[1], match[2]), {})[match[3]] = value
    return [Validate(service, name, values, of_project=True) for (service, name), values in blocks.items()]
