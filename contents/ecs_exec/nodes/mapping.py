"""The settings `mapping` and `static-attributes`: attributes that are added to nodes, or replace their own.

`mapping` follows the grammar of Rundeck's EC2 node source; both may also be YAML. Does no I/O.

    hostname.selector=tags/Name,ECS:Private-IP; hostname.default=none
    tags.selector=tags|tags/Role        lists, joined
    tag.spot.selector=capacityProviderName=FARGATE_SPOT
    attributes.selector=tags/*          each tag of the task, under its own name

People who may tag tasks are not administrators. So `tags/*` sets no attribute that Rundeck or a plugin acts on. An
administrator's entry for one attribute may take its value from a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ecs_exec.nodes.selectors import Selector, Subject, parse, split, unquoted
from ecs_exec.settings.attribute_names import acted_on, variable

_PAIR = re.compile(r"([^\s=][^=]*?)\s*=\s*(.*)", re.DOTALL)
_MAPPED = re.compile(r"(?P<attribute>.+)\.(?P<kind>selector|default)")
_PROPERTIES = re.compile(r"\s*[^\s=]+\s*=")
_ENTRY_END = re.compile(r"[;\r\n]")


class Rule(NamedTuple):
    """The source of an attribute's value."""

    selector: Selector | None = None
    """None if the mapping has no selector, or an empty one."""
    removes: bool = False
    """The selector is empty: the node's own value is removed."""
    default: str = ""

    def value(self, subject: Subject, present: str) -> str:
        """Return the value, empty if there is none; `present` is the node's own."""
        selected = self.selector.value(subject) if self.selector else "" if self.removes else present
        return selected or self.default


class TagRule(NamedTuple):
    """A tag that a node gets if the selector has a value, or with `equals` if it has that value."""

    selector: Selector
    equals: str | None = None

    def applies(self, subject: Subject) -> bool:
        """Return whether the node gets the tag."""
        value = self.selector.value(subject)
        return value == self.equals if self.equals is not None else bool(value)


@dataclass(frozen=True)
class NodeMapping:
    """Both settings, parsed."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    """By attribute; may hold `nodename`."""
    tag_lists: tuple[Selector, ...] | None = None
    """Lists that together are the node's tags; None: the node's own tags."""
    default_tags: tuple[str, ...] = ()
    tags: Mapping[str, TagRule] = field(default_factory=dict)
    all_task_tags: bool = False
    static: Mapping[str, str] = field(default_factory=dict)
    static_tags: tuple[str, ...] = ()

    def node_name(self, subject: Subject) -> str:
        """Return the name from the mapping, empty if there is none."""
        rule = self.rules.get("nodename")
        return rule.value(subject, "") if rule else ""

    def apply(self, subject: Subject, node: MutableMapping[str, Any]) -> None:
        """Change the attributes in `node`; `subject.node` holds the node's own, before any mapping."""
        if self.all_task_tags:
            for key, value in subject.tags.items():
                if key.isprintable() and not acted_on(key):
                    node.setdefault(key, value)
        for name, rule in self.rules.items():
            if name != "nodename":
                _put(node, name, rule.value(subject, str(subject.node.get(name) or "")))
        for name, value in self.static.items():
            _put(node, name, value)
        node["tags"] = self._node_tags(subject)

    def _node_tags(self, subject: Subject) -> list[str]:
        tags: Iterable[str] = subject.node["tags"]
        if self.tag_lists is not None:
            tags = [tag for each in self.tag_lists for tag in words(each.value(subject))]
        chosen = [name for name, rule in self.tags.items() if rule.applies(subject)]
        return list(dict.fromkeys([*(tags or self.default_tags), *chosen, *self.static_tags]))


