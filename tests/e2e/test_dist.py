"""The zip: what it holds, that it is the same each time, and that any Python on the machine can use it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

import pytest
import yaml
from botocore.model import ServiceModel, Shape
from botocore.regions import EndpointResolver
from botocore.session import Session

import build_dist
import trim_libraries
from pythons import pythons

pytestmark = pytest.mark.xdist_group("e2e-dist")

ROOT = Path(build_dist.__file__).parents[1]
WHEELS = ROOT / "build" / "wheels"
MANIFEST = yaml.safe_load((ROOT / "plugin.yaml").read_bytes())
TOP = f"rundeck-ecs-exec-{MANIFEST['version']}"
PINS = build_dist.pins(ROOT)
MINIMAL = {
    "plugin.yaml": "version: 1.2.3",
    "pyproject.toml": '[dependency-groups]\nlib = ["six==1.17.0"]',
    "contents/x.py": "pass",
}


def _build(root: Path, out: Path) -> Path:
    assert build_dist.main([f"--root={root}", f"--out={out}", f"--wheels={WHEELS}"]) == 0
    return next(out.glob("*.zip"))


def _tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def _wheel(cache: Path, name: str, files: dict[str, bytes]) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(cache / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the zip of this checkout."""
    return _build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def files(built: Path) -> dict[str, bytes]:
    """Give what the zip holds, by the path under its folder."""
    with zipfile.ZipFile(built) as archive:
        return {name.removeprefix(f"{TOP}/"): archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="session")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the unpacked zip."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder)
    return folder / TOP


# --- Its shape


def test_named_by_version(built: Path) -> None:
    """The file and its one folder are named after the version in plugin.yaml, as Rundeck requires."""
    with zipfile.ZipFile(built) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert built.name == f"{TOP}.zip"
    assert tops == {TOP}


def test_holds_what_plugin_yaml_names(files: dict[str, bytes]) -> None:
    """The manifest is on top, the licence beside it, and each provider's script in contents."""
    assert {"plugin.yaml", "LICENSE", "resources/icon.png"} <= set(files)
    assert {f"contents/{provider['script-file']}" for provider in MANIFEST["providers"]} <= set(files)


def test_holds_no_more_than_expected(files: dict[str, bytes]) -> None:
    """On top there is nothing else; Rundeck would expand a folder whose name begins with `contents` too."""
    beside = {name.partition("/")[0] for name in files} - {"plugin.yaml", "contents", "resources"}
    assert beside <= {"LICENSE", "README.md", "CHANGELOG.md"}


def test_small(built: Path) -> None:
    """The zip is smaller than its limit."""
    assert built.stat().st_size < build_dist.LARGEST_ZIP


def test_modes(built: Path) -> None:
    """Entry scripts may be executed, and everything is a regular file, as symbolic links do not survive Rundeck."""
    with zipfile.ZipFile(built) as archive:
        modes = {PurePosixPath(entry.filename): entry.external_attr >> 16 for entry in archive.infolist()}
    scripts = {path for path, mode in modes.items() if mode == 0o100755}
    assert scripts == {path for path in modes if path.suffix == ".py" and str(path.parent) == f"{TOP}/contents"}
    assert {mode for path, mode in modes.items() if path not in scripts} == {0o100644}


