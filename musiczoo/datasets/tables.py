"""CSV and TSV files, row by row, with errors that name the line."""

import csv
from collections.abc import Iterator
from pathlib import Path

from ..errors import DatasetError
from .downloads import open_text

_SHOWN = 100
"""Most characters of a file that an error shows."""

_LONGEST_CELL = 1 << 24
"""Characters; the csv module keeps one limit for the whole process, which is only ever raised here."""


def read_rows(path: Path, delimiter: str = ",", line_breaks: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table that are not empty, with their line.

    The text is UTF-8, with or without a byte order mark, or UTF-16 with one. A cell has 131,072 characters at most, or
    16 million where it may hold line breaks (biographies are long).

    Args:
        path: The table.
        delimiter: What is between the cells.
        line_breaks: Whether a cell may hold a line break. In most tables none does, so that one betrays a quote that
            was left open.

    Raises:
        DatasetError: If there is no such file, or it is no such table (see `musiczoo.datasets.downloads`).
    """
    if line_breaks:
        csv.field_size_limit(max(_LONGEST_CELL, csv.field_size_limit()))
    with open_text(path, "a table") as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for row in reader:
                if not line_breaks and any("\n" in cell for cell in row):
                    raise csv.Error("a line break in a cell: is a quote left open?")
                if any(cell.strip() for cell in row):
                    yield reader.line_num, row
        except OSError as error:
            raise DatasetError(f"Cannot read {path}: {error}.") from error
        except UnicodeError as error:
            raise DatasetError(f"{path}: expected UTF-8, got {error}. Save it as UTF-8.") from error
        except csv.Error as error:
            raise DatasetError(f"{path}, line {reader.line_num}: expected a table, got {error}.") from error


def read_table(path: Path, delimiter: str, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table with a header, as column -> cell, with their line.

    Raises:
        DatasetError: If there is no such file, it lacks a required column, names one twice, or has a row of
            another length.
    """
    rows = read_rows(path, delimiter)
    _, header = next(rows, (0, []))
    columns = [name.strip() for name in header]
    absent = [name for name in required if name not in columns]
    if absent or len(set(columns)) != len(columns):
        raise DatasetError(
            f"{path}: expected a first line with distinct columns, among them {', '.join(required)}, got "
            f"{', '.join(columns)[:_SHOWN] or 'none'}{' ...' if len(', '.join(columns)) > _SHOWN else ''}."
        )
    for line, row in rows:
        if len(row) != len(columns):
            raise DatasetError(
                f"{path}, line {line}: expected {len(columns)} cells, got {len(row)}. "
                "If this is its last line, the file is cut: fetch it again."
            )
        yield line, dict(zip(columns, row, strict=True))
