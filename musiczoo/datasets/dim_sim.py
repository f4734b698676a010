"""dim-sim: human judgements of which of two excerpts is more similar to a third.

Source: Lee et al., "Disentangled Multidimensional Metric Learning for Music Similarity", ICASSP 2020
(arXiv:2008.03720). 4,000 triplets of 3-second excerpts of the Million Song Dataset's previews; *clean* are the 879
on which nine of ten annotators agree.

Files
-----
ROOT/clean-dim-sim.csv, or .json, and ROOT/raw-dim-sim.csv, or .json. JSON may be a list of rows, a dict of rows by
number, or columns (dicts of cells by row number, or lists of cells). Ids are those of the Million Song Dataset, so the
audio is found by `musiczoo.datasets.msd`.

Of the published columns, `COLUMNS`, three ids, three starts in seconds and two votes are needed: `REQUIRED`. Without
`triplet_id`, the name of a triplet is its row, counted from 0; without `clip_lengths_seconds`, excerpts have `CLIP_S`.

The votes are the numbers of people who found song 1 or song 2 more similar. In the published clean version one is 1 and
the other 0; a copy may have counts such as 9 and 1, of which the larger wins. Triplets with equal votes have no winner
and are left out; the clean version has none.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from ..errors import DatasetError, UnknownNameError
from . import msd
from .check import Report, check_audio, problem
from .downloads import read_table, read_text, unpack_hint

NAME = "dim_sim"
PUBLISHED = {"clean": 879, "raw": 4000}
"""Version -> number of triplets."""

COLUMNS = (
    "triplet_id", "anchor_id", "anchor_start_seconds", "anchor_start_samples", "song1_id", "song1_start_seconds",
    "song1_start_samples", "song2_id", "song2_start_seconds", "song2_start_samples", "sampling_rate",
    "clip_lengths_seconds", "clip_lengths_samples", "song1_vote", "song2_vote",
)  # fmt: skip

REQUIRED = tuple(
    [f"{part}_{what}" for part in ("anchor", "song1", "song2") for what in ("id", "start_seconds")]
    + ["song1_vote", "song2_vote"]
)
"""Required columns."""

CLIP_S = 3.0
"""Length of the published excerpts in seconds."""

SOURCE = "Fetch the dim-sim data set (Lee et al., ICASSP 2020) from Zenodo, record 3889149."


_SHOWN = 100
"""Longest excerpt of a file in an error, in characters."""


class Clip(NamedTuple):
    """An excerpt of a file: the path, and its start in seconds.

    Example:
        >>> Clip(Path("song.mp3"), 4.5).start_s
        4.5
    """

    path: Path
    start_s: float


@dataclass(frozen=True)
class Excerpt:
    """3 seconds of a track.

    Attributes:
        track: MSD id.
        start_s: Start in the preview, in seconds.

    Example:
        >>> Excerpt("TRAADIN128F931D672", 12.0).start_s
        12.0
    """

    track: str
    start_s: float


@dataclass(frozen=True)
class Judgement:
    """One triplet with its votes.

    Attributes:
        id: Id of the triplet.
        anchor: The reference.
        songs: The two excerpts that were compared with it.
        votes: Number of people who found the first, and the second, more similar to the anchor.

    Example:
        >>> a, b, c = (Excerpt(track, 0.0) for track in "abc")
        >>> [excerpt.track for excerpt in Judgement("0", a, (b, c), (1, 9)).ranked]
        ['a', 'c', 'b']
    """

    id: str
    anchor: Excerpt
    songs: tuple[Excerpt, Excerpt]
    votes: tuple[int, int]

    @property
    def excerpts(self) -> tuple[Excerpt, Excerpt, Excerpt]:
        """Anchor, first and second song."""
        return (self.anchor, *self.songs)

    @property
    def ranked(self) -> tuple[Excerpt, Excerpt, Excerpt] | None:
        """Anchor, winner and loser; None if the votes are equal."""
        if self.votes[0] == self.votes[1]:
            return None
        first, second = self.songs
        return (self.anchor, first, second) if self.votes[0] > self.votes[1] else (self.anchor, second, first)


@dataclass(frozen=True)
class DimSim:
    """The data set.

    Attributes:
        root: Its folder.
        version: One of `PUBLISHED`.
        clip_s: Length of an excerpt in seconds.
        judgements: The triplets.

    Example:
        >>> a, b, c = (Excerpt(track, 0.0) for track in "abc")
        >>> judged = DimSim(Path("dim-sim"), "clean", CLIP_S, (Judgement("0", a, (b, c), (1, 9)),))
        >>> len(judged.judgements), judged.clip_s
        (1, 3.0)
    """

    root: Path
    version: str
    clip_s: float
    judgements: tuple[Judgement, ...]


def load(root: Path | str, version: str = "clean") -> DimSim:
    """Load one version, from CSV or else JSON.

    Args:
        root: Folder with the files.
        version: ``"clean"`` or ``"raw"``.

    Raises:
        UnknownNameError: If there is no such version.
        DatasetError: If there is no file, or it is malformed, with the triplet.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     text = ",".join(REQUIRED) + "\\nTRA,0,TRB,3,TRC,6,0,1\\n"
        ...     _ = Path(root, "clean-dim-sim.csv").write_text(text)
        ...     judged = load(root)
        >>> [excerpt.track for excerpt in judged.judgements[0].ranked]  # anchor, winner, loser
        ['TRA', 'TRC', 'TRB']
    """
    root = Path(root)
    path = _file(root, version)
    judgements, lengths = [], set()
    seen: set[str] = set()
    for number, row in enumerate(_rows(path)):
        name = str(row.get("triplet_id", number))[:_SHOWN]
        try:
            judgement = _judgement(row, number, clean=version == "clean")
            lengths.add(_number(row, "clip_lengths_seconds") if row.get("clip_lengths_seconds") is not None else CLIP_S)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise DatasetError(f"{path}, triplet {name}: {str(error)[:_SHOWN]}. {SOURCE}") from error
        if judgement.id in seen:
            raise DatasetError(f"{path}: expected each triplet once, got {name} twice. {SOURCE}")
        seen.add(judgement.id)
        judgements.append(judgement)
    if len(lengths) != 1:
        found = ", ".join(map(str, sorted(lengths)[:3])) + (", ..." if len(lengths) > 3 else "") if lengths else "none"
        raise DatasetError(f"{path}: expected triplets of one length in seconds, got {found}. {SOURCE}")
    return DimSim(root, version, lengths.pop(), tuple(judgements))


def triplets(dim_sim: DimSim, locate: Callable[[str], Path]) -> tuple[list[tuple[Clip, Clip, Clip]], list[str]]:
    """Return the triplets with a winner whose audio exists.

    Args:
        dim_sim: The data set.
        locate: MSD id -> its file: `musiczoo.datasets.msd.locator`, or the `audio` of a data set.

    Returns:
        Anchor, positive (the winner) and negative of each; and the reason for each triplet left out.

    Example:
        >>> a, b, c = (Excerpt(track, 4.5) for track in "abc")
        >>> votes = {"clear": (1, 9), "equal": (5, 5)}
        >>> judgements = tuple(Judgement(name, a, (b, c), vote) for name, vote in votes.items())
        >>> kept, left_out = triplets(DimSim(Path(), "raw", CLIP_S, judgements), lambda track: Path(f"{track}.mp3"))
        >>> [clip.path.name for clip in kept[0]]  # anchor, positive, negative
        ['a.mp3', 'c.mp3', 'b.mp3']
        >>> left_out
        ['equal: no winner, 5 : 5']
    """
    kept, left_out = [], []
    for judgement in dim_sim.judgements:
        ranked = judgement.ranked
        if ranked is None:
            left_out.append(f"{judgement.id}: no winner, {judgement.votes[0]} : {judgement.votes[1]}")
            continue
        try:
            anchor, positive, negative = (Clip(locate(excerpt.track), excerpt.start_s) for excerpt in ranked)
        except UnknownNameError as error:
            left_out.append(f"{judgement.id}: {error}")
            continue
        absent = [str(clip.path) for clip in (anchor, positive, negative) if not os.path.isfile(clip.path)]
        if absent:
            left_out.append(f"{judgement.id}: no file {', '.join(absent)}")
        else:
            kept.append((anchor, positive, negative))
    return kept, left_out


def check(
    root: Path | str,
    audio: Path | str | None = None,
    version: str = "clean",
    quick: bool = False,
    console: Console | None = None,
) -> Report:
    """Report missing and damaged files.

    Args:
        root: Folder with the files, and those of MSD that map ids to paths if the audio is filed by them.
        audio: Folder with the previews; by default ``root/audio``.
        version: ``"clean"`` or ``"raw"``.
        quick: Only check that audio files exist, not that they can be decoded.
        console: Console for progress; standard error by default.

    Raises:
        UnknownNameError: If there is no such version.

    Example:
        >>> text = ",".join(REQUIRED) + "\\nTRA,0,TRB,3,TRC,6,0,1\\n"
        >>> _ = Path("clean-dim-sim.csv").write_text(text)
        >>> report = check(".", quick=True)
        >>> report.counts
        {'triplets': 1, 'tracks': 3}
        >>> [(found.what, found.count) for found in report.problems]
        [('as many triplets as were published', 1), ('a file for each track', 3)]
    """
    root = Path(root)
    try:
        found = load(root, version)
        locate = msd.locator(root, audio)
    except DatasetError as error:
        return Report(NAME, root, {}, tuple(problem("triplets that can be read", [str(error)], SOURCE)))
    count, published = len(found.judgements), PUBLISHED[version]
    short = [f"{count:,} triplets, not {published:,}"] if count != published else []
    files = {part.track: locate(part.track) for judgement in found.judgements for part in judgement.excerpts}
    return Report(
        NAME,
        root,
        {"triplets": count, "tracks": len(files)},
        tuple(
            problem("as many triplets as were published", short, SOURCE)
            + check_audio(files, msd.SOURCE, quick, console)
        ),
    )


def _file(root: Path, version: str) -> Path:
    if version not in PUBLISHED:
        raise UnknownNameError.of("version of dim-sim", version, PUBLISHED)
    paths = [root / f"{version}-dim-sim{suffix}" for suffix in (".csv", ".json")]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        hint = "".join(unpack_hint(path) for path in paths)
        raise DatasetError(f"Expected {paths[0].name} or {paths[1].name} in {root}, got neither.{hint} {SOURCE}")
    return found


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".csv":
        for _, row in read_table(path, ",", REQUIRED):
            yield row
        return
    try:
        content = json.loads(read_text(path, "JSON"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: expected JSON, got {error}. {SOURCE}") from error
    rows = _by_row(content) if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{path}: expected rows with the columns {', '.join(REQUIRED)}. {SOURCE}")
    yield from rows


def _by_row(content: dict[str, Any]) -> list[Any]:
    """Convert rows by number, or columns of cells by row number or in a list, to a list of rows."""
    named = [name for name in REQUIRED if name in content]
    if not named:
        return list(content.values())
    first = content[named[0]]
    numbers = list(first) if isinstance(first, dict) else range(len(first)) if isinstance(first, list) else []
    columns = {name: dict(enumerate(cells)) if isinstance(cells, list) else cells for name, cells in content.items()}
    columns = {name: cells for name, cells in columns.items() if name in COLUMNS and isinstance(cells, dict)}
    return [{name: cells[number] for name, cells in columns.items() if number in cells} for number in numbers]


def _judgement(row: Mapping[str, Any], number: int, clean: bool) -> Judgement:
    votes = tuple(_number(row, name) for name in ("song1_vote", "song2_vote"))
    if any(vote != int(vote) for vote in votes):
        raise ValueError(f"expected whole votes, got {votes[0]:g} and {votes[1]:g}")
    if clean and votes[0] == votes[1]:
        raise ValueError(f"expected a winner in the clean version, got {votes[0]:g} votes for each song")
    anchor, first, second = (
        Excerpt(_text(row, f"{part}_id"), _number(row, f"{part}_start_seconds"))
        for part in ("anchor", "song1", "song2")
    )
    name = _text(row, "triplet_id") if "triplet_id" in row else str(number)
    return Judgement(name, anchor, (first, second), (int(votes[0]), int(votes[1])))


def _number(row: Mapping[str, Any], name: str) -> float:
    if name not in row:
        raise ValueError(f"expected a column {name}, got none")
    try:
        value = float(row[name])
    except (ValueError, TypeError) as error:
        raise ValueError(f"expected a number as {name}, got {str(row[name])[:_SHOWN]!r}") from error
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"expected a number of 0 or more as {name}, got {row[name]!r}")
    return value


def _text(row: Mapping[str, Any], name: str) -> str:
    value = str(row.get(name) if row.get(name) is not None else "").strip()
    if not value:
        raise ValueError(f"expected a value for {name}, got none")
    return value
