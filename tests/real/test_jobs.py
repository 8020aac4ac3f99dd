"""The job definitions in docs/jobs, imported and run by the real rundeck-core, with the emulator as ECS."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from ecs_exec.settings.providers import PROVIDERS
from emulator import Emulator
from real.jobs import EXECUTION, Job
from real.projects import KEYS, for_steps
from real.rundeck import Execution, Found, Lanes, NodeSource, NodeStep, Rundeck, Server, Validate, WorkflowStep

FOLDER = Path(__file__).parents[2] / "docs" / "jobs"
JOBS = {path.stem: Job.load(path) for path in sorted(FOLDER.glob("*.yaml"))}
LOG_FILTERS: Mapping[str, set[str]] = {
    "render-datatype": {"datatype", "striped", "sanitizeHtml"},
    "key-value-data": {"regex", "name", "logData", "invalidKeyPattern"},
}
"""Rundeck's own, RenderDatatypeFilterPlugin and KeyValueDataLogFilterPlugin, with their properties."""
PLAIN = (
    "sh",
    "cat",
    "date",
    "dirname",
    "readlink",
    "sleep",
    "sort",
    "head",
    "id",
    "stty",
    "od",
    "sed",
    "rm",
    "mktemp",
    "tee",
    "cksum",
)
"""Programs of an image that has no JDK."""
LOG = [f"2026-11-24 22:40:{second:02} {'ERROR' if second % 10 == 0 else 'INFO'} line {second}" for second in range(60)]


@pytest.fixture(scope="module")
def place(scratch: Path, rundeck: Rundeck) -> Path:
    """Give a folder for each core: files, programs and logs."""
    folder = scratch / rundeck.core.version
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def emulator(place: Path) -> Iterator[Emulator]:
    """Give a service to look at and to restart, an image without a JDK, and tasks that have stopped."""
    bare = place / "bare"
    bare.mkdir()
    for name in PLAIN:
        (bare / name).symlink_to(str(shutil.which(name)))
    tools = place / "tools"
    tools.mkdir()
    (tools / "php").symlink_to("/bin/echo")
    jdk = {"JAVA_HOME": str(java_home())}
    world = {
        "clusters": {
            "production": {
                "services": {
                    "orders": {
                        "desired": 2,
                        "containers": {
                            "app": {"env": jdk, "log": {"group": "/ecs/orders", "prefix": "orders"}},
                            "log-router": {"essential": False},
                        },
                    },
                    "bare": {"containers": {"app": {"path": [str(bare)]}}},
                    "shut": {"exec_enabled": False, "containers": {"app": {}}},
                    "ledger": {
                        "exec_enabled": False,
                        "containers": {
                            "app": {"path": [str(tools)], "log": {"group": "/ecs/ledger", "prefix": "ledger"}}
                        },
                    },
                    "shop": {"exec_enabled": False, "desired": 2, "containers": {"app": {"image": "shop:1"}}},
                },
                "tasks": [
                    {"family": "alone", "containers": {"app": {}}},
                    {
                        "family": "nightly-report",
                        "launch_type": "EC2",
                        "count": 0,
                        "containers": {
                            "report": {
                                "command": [
                                    "sh",
                                    "-c",
                                    'echo "month ${RD_OPTION_MONTH:-none}"; test "$RD_OPTION_MONTH"',
                                ],
                                "log": {"group": "/ecs/nightly-report", "prefix": "report"},
                            }
                        },
                    },
                    {
                        "family": "nightly",
                        "last_status": "STOPPED",
                        "stop_code": "EssentialContainerExited",
                        "stopped_reason": "Essential container in task exited",
                        "containers": {
                            "job": {"exit_code": 137, "reason": "OutOfMemoryError: Container killed <due> to memory"}
                        },
                    },
                ],
            }
        }
    }
    habits = {"start_delay": 0, "pacing": 0, "fail_pause": 0, "session_limit": 0, "stop_takes": 0.5}
    with Emulator(world=world, agent=habits) as running:
        now = int(time.time() * 1000)
        for number, minutes, text in ((0, 1, "later"), (1, 30, "earlier"), (0, 90, "long ago")):
            running.write_log(running.task("production", "orders", number), "app", [(now - minutes * 60_000, text)])
        yield running


