"""Check a copy of a data set: what is missing or damaged, and what to do about it.

Each data set has a ``check`` that returns a `Report`; their common parts are here.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track as progress

from .. import audio
from ..errors import AudioError, DatasetError, MissingDependencyError
from .dataset import Dataset
from .downloads import unpack_hint
from .prepared import SPLITS

EXAMPLES = 5
"""Number of cases of a problem that a report names."""


@dataclass(frozen=True)
class Problem:
    """A problem of a copy.

    Attributes:
        what: What was expected.
        count: Number of exceptions.
        examples: The first exceptions, with reasons if these differ.
        remedy: What to do.
    """

    what: str
    count: int
    examples: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class Report:
    """The result of a check.

    Attributes:
        dataset: Name of the data set.
        root: Folder of the copy.
        counts: Split -> number of tracks, or similar.
        problems: The problems; empty if there are none.
    """

    dataset: str
    root: Path
    counts: Mapping[str, int]
    problems: tuple[Problem, ...]

    @property
    def good(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def plain(self) -> dict[str, Any]:
        """Return the report ready for JSON."""
        return {**asdict(self), "root": str(self.root), "counts": dict(self.counts), "good": self.good}


def problem(what: str, cases: Iterable[str], remedy: str) -> list[Problem]:
    """Return one problem with its cases, or none if there are no cases.

    Example:
        >>> problem("a file for each track", [], "Fetch them again.")
        []
    """
    found = list(cases)
    return [Problem(what, len(found), tuple(found[:EXAMPLES]), remedy)] if found else []


def check_dataset(
    name: str,
    root: Path,
    load: Callable[[], Dataset],
    published: Mapping[str, int],
    source: str,
    quick: bool = False,
    console: Console | None = None,
    least_s: float = 0.0,
) -> Report:
    """Load a data set and check its counts and audio.

    Args:
        name: Name of the data set.
        root: Folder of the copy.
        load: Loads it.
        published: Published counts, as far as they are known. Keys are a split or ``"all"`` (tracks), ``"tags"``, or a
            split or all followed by ``" with a tag"`` (tracks with a tag).
        source: What to download, and from which publication.
        quick: Only look whether audio is there, not whether it can be decoded.
        console: Console for progress; standard error by default.
        least_s: Least length of a file in seconds.
    """
    try:
        dataset = load()
    except DatasetError as error:
        return Report(name, root, {}, tuple(problem("lists and annotations that can be read", [str(error)], source)))
    counts = {split: len(dataset.split(split)) for split in SPLITS} | {"all": len(dataset.items)}
    problems = problem("as much as was published", _differences(dataset, published), source)
    files = {item.id: item.audio for item in dataset.items}
    audio_problems = check_audio(files, source, quick, console, audio_option(name), least_s)
    return Report(name, root, counts, tuple(problems + audio_problems))


def audio_option(name: str) -> str:
    """Return the option of the command line that names the folder with the audio of a data set."""
    return "--root" if name == "folder" else "--audio"


def _differences(dataset: Dataset, published: Mapping[str, int]) -> list[str]:
    """Return the counts that differ from the published ones."""
    splits = Counter(item.split for item in dataset.items)
    tagged = Counter(item.split for item in dataset.items if item.tags)
    counts = {split: splits[split] for split in SPLITS} | {"all": splits.total(), "tags": len(dataset.tags)}
    counts |= {f"{split} with a tag": tagged[split] for split in SPLITS} | {"all with a tag": tagged.total()}
    return [
        f"{what}: {counts[what]:,}{'' if what == 'tags' else ' tracks'}, not {count:,}"
        for what, count in published.items()
        if counts[what] != count
    ]


def check_audio(
    files: Mapping[str, Path],
    source: str,
    quick: bool = False,
    console: Console | None = None,
    option: str = "--audio",
    least_s: float = 0.0,
) -> list[Problem]:
    """Return the problems of audio files.

    Args:
        files: Track -> its file.
        source: What to download, and from which publication.
        quick: Only check that they exist.
        console: Console for progress; standard error by default.
        option: Option of the command line that names the folder with the audio.
        least_s: Least length of a file in seconds.
    """
    absent, empty, broken, undecoded, short = [], [], [], [], []
    shown = progress(files.items(), description="audio", console=console or Console(stderr=True))
    for track, path in shown:
        try:
            if not os.path.isfile(path):  # Path.is_file raises for names that are too long
                absent.append(f"{track}: {path}")
            elif path.stat().st_size == 0:
                empty.append(f"{track}: {path}")
            elif not quick and (length := audio.probe(path).duration_s) < least_s:
                short.append(f"{track}: {length:.2f} s, {path}")
        except MissingDependencyError as error:
            undecoded.append(f"{track}: {error}")
        except (AudioError, OSError) as error:
            broken.append(f"{track}: {error}")
    if files and len(absent) == len(files):
        source = f"None of the audio files exists. Is it in another folder? Pass that with {option} DIR. {source}"
    return (
        problem("a file for each track", absent, source)
        + problem("files that are not empty", empty, f"Fetch them again. {source}")
        + problem("audio that can be decoded", broken, f"Fetch it again. {source}")
        + problem(
            f"audio of {least_s:g} s or more", short, "It is short in the publication: train and evaluate without it."
        )
        + problem("audio in a format that this installation decodes", undecoded, "pip install 'musiczoo[av]'")
    )


def missing_files(paths: Iterable[Path], source: str) -> list[Problem]:
    """Return the problem of missing files of a publication, or none if all exist."""
    absent = [f"{path}{unpack_hint(path)}" for path in paths if not os.path.isfile(path)]
    return problem("every list and annotation", absent, source)
