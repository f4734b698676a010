"""All data sets by name: what they are, `load`, `check` and `cite`.

BibTeX entries are those of the publications, or made from their title pages.

Example:
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as root:
    ...     _ = Path(root, "tags.csv").write_text("path,tags\\none.mp3,mood:sad\\n")
    ...     music = load("folder", root)
    ...     report = check("folder", root, quick=True)
    >>> music.items[0].tags
    ('sad',)
    >>> report.good, report.problems[0].what  # there is no one.mp3
    (False, 'a file for each track')
    >>> cite("gtzan")[:31]
    '@article{tzanetakis2002musical,'
"""

from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import InputError, UnknownNameError
from .check import Report
from .dataset import Dataset

TAGGED = ("folder", "fma", "gtzan", "jamendo", "magnatagatune", "msd", "tagging_lists")
"""Data sets of tracks with annotated tags. open_music has none: models label it (`musiczoo.datasets.label`)."""

CHECKED = (*TAGGED, "dim_sim", "open_music")
"""Data sets of which a user may have a copy."""


@dataclass(frozen=True)
class Entry:
    """A short description of a data set.

    Attributes:
        music: Its recordings.
        tags: Its tags.
        split: The source of its split into train, validation and test.
        bibtex: Entries to cite; empty for your own music.

    Example:
        >>> CATALOGUE["gtzan"].music, CATALOGUE["gtzan"].split
        ('930 of 1,000 clips', 'fault-filtered')
    """

    music: str
    tags: str
    split: str
    bibtex: tuple[str, ...]


_MUSICZOO = r"""@misc{musiczoo,
  author = {{The musiczoo authors}},
  title  = {musiczoo: A model zoo for music understanding},
  note   = {Data sets open\_music and rendered\_music; ATTRIBUTION.md names the authors of the recordings}
}"""

_LEE_NAM = r"""@article{lee2017multilevel,
  author  = {Lee, Jongpil and Nam, Juhan},
  title   = {Multi-Level and Multi-Scale Feature Aggregation Using Pretrained Convolutional Neural Networks for
             Music Auto-Tagging},
  journal = {IEEE Signal Processing Letters},
  year    = {2017},
  note    = {arXiv:1703.01793}
}"""

_MSD = r"""@inproceedings{bertinmahieux2011million,
  author    = {Bertin-Mahieux, Thierry and Ellis, Daniel P. W. and Whitman, Brian and Lamere, Paul},
  title     = {The Million Song Dataset},
  booktitle = {Proceedings of the 12th International Society for Music Information Retrieval Conference (ISMIR)},
  year      = {2011}
}"""

_MAGNATAGATUNE = r"""@inproceedings{law2009evaluation,
  author    = {Law, Edith and West, Kris and Mandel, Michael and Bay, Mert and Downie, J. Stephen},
  title     = {Evaluation of Algorithms Using Games: The Case of Music Tagging},
  booktitle = {Proceedings of the 10th International Society for Music Information Retrieval Conference (ISMIR)},
  year      = {2009}
}"""

