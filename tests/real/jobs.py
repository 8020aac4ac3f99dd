"""Job definitions in Rundeck's job YAML, read as a server imports them and run as it runs them.

What a job may hold is in Rundeck's document format reference, job-yaml, and in what its importer reads
(ScheduledExecution, Option, Workflow and PluginStep of rundeckapp).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from real.rundeck import NodeStep, Run, WorkflowStep

EXECUTION = str(os.getpid())
"""Number of the execution of each job. Jobs name files after it, and emulated containers share /tmp."""

LEVELS = {"DEBUG", "VERBOSE", "INFO", "WARN", "ERROR"}
STRATEGIES = {"node-first", "sequential", "parallel"}
TABS = {"nodes", "output", "html"}

_FLAG, _TEXT, _LIST, _MAP = bool, str, list, dict
_JOB: dict[str, type] = {
    **dict.fromkeys(("name", "group", "description", "loglevel", "defaultTab", "timeout", "uuid"), _TEXT),
    **dict.fromkeys(("executionEnabled", "scheduleEnabled", "multipleExecutions"), _FLAG),
    **dict.fromkeys(("nodeFilterEditable", "nodesSelectedByDefault"), _FLAG),
    "nodefilters": _MAP,
    "options": _LIST,
    "sequence": _MAP,
}
_FILTERS: dict[str, type] = {"filter": _TEXT, "dispatch": _MAP}
_DISPATCH: dict[str, type] = {
    **dict.fromkeys(("threadcount", "rankAttribute", "rankOrder"), _TEXT),
    **dict.fromkeys(("keepgoing", "excludePrecedence", "successOnEmptyNodeFilter"), _FLAG),
}
_OPTION: dict[str, type] = {
    **dict.fromkeys(("name", "label", "description", "value", "regex", "optionValuesPluginType"), _TEXT),
    **dict.fromkeys(("required", "enforced"), _FLAG),
    "values": _LIST,
}
_SEQUENCE: dict[str, type] = {"keepgoing": _FLAG, "strategy": _TEXT, "commands": _LIST}
_STEP: dict[str, type] = {
    "description": _TEXT,
    "nodeStep": _FLAG,
    "type": _TEXT,
    "configuration": _MAP,
    "plugins": _MAP,
}
_FILTER: dict[str, type] = {"type": _TEXT, "config": _MAP}
_NEEDED = {"name", "description", "loglevel", "sequence"}


class Job:
    """One job of a file."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        """Take a job as it stands in its file."""
        self.content = content

    @classmethod
    def load(cls, path: Path) -> Job:
        """Read the only job of a file, in which a server expects a list."""
        (content,) = yaml.safe_load(path.read_text(encoding="utf-8"))
        return cls(content)

    @property
    def steps(self) -> Sequence[Mapping[str, Any]]:
        """Return the steps of its workflow."""
        steps: Sequence[Mapping[str, Any]] = self.content["sequence"]["commands"]
        return steps

    @property
    def node_filter(self) -> str:
        """Return its node filter; empty: it runs on the server alone."""
        return str(self.content.get("nodefilters", {}).get("filter", ""))

    @property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """Return its options by name."""
        return {option["name"]: option for option in self.content.get("options", [])}

    def values(self, **typed: str) -> dict[str, str]:
        """Return its options' values with what a user types, checked as a server checks them before it runs a job."""
        given = {name.replace("_", "-"): value for name, value in typed.items()}
        assert set(given) <= set(self.options)
        values = {}
        for name, option in self.options.items():
            value = given.get(name, str(option.get("value", "")))
            assert value or not option.get("required"), f"{name} is required"
            if value and "regex" in option:
                assert re.fullmatch(option["regex"], value), f"{name} does not take {value!r}"
            if value:
                values[name] = value
        return values

    def only(self, number: int) -> Job:
        """Return the same job with only one of its steps."""
        sequence = {**self.content["sequence"], "commands": [self.steps[number]]}
        return Job({**self.content, "sequence": sequence})

    def run(self, on: Sequence[str] = (), **typed: str) -> NodeStep | WorkflowStep:
        """Return its only step as an action of the real Rundeck, with what a user types."""
        job = {"name": self.content["name"], "group": self.content["group"], "execid": EXECUTION, "username": "admin"}
        dispatch = self.content.get("nodefilters", {}).get("dispatch", {})
        run = Run(
            loglevel=self.content["loglevel"],
            context={"job": {**job, "project": "demo"}, "option": self.values(**typed)},
            threads=int(dispatch.get("threadcount", 1)),
            keepgoing=dispatch.get("keepgoing", False),
        )
        (step,) = self.steps
        provider, config = step["type"], step["configuration"]
        return NodeStep(provider, on, config, run) if step["nodeStep"] else WorkflowStep(provider, config, run)

    def faults(self) -> Iterator[str]:
        """Yield what a server would refuse, or ignore, in the form of the job; its values are not looked at."""
        job = self.content
        yield from _faults("job", job, _JOB)
        yield from (f"job has no {name}" for name in sorted(_NEEDED - set(job)))
        if job.get("loglevel") not in LEVELS or job.get("defaultTab", "nodes") not in TABS:
            yield "loglevel or defaultTab is none that there is"
        if filters := job.get("nodefilters"):
            yield from _faults("nodefilters", filters, _FILTERS)
            yield from _faults("dispatch", filters.get("dispatch", {}), _DISPATCH)
        yield from self._faults_of_options()
        yield from _faults("sequence", job["sequence"], _SEQUENCE)
        if job["sequence"].get("strategy") not in STRATEGIES:
            yield "strategy is none that there is"
        for step in self.steps:
            yield from self._faults_of_step(step)

    def _faults_of_options(self) -> Iterator[str]:
        for option in self.content.get("options", []):
            yield from _faults(f"option {option['name']}", option, _OPTION)
            if not re.fullmatch(r"[a-zA-Z_0-9.-]+", option["name"]):
                yield f"option {option['name']} has a name that Rundeck refuses"
            if "value" in option and not re.fullmatch(option.get("regex", ".*"), option["value"]):
                yield f"option {option['name']} refuses its own default"
        used = set(re.findall(r"\$\{option\.([^}]+)\}", str(self.content["sequence"])))
        for name in sorted(used - set(self.options)):
            yield f"option {name} is used and not there"

    def _faults_of_step(self, step: Mapping[str, Any]) -> Iterator[str]:
        yield from _faults("step", step, _STEP)
        if step.get("nodeStep") and not self.node_filter:
            yield "a node step in a job without nodes"
        for name, value in step["configuration"].items():
            if not isinstance(value, str):
                yield f"{name} is no text"
        for service, plugins in step.get("plugins", {}).items():
            if service != "LogFilter":
                yield f"a step has no plugins of the kind {service}"
            for plugin in plugins:
                yield from _faults(f"log filter {plugin.get('type')}", plugin, _FILTER)


def _faults(what: str, content: Mapping[str, Any], known: Mapping[str, type]) -> Iterator[str]:
    for name, value in content.items():
        if name not in known:
            yield f"{what} has {name}, which Rundeck does not read"
        elif not isinstance(value, known[name]):
            yield f"{what}: {name} is no {known[name].__name__}"
