"""What is missing or damaged in a person's copy of a data set, and what to do about it.

Each loader has a ``check`` that gives a `Report`; the parts that they share are here.
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
        published: What -> how many were published, as far as that is known. What may be a split or ``"all"`` (tracks),
            ``"tags"``, or a split or all followed by ``" with a tag"`` (tracks that have one).
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
    problems = problem("as much as was published", _differences(dataset, published), source)
    files = {item.id: item.audio for item in dataset.items}
    audio_problems = check_audio(files, source, quick, console, audio_option(name), least_s)
    return Report(name, root, counts, tuple(problems + audio_problems))


def audio_option(name: str) -> str:
    """Return the option of the command line that names the folder with the audio of a data set."""
    return "--root" if name == "folder" else "--audio"


def _differences(dataset: Dataset, published: Mapping[str, int]) -> list[str]:
    """What there is more or less of than was published."""
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
    """What is wrong with some audio files.

    Args:
        files: Track -> its file.
        source: What to fetch, and from which publication.
        quick: Only look whether they are there.
        console: Where progress goes; standard error by default.
        option: Option of the command line that names the folder with the audio.
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
    if files and len(absent) == len(files):
        source = f"None of the audio is there. Is it in another folder? Name that with {option} DIR. {source}"
    return (
        problem("a file for each track", absent, source)
        + problem("files that are not empty", empty, f"Fetch them again. {source}")
        + problem("audio that can be decoded", broken, f"Fetch it again. {source}")
        + problem(f"audio of {least_s:g} s or more", short, "It is short as published: train and evaluate without it.")
        + problem("audio in a format that this installation decodes", undecoded, "pip install 'musiczoo[av]'")
    )


def missing_files(paths: Iterable[Path], source: str) -> list[Problem]:
    """The problem that some files of a publication are not there, or none if they are."""
    absent = [f"{path}{unpack_hint(path)}" for path in paths if not os.path.isfile(path)]
    return problem("every list and annotation", absent, source)
