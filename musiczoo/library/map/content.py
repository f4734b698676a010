"""The data of a map's page, packed: about 350 bytes a track.

Conventions
-----------
- Arrays are base64 of little-endian numbers, row by row: positions uint16 ``[tracks, 2]``, neighbors uint16 (uint32 for
  more than 65,536 tracks) ``[tracks, k]``, their cosines uint8 ``[tracks, k]`` (cosine * 255, none below 0),
  probabilities uint8 ``[tracks, tags]`` (p * 255, rounded so that none crosses its threshold).
- A path is stored relative to ``root``, as text. Its URL is ``base`` and the path's parts, percent-encoded; where the
  name is not text, ``urls`` holds the encoded path.
"""

import base64
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ..._neighbors import nearest
from ..._paths import absolute, as_text, to_bytes
from ..records import Entry, LibraryConfig
from ..vectors import units
from . import layout

NEIGHBOURS = 8
"""Number of nearest tracks listed for each track and space."""
WHOLE = "all"
_FULL = 255

Progress = Callable[[str], None]


def page_content(
    config: LibraryConfig, entries: Sequence[Entry], out: Path, method: str, progress: Progress = lambda step: None
) -> dict[str, Any]:
    """Return the data that the page's script reads, ready for JSON.

    Args:
        config: The library's configuration.
        entries: The tracks, one or more.
        out: The page's file: links to the tracks are relative to its folder.
        method: One of `layout.METHODS`.
        progress: Called with a description of the next step.
    """
    root = _common_folder([entry.path for entry in entries])
    paths = [_below(entry.path, root) for entry in entries]
    thresholds = np.array([config.thresholds[tag] for tag in config.tags])
    return {
        "model": f"{config.model} {config.version}",
        "spaces": _spaces(config, np.stack([entry.embedding for entry in entries]), method, progress),
        "tags": list(config.tags),
        "dimensions": {name: [config.tags.index(tag) for tag in tags] for name, tags in config.dimensions.items()},
        "thresholds": _limits(thresholds).tolist(),
        "probabilities": packed(_rounded(np.stack([entry.tags for entry in entries]), thresholds)),
        "root": as_text(f"{Path(root).as_posix().rstrip('/')}/") if root else "",
        "base": folder_url(root, out.parent) if root else "file:///",
        "paths": [as_text(path) for path in paths],
        "urls": {str(i): escaped(path) for i, path in enumerate(paths) if not _is_text(path)},
        "titles": [as_text(entry.title or "") for entry in entries],
        "artists": [as_text(entry.artist or "") for entry in entries],
        "seconds": [round(entry.duration_s) for entry in entries],
    }


def neighbors(vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the k nearest other tracks of each track; silent tracks have none and are none.

    Args:
        vectors: ``[tracks, columns]``, of length 1, or 0 for silent tracks.
        k: Number of neighbors; fewer if there are fewer other tracks.

    Returns:
        Their rows ``[tracks, k]``, nearest first, and cosines ``[tracks, k]``. Where there are fewer, the rest are the
        track's own row and 0.
    """
    count = len(vectors)
    audible = np.flatnonzero(vectors.any(axis=1))
    rows = np.tile(np.arange(count)[:, None], (1, min(k, count - 1)))
    cosines = np.zeros(rows.shape)
    found, scores = nearest(vectors[audible], k)
    rows[audible, : found.shape[1]] = audible[found]
    cosines[audible, : found.shape[1]] = scores
    return rows, cosines


def packed(array: NDArray[Any]) -> str:
    """Return an array as base64 of its numbers, little-endian."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def folder_url(folder: str, start: Path) -> str:
    """Return the URL of a folder, ending with a slash: relative to another, or ``file:`` if it is on another drive."""
    try:
        steps = os.path.relpath(folder, absolute(start))
    except ValueError:  # another drive
        return f"{Path(folder).as_uri()}/"
    return f"./{escaped(Path(steps).as_posix())}/"  # ./ since a first part such as a:b would be a scheme


def escaped(path: str) -> str:
    """Return a path with slashes as part of a URL, whatever the bytes of its names."""
    return quote(to_bytes(path), safe="/")


def _spaces(
    config: LibraryConfig, embeddings: NDArray[np.float32], method: str, progress: Progress
) -> list[dict[str, Any]]:
    """Return the data of the whole space and of its parts; a model with one space has no parts."""
    parts = {name: units(embeddings[:, start:stop]) for name, (start, stop) in config.spaces.items()}
    whole = np.concatenate(list(parts.values()), axis=1) * len(parts) ** -0.5
    found = {WHOLE: whole} | (parts if len(parts) > 1 else {})
    index = np.uint16 if len(embeddings) <= 1 << 16 else np.uint32
    spaces = []
    for number, (name, vectors) in enumerate(found.items(), 1):
        progress(f"{layout.LABELS[method]} of {name} ({number} of {len(found)})")
        label, points = layout.project(vectors, method)
        rows, cosines = neighbors(vectors.astype(np.float32), NEIGHBOURS)
        spaces.append(
            {
                "name": name,
                "method": label,
                "places": packed(layout.quantise(points)),
                "near": packed(rows.astype(index)),
                "cosines": packed(np.rint(cosines.clip(0, 1) * _FULL).astype(np.uint8)),
            }
        )
    return spaces


def _limits(thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the lowest rounded probability that reaches each threshold."""
    return np.ceil(_FULL * thresholds).astype(np.int64)


def _rounded(probabilities: NDArray[np.float32], thresholds: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return ``[tracks, tags]`` from 0 to 255: those that reach their threshold stay at or above it, others below."""
    limits = _limits(thresholds)
    nearest_step = np.rint(probabilities * _FULL)
    reaches = probabilities >= thresholds
    return np.where(reaches, np.maximum(nearest_step, limits), np.minimum(nearest_step, limits - 1)).astype(np.uint8)


def _common_folder(paths: Sequence[str]) -> str:
    """Return the folder that contains all paths; empty if they are on several drives."""
    try:
        return os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:
        return ""


def _below(path: str, root: str) -> str:
    return Path(os.path.relpath(path, root) if root else path).as_posix()


def _is_text(name: str) -> bool:
    return to_bytes(as_text(name)) == to_bytes(name)
