"""Archives that somebody else packed: the wheel of musicnn, the npm package of a page, a Debian package's files."""

import hashlib
import io
import random
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from unittest.mock import patch

import havoc

from musiczoo.datasets import magnatagatune
from musiczoo.datasets.open_music import debian
from musiczoo.export import musicnn_wheel
from musiczoo.export.web import runtime
from musiczoo.taxonomy import TAGS

KINDS = ("wheel", "npm", "debian")
"""The first byte of an input says which of these it is; tar files are without compression, which would hide them."""

WANTED = ("usr/one.ogg", "usr/all.zip!/in/two.ogg")
NAMES = (
    *(*WANTED, "usr/all.zip", "package/dist/ort.wasm.min.mjs", "musicnn/configuration.py", "musicnn/MSD_vgg/.index"),
    *("../outside", "/tmp/outside", "a/../../outside", "..\\outside", "C:\\outside", ".", "", "a\0b", "x" * 300),
)
TYPES = (
    *(tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE),
    *(tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE),
)
SOURCES = (
    "MSD_LABELS = " + "(" * 5000,
    "MSD_LABELS = " + "-" * 60_000 + "1",
    "MSD_LABELS = 5",
    "MSD_LABELS = {1: 2}",
    "MSD_LABELS = __import__('os').system('true')",
    "MSD_LABELS = [" + "[" * 90 + "]" * 90 + "]",
    "x" * 70_000,
)


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    """A tar file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _wheel(source: str) -> dict[str, bytes]:
    names = [f"{n.folder}/{end}" for n in musicnn_wheel.NETWORKS for end in (".index", ".data-00000-of-00001")]
    return {"musicnn/configuration.py": source.encode(), **dict.fromkeys(names, b"x")}


def seeds() -> list[bytes]:
    """Two of each."""
    mtt = [tag for tags in magnatagatune.DIMENSIONS.values() for tag in tags]
    wheel = _wheel(f"SR = 16000\nMTT_LABELS = {mtt!r}\nMSD_LABELS = {list(TAGS)!r}\n")
    npm = {f"package/dist/{name}": b"javascript" for name in runtime.FILES}
    deb = {"./usr/one.ogg": b"one", "usr/all.zip": zipped({"in/two.ogg": b"two"})}
    bomb = {"usr/all.zip": zipped({"in/two.ogg": bytes(2_000_000)})}
    return [
        *(b"\0" + zipped(wheel), b"\0" + zipped(wheel, zipfile.ZIP_STORED)),
        *(b"\1" + tarred(npm), b"\1" + tarred({**npm, "package/dist/more": bytes(2000)})),
        *(b"\2" + tarred(deb), b"\2" + tarred(bomb)),
    ]


def run(data: bytes) -> None:
    """Take out of it what is wanted; nothing may land elsewhere than in the folder, under names of our own."""
    kind, content = (data[0] % len(KINDS), data[1:]) if data else (0, b"")
    out = Path("out")
    if kind == 0:
        Path("musicnn.whl").write_bytes(content)
        with (
            patch.object(musicnn_wheel, "SHA256", hashlib.sha256(content).hexdigest()),
            musicnn_wheel.open_wheel(Path("musicnn.whl")) as archive,
        ):
            for network in musicnn_wheel.NETWORKS:
                assert len(musicnn_wheel.read_tags(archive, network)) == len(TAGS)
                assert all(
                    len(part) <= musicnn_wheel.MAX_BYTES for part in musicnn_wheel.read_checkpoint(archive, network)
                )
    elif kind == 1:
        out.mkdir()
        Path("package.tgz").write_bytes(zlib.compress(content, 1, wbits=31))
        runtime.copy_runtime(out, Path("package.tgz"))
        assert {path.name for path in out.iterdir()} == {*runtime.FILES.values(), *runtime.LICENCES}
    else:
        out.mkdir()
        # What dpkg-deb, a separate program, makes of a package is a tar file.
        with patch.object(debian, "_files", lambda deb: debian.tar_files(io.BytesIO(content))):
            for name, _ in debian.members(Path("a.deb"), WANTED, out):
                assert name in WANTED
        assert not list(out.iterdir())


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A member added or changed, a field of a header; or bytes."""
    kind, content = data[:1], data[1:]
    if kind == b"\0" and dice.random() < 0.3:
        return kind + zipped(_wheel(dice.choice(SOURCES)) | {dice.choice(NAMES) or "x": dice.randbytes(9)})
    if kind == b"\0" and dice.random() < 0.5:
        return kind + _zip_field(content, dice)
    if kind not in (b"\1", b"\2") or dice.random() < 0.3:
        return kind + havoc.mutate(content, dice)
    at = 512 * dice.randrange(max(len(content) // 512, 1))
    header = _header(dice) if dice.random() < 0.5 else content[at : at + 512]
    if dice.random() < 0.3 and len(header) == 512:  # a size, a type or a link in a header, its sum made true
        place, value = dice.choice(((124, 12), (156, 1), (157, 100), (0, 100), (483, 12), (386, 12), (482, 1)))
        word = dice.choice((*(name.encode() for name in NAMES), *TYPES, b"%011o" % dice.choice(havoc.NUMBERS)))
        header = _summed(havoc.overwritten(header, place, word[:value].ljust(value, b"\0")))
    return kind + content[:at] + header + content[at + 512 * dice.randrange(2) :]


def _header(dice: random.Random) -> bytes:
    member = tarfile.TarInfo(dice.choice(NAMES[:-2]))
    member.type, member.linkname = dice.choice(TYPES), dice.choice(NAMES[:-2])
    member.size = dice.choice((0, 0, 3, 512, 1 << 30, 1 << 40))
    return member.tobuf(tarfile.GNU_FORMAT)


def _summed(header: bytes) -> bytes:
    blank = havoc.overwritten(header, 148, b" " * 8)
    return havoc.overwritten(header, 148, b"%06o\0 " % sum(blank))


def _zip_field(content: bytes, dice: random.Random) -> bytes:
    marks = [at for mark in (b"PK\1\2", b"PK\3\4", b"PK\5\6") for at in _places(content, mark)]
    if not marks:
        return content
    offset = dice.choice((4, 6, 8, 10, 14, 16, 18, 20, 22, 24, 26, 28, 30, 42))
    size = struct.calcsize(form := dice.choice(("<H", "<I")))
    return havoc.overwritten(content, dice.choice(marks) + offset, havoc.number(size, form[0] == ">", dice))


def _places(content: bytes, mark: bytes) -> list[int]:
    found, at = [], content.find(mark)
    while at >= 0:
        found.append(at)
        at = content.find(mark, at + 1)
    return found
