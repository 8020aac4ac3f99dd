"""A local file on its way: all of it, as it was announced, in pieces of any form, and its checksums."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ecs_exec.errors import SettingsError
from ecs_exec.files.local_file import Cksum, EchoDigest, LocalFile, digest

_RANDOM = random.Random(11)  # noqa: S311 - the same each time
READ = 256 * 1024
LENGTHS = [0, 1, 7, 1000, READ - 1, READ, READ + 1, 2 * READ + 5]


def pieces(content: LocalFile, *sizes: int) -> list[bytes]:
    """Return all pieces, of these sizes in turn; behind the last there is none."""
    found: list[bytes] = []
    while piece := content.piece(sizes[len(found) % len(sizes)]):
        found.append(piece)
    assert content.piece(1) == content.piece(1) == b""
    return found


@pytest.mark.parametrize("length", LENGTHS)
def test_pieces_are_the_file(length: int, tmp_path: Path) -> None:
    """Each piece has the requested size, except the last; also after each new begin."""
    data = _RANDOM.randbytes(length)
    (tmp_path / "file").write_bytes(data)
    with LocalFile.open(str(tmp_path / "file")) as content:
        assert content.size == length
        for sizes in ((65_408,), (1000, READ, 3 * READ)):
            content.head(5)
            content.begin(hashlib.sha256(), packed=False)
            assert content.read == 0
            found = pieces(content, *sizes)
            assert b"".join(found) == data
            assert all(len(piece) == sizes[at % len(sizes)] for at, piece in enumerate(found[:-1]))
            assert content.read == length
            assert content.checksum() == hashlib.sha256(data).hexdigest()
            assert content.change() == ""
            content.begin(hashlib.sha256(), packed=False)  # a first attempt may end anywhere
            assert content.piece(5) == data[:5]


@pytest.mark.parametrize("length", LENGTHS)
def test_packed_pieces_are_a_gzip_file(length: int) -> None:
    """Its checksum and size are those of the file itself."""
    data = (b"some text %d\n" * (length // 8 + 1))[:length]
    content = LocalFile.of_text(data)
    for _ in range(2):
        content.begin(hashlib.sha256(), packed=True)
        found = b"".join(pieces(content, 4096))
        assert gzip.decompress(found) == data
        assert (content.read, content.checksum()) == (length, hashlib.sha256(data).hexdigest())
    content.begin(hashlib.sha256(), packed=False)
    assert b"".join(pieces(content, 4096)) == data


# --- A file that is not as long as it was

SIZE = READ + 1000


def append(path: Path) -> None:
    """Write one byte more."""
    with path.open("ab") as file:
        file.write(b"x")


def shorten(path: Path) -> None:
    """Cut the last byte off."""
    os.truncate(path, SIZE - 1)


def empty(path: Path) -> None:
    """Leave nothing."""
    os.truncate(path, 0)


@pytest.mark.parametrize("change", [append, shorten, empty])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("read", [0, 1000])
def test_a_file_of_another_length_is_never_sent_completely(
    change: Callable[[Path], None], read: int, tmp_path: Path, *, packed: bool
) -> None:
    """Whenever it changes before its end was read: no piece ends it as if it were whole."""
    path = tmp_path / "file"
    path.write_bytes(_RANDOM.randbytes(SIZE))
    with LocalFile.open(str(path)) as content:
        content.begin(hashlib.sha256(), packed=packed)
        got = content.piece(read) if read else b""
        change(path)
        rest: list[bytes] = []
        with pytest.raises(SettingsError) as caught:
            rest.extend(iter(lambda: content.piece(65_408), b""))
        got += b"".join(rest)
        assert caught.value.name == "file-changed"
        assert f"{path} was changed on this server while it was copied" in str(caught.value)
        if packed:
            assert not zlib.decompressobj(wbits=31).decompress(got)[SIZE - 1 :]


@pytest.mark.parametrize("announced", [0, 6, 8, 100])
def test_the_announced_size_is_the_only_one(announced: int) -> None:
    """Whatever a file is: its bytes are neither more nor fewer."""
    content = LocalFile(io.BytesIO(b"content"), "name", announced, 0o644)
    content.begin(hashlib.sha256(), packed=False)
    with pytest.raises(SettingsError) as caught:
        pieces(content, 100)
    assert caught.value.name == "file-changed"


def shorten_quietly(path: Path) -> None:
    """Change nothing but the length."""
    os.truncate(path, 3)
    os.utime(path, ns=(1_000, 1_000))


def swap(path: Path) -> None:
    """Put another file of the same length and times into a file's place."""
    new = path.with_name("new")
    new.write_bytes(b"CONTENT")
    os.utime(new, ns=(1_000, 1_000))
    new.rename(path)


