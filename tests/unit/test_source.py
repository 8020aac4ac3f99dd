"""The settings of the node source, and the document of nodes: its names and its order."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from ecs_exec.errors import SettingsError
from ecs_exec.nodes.filters import Filters
from ecs_exec.nodes.settings import Source, read_source
from ecs_exec.nodes.source import Row, document
from ecs_exec.settings import Access
from ecs_exec.settings.server import server_names

ROLES = ("arn:aws:iam::123456789012:role/a", "arn:aws:iam::210987654321:role/b")


def test_nothing_set() -> None:
    """Rundeck gives no defaults to node sources, so they are applied here."""
    assert read_source({}) == Source(Access(), (), (), (), Filters(), None, None, 300)


def test_lists() -> None:
    """They are comma-separated, with or without spaces. Each entry counts once."""
    source = read_source(
        {
            "RD_CONFIG_REGIONS": "eu-west-1, us-east-1,eu-west-1,",
            "RD_CONFIG_REGION": "sa-east-1",
            "RD_CONFIG_ASSUME_ROLE_ARN": ",".join(ROLES),
            "RD_CONFIG_CLUSTERS": "web, batch-*",
            "RD_CONFIG_FILTER_BEHAVIOR": "exclude",
            "RD_CONFIG_SERVICES": "a,b",
            "RD_CONFIG_TASK_DEFINITIONS": "c:1",
            "RD_CONFIG_CONTAINERS": "d",
            "RD_CONFIG_TAGS": "team = web, env",
            "RD_CONFIG_EXEC_READY_ONLY": "true",
        }
    )
    assert (source.regions, source.roles, source.clusters) == (("eu-west-1", "us-east-1"), ROLES, ("web", "batch-*"))
    assert source.filters == Filters(True, ("a", "b"), ("c:1",), ("d",), (("team", "web"), ("env", "*")), True)
    assert source.access.assume_role_arn == ""


def test_containers_can_select_whole_tasks() -> None:
    """The setting has two values, in any case."""
    assert read_source({"RD_CONFIG_CONTAINER_FILTER": "Task"}).filters == Filters(whole_tasks=True)
    assert read_source({"RD_CONFIG_CONTAINER_FILTER": "container"}).filters == Filters()
    with pytest.raises(SettingsError, match="container-filter is 'service': expected container or task"):
        read_source({"RD_CONFIG_CONTAINER_FILTER": "service"})


def test_an_external_id_for_each_role() -> None:
    """Each role gets its own. A role without one gets none."""
    text = f"{ROLES[0]}=first-1; {ROLES[1]}=a=b"
    ids = read_source({"RD_CONFIG_EXTERNAL_ID": text}).external_ids
    assert [ids.of(role) for role in (*ROLES, f"{ROLES[0]}2", "")] == ["first-1", "a=b", "", ""]
    one = read_source({"RD_CONFIG_EXTERNAL_ID": "prod=1"}).external_ids
    assert [one.of(role) for role in ROLES] == ["prod=1", "prod=1"]


@pytest.mark.parametrize("text", ["two words", f"{ROLES[0]}=first-1; second-2", f"{ROLES[0]}=x!y", "?"])
def test_external_ids_that_are_none(text: str) -> None:
    """The error does not show them."""
    with pytest.raises(SettingsError, match="external-id is not usable") as caught:
        read_source({"RD_CONFIG_EXTERNAL_ID": text})
    assert text not in str(caught.value)


def test_a_mapping_file(tmp_path: Path) -> None:
    """Its rules count unless `mapping` has one of the same name, in any spelling."""
    file = tmp_path / "mapping.properties"
    file.write_text("\ufeff# Ours\nhostname.selector=tags/Name\r\nusername.default=app\ntag.a.selector=name\n")
    environ = {"RD_CONFIG_MAPPING_FILE": str(file)}
    found = read_source(environ).mapping
    assert found is not None
    assert (set(found.rules), set(found.tags)) == ({"hostname", "username"}, {"a"})
    both = read_source(environ | {"RD_CONFIG_MAPPING": "USERNAME.default=ops; x.default=1"}).mapping
    assert both is not None
    assert {name: rule.default for name, rule in both.rules.items()} == {"USERNAME": "ops", "x": "1", "hostname": ""}
    file.write_text("hostname: {selector: [tags/Name, name]}\n")
    found = read_source(environ).mapping
    assert found is not None
    assert set(found.rules) == {"hostname"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("password=hush\n", "line 1 is not ATTRIBUTE.selector"),
        ("# x\na.selector=name\nhush hush\n", "line 3 is not ATTRIBUTE.selector"),
        ("hush: {hush: hush}\n", "line 1 is not"),
        ("root:x:0:0:hush:/root:/bin/sh\n", "line 1 is not"),
        ("a.selector=nope\n", "a.selector: "),
        ("a.selector=name\nA.selector=name\n", "set twice"),
        ("x" * (1 << 20) + "=1", "at most 1 MiB"),
    ],
)
def test_a_mapping_file_that_is_none(text: str, words: str, tmp_path: Path) -> None:
    """The error says where, and quotes nothing of a file that may be any file of the server."""
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(SettingsError, match="mapping-file is") as caught:
        read_source({"RD_CONFIG_MAPPING_FILE": str(file)})
    assert words in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_mapping_file_that_cannot_be_read(tmp_path: Path) -> None:
    """No file, a folder, a pipe that nobody writes to, bytes that are no text."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bytes").write_bytes(b"a.default=\xff")
    for name, words in (
        ("nothing", "No such file"),
        (".", "Is a directory"),
        ("pipe", "regular file"),
        ("bytes", "UTF-8"),
    ):
        with pytest.raises(SettingsError, match=words):
            read_source({"RD_CONFIG_MAPPING_FILE": str(tmp_path / name)})


