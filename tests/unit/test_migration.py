"""The converter of jobs and properties of Rundeck Enterprise: what it changes, keeps, refuses and tells."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from documents import ROOT
from migration import lines
from migration.lines import Entry
from migration.program import main

SAMPLES = sorted((ROOT / "tests" / "samples" / "enterprise").iterdir())
SECRET = "wJalrXUtnFEMIhush"


class Converted:
    """The outcome of a run on one file."""

    def __init__(self, folder: Path, name: str, text: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        """Write the file and convert it."""
        source = folder / name
        source.write_text(text, encoding="utf-8")
        self.status = main([str(source), *arguments])
        self.target = folder / f"{source.stem}.ecs-exec{source.suffix}"
        captured = capsys.readouterr()
        self.report, self.errors = captured.out, captured.err
        self.text = self.target.read_text(encoding="utf-8") if self.target.exists() else ""
        assert source.read_text(encoding="utf-8") == text


Convert = Callable[..., Converted]


@pytest.fixture
def convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Convert:
    """Give a function that converts a text."""
    return lambda name, text, *arguments: Converted(tmp_path, name, text, capsys, *arguments)


def job(*steps: str) -> str:
    """Give a job in YAML with these steps."""
    indented = "".join(f"    - {step}\n" for step in steps)
    return f"- name: Job\n  sequence:\n    commands:\n{indented}"


def xml(entries: str) -> str:
    """Give a job in XML with one step."""
    step = f"<step-plugin type='aws-ecs-run-command'><configuration>{entries}</configuration></step-plugin>"
    return f"<joblist><job><name>n</name><sequence><command>{step}</command></sequence></job></joblist>"


SOURCE = "resources.source.1.type=aws-ecs\nresources.source.1.config.region=us-east-1\n"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_samples(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No name of Enterprise's providers is left. A second run finds nothing to do, except credentials to set."""
    copy = tmp_path / sample.name
    copy.write_bytes(sample.read_bytes())
    assert main([str(copy)]) in (0, 1)
    target = tmp_path / f"{sample.stem}.ecs-exec{sample.suffix}"
    text = target.read_text(encoding="utf-8")
    report = capsys.readouterr().out
    assert "left  " not in report
    for old in ("aws-ecs", "ECSFargate", "ECSNode"):
        assert old not in text
    assert main([str(target), "--output", str(tmp_path / "again")]) == 0
    if sample.suffix != ".properties":
        assert "nothing to convert" in capsys.readouterr().out


