"""What selectors find, and what is said of those that cannot be read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.session import Session

from ecs_exec.nodes import ATTRIBUTES
from ecs_exec.selectors import CONTAINER_FIELDS, TASK_FIELDS, Subject, parse, template

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
        ("'fixed'", "fixed"),
        ("startedBy,'fixed, too'", "fixed, too"),
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
    ],
)
def test_what_is_no_selector(text: str, words: list[str]) -> None:
    """Is refused before anything is read: a name that does not exist would never have a value."""
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
    """Hold selectors in braces; without one of their values there is none."""
    assert template(text, ATTRIBUTES).value(SUBJECT) == value


@pytest.mark.parametrize("text", ["{name", "name}", "{{name}}", "{}", "{nome}"])
def test_what_is_no_template(text: str) -> None:
    """Is refused."""
    with pytest.raises(ValueError, match=r"."):
        template(text, ATTRIBUTES)


def test_fields_are_those_of_the_api() -> None:
    """Neither more nor less than AWS's model has."""
    model = Session().get_service_model("ecs")
    assert set(model.shape_for("Task").members) == TASK_FIELDS
    assert set(model.shape_for("Container").members) == CONTAINER_FIELDS
