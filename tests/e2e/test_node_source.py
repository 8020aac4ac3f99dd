"""The node source against moto's control plane: regions, accounts, clusters, filters, failures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.node_worlds import EAST, IN_EAST, IN_OTHER, IN_WEST, OTHER, OWN, ROLE, WEST
from e2e.rundeck_launch import (
    ACCESS_KEY,
    ALONE,
    CONTENTS,
    SECRET_KEY,
    Launcher,
    run_script,
    started_by,
    variables,
)
from emulator import Emulator
from emulator.front import Front
from emulator.world import first_deployment

BOTH = f"{EAST},{WEST}"
SCRIPT = CONTENTS / "node-source.py"


def start(endpoint: str, config: dict[str, str], **environ: str) -> subprocess.Popen[bytes]:
    """Start the node source as Rundeck does, with the stored values of its form."""
    return subprocess.Popen(
        started_by(SCRIPT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(endpoint, config, environ),
    )


def environment(endpoint: str, config: dict[str, str], environ: dict[str, str]) -> dict[str, str]:
    """Give the whole environment of a start."""
    settings = {
        "regions": EAST,
        "endpoint-url": endpoint,
        "access-key-id": ACCESS_KEY,
        "secret-access-key": SECRET_KEY,
        **config,
    }
    return {"PATH": os.defpath, **ALONE, **environ, **variables("CONFIG", {k: v for k, v in settings.items() if v})}


def run(endpoint: str, config: dict[str, str], **environ: str) -> tuple[int, bytes, list[str]]:
    """Run it to its end; give its status, its output, and its lines on stderr."""
    done = run_script(SCRIPT, environment(endpoint, config, environ))
    return done.status, done.stdout, done.stderr.decode().splitlines()


def nodes(endpoint: str, **config: str) -> dict[str, dict[str, Any]]:
    """Give the nodes of a run that succeeds and says nothing."""
    status, stdout, lines = run(endpoint, {name.replace("_", "-"): value for name, value in config.items()})
    assert (status, lines) == (0, [])
    found: dict[str, dict[str, Any]] = json.loads(stdout)
    return found


def failure(endpoint: str, **config: str) -> list[str]:
    """Give the lines of a run that fails and writes no nodes. Its status is 124 if it took too long."""
    status, stdout, lines = run(endpoint, {name.replace("_", "-"): value for name, value in config.items()})
    assert (status, stdout) == (124 if config.get("refresh_timeout") == "2" else 125, b""), lines
    assert lines
    assert all(line.startswith("ecs-exec: ") for line in lines), lines
    assert SECRET_KEY not in str(lines)
    return lines


def summary(found: dict[str, dict[str, Any]]) -> list[str]:
    """Give region, cluster, service or family, and container of each node, sorted."""
    places = (
        (
            node["ECS:Region"].partition("-")[0],
            node["ECS:Cluster-Name"],
            node.get("ECS:Service-Name") or node["ECS:Task-Definition-Family"],
            node["ECS:Container-Name"],
        )
        for node in found.values()
    )
    return sorted("/".join(place) for place in places)


@pytest.fixture(scope="module")
def emulators() -> Iterator[list[Emulator]]:
    """Give two regions of one account, and one of another."""
    with Emulator(IN_EAST) as east, Emulator(IN_WEST) as west, Emulator(IN_OTHER) as other:
        yield [east, west, other]


@pytest.fixture(scope="module")
def front(emulators: list[Emulator]) -> Iterator[Front]:
    """Give an endpoint that leads to all of them."""
    with Front(emulators) as running:
        yield running


@pytest.fixture(scope="module")
def url(front: Front) -> str:
    """Give its URL."""
    return front.endpoint_url


# --- What is found

WEB = ["us/shop/web/log-router", "us/shop/web/log-router", "us/shop/web/nginx", "us/shop/web/nginx"]
API = ["us/shop/api/app"]
MIGRATE = ["us/shop/migrate/app"]
WORKER = ["us/batch/worker/worker", "us/batch/worker/worker"]
LOCKED = ["us/batch/locked/app"]
YOUNG = ["us/batch/young/app"]
WEST_WEB = ["eu/shop/web/nginx"]
ALL = [*WEST_WEB, *LOCKED, *WORKER, *YOUNG, *API, *MIGRATE, *WEB]

FILTERS: list[tuple[dict[str, str], list[str]]] = [
    ({}, ALL),
    ({"clusters": "shop"}, [*WEST_WEB, *API, *MIGRATE, *WEB]),
    ({"clusters": "batch"}, [*LOCKED, *WORKER, *YOUNG]),
    ({"clusters": "ba*,sh*"}, ALL),
    ({"clusters": "ba*"}, [*LOCKED, *WORKER, *YOUNG]),
    ({"clusters": f"arn:aws:ecs:{WEST}:{OWN}:cluster/shop,batch"}, [*WEST_WEB, *LOCKED, *WORKER, *YOUNG]),
    ({"services": "web"}, [*WEST_WEB, *WEB]),
    ({"services": "web,worker"}, [*WEST_WEB, *WORKER, *WEB]),
    ({"services": "w*"}, [*WEST_WEB, *WORKER, *WEB]),
    ({"services": "nothing"}, []),
    ({"task-definitions": "shop-api"}, API),
    ({"task-definitions": "web:1,migrate"}, [*WEST_WEB, *MIGRATE, *WEB]),
    ({"task-definitions": "web:2"}, []),
    ({"task-definitions": "shop-*,l*"}, [*LOCKED, *API]),
    ({"containers": "app"}, [*LOCKED, *YOUNG, *API, *MIGRATE]),
    ({"containers": "log-*,nginx"}, [*WEST_WEB, *WEB]),
    ({"containers": "log-*"}, [place for place in WEB if "log-router" in place]),
    ({"containers": "log-*", "container-filter": "task"}, WEB),
    (
        {"containers": "log-*", "container-filter": "task", "filter-behavior": "exclude"},
        [place for place in ALL if place not in WEB],
    ),
    ({"tags": "team=backend"}, [*API, *MIGRATE]),
    ({"tags": "team=backend,env=prod"}, API),
    ({"tags": "team=backend,team=data"}, [*WORKER, *API, *MIGRATE]),
    ({"tags": "env"}, [*WEST_WEB, *API, *MIGRATE, *WEB]),
    ({"tags": "team=*e*d,env=prod"}, API),
    ({"exec-ready-only": "true"}, [*WEST_WEB, *WORKER, *API, *MIGRATE, *WEB]),
    ({"services": "web", "containers": "nginx"}, [*WEST_WEB, *WEB[2:]]),
    ({"services": "web,api", "tags": "env=prod", "containers": "app"}, API),
    ({"services": "api", "task-definitions": "web"}, []),
    ({"services": "web", "clusters": "batch"}, []),
    ({"containers": "app", "exec-ready-only": "true"}, [*API, *MIGRATE]),
    ({"filter-behavior": "exclude"}, ALL),
    ({"filter-behavior": "exclude", "services": "web"}, [*LOCKED, *WORKER, *YOUNG, *API, *MIGRATE]),
    (
        {"filter-behavior": "exclude", "task-definitions": "w*:1"},
        [*LOCKED, *YOUNG, *API, *MIGRATE],
    ),
    (
        {"filter-behavior": "exclude", "containers": "log-*"},
        [*WEST_WEB, *LOCKED, *WORKER, *YOUNG, *API, *MIGRATE, *WEB[2:]],
    ),
    ({"filter-behavior": "exclude", "tags": "team=backend"}, [*WEST_WEB, *LOCKED, *WORKER, *YOUNG, *WEB]),
    ({"filter-behavior": "exclude", "tags": "team=data,env=prod"}, [*LOCKED, *YOUNG, *MIGRATE]),
    (
        {"filter-behavior": "exclude", "services": "worker", "containers": "nginx", "tags": "team=backend"},
        [*LOCKED, *YOUNG, *WEB[:2]],
    ),
    ({"filter-behavior": "exclude", "services": "w*", "clusters": "shop"}, [*API, *MIGRATE]),
    ({"filter-behavior": "exclude", "services": "web", "exec-ready-only": "true"}, [*WORKER, *API, *MIGRATE]),
]


@pytest.mark.parametrize(("config", "expected"), FILTERS, ids=[str(config) for config, _ in FILTERS])
def test_filters(url: str, config: dict[str, str], expected: list[str]) -> None:
    """Each filter, included and excluded, alone and with others, over two regions."""
    assert summary(nodes(url, **{"regions": BOTH, **config})) == sorted(expected)


def test_another_account(url: str, emulators: list[Emulator]) -> None:
    """By a role, which its nodes carry, so that the executor assumes it too."""
    (node,) = nodes(url, assume_role_arn=ROLE).values()
    assert (node["ECS:Account-ID"], node["assume-role-arn"]) == (OTHER, ROLE)
    assert node["ECS:Cluster-ARN"] == f"arn:aws:ecs:{EAST}:{OTHER}:cluster/tools"
    assert len(emulators) == 3


def test_several_accounts(url: str, front: Front) -> None:
    """Each by its role, assumed once however many regions there are."""
    own = f"arn:aws:iam::{OWN}:role/rundeck"
    front.taken_calls()
    ids = f"{ROLE}=id-2;{own}=id-1"
    found = nodes(url, regions=BOTH, assume_role_arn=f"{own},{ROLE}", external_id=ids, clusters="shop,tools")
    assert summary(found) == sorted([*WEST_WEB, *API, *MIGRATE, *WEB, "us/tools/bastion/shell"])
    asked = [call["parameters"] for call in front.taken_calls() if call["action"] == "sts"]
    assert sorted((each["RoleArn"], each["ExternalId"]) for each in asked) == sorted([(own, "id-1"), (ROLE, "id-2")])


def test_one_account_by_two_roles(url: str) -> None:
    """They are one account: each container becomes one node."""
    roles = f"arn:aws:iam::{OWN}:role/a,arn:aws:iam::{OWN}:role/b"
    assert summary(nodes(url, regions=BOTH, assume_role_arn=roles)) == sorted(ALL)


def test_attributes(url: str, emulators: list[Emulator]) -> None:
    """All that is known of a container; what the executor needs is there, nothing is null or nested."""
    found = nodes(url, clusters="shop", services="web")
    east = emulators[0]
    task, container = east.task("shop", "web"), east.task("shop", "web").group.containers[0]
    name = f"nginx-{task.container_id(container)}"
    node = found[name]
    expected = {
        **east.node("shop", "web"),
        "ECS:Account-ID": OWN,
        "ECS:Availability-Zone": "us-east-1a",
        "ECS:CPU": "256",
        "ECS:CPU-Architecture": "x86_64",
        "ECS:Cluster-Name": "shop",
        "ECS:Container-ARN": f"arn:aws:ecs:{EAST}:{OWN}:container/shop/{task.id}/{task.container_id(container)}",
        "ECS:Container-Health": "HEALTHY",
        "ECS:Container-ID": task.container_id(container),
        "ECS:Container-Image": "nginx:1.27",
        "ECS:Container-Status": "RUNNING",
        "ECS:Container-Tags": "[env=prod, team=storefront]",
        "ECS:ENI-ID": f"eni-{task.id[:17]}",
        "ECS:Exec-Agent-Status": "RUNNING",
        "ECS:Exec-Enabled": "true",
        "ECS:Exec-Ready": "true",
        "ECS:Memory": "512",
        "ECS:Platform-Family": "Linux",
        "ECS:Platform-Version": "1.4.0",
        "ECS:Private-IP": task.address,
        "ECS:Service-Name": "web",
        "ECS:Subnet-ID": "subnet-0123456789abcdef0",
        "ECS:Task-CPU": "256",
        "ECS:Task-Connectivity": "CONNECTED",
        "ECS:Task-Definition": "web:1",
        "ECS:Task-Definition-ARN": f"arn:aws:ecs:{EAST}:{OWN}:task-definition/web:1",
        "ECS:Task-Definition-Family": "web",
        "ECS:Task-Definition-Revision": "1",
        "ECS:Task-Desired-Status": "RUNNING",
        "ECS:Task-Group": "service:web",
        "ECS:Task-Health": "HEALTHY",
        "ECS:Task-ID": task.id,
        "ECS:Task-Launch-Type": "FARGATE",
        "ECS:Task-Memory": "512",
        "ECS:Task-Started-By": first_deployment(task.group),
        "ECS:Task-Status": "RUNNING",
        "ECS:Task-Tag:env": "prod",
        "ECS:Task-Tag:team": "storefront",
        "description": "nginx:1.27, web, shop",
        "editUrl": f"https://{EAST}.console.aws.amazon.com/ecs/v2/clusters/shop/tasks/{task.id}/configuration?region={EAST}",
        "file-copier": "ecs-file-copier",
        "hostname": task.address,
        "node-executor": "ecs-node-executor",
        "osArch": "x86_64",
        "osFamily": "unix",
        "osName": "Linux",
        "tags": ["shop", "web", "nginx", "FARGATE"],
        "ui:icon:name": "fab-docker",
    }
    times = {key: node.pop(key) for key in ("ECS:Task-Created-At", "ECS:Task-Started-At")}
    assert node == expected
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(task.started))
    assert times["ECS:Task-Started-At"] == stamp
    assert all(isinstance(value, str) for node in found.values() for key, value in node.items() if key != "tags")


def test_not_ready_and_unhealthy_are_seen(url: str) -> None:
    """By badge, colour and a few words."""
    by_place = {summary({name: node})[0]: node for name, node in nodes(url).items()}
    shown = {
        place: (node["ECS:Exec-Ready"], node.get("ui:badges"), node.get("ui:status:text"))
        for place, node in by_place.items()
    }
    assert shown["us/batch/locked/app"] == ("false", "glyphicon-ban-circle", " ECS Exec not enabled")
    assert shown["us/batch/young/app"] == ("false", "glyphicon-ban-circle", " task PENDING")
    assert shown["us/shop/api/app"] == ("true", "glyphicon-warning-sign", " unhealthy")
    assert shown["us/shop/web/nginx"] == ("true", None, None)


def test_the_output_is_the_same_each_time(url: str) -> None:
    """It is the same byte for byte, as long as the tasks are the same."""
    first, second = (run(url, {"regions": BOTH}) for _ in range(2))
    assert first == second
    assert first[0] == 0


def test_names_mapping_and_static_attributes(url: str) -> None:
    """As the form wants them; mapping as YAML, which needs a library of its own."""
    found = nodes(
        url,
        clusters="shop",
        node_name="{ECS:Service-Name,ECS:Task-Definition-Family}-{name}",
        mapping="hostname:\n  selector: name+'.'+availabilityZone\nusername: {default: app}\n"
        "tags: {selector: [tags, tags/team]}\ntag: {prod: {selector: tags/env=prod}}\n",
        static_attributes="ecs-workdir=/srv; ECS:Task-CPU=; tags=aws",
    )
    assert {name for name in found if not name.startswith("web-")} == {"api-app", "migrate-app"}
    api = found["api-app"]
    assert (api["hostname"], api["username"], api["ecs-workdir"]) == ("app.us-east-1a", "app", "/srv")
    assert api["tags"] == ["shop", "api", "shop-api", "app", "FARGATE", "backend", "prod", "aws"]
    assert "ECS:Task-CPU" not in api
    # Two tasks of one service: the older one has the name, the other its container's id too.
    web = sorted((node["ECS:Task-Started-At"], name, node) for name, node in found.items() if name.endswith("nginx"))
    assert [name for _, name, _ in web] == ["web-nginx"]
    younger = [node for name, node in found.items() if name.startswith("web-nginx-")]
    assert [f"web-nginx-{node['ECS:Container-ID']}" in found for node in younger] == [True]
    assert younger[0]["ECS:Task-Started-At"] > web[0][0]


# --- Calls


def calls(front: Front, url: str, **config: str) -> list[tuple[str, dict[str, Any]]]:
    """Give the calls of one run."""
    front.taken_calls()
    nodes(url, **config)
    return [(call["action"], call["parameters"]) for call in front.taken_calls()]


def test_no_call_is_made_per_task(url: str, front: Front) -> None:
    """Two clusters take one page of clusters, a page of tasks each, and one description of all, with tags."""
    made = calls(front, url)
    assert sorted(action for action, _ in made) == ["DescribeTasks"] * 2 + ["ListClusters"] + ["ListTasks"] * 2
    assert all(asked["include"] == ["TAGS"] for action, asked in made if action == "DescribeTasks")


@pytest.mark.parametrize(
    ("config", "narrowed"),
    [
        ({"services": "web"}, [{"serviceName": "web"}]),
        ({"services": "web,api"}, [{"serviceName": "api"}, {"serviceName": "web"}]),
        ({"services": "web", "task-definitions": "shop-api"}, [{"serviceName": "web"}]),
        ({"task-definitions": "shop-api:1,migrate"}, [{"family": "migrate"}, {"family": "shop-api"}]),
        ({"services": "w*"}, [{}]),
        ({"services": "w*", "task-definitions": "web"}, [{"family": "web"}]),
        ({"filter-behavior": "exclude", "services": "web"}, [{}]),
        ({"containers": "app"}, [{}]),
    ],
)
def test_lists_are_narrowed_where_that_can_be(
    url: str, front: Front, config: dict[str, str], narrowed: list[dict[str, str]]
) -> None:
    """Filters that include select by service or family. One call describes all tasks found."""
    made = calls(front, url, clusters="shop", **config)
    asked = [
        {k: v for k, v in one.items() if k in {"serviceName", "family"}} for name, one in made if name == "ListTasks"
    ]
    assert sorted(asked, key=str) == narrowed
    assert sum(action == "DescribeTasks" for action, _ in made) == 1
    assert "ListClusters" not in dict(made)


# --- Then commands


def test_a_command_runs_on_a_node_as_it_is(url: str, front: Front, emulators: list[Emulator]) -> None:
    """Only the access to AWS is set. The command takes one call, in the account of the node's role."""
    found = nodes(url, regions=BOTH, services="web")
    node = next(node for node in found.values() if node["ECS:Region"] == WEST)
    launcher = Launcher(url, "")
    attributes = {name: value for name, value in node.items() if name != "tags"}
    front.taken_calls()
    result = launcher.run(attributes, "echo $0; exit 3", {"transport": "native"})
    assert (result.status, result.stderr) == (3, b"")
    assert [(call["action"], call["region"]) for call in front.taken_calls()] == [("ExecuteCommand", WEST)]
    (bastion,) = nodes(url, assume_role_arn=ROLE).values()
    bastion.pop("tags")
    assert launcher.run(bastion, "echo there", {"transport": "native"}).stdout == b"there\n"
    assert emulators[2].report()["sessions"]