class Endless(io.BytesIO):
    """A file that grows faster than it is read."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return as much as is asked for, again and again; a test has no use for so much."""
        assert self.seek(size or 0, os.SEEK_CUR) < 16 * READ
        return bytes(size or 0)


def test_a_file_that_grows_is_not_followed() -> None:
    """It is given up as soon as it is longer than announced: its end may never come."""
    for announced in (0, 1, READ - 1, 3 * READ):
        content = LocalFile(Endless(), "name", announced, 0o644)
        content.begin(hashlib.sha256(), packed=False)
        with pytest.raises(SettingsError):
            b"".join(iter(lambda: content.piece(1000), b""))  # noqa: B023
        assert content.read <= announced + READ
    content = LocalFile(io.BytesIO(b"content"), "name", 6, 0o644)
    content.begin(hashlib.sha256(), packed=False)
    with pytest.raises(SettingsError):
        content.piece(3)


CHANGES: list[tuple[str, Callable[[Path], object]]] = [
    ("", lambda _: None),
    ("", lambda path: path.chmod(0o600)),
    ("", lambda path: (path.rename(path.with_name("moved")), path.with_name("moved").rename(path))),
    ("changed", lambda path: os.utime(path, ns=(5, path.stat().st_mtime_ns + 1))),
    ("changed", append),
    ("changed", empty),
    ("changed", shorten_quietly),
    ("replaced or removed", lambda path: path.unlink()),
    ("replaced or removed", swap),
]


@pytest.mark.parametrize(("how", "change"), CHANGES)
def test_a_change_after_the_end_was_read(how: str, change: Callable[[Path], object], tmp_path: Path) -> None:
    """The comparison of the copy detects it. A new mode or name is no change."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    os.utime(path, ns=(1_000, 1_000))
    with LocalFile.open(str(path)) as content:
        content.begin(hashlib.sha256(), packed=False)
        assert pieces(content, 100) == [b"content"]
        change(path)
        said = content.change()
        assert said == (how and f"{path} was {how} on this server while it was copied; the file was not put in place")


def test_a_file_that_was_not_read_to_its_end_is_no_whole_one(tmp_path: Path) -> None:
    """Even if it is as it was."""
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    with LocalFile.open(str(path)) as content:
        content.begin(hashlib.sha256(), packed=False)
        content.piece(10)
        assert "was changed" in content.change()


class Unreadable(io.BytesIO):
    """A file on a broken disk."""

    def read(self, _size: int | None = -1, /) -> bytes:
        """Fail."""
        raise OSError(5, "Input/output error")


def test_a_file_that_cannot_be_read() -> None:
    """This is an error with the system's words, not the end of the file."""
    content = LocalFile(Unreadable(), "name", 0, 0o644)
    content.begin(hashlib.sha256(), packed=False)
    for use in (lambda: content.piece(1), content.as_unix_text):
        with pytest.raises(SettingsError, match="Input/output error") as caught:
            use()
        assert caught.value.name == "file-unreadable"


def test_what_is_known_of_a_file(tmp_path: Path) -> None:
    """Its name and its permissions, without the bits that give a user's rights; and it is closed in the end."""
    path = tmp_path / "a file"
    path.write_bytes(b"text")
    path.chmod(0o4751)
    with LocalFile.open(str(path)) as content:
        assert (content.name, content.size, content.mode) == ("a file", 4, 0o751)
        assert content.head(3) == b"tex"
        assert content.head(3) == b"tex"
    with pytest.raises(ValueError, match="closed file"):
        content.head(1)
    with pytest.raises(SettingsError):
        LocalFile.open(str(path), str(tmp_path / "elsewhere"))
    text = LocalFile.of_text(b"echo\n")
    assert (text.name, text.size, text.mode, text.change()) == ("script", 5, 0o700, "")
    windows = LocalFile.of_text(b"#!/bin/sh\r\necho\r\n").as_unix_text()
    windows.begin(hashlib.sha256(), packed=False)
    assert (b"".join(pieces(windows, 5)), windows.size) == (b"#!/bin/sh\necho\n", 15)


