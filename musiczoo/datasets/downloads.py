"""Open published files that the user downloaded: text, tables (CSV and TSV) and binary files.

A download is often not the expected file but a web page with an error, a Git LFS pointer or a packed file. All readers
of published files open them here, so that the error says what the file is and what to do.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
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
"""Start of git-annex pointer files: of an unlocked file, or of a link that was written as text."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TAR_MAGIC = slice(257, 262)
_HEAD_BYTES = 512

_SHOWN = 100
"""Longest excerpt of a file in an error, in characters."""

_LONGEST_CELL = 1 << 24
"""Characters. The csv module has one limit for the whole process; it is only ever raised here."""


def open_binary(path: Path, what: str) -> BinaryIO:
    """Open a published file after checking that it is not a damaged download.

    Args:
        path: The file.
        what: The kind of file that is expected, for the error: ``"a table"``.

    Returns:
        The file, at its first byte.

    Raises:
        DatasetError: If there is no such file, it cannot be read or is empty, or is a Git LFS or git-annex pointer, a
            web page or a packed file.
    """
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: an impossible path
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

    Line endings are kept. Reading may raise `UnicodeDecodeError`.

    Args:
        path: The file.
        what: See `open_binary`.

    Raises:
        DatasetError: As `open_binary`.
    """
    file = open_binary(path, what)
    start = file.read(2)
    file.seek(0)
    return io.TextIOWrapper(file, encoding="utf-16" if start in _UTF_16 else "utf-8-sig", newline="")


def read_text(path: Path, what: str) -> str:
    """Return the text of a published file.

    Args:
        path: The file.
        what: See `open_binary`.

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
    """Return what a damaged download is and what to do about it; empty if the file looks undamaged.

    Args:
        head: The first 512 bytes of the file.

    Example:
        >>> name_damage(b"<!DOCTYPE html>")[:10], name_damage(b"path,tags")
        ('a web page', '')
    """
    if not head:
        return "an empty file. Download it again, or write it."
    if head.startswith(b"version https://git-lfs.github.com/"):
        return "a Git LFS pointer instead of the file. Run `git lfs pull` in its repository, or download the file."
    if _ANNEXED.match(head):
        return "a git-annex pointer instead of the file. Run `git annex get` in its repository."
    if head.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith(_PAGE):
        return "a web page, perhaps a login or error page. Open the address in a browser."
    packed = next((name for magic, name in PACKED.items() if head.startswith(magic)), None)
    if packed is None and head[_TAR_MAGIC] == b"ustar":
        packed = "tar"
    return f"a packed file ({packed}). Unpack it first." if packed else ""


def unpack_hint(path: Path) -> str:
    """Return a sentence about a packed copy of a missing file in the same folder; empty if there is none."""
    for suffix in PACKED_SUFFIXES:
        for packed in (path.with_name(path.name + suffix), path.with_name(path.stem + suffix)):
            try:
                found = packed.is_file()
            except (OSError, ValueError):
                continue
            if found:
                return f" {packed.name} exists: unpack it."
    return ""


def read_rows(path: Path, delimiter: str = ",", line_breaks: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield the non-empty rows of a CSV or TSV file with their line numbers.

    The text is UTF-8, with or without a byte order mark, or UTF-16 with one. A cell has at most 131,072 characters, or
    16 million if it may contain line breaks (biographies are long).

    Args:
        path: The table.
        delimiter: Character between the cells.
        line_breaks: Whether a cell may contain a line break. Elsewhere a line break is an error, since it comes from an
            unclosed quote.

    Raises:
        DatasetError: As `open_text`, or if the text is not UTF-8 or not a table, with the line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "tags.csv")
        ...     _ = path.write_text("path,tags\\none.mp3,sad\\n")
        ...     print(list(read_rows(path)))
        [(1, ['path', 'tags']), (2, ['one.mp3', 'sad'])]
    """
    if line_breaks:
        csv.field_size_limit(max(_LONGEST_CELL, csv.field_size_limit()))
    with open_text(path, "a table") as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for row in reader:
                if not line_breaks and any("\n" in cell for cell in row):
                    raise csv.Error("a line break in a cell: is a quote unclosed?")
                if any(cell.strip() for cell in row):
                    yield reader.line_num, row
        except OSError as error:
            raise DatasetError(f"Cannot read {path}: {error}.") from error
        except UnicodeError as error:
            raise DatasetError(f"{path}: expected UTF-8, got {error}. Save it as UTF-8.") from error
        except csv.Error as error:
            raise DatasetError(f"{path}, line {reader.line_num}: expected a table, got {error}.") from error


def read_table(path: Path, delimiter: str, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table with a header as column -> cell, with their line numbers.

    Args:
        path: The table.
        delimiter: Character between the cells.
        required: Columns that the table must have.

    Raises:
        DatasetError: As `read_rows`, or if the table lacks a required column, names one twice, or has a row of another
            length.
    """
    rows = read_rows(path, delimiter)
    _, header = next(rows, (0, []))
    columns = [name.strip() for name in header]
    absent = [name for name in required if name not in columns]
    if absent or len(set(columns)) != len(columns):
        raise DatasetError(
            f"{path}: expected a first line with distinct columns, including {', '.join(required)}, got "
            f"{', '.join(columns)[:_SHOWN] or 'none'}{' ...' if len(', '.join(columns)) > _SHOWN else ''}."
        )
    for line, row in rows:
        if len(row) != len(columns):
            raise DatasetError(
                f"{path}, line {line}: expected {len(columns)} cells, got {len(row)}. "
                "If this is its last line, the file is incomplete: download it again."
            )
        yield line, dict(zip(columns, row, strict=True))
