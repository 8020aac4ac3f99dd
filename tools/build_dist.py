"""Builds the plugin's zip, or fills contents/lib of a checkout.

The runtime dependencies are pyproject.toml's group `lib`. Every wheel, downloaded or cached, must have its hash in
requirements/lib.txt. The zip takes pure Python wheels without the files that a server does not need, and for those in
NATIVE the compiled code for each processor in PLATFORMS. The same sources give the same zip, byte for byte, on every
machine and at every time.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import tomli
import yaml

import isolated_pip
from bill_of_materials import Library, document
from trim_libraries import CHANGES, Fault, Files, trimmed

WITHOUT_EXTENSION = frozenset({"PyYAML"})
"""Libraries that are published only with compiled code, but work without it: the zip leaves out the compiled part."""

OLDEST_PYTHON = "3.10"
LARGEST_ZIP = 8_000_000

PLATFORMS = {machine: f"manylinux2014_{machine}" for machine in ("aarch64", "x86_64")}
"""Processors, as os.uname names them, and the platform of the wheels for them."""

NATIVE = {
    "pycryptodome": re.compile(
        r"Crypto/__init__\.py|Crypto/Random/__init__\.py"
        r"|Crypto/Cipher/(__init__|AES|_mode_(ctr|ecb|gcm)|_state_machine)\.py"
        r"|Crypto/Util/(__init__|_cpu_features|_file_system|_raw_api|_threads|number)\.py"
        r"|Crypto/Cipher/_raw_(aes|aesni|aes_armv8|ctr|ecb)\.abi3\.so"
        r"|Crypto/Hash/_ghash_(portable|clmul|pmull)\.abi3\.so"
        r"|Crypto/Util/_cpuid_c\.abi3\.so"
    )
}
"""Distributions with compiled code, and the files of them that the plugin uses: AES-GCM of pycryptodome."""

BILL = "libraries.cdx.json"
"""The list of the libraries for scanners, in contents/lib. The copy beside the zip has the zip's name."""

_LOCK = Path("requirements/lib.txt")
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_FILE, _SCRIPT = 0o100644, 0o100755
_TOP_LEVEL = ("plugin.yaml", "LICENSE", "README.md", "CHANGELOG.md")
_UNUSED = {".c", ".pyi"}
_COMPILED = {".a", ".dll", ".dylib", ".exe", ".o", ".pyc", ".pyd", ".pyo", ".so"}
_COMPILED_MAGIC = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_LICENCE = re.compile(r"(LICEN[CS]E|NOTICE|COPYING|AUTHORS)", re.IGNORECASE)

_LIB_README = """\
{pins}

These are the distributions of that name and version on the Python Package Index, each under the licence in its
*.dist-info folder. They are changed in this, and in nothing else:

- C sources, type stubs, scripts, and records of installation are left out.
- PyYAML is without its compiled part, which is optional.
- Of {native} there is only what AES-GCM takes, under native/ for each of {machines}.
{changes}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Build what the arguments ask for and return the exit status."""
    here = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(prog="build_dist", description="Build the plugin's zip.")
    parser.add_argument("--root", type=Path, default=here, help="the checkout to build (this one)")
    parser.add_argument("--out", type=Path, help="the folder that gets the zip (ROOT/dist)")
    parser.add_argument("--wheels", type=Path, help="the folder that keeps downloads (ROOT/build/wheels)")
    parser.add_argument("--lib", type=Path, help="fill this folder with the dependencies, and build no zip")
    args = parser.parse_args(argv)
    wheel_cache = args.wheels or args.root / "build" / "wheels"
    try:
        if args.lib:
            fill(args.lib, library(args.root, wheel_cache))
            print(args.lib)
        else:
            print(build_zip(args.root, args.out or args.root / "dist", wheel_cache))
    except (Fault, OSError) as fault:
        print(f"build_dist: {' '.join(str(fault).split())}", file=sys.stderr)
        return 2
    return 0


# --- The zip


def build_zip(root: Path, out: Path, cache: Path) -> Path:
    """Write the zip of a checkout, its checksum and the list of its libraries into a folder; return the zip's path."""
    top = f"rundeck-ecs-exec-{plugin_version(root)}"
    files = sources(root) | {f"contents/lib/{path}": data for path, data in library(root, cache).items()}
    out.mkdir(parents=True, exist_ok=True)
    checksum = out / f"{top}.zip.sha256"
    checksum.unlink(missing_ok=True)  # never an old one beside a new zip
    target = write_zip(out / f"{top}.zip", {f"{top}/{path}": data for path, data in files.items()})
    (out / f"{top}.cdx.json").write_bytes(files[f"contents/lib/{BILL}"])
    checksum.write_text(f"{hashlib.sha256(target.read_bytes()).hexdigest()}  {target.name}\n", encoding="ascii")
    return target


