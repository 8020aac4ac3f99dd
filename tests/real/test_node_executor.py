"""The zip in the real rundeck-core: its list of providers, and commands on nodes of a resource file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from build_manifest import described
from e2e.metadata import MetadataServer
from ecs_exec.settings.providers import PROVIDERS
from emulator import Emulator
from real.rundeck import Command, Describe, Key, Run, Rundeck, Server

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
MANIFEST = yaml.safe_load((Path(__file__).parents[2] / "plugin.yaml").read_bytes())
SHOWN = (
    *("author", "license", "url", "docsLink", "sourceLink", "thirdPartyDependencies", "tags"),
    *("rundeckPluginVersion", "rundeckCompatibilityVersion", "targetHostCompatibility"),
)
"""The plugin in a server's lists, compared with plugin.yaml."""
PREFIX = "project.plugin.NodeExecutor.ecs-node-executor."


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give the sample world with agents without delays."""
    with Emulator(agent={"start_delay": 0, "pacing": 0, "fail_pause": 0, "session_limit": 0}) as running:
        yield running


@pytest.fixture
def server(plugin_zip: Path, emulator: Emulator) -> Server:
    """Give a project whose default node executor is the plugin's, with its secret key in Key Storage."""
    attributes = emulator.node("demo", "web")
    settings = {
        "region": emulator.region,
        "endpoint-url": emulator.endpoint_url,
        "access-key-id": ACCESS_KEY,
        "secret-access-key": "keys/project/demo/aws",
        "workdir": "/usr",
    }
    return Server(
        plugins=[plugin_zip],
        nodes={
            "web": {"hostname": "web", **attributes},
            "bash": {"hostname": "bash", **attributes, "ecs-shell": "/bin/bash", "ecs-workdir": "/var"},
            "service": {"hostname": "service", "ecs-cluster": "demo", "ecs-service": "web"},
            "locked": {"hostname": "locked", **emulator.node("demo", "locked")},
        },
        keys={"keys/project/demo/aws": Key(SECRET_KEY, type="password")},
        project_properties={
            "service.NodeExecutor.default.provider": "ecs-node-executor",
            **{PREFIX + name: value for name, value in settings.items()},
        },
    )


def test_the_providers_and_their_settings_are_listed(rundeck: Rundeck, server: Server) -> None:
    """With titles, helps, types, defaults, groups and where their values come from, with icons and messages."""
    catalogue = rundeck.one(server, Describe())
    assert catalogue.files == {server.plugins[0].name: True}
    assert len(catalogue.providers) == len(PROVIDERS)
    for expected in PROVIDERS:
        provider = catalogue.provider(expected.service, expected.name)
        assert provider.error is None
        assert {name: provider.plugin[name] for name in SHOWN} == {name: MANIFEST[name] for name in SHOWN}
        assert (provider.title, provider.description) == (expected.title, expected.help)
        assert list(provider.properties) == [item.name for item in expected.properties]
        for item in expected.properties:
            listed = provider.properties[item.name]
            assert (listed.type, listed.title, listed.description) == (item.kind, item.title, described(item))
            inserted = f"${{globals.{item.from_globals}}}" if item.from_globals else ""
            assert (listed.default or "", listed.required) == (
                item.default if item.read_by_rundeck else inserted,
                False,
            )
            assert (listed.scope == "Framework") == bool(item.from_globals), listed.scope
            options = listed.rendering_options
            assert options["groupName"] == item.group
            assert options.get("instance-scope-node-attribute", "") == item.attribute
            assert ("valueConversion" in options) == item.key_storage
            for language in ("", "_de"):
                assert f"property.{item.name}.title=" in str(provider.resources[f"i18n/messages{language}.properties"])
        assert int(provider.resources["icon.png"]) > 0
        german = str(provider.resources["i18n/messages_de.properties"])
        assert f"{provider.service}.{provider.name}.plugin.title=" in german


