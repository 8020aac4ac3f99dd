"""The harness around the real rundeck-core, tested with a plugin made for this purpose.

Its executor and copier run on the server the work for a node.
"""

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from real.rundeck import (
    Catalogue,
    Command,
    Copy,
    Describe,
    Execution,
    HarnessError,
    Key,
    NodeSource,
    NodeStep,
    Run,
    Rundeck,
    Script,
    Server,
    WorkflowStep,
)

PLUGIN = """\
name: throw-away
version: 1.2.3
rundeckPluginVersion: "1.2"
author: nobody
providers:
  - name: demo-executor
    service: NodeExecutor
    title: Demo / Executor
    description: Runs here
    plugin-type: script
    script-interpreter: /bin/sh
    script-file: executor.sh
    config:
      - name: word
        type: Select
        values: [plain, from-node]
        title: Word
        description: A word
        default: plain
        renderingOptions: {instance-scope-node-attribute: demo-word}
      - name: secret
        type: String
        required: true
        scope: Project
        renderingOptions:
          selectionAccessor: STORAGE_PATH
          valueConversion: STORAGE_PATH_AUTOMATIC_READ
          storage-file-meta-filter: Rundeck-data-type=password
  - name: demo-copier
    service: FileCopier
    plugin-type: script
    script-interpreter: /bin/sh
    script-file: copier.sh
    script-args: ''
    config:
      - {name: root, type: String}
  - name: demo-source
    service: ResourceModelSource
    plugin-type: script
    script-interpreter: /bin/sh
    script-file: source.sh
    resource-format: resourcejson
    config:
      - name: token
        type: String
        renderingOptions: {valueConversion: STORAGE_PATH_AUTOMATIC_READ}
  - name: demo-step
    service: WorkflowNodeStep
    plugin-type: script
    script-interpreter: /bin/sh
    script-file: step.sh
    config:
      - {name: say, type: String, required: true}
  - name: demo-step
    service: WorkflowStep
    plugin-type: script
    script-interpreter: /bin/sh
    script-file: step.sh
    config:
      - {name: say, type: String, required: true}
"""

SCRIPTS = {
    "executor.sh": 'exec /bin/sh -c "PATH=/usr/bin:/bin; $RD_EXEC_COMMAND"',
    "copier.sh": """\
PATH=/usr/bin:/bin
echo copying >&2
case $RD_FILE_COPY_DESTINATION in */refused) exit 9;; esac
mkdir -p "$RD_CONFIG_ROOT$(dirname "$RD_FILE_COPY_DESTINATION")"
cp "$RD_FILE_COPY_FILE" "$RD_CONFIG_ROOT$RD_FILE_COPY_DESTINATION"
echo "$RD_CONFIG_ROOT$RD_FILE_COPY_DESTINATION"
""",
    "source.sh": """\
echo looking >&2
test "$RD_CONFIG_FAIL" && exit 3
cat <<END
{"found": {"hostname": "h", "tags": ["a", "b"], "count": 2, "token": "$(echo $RD_CONFIG_TOKEN)",
           "project": "$RD_CONFIG_PROJECT", "home": "$HOME"}}
END
""",
    "step.sh": 'echo "${RD_NODE_NAME:-nowhere}: $RD_CONFIG_SAY"; test "$RD_CONFIG_SAY" = well || exit 5',
}

NODES = {
    "one": {"hostname": "one", "tags": "x,y"},
    "two": {"hostname": "two", "demo-word": "from-node"},
    "three": {"hostname": "three"},
    "here": {"hostname": "here", "node-executor": "local"},
}


