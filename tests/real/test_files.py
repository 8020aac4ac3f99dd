"""Script steps, Copy File steps and the plugin's own script step in the real rundeck-core."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecs_exec.settings import ACCESS, COPY, SCRIPT_STEP
from ecs_exec.settings.properties import SHARED_SECRETS
from emulator import Emulator
from real.rundeck import Copy, Describe, Key, NodeStep, Run, Rundeck, Script, Server

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PROVIDERS = {"NodeExecutor": "ecs-node-executor", "FileCopier": "ecs-file-copier"}


@pytest.fixture(scope="module")
def emulator(scratch: Path) -> Iterator[Emulator]:
    """Give a world whose agents have no delays."""
    world = {"clusters": {"demo": {"services": {"web": {"containers": {"app": {"env": {"TMPDIR": str(scratch)}}}}}}}}
    with Emulator(world, agent={"start_delay": 0, "pacing": 0, "fail_pause": 0, "session_limit": 0}) as running:
        yield running


@pytest.fixture(scope="module")
def settings(emulator: Emulator) -> dict[str, str]:
    """Give the settings that each provider needs to reach AWS."""
    return {
        "region": emulator.region,
        "endpoint-url": emulator.endpoint_url,
        "access-key-id": ACCESS_KEY,
        "secret-access-key": "keys/project/demo/aws",
    }


@pytest.fixture(scope="module")
def server(plugin_zip: Path, emulator: Emulator, settings: dict[str, str], scratch: Path) -> Server:
    """Give a project whose nodes name the plugin's executor and copier themselves."""
    attributes = {
        "node-executor": "ecs-node-executor",
        "file-copier": "ecs-file-copier",
        "hostname": "web",
        "file-copy-destination-dir": str(scratch),
        **emulator.node("demo", "web"),
    }
    return Server(
        plugins=[plugin_zip],
        nodes={
            "web": attributes,
            "games": attributes | {"ecs-user": "games", "ecs-shell": "/bin/bash"},
            "none": attributes | {"ecs-shell": "none"},
        },
        keys={"keys/project/demo/aws": Key(SECRET_KEY, type="password")},
        project_properties={
            f"project.plugin.{service}.{provider}.{name}": value
            for service, provider in PROVIDERS.items()
            for name, value in settings.items()
        }
        | {"project.plugin.WorkflowNodeStep.ecs-run-script.endpoint-url": settings["endpoint-url"]},
    )


def test_the_script_path_of_rundeck(rundeck: Rundeck, server: Server, tmp_path: Path, scratch: Path) -> None:
    """Copy, chmod, run, rm: with arguments, a file, an invocation string, an extension, as another user."""
    file = tmp_path / "of the server.py"
    file.write_text("#!/usr/bin/env python3\nimport sys\nprint(sys.argv[0].rpartition('.')[2], sys.argv[1:])\n")
    arguments = "plain 'two  words' ${option.word}"
    option = Run(context={"option": {"word": "it's $x"}})
    words = '#!/bin/bash\nfor word; do echo "[$word]"; done\necho "$0" >&2\nexit 4\n'
    results = rundeck.run(
        server,
        inline := Script(["web"], script="echo inline @node.name@; echo err >&2\n"),
        argued := Script(["web"], script=words, arguments=arguments, run=option),
        from_file := Script(["web"], file=file, arguments="a 'b c'"),
        invoked := Script(["web"], script=words, invocation="env -i ${scriptfile} -f", arguments="a 'b c'"),
        quoted := Script(["web"], script="echo $0:$1\n", invocation="bash -c", arguments="x", quoted=True),
        extended := Script(["web"], script="print('python')\n", invocation="python3", extension="py"),
        other := Script(["games"], script="id -un\n"),
        refused := Script(["none"], script="echo never\n"),
    )
    assert (results[inline].stdout, results[inline].stderr) == (["inline web"], ["err"])
    assert results[inline].success
    assert results[argued].stdout == ["[plain]", "[two  words]", "[it's $x]"]
    assert results[argued].result.result_code == 4
    assert results[from_file].stdout == ["sh ['a', 'b c']"]
    assert results[invoked].stdout == ["[-f]", "[a]", "[b c]"]
    (path,) = results[invoked].stderr
    found = re.fullmatch(r"(.*/)(\d+)(-.*)", path)  # Rundeck counts the scripts since its start
    assert found, path
    assert results[quoted].stdout == [f"{found[1]}{int(found[2]) + 1}{found[3]}:x"]
    assert results[extended].stdout == ["python"]
    assert results[other].stdout == ["games"]
    assert results[refused].stderr == [
        "ecs-exec: copying a file needs a shell in the container, but shell (or ecs-shell) is none [setting-invalid]"
    ]
    assert [results[each].success for each in (argued, from_file, invoked, refused)] == [False, True, False, False]
    assert list(scratch.iterdir()) == []


