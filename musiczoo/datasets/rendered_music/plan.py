"""What is rendered: a list of jobs, each a track, that follows from a seed.

Conventions
-----------
- *style*: a track with an instrument as the lead.
- *backing* and *sung*: the same composition without and with a singer, so that a model learns the difference. Their ids
  differ in the last word only, and they share a package.
- *mixture*: two rendered tracks of one split on top of each other; *damaged*: one track after a codec, an old carrier,
  clipping or another level.
- What is in validation and test is in no training track: grooves (of families with four or more), soundfonts and
  speakers. A mixture or damaged track is made of tracks of its own split.
"""

import random
from dataclasses import dataclass, replace

from ..prepared import SPLITS
from .sources import soundfonts, speakers
from .styles import Family, families

STYLE, BACKING, SUNG, MIXTURE, DAMAGED = "style", "backing", "sung", "mixture", "damaged"

SINGING = ("solo", "high", "low", "doubled", "choir", "rap")
"""Ways to sing."""

DAMAGES = ("pitch", "tempo", "equaliser", "telephone", "mp3", "vinyl", "reverb", "clipping", "quiet", "loud")
"""Ways to damage a track."""


@dataclass(frozen=True)
class Job:
    """One track to render.

    Attributes:
        id: Name of the track and its file.
        split: Its split.
        kind: `STYLE`, `BACKING`, `SUNG`, `MIXTURE` or `DAMAGED`.
        seed: Decides everything that the other fields leave open.
        family: Name of the family of styles, or empty.
        groove: Groove of MMA, or empty.
        soundfont: Package of the soundfont, or empty.
        speakers: Names of the singers.
        way: Way to sing or to damage, or empty.
        sources: Ids of the tracks that a mixture or damaged track is made of.
    """

    id: str
    split: str
    kind: str
    seed: int
    family: str = ""
    groove: str = ""
    soundfont: str = ""
    speakers: tuple[str, ...] = ()
    way: str = ""
    sources: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        """What groups tracks that are not independent: the groove, or the sources."""
        return self.sources[0].rsplit("-", 1)[0] if self.sources else f"groove-{_slug(self.groove)}"


def split_of(family: Family, groove: str) -> str:
    """Return the split of a groove: of four grooves or more, the last is for test and the one before for validation.

    Examples:
        >>> from musiczoo.datasets.rendered_music.styles import families
        >>> split_of(families()[0], families()[0].grooves[-1])
        'test'
    """
    place = family.grooves.index(groove) - len(family.grooves)
    if len(family.grooves) < 4:
        return "train"
    return {-1: "test", -2: "validation"}.get(place, "train")


def plan(seed: int = 0, takes: int = 3, songs: int = 3) -> tuple[Job, ...]:
    """Return all jobs, sources before what is made of them.

    Args:
        seed: The same seed gives the same jobs.
        takes: Instrumental tracks for each groove.
        songs: Pairs of a backing and a song for each groove.

    Examples:
        >>> jobs = plan(takes=1, songs=1)
        >>> len({job.id for job in jobs}) == len(jobs)
        True
    """
    dice = random.Random(seed)
    jobs: list[Job] = []
    for family in families():
        for groove in family.grooves:
            split = split_of(family, groove)
            fonts = [font.package for font in soundfonts() if split in font.splits]
            voices = [speaker.name for speaker in speakers() if speaker.split == split]
            for take in range(takes):
                name = f"style-{_slug(groove)}-{take + 1}"
                jobs.append(Job(name, split, STYLE, _seed(dice), family.name, groove, dice.choice(fonts)))
            for song in range(songs):
                name, composition, font = f"song-{_slug(groove)}-{song + 1}", _seed(dice), dice.choice(fonts)
                way = dice.choice(SINGING)
                singers = tuple(dice.sample(voices, min(len(voices), 3 if way == "choir" else 1)))
                backing = Job(f"{name}-backing", split, BACKING, composition, family.name, groove, font)
                jobs += [backing, replace(backing, id=f"{name}-sung", kind=SUNG, speakers=singers, way=way)]
    for split in SPLITS:
        made = [job for job in jobs if job.split == split]
        for number, job in enumerate(dice.sample(made, len(made) // 6)):
            other = dice.choice([o for o in made if o.groove != job.groove])
            jobs.append(Job(f"mixture-{split}-{number + 1}", split, MIXTURE, _seed(dice), sources=(job.id, other.id)))
        for number, job in enumerate(dice.sample(made, len(made) // 4)):
            way = DAMAGES[number % len(DAMAGES)]
            jobs.append(Job(f"damaged-{split}-{number + 1}", split, DAMAGED, _seed(dice), way=way, sources=(job.id,)))
    return tuple(jobs)


def _seed(dice: random.Random) -> int:
    return dice.randrange(1 << 30)


def _slug(groove: str) -> str:
    return groove.lower().replace("&", "n")