def waiting(told: str) -> str:
    """Return a command that waits, and writes to the file `told` that it was stopped.

    It ends on its own as well, so that a failed abort leaves nothing behind. The Command step takes one level of
    quotes away.
    """
    trap = f"""trap "'echo stopped > {told}; exit 4'" TERM"""
    return f"{trap}; echo ready; i=0; while test $i -lt 80; do sleep 0.1; i=$((i+1)); done"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Give a server with the plugin, its settings, keys and nodes."""
    folder = tmp_path_factory.mktemp("plugin")
    path = folder / "throw-away-1.2.3.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("throw-away-1.2.3/plugin.yaml", PLUGIN)
        for name, text in SCRIPTS.items():
            file.writestr(f"throw-away-1.2.3/contents/{name}", text)
        file.writestr("throw-away-1.2.3/resources/icon.png", b"\x89PNG")
        file.writestr("throw-away-1.2.3/resources/i18n/messages.properties", "plugin.title=Grüße\n")
    return Server(
        plugins=[path],
        nodes=NODES,
        keys={"keys/aws/secret": "s3cr3t\n", "keys/aws/private": Key("BEGIN", type="private")},
        project_properties={
            "service.NodeExecutor.default.provider": "demo-executor",
            "service.FileCopier.default.provider": "demo-copier",
            "project.plugin.NodeExecutor.demo-executor.secret": "keys/aws/secret",
            "project.plugin.FileCopier.demo-copier.root": str(folder),
            "project.globals.site": "lab",
        },
    )


ON_ALL = ["one", "two", "three"]
FAIL_ON_ONE = "test $RD_NODE_NAME != one; s=$?; sleep 0.4; exit $s"
DESCRIBED = Describe()
PARALLEL = Run(threads=3, keepgoing=True)
COMMANDS = {
    "good": Command("echo out; echo err >&2", on=["one"]),
    "bad": Command("exit 7", on=["one"]),
    "word": Command("echo $RD_CONFIG_WORD", on=["two"]),
    "option": Command("echo ${option.x} '${option.missing}'", on=["one"], run=Run(context={"option": {"x": "a b"}})),
    "local": Command("echo word is $RD_CONFIG_WORD", on=["here"]),
    "debug": Command("true", on=["one"], run=Run(loglevel="DEBUG")),
    "env": Command(
        "env",
        on=["one"],
        run=Run(
            loglevel="DEBUG",
            context={"option": {"colour": "grün"}, "job": {"name": "nightly"}, "secureOption": {"pin": "1"}},
            private={"password": "p4ss"},
        ),
    ),
    "stopping": Command(FAIL_ON_ONE, on=ON_ALL),
    "going": Command(FAIL_ON_ONE, on=ON_ALL, run=Run(keepgoing=True)),
    "parallel": Command("echo $RD_NODE_NAME; sleep 0.8", on=ON_ALL, run=PARALLEL),
    "node step": NodeStep("demo-step", ["one"], {"say": "${option.how}"}, Run(context={"option": {"how": "well"}})),
    "bad node step": NodeStep("demo-step", ["one"], {"say": "ill"}),
    "step": WorkflowStep("demo-step", {"say": "well"}),
    "bad step": WorkflowStep("demo-step", {"say": "ill"}),
}
"""Actions that one server runs for several tests. A start for each test would take longer than all actions."""


class Ran(NamedTuple):
    """The result."""

    catalogue: Catalogue
    executions: Mapping[str, Execution]


@pytest.fixture(scope="module")
def ran(rundeck: Rundeck, server: Server) -> Ran:
    """Run all of it in one server."""
    results = rundeck.run(server, DESCRIBED, *COMMANDS.values())
    return Ran(results[DESCRIBED], {name: results[action] for name, action in COMMANDS.items()})


RunCommand = Callable[..., Execution]


@pytest.fixture
def command(rundeck: Rundeck, server: Server) -> RunCommand:
    """Give a function that runs one command on a node, `one` by default."""

    def run(text: str, on: str = "one", how: Run | None = None) -> Execution:
        return rundeck.one(server, Command(text, on=[on], run=how or Run()))

    return run


def environment(execution: Execution) -> dict[str, str]:
    """Read what `env` printed."""
    return dict(line.split("=", 1) for line in execution.stdout if "=" in line)


def test_describe(ran: Ran) -> None:
    """Providers, settings, resources and the file's own data come as Rundeck presents them."""
    catalogue = ran.catalogue
    assert catalogue.files == {"throw-away-1.2.3.zip": True}
    assert len(catalogue.providers) == 5
    assert [provider.error for provider in catalogue.providers] == [None] * 5
    executor = catalogue.provider("NodeExecutor", "demo-executor")
    assert (executor.title, executor.description) == ("Demo / Executor", "Runs here")
    assert executor.plugin["version"] == "1.2.3"
    assert executor.project_mapping["word"] == "project.plugin.NodeExecutor.demo-executor.word"
    word, secret = executor.properties["word"], executor.properties["secret"]
    assert (word.type, word.title, word.default, word.values) == ("Select", "Word", "plain", ["plain", "from-node"])
    assert not word.required
    assert (secret.required, secret.scope) == (True, "Project")
    assert secret.rendering_options["valueConversion"] == "STORAGE_PATH_AUTOMATIC_READ"
    assert executor.resources == {"i18n/messages.properties": "plugin.title=Grüße\n", "icon.png": 4}