def test_nothing_compiled_but_aes(files: dict[str, bytes]) -> None:
    """Except the cipher, the zip runs on any processor. It has no byte code and no files for compilers only."""
    portable = {name: data for name, data in files.items() if not name.startswith("contents/lib/native/")}
    suffixes = {".so", ".pyd", ".dll", ".dylib", ".pyc", ".pyi", ".c", ".exe"}
    assert [name for name in files if PurePosixPath(name).suffix in suffixes - {".so"} or "__pycache__" in name] == []
    assert [name for name in portable if PurePosixPath(name).suffix == ".so"] == []
    magic = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
    assert [name for name, data in portable.items() if data.startswith(magic)] == []


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_the_cipher_is_there_for(machine: str, number: int, files: dict[str, bytes]) -> None:
    """Each processor has code of its own kind (e_machine in the ELF header), and the same Python around it."""
    prefix = f"contents/lib/native/{machine}/"
    mine = {name.removeprefix(prefix): data for name, data in files.items() if name.startswith(prefix)}
    compiled = {name: data for name, data in mine.items() if name.endswith(".so")}
    assert {"Crypto/Cipher/_raw_aes.abi3.so", "Crypto/Cipher/_raw_ctr.abi3.so"} <= set(compiled)
    assert {int.from_bytes(data[18:20], "little") for data in compiled.values()} == {number}
    assert {name for name in mine if not name.endswith((".so", ".py"))} == set()
    assert "Crypto/Cipher/_mode_gcm.py" in mine


def test_repeatable(built: Path, tmp_path: Path) -> None:
    """Another place, umask, time zone and hash seed, other times and modes of the sources: the same bytes."""
    copy = tmp_path / "elsewhere"
    for name in ("plugin.yaml", "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"):
        if (ROOT / name).exists():
            copy.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    for name in ("contents", "resources"):
        shutil.copytree(ROOT / name, copy / name, copy_function=shutil.copyfile)
    for path in (copy / "contents").rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    command = [sys.executable, build_dist.__file__, f"--root={copy}", f"--out={tmp_path}", f"--wheels={WHEELS}"]
    environ = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run(command, check=True, cwd=tmp_path, env=environ, umask=0o077, stdout=subprocess.DEVNULL)
    for name in (built.name, f"{built.name}.sha256", f"{TOP}.cdx.json"):
        assert (tmp_path / name).read_bytes() == (built.parent / name).read_bytes()


def test_nothing_of_the_clock(built: Path) -> None:
    """Every file in the zip has one time, so that another day makes no difference."""
    with zipfile.ZipFile(built) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {(entry.extra, entry.comment) for entry in archive.infolist()} == {(b"", b"")}
        assert archive.comment == b""


