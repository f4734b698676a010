"""What is missing or damaged in a person's copy of a data set, and what to do about it.

Each loader has a ``check`` that gives a `Report`; the parts that they share are here.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track as progress

from .. import audio
from ..errors import AudioError, DatasetError, MissingDependencyError
from .dataset import Dataset
from .store import SPLITS

EXAMPLES = 5
"""Cases of a problem that a report names."""


@dataclass(frozen=True)
class Problem:
    """One kind of thing that is wrong.

    Attributes:
        what: What was expected.
        count: How often it is not so.
        examples: The first few cases, with the reason where they differ.
        remedy: What to do.
    """

    what: str
    count: int
    examples: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        dataset: Name of the loader.
        root: Folder that was looked at.
        counts: What is there: split -> tracks, or the like.
        problems: What is wrong; empty if nothing is.
    """

    dataset: str
    root: Path
    counts: Mapping[str, int]
    problems: tuple[Problem, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "root": str(self.root), "counts": dict(self.counts), "good": self.good}


def problem(what: str, cases: Iterable[str], remedy: str) -> list[Problem]:
    """The problem that some cases are, or none if there are none."""
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
    """Read a data set and look at its audio.

    Args:
        name: Name of the loader.
        root: Folder to look at.
        load: Reads it.
        published: Split (or ``"all"``) -> tracks as published, as far as they are known.
        source: What to fetch, and from which publication.
        quick: Only look whether audio is there, not whether it can be decoded.
        console: Where progress goes; standard error by default.
        least_s: Seconds that a file has at least.
    """
    try:
        dataset = load()
    except DatasetError as error:
        return Report(name, root, {}, tuple(problem("lists and annotations that can be read", [str(error)], source)))
    counts = {split: len(dataset.split(split)) for split in SPLITS} | {"all": len(dataset.items)}
    short = [f"{part}: {counts[part]:,} tracks, not {n:,}" for part, n in published.items() if counts[part] != n]
    files = {item.id: item.audio for item in dataset.items}
    problems = problem("as many tracks as were published", short, source)
    problems += check_audio(files, source, quick, console, least_s)
    return Report(name, root, counts, tuple(problems))


def check_audio(
    files: Mapping[str, Path], source: str, quick: bool = False, console: Console | None = None, least_s: float = 0.0
) -> list[Problem]:
    """What is wrong with some audio files.

    Args:
        files: Track -> its file.
        source: What to fetch, and from which publication.
        quick: Only look whether they are there.
        console: Where progress goes; standard error by default.
        least_s: Seconds that a file has at least.
    """
    absent, empty, broken, undecoded, short = [], [], [], [], []
    shown = progress(files.items(), description="audio", console=console or Console(stderr=True))
    for track, path in shown:
        try:
            if not os.path.isfile(path):  # where Path.is_file raises at a name that is too long
                absent.append(f"{track}: {path}")
            elif path.stat().st_size == 0:
                empty.append(f"{track}: {path}")
            elif not quick and (length := audio.probe(path).duration_s) < least_s:
                short.append(f"{track}: {length:.2f} s, {path}")
        except MissingDependencyError as error:
            undecoded.append(f"{track}: {error}")
        except (AudioError, OSError) as error:
            broken.append(f"{track}: {error}")
    return (
        problem("a file for each track", absent, source)
        + problem("files that are not empty", empty, f"Fetch them again. {source}")
        + problem("audio that can be decoded", broken, f"Fetch it again. {source}")
        + problem(f"audio of {least_s:g} s or more", short, "It is short as published: train and evaluate without it.")
        + problem("audio in a format that this installation decodes", undecoded, "pip install 'musiczoo[av]'")
    )


def missing_files(paths: Iterable[Path], source: str) -> list[Problem]:
    """The problem that some files of a publication are not there, or none if they are."""
    return problem("every list and annotation", [str(path) for path in paths if not os.path.isfile(path)], source)