def read(mapping: str, attributes: frozenset[str], of_file: str = "") -> NodeMapping:
    """Parse the setting `mapping`; `attributes` holds the names of the nodes' own attributes. Raises ValueError.

    `of_file` is the text of `mapping-file`, whose entries count unless `mapping` has an entry of the same name.
    """
    spelled = {variable(name): name for name in attributes}
    selectors: dict[str, str] = {}
    defaults: dict[str, str] = {}
    entries = _once(_entries(mapping))
    set_here = {_key(name) for name in entries}
    entries |= {name: value for name, value in _once(_entries(of_file)).items() if _key(name) not in set_here}
    for key, value in entries.items():
        found = _MAPPED.fullmatch(key)
        if found is None:
            raise ValueError(f"{key} is neither ATTRIBUTE.selector nor ATTRIBUTE.default")
        name = _spelled(found["attribute"], spelled)
        (selectors if found["kind"] == "selector" else defaults)[name] = value
    return _read(selectors, defaults, attributes)


def read_file(text: str, attributes: frozenset[str]) -> NodeMapping:
    """Parse the text of `mapping-file` alone. Raises ValueError.

    If the file is no mapping, the error quotes nothing of it: a project's administrator may have named any file.
    """
    try:
        return read("", attributes, text)
    except ValueError:
        if _is_mapping(text):
            raise
    lines = [line.strip() for line in text.splitlines()]
    wrong = (number for number, line in enumerate(lines, 1) if line[:1] not in ("", "#") and not _ENTRY.match(line))
    raise ValueError(
        f"line {next(wrong, 1)} is not ATTRIBUTE.selector=VALUE or ATTRIBUTE.default=VALUE, nor is the file such a"
        " mapping in YAML"
    )


_ENTRY = re.compile(r"[^\s=][^=]*\.(?:selector|default)\s*=")


def _is_mapping(text: str) -> bool:
    try:
        return all(_MAPPED.fullmatch(name) for name, _ in _entries(text))
    except ValueError:
        return False


def with_static(mapping: NodeMapping, text: str, attributes: frozenset[str] = frozenset()) -> NodeMapping:
    """Return a mapping with the setting `static-attributes` added; `attributes` as in `read`. Raises ValueError."""
    spelled = {variable(name): name for name in attributes}
    pairs = {_spelled(name, spelled): value for name, value in _once(_entries(text)).items()}
    if "nodename" in pairs:
        raise ValueError("nodename cannot be the same for all nodes: use node-name")
    tags = tuple(words(pairs.pop("tags", "")))
    return NodeMapping(
        mapping.rules, mapping.tag_lists, mapping.default_tags, mapping.tags, mapping.all_task_tags, pairs, tags
    )