def test_only_names_change_in_yaml() -> None:
    """Texts, quotes and the order of keys stay as they were."""
    sample = next(path for path in SAMPLES if path.suffix == ".yaml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(sample)
    from migration import formats

    found = formats.yaml_jobs(sample.encode())
    assert found.written().decode() == sample
    for step in found.steps:
        step.retype("x")
    assert yaml.safe_load(found.written())[0].keys() == jobs[0].keys()


def test_long_texts_keep_their_content(convert: Convert) -> None:
    """Folded lines, escapes and blocks, as Rundeck exports them."""
    folded = "'one\n        two\n\n        three'"
    escaped = '"a\\n\\\n          \\ b: \\"c\\"\\u00e9\\t"'
    block = "|-\n          x\n            y\n\n          z"
    steps = [
        f"configuration:\n        command: {text}\n      type: aws-ecs-run-command" for text in (folded, escaped, block)
    ]
    done = convert("jobs.yaml", job(*steps))
    assert yaml.safe_load(done.text) == yaml.safe_load(job(*steps).replace("aws-ecs-", "ecs-"))
    commands = [step["configuration"]["command"] for step in yaml.safe_load(done.text)[0]["sequence"]["commands"]]
    assert commands == ["one two\nthree", 'a\n b: "c"\u00e9\t', "x\n  y\n\nz"]


def test_scalars_keep_their_form(convert: Convert) -> None:
    """What looks like a number, a time or a date is not read as one."""
    text = "- name: 0012\n  x: 12:30:45\n  date: 2026-01-01\n  on: 'true'\n  sequence:\n    commands:\n"
    text += "    - type: aws-ecs-run-command\n      configuration:\n        'clusterName': \"shop\"\n"
    done = convert("jobs.yaml", text)
    assert done.text == text.replace("aws-ecs-run-command", "ecs-run-command").replace("'clusterName'", "cluster")
    assert done.status == 0


def test_what_is_unknown_is_kept_and_told(convert: Convert) -> None:
    """Settings, steps and log filters that have no counterpart."""
    done = convert(
        "jobs.yml",
        job(
            "{type: aws-ecs-run-command, configuration: {cluster: c, clusterName: d, colour: red, list: [1]}}",
            "{type: aws-ecs-scale, configuration: {a: b}}",
            "{type: aws-ecs-stopped-tasks, plugins: {LogFilter: [{type: progress-badges}]}}",
            "{type: aws-lambda, configuration: {cluster: c}}",
            "{exec: 'aws-ecs'}",
        ),
    )
    steps = yaml.safe_load(done.text)[0]["sequence"]["commands"]
    assert steps[0]["configuration"] == {"cluster": "c", "clusterName": "d", "colour": "red", "list": [1]}
    assert [step.get("type") for step in steps] == [
        "ecs-run-command",
        "aws-ecs-scale",
        "ecs-stopped-tasks",
        "aws-lambda",
        None,
    ]
    assert done.status == 1
    for words in (
        "job Job, step 1: setting colour has no counterpart and was kept",
        "step 1: setting clusterName was kept, because cluster is set already",
        "step 1: setting list has no counterpart",
        "step 2: aws-ecs-scale is not known; if it has a counterpart, name it: --provider aws-ecs-scale=NAME",
        "step 3: log filter progress-badges reads a text",
    ):
        assert words in done.report


@pytest.mark.parametrize("name", ["a.yaml", "a.json", "a.xml"])
def test_other_plugins_of_enterprise(convert: Convert, name: str) -> None:
    """A step is told of. An option whose values come from a plugin is left to the user."""
    step = {"type": "aws-lambda", "configuration": {}}
    options = [{"name": "region", "optionValuesPluginType": "aws-regions"}, {"name": "other"}]
    jobs = [{"name": "n", "options": options, "sequence": {"commands": [step, {"type": "aws-ecs-run-command"}]}}]
    text = yaml.safe_dump(jobs) if name == "a.yaml" else json.dumps(jobs)
    if name == "a.xml":
        more = "<context><options><option name='region' optionValuesPluginType='aws-regions'/></options></context>"
        first = "<command><step-plugin type='aws-lambda'/></command>"
        text = xml("").replace("<sequence>", f"{more}<sequence>{first}")
    done = convert(name, text)
    assert "note       job n, step 1: aws-lambda is of another plugin" in done.report
    assert "left       job n, option region: its values come from aws-regions" in done.report
    assert (done.status, "option other" in done.report) == (1, False)


def test_a_provider_that_the_user_names(convert: Convert) -> None:
    """It is taken without a question. A provider that does not exist is refused."""
    done = convert(
        "jobs.yaml", job("{type: our-stop, configuration: {taskId: t}}"), "--provider", "our-stop=ecs-stop-task"
    )
    assert (done.status, yaml.safe_load(done.text)[0]["sequence"]["commands"][0]["configuration"]) == (0, {"task": "t"})
    with pytest.raises(SystemExit):
        main(["x.yaml", "--provider", "a=b"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", job(f"{{type: aws-ecs-run-command, configuration: {{secretKey: {SECRET}, x: {SECRET}}}}}")),
        (
            "a.xml",
            xml(f"<entry key='secretKey' value='{SECRET}'/>"),
        ),
        (
            "a.json",
            json.dumps(
                {
                    "name": "n",
                    "sequence": {"commands": [{"type": "aws-ecs-run-command", "configuration": {"secretKey": SECRET}}]},
                }
            ),
        ),
        ("a.properties", f"project.aws.secret_key={SECRET}\nproject.aws.region=us-east-1\n"),
        (
            "b.properties",
            SOURCE + f"resources.source.1.config.secretKey={SECRET}\n",
        ),
    ],
)
def test_secrets_are_not_shown(convert: Convert, name: str, text: str) -> None:
    """A secret that is no path is not passed on as one."""
    done = convert(name, text)
    assert SECRET not in done.report + done.errors
    assert "Key Storage path" in done.report
    assert "secret-access-key=" not in done.text.replace(f"config.secretKey={SECRET}", "")
    assert done.status == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", f"- name: {SECRET}\n  - : :\n"),
        ("a.yaml", "- " + "[" * 2000),
        ("a.yaml", "- {a: !!python/object/apply:os.system [x]"),
        ("a.json", f'[{{"name": "{SECRET}"'),
        ("a.json", "[" * 100_000),
        ("a.json", '[{"sequence": {"commands": [' + '{"a":' * 200 + "1" + "}" * 200 + "]}}]"),
        ("a.xml", f"<joblist><job>{SECRET}</joblist>"),
        ("a.xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><joblist>&a;</joblist>"),
        ("a.xml", "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><joblist/>"),
        ("a.xml", "<a>" * 5000),
        ("a.xml", ""),
        ("a.txt", ""),
    ],
)
def test_files_that_are_refused(convert: Convert, name: str, text: str) -> None:
    """One line says why, and quotes nothing of the file. No file is written."""
    done = convert(name, text)
    assert done.status == 2
    assert len(done.errors.splitlines()) == 1
    assert SECRET not in done.errors
    assert not done.target.exists()


