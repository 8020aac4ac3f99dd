"""What a hostile container may send in place of the fetch script: nothing leads out of the folder or fills a disk."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import lzma
import os
import resource
import stat
import tarfile
import tempfile
import tracemalloc
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from ecs_exec.errors import CommandError
from ecs_exec.files import reception
from ecs_exec.files.staging import stays_inside
from ecs_exec.files.tar_reader import TarReader
from unit.fetches import taken

READY = b"rb sha256sum -"
SUM = hashlib.sha256(b"content").hexdigest().encode()
FILE = b"p644 0 7 - "
CONTENT = b"<" + base64.b64encode(b"content")
CHECKED = b"v7 7 " + SUM


def refusal(folder: Path, *marks: bytes, **limits: int) -> str:
    """Give the name of the cause, and see that nothing came of it, in the folder or beside it."""
    around = sorted(folder.parent.rglob("*"))
    with pytest.raises(CommandError) as caught:
        taken(*marks, folder=folder, **limits)
    assert not any(path.is_file() or path.is_symlink() for path in folder.rglob("*"))
    assert sorted({*folder.parent.rglob("*")} - {folder}) == sorted({*around} - {folder})
    assert str(caught.value).count("\n") == 0
    return caught.value.name


def test_the_marks_of_a_script_are_taken(tmp_path: Path) -> None:
    """The marks below are those that it makes; each change of them is an attack."""
    taken(READY, FILE + b"=/x/name", CONTENT, CHECKED, b"e", folder=tmp_path / "f")
    assert (tmp_path / "f" / "name").read_bytes() == b"content"


@pytest.mark.parametrize(
    "name",
    [
        *(b"=..", b"=.", b"=", b"=/", b"=a/..", b"b" + base64.b64encode(b"a\nb"), b"b" + base64.b64encode(b"a\0b")),
        b"b" + base64.b64encode(b"/a\0b/c"),
        *(b"b" + base64.b64encode(b"\x1b[31m"), b"=" + b"n" * 300),
    ],
)
def test_names_of_files(name: bytes, tmp_path: Path) -> None:
    """A name that leads elsewhere, or that a terminal acts on, is refused."""
    cause = refusal(tmp_path / "f", READY, FILE + name, CONTENT, CHECKED, b"e")
    assert cause in ("fetch-name-refused", "fetch-name-too-long")


ORDERS: dict[str, list[bytes]] = {
    "nothing": [],
    "no beginning": [FILE + b"=a", CONTENT, CHECKED, b"e"],
    "two beginnings": [READY, READY],
    "no end": [READY, FILE + b"=a", CONTENT, CHECKED],
    "only an end": [READY, b"e"],
    "no data": [READY, FILE + b"=a", CHECKED, b"e"],
    "no checksum": [READY, FILE + b"=a", CONTENT, b"e"],
    "a checksum that was not asked for": [READY, FILE + b"=a", CONTENT, b"v7 7 -", b"e"],
    "a wrong checksum": [READY, FILE + b"=a", CONTENT, b"v7 7 " + SUM[::-1], b"e"],
    "sent twice": [READY, FILE + b"=a", CONTENT, CONTENT, b"v7 7 =", b"e"],
    "two other contents": [b"rb - -", FILE + b"=a", CONTENT, b"<AAAA", b"v7 7 =", b"e"],
    "three contents": [b"rb - -", FILE + b"=a", CONTENT, CONTENT, CONTENT, b"v7 7 =", b"e"],
    "another size than was read": [READY, b"p644 0 - - =a", CONTENT, b"v7 8 " + SUM, b"e"],
    "no size at all": [READY, b"p644 0 - - =a", CONTENT, b"v- - " + SUM, b"e"],
    "less than announced": [READY, b"p644 0 8 - =a", CONTENT, CHECKED, b"e"],
    "the same file twice": [READY, FILE + b"=a", CONTENT, CHECKED, FILE + b"=b/a", CONTENT, CHECKED, b"e"],
    "more behind the end": [READY, FILE + b"=a", CONTENT, CHECKED, b"e", FILE + b"=b"],
    "a file in a file": [READY, FILE + b"=a", FILE + b"=b", CONTENT, CHECKED, b"e"],
    "no Base64": [READY, FILE + b"=a", b"<%%%%", CHECKED, b"e"],
    "half of Base64": [READY, FILE + b"=a", b"<Y29udGVudA=", CHECKED, b"e"],
    "data behind Base64's end": [READY, FILE + b"=a", b"<Y29udGVudA==Y29u", CHECKED, b"e"],
    "an unknown encoding": [b"rz sha256sum -"],
    "an unknown escape": [b"rt sha256sum -", FILE + b"=a", b"<content\xef\x85", CHECKED, b"e"],
    "half of an escape": [b"rt sha256sum -", FILE + b"=a", b"<content\xef", CHECKED, b"e"],
    "a name in escaped lines": [b"rt sha256sum -", FILE + b"ra", b"<content", CHECKED, b"e"],
    "raw bytes that differ": [b"rr sha256sum -", FILE + b"=a", b"<Content", CHECKED, b"e"],
    "an unknown tool": [b"rb evil -"],
    "an unknown compression": [READY, b"p644 0 7 zip =a"],
    "no number": [READY, b"p644 0 0x7 - =a"],
    "a huge number": [READY, b"p644 0 " + b"9" * 30 + b" - =a"],
    "too few words": [READY, b"p644 0"],
    "an unknown mark": [READY, b"Q"],
    "bytes": [READY, b"\xff\xfe"],
    "an unknown failure": [b"fQ"],
    "a file of a directory, outside of one": [READY, b"u644 0 7 - =a", CONTENT, CHECKED, b"e"],
    "a link outside of a directory": [READY, b"l=a\t=b", b"e"],
    "a directory without an end": [READY, b"t755 0 walk =d", b"u644 0 7 - =a", CONTENT, CHECKED, b"e"],
    "a status": [READY, b"x0"],
    "no status of a command": [READY, b"c-", CONTENT, b"v- - " + SUM, b"e"],
    "a link with three names": [READY, b"t755 0 walk =d", b"l=a\t=b\t=c", b"y", b"e"],
    "a failed command behind the beginning": [READY, b"b3"],
}


@pytest.mark.parametrize("name", ORDERS)
def test_marks_out_of_order(name: str, tmp_path: Path) -> None:
    """Each is an error, and never a file."""
    assert refusal(tmp_path / "f", *ORDERS[name]).startswith("fetch-")


def packed(content: bytes, kind: str = "gzip") -> bytes:
    """Give compressed content as a script sends it."""
    return b"<" + base64.b64encode(gzip.compress(content, 9) if kind == "gzip" else lzma.compress(content))


@pytest.mark.parametrize("kind", ["gzip", "xz"])
def test_a_bomb_ends_at_the_limit(kind: str, tmp_path: Path) -> None:
    """Thirty megabytes of zeros are a few bytes on the wire. Neither memory nor disk has to hold them."""
    bomb = packed(bytes(30_000_000), kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    marks = [READY, b"p644 0 - " + kind.encode() + b" =a", bomb, b"v- - x", b"e"]
    assert refusal(tmp_path / "f", *marks, most=1_000_000) == "fetch-too-large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_damaged_compression(tmp_path: Path) -> None:
    """Its own checksum, its end, and what is behind its end are looked at."""
    good = gzip.compress(b"content")
    for data, name in {
        good[:-1]: "fetch-cut-off",
        b"": "fetch-cut-off",
        good[:-8] + b"\0" * 8: "fetch-stream-broken",
        good + b"x": "fetch-stream-broken",
        b"no gzip": "fetch-stream-broken",
        good + good: "fetch-stream-broken",
    }.items():
        marks = [READY, b"p644 0 7 gzip =a", b"<" + base64.b64encode(data), CHECKED, b"e"]
        assert refusal(tmp_path / "f", *marks) == name, data
    # Here the agent may have changed the data.
    marks = [b"rr sha256sum -", b"p644 0 7 gzip =a", b"<" + good[:-1], CHECKED, b"e"]
    assert refusal(tmp_path / "f", *marks) == "fetch-bytes-lost"
    taken(READY, b"p644 0 7 gzip =a", b"<" + base64.b64encode(good), CHECKED, b"e", folder=tmp_path / "f")


def test_a_stream_without_an_end(tmp_path: Path) -> None:
    """Content, announced or not, and text that holds none are limited; so is the number of files."""
    megabyte = b"<" + base64.b64encode(os.urandom(1_000_000))
    assert refusal(tmp_path / "f", READY, b"p644 0 - - =a", megabyte, most=999_999) == "fetch-too-large"
    assert refusal(tmp_path / "f", READY, b"p644 0 2000000 - =a", most=999_999) == "fetch-too-large"
    files = [mark for number in range(12) for mark in (FILE + b"=%d" % number, CONTENT, CHECKED)]
    assert refusal(tmp_path / "f", READY, *files, b"e", files=10) == "fetch-too-many-files"
    directories = [b"d755 0 =%d" % number for number in range(12)]
    marks = [READY, b"t755 0 walk =d", *directories, b"y", b"e"]
    assert refusal(tmp_path / "f", *marks, files=10) == "fetch-too-many-files"


# --- Archives


def archive(*members: tuple[str, bytes, str], mode: int = 0o644) -> bytes:
    """Give the marks' content for an archive with members of a type and a target."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, target, mode
            member.size = len(target) if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(target.encode()))
    return file.getvalue()