@pytest.fixture(scope="module")
def logs(place: Path) -> Mapping[str, str]:
    """Give log files by their special property, with names that a shell would split."""
    plain, packed, broken = (place / name for name in ("it's $HOME; app.log", "app.log.1.gz", "app.log.2.gz"))
    text = "".join(f"{line}\n" for line in LOG)
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    broken.write_bytes(packed.read_bytes()[:-9])
    crash = place / "crash"
    (crash / "old").mkdir(parents=True)
    (crash / "core.1").write_bytes(os.urandom(30_000) + bytes(200_000))
    (crash / "old" / "log").write_text(text)
    return {"plain": str(plain), "packed": str(packed), "broken": str(broken), "none": str(place / "none.log")}


def java_home() -> Path:
    """Give the folder of the JDK."""
    return Path(os.path.realpath(str(shutil.which("java")))).parents[1]


class Jvm:
    """A JVM that waits, and its output, which is the container's own log."""

    def __init__(self, place: Path, *options: str) -> None:
        """Start it from a folder that has no other program of a JDK."""
        home = java_home()
        own = place / f"jre{len(options)}"
        (own / "bin").mkdir(parents=True)
        (own / "lib").symlink_to(home / "lib")
        (own / "conf").symlink_to(home / "conf")
        shutil.copy2(home / "bin" / "java", own / "bin" / "java")
        self.log = own / "log"
        command = [str(own / "bin" / "java"), "-Xmx16m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *options]
        with self.log.open("wb") as log:
            # The registry of RMI does nothing but wait; 0 is any port.
            self.process = subprocess.Popen([*command, "sun.rmi.registry.RegistryImpl", "0"], stdout=log, stderr=log)

    @property
    def pid(self) -> str:
        """Return its process id."""
        return str(self.process.pid)


@pytest.fixture(scope="module")
def jvms(place: Path) -> Iterator[Mapping[str, Jvm]]:
    """Give an ordinary JVM, and one that SIGQUIT would end. Java is installed, because Rundeck needs it."""
    started = {"plain": Jvm(place, "-Dx"), "deaf": Jvm(place, "-Xrs", "-Dx")}
    yield started
    for jvm in started.values():
        jvm.process.kill()
        jvm.process.wait()


@pytest.fixture(scope="module")
def server(plugin_zip: Path, emulator: Emulator, place: Path) -> Server:
    """Give a project that has region, endpoint and credentials for all steps, as the jobs want it."""
    return Server(
        plugins=[plugin_zip],
        keys=KEYS,
        project_properties=for_steps(emulator)
        | {"project.plugin.WorkflowNodeStep.ecs-fetch-file.fetch-folder": f"{place}/fetched"},
    )


@pytest.fixture(scope="module")
def sources(emulator: Emulator) -> Mapping[str, NodeSource]:
    """Give a node source for each job that runs on nodes, with the job's filter."""
    config = {
        "region": emulator.region,
        "endpoint-url": emulator.endpoint_url,
        "access-key-id": "AKIAIOSFODNN7EXAMPLE",
        "secret-access-key": "keys/project/demo/aws",
        "node-name": "{ECS:Service-Name,ECS:Task-Definition-Family}-{name}-{ECS:Task-ID}",
    }
    on_nodes = {name: job.node_filter for name, job in JOBS.items() if job.node_filter}
    return {name: NodeSource("ecs-node-source", config, True, text) for name, text in on_nodes.items()}


@pytest.fixture(scope="module")
def actions(emulator: Emulator, jvms: Mapping[str, Jvm], logs: Mapping[str, str]) -> dict[str, NodeStep | WorkflowStep]:
    """Name the steps; the first words say in which lane they run."""
    first, second = (f"orders-app-{emulator.task('production', 'orders', number).id}" for number in range(2))
    bare = f"bare-app-{emulator.task('production', 'bare').id}"
    dump, look, tail = JOBS["thread-dump"], JOBS["disk-and-memory"], JOBS["tail-log"]
    restart, redeploy, report = JOBS["restart-task"], JOBS["restart-service"], JOBS["stopped-tasks"]
    heap, threads, files = JOBS["heap-dump"], JOBS["thread-dumps-to-file"], JOBS["fetch-files"]
    migrate = JOBS["migrate-and-deploy"]
    errors = {"pattern": "(ERROR|FATAL) line [1-3]", "lines": "2"}
    jvm, deaf = jvms["plain"].pid, jvms["deaf"].pid
    return {
        "dump": dump.run(on=[first], pid=jvm, dumps="2", interval="1"),
        "dump by signal": dump.run(on=[bare], pid=jvm, dumps="1"),
        "dump deaf": dump.run(on=[bare], pid=deaf, dumps="1"),
        "dump no JVM": dump.run(on=[first], pid=str(os.getpid()), dumps="1"),
        "heap": heap.run(on=[first], pid=jvm),
        "heap no JVM": heap.run(on=[first], pid=str(os.getpid())),
        "heap no JDK": heap.run(on=[bare], pid=jvm),
        "threads": threads.run(on=[first, second], pid=jvm, interval="1"),
        "threads no JDK": threads.run(on=[bare], pid=jvm),
        "files": files.run(on=[first], path=str(Path(logs["plain"]).parent / "*app.log*")),
        "directory": files.run(on=[second], path=str(Path(logs["plain"]).parent / "crash")),
        "no files": files.run(on=[bare], path="/no/such/file"),
        "look": look.run(service="orders", container="app", fail_above="100"),
        "look at full": look.run(service="orders", container="app", fail_above="1"),
        "look nowhere": look.run(service="nothing"),
        "check": JOBS["check-service"].run(service="orders", container="app"),
        "check shut": JOBS["check-service"].run(service="shut"),
        "tail": tail.run(on=[first, second], path=logs["plain"], lines="3"),
        "tail errors": tail.run(on=[first], path=logs["plain"], **errors),
        "tail packed": tail.run(on=[first], path=logs["packed"], **errors),
        "tail broken": tail.run(on=[first], path=logs["broken"]),
        "tail none": tail.run(on=[first], path=logs["none"]),
        "tail faulty": tail.run(on=[first], path=logs["plain"], pattern="("),
        "restart": restart.run(on=[first]),
        "restart because": restart.run(on=[second], reason='ticket 7: "it\'s" $HOME'),
        "report": report.run(),
        "redeploy": redeploy.run(service="shop", tag="2"),
        "scale": JOBS["scale-service"].run(service="shop", count="-1"),
        "migrate": migrate.only(0).run(service="ledger", task_definition="ledger:1"),
        "migrate fails": migrate.only(0).run(service="shop"),
        "migrated": migrate.only(1).run(service="ledger", task_definition="ledger:1"),
        "redeploy nothing": redeploy.run(service="nothing"),
        "report nothing": report.run(service="shut", since="1s"),
        "logs": JOBS["service-logs"].run(service="orders"),
        "nightly": JOBS["nightly-report"].run(month="2026-11"),
        "nightly fails": JOBS["nightly-report"].run(),
    }


LANES = (
    # A signal for a dump is lost while another program attaches itself to the same JVM.
    (("heap", "threads", "dump"), ("files", "directory", "no"), ("look", "tail"), ("check",)),
    (("restart",),),  # these stop the tasks
    (("report",),),  # which are then in the report
    (("redeploy", "scale"), ("migrate", "migrated"), ("logs", "nightly")),
)
"""First words of steps. Those of a line run side by side, and of each lane one after the other."""


def in_lanes(actions: Mapping[str, NodeStep | WorkflowStep]) -> Iterator[Lanes]:
    """Give all steps, in lanes that leave each other alone."""
    first = {name: name.split()[0] for name in actions}
    assert {word for line in LANES for lane in line for word in lane} == set(first.values())
    for line in LANES:
        yield Lanes(*([action for name, action in actions.items() if first[name] in lane] for lane in line))


class Ran(NamedTuple):
    """The results of all steps."""

    nodes: Mapping[str, Found]
    """The nodes of a node source that a job's filter chose, by job."""
    refused: Mapping[str, Mapping[str, str]]
    """Faults of a job's settings, by job."""
    steps: Mapping[str, Execution]


@pytest.fixture(scope="module")
def ran(
    rundeck: Rundeck,
    server: Server,
    sources: Mapping[str, NodeSource],
    actions: Mapping[str, NodeStep | WorkflowStep],
) -> Ran:
    """Let one server find the nodes, look at the jobs' settings, and run the steps, some of them side by side."""
    forms = {(name, number): form(job.only(number)) for name, job in JOBS.items() for number in range(len(job.steps))}
    forms["faulty", 0] = Validate("WorkflowStep", "ecs-stopped-tasks", {"limit": "${option.limit}", "format": "table"})
    results = rundeck.run(server, *sources.values(), *forms.values(), *in_lanes(actions))
    return Ran(
        nodes={name: results[source] for name, source in sources.items()},
        refused={
            name: {key: text for (of, _), check in forms.items() if of == name for key, text in results[check].items()}
            for name, _ in forms
        },
        steps={name: results[action] for name, action in actions.items()},
    )


def form(job: Job) -> Validate:
    """Give the settings of a job's only step for validation."""
    (step,) = job.steps
    return Validate("WorkflowNodeStep" if step["nodeStep"] else "WorkflowStep", step["type"], step["configuration"])


# --- The import


@pytest.mark.parametrize("name", JOBS)
def test_the_form_is_that_of_a_job(name: str) -> None:
    """Rundeck's importer reads each key, and misses none; each option is described."""
    job = JOBS[name]
    assert list(job.faults()) == []
    assert "uuid" not in job.content  # several projects may import one file as their own jobs
    assert all(option["description"] and option["label"] for option in job.options.values())


@pytest.mark.parametrize("name", JOBS)
def test_steps_are_the_plugin_s(name: str) -> None:
    """Each step is one that plugin.yaml has, and each setting one of its own; log filters are Rundeck's own."""
    for step in JOBS[name].steps:
        service = "WorkflowNodeStep" if step["nodeStep"] else "WorkflowStep"
        (provider,) = (each for each in PROVIDERS if (each.service, each.name) == (service, step["type"]))
        assert set(step["configuration"]) <= {item.name for item in provider.properties}
        for plugin in step.get("plugins", {}).get("LogFilter", []):
            assert set(plugin["config"]) <= LOG_FILTERS[plugin["type"]]


@pytest.mark.parametrize("name", JOBS)
def test_the_import_refuses_no_value(name: str, ran: Ran) -> None:
    """Rundeck validates a job's settings by their kinds before it replaces references."""
    assert ran.refused[name] == {}


def test_the_import_would_refuse_references_in_numbers(ran: Ran) -> None:
    """As the page beside the jobs says, and those in choices."""
    assert set(ran.refused["faulty"]) == {"limit", "format"}


@pytest.mark.parametrize("name", JOBS)
def test_what_users_type_is_not_put_into_a_shell_s_text(name: str) -> None:
    """They arrive as variables. An older Rundeck would replace other references with nothing."""
    for step in JOBS[name].steps:
        for setting in ("script", "command", "before"):
            assert "${" not in step["configuration"].get(setting, "")


def test_jobs_choose_nodes_by_filters_that_fit(ran: Ran) -> None:
    """The filters choose nodes in which commands can run; for restarts, tasks that a service starts again."""
    chosen = {}
    for name in ("thread-dump", "heap-dump", "fetch-files", "tail-log", "restart-task"):
        found = ran.nodes[name]
        assert found.error is None
        chosen[name] = sorted({node.split("-")[0] for node in found.chosen})
    assert chosen == {
        "thread-dump": ["alone", "bare", "orders"],
        "heap-dump": ["alone", "bare", "orders"],
        "fetch-files": ["alone", "bare", "orders"],
        "tail-log": ["alone", "bare", "orders"],
        "restart-task": ["bare", "ledger", "orders", "shop", "shut"],
    }


def test_every_job_is_told_of() -> None:
    """In the page beside them."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([\w-]+)\.yaml\)", page)) == set(JOBS)


# --- The runs


def test_thread_dumps(ran: Ran, jvms: Mapping[str, Jvm]) -> None:
    """A JVM makes the requested number of dumps, without a JDK by a signal, but never by one that would end the JVM."""
    dumped, signalled = ran.steps["dump"], ran.steps["dump by signal"]
    assert dumped.success, dumped
    heads = [line for line in dumped.stdout if line.startswith("===")]
    assert [head.split(",")[:2] for head in heads] == [
        [f"=== JVM {jvms['plain'].pid}", f" dump {number} of 2"] for number in (1, 2)
    ]
    assert len([line for line in dumped.stdout if line.startswith('"main"')]) == 2
    assert len([line for line in dumped.stdout if "Locked ownable synchronizers" in line]) > 2
    assert signalled.success, signalled
    assert signalled.stdout[-1].endswith("after SIGQUIT the dump is in the container's own log")
    assert "Full thread dump" in jvms["plain"].log.read_text()
    for name, words in (("dump deaf", "does not catch SIGQUIT"), ("dump no JVM", "is not a running JVM")):
        assert ran.steps[name].result.result_code == 1
        assert words in ran.steps[name].stderr[-1]
    assert [jvm.process.poll() for jvm in jvms.values()] == [None, None]


def test_dumps_and_files_on_the_server(ran: Ran, place: Path, logs: Mapping[str, str], jvms: Mapping[str, Jvm]) -> None:
    """A heap dump, three thread dumps, logs and a directory arrive; the heap dump leaves the container."""
    fetched = place / "fetched"
    for name in ("heap", "threads", "files", "directory"):
        assert ran.steps[name].success, ran.steps[name]
    (heap,) = (fetched / "heap-dumps" / EXECUTION).iterdir()
    assert heap.read_bytes().startswith(b"JAVA PROFILE 1.0")
    assert not list(Path("/tmp").glob(f"rundeck-heap-{EXECUTION}*"))  # noqa: S108 - in the container
    dumps = sorted((fetched / "thread-dumps" / EXECUTION).iterdir())
    assert len(dumps) == 2
    for path in dumps:
        heads = [line.split(",")[:2] for line in path.read_text().splitlines() if line.startswith("===")]
        assert heads == [[f"=== JVM {jvms['plain'].pid}", f" dump {number} of 3"] for number in (1, 2, 3)]
        assert path.read_text().count('"main"') == 3
    source = Path(logs["plain"]).parent
    first, second = (fetched / "fetched" / EXECUTION).iterdir()
    files, crash = (first, second) if (second / "crash").exists() else (second, first)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == {
        path.name: path.read_bytes() for path in source.glob("*app.log*")
    }
    for name in ("core.1", "old/log"):
        assert (crash / "crash" / name).read_bytes() == (source / "crash" / name).read_bytes()
    for name, words in (
        ("heap no JVM", "is not a running JVM"),
        ("heap no JDK", "no jcmd"),
        ("threads no JDK", "neither jcmd nor jstack worked"),
        ("no files", "[fetch-source-missing]"),
    ):
        assert not ran.steps[name].success
        assert words in "\n".join(ran.steps[name].stderr), ran.steps[name]


def test_disk_and_memory(ran: Ran, emulator: Emulator) -> None:
    """It runs in every task. A file system over the limit is named, and makes the job fail."""
    looked, full = ran.steps["look"], ran.steps["look at full"]
    tasks = sorted(emulator.task("production", "orders", number).id[:8] for number in range(2))
    assert looked.success, looked
    for task in tasks:
        lines = [line.removeprefix(f"{task}: ") for line in looked.stdout if line.startswith(f"{task}: ")]
        parts = [line for line in lines if line.startswith("---")]
        assert parts == ["--- disk", "--- inodes", "--- memory", "--- largest processes"]
        assert any(re.fullmatch(r"\S+ .* \d+% /", line) for line in lines)
        (memory,) = (line for line in lines if line.endswith(" %"))
        used, most, share = map(int, re.findall(r"\d+", memory))
        assert 0 < used <= most
        assert abs(share - 100 * used / most) < 2
        assert len([line for line in lines if re.fullmatch(r"\d+ MiB \S.*", line)]) >= 3
    assert not full.success
    assert "result code was: 1" in str(full.result.message)
    for task in tasks:
        assert [line for line in full.stderr if re.fullmatch(rf"{task}: / is \d+ % full", line)]
    assert "nothing" in ran.steps["look nowhere"].stderr[-1]


def test_tails(ran: Ran, logs: Mapping[str, str]) -> None:
    """It shows the last lines or the matching ones, of each chosen container, with any file name."""
    both = [event for event in ran.steps["tail"].events if event.source == "stdout"]
    assert len({event.node for event in both}) == 2
    for node in {event.node for event in both}:
        assert [event.text for event in both if event.node == node] == LOG[-3:]
    errors = [line for line in LOG if re.search("ERROR line [1-3]", line)][-2:]
    assert ran.steps["tail errors"].stdout == errors
    assert ran.steps["tail packed"].stdout == errors
    assert ran.steps["tail faulty"].result.result_code == 2
    broken, none = ran.steps["tail broken"], ran.steps["tail none"]
    assert (broken.result.result_code, broken.stdout) == (1, [])
    assert none.result.result_code == 1
    assert none.stderr[0].startswith(f"there is no file {logs['none']}")
    assert any(line.endswith("app.log.1.gz") for line in none.stderr)


def test_logs_of_a_service(ran: Ran, emulator: Emulator) -> None:
    """Of the last hour, each line with its time and its task, also of tasks that have stopped."""
    tasks = [emulator.task("production", "orders", number).id[:8] for number in range(2)]
    assert ran.steps["logs"].success, ran.steps["logs"]
    lines = [line.split(" ", 1) for line in ran.steps["logs"].stdout if not line.startswith("the output of")]
    assert [text for _, text in lines] == [f"{tasks[1]}: earlier", f"{tasks[0]}: later"]
    assert lines[0][0] < lines[1][0]


def test_nightly_reports(ran: Ran) -> None:
    """The task's output is in the log of the job, whose end is the task's."""
    good, bad = ran.steps["nightly"], ran.steps["nightly fails"]
    assert good.success, good
    assert "month 2026-11" in good.stdout
    assert any(line.startswith("RUNDECK:DATA:ecs-task-arn = ") for line in good.stdout)
    assert (bad.success, "month none" in bad.stdout) == (False, True)
    assert "result code was: 1" in str(bad.result.message)


def test_restarts(ran: Ran, emulator: Emulator) -> None:
    """Each task has stopped when the job ends, and ECS has the reason."""
    because = ['ticket 7: "it\'s" $HOME', f"Stopped by Rundeck: job ecs/Restart a task, execution {EXECUTION}"]
    for name, reason in zip(("restart because", "restart"), because, strict=True):
        assert ran.steps[name].success
        assert "has stopped: UserInitiated" in ran.steps[name].stdout[-1]
        assert reason in ran.steps[name].stdout[0]
    assert {task.last_status for task in emulator.tasks() if task.group.service == "orders"} == {"STOPPED"}


def test_redeployments_and_scaling(ran: Ran, emulator: Emulator) -> None:
    """The service runs the new image, and so many tasks, when the jobs end."""
    assert ran.steps["redeploy"].success, ran.steps["redeploy"]
    tasks = [task for task in emulator.tasks() if task.group.service == "shop" and task.last_status != "STOPPED"]
    assert [task.group.containers[0].image for task in tasks] == ["shop:2"]  # one less, after the job Scale a service
    assert ran.steps["scale"].success, ran.steps["scale"]
    assert ran.steps["scale"].stdout[0] == "scaling service shop in cluster production: 2 -> 1 task"
    assert not ran.steps["redeploy nothing"].success
    assert "there is no service nothing" in ran.steps["redeploy nothing"].stderr[-1]


def test_migrations(ran: Ran) -> None:
    """The first step ends with the migration's exit code, so that the job goes on only after a success."""
    assert ran.steps["migrate"].success, ran.steps["migrate"]
    assert "artisan migrate --force" in ran.steps["migrate"].stdout
    assert not ran.steps["migrate fails"].success  # its image has no such program
    assert ran.steps["migrated"].success, ran.steps["migrated"]
    assert JOBS["migrate-and-deploy"].content["sequence"]["keepgoing"] is False


def test_the_report_of_stopped_tasks(ran: Ran, emulator: Emulator) -> None:
    """The job's log filters find one table, and the newest task's values."""
    (step,) = JOBS["stopped-tasks"].steps
    table, pattern = (plugin["config"] for plugin in step["plugins"]["LogFilter"])
    assert table == {}
    lines = ran.steps["report"].stdout
    begin, end = lines.index("#BEGIN:RUNDECK:DATATYPE:text/html"), lines.index("#END:RUNDECK:DATATYPE")
    html = "".join(lines[begin + 1 : end])
    assert html.count("<tr>") == 1 + 3
    assert emulator.task("production", "nightly").id in html
    assert "Container killed &lt;due&gt; to memory" in html
    data = {found[1]: found[2] for line in lines[end:] if (found := re.fullmatch(pattern["regex"], line))}
    assert data["ecs-stopped-count"] == "3"
    assert "ticket 7" in data["ecs-stopped-reason"]
    assert ran.steps["report nothing"].success
    assert "no stopped task of service shut" in " ".join(ran.steps["report nothing"].stdout)


def test_checking_a_service(ran: Ran) -> None:
    """It succeeds if a command ran in every task; else the task's line names the cause."""
    ready, shut = (ran.steps[name] for name in ("check", "check shut"))
    assert ready.success, ready
    tasks = [line for line in ready.stdout if line.split()[1] == "task" and "true ran" in line]
    assert len(tasks) == 2
    assert ready.stdout[-1] == "all 2 running tasks of service orders in cluster production are ready"
    assert not shut.success
    assert shut.stdout[-2].startswith("failed ")
    assert shut.stdout[-2].endswith("[exec-not-enabled]")