CATALOGUE: dict[str, Entry] = {
    "open_music": Entry(
        "free game music, 29.6 h",
        "by teachers",
        "by package",
        (_MUSICZOO,),
    ),
    "rendered_music": Entry("rendered in many styles, 18 h", "by teachers", "by groove and speaker", (_MUSICZOO,)),
    "folder": Entry("your own", "a table or folders' names", "yours, or by a hash", ()),
    "msd": Entry(
        "Million Song Dataset",
        "50 of Last.fm",
        "that of tagging papers",
        (_MSD, _LEE_NAM),
    ),
    "magnatagatune": Entry("25,860 clips", "the 50 most frequent", "by folder, 12 : 1 : 3", (_MAGNATAGATUNE,)),
    "jamendo": Entry(
        "MTG-Jamendo, tracks",
        "50 to 195, in 3 dimensions",
        "one of five published",
        (
            r"""@conference{bogdanov2019mtg,
  author    = {Bogdanov, Dmitry and Won, Minz and Tovstogan, Philip and Porter, Alastair and Serra, Xavier},
  title     = {The MTG-Jamendo Dataset for Automatic Music Tagging},
  booktitle = {Machine Learning for Music Discovery Workshop, International Conference on Machine Learning (ICML 2019)},
  year      = {2019},
  address   = {Long Beach, CA, United States},
  url       = {http://hdl.handle.net/10230/42015}
}""",
        ),
    ),
    "fma": Entry(
        "Free Music Archive",
        "8 to 163 genres",
        "published, by artist",
        (
            r"""@inproceedings{defferrard2017fma,
  author        = {Defferrard, Micha\"el and Benzi, Kirell and Vandergheynst, Pierre and Bresson, Xavier},
  title         = {{FMA}: A Dataset for Music Analysis},
  booktitle     = {18th International Society for Music Information Retrieval Conference (ISMIR)},
  year          = {2017},
  archiveprefix = {arXiv},
  eprint        = {1612.01840},
  url           = {https://arxiv.org/abs/1612.01840}
}""",
        ),
    ),
    "gtzan": Entry(
        "930 of 1,000 clips",
        "10 genres",
        "fault-filtered",
        (
            r"""@article{tzanetakis2002musical,
  author  = {Tzanetakis, George and Cook, Perry},
  title   = {Musical Genre Classification of Audio Signals},
  journal = {IEEE Transactions on Speech and Audio Processing},
  volume  = {10},
  number  = {5},
  pages   = {293--302},
  year    = {2002},
  doi     = {10.1109/TSA.2002.800560}
}""",
            r"""@article{kereliuk2015deep,
  author  = {Kereliuk, Corey and Sturm, Bob L. and Larsen, Jan},
  title   = {Deep Learning and Music Adversaries},
  journal = {IEEE Transactions on Multimedia},
  volume  = {17},
  number  = {11},
  pages   = {2059--2071},
  year    = {2015}
}""",
        ),
    ),
    "tagging_lists": Entry(
        "MagnaTagATune or MSD",
        "50",
        "a benchmark's lists",
        (
            _MAGNATAGATUNE,
            _MSD,
            _LEE_NAM,
            r"""@inproceedings{won2020eval,
  author    = {Won, Minz and Ferraro, Andres and Bogdanov, Dmitry and Serra, Xavier},
  title     = {Evaluation of CNN-based automatic music tagging models},
  booktitle = {Proc. of 17th Sound and Music Computing},
  year      = {2020}
}""",
            r"""@inproceedings{won2021transformer,
  author    = {Won, Minz and Choi, Keunwoo and Serra, Xavier},
  title     = {Semi-supervised music tagging transformer},
  booktitle = {Proc. of International Society for Music Information Retrieval},
  year      = {2021}
}""",
            r"""@inproceedings{pons2018end,
  author    = {Pons, Jordi and Nieto, Oriol and Prockup, Matthew and Schmidt, Erik and Ehmann, Andreas and
               Serra, Xavier},
  title     = {End-to-end Learning for Music Audio Tagging at Scale},
  booktitle = {Proc. of the 19th International Society for Music Information Retrieval Conference (ISMIR)},
  year      = {2018},
  note      = {arXiv:1711.02520}
}""",
        ),
    ),
    "dim_sim": Entry(
        "triplets of MSD",
        "votes by people",
        "none",
        (
            r"""@inproceedings{lee2020disentangled,
  author    = {Lee, Jongpil and Bryan, Nicholas J. and Salamon, Justin and Jin, Zeyu and Nam, Juhan},
  title     = {Disentangled Multidimensional Metric Learning for Music Similarity},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)},
  year      = {2020},
  doi       = {10.1109/ICASSP40776.2020.9053442}
}""",
            _MSD,
        ),
    ),
}
"""Name -> description, in the order of `musiczoo data list`."""


def load(name: str, root: Path | str, **options: Any) -> Dataset:
    """Load a data set of tracks with tags.

    Args:
        name: One of `TAGGED`.
        root: Folder of your copy.
        options: Arguments of the data set's own `load`; None stands for its default.

    Returns:
        The data set. Only lists and tables are read, not the audio.

    Raises:
        UnknownNameError: If there is no such data set.
        InputError: If it has no such option, or an option has a wrong value.
        DatasetError: If it cannot be read.

    Example:
        >>> music = load("folder", "Music")
        >>> len(music.items), music.tags
        (12, ('cello', 'for dinner', 'for running'))
    """
    dataset: Dataset = _call(_loader(name, TAGGED), "load", root, options)
    return dataset


def check(name: str, root: Path | str, **options: Any) -> Report:
    """Report missing and damaged files in a copy of a data set.

    Args:
        name: One of `CHECKED`.
        root: Folder of your copy.
        options: Arguments of the data set's own `check`; None stands for its default.

    Raises:
        UnknownNameError: If there is no such data set.
        InputError: If it has no such option, or an option has a wrong value.

    Example:
        >>> report = check("folder", "Music", quick=True)
        >>> report.good, report.counts["train"]
        (True, 8)
    """
    report: Report = _call(_loader(name, CHECKED), "check", root, options)
    return report


def cite(name: str) -> str:
    """Return the BibTeX entries to cite for a data set; empty for your own music.

    Raises:
        UnknownNameError: If there is no such data set.

    Example:
        >>> cite("gtzan").splitlines()[0]
        '@article{tzanetakis2002musical,'
    """
    if name not in CATALOGUE:
        raise UnknownNameError.of("data set", name, CATALOGUE)
    return "\n\n".join(CATALOGUE[name].bibtex)


def _loader(name: str, available: tuple[str, ...]) -> ModuleType:
    if name not in available:
        raise UnknownNameError.of("data set", name, available)
    return import_module(f".{name}", __package__)


def _call(loader: ModuleType, verb: str, root: Path | str, options: dict[str, Any]) -> Any:
    function = getattr(loader, verb)
    given = {option: value for option, value in options.items() if value is not None}
    accepted = [option for option in signature(function).parameters if option not in ("root", "console")]
    odd = [option for option in given if option not in accepted]
    if odd:
        raise InputError(
            f"{loader.NAME} does not take {', '.join(odd)}. It takes {', '.join(accepted) or 'no options'}."
        )
    return function(root, **given)