def test_copies(rundeck: Rundeck, server: Server, tmp_path: Path) -> None:
    """Files of any content, to names with blanks and umlauts, and below a folder."""
    data = bytes(range(256)) * 40
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "one.bin").write_bytes(data)
    (source / "sub" / "two").write_bytes(b"")
    goal = tmp_path / "goal"
    results = rundeck.run(
        server,
        one := Copy(["web"], destination=f"{goal}/a b/größe.bin", file=source / "one.bin"),
        slash := Copy(["web"], destination=f"{goal}/folder/", file=source / "one.bin"),
        text := Copy(["web"], destination=f"{goal}/text", content="line\n"),
        many := Copy(
            ["web"], destination=f"{goal}/tree/", folder=source, files=[source / "one.bin", source / "sub" / "two"]
        ),
        failed := Copy(["web"], destination="/proc/no/such", file=source / "one.bin"),
    )
    for execution, names in ((one, ["a b/größe.bin"]), (slash, ["folder/one.bin"]), (text, ["text"])):
        assert results[execution].success
        assert results[execution].copied == {"web": [f"{goal}/{name}" for name in names]}
    assert results[many].copied == {"web": [f"{goal}/tree/one.bin", f"{goal}/tree/sub/two"]}
    assert (goal / "a b" / "größe.bin").read_bytes() == (goal / "folder" / "one.bin").read_bytes() == data
    assert (goal / "tree" / "one.bin").read_bytes() == data
    assert (goal / "tree" / "sub" / "two").read_bytes() == b""
    assert (goal / "text").read_text() == "line\n"
    assert not results[failed].success
    assert "cannot be created" in results[failed].stderr[0]


def test_the_script_step(
    rundeck: Rundeck, server: Server, emulator: Emulator, settings: dict[str, str], scratch: Path
) -> None:
    """In one session, with options and the node's attributes in its environment."""
    context = {"option": {"word": "one word", "password": "hush"}, "secureOption": {"password": "hush"}}
    script = (
        '#!/bin/bash\necho "$1|$RD_OPTION_WORD|$RD_NODE_NAME|$RD_JOB_EXECID|$RD_OPTION_PASSWORD"\n'
        'file=a; echo "$file ${option.word}"; echo err >&2; exit 3\n'
    )
    config = {**settings, "script": script, "arguments": "'a  b'"}
    references = {**settings, "script": 'name=x; echo "[${option.unset}][${name}][$name][${option.word}]"\n'}
    results = rundeck.run(
        server,
        plain := NodeStep("ecs-run-script", ["web"], config, run=Run(context={**context, "job": {"execid": "12"}})),
        secure := NodeStep(
            "ecs-run-script", ["web"], {**config, "secure-options": "password"}, run=Run(context=context)
        ),
        endless := NodeStep(
            "ecs-run-script",
            ["web"],
            {**config, "script": "echo begun; sleep 60"},
            run=Run(interrupt_on="begun", patience=20, linger=5),
        ),
        unset := NodeStep("ecs-run-script", ["web"], references, run=Run(context=context)),
        described := Describe(),
    )
    # Before 6.2 Rundeck empties every reference that it does not know, as docs/scripts.md says.
    assert results[unset].stdout == ["[][][x][one word]"]
    assert results[plain].stdout == ["a  b|one word|web|12|", "a one word"], results[plain]
    assert (results[plain].stderr, results[plain].result.result_code) == (["err"], 3)
    assert results[secure].stdout[0].endswith("|hush")
    assert results[endless].stdout == ["begun"]
    assert emulator.processes() == []
    assert list(scratch.iterdir()) == []
    listed = results[described].provider("WorkflowNodeStep", "ecs-run-script").properties
    assert set(listed) == {item.name for item in SCRIPT_STEP + ACCESS}
    copier = results[described].provider("FileCopier", "ecs-file-copier").properties
    assert set(copier) == {item.name for item in (*ACCESS, *COPY, *SHARED_SECRETS)}