# --- Failures


@pytest.mark.parametrize(
    ("deny", "action"),
    [
        (["ecs:ListClusters"], "ecs:ListClusters"),
        (["ecs:ListTasks"], "ecs:ListTasks"),
        (["ecs:DescribeTasks"], "ecs:DescribeTasks"),
    ],
)
def test_a_missing_permission_is_named(emulators: list[Emulator], deny: list[str], action: str) -> None:
    """Each failure names its region, and its cluster if it has one. No nodes of the other region are written."""
    with Emulator(IN_WEST | {"deny": deny}) as denying, Front([emulators[0], denying]) as front:
        lines = failure(front.endpoint_url, regions=BOTH)
    assert len(lines) == 1
    where = "all clusters" if action == "ecs:ListClusters" else "cluster shop"
    assert all(word in lines[0] for word in (action, f"grant {action}", WEST, where, "AccessDenied")), lines


def test_every_failure_is_reported(emulators: list[Emulator]) -> None:
    """Not only the first."""
    clusters = {name: {**cluster, "deny": ["ecs:ListTasks"]} for name, cluster in IN_EAST["clusters"].items()}
    with Emulator(IN_EAST | {"clusters": clusters}) as denying, Front([denying, emulators[1]]) as front:
        front.unreachable = {WEST}
        lines = failure(front.endpoint_url, regions=BOTH)
    assert len(lines) == 3
    assert [any(word in line for line in lines) for word in ("shop", "batch", WEST)] == [True] * 3, lines


