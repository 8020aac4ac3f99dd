"""The grammar of mapping and static attributes, in both notations, and what it does to a node."""

from __future__ import annotations

from typing import Any

import pytest

from documents import blocks
from ecs_exec.nodes.attributes import ATTRIBUTES
from ecs_exec.nodes.mapping import NodeMapping, read, with_static
from ecs_exec.nodes.selectors import Subject
from ecs_exec.settings.properties import MAPPING

NODE = {
    "hostname": "10.0.0.1",
    "description": "app",
    "ECS:Region": "eu-west-1",
    "tags": ["shop", "web"],
}
TASK = {"launchType": "FARGATE", "capacityProviderName": "FARGATE_SPOT"}
TAGS = {"Name": "web-1", "Role": "front, edge", "team": "storefront"}
OPEN_TAGS = {"Role": "front, edge", "team": "storefront"}
"""Those of the tags that become attributes: `Name` would become the variable of the node's own name, RD_NODE_NAME."""


def applied(mapping: NodeMapping) -> dict[str, Any]:
    """Give what a mapping makes of the node."""
    subject = Subject(TASK, {"name": "app"}, TAGS, NODE)
    node = dict(NODE)
    mapping.apply(subject, node)
    return node


def changed(mapping: NodeMapping) -> dict[str, Any]:
    """Give the changed attributes; None for a removed one."""
    node = applied(mapping)
    return {key: node.get(key) for key in {*node, *NODE} if node.get(key) != NODE.get(key)}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("", {}),
        ("# nothing\n ; \n", {}),
        ("hostname.selector=tags/Name", {"hostname": "web-1"}),
        ("hostname.selector = tags/None,tags/Name", {"hostname": "web-1"}),
        ("hostname.selector=tags/None", {"hostname": None}),
        ("hostname.selector=tags/None;hostname.default=none", {"hostname": "none"}),
        ("hostname.default=none", {}),
        ("username.default=app", {"username": "app"}),
        ("hostname.selector=", {"hostname": None}),
        ("a.selector=tags/Name+'.'+ECS:Region\nb.selector=name", {"a": "web-1.eu-west-1", "b": "app"}),
        ("a.default=x=y", {"a": "x=y"}),
        ("my:attr.selector=launchType", {"my:attr": "FARGATE"}),
        ("attributes.selector=tags/*", OPEN_TAGS),
        ("tags.selector=tags/Role", {"tags": ["front", "edge"]}),
        ("tags.selector=tags|tags/Role|tags/team", {"tags": ["shop", "web", "front", "edge", "storefront"]}),
        ("tags.selector=tags/None;tags.default=a, b", {"tags": ["a", "b"]}),
        ("tags.default=a", {}),
        ("tags.selector=", {"tags": []}),
        ("tag.spot.selector=capacityProviderName=FARGATE_SPOT", {"tags": ["shop", "web", "spot"]}),
        ("tag.spot.selector=capacityProviderName='FARGATE'", {}),
        ("tag.named.selector=tags/Name;tag.nameless.selector=tags/None", {"tags": ["shop", "web", "named"]}),
        ("tag.gone.selector=", {}),
        # YAML
        ("hostname: {selector: tags/Name}", {"hostname": "web-1"}),
        ("hostname.selector: tags/Name", {"hostname": "web-1"}),
        ("hostname:\n  selector: [tags/None, tags/Name]\n  default: x", {"hostname": "web-1"}),
        ("hostname: {selector: }", {"hostname": None}),
        ("a: {default: true}\nb: {default: 7}", {"a": "true", "b": "7"}),
        ("a: {default: 'x; y'}", {"a": "x; y"}),
        ("tags: {selector: [tags, tags/team], default: [x]}", {"tags": ["shop", "web", "storefront"]}),
        ("tag: {spot: {selector: capacityProviderName=FARGATE_SPOT}}", {"tags": ["shop", "web", "spot"]}),
        ("attributes: {selector: tags/*}", OPEN_TAGS),
    ],
)
def test_mapping(text: str, changes: dict[str, Any]) -> None:
    """Each rule alone, as lines or semicolons divide them, and as YAML."""
    assert changed(read(text, ATTRIBUTES)) == changes


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("a=1;b = two words\nc=x=y", {"a": "1", "b": "two words", "c": "x=y"}),
        ("ECS:X=1", {"ECS:X": "1"}),
        ("hostname=", {"hostname": None}),
        ("tags=x, web,y", {"tags": ["shop", "web", "x", "y"]}),
        ("a: 1\nb: 'x; y'\ntags: [x, y]", {"a": "1", "b": "x; y", "tags": ["shop", "web", "x", "y"]}),
        ("a: off", {"a": "false"}),
    ],
)
def test_static_attributes(text: str, changes: dict[str, Any]) -> None:
    """They are the same for every node."""
    assert changed(with_static(NodeMapping(), text)) == changes