def test_a_broken_plugin_is_reported(rundeck: Rundeck, tmp_path: Path) -> None:
    """A file with invalid metadata is listed as invalid. The server's log has the reason."""
    path = tmp_path / "broken-1.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("broken-1/plugin.yaml", PLUGIN + "surprise: yes\n")
    results = rundeck.run(Server(plugins=[path]), describe := Describe())
    assert results[describe].files == {"broken-1.zip": False}
    assert results[describe].providers == []
    assert "surprise" in results.log


def test_environment(ran: Ran) -> None:
    """A script sees RD_* alone: node, job, options, settings, and a key's content."""
    seen = environment(ran.executions["env"])
    assert {name for name in seen if not name.startswith("RD_")} <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}
    expected = {
        "RD_NODE_NAME": "one",
        "RD_JOB_NAME": "nightly",
        "RD_JOB_LOGLEVEL": "DEBUG",
        "RD_OPTION_COLOUR": "grün",
        "RD_SECUREOPTION_PIN": "1",
        "RD_PRIVATE_PASSWORD": "p4ss",
        "RD_GLOBALS_SITE": "lab",
        "RD_CONFIG_WORD": "plain",
        "RD_CONFIG_SECRET": "s3cr3t",
        "RD_EXEC_COMMAND": "env",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert set(seen["RD_NODE_TAGS"].split(",")) == {"x", "y"}


def test_results_and_streams(ran: Ran) -> None:
    """Exit statuses arrive as result codes, stdout as NORMAL and stderr as ERROR; the node chooses the provider."""
    results = ran.executions
    assert {(event.level, event.source, event.text) for event in results["good"].events} == {
        ("NORMAL", "stdout", "out"),
        ("ERROR", "stderr", "err"),
    }
    assert {event.node for event in results["good"].events} == {"one"}
    assert results["good"].success
    assert results["good"].result.result_code == 0
    failed = results["bad"]
    assert not failed.success
    assert (failed.result.result_code, failed.result.reason) == (7, "NonZeroResultCode")
    assert failed.result.message == "[demo-executor] Result code: 7"
    assert any("NonZeroResultCode" in line for line in failed.log)
    assert results["word"].stdout == ["from-node"]
    assert results["option"].stdout == ["a b"]
    # Rundeck's own executor has no settings of ours, and logs what it reads as Rundeck's own words.
    assert results["local"].log == ["word is"]
    assert any(event.level == "VERBOSE" for event in results["debug"].events)


def test_missing_key(rundeck: Rundeck, server: Server) -> None:
    """A missing key is a failure before the script starts, and Rundeck says so."""
    properties = {**server.project_properties, "project.plugin.NodeExecutor.demo-executor.secret": "keys/none"}
    lacking = Server(plugins=server.plugins, nodes=NODES, project_properties=properties)
    execution = rundeck.one(lacking, Command("echo never", on=["one"]))
    assert execution.stdout == []
    assert (execution.result.reason, execution.result.result_code) == ("ConfigurationFailure", -1)
    assert "keys/none" in (execution.result.message or "")


def test_dispatch(ran: Ran) -> None:
    """Several nodes: one after another, until one fails, unless keepgoing is on; or at once."""
    results = ran.executions
    assert [outcome.node for outcome in results["stopping"].nodes] == ["one"]
    assert results["stopping"].steps[0].reason == "NodeDispatchFailure"
    assert [outcome.success for outcome in results["going"].nodes] == [False, True, True]
    assert results["parallel"].success
    assert results["parallel"].seconds < 2
    assert {(event.text, event.node) for event in results["parallel"].events} == {(node, node) for node in ON_ALL}


def test_scripts_and_copies(rundeck: Rundeck, server: Server, tmp_path: Path) -> None:
    """A script is copied, made executable, run and removed; a copier's answer is the remote path."""
    root = server.project_properties["project.plugin.FileCopier.demo-copier.root"]
    file = tmp_path / "tool.sh"
    file.write_text('#!/bin/sh\necho "$0" "$#" "$2"\nexit 6\n')
    results = rundeck.run(
        server,
        inline := Script(["one"], script="#!/bin/sh\necho @node.name@ $1 $2", arguments="a 'b c'"),
        from_file := Script(
            ["one"], file=file, arguments="x 'y z'", invocation="env DEMO=1", extension="ksh", run=Run(loglevel="DEBUG")
        ),
        copied := Copy(["one"], content="text", destination="/put/here"),
        several := Copy(["one"], files=[file], folder=tmp_path, destination="/many/"),
        refused := Copy(["one"], file=file, destination="/put/refused"),
    )
    assert results[inline].stdout == ["one a b c"]
    assert results[inline].stderr == ["copying"]
    script, *rest = results[from_file].stdout[0].split(" ")
    assert Path(script).is_relative_to(root)
    assert re.search(r"-\d+-one-tool\.sh\.ksh$", script)
    assert rest == ["2", "y", "z"]
    assert results[from_file].result.result_code == 6
    commands = [line for line in results[from_file].log if "execCommand started" in line]
    assert [line.split("command: ")[1].split(" ")[0] for line in commands] == ["chmod", "env", "rm"]
    assert not Path(script).exists()
    assert results[copied].copied == {"one": [f"{root}/put/here"]}
    assert Path(root, "put/here").read_text() == "text"
    assert results[several].copied == {"one": [f"{root}/many/tool.sh"]}
    assert results[refused].result.reason == "NonZeroResultCode"
    assert "exit code: 9" in (results[refused].result.message or "")


def test_node_source(rundeck: Rundeck, server: Server, tmp_path: Path) -> None:
    """Nodes come parsed; a failed source is an error; the server's environment is the script's; nodes can be kept."""
    results = rundeck.run(
        server,
        found := NodeSource("demo-source", {"token": "keys/aws/secret"}, keep=True),
        failed := NodeSource("demo-source", {"fail": "yes"}),
        on_it := Command("echo $RD_NODE_COUNT", on=["found"]),
        environ={"HOME": str(tmp_path)},
    )
    node = results[found].nodes["found"]
    assert (node.hostname, node.tags) == ("h", ["a", "b"])
    assert node.attributes["count"] == "2"
    assert node.attributes["token"] == "s3cr3t"
    assert (node.attributes["project"], node.attributes["home"]) == ("demo", str(tmp_path))
    assert results[found].stderr == ["looking"]
    assert results[failed].nodes == {}
    assert "result: 3" in (results[failed].error or "")
    assert results[on_it].stdout == ["2"]


def test_steps(ran: Ran) -> None:
    """Node steps run on nodes, workflow steps once. Both get their form's values and return their exit status."""
    results = ran.executions
    assert results["node step"].stdout == ["one: well"]
    assert results["node step"].success
    assert (results["bad node step"].result.result_code, results["bad node step"].result.reason) == (
        5,
        "NonZeroResultCode",
    )
    assert results["step"].stdout == ["nowhere: well"]
    assert results["step"].success
    assert results["bad step"].result.reason == "NonZeroResultCode"
    assert results["bad step"].result.message == "Script result code was: 5"
    assert results["bad step"].nodes == ()


def test_abort(command: RunCommand, tmp_path: Path) -> None:
    """An abort is SIGTERM to the script; the execution comes back once the script has ended."""
    told = tmp_path / "told"
    aborted = command(waiting(str(told)), how=Run(interrupt_on="ready"))
    assert aborted.ended
    assert not aborted.success
    assert aborted.returned_after is not None
    assert aborted.returned_after < 2
    assert told.read_text() == "stopped\n"
    assert (aborted.result.reason, aborted.result.result_code) == ("Interrupted", -1)


def test_abort_of_a_parallel_dispatch_kills_nothing(rundeck: Rundeck, server: Server, tmp_path: Path) -> None:
    """With threads and without keepgoing Rundeck ends the job and leaves the scripts alone."""
    told = tmp_path / "told"
    how = Run(threads=2, interrupt_after=1, linger=1)
    aborted = rundeck.one(server, Command(waiting(str(told)), on=["one", "two"], run=how))
    assert not aborted.success
    assert aborted.ended
    assert aborted.stdout == ["ready", "ready"]
    assert not told.exists()


def test_faults_of_a_scenario(rundeck: Rundeck, server: Server) -> None:
    """A node that is not defined is an error of the harness, not an outcome."""
    with pytest.raises(HarnessError, match="no node named nobody"):
        rundeck.one(server, Command("true", on=["nobody"]))