def test_a_role_that_may_not_be_assumed(emulators: list[Emulator]) -> None:
    """The line names the role, and what its trust policy needs."""
    with Emulator(IN_OTHER | {"deny": ["sts:AssumeRole"]}) as denying, Front([emulators[0], denying]) as front:
        lines = failure(front.endpoint_url, assume_role_arn=ROLE, clusters="a,b,c")
    assert len(lines) == 1
    assert all(word in lines[0] for word in ("sts:AssumeRole", ROLE, "trust policy")), lines


def test_an_unknown_cluster(url: str) -> None:
    """A cluster that no place has is a failure. The line names the places."""
    (line,) = failure(url, clusters="shop,shopp")
    assert all(word in line for word in ("shopp", EAST, "clusters", "ClusterNotFoundException")), line
    (line,) = failure(url, regions=BOTH, clusters="shop,shopp")
    assert all(word in line for word in ("shopp", EAST, WEST)), line
    (line,) = failure(url, clusters=f"arn:aws:ecs:{WEST}:{OWN}:cluster/batch", regions=BOTH)
    assert all(word in line for word in ("batch", WEST)), line


def test_an_expired_token(emulators: list[Emulator]) -> None:
    """The line says that the token has expired."""
    with Emulator(IN_WEST, faults={"api_errors": {"ListClusters": ["ExpiredTokenException"]}}) as emulator:
        (line,) = failure(emulator.endpoint_url, regions=WEST)
    assert all(word in line for word in ("ExpiredToken", "renew", WEST)), line
    assert emulators