@pytest.mark.parametrize(
    ("data", "worth"),
    [
        (b"", False),
        (b"a" * 1000, False),
        (b"a" * 2000, True),
        (_RANDOM.randbytes(100_000), False),
        (_RANDOM.randbytes(READ - 3000) + bytes(3000), False),  # more than a frame is saved, but only one percent
        (_RANDOM.randbytes(READ - 9000) + bytes(9000), True),
        (bytes(READ // 2) + _RANDOM.randbytes(READ), True),
        (_RANDOM.randbytes(20_000) + bytes(900), False),  # more than two percent, but less than a frame
        (_RANDOM.randbytes(READ) + bytes(READ), False),  # only the beginning is tried
    ],
)
def test_what_is_worth_packing(data: bytes, worth: bool) -> None:
    """What becomes smaller by a frame, and by two percent."""
    assert LocalFile.of_text(data).worth_packing() is worth


@pytest.mark.parametrize("size", [5, 6, 9, 10, 64, 900])
def test_escapes_are_never_cut(size: int) -> None:
    """Each line is as long as it may be, and decodes to its own bytes."""
    for data in (bytes(range(256)) * 3, b"a" * 1000, bytes(1000), b"abcd\0" * 200, _RANDOM.randbytes(2000), b"\\" * 99):
        content = LocalFile.of_text(data)
        content.begin(hashlib.sha256(), packed=False)
        lines = []
        while line := content.escaped(size):
            lines.append(line)
        assert all(size - 5 < len(line) <= size for line in lines[:-1])
        decoded = [re.sub(rb"\\0([0-7]{3})", lambda found: bytes([int(found[1], 8)]), line) for line in lines]
        assert b"".join(decoded) == data
        assert content.checksum() == hashlib.sha256(data).hexdigest()


# --- Checksums


@pytest.mark.parametrize(
    ("data", "printed"),
    [
        (b"", "4294967295"),
        (b"123456789", "930766865"),
        (b"\0" * 300, "351385237"),
        (b"a" * 70_000, "3508083167"),
        (bytes(range(256)), "1313719201"),
    ],
    ids=[*map(str, range(5))],
)
def test_cksum_is_that_of_posix(data: bytes, printed: str) -> None:
    """As the program prints it, in pieces of any size."""
    for step in (1, 7, 100_000):
        made = Cksum()
        for start in range(0, len(data), step):
            made.update(data[start : start + step])
        assert made.hexdigest() == made.hexdigest() == printed


def agent(data: bytes) -> bytes:
    """Change what the agent changes."""
    return data.replace(b"\xef\xbf\xbd", b"\xef")


BACK = [
    b"",
    b"text",
    b"\xef\xbf\xbd",
    b"a\xef\xbf\xbd\xef\xbf\xbdb",
    b"\xef\xbf",
    b"\xef\xbf\xbd\xbf\xbd\xbf\xbdz",
    b"\xef\xef\xbf\xbd\xef\xbf\xbe\xbd",
    "\ufffd€\uffff".encode(),
    b"\0a\0\xef\0\xbf\xbd\0",
]


@pytest.mark.parametrize("without_nuls", [False, True])
@pytest.mark.parametrize("data", BACK)
def test_a_file_sent_back_is_recognised(data: bytes, *, without_nuls: bool) -> None:
    """Wherever both are cut, and only if it is the same one."""

    def made(*parts: bytes) -> str:
        back = EchoDigest(without_nuls=without_nuls)
        for part in parts:
            back.update(part)
            back.hexdigest()  # asking changes nothing
        return back.hexdigest()

    sent = agent(data.replace(b"\0", b"") if without_nuls else data)
    whole = made(data)
    for at in range(len(data) + 1):
        assert made(data[:at], data[at:]) == whole
    for at in range(len(sent) + 1):
        assert made(sent[:at], sent[at:]) == whole
    assert made(*(bytes([byte]) for byte in data)) == whole
    for other in (data + b"x", b"x" + data, data + b"\xef", data + b"\xbf", data[:-1] + b"y"):
        assert made(other) != whole
    assert (made(data + b"\0") == whole) is without_nuls


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ("sha256sum", "sha256"),
        ("sha512sum", "sha512"),
        ("openssl", "sha256"),
        ("sha1sum", "sha1"),
        ("md5sum", "md5"),
    ],
)
def test_each_tool_has_its_digest(tool: str, name: str) -> None:
    """The same as the container's."""
    made = digest(tool)
    made.update(b"con")
    made.update(b"tent")
    assert made.hexdigest() == hashlib.new(name, b"content", usedforsecurity=False).hexdigest()


def test_other_tools_have_others() -> None:
    """POSIX's, and those of a file that is sent back; none has none."""
    assert isinstance(digest("cksum"), Cksum)
    for tool, same in (("cat", False), ("read", True)):
        one, other = digest(tool), digest(tool)
        one.update(b"a\0b")
        other.update(b"ab")
        assert (one.hexdigest() == other.hexdigest()) is same
    with pytest.raises(ValueError, match="unsupported"):
        digest("sha3x")
