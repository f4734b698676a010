"""Files that a person downloaded: opened here, where a damaged download gets its name.

What arrives in place of a table is often something else: a web page with an error, the pointer that Git LFS leaves, the
file still packed. Each is refused with what it is and what to do; all readers of published files open them here.
"""

import codecs
import io
import re
from pathlib import Path
from typing import BinaryIO, TextIO

from ..errors import DatasetError

PACKED = {
    b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz",
    b"(\xb5/\xfd": "Zstandard", b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!": "RAR",
}  # fmt: skip
"""First bytes of a packed file -> its format."""

PACKED_SUFFIXES = (".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar.gz", ".tgz")

_PAGE = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<error", b"<!--")
_ANNEXED = re.compile(rb"/annex/objects/|(\.\./)*\.git/annex/objects/")
"""How git-annex's pointer files begin: an unlocked file's, or a link's that was written out as text."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TAR_MAGIC = slice(257, 262)
_HEAD_BYTES = 512


def open_binary(path: Path, what: str) -> BinaryIO:
    """Open a published file at its first byte, once that is sure to be no damaged download.

    Args:
        path: The file.
        what: What it should be, for the error: ``"a table"``.

    Raises:
        DatasetError: If there is no such file, it cannot be read or is empty, or is a Git LFS or git-annex pointer,
            a web page or a packed file.
    """
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        raise DatasetError(f"Expected {what} at {path}, got {error}.{unpack_hint(path)}") from error
    try:
        damage = name_damage(file.read(_HEAD_BYTES))
        file.seek(0)
    except OSError as error:
        file.close()
        raise DatasetError(f"Cannot read {path}: {error}.") from error
    if damage:
        file.close()
        raise DatasetError(f"Expected {what} at {path}, got {damage}")
    return file


def open_text(path: Path, what: str) -> TextIO:
    """Open a published text file: UTF-8, with or without a byte order mark, or UTF-16 with one.

    Line ends are kept as they are. Reading may raise `UnicodeDecodeError`.

    Raises:
        DatasetError: As `open_binary`.
    """
    file = open_binary(path, what)
    start = file.read(2)
    file.seek(0)
    return io.TextIOWrapper(file, encoding="utf-16" if start in _UTF_16 else "utf-8-sig", newline="")


def read_text(path: Path, what: str) -> str:
    """Return all of a published text file.

    Raises:
        DatasetError: As `open_binary`, or if the text is not UTF-8 or marked UTF-16.
    """
    try:
        with open_text(path, what) as file:
            return file.read()
    except UnicodeError as error:
        raise DatasetError(f"{path}: expected UTF-8, got {error}. Save it as UTF-8.") from error
    except OSError as error:
        raise DatasetError(f"Cannot read {path}: {error}.") from error


def name_damage(head: bytes) -> str:
    """Return what a file is in place of what was published, and what to do; empty if nothing speaks against it.

    Args:
        head: Its first 512 bytes.
    """
    if not head:
        return "an empty file. Fetch it again, or write it."
    if head.startswith(b"version https://git-lfs.github.com/"):
        return "a Git LFS pointer, which stands for the file. Run `git lfs pull` in its repository, or fetch the file."
    if _ANNEXED.match(head):
        return "a git-annex pointer, which stands for the file. Run `git annex get` in its repository."
    if head.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith(_PAGE):
        return "a web page, perhaps one that asks to log in or tells of an error. Open the address in a browser."
    packed = next((name for magic, name in PACKED.items() if head.startswith(magic)), None)
    if packed is None and head[_TAR_MAGIC] == b"ustar":
        packed = "tar"
    return f"a packed file ({packed}). Unpack it first." if packed else ""


def unpack_hint(path: Path) -> str:
    """Return a sentence about a packed copy beside a missing file; empty if there is none."""
    for suffix in PACKED_SUFFIXES:
        for packed in (path.with_name(path.name + suffix), path.with_name(path.stem + suffix)):
            try:
                found = packed.is_file()
            except (OSError, ValueError):
                continue
            if found:
                return f" {packed.name} is there: unpack it."
    return ""