def test_a_region_that_cannot_be_reached(url: str) -> None:
    """The region cannot be reached, or does not exist."""
    (line,) = failure("http://127.0.0.1:9", regions=WEST)
    assert all(word in line for word in (WEST, "127.0.0.1:9", "endpoint-url")), line
    (line,) = failure("", regions="us-moon-1", clusters="x")
    assert all(word in line for word in ("us-moon-1", "check the region")), line
    assert url


@pytest.mark.parametrize("action", ["ListClusters", "ListTasks", "DescribeTasks"])
def test_an_answer_that_is_not_from_aws(emulators: list[Emulator], action: str) -> None:
    """An answer such as a proxy's page is not an empty list."""
    with Front(emulators[:2]) as front:
        front.garbled = {action: "<html>Please log in</html>"}
        lines = failure(front.endpoint_url, regions=WEST)
    assert len(lines) == 1
    assert all(word in lines[0] for word in (action, "HTTPS_PROXY")), lines


def test_a_failure_in_passing_is_none(emulators: list[Emulator]) -> None:
    """It is tried again."""
    errors = {"ListTasks": ["ServerException", "ThrottlingException"], "DescribeTasks": ["ServerException"]}
    with Emulator(IN_WEST, faults={"api_errors": errors}) as emulator:
        assert summary(nodes(emulator.endpoint_url, regions=WEST)) == WEST_WEB
    assert emulators


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"regions": "us-east-1,US East"}, ["regions", "'us-east-1,US East'", "us-east-1"]),
        ({"assume-role-arn": f"{ROLE},admin"}, ["assume-role-arn", "arn:aws:iam::"]),
        ({"clusters": "my cluster"}, ["clusters", "names or ARNs"]),
        ({"clusters": f"arn:aws:ecs:{EAST}:{OWN}:cluster/x", "assume-role-arn": ROLE}, ["clusters", OWN, "no role"]),
        ({"filter-behavior": "skip"}, ["filter-behavior", "include or exclude"]),
        ({"services": "a/b"}, ["services", "worker-*"]),
        ({"task-definitions": "web:latest"}, ["task-definitions", "family:revision"]),
        ({"containers": "a b"}, ["containers", "sidecar"]),
        ({"tags": "=prod"}, ["tags", "team=web"]),
        ({"exec-ready-only": "yes"}, ["exec-ready-only", "true or false"]),
        ({"node-name": "{nome}"}, ["node-name", "nome"]),
        ({"mapping": "hostname=x"}, ["mapping", "hostname", "selector"]),
        ({"mapping": "a: [b"}, ["mapping", "YAML"]),
        ({"static-attributes": "just words"}, ["static-attributes", "NAME=VALUE"]),
        ({"refresh-timeout": "0"}, ["refresh-timeout", "1 or more"]),
    ],
)
def test_settings_that_cannot_be_used(config: dict[str, str], words: list[str]) -> None:
    """One line names the setting and the accepted form."""
    (line,) = failure("http://127.0.0.1:9", **{name.replace("-", "_"): value for name, value in config.items()})
    assert [word for word in words if word not in line] == [], line


