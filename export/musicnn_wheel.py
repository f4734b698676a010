"""What the wheel of musicnn 0.1.0 holds: configuration and checkpoints, read without running any of its code."""

import ast
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from musiczoo.errors import ModelFileError
from musiczoo.taxonomy import TAGS

MEMBERS = (".meta", ".index", ".data-00000-of-00001")
"""What the names of a checkpoint's files end with, after its prefix."""

_CONFIGURATION = "musicnn/configuration.py"
_MAX_BYTES = 64 * 2**20
_MAX_SOURCE = 64 * 2**10
_FETCH = "Fetch it with: pip download --no-deps musicnn==0.1.0"

_BAD_ZIP = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, LookupError)
_NO_WHEEL = (*_BAD_ZIP, ValueError, TypeError, SyntaxError, MemoryError)
"""What the standard library raises for no zip, a damaged or encrypted one, or a missing member; and for source that is
nested too deeply."""


@dataclass(frozen=True)
class Network:
    """One network of the wheel.

    Attributes:
        name: Its name in the zoo.
        folder: Its folder inside the wheel.
        summary: One line for the card.
        published: Figures on the test split of the Million Song Dataset, as the authors report them.
    """

    name: str
    folder: str
    summary: str
    published: Mapping[str, float]


NETWORKS = (
    Network(
        name="musicnn-msd",
        folder="musicnn/MSD_musicnn",
        summary="musicnn: convolutions shaped for timbre and rhythm; 50 Million Song Dataset tags.",
        published={"MSD test ROC-AUC": 0.880, "MSD test PR-AUC": 0.289},
    ),
    Network(
        name="vgg-msd",
        folder="musicnn/MSD_vgg",
        summary="VGG: five 3x3 convolutions; 50 Million Song Dataset tags.",
        published={"MSD test ROC-AUC": 0.877, "MSD test PR-AUC": 0.282},
    ),
)


def unpack(wheel: Path, network: Network, folder: Path) -> Path:
    """Copy a network's checkpoint out of the wheel.

    Only three named members are read, and written under names of our own.

    Args:
        wheel: The .whl file.
        network: Which network.
        folder: Where to; it is made.

    Returns:
        The checkpoint's prefix, as `tf.train.load_checkpoint` takes it.

    Raises:
        ModelFileError: If the file is not the wheel of musicnn 0.1.0.
    """
    prefix = folder / "model"
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                name = PurePosixPath(info.filename.replace("\\", "/"))
                if name.is_absolute() or ".." in name.parts:
                    raise wrong_wheel(wheel, f"a member that points outside of it ({info.filename!r})")
                if info.file_size > (_MAX_SOURCE if info.filename == _CONFIGURATION else _MAX_BYTES):
                    raise wrong_wheel(wheel, f"{info.filename} of {info.file_size} bytes")
            if _labels(archive.read(_CONFIGURATION).decode()) != TAGS:
                raise wrong_wheel(wheel, "other tags, or another order")
            folder.mkdir(parents=True)
            for suffix in MEMBERS:
                Path(f"{prefix}{suffix}").write_bytes(archive.read(f"{network.folder}/{suffix}"))
    except ModelFileError:
        raise
    except _NO_WHEEL as error:
        raise wrong_wheel(wheel, str(error) or type(error).__name__) from error
    return prefix


def wrong_wheel(wheel: Path, received: str) -> ModelFileError:
    """The error for another file."""
    return ModelFileError(f"Expected the wheel of musicnn 0.1.0 at {wheel}, received {received}. {_FETCH}")


def _labels(source: str) -> tuple[str, ...]:
    """MSD_LABELS of the wheel's configuration.py, read without running it."""
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "MSD_LABELS":
            return tuple(ast.literal_eval(statement.value))
    raise KeyError(f"no MSD_LABELS in {_CONFIGURATION}")