@pytest.mark.parametrize(
    ("environ", "regions"),
    [
        ({"RD_CONFIG_REGION": "us-east-1"}, ("us-east-1",)),
        ({"AWS_REGION": "us-west-2"}, ("us-west-2",)),
        ({"RD_CONFIG_REGION": "us-east-1", "RD_CONFIG_REGIONS": "eu-west-1"}, ("eu-west-1",)),
    ],
)
def test_where_regions_come_from(environ: dict[str, str], regions: tuple[str, ...]) -> None:
    """The list, the one region, the environment."""
    assert read_source(environ).regions == regions


def test_all_faults_are_reported_at_once() -> None:
    """Secrets are not shown."""
    environ = {"RD_CONFIG_REGIONS": "!", "RD_CONFIG_SERVICES": "a b", "RD_CONFIG_MAPPING": "x=y"}
    with pytest.raises(SettingsError) as caught:
        read_source(environ | {"RD_CONFIG_SECRET_ACCESS_KEY": "hush hush"})
    assert all(f"{name} is" in str(caught.value) for name in ("regions", "services", "mapping", "secret-access-key"))
    assert "hush" not in str(caught.value)


def names(*rows: Row) -> list[str]:
    """Give the names in the document's order."""
    found = json.loads(b"".join(document(list(rows))))
    assert all(isinstance(node, dict) for node in found.values())
    return list(found)


def named(*rows: Row, reserved: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Give each name with the ARN of its container."""
    found = json.loads(
        b"".join(
            document([each._replace(body=b'{"arn":"%s"}' % each.container_arn.encode()) for each in rows], reserved)
        )
    )
    return ((name, node["arn"]) for name, node in found.items())


def row(name: str, created: str = "2026", arn: str = "x/1", cluster: str = "c") -> Row:
    """Give a row."""
    return Row(cluster, name, created, arn, b'{"hostname":"h"}')


def test_no_node() -> None:
    """It is still a document, because Rundeck treats an empty one as an error."""
    assert b"".join(document([])) == b"{\n}\n"


def test_order() -> None:
    """By cluster, then by name, whatever order they came in."""
    rows = [row("b", arn="x/1"), row("a", arn="x/2"), row("z", arn="x/3", cluster="a")]
    assert names(*rows) == names(*reversed(rows)) == ["z", "a", "b"]


def test_one_name_for_several() -> None:
    """The oldest keeps the name, in any cluster. The others get other names, and none is lost."""
    rows = [
        row("a", "2025", "x/1", "z"),
        row("a", "2026", "x/2", "c"),
        row("a", "2026", "x/3", "c"),
        row("b", arn="x/4"),
    ]
    assert names(*rows) == names(*reversed(rows)) == ["a-2", "a-3", "b", "a"]


def test_a_container_that_was_read_twice() -> None:
    """It is one node: two roles may lead to one account."""
    assert names(row("a"), row("a")) == ["a"]


def test_the_name_that_another_gets() -> None:
    """With its id added: whoever made that name by chance keeps it, and no node is lost."""
    rows = [row("a", "2025", "x/1"), row("a", "2026", "x/2"), row("a-2", "2026", "x/5")]
    assert names(*rows) == names(*reversed(rows)) == ["a", "a-x/2", "a-2"]


def test_no_tag_takes_a_name() -> None:
    """Neither the one that a node has without a tag, nor the one that it would get with its id added."""
    tagged = row("a", "2020", "x/1")._replace(by_tag=True)
    assert dict(named(tagged, row("a", "2026", "x/2"))) == {"a-1": "x/1", "a": "x/2"}
    thief = row("a-2", "2020", "x/3")._replace(by_tag=True)
    rows = [row("a", "2025", "x/1"), row("a", "2026", "x/2"), thief]
    assert dict(named(*rows)) == {"a": "x/1", "a-2": "x/2", "a-2-3": "x/3"}
    both = [tagged, row("a", "2026", "x/2")._replace(by_tag=True)]
    assert dict(named(*both)) == {"a": "x/1", "a-2": "x/2"}


def test_no_container_takes_the_name_of_the_server() -> None:
    """Rundeck merges nodes of one name: steps that run on the server would run in the container."""
    rows = [row("localhost", arn="x/1"), row("Rundeck-1", arn="x/2"), row("b", arn="x/3")]
    assert dict(named(*rows, reserved={"localhost", "rundeck-1"})) == {
        "localhost-1": "x/1",
        "Rundeck-1-2": "x/2",
        "b": "x/3",
    }


def test_the_names_of_the_server(tmp_path: Path) -> None:
    """They are read from the files that Rundeck reads."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/framework.properties").write_text(
        "# framework.server.name = comment\nframework.server.name = Ops-Server\nframework.server.hostname=ops\n"
    )
    found = server_names({"RD_RUNDECK_BASE": str(tmp_path)})
    assert {"localhost", "ops-server", "ops", socket.gethostname().lower()} <= found
    assert "comment" not in found


def test_large_documents_come_in_pieces() -> None:
    """So that they are not held twice."""
    rows = [Row("c", f"n{number:05}", "", f"x/{number}", b'{"a":"' + b"x" * 2000 + b'"}') for number in range(2000)]
    chunks = list(document(rows))
    assert len(chunks) > 3
    assert len(json.loads(b"".join(chunks))) == 2000