# --- Time


def many(tasks: int) -> dict[str, Any]:
    """Give a world with one cluster of many tasks."""
    service = {"desired": tasks, "containers": {"app": {}}}
    return {"account": OWN, "region": EAST, "clusters": {"c": {"services": {"s": service}}}}


def test_throttled_calls_are_made_again() -> None:
    """At 20 a second and a bucket of three, with all nodes at the end."""
    groups = {f"c{number}": many(101)["clusters"]["c"] for number in range(4)}
    with Emulator({"clusters": groups}) as emulator, Front([emulator], burst=3, rate=20) as front:
        assert len(nodes(front.endpoint_url)) == 404
        assert front.throttled > 0


def test_a_refresh_has_an_end(emulators: list[Emulator]) -> None:
    """A region accepts calls and never answers. The lines name the parts that were not read."""
    with Front(emulators[:2]) as front:
        front.silent = {WEST}
        begun = time.monotonic()
        lines = failure(front.endpoint_url, regions=BOTH, clusters="shop", refresh_timeout="2")
        assert time.monotonic() - begun < 8
    assert all(word in lines[0] for word in ("2 s", "shop", WEST, "refresh-timeout")), lines


def test_credentials_that_never_come(url: str, tmp_path: Path) -> None:
    """The wait for them ends, too."""
    (tmp_path / "config").write_text("[profile slow]\nregion = us-east-1\ncredential_process = sleep 20\n")
    config = {"profile": "slow", "assume-role-arn": ROLE, "refresh-timeout": "1"}
    config |= {"access-key-id": "", "secret-access-key": ""}
    status, stdout, lines = run(url, config, AWS_CONFIG_FILE=str(tmp_path / "config"))
    assert (status, stdout, len(lines)) == (124, b"", 1), lines
    assert "credentials" in lines[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(emulators: list[Emulator], number: int) -> None:
    """At once, whatever it waits for, with no nodes."""
    with Front(emulators[:2]) as front:
        front.silent = {EAST}
        process = start(front.endpoint_url, {})
        while not front.calls:
            time.sleep(0.02)
        process.send_signal(number)
        begun = time.monotonic()
        stdout, stderr = process.communicate(timeout=20)
        assert time.monotonic() - begun < 2
    assert (process.returncode, stdout) == (143, b"")
    assert b"aborted by SIG" in stderr


def test_nobody_reads(url: str) -> None:
    """This is a failure, without a traceback."""
    with start(url, {}) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        lines = process.stderr.read().decode().splitlines()
    assert process.returncode == 125
    assert lines == ["ecs-exec: the output was closed before all nodes were written"]


def test_details_are_there_for_who_asks(url: str) -> None:
    """How many nodes and calls, on stderr."""
    status, _, lines = run(url, {"debug": "true"})
    assert status == 0
    assert any(line.startswith("ecs-exec: debug: ") and "5 calls" in line for line in lines), lines