def tree(data: bytes) -> list[bytes]:
    """Give the marks of a directory."""
    digest = hashlib.sha256(data).hexdigest().encode()
    return [READY, b"t755 0 - =/x/tree", b"<" + base64.b64encode(data), b"x0", b"v- - " + digest, b"y", b"e"]


REG, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE

ESCAPES: dict[str, tuple[tuple[str, bytes, str], ...]] = {
    "upwards": (("../out", REG, "x"),),
    "upwards in the middle": (("a/../../out", REG, "x"),),
    "absolute": (("/var/ecs-exec-out", REG, "x"),),
    "the directory itself": ((".", REG, "x"),),
    "a newline": (("a\nb", REG, "x"),),
    "twice": (("a", REG, "x"), ("a", REG, "y")),
    "a file in a file": (("a", REG, "x"), ("a/b", REG, "y")),
    "through a link": (("d", tarfile.DIRTYPE, ""), ("l", LINK, "d"), ("l/x", REG, "x")),
    "a hard link to outside": (("h", HARD, "/etc/passwd"),),
    "a hard link upwards": (("h", HARD, "../../x"),),
    "a hard link to nothing": (("h", HARD, "none"),),
    "a hard link to a link": (("l", LINK, "d"), ("h", HARD, "l")),
    "very deep": (("d/" * 1000 + "x", REG, "x"),),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_names_in_archives(name: str, tmp_path: Path) -> None:
    """None leads out of the directory, however it is written."""
    assert refusal(tmp_path / "f", *tree(archive(*ESCAPES[name]))).startswith("fetch-")


def test_what_archives_must_not_make(tmp_path: Path) -> None:
    """Devices, pipes and links that lead elsewhere are left out; no setuid bit is kept."""
    members = [
        ("dev", tarfile.CHRTYPE, ""),
        ("block", tarfile.BLKTYPE, ""),
        ("pipe", tarfile.FIFOTYPE, ""),
        ("absolute", LINK, "/etc/passwd"),
        ("up", LINK, "../x"),
        ("a/b/up", LINK, "../../../x"),
        ("a/b/chain", LINK, "c/../../../.."),
        ("a/b/good", LINK, "../../file"),
        ("file", REG, "x"),
        ("hard", HARD, "file"),
    ]
    taken(*tree(archive(*members, mode=0o6777)), folder=tmp_path / "f")
    found = {str(path.relative_to(tmp_path / "f" / "tree")): path for path in (tmp_path / "f" / "tree").rglob("*")}
    assert sorted(found) == ["a", "a/b", "a/b/good", "file", "hard"]
    assert stat.S_IMODE(found["file"].stat().st_mode) == 0o777
    assert found["a/b/good"].readlink() == Path("../../file")
    assert found["hard"].stat().st_ino == found["file"].stat().st_ino


def test_damaged_archives(tmp_path: Path) -> None:
    """A header's checksum, its numbers, and the end of the archive are looked at."""
    good = archive(("a", REG, "content"), ("b", REG, "more"))
    huge = bytearray(archive(("n" * 200, REG, "")))
    huge[124:136] = b"77777777777\0"  # of the long name
    negative = bytearray(good)
    negative[124:136] = b"\xff" * 12
    for data in (
        *(good[:end] for end in (2560, 2048, 700, 512, 1, 0)),
        bytes(huge),
        b"x" * 512,
        good + good,
        bytes(negative),
    ):
        assert refusal(tmp_path / "f", *tree(bytes(data))) == "fetch-stream-broken"
    damaged = bytearray(good)
    damaged[0:1] = b"z"
    assert refusal(tmp_path / "f", *tree(bytes(damaged))) == "fetch-stream-broken"


def test_an_archive_that_is_too_large(tmp_path: Path) -> None:
    """What is announced counts at once."""
    header = tarfile.TarInfo("a")
    header.size = 1 << 40
    marks = [READY, b"t755 0 - =tree", b"<" + base64.b64encode(header.tobuf())]
    assert refusal(tmp_path / "f", *marks) == "fetch-too-large"


def header(kind: bytes, body: bytes) -> bytes:
    """Give a header of a kind with its bytes."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(body)
    return info.tobuf() + body + bytes(-len(body) % 512)


def test_headers_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small stream can hold any number of them. They use up neither memory nor, in the end, time."""
    reader = TarReader()
    tracemalloc.start()
    for number in range(20):
        records = [b"18 key%07d=val\n" % (number * 2000 + each) for each in range(2000)]
        assert list(reader.feed(header(b"x", b"".join(records)))) == []
    assert tracemalloc.get_traced_memory()[0] < 1_000_000
    tracemalloc.stop()
    monkeypatch.setattr(reception, "_MORE_TEXT", 100_000)
    many = header(b"g", b"") * 300 + archive(("a", REG, "x"))
    assert refusal(tmp_path / "f", *tree(many), most=1000) == "fetch-too-large"


def test_a_checksum_tool_that_fails(tmp_path: Path) -> None:
    """It prints nothing. The file has not changed."""
    for marks in ([READY, FILE + b"=a", CONTENT, b"v7 7 ?", b"e"], [READY, b"c-", CONTENT, b"x0", b"v- - ", b"e"]):
        assert refusal(tmp_path / "f", *marks) == "fetch-cut-off"


def test_an_archive_without_tar_s_status(tmp_path: Path) -> None:
    """The process that waited for tar may have been killed."""
    marks = [mark for mark in tree(archive(("a", REG, "x"))) if mark != b"x0"]
    assert refusal(tmp_path / "f", *marks) == "fetch-status-unknown"


def test_names_that_one_disk_does_not_hold_together(tmp_path: Path) -> None:
    """The message speaks of the names, and not of the destination."""
    for members in ("twice", "a file in a file"):
        assert refusal(tmp_path / "f", *tree(archive(*ESCAPES[members]))) == "fetch-name-twice"


def test_a_tar_that_failed(tmp_path: Path) -> None:
    """Its status counts, but for what GNU tar says of files that changed; zeros in place of lost bytes do not pass."""
    good = tree(archive(("a", REG, "content")))

    def with_status(status: bytes, *lines: bytes) -> list[bytes]:
        at = good.index(b"x0")
        return [*good[:at], *(b"w" + line for line in lines), status, *good[at + 1 :]]

    changed = b"tar: ./a: file changed as we read it"
    for marks in (with_status(b"x2"), with_status(b"x1"), with_status(b"x1", changed, b"tar: can't open 'b'")):
        assert refusal(tmp_path / "f", *marks) == "fetch-tar-failed"
    padded = with_status(b"x1", b"tar: ./a: File shrank by 5 bytes; padding with zeros")
    assert refusal(tmp_path / "f", *padded) == "fetch-source-changed"
    taken(*with_status(b"x1", changed), folder=tmp_path / "f")


@hypothesis.given(
    strategies.lists(strategies.sampled_from(["..", ".", "a", "b", ""]), max_size=6), strategies.integers(0, 3)
)
def test_links_stay_inside(steps: list[str], depth: int) -> None:
    """The path that a link names, step by step from its directory, never leaves the top."""
    target = "/".join(steps)
    if stays_inside(depth, target.encode()):
        level = depth
        for step in steps:
            level += {"..": -1, ".": 0, "": 0}.get(step, 1)
            assert level >= 0
        assert not target.startswith("/")


WHOLE = (READY, FILE + b"=a", CONTENT, CHECKED, b"e", b"y", b"x0", b"t755 0 - =t", b"v- - -", b"u644 0 7 - =a", b"p644")
MARKS = strategies.lists(strategies.one_of(strategies.sampled_from(WHOLE), strategies.binary(max_size=40)), max_size=8)


@hypothesis.settings(max_examples=60)
@hypothesis.given(MARKS)
def test_any_garbage_is_an_error_or_a_whole_file(marks: list[bytes]) -> None:
    """Whatever comes, the plugin says why in its own words; what it keeps was verified."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "f"
        try:
            taken(*marks, folder=folder)
        except CommandError:
            assert not any(path.is_file() for path in folder.rglob("*"))
        else:
            assert {path.read_bytes() for path in folder.rglob("*") if path.is_file()} <= {b"content"}
