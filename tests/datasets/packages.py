"""Debian packages, zip files and definitions made on the spot."""

import csv
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

from musiczoo.datasets.open_music.definition import Recording


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The bytes of a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def recording(member: str, content: bytes, **changes: object) -> Recording:
    """A row of 2 s in the package alpha, train split."""
    row = {
        "split": "train", "package": "alpha", "version": "1.0-1", "member": member,
        "sha256": hashlib.sha256(content).hexdigest(), "duration_s": 2.0, "use_s": 2.0, "licence": "CC0",
    }  # fmt: skip
    return Recording(**{**row, **changes})  # type: ignore[arg-type]


def write_definition(path: Path, recordings: list[Recording]) -> Path:
    """The CSV of some recordings."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Recording)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in recordings)
    return path