def test_static_attributes_have_the_last_word() -> None:
    """They override the mapping, which overrides the nodes' own values. Selectors read the own values."""
    mapping = read("hostname.selector=tags/Name; a.selector=hostname", ATTRIBUTES)
    assert changed(with_static(mapping, "hostname=last")) == {"hostname": "last", "a": "10.0.0.1"}


def test_tags_of_the_task_do_not_replace_attributes() -> None:
    """A tag called hostname is no hostname."""
    subject = Subject({}, {}, {"hostname": "evil", "new": "x"}, NODE)
    node: dict[str, Any] = dict(NODE)
    read("attributes.selector=tags/*", ATTRIBUTES).apply(subject, node)
    assert (node["hostname"], node["new"]) == ("10.0.0.1", "x")


@pytest.mark.parametrize(
    "key",
    # The plugin's own, in the spellings that become its variables.
    [
        *(
            "ECS Task ARN",
            "ecs_user",
            "ec\u017f-user",
            "a\u017f\u017fume-role-arn",
            "f\u0131le-copier",
            "\ufb01le-copier",
            "ECS-Shell",
            "ecs.env",
            "ecs-user",
            "ECS:Runtime-ID",
            "eCs/TiMeOuT",
            "ecs+workdir",
        ),
        *("assume-role-arn", "Assume_Role_ARN", "node-executor", "Node Executor", "file-copier", "file_copier"),
        # Rundeck's.
        *("", " ", "nodename", "NodeName", "name", "Name", "hostname", "HOSTNAME", "username", "tags", "type"),
        *("description", "osFamily", "os-family", "osName", "osVersion", "osArch", "editUrl", "remoteUrl", "ui:badges"),
        *("ui:icon:name", "UI.Status.Text", "local-node-executor", "local-file-copier", "file-copy-destination-dir"),
        *("script-step-remove-tmp-file", "file-busy-err-retry", "enable-sync", "shell-escaping-interpreter"),
        *("script-exec", "script-exec-shell", "script-copy", "interpreter", "ssh-key-storage-path", "ssh-options"),
        *("sudo-command-enabled", "sudo2-command-pattern", "scp-password-storage-path", "winrm-password-storage-path"),
        *("winrm_hostname", "always-set-pty", "ansible_host", "docker-container", "kubernetes:pod", "password"),
        # Nothing that could break a line.
        *("a\nb", "a\u2028b", "a\x85b", "\x00"),
    ],
)
def test_no_tag_sets_what_somebody_acts_on(key: str) -> None:
    """Names are compared as the variables that they become; where the node has none of it, too."""
    node: dict[str, Any] = {"tags": []}
    subject = Subject({}, {}, {key: "evil", "team": "x"}, node)
    read("attributes.selector=tags/*", ATTRIBUTES).apply(subject, node)
    assert node == {"tags": [], "team": "x"}


def test_an_entry_of_the_administrator_may() -> None:
    """An entry for a single name may take its value from a tag."""
    mapping = read("username.selector=tags/team; ecs-user.selector=tags/team; hostname.selector=tags/Name", ATTRIBUTES)
    assert changed(mapping) == {"username": "storefront", "ecs-user": "storefront", "hostname": "web-1"}