def test_the_checksum_is_the_zip_s(built: Path) -> None:
    """As sha256sum checks it; beside another zip it does not fit."""
    checksum = built.with_name(f"{built.name}.sha256")
    digest = hashlib.sha256(built.read_bytes()).hexdigest()
    assert checksum.read_bytes() == f"{digest}  {built.name}\n".encode()
    command = ["sha256sum", "--strict", "--check", checksum.name]
    done = subprocess.run(command, cwd=built.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{built.name}: OK\n")


def test_leaves_out_what_is_not_source(tmp_path: Path) -> None:
    """Byte code, hidden files, editors' copies and a filled contents/lib of the checkout stay out."""
    stray = [
        "contents/lib/y.py",
        "contents/__pycache__/x.pyc",
        "contents/.x.py.swp",
        "contents/x.py~",
        "resources/.hidden/a",
    ]
    root = _tree(tmp_path, MINIMAL | dict.fromkeys(stray, ""))
    assert set(build_dist.sources(root)) == {"plugin.yaml", "contents/x.py"}


# --- The dependencies


@pytest.mark.parametrize("name", PINS)
def test_distribution_is_the_pinned_one(name: str, files: dict[str, bytes]) -> None:
    """Each dependency has its metadata, of the pinned version, and its licence."""
    info = f"contents/lib/{name.replace('-', '_').lower()}-{PINS[name]}.dist-info/"
    metadata = BytesParser().parsebytes(files[f"{info}METADATA"])
    assert (metadata["Name"], metadata["Version"]) == (name, PINS[name])
    licences = [data for path, data in files.items() if path.startswith(info) and "LICENSE" in path]
    assert any(len(data) > 500 for data in licences)


def test_requirements_are_all_there(files: dict[str, bytes]) -> None:
    """What a dependency requires is itself pinned."""
    required = set()
    for path, data in files.items():
        if path.endswith("/METADATA"):
            lines = BytesParser().parsebytes(data).get_all("Requires-Dist", [])
            required |= {line for line in lines if "extra ==" not in line}
    assert {line.replace("<", " ").replace(">", " ").replace("!", " ").split()[0] for line in required} <= set(PINS)


def test_changes_are_reported(files: dict[str, bytes]) -> None:
    """A text beside the dependencies names them and lists the changes, as their licences require."""
    text = files["contents/lib/README.txt"].decode()
    assert all(f"{name} {version}\n" in text for name, version in PINS.items())
    assert "endpoints.json" in text


def test_endpoints_are_those_of_botocore(unpacked: Path) -> None:
    """Without the other services' endpoints, those that are left come out the same in every region."""
    trimmed_file = unpacked / "contents/lib/botocore/data/endpoints.json"
    whole = Session().get_component("data_loader").load_data("endpoints")
    ours, theirs = EndpointResolver(json.loads(trimmed_file.read_bytes())), EndpointResolver(whole)
    regions = [(each["partition"], region) for each in whole["partitions"] for region in each["regions"]]
    prefixes = ["ec2", "ecs", "iam", "kms", "oidc", "portal.sso", "signin", "ssm", "sts"]
    cases = [(prefix, region, partition) for prefix in prefixes for partition, region in regions]
    assert len(cases) > 200
    for case in cases:
        assert ours.construct_endpoint(*case) == theirs.construct_endpoint(*case)


@pytest.mark.parametrize(
    ("service", "operation"),
    [(service, name) for service, names in trim_libraries.OPERATIONS.items() for name in names],
)
def test_trimmed_models_say_the_same(unpacked: Path, service: str, operation: str) -> None:
    """An operation that is left has the same way onto the wire and back, in its parameters, answers and errors."""
    whole = Session().get_service_model(service)
    (file,) = (unpacked / "contents/lib/botocore/data" / service).glob("*/service-2.json")
    ours = ServiceModel(json.loads(file.read_bytes()), service)
    assert file.parent.name == whole.api_version
    assert ours.metadata == whole.metadata
    mine, theirs = ours.operation_model(operation), whole.operation_model(operation)
    assert _shape(mine.input_shape) == _shape(theirs.input_shape)
    assert _shape(mine.output_shape) == _shape(theirs.output_shape)
    assert [_shape(shape) for shape in mine.error_shapes] == [_shape(shape) for shape in theirs.error_shapes]
    assert (mine.http, mine.auth_type) == (theirs.http, theirs.auth_type)
    assert set(ours.operation_names) == set(trim_libraries.OPERATIONS[service])


def _shape(shape: Shape, above: tuple[str, ...] = ()) -> object:
    """Return all that botocore reads of a shape, and of those within it."""
    if shape.name in above:
        return shape.name  # a shape that holds itself
    parts: list[object] = [shape.name, shape.type_name, shape.serialization, shape.metadata]
    below = (*above, shape.name)
    if shape.type_name == "structure":
        parts += [(name, _shape(member, below)) for name, member in shape.members.items()]
    elif shape.type_name == "list":
        parts.append(_shape(shape.member, below))
    elif shape.type_name == "map":
        parts += [_shape(shape.key, below), _shape(shape.value, below)]
    return parts


def test_every_call_has_its_operation() -> None:
    """What the plugin calls of a trimmed service is in the zip."""
    called: dict[str, set[str]] = {}
    for path in (ROOT / "contents" / "ecs_exec").rglob("*.py"):
        for service, operation in re.findall(
            r"""_?call\(\s*"(\w+)",\s*"([A-Z]\w+)\"""", path.read_text(encoding="utf-8")
        ):
            called.setdefault(service, set()).add(operation)
    assert {"ecs", "iam", "ssm"} <= set(called)
    for service, operations in trim_libraries.OPERATIONS.items():
        assert called.get(service, set()) <= set(operations)


def test_an_operation_that_botocore_has_not_is_reported() -> None:
    """The build stops; otherwise the plugin could not call it."""
    model = {"metadata": {"serviceId": "EC2"}, "operations": {}, "shapes": {}}
    with pytest.raises(trim_libraries.Fault, match="EC2 has no operation DescribeVpcs"):
        trim_libraries.trimmed_model(model, ["DescribeVpcs"])


PYTHONS = pythons()


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_runs_on(version: str, unpacked: Path) -> None:
    """Every Python from 3.10 on imports the dependencies and makes every client, with nothing else installed."""
    lib = unpacked / "contents" / "lib"
    code = f"""
import sys
sys.path.insert(0, {str(lib)!r})
import botocore.session
session = botocore.session.Session()
for service in {trim_libraries.SERVICES!r}:
    client = session.create_client(
        service, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    print(service, client.meta.endpoint_url)
"""
    # Neither the environment nor site-packages may help.
    command = [PYTHONS[version], "-I", "-S", "-B", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env={}, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split() for line in done.stdout.splitlines())
    assert set(lines) == set(trim_libraries.SERVICES)
    assert lines["ecs"] == "https://ecs.eu-central-1.amazonaws.com"


def test_endpoints_are_botocores(unpacked: Path) -> None:
    """FIPS and dual stack, in every partition: the parts left out of the zip change no call's address."""
    program = str(ROOT / "tests" / "endpoints.py")
    ours = [sys.executable, "-I", "-S", program, str(unpacked / "contents" / "lib")]
    found, published = (
        json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        for command in (ours, [sys.executable, program])
    )
    assert found == published
    assert found["ecs us-gov-west-1 fips"] == "https://ecs-fips.us-gov-west-1.amazonaws.com/"
    assert found["kms cn-north-1 dualstack"] == "https://kms.cn-north-1.api.amazonwebservices.com.cn/"


def test_fills_a_folder(tmp_path: Path) -> None:
    """--lib replaces a folder by the dependencies, the same that are in the zip."""
    (tmp_path / "lib" / "old").mkdir(parents=True)
    assert build_dist.main([f"--lib={tmp_path / 'lib'}", f"--wheels={WHEELS}"]) == 0
    found = {str(path.relative_to(tmp_path / "lib")) for path in (tmp_path / "lib").rglob("*") if path.is_file()}
    assert found == set(build_dist.library(ROOT, WHEELS))
    assert not (tmp_path / "lib" / "old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["lib"]


# --- What cannot be built

GOOD = {"x-1.0.dist-info/LICENSE": b"", "x-1.0.dist-info/METADATA": b"", "x/__init__.py": b""}
PIN_X = {"pyproject.toml": '[dependency-groups]\nlib = ["x==1.0"]'}


@pytest.mark.parametrize(
    ("changes", "wheel", "word"),
    [
        ({"plugin.yaml": None}, GOOD, "plugin.yaml is missing"),
        ({"plugin.yaml": "version: 1.0"}, GOOD, "version is 1.0"),
        ({"plugin.yaml": "version: ../1.0.0"}, GOOD, "version is '../1.0.0'"),
        ({"plugin.yaml": "[]"}, GOOD, "version is None"),
        ({"plugin.yaml": "version: ["}, GOOD, "is not YAML"),
        ({"pyproject.toml": None}, GOOD, "pyproject.toml is missing"),
        ({"pyproject.toml": "[project]"}, GOOD, "no dependency group lib"),
        ({"pyproject.toml": '[dependency-groups]\nlib = ["x>=1.0"]'}, GOOD, "must be name==version"),
        ({}, None, "pip cannot download x==1.0: ERROR"),
        ({}, GOOD | {"x/fast.so": b""}, "holds compiled code: x/fast.so"),
        ({}, GOOD | {"x/tool": b"\x7fELF"}, "holds compiled code: x/tool"),
        ({}, {"x-1.0.dist-info/METADATA": b""}, "holds no licence"),
        ({}, GOOD, "botocore has no data"),
    ],
)
def test_fault(  # noqa: PLR0917 - pytest names its arguments
    changes: dict[str, str | None],
    wheel: dict[str, bytes] | None,
    word: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault is one line on stderr and exit status 2."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    content = {name: text for name, text in (MINIMAL | PIN_X | changes).items() if text is not None}
    root = _tree(tmp_path, content)
    digest = "0" * 64
    if wheel is not None:
        _wheel(root / "build" / "wheels", "x", wheel)
        digest = _digest(root / "build/wheels/x-1.0-py3-none-any.whl")
    _lock(root, digest)
    assert build_dist.main([f"--root={root}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("build_dist: ")
    assert printed.err.count("\n") == 1
    assert word in printed.err
    assert not list(root.glob("dist/*"))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _lock(root: Path, digest: str) -> Path:
    """Write a lock that takes one file for x 1.0."""
    return _tree(root, {"requirements/lib.txt": f"x==1.0 \\\n    --hash=sha256:{digest}\n"})


def test_damaged_wheel(tmp_path: Path) -> None:
    """If a truncated wheel has the recorded hash, the error names it."""
    (tmp_path / "x-1.0-py3-none-any.whl").write_bytes(b"PK")
    _lock(tmp_path, _digest(tmp_path / "x-1.0-py3-none-any.whl"))
    with pytest.raises(trim_libraries.Fault, match=r"x-1\.0-py3-none-any\.whl is damaged"):
        build_dist.library(_tree(tmp_path, PIN_X), tmp_path)


@pytest.mark.parametrize("name", ["six-*.whl", "pycryptodome-*aarch64*.whl", "pyyaml-*.whl"])
def test_a_changed_wheel_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One byte more or less in the cache: nothing is built, and the line says which file it is."""
    cache = tmp_path / "wheels"
    shutil.copytree(WHEELS, cache)
    (wheel,) = cache.glob(name)
    data = bytearray(wheel.read_bytes())
    data[len(data) // 2] ^= 1
    wheel.write_bytes(data)
    assert build_dist.main([f"--root={ROOT}", f"--out={tmp_path}", f"--wheels={cache}"]) == 2
    printed = capsys.readouterr().err
    assert f"{wheel} is not the file that requirements/lib.txt names" in printed
    assert _digest(wheel) in printed
    assert printed.count("\n") == 1
    assert not list(tmp_path.glob("*.zip"))


def test_a_pin_without_a_hash_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the cache holds."""
    root = _tree(tmp_path, MINIMAL | {"pyproject.toml": '[dependency-groups]\nlib = ["six==1.16.0"]'})
    assert build_dist.main([f"--root={root}", f"--wheels={WHEELS}"]) == 2
    assert "has no hashes for six==1.16.0: make lock" in capsys.readouterr().err


def test_the_libraries_are_listed(built: Path, files: dict[str, bytes]) -> None:
    """A CycloneDX document is in the zip and beside it: each pin, with the hash of each wheel that it is from."""
    data = built.with_name(f"{TOP}.cdx.json").read_bytes()
    assert files["contents/lib/libraries.cdx.json"] == data
    listed = json.loads(data)
    assert (listed["bomFormat"], listed["metadata"]["component"]["version"]) == ("CycloneDX", MANIFEST["version"])
    assert {each["name"]: each["version"] for each in listed["components"]} == PINS
    wheels = {_digest(path) for path in WHEELS.glob("*.whl")}
    for each in listed["components"]:
        found = [one["content"] for one in each["hashes"]]
        assert len(found) == (2 if each["name"] in build_dist.NATIVE else 1)
        assert wheels >= set(found)
        assert each["purl"].startswith("pkg:pypi/")
        assert each["licenses"]
    needs = {each["ref"]: each["dependsOn"] for each in listed["dependencies"]}
    assert needs["pkg:pypi/python-dateutil@2.9.0.post0"] == ["pkg:pypi/six@1.17.0"]


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip over the limit is no zip."""
    monkeypatch.setattr(build_dist, "LARGEST_ZIP", 100)
    with pytest.raises(trim_libraries.Fault, match=r"x\.zip would have \d+ bytes, more than 100"):
        build_dist.write_zip(tmp_path / "x.zip", {"x": bytes(10)})
    assert list(tmp_path.iterdir()) == []
