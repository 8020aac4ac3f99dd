"""The step Fetch File in the real rundeck-core, and what a job's author may try to write elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecs_exec.settings.step_properties import FETCH_FILE
from emulator import Emulator
from real.projects import KEYS, for_steps
from real.rundeck import Describe, Execution, NodeStep, Run, Rundeck, Server
from real.rundeck_actions import Action

STEP = "ecs-fetch-file"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Give a world whose agents have no delays."""
    world: dict[str, Any] = {"clusters": {"demo": {"services": {"web": {"containers": {"app": {}}}}}}}
    with Emulator(world, agent={"start_delay": 0, "pacing": 0, "fail_pause": 0, "session_limit": 0}) as running:
        yield running


def server(plugin_zip: Path, emulator: Emulator, **more: str) -> Server:
    """Give a project with all that the step needs, and further settings of its administrator."""
    prefix = f"project.plugin.WorkflowNodeStep.{STEP}."
    settings = {prefix + name.replace("_", "-"): value for name, value in more.items()}
    node = {"hostname": "web", **emulator.node("demo", "web")}
    return Server(
        plugins=[plugin_zip],
        nodes={"web": node, "other": node, "evil": node | {"fetch-folder": "/", "config-fetch-folder": "/"}},
        keys=KEYS,
        project_properties=for_steps(emulator) | settings,
    )


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """Write files of the container."""
    folder = tmp_path / "container"
    (folder / "logs" / "old").mkdir(parents=True)
    (folder / "logs" / "app.log").write_text("a line\n")
    (folder / "logs" / "old" / "größe.bin").write_bytes(bytes(range(256)) * 40)
    return folder


def test_the_step_fetches(
    rundeck: Rundeck, plugin_zip: Path, emulator: Emulator, container: Path, tmp_path: Path
) -> None:
    """Into Rundeck's own folder, with the job's references in the destination; an abort leaves nothing."""
    base = tmp_path / "base"
    job = Run(context={"job": {"execid": "77"}, "option": {"name": "it's $x"}})
    source = f"{container}/logs/app.log"
    results = rundeck.run(
        server(plugin_zip, emulator),
        plain := NodeStep(STEP, ["web", "other"], {"source": source}, run=job),
        named := NodeStep(STEP, ["web"], {"source": source, "destination": "${job.execid}/${node.name}.log"}, run=job),
        tree := NodeStep(STEP, ["web"], {"source": f"{container}/logs", "destination": "tree"}, run=job),
        command := NodeStep(
            STEP,
            ["web"],
            {"command": 'name=$RD_OPTION_NAME; echo "$name"', "env": "RD_OPTION_NAME", "destination": "out"},
            run=job,
        ),
        failed := NodeStep(STEP, ["web"], {"command": "exit 9", "destination": "failed"}, run=job),
        endless := NodeStep(
            STEP,
            ["web"],
            {"command": "echo begun >&2; sleep 60", "destination": "endless"},
            run=Run(interrupt_on="begun", patience=20, linger=5),
        ),
        described := Describe(),
        base=base,
    )
    folder = base / "var" / "ecs-exec" / "demo"
    assert results[plain].success, results[plain]
    assert sorted(line.split(": ")[0] for line in results[plain].stdout) == [
        f"{folder}/77/{node}/app.log" for node in ("other", "web")
    ]
    assert results[named].success
    assert (folder / "77" / "web.log").read_text() == "a line\n"
    assert results[tree].success
    assert (folder / "tree" / "old" / "größe.bin").read_bytes() == bytes(range(256)) * 40
    assert results[command].success, results[command]
    assert (folder / "out").read_text() == "it's $x\n"
    assert results[failed].result.result_code == 9
    assert not results[endless].success
    assert emulator.processes() == []
    assert sorted(path.name for path in folder.iterdir()) == ["77", "out", "tree"]
    listed = results[described].provider("WorkflowNodeStep", STEP).properties
    assert set(listed) == {item.name for item in FETCH_FILE}


def test_no_job_writes_elsewhere(
    rundeck: Rundeck, plugin_zip: Path, emulator: Emulator, container: Path, tmp_path: Path
) -> None:
    """No field, no attribute of a node and no exported variable moves the folder, in any spelling."""
    base, evil = tmp_path / "base", tmp_path / "evil"
    evil.mkdir()
    config = {"source": f"{container}/logs/app.log", "destination": "x"}
    moved, named = {"base": str(evil)}, {"project": "../evil"}
    plugin = dict.fromkeys(("base", "vardir", "file", "scriptfile"), str(evil))
    exports: list[dict[str, dict[str, str]]] = [
        {"config": {"fetch_folder": str(evil)}},
        {"config-fetch": {"folder": str(evil)}},
        {"CONFIG": {"fetch-folder": str(evil)}},
        {"rundeck": moved},
        {"rundeck": named},
        {"rundeck": {**moved, **named}},
        {"rundeck": {**moved, "project": "demo"}, "plugin": plugin},
        {"RUNDECK": {**moved, "project": "demo"}},
        {"RUNDECK": named, "Rundeck": moved},
    ]
    actions: dict[str, Action[Execution]] = {
        "field": NodeStep(STEP, ["web"], {**config, "destination": "field", "fetch-folder": str(evil)}),
        "attribute": NodeStep(STEP, ["evil"], {**config, "destination": "attribute"}),
        "destination": NodeStep(STEP, ["web"], {**config, "destination": f"{evil}/x"}),
        "upwards": NodeStep(STEP, ["web"], {**config, "destination": "../../../../x"}),
        "option": NodeStep(
            STEP, ["web"], {**config, "destination": "${option.x}"}, run=Run(context={"option": {"x": "a/../../x"}})
        ),
    }
    for number, context in enumerate(exports):
        step = NodeStep(STEP, ["web"], {**config, "destination": f"{number}"}, run=Run(context=context))
        actions[str(context)] = step
    results = rundeck.run(server(plugin_zip, emulator), *actions.values(), base=base)
    assert list(evil.iterdir()) == []
    there = base / "var" / "ecs-exec" / "demo"
    for what, action in actions.items():
        text = "\n".join(event.text for event in results[action].events)
        if results[action].success:
            assert text.startswith(f"{there}/"), (what, text)
        else:
            reasons = ("only administrators may set", "destination is", "set fetch-folder")
            assert any(reason in text for reason in reasons), (what, text)
    assert results[actions["field"]].success
    assert not results[actions["upwards"]].success
    assert not (tmp_path / "x").exists()
    assert sorted(path.name for path in there.parent.iterdir()) == ["demo"]
