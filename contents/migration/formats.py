"""Reads and writes exported jobs as YAML, JSON and XML. What is not converted stays as it is.

Files may be hostile: YAML is composed, never constructed; XML with a document type is refused, so that no entity is
ever expanded. Errors name lines, never content, which may be secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET
from xml.parsers import expat

import yaml

from migration.jobs import Step
from migration.report import shown

_DEEPEST = 60
"""Deepest nesting; a job needs about ten."""
_PLUGIN = "optionValuesPluginType"
_WIDTH = 1 << 20
"""Long texts stay on one line, as Rundeck exports them."""


class Jobs(NamedTuple):
    """Jobs of a file."""

    steps: list[Step]
    options: list[tuple[str, str]]
    """Place of each option that takes its values from a plugin, and the plugin."""
    written: Callable[[], bytes]
    """Returns the file with all changes of the steps."""


class Unreadable(Exception):
    """A file is not what its format says."""


# --- YAML


def yaml_jobs(data: bytes) -> Jobs:
    """Read YAML. Raises Unreadable."""
    try:
        text = data.decode("utf-8-sig")
        _check_depth(text)
        documents = list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(f"no YAML (line {mark.line + 1 if mark else '?'})") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise Unreadable("no YAML in UTF-8") from None
    steps = [step for document in documents for step in _yaml_steps(document)]
    options = [option for document in documents for option in _yaml_options(document)]

    def written() -> bytes:
        return yaml.serialize_all(documents, Dumper=yaml.SafeDumper, allow_unicode=True, width=_WIDTH).encode()

    return Jobs(steps, options, written)


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise Unreadable("no job: its YAML is nested too deeply")


def _yaml_steps(document: yaml.Node | None) -> Iterator[Step]:
    seen: set[int] = set()
    jobs = document.value if isinstance(document, yaml.SequenceNode) else [document]
    for job in jobs:
        commands = _child(_child(job, "sequence"), "commands")
        if isinstance(commands, yaml.SequenceNode):
            named = _job(_text(_child(job, "name")), _text(_child(job, "group")))
            for number, command in enumerate(commands.value, 1):
                yield from _yaml_in(command, f"{named}, step {number}", seen)


def _yaml_options(document: yaml.Node | None) -> Iterator[tuple[str, str]]:
    for job in document.value if isinstance(document, yaml.SequenceNode) else [document]:
        options = _child(job, "options")
        named = _job(_text(_child(job, "name")), _text(_child(job, "group")))
        for option in options.value if isinstance(options, yaml.SequenceNode) else []:
            if plugin := _text(_child(option, _PLUGIN)):
                yield f"{named}, option {shown(_text(_child(option, 'name')))}", plugin


def _yaml_in(node: yaml.Node, place: str, seen: set[int]) -> Iterator[Step]:
    """Yield a step and the steps in it: its error handler, and the steps of a step with conditions.

    Each node is visited once: a few lines of aliases can stand for billions of nodes.
    """
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        if _text(_child(node, "type")):
            yield YamlStep(place, node)
        for key, value in node.value:
            if key.value not in ("configuration", "plugins"):
                yield from _yaml_in(value, f"{place}, error handler" if key.value == "errorhandler" else place, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _yaml_in(value, place, seen)


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        found: list[yaml.Node] = [value for key, value in node.value if key.value == name]
        return found[0] if found else None
    return None


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


class YamlStep:
    """A step as a node of YAML."""

    def __init__(self, place: str, node: yaml.MappingNode) -> None:
        """Take the mapping of the step."""
        self.place = place
        self._node = node
        self._config = _child(node, "configuration")
        self.type = _text(_child(node, "type"))

    def config(self) -> list[tuple[str, str | None]]:
        """Return its settings."""
        if not isinstance(self._config, yaml.MappingNode):
            return []
        return [
            (str(key.value), str(value.value) if isinstance(value, yaml.ScalarNode) else None)
            for key, value in self._config.value
        ]

    def rename(self, old: str, new: str) -> None:
        """Give a setting another name."""
        if isinstance(self._config, yaml.MappingNode):
            for key, _ in self._config.value:
                if key.value == old:
                    key.value, key.style, key.tag = new, None, "tag:yaml.org,2002:str"

    def retype(self, new: str) -> None:
        """Make it a step of another plugin."""
        node = _child(self._node, "type")
        if isinstance(node, yaml.ScalarNode):
            node.value, node.style = new, None
            self.type = new

    def filters(self) -> list[str]:
        """Return the types of its log filters."""
        found = _child(_child(self._node, "plugins"), "LogFilter")
        listed = found.value if isinstance(found, yaml.SequenceNode) else []
        return [_text(_child(each, "type")) for each in listed]


# --- JSON


def json_jobs(data: bytes) -> Jobs:
    """Read JSON. Raises Unreadable."""
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise Unreadable(f"no JSON (line {error.lineno})") from None
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise Unreadable("no JSON in UTF-8") from None
    jobs = content if isinstance(content, list) else [content]
    steps = [step for job in jobs if isinstance(job, dict) for step in _json_steps(job)]
    options = [option for job in jobs if isinstance(job, dict) for option in _json_options(job)]

    def written() -> bytes:
        try:
            return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
        except UnicodeEncodeError:  # half of a character
            return (json.dumps(content, indent=2) + "\n").encode()

    return Jobs(steps, options, written)


def _json_steps(job: dict[str, Any]) -> Iterator[Step]:
    sequence = job.get("sequence")
    commands = sequence.get("commands") if isinstance(sequence, dict) else None
    named = _job(str(job.get("name", "")), str(job.get("group") or ""))
    for number, command in enumerate(commands if isinstance(commands, list) else [], 1):
        yield from _json_in(command, f"{named}, step {number}", 0)


def _json_options(job: dict[str, Any]) -> Iterator[tuple[str, str]]:
    named = _job(str(job.get("name", "")), str(job.get("group") or ""))
    options = job.get("options")
    for option in options if isinstance(options, list) else []:
        if isinstance(option, dict) and option.get(_PLUGIN):
            yield f"{named}, option {shown(str(option.get('name')))}", str(option[_PLUGIN])


def _json_in(value: object, place: str, depth: int) -> Iterator[Step]:
    if depth > _DEEPEST:
        raise Unreadable("no job: its JSON is nested too deeply")
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield JsonStep(place, value)
        for key, inner in value.items():
            if key not in ("configuration", "plugins"):
                yield from _json_in(inner, f"{place}, error handler" if key == "errorhandler" else place, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _json_in(inner, place, depth + 1)


class JsonStep:
    """A step as an object of JSON."""

    def __init__(self, place: str, step: dict[str, Any]) -> None:
        """Take the object."""
        self.place = place
        self._step = step
        self.type: str = step["type"]

    def config(self) -> list[tuple[str, str | None]]:
        """Return its settings."""
        found = self._step.get("configuration")
        if not isinstance(found, dict):
            return []
        return [(key, None if isinstance(value, (dict, list)) else str(value)) for key, value in found.items()]

    def rename(self, old: str, new: str) -> None:
        """Give a setting another name."""
        self._step["configuration"] = {
            new if key == old else key: value for key, value in self._step["configuration"].items()
        }

    def retype(self, new: str) -> None:
        """Make it a step of another plugin."""
        self._step["type"] = self.type = new

    def filters(self) -> list[str]:
        """Return the types of its log filters."""
        plugins = self._step.get("plugins")
        found = plugins.get("LogFilter") if isinstance(plugins, dict) else None
        return [str(each.get("type")) for each in found or () if isinstance(each, dict)]


# --- XML


def xml_jobs(data: bytes) -> Jobs:
    """Read XML. Raises Unreadable."""
    root = _parsed(data)
    steps = [step for job in root.iter("job") for step in _xml_steps(job)]
    options = [option for job in root.iter("job") for option in _xml_options(job)]

    def written() -> bytes:
        head = b"<?xml version='1.0' encoding='utf-8'?>\n" if data.lstrip().startswith(b"<?xml") else b""
        return head + ET.tostring(root, encoding="unicode").encode() + b"\n"

    return Jobs(steps, options, written)


def _parsed(data: bytes) -> ET.Element:
    builder = ET.TreeBuilder(insert_comments=True)
    parser = expat.ParserCreate()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise Unreadable("no job: its XML is nested too deeply")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def comment(text: str) -> None:
        if depth:
            builder.comment(text)

    def refuse(*_: object) -> None:
        raise Unreadable("XML with a document type, which is not supported: remove it")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.CommentHandler = builder.data, comment
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Unreadable(f"no XML (line {error.lineno})") from None
    except (ValueError, LookupError):
        raise Unreadable("no XML in UTF-8") from None
    return builder.close()


def _xml_steps(job: ET.Element) -> Iterator[Step]:
    named = _job(job.findtext("name", ""), job.findtext("group", ""))
    for number, command in enumerate(job.findall("sequence/command"), 1):
        place = f"{named}, step {number}"
        handlers = {id(each) for handler in command.iter("errorhandler") for each in handler.iter()}
        for element in command.iter():
            if element.tag in ("step-plugin", "node-step-plugin") and element.get("type"):
                inside = id(element) in handlers
                yield XmlStep(f"{place}, error handler" if inside else place, element, None if inside else command)


def _xml_options(job: ET.Element) -> Iterator[tuple[str, str]]:
    named = _job(job.findtext("name", ""), job.findtext("group", ""))
    for option in job.iter("option"):
        if plugin := option.get(_PLUGIN) or option.findtext(_PLUGIN):
            yield f"{named}, option {shown(option.get('name', ''))}", plugin


class XmlStep:
    """A step as an element of XML."""

    def __init__(self, place: str, element: ET.Element, command: ET.Element | None) -> None:
        """Take the plugin's element and, unless it is an error handler's, the step's."""
        self.place = place
        self._element = element
        self._command = command
        self.type = element.get("type", "")

    def config(self) -> list[tuple[str, str | None]]:
        """Return its settings."""
        return [(each.get("key", ""), each.get("value")) for each in self._element.findall("configuration/entry")]

    def rename(self, old: str, new: str) -> None:
        """Give a setting another name."""
        for each in self._element.findall("configuration/entry"):
            if each.get("key") == old:
                each.set("key", new)

    def retype(self, new: str) -> None:
        """Make it a step of another plugin."""
        self._element.set("type", new)
        self.type = new

    def filters(self) -> list[str]:
        """Return the types of its log filters."""
        found = self._command.findall("plugins/LogFilter") if self._command is not None else []
        return [each.get("type", "") for each in found]


def _job(name: str, group: str) -> str:
    return shown(f"job {group}/{name}" if group else f"job {name}")