def plugin_version(root: Path) -> str:
    """Return the version in plugin.yaml."""
    path = root / "plugin.yaml"
    if not path.is_file():
        raise Fault(f"{path} is missing")
    try:
        content = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise Fault(f"{path} is not YAML: {error}") from error
    version = content.get("version") if isinstance(content, dict) else None
    if not isinstance(version, str) or not re.fullmatch(r"\d+\.\d+\.\d+(-\w+)?", version):
        raise Fault(f"{path}: version is {version!r}, not like 1.2.3")
    return version


def sources(root: Path) -> Files:
    """Return the plugin's own files by their path in the zip."""
    found = [root / name for name in _TOP_LEVEL if (root / name).is_file()]
    found += [path for folder in ("contents", "resources") for path in (root / folder).rglob("*") if path.is_file()]
    files = {path.relative_to(root).as_posix(): path for path in found}
    return {name: path.read_bytes() for name, path in files.items() if _is_source(PurePosixPath(name))}


def _is_source(path: PurePosixPath) -> bool:
    """Return whether a file is a source, not one that Python, an editor or --lib put beside the sources."""
    if path.parts[:2] == ("contents", "lib") or "__pycache__" in path.parts:
        return False
    return not any(part.startswith(".") for part in path.parts) and not path.name.endswith("~")


def write_zip(target: Path, files: Files) -> Path:
    """Write a zip, complete or not at all, and return its path."""
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w") as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _FIXED_TIME)
            entry.create_system = 3  # Unix, whatever the machine is
            entry.external_attr = (_SCRIPT if _is_entry_script(path) else _FILE) << 16
            archive.writestr(entry, files[path], zipfile.ZIP_DEFLATED, compresslevel=9)
    size = partial.stat().st_size
    if size > LARGEST_ZIP:
        partial.unlink()
        raise Fault(f"{target.name} would have {size} bytes, more than {LARGEST_ZIP}")
    return partial.replace(target)


def _is_entry_script(path: str) -> bool:
    return PurePosixPath(path).match("*/contents/*.py")


# --- The dependencies


def library(root: Path, cache: Path) -> Files:
    """Return the dependencies' files by their path under contents/lib."""
    pinned = pins(root)
    store = Wheels(cache, pinned, hashes(root, pinned))
    files: Files = {}
    for name in pinned:
        files |= _compiled(store, name) if name in NATIVE else _distribution(store.portable(name))
    text = _LIB_README.format(
        pins="\n".join(f"{name} {version}" for name, version in pinned.items()),
        native=", ".join(sorted(NATIVE)),
        machines=", ".join(PLATFORMS),
        changes="\n".join(f"- {change}" for change in CHANGES),
    )
    bill = document(plugin_version(root), [_library(name, pinned[name], store, files) for name in pinned])
    return trimmed(files) | {"README.txt": text.encode(), BILL: bill}


def _library(name: str, version: str, store: Wheels, files: Files) -> Library:
    folder = f"{_normal(name)}-{version}.dist-info"
    found = [data for path, data in files.items() if path.lower() == f"{folder}/metadata"]
    return Library(name, version, store.taken[name], found[0] if found else b"")


def pins(root: Path) -> dict[str, str]:
    """Return the versions of the runtime dependencies by name."""
    path = root / "pyproject.toml"
    if not path.is_file():
        raise Fault(f"{path} is missing")
    try:
        entries = tomli.loads(path.read_text(encoding="utf-8"))["dependency-groups"]["lib"]
    except (tomli.TOMLDecodeError, KeyError) as error:
        raise Fault(f"{path} has no dependency group lib: {error}") from error
    matches = [re.fullmatch(r"([\w.-]+)==([\w.]+)", str(entry)) for entry in entries]
    if not all(matches):
        raise Fault(f"{path}: each entry of the dependency group lib must be name==version")
    return {match[1]: match[2] for match in matches if match}