def test_aliases_do_not_multiply(convert: Convert) -> None:
    """Nine lines of aliases stand for a billion steps; each is visited once."""
    bomb = "- name: n\n  a: &a0 {type: aws-ecs-run-command}\n"
    bomb += "".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    done = convert("jobs.yaml", f"{bomb}  sequence: {{commands: *a9}}\n")
    assert done.status == 0
    assert done.report.count("converted") == 1


def test_nested_steps(convert: Convert) -> None:
    """Error handlers, and steps within a step, in each format."""
    handler = "{type: a, errorhandler: {type: aws-ecs-run-command}, then: [{type: aws-ecs-stopped-tasks}]}"
    done = convert("jobs.yaml", job(handler))
    assert "step 1, error handler: aws-ecs-run-command is now ecs-run-command" in done.report
    assert "step 1: aws-ecs-stopped-tasks is now ecs-stopped-tasks" in done.report
    assert json.loads(convert("jobs.json", json.dumps(yaml.safe_load(job(handler)))).text) == yaml.safe_load(done.text)
    xml = (
        "<joblist><!-- c --><job><name>n</name><group>g</group><sequence><command><errorhandler>"
        "<node-step-plugin type='aws-ecs-stop'/></errorhandler><step-plugin type='aws-ecs-stopped-tasks'/>"
        "<plugins><LogFilter type='f'/></plugins></command></sequence></job></joblist>"
    )
    done = convert("jobs.xml", xml)
    assert "job g/n, step 1, error handler: aws-ecs-stop is now ecs-stop-task" in done.report
    assert "log filter f" in done.report
    assert [each.get("type") for each in ET.fromstring(done.text).iter() if each.get("type")] == [  # noqa: S314 - ours
        "ecs-stop-task",
        "ecs-stopped-tasks",
        "f",
    ]
    assert "<!-- c -->" in done.text


def test_values_of_xml_survive(convert: Convert) -> None:
    """Line ends, quotes and brackets of a command."""
    command = "a 'b' \"c\" <d> & e\n\tf"
    entry = "a &#39;b&#39; &quot;c&quot; &lt;d> &amp; e&#10;&#9;f"
    done = convert(
        "jobs.xml",
        "<?xml version='1.0'?>\n" + xml(f"<entry key='command' value='{entry}'/>"),
    )
    (found,) = ET.fromstring(done.text).iter("entry")  # noqa: S314 - ours
    assert found.get("value") == command
    assert done.text.startswith("<?xml")


PROPERTIES = [
    ("a=b\n", [("a", "b")]),
    ("a : b\n", [("a", "b")]),
    ("a b = c\n", [("a", "b = c")]),
    ("  a=b\\\n   c\\\\\nd\n", [("a", "bc\\"), ("d", "")]),
    ("a\\=\\:\\ b=\\u00e9\\n\\q\n", [("a=: b", "é\nq")]),
    ("# x=y\\\n!z\n\na=1\r\nb=2\rc=3", [("a", "1"), ("b", "2"), ("c", "3")]),
    ("a=b\\", [("a", "b")]),
    ("=x\n", [("", "x")]),
]


@pytest.mark.parametrize(("text", "pairs"), PROPERTIES)
def test_lines_of_properties(text: str, pairs: list[tuple[str, str]]) -> None:
    """They are read as Java reads them, and written as they were."""
    found = lines.read(text)
    assert [(each.key, each.value) for each in found if each.key or each.value] == pairs
    assert lines.write(found) == text