def test_another_spelling_replaces_an_attribute() -> None:
    """It would be doubled, and Rundeck would make one variable of the two by chance."""
    assert changed(read("ecs_region.selector=tags/team", ATTRIBUTES)) == {"ECS:Region": "storefront"}
    assert changed(with_static(NodeMapping(), "ecs-region=x", ATTRIBUTES)) == {"ECS:Region": "x"}
    assert read("NodeName.selector=tags/Name", ATTRIBUTES).node_name(Subject({}, {}, TAGS, NODE)) == "web-1"


def test_a_name() -> None:
    """The name is mapped like an attribute, but does not become one."""
    mapping = read("nodename.selector=tags/Name", ATTRIBUTES)
    assert mapping.node_name(Subject({}, {}, TAGS, NODE)) == "web-1"
    assert changed(mapping) == {}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("hostname=x", "hostname is neither"),
        ("hostname.select=x", "hostname.select is neither"),
        ("a.selector=name\nnonsense", "nonsense is not NAME=VALUE"),
        ("a.selector=nome", "a.selector: there is no value nome"),
        ("tags.selector=tags|nome", "tags.selector: there is no value nome"),
        ("tag.x.selector=nome=1", "tag.x.selector: there is no value nome"),
        ("tag.x.default=1", "tag.x.default"),
        ("attributes.selector=name", "attributes.selector accepts only"),
        ("attributes.default=name", "attributes.selector accepts only"),
        ("a: [b", "neither NAME=VALUE nor YAML"),
        ("just a text", "nor a YAML mapping"),
        ("- a\n- b", "nor a YAML mapping"),
        ("a: {selector: [[b]]}", "not of plain values only"),
        ("a: !!python/object/apply:os.system [true]", "YAML"),
        ("tags.selector=name;tags.selector=tags;tags.selector=image", "tags.selector is set twice"),
        (
            "ecs-user.selector=name;ECS User.selector=image",
            "ECS User.selector is set twice, also as ecs-user.selector",
        ),
        ("ecs:region.default=a;ECS:Region.default=b", "is set twice"),
        ("tag.x.selector=name;tag.x.selector=image", "tag.x.selector is set twice"),
        ("hostname.selector: name\nhostname: {selector: image}", "hostname.selector is set twice"),
        ("hostname: {selector: name}\nhostname: {selector: image}", "hostname is set twice"),
        ("hostname: {selector: name, selector: image}", "selector is set twice"),
        ("a: &x {default: b}\nc: *x", "aliases are not supported"),
        ("a: &x [*x]", "aliases are not supported"),
        ("a: " + "[" * 3000, "YAML"),
        ("a: 2026-13-45", "month"),
    ],
)
def test_what_is_no_mapping(text: str, word: str) -> None:
    """It is refused, and the error gives its place."""
    with pytest.raises(ValueError, match=r".") as caught:
        read(text, ATTRIBUTES)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nodename=x", "node-name"),
        ("NodeName=x", "node-name"),
        ("words", "YAML"),
        ("a=1\nb", "NAME=VALUE"),
        ("a=1\na=2", "a is set twice"),
        ("ecs-user=a\necs_user=b", "ecs_user is set twice, also as ecs-user"),
        ("a: 1\na: 2", "a is set twice"),
    ],
)
def test_what_is_no_static_attribute(text: str, word: str) -> None:
    """It is refused."""
    with pytest.raises(ValueError, match=word):
        with_static(NodeMapping(), text)


def shown() -> list[str]:
    """Return the mappings that users are shown: in the documents, and in the help text of the form."""
    texts = [block.text for language in ("properties", "yaml") for block in blocks("docs/node-source.md", language)]
    example = MAPPING.help.partition("for example ")[2].partition(". Empty")[0]
    return [text for text in (*texts, example) if "selector" in text]


def test_the_mappings_shown_can_be_read() -> None:
    """Each names values that exist, and sets what it says."""
    assert len(shown()) == 3
    for text in shown():
        mapping = read(text, ATTRIBUTES)
        subject = Subject(TASK, {"name": "app"}, {}, {**NODE, "ECS:Private-IP": "10.0.0.7"})
        node = dict(NODE)
        mapping.apply(subject, node)
        assert (node["hostname"], node["username"]) == ("10.0.0.7", "app"), text