def hashes(root: Path, pinned: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the SHA-256 hashes that the files of each pin may have, by name. Raises Fault for a pin without a hash."""
    path = root / _LOCK
    if not path.is_file():  # sources without their lock are held to this checkout's
        path = Path(__file__).resolve().parents[1] / _LOCK
    blocks = re.findall(
        r"^([\w.-]+)==(\S+)[^\n]*\n((?:    --hash=.*\n)+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    found = {
        (_normal(name), version): frozenset(re.findall(r"sha256:([0-9a-f]{64})", text))
        for name, version, text in blocks
    }
    known = {name: found.get((_normal(name), version), frozenset()) for name, version in pinned.items()}
    if missing := [f"{name}=={pinned[name]}" for name, allowed in known.items() if not allowed]:
        raise Fault(f"{path} has no hashes for {', '.join(missing)}: make lock")
    return known


def _normal(name: str) -> str:
    """Return a distribution's name as files have it."""
    return re.sub("[-_.]+", "_", name).lower()


class Wheels:
    """The wheels of the pins, from the cache or else from the package index. Each has its recorded hash."""

    def __init__(self, cache: Path, pinned: Mapping[str, str], allowed: Mapping[str, frozenset[str]]) -> None:
        """Take the pins; the wheels are looked up later."""
        self._cache = cache
        self._pinned = pinned
        self._allowed = allowed
        self.taken: dict[str, list[tuple[str, str]]] = {}
        """The files that were used, with their SHA-256, by the library's name."""

    def portable(self, name: str) -> Path:
        """Return the wheel that runs on every processor, or one whose compiled part is left out later."""
        if name in WITHOUT_EXTENSION:  # the same one, whatever the machine is
            return self._wheel(name, "cp310-*", PLATFORMS["x86_64"], "cp310")
        return self._wheel(name, "*-none-any", "any", "none")

    def compiled(self, name: str, machine: str) -> Path:
        """Return the wheel for a processor and every Python."""
        platform = PLATFORMS[machine]
        return self._wheel(name, f"*-abi3-*{platform}*", platform, "abi3")

    def _wheel(self, name: str, kind: str, platform: str, abi: str) -> Path:
        version = self._pinned[name]
        pattern = f"{_normal(name)}-{version}-{kind}.whl"
        if not any(self._cache.glob(pattern)):
            self._download(name, platform, abi)
        wheel = next(self._cache.glob(pattern), None)
        if wheel is None:
            raise Fault(
                f"there is no wheel of {name} {version} for {'every machine' if platform == 'any' else platform}"
            )
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found not in self._allowed[name]:
            raise Fault(f"{wheel} is not the file that requirements/lib.txt names, its SHA-256 is {found}: remove it")
        self.taken.setdefault(name, []).append((wheel.name, found))
        return wheel

    def _download(self, name: str, platform: str, abi: str) -> None:
        """Download a wheel for a platform: `any`, or one with an ABI. The cache never has an incomplete file."""
        self._cache.mkdir(parents=True, exist_ok=True)
        pin = f"{name}=={self._pinned[name]}"
        with tempfile.TemporaryDirectory(dir=self._cache) as folder:
            wanted = Path(folder) / "wanted.txt"
            wanted.write_text(" ".join([pin, *(f"--hash=sha256:{each}" for each in sorted(self._allowed[name]))]))
            options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--platform={platform}"]
            options += [f"--python-version={OLDEST_PYTHON}", f"--implementation={'py' if platform == 'any' else 'cp'}"]
            options += [f"--abi={abi}", f"--dest={folder}", f"--requirement={wanted}"]
            done = isolated_pip.run(sys.executable, "download", *options, capture=True)
            if done.returncode:
                reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr]
                raise Fault(f"pip cannot download {pin}: {reasons[-1]}")
            for wheel in Path(folder).glob("*.whl"):
                wheel.replace(self._cache / wheel.name)


def _compiled(store: Wheels, name: str) -> Files:
    """Return the used files of a distribution with compiled code: a folder for each processor, its metadata once."""
    files: Files = {}
    for machine in PLATFORMS:
        for path, data in _contents(store.compiled(name, machine)).items():
            if _is_metadata(PurePosixPath(path)):
                files[path] = data
            elif NATIVE[name].fullmatch(path):
                files[f"native/{machine}/{path}"] = data
    return files


def _distribution(wheel: Path) -> Files:
    """Return the files of a wheel that a server needs. Raises Fault for compiled code that cannot be left out."""
    files = _contents(wheel)
    if not wheel.name.endswith("-none-any.whl"):
        files = {name: data for name, data in files.items() if not name.endswith(".so")}
    for name, data in files.items():
        if PurePosixPath(name).suffix in _COMPILED or data.startswith(_COMPILED_MAGIC):
            raise Fault(f"{wheel.name} holds compiled code: {name}")
    return files


def _contents(wheel: Path) -> Files:
    """Return the files of a wheel that may be needed. Raises Fault if the licence is missing."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            files = {name: archive.read(name) for name in names if _is_needed(PurePosixPath(name))}
    except zipfile.BadZipFile as error:
        raise Fault(f"{wheel} is damaged ({error}): remove it") from error
    if not any(_is_metadata(PurePosixPath(name)) and not name.endswith("/METADATA") for name in files):
        raise Fault(f"{wheel.name} holds no licence")
    return files


def _is_needed(path: PurePosixPath) -> bool:
    if path.parts[0].endswith(".dist-info"):
        return _is_metadata(path)
    return not path.parts[0].endswith(".data") and path.suffix not in _UNUSED


def _is_metadata(path: PurePosixPath) -> bool:
    if not path.parts[0].endswith(".dist-info"):
        return False
    return path.name == "METADATA" or path.parts[1] == "licenses" or bool(_LICENCE.match(path.name))


def fill(folder: Path, lib: Files) -> None:
    """Make a folder contain exactly the dependencies. A new folder appears in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".lib-") as temporary:
        fresh = Path(temporary) / "lib"
        for path, data in lib.items():
            file = fresh / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