@pytest.mark.parametrize(
    ("key", "value"), [("a", "b"), ("a b:c=d", " e\\f\n\tg é \U0001f600"), ("#a", ""), ("a", "half \ud83d")]
)
def test_new_lines_of_properties(key: str, value: str) -> None:
    """They are ASCII, and read as what was written."""
    made = lines.entry(key, value)
    assert made.raw.isascii()
    (found,) = lines.read(made.raw)
    assert (found.key, found.value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")) == (key, value)
    assert isinstance(found, Entry)


def test_properties_in_latin_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Old files of Java. Lines that are not changed keep their bytes; new ones are ASCII."""
    source = tmp_path / "a.properties"
    source.write_bytes(b"x=caf\xe9\nproject.aws.secret_key_path=keys/caf\xe9\n")
    assert main([str(source)]) == 0
    found = (tmp_path / "a.ecs-exec.properties").read_bytes()
    assert found.startswith(source.read_bytes())
    assert b"project.globals.ecs-secret-access-key=keys/caf\\u00e9\n" in found
    assert "caf" not in capsys.readouterr().out


def test_settings_of_the_executor_are_also_the_copier_s(convert: Convert) -> None:
    """Enterprise has no file copier for ECS."""
    done = convert(
        "a.properties",
        "project.plugin.NodeExecutor.aws-ecs.accessKey=AKIA\nproject.plugin.NodeExecutor.aws-ecs.secretKey=keys/s\n"
        "project.plugin.NodeExecutor.aws-ecs.colour=red\nproject.plugin.NodeExecutor.sshj-ssh.x=y\n",
    )
    found = {each.key: each.value for each in lines.read(done.text) if each.key}
    assert found == {
        **{
            f"project.plugin.{part}.{name}": value
            for part in ("NodeExecutor.ecs-node-executor", "FileCopier.ecs-file-copier")
            for name, value in (("access-key-id", "AKIA"), ("secret-access-key", "keys/s"))
        },
        "project.plugin.NodeExecutor.aws-ecs.colour": "red",
        "project.plugin.NodeExecutor.sshj-ssh.x": "y",
    }
    assert "aws-ecs.colour: has no counterpart" in done.report


def test_settings_of_the_server(convert: Convert) -> None:
    """The plugin group comes before the older properties. Without keys, nothing but the region is set."""
    done = convert(
        "framework.properties",
        "framework.aws.region=us-west-2\nframework.plugin.PluginGroup.AWS.region=us-east-1\n"
        "framework.aws.credentialProvider=instance\nframework.aws.roleArn=arn:aws:iam::123456789012:role/x\n"
        "framework.aws.other=1\n",
    )
    assert "framework.globals.ecs-region=us-east-1\n" in done.text
    assert "framework.globals.ecs-assume-role-arn=arn:aws:iam::123456789012:role/x\n" in done.text.replace("\\:", ":")
    assert "secret-access-key" not in done.text
    assert "check      framework.globals.ecs-assume-role-arn" in done.report
    assert "left       framework.aws.other" in done.report
    assert "us-west-2" in done.text


def test_a_source_without_a_region(convert: Convert) -> None:
    """The report asks for one."""
    done = convert("a.properties", "resources.source.3.type=aws-ecs\nresources.source.3.config.tags=a=b")
    assert "check      resources.source.3: names no region" in done.report
    assert done.text == "resources.source.3.type=ecs-node-source\nresources.source.3.config.tags=a=b\n"


def test_where_the_file_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the input, never over a file, unless the user asks for it. The permissions are the input's."""
    source = tmp_path / "jobs.yaml"
    source.write_text(job("{type: aws-ecs-run-command}"))
    source.chmod(0o600)
    assert main([str(source)]) == 0
    target = tmp_path / "jobs.ecs-exec.yaml"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert main([str(source)]) == 2
    assert "File exists" in capsys.readouterr().err
    assert main([str(source), "--output", str(source)]) == 2
    assert main([str(source), "--in-place"]) == 0
    assert source.read_text() == target.read_text()
    assert stat.S_IMODE(source.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs.ecs-exec.yaml", "jobs.yaml"]
    assert main([str(tmp_path / "nothing.yaml"), str(tmp_path)]) == 2
    with pytest.raises(SystemExit):
        main(["a.yaml", "b.yaml", "--output", "c"])


@pytest.mark.parametrize(
    ("key", "new"),
    [
        *(
            (key, "access-key-id")
            for key in ("accessKey", "access_key", "accessKeyId", "AccessKeyID", "aws_access_key")
        ),
        *(
            (key, "secret-access-key")
            for key in ("secretKey", "secret_key_path", "secretKeyStoragePath", "secretKeyPath")
        ),
        *((key, "assume-role-arn") for key in ("assumeRoleArn", "assume_role_arn", "roleArn")),
    ],
)
def test_spellings_of_credentials(convert: Convert, key: str, new: str) -> None:
    """Their names in jobs are not public."""
    step = {"type": "aws-ecs-stop", "configuration": {key: "keys/x"}}
    done = convert("a.json", json.dumps([{"sequence": {"commands": [step]}}]))
    assert json.loads(done.text)[0]["sequence"]["commands"][0]["configuration"] == {new: "keys/x"}
