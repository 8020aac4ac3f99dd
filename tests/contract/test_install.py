"""Checks README's installation commands against the zip's name and the known folders of servers."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from build_dist import plugin_version
from documents import ROOT, Block, blocks
from ecs_exec import interpreter

ZIP = f"rundeck-ecs-exec-{plugin_version(ROOT)}.zip"
FOLDERS = {"/var/lib/rundeck/libext/", "/home/rundeck/libext/", "/runner/plugins/", "runner:/app/runner/plugins/"}
"""Where servers and Runners look for plugins: packages, the Docker image, a Runner, and its container."""
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [block for language in ("sh", "dockerfile") for block in blocks("README.md", language) if ZIP in block.text]


def introduction(block: Block) -> str:
    """Give the paragraph before a block, on one line."""
    before, _, fence = "\n".join(TEXT.splitlines()[: block.line]).rpartition("\n\n")
    assert fence == f"```{block.language}"
    return before.rpartition("\n\n")[2].replace("\n", " ")


def commands(block: Block) -> list[list[str]]:
    """Give the words of each command, those of a Dockerfile's RUN included, without sudo."""
    lines = [part for line in block.commands for part in line.removeprefix("RUN ").split(" && ")]
    return [shlex.split(line.removeprefix("sudo ")) for line in lines]


def test_every_system_has_a_block() -> None:
    """Each says what it is for."""
    systems = {
        "Debian 12": "apt-get",
        "Ubuntu 22.04": "apt-get",
        "RHEL 8 and 9": "dnf",
        "Amazon Linux 2023": "dnf",
        "Docker image": "FROM",
        "A Runner": "/runner/plugins/",
    }
    assert len(BLOCKS) == 4
    for words, command in systems.items():
        (block,) = (block for block in BLOCKS if words in introduction(block))
        assert command in block.text, words
    for fact in ("$RDECK_BASE/libext", "ca-certificates", "takes no plugins from its server"):
        assert fact in TEXT, fact


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.language}:{block.line}")
def test_the_zip_goes_where_it_is_looked_for(block: Block) -> None:
    """Under the name that it has, which Rundeck compares with the folder in it."""
    copied = [words for words in commands(block) if words[0] in {"cp", "COPY"} or words[:2] == ["docker", "cp"]]
    assert copied
    for words in copied:
        *_, source, target = words
        assert source.rpartition("/")[2] == ZIP
        assert target in FOLDERS
    assert set(re.findall(r"rundeck-ecs-exec-[\w.]+\.zip", block.text)) == {ZIP}


def test_every_folder_is_shown() -> None:
    """The folders are those of each kind of server and Runner."""
    assert {words[-1] for block in BLOCKS for words in commands(block) if words[-1].endswith("/")} - {
        "/var/lib/apt/lists/"
    } == FOLDERS


def test_packages_are_those_that_the_plugin_names() -> None:
    """When it meets an older Python, on the same systems."""
    known = {tuple(command.split()) for _, command in interpreter._PACKAGES.values()}
    shown = set()
    for block in BLOCKS:
        for words in commands(block):
            if words[0] in {"apt-get", "dnf"} and words[1] == "install":
                shown.add(tuple(word for word in words if not word.startswith("-")))
    assert shown == {("apt-get", "install", "python3"), ("dnf", "install", "python3.12")}
    assert shown <= known


def test_the_image_is_one_with_a_python_that_is_new_enough() -> None:
    """Rundeck's images from 5.0 on are Ubuntu 22.04; the user that runs the server is set again."""
    (block,) = (block for block in BLOCKS if block.language == "dockerfile")
    assert re.match(r"FROM rundeck/rundeck:[5-9]\.\d+\.\d+\n", block.text)
    assert re.findall(r"(?m)^USER (.*)$", block.text) == ["root", "rundeck"]


def test_the_bundle_of_certificates_is_in_the_zip() -> None:
    """An image without ca-certificates has no other."""
    assert (ROOT / "contents" / "lib" / "botocore" / "cacert.pem").stat().st_size > 100_000


def test_the_policy_lets_the_project_read_its_keys() -> None:
    """Those that docs/project.properties names, in the context that Key Storage is in."""
    (block,) = (block for block in blocks("docs/node-source.md", "yaml") if "storage" in block.text)
    policy = yaml.safe_load(block.text)
    assert policy["context"] == {"application": "rundeck"}
    assert policy["by"] == {"urn": "project:production"}
    (rule,) = policy["for"]["storage"]
    assert rule["allow"] == ["read"]
    shown = (ROOT / "docs" / "project.properties").read_text(encoding="utf-8")
    paths = re.findall(r"(?m)^resources\.source\..*=(keys/\S+)$", shown)
    assert paths
    assert all(re.fullmatch(rule["match"]["path"], path) for path in paths)