def test_commands_on_nodes(rundeck: Rundeck, server: Server) -> None:
    """Success, failure with its code, levels of stdout and stderr, the node's own settings, a service as a node."""
    results = rundeck.run(
        server,
        good := Command("echo out; echo err >&2; pwd", on=["web"]),
        bad := Command("exit 42", on=["web"]),
        own := Command("pwd; echo ${BASH_VERSION:+bash}", on=["bash"]),
        service := Command("hostname >/dev/null; echo service", on=["service"]),
        refused := Command("echo never", on=["locked"]),
        option := Command("echo ${option.word}", on=["web"], run=Run(context={"option": {"word": "it's $x"}})),
        slow := Command("echo first; sleep 2; echo last", on=["web"]),
    )
    assert [(event.level, event.source, event.text) for event in results[good].events if event.source == "stdout"] == [
        ("NORMAL", "stdout", "out"),
        ("NORMAL", "stdout", "/usr"),
    ]
    assert [(event.level, event.text) for event in results[good].events if event.source == "stderr"] == [
        ("ERROR", "err")
    ]
    assert (results[good].success, results[good].result.result_code) == (True, 0)
    assert (results[bad].result.result_code, results[bad].result.reason) == (42, "NonZeroResultCode"), results[bad]
    assert results[own].stdout == ["/var", "bash"]
    assert results[service].stdout == ["service"]
    assert results[refused].stdout == []
    assert results[refused].result.result_code == 125
    assert len(results[refused].stderr) == 1
    assert "--enable-execute-command" in results[refused].stderr[0]
    assert results[option].stdout == ["it's $x"]
    # A line is logged when it is printed, not only when the command ends.
    first, last = (event.at for event in results[slow].events if event.source == "stdout")
    assert last - first > 1.5


def test_the_key_comes_from_key_storage(rundeck: Rundeck, server: Server, emulator: Emulator) -> None:
    """The plugin signs with it. The log of a debug run and the command's environment do not contain its text."""
    before = len(emulator.report()["calls"])
    nodes = {"web": {**server.nodes["web"], "ecs-env": "RD_*,*"}}  # type: ignore[index, dict-item]
    command = Command("echo out; env", on=["web"], run=Run(loglevel="DEBUG"))
    execution = rundeck.one(replace(server, nodes=nodes), command)
    assert execution.success
    assert [line for line in execution.stdout if line.startswith("RD_NODE_NAME=")]
    assert {call["accessKey"] for call in emulator.report()["calls"][before:]} == {ACCESS_KEY}
    assert [event.text for event in execution.events if SECRET_KEY in event.text] == []


def test_what_rundeck_stops_leaves_nothing_behind(
    rundeck: Rundeck, server: Server, emulator: Emulator, session_manager_plugin: Path
) -> None:
    """An abort, and a job's time-out, which is an abort after a time, reach the container, whatever the transport."""
    node = emulator.node("demo", "web")
    server = replace(
        server,
        nodes={"web": node, "program": {**node, "ecs-transport": "session-manager-plugin"}},
        project_properties={
            **server.project_properties,
            f"{PREFIX}session-manager-plugin": str(session_manager_plugin),
        },
    )
    command = "trap '' INT TERM; echo begun; sleep 300 & sleep 300"
    abort, limit = Run(interrupt_on="begun", patience=20, linger=2), Run(interrupt_after=3, patience=20, linger=2)
    stopped = [Command(command, on=[name], run=run) for name in ("web", "program") for run in (abort, limit)]
    # Dispatched to several nodes at once, Rundeck sends its signal with keepgoing only.
    parallel = replace(abort, threads=2, keepgoing=True)
    stopped.append(Command(command, on=["web", "program"], run=parallel))
    results = rundeck.run(server, *stopped)
    for action in stopped:
        assert not results[action].success, results[action]
        assert set(results[action].stdout) == {"begun"}, results[action]
    # Of two at once the second may not have begun when the first one's word brings the abort.
    begun = [session for session in emulator.report()["sessions"] if "sleep 300" in session["command"]]
    assert len(begun) >= len(stopped)
    assert emulator.processes() == []


def test_a_task_role_of_the_server(rundeck: Rundeck, plugin_zip: Path, emulator: Emulator) -> None:
    """Rundeck up to 5.5 passes only RD_* to executors. The role, profile and proxies of its service still work."""
    properties = {"region": emulator.region, "endpoint-url": emulator.endpoint_url}
    server = Server(
        plugins=[plugin_zip],
        nodes={"web": {"hostname": "web", **emulator.node("demo", "web")}},
        project_properties={
            "service.NodeExecutor.default.provider": "ecs-node-executor",
            **{PREFIX + name: value for name, value in properties.items()},
        },
    )
    with MetadataServer() as metadata:
        role = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": metadata.url, "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"}
        results = rundeck.run(server, command := Command("echo out", on=["web"]), environ=role)
        asked = metadata.asked
    assert [event.text for event in results[command].events] == ["out"]
    assert results[command].result.result_code == 0
    assert asked
