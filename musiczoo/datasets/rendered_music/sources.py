"""The packages that renderings are made of: soundfonts, and recordings of people who speak.

Conventions
-----------
- A *speaker* is one voice: a name and the recordings in one folder of a package.
- Packages are fetched by ``apt-get download`` and read without installing them: see
  `musiczoo.datasets.open_music.debian`.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import soundfile

from ..._files import atomic_file
from ...errors import DatasetError, MissingDependencyError
from ..open_music import debian
from ..prepared import SPLITS

SOURCES = Path(__file__).with_name("sources.toml")

MORE = "more"
"""In the place of a split: for the grooves of `musiczoo.datasets.rendered_music.styles.Family.more`."""

MOST_RECORDINGS = 60
"""Recordings used of a speaker, in the order of their names."""

_G722_RATE = 16000
_FORMATS = (".ogg", ".oga", ".opus", ".wav", ".g722")


@dataclass(frozen=True)
class Soundfont:
    """A file of instruments in a package, and the splits (or `MORE`) whose music it plays."""

    package: str
    version: str
    member: str
    licence: str
    splits: tuple[str, ...]


@dataclass(frozen=True)
class Speaker:
    """A voice: recordings in a folder of a package, and the split (or `MORE`) whose songs it sings.

    Its register is ``low`` (most men), ``high`` (most women) or empty where that is not clear.
    """

    name: str
    package: str
    version: str
    folder: str
    licence: str
    split: str
    register: str


@cache
def _content() -> dict[str, Any]:
    return tomllib.loads(SOURCES.read_text(encoding="utf-8"))


def soundfonts() -> tuple[Soundfont, ...]:
    """Return all soundfonts.

    Examples:
        >>> {split for font in soundfonts() for split in font.splits} == {"train", "validation", "test", "more"}
        True
    """
    return tuple(Soundfont(**{**entry, "splits": tuple(entry["splits"])}) for entry in _content()["soundfont"])


def speakers() -> tuple[Speaker, ...]:
    """Return all speakers.

    Examples:
        >>> len({speaker.name for speaker in speakers()}) == len(speakers())
        True
    """
    return tuple(
        Speaker(
            f"{entry.get('prefix', '')}{name}",
            entry["package"],
            entry["version"],
            entry["folder"].format(name),
            entry["licence"],
            split,
            next((register for register in ("low", "high") if name in entry.get(register, ())), ""),
        )
        for entry in _content()["speakers"]
        for split in (*SPLITS, MORE)
        for name in entry.get(split, ())
    )


def fetch_soundfont(font: Soundfont, out: Path, packages_dir: Path | str | None) -> Path:
    """Extract a soundfont.

    Args:
        font: Which.
        out: Folder for it.
        packages_dir: Folder with the .deb files; None downloads them.

    Returns:
        Its file.

    Raises:
        DatasetError: If the package cannot be fetched or lacks the file.
    """
    target = out / PurePosixPath(font.member).name
    if not target.exists():
        deb = debian.obtain(font.package, font.version, out, packages_dir)
        for _, content in debian.members(deb, [font.member], spool=out):
            _write(target, content)
        if not target.exists():
            raise DatasetError(f"{deb.name} does not hold {font.member}. Fetch version {font.version}.")
    return target


def fetch_recordings(speaker: Speaker, out: Path, packages_dir: Path | str | None) -> list[Path]:
    """Extract up to `MOST_RECORDINGS` recordings of a speaker.

    Args:
        speaker: Which.
        out: Folder for them; each speaker gets a folder of its own inside.
        packages_dir: Folder with the .deb files; None downloads them.

    Returns:
        Their files, in the order of their names.

    Raises:
        DatasetError: If the package cannot be fetched or has no recordings of the speaker.
        MissingDependencyError: If a recording in G.722 takes the [av] extra.
    """
    folder, done = out / speaker.name, out / speaker.name / "complete"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        deb = debian.obtain(speaker.package, speaker.version, out, packages_dir)
        names = sorted(
            name
            for name in debian.names(deb)
            if name.startswith(speaker.folder) and name.endswith(_FORMATS) and "silence" not in name
        )
        if not names:
            raise DatasetError(f"{deb.name} holds no recordings in {speaker.folder}. Fetch version {speaker.version}.")
        step = max(1, len(names) // MOST_RECORDINGS)
        for name, content in debian.members(deb, names[::step][:MOST_RECORDINGS], spool=out):
            flat = name.removeprefix(speaker.folder).replace("/", "-")
            _write(folder / flat, content)
            if flat.endswith(".g722"):
                _convert(folder / flat)
        done.touch()
    return sorted(path for path in folder.iterdir() if path.suffix in (*_FORMATS, ".flac"))


def _write(target: Path, content: bytes) -> None:
    with atomic_file(target) as file:
        file.write(content)


def _convert(path: Path) -> None:
    """Replace a file in G.722, which has no header, by FLAC."""
    try:
        import av
    except ImportError as error:
        raise MissingDependencyError(
            "Recordings in G.722 need PyAV. Install it with: pip install 'musiczoo[av]'"
        ) from error
    import numpy as np

    def frames() -> Iterator[Any]:
        with av.open(str(path), format="g722") as container:
            for frame in container.decode(audio=0):
                yield frame.to_ndarray().reshape(-1)

    samples = np.concatenate([*frames(), np.zeros(0, np.int16)])
    soundfile.write(path.with_suffix(".flac"), samples, _G722_RATE)
    path.unlink()
