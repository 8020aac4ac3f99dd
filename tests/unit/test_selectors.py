"""The values that selectors find, and the errors of selectors that cannot be read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.session import Session

from ecs_exec.nodes.attributes import ATTRIBUTES
from ecs_exec.nodes.selectors import (
    CONTAINER_FIELDS,
    TASK_FIELDS,
    Subject,
    parse,
    split,
    template,
)

TASK: dict[str, Any] = {
    "launchType": "FARGATE",
    "lastStatus": "RUNNING",
    "enableExecuteCommand": True,
    "version": 3,
    "startedBy": "",
    "attributes": [{"name": "ecs.cpu-architecture", "value": "arm64"}],
    "attachments": [{"type": "eni", "details": [{"name": "subnetId", "value": "subnet-1"}]}],
    "ephemeralStorage": {"sizeInGiB": 20},
}
CONTAINER: dict[str, Any] = {
    "name": "app",
    "lastStatus": "PENDING",
    "networkInterfaces": [{"privateIpv4Address": "10.0.0.1"}],
}
SUBJECT = Subject(
    TASK,
    CONTAINER,
    {"team": "web", "a,b": "comma", "Name": "x y"},
    {"ECS:Service-Name": "shop", "hostname": "10.0.0.1", "tags": ["one", "two"]},
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("name", "app"),
        ("launchType", "FARGATE"),
        ("lastStatus", "PENDING"),
        ("task.lastStatus", "RUNNING"),
        ("container.lastStatus", "PENDING"),
        ("container.cpu", ""),
        ("enableExecuteCommand", "true"),
        ("version", "3"),
        ("ephemeralStorage.sizeInGiB", "20"),
        ("ephemeralStorage", ""),
        ("ephemeralStorage.sizeInGiB.more", ""),
        ("networkInterfaces.0.privateIpv4Address", "10.0.0.1"),
        ("networkInterfaces.1.privateIpv4Address", ""),
        ("networkInterfaces.privateIpv4Address", "10.0.0.1"),
        ("attributes.ecs.cpu-architecture", "arm64"),
        ("attachments.subnetId", "subnet-1"),
        ("attachments.nothing", ""),
        ("ECS:Service-Name", "shop"),
        ("hostname", "10.0.0.1"),
        ("tags", "one,two"),
        ("tags/team", "web"),
        ("ECS:Task-Tag:team", "web"),
        ("tags/none", ""),
        ("tags/'a,b'", "comma"),
        ("startedBy,name", "app"),
        ("startedBy , tags/none , tags/team", "web"),
        ("name+'-'+tags/team", "app-web"),
        ('name + " + " + launchType', "app + FARGATE"),
        ("name+tags/none,tags/team", "web"),
        ("name,launchType,tags/team", "app"),  # the first, whatever the others are
        ("launchType,name", "FARGATE"),
        ("tags/team,launchType,name", "web"),
        ("startedBy,version,launchType,name", "3"),
        ("startedBy,tags/none,container.cpu,task.lastStatus,name", "RUNNING"),
        ("tags/none,startedBy", ""),
        ("name+'-'+tags/none,launchType+'-'+name,name", "FARGATE-app"),
        ("'a',name", "a"),
        ("name,'a'", "app"),
        ("'',name", "app"),
        ("name+''+launchType", "appFARGATE"),
        ("'fixed'", "fixed"),
        ("startedBy,'fixed, too'", "fixed, too"),
        ("'na'me", "app"),  # a name may be quoted in part
        ("'tags/'team", "web"),
    ],
)
def test_a_selector_finds(text: str, value: str) -> None:
    """The first alternative whose values are all there."""
    assert parse(text, ATTRIBUTES).value(SUBJECT) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nome", ["nome", "ecs:DescribeTasks", "tags/KEY"]),
        ("task.name", ["task.name"]),
        ("container.launchType", ["container.launchType"]),
        ("ECS:Sevice-Name", ["ECS:Sevice-Name"]),
        ("name,", ["a name is missing"]),
        ("name++launchType", ["a name is missing"]),
        ("tags/", ["tags/"]),
        ("name+'-", ["quote"]),
        ("'a'b", ["there is no value ab"]),
    ],
)
def test_what_is_no_selector(text: str, words: list[str]) -> None:
    """It is refused before anything is read: a name that does not exist would never have a value."""
    with pytest.raises(ValueError, match=re.escape(words[0])) as caught:
        parse(text, ATTRIBUTES)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{name}-{tags/team}", "app-web"),
        ("{startedBy,ECS:Service-Name}.{name}", "shop.app"),
        ("{startedBy}-{name}", ""),
        ("plain", "plain"),
        ("ecs {name+'!'}", "ecs app!"),
    ],
)
def test_templates(text: str, value: str) -> None:
    """They contain selectors in braces. If one selector has no value, the template has none."""
    assert template(text, ATTRIBUTES).value(SUBJECT) == value


@pytest.mark.parametrize("text", ["{name", "name}", "{{name}}", "{}", "{nome}"])
def test_what_is_no_template(text: str) -> None:
    """It is refused."""
    with pytest.raises(ValueError, match=r"."):
        template(text, ATTRIBUTES)


LISTS: dict[str, Any] = {
    "tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}, {"key": "value", "value": "3"}],
    "attributes": ["no pair", {"name": "b.c", "value": "dotted"}, {"name": "b", "value": "plain"}],
    "attachments": [
        {"type": "eni", "details": [{"name": "subnetId", "value": "subnet-1"}, {"name": "mac", "value": "02"}]},
        {"type": "other", "details": [{"name": "subnetId", "value": "subnet-2"}, {"name": "late", "value": "here"}]},
    ],
    "containers": [{"name": "first", "cpu": "1"}, {"name": "second", "cpu": "2"}],
    "overrides": {"cpu": "5", "containerOverrides": [{"name": "first", "memory": 7}]},
    "group": "service:shop",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("task.tags.a", "1"),  # the first entry with that name
        ("attributes.b.c", "dotted"),  # names with dots; an entry that is not a pair is skipped
        ("attributes.b", "plain"),
        ("attributes.1.value", "dotted"),
        ("attributes.0", "no pair"),
        ("attributes.3", ""),
        ("attributes.3.value", ""),
        ("attributes.name", "b.c"),  # a field of the entries themselves
        ("attachments.type", "eni"),
        ("attachments.subnetId", "subnet-1"),
        ("attachments.1.details.subnetId", "subnet-2"),
        ("attachments.late", "here"),  # in a later entry
        ("containers.1.name", "second"),
        ("containers.0.cpu", "1"),
        ("overrides.cpu", "5"),
        ("overrides.containerOverrides.memory", "7"),
        ("overrides", ""),
        ("attributes", ""),  # a list, but not of texts alone
        ("containers", ""),
        ("group.more", ""),  # a text has no parts
        ("group", "service:shop"),
    ],
)
def test_what_is_in_lists(text: str, value: str) -> None:
    """By a number, or by the name or key of an entry."""
    subject = Subject(LISTS, {}, {}, {})
    assert parse(text, ATTRIBUTES).value(subject) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cpu", "container"),
        ("task.cpu", "task"),
        ("container.cpu", "container"),
        ("group", "of the task"),
        ("container.reason", "of the container"),
        ("memory", "9"),  # the container has an empty one
        ("container.memory", ""),
        ("task.memory", "9"),
        ("version", "in the node"),  # attributes of nodes before fields
        ("task.version", "4"),
        ("tags/version", "a tag"),
        ("tags/a/b:c", "deep"),
        ("ECS:Task-Tag:a/b:c", "deep"),
        ("tags/team", "a tag, too"),  # tags before attributes
    ],
)
def test_where_a_name_is_looked_up(text: str, value: str) -> None:
    """In the container before the task, and nowhere else if a scope is named."""
    subject = Subject(
        {"cpu": "task", "group": "of the task", "memory": 9, "version": 4},
        {"cpu": "container", "reason": "of the container", "memory": ""},
        {"version": "a tag", "a/b:c": "deep", "team": "a tag, too"},
        {"version": "in the node", "tags/team": "in the node"},
    )
    assert parse(text, ATTRIBUTES | {"version", "tags/team"}).value(subject) == value
    task_alone = Subject({}, {"group": "wrong"}, {}, {})
    assert parse("task.group", ATTRIBUTES).value(task_alone) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-5, "-5"),
        (2**64 - 1, str(2**64 - 1)),
        (2**64, ""),
        (0.5, "0.5"),
        (float("inf"), ""),
        (float("nan"), ""),
        (None, ""),
        (b"bytes", ""),
        ("two\nlines\x1b[2J\n", "two lines [2J"),
        (" kept ", " kept "),
        (["a", "b\n"], "a,b"),
        (["a", 1], ""),
        ([], ""),
        ({"a": "b"}, ""),
    ],
)
def test_what_a_value_becomes(value: object, text: str) -> None:
    """A value is text on one line. Only texts, numbers and lists of texts are values."""
    assert parse("group", ATTRIBUTES).value(Subject({"group": value}, {}, {}, {})) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b", ["a", "b"]),
        (" a , 'b, c' ,d", ["a", "'b, c'", "d"]),
        ("", [""]),
        (",", ["", ""]),
        ('"it\'s",x', ['"it\'s"', "x"]),
        ("'a'b',c", ValueError),
        ('a"', ValueError),
        ("a'", ValueError),
    ],
)
def test_splits_outside_quotes(text: str, parts: object) -> None:
    """Both kinds of quotes count. A quote without an end is refused."""
    try:
        found: object = split(text, ",")
    except ValueError:
        found = ValueError
    assert found == parts


def test_fields_are_those_of_the_api() -> None:
    """Neither more nor less than AWS's model has."""
    model = Session().get_service_model("ecs")
    assert set(model.shape_for("Task").members) == TASK_FIELDS
    assert set(model.shape_for("Container").members) == CONTAINER_FIELDS