def _once(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the entries by name. Raises ValueError for a name that comes twice, also in another spelling."""
    found: dict[str, str] = {}
    names: dict[str, str] = {}
    for name, value in entries:
        key = _key(name)
        if key in names:
            also = "" if names[key] == name else f", also as {names[key]}"
            raise ValueError(f"{name} is set twice{also}: remove one of the two")
        names[key] = name
        found[name] = value
    return found


def _key(name: str) -> str:
    """Return what is the same for all spellings of an entry's name.

    Unlike attributes, tags do not become environment variables, so their spelling counts.
    """
    return name if name.startswith("tag.") else variable(name)


def _spelled(name: str, spelled: Mapping[str, str]) -> str:
    """Return the nodes' own spelling of an attribute, so that a mapping replaces it and does not add a second one."""
    return "nodename" if variable(name) == "NODENAME" else spelled.get(variable(name), name)


def words(text: str) -> list[str]:
    """Return the parts of a comma-separated list, without blanks around them and without empty ones."""
    return [word for part in text.split(",") if (word := part.strip())]


def _put(node: MutableMapping[str, Any], name: str, value: str) -> None:
    if value:
        node[name] = value
    else:
        node.pop(name, None)


# --- Reading


def _read(selectors: dict[str, str], defaults: dict[str, str], attributes: frozenset[str]) -> NodeMapping:
    all_tags = selectors.pop("attributes", "")
    if all_tags not in ("", "tags/*") or "attributes" in defaults:
        raise ValueError("attributes.selector accepts only tags/*, and attributes.default does not exist")
    lists = selectors.pop("tags", None)
    default_tags = tuple(words(defaults.pop("tags", "")))
    tags = {name.removeprefix("tag."): text for name, text in selectors.items() if name.startswith("tag.")}
    if wrong := [name for name in defaults if name.startswith("tag.")]:
        raise ValueError(f"{wrong[0]}.default is not supported: a tag has no value that could be missing")
    names = [name for name in {**selectors, **defaults} if not name.startswith("tag.")]
    return NodeMapping(
        rules={name: _rule(name, selectors, defaults, attributes) for name in names},
        tag_lists=None if lists is None else tuple(_selector("tags", part, attributes) for part in _lists(lists)),
        default_tags=default_tags,
        tags={name: _tag_rule(name, text, attributes) for name, text in tags.items() if text},
        all_task_tags=bool(all_tags),
    )


def _rule(name: str, selectors: dict[str, str], defaults: dict[str, str], attributes: frozenset[str]) -> Rule:
    text = selectors.get(name)
    selector = _selector(name, text, attributes) if text else None
    return Rule(selector, text == "", defaults.get(name, ""))


def _lists(text: str) -> list[str]:
    return [part for part in split(text, "|") if part]


def _tag_rule(name: str, text: str, attributes: frozenset[str]) -> TagRule:
    selector, *values = split(text, "=")
    equals = unquoted("=".join(values)) if values else None
    return TagRule(_selector(f"tag.{name}", selector, attributes), equals)


def _selector(name: str, text: str, attributes: frozenset[str]) -> Selector:
    try:
        return parse(text, attributes)
    except ValueError as error:
        raise ValueError(f"{name}.selector: {error}") from None


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of name and value of a text, in either notation. Raises ValueError."""
    lines = [line.strip() for line in _ENTRY_END.split(text)]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and not _PROPERTIES.match(lines[0]):
        yield from _flat(_yaml(text), "")
        return
    for line in lines:
        pair = _PAIR.fullmatch(line)
        if pair is None:
            raise ValueError(
                f"{line} is not NAME=VALUE; write each entry on its own line, or separate entries by semicolons"
            )
        yield pair[1], pair[2]


_DEEPEST = 20
"""Deepest nesting of YAML collections; a mapping needs three. PyYAML's time grows with the square of the depth."""


def _yaml(text: str) -> Mapping[str, Any]:
    """Read a YAML mapping with the safe loader. Raises ValueError.

    Aliases are refused, because a few lines of them can expand to gigabytes.
    """
    import yaml

    try:
        _check_events(yaml.parse(text, yaml.SafeLoader))
        _check_keys(yaml.compose(text, yaml.SafeLoader))
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"neither NAME=VALUE nor YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError("neither NAME=VALUE nor a YAML mapping")  # noqa: TRY004 - a fault of the setting
    return content


def _check_events(events: Iterable[Any]) -> None:
    """Raise ValueError for YAML whose reading takes much more than its length: aliases, and deep nesting."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("YAML aliases are not supported: write the value at each place")  # noqa: TRY004 - of a setting
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"neither NAME=VALUE nor YAML with at most {_DEEPEST} nested collections")


def _check_keys(node: Any) -> None:  # noqa: ANN401 - a node of PyYAML, which is imported late
    """Raise ValueError for a key that a mapping has twice: the loader would silently take the last one."""
    children = node.value if node and node.id == "sequence" else []
    if node and node.id == "mapping":
        _once((key.value, "") for key, _ in node.value if key.id == "scalar")
        children = [value for _, value in node.value]
    for child in children:
        _check_keys(child)


def _flat(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list):
            if any(isinstance(item, (dict, list)) for item in value):
                raise ValueError(f"{name} is a list, but not of plain values only")
            yield name, ("|" if name == "tags.selector" else ",").join(map(_plain, value))
        else:
            yield name, _plain(value)


def _plain(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
