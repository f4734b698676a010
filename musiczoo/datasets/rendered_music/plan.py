"""What is rendered: a list of jobs, each a track, that follows from a seed.

Conventions
-----------
- *style*: a track with an instrument as the lead.
- *backing* and *sung*: the same composition without and with a singer, so that a model learns the difference. Their ids
  differ in the last word only, and they share a package.
- *mixture*: two rendered tracks of one split on top of each other; *damaged*: one track after a codec, an old carrier,
  clipping or another level.
- Validation and test come first, then training: each groove several times. `MORE` grooves follow, once each, with more
  soundfonts and speakers: for training, different music is worth more than the same grooves again.
- What is in validation and test is in no training track: grooves (of families with four or more), soundfonts and
  speakers. A mixture or damaged track is made of tracks of its own split.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..prepared import FIRST, TrackEntry
from .sources import MORE, soundfonts, speakers
from .styles import Family, families

STYLE, BACKING, SUNG, MIXTURE, DAMAGED = "style", "backing", "sung", "mixture", "damaged"

SEPARATOR = " & "
"""Between the names of a song's singers."""

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


def song_pairs(tracks: Iterable[TrackEntry]) -> list[tuple[str, str]]:
    """Return the ids of songs and of their backings, of those songs that have both.

    Examples:
        >>> names = ["song-swing-1-backing", "song-swing-1-sung", "song-tango-1-sung"]
        >>> song_pairs(TrackEntry(name, "test", "", 30.0, 0, "", "", "", "", "") for name in names)
        [('song-swing-1-sung', 'song-swing-1-backing')]
    """
    known = {track.id: track for track in tracks}
    songs = [name.removesuffix(SUNG) for name, track in known.items() if voice_of(track)]
    return [(f"{name}{SUNG}", f"{name}{BACKING}") for name in songs if f"{name}{BACKING}" in known]


def voice_of(track: TrackEntry) -> bool | None:
    """Return whether a track has a voice; None for mixtures and damaged tracks, which may have one.

    Examples:
        >>> names = ["song-swing-1-sung", "song-swing-1-backing", "style-swing-1", "mixture-1"]
        >>> [voice_of(TrackEntry(name, "test", "", 30.0, 0, "", "", "", "", "")) for name in names]
        [True, False, False, None]
    """
    return {"style": False, "song": track.id.endswith(f"-{SUNG}")}.get(track.id.split("-")[0])


def register_of(track: TrackEntry) -> str:
    """Return ``high`` or ``low`` for a song by one voice, or by several of one register, as recorded; else ``""``.

    Songs that were made in another register (`SINGING`) have none.
    """
    names = track.artist.split(SEPARATOR)
    registers = {speaker.register for speaker in speakers() if speaker.name in names}
    changed = track.title.endswith((" high", " low"))
    return registers.pop() if len(registers) == 1 and not changed else ""


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

    A smaller plan is a part of a larger one: a data set can grow, and what exists is not rendered again.

    Args:
        seed: The same seed gives the same jobs.
        takes: Instrumental tracks for each groove, 1 or more; for grooves of `Family.more`, one.
        songs: Pairs of a backing and a song for each groove, 1 or more; for grooves of `Family.more`, one.

    Examples:
        >>> jobs = plan(takes=1, songs=1)
        >>> len({job.id for job in jobs}) == len(jobs)
        True
        >>> set(jobs) <= set(plan(takes=2, songs=1))
        True
    """
    grooves = [(family, groove, split_of(family, groove)) for family in families() for groove in family.grooves]
    grooves += [(family, groove, MORE) for family in families() for groove in family.more]
    jobs: list[Job] = []
    for group in (*FIRST, MORE):
        mine = [(family, groove) for family, groove, its_group in grooves if its_group == group]
        split, styles, pairs = ("train", 1, 1) if group == MORE else (group, takes, songs)
        fonts = [font.package for font in soundfonts() if group in font.splits]
        voices = [
            speaker.name for own in dict.fromkeys((group, split)) for speaker in speakers() if speaker.split == own
        ]
        for place, (family, groove) in enumerate(mine):
            for take in range(1, styles + 1):
                name = f"style-{_slug(groove)}-{take}"
                dice = random.Random(f"{seed} {name}")
                jobs.append(Job(name, split, STYLE, _seed(dice), family.name, groove, dice.choice(fonts)))
            for song in range(1, pairs + 1):
                name = f"song-{_slug(groove)}-{song}"
                dice = random.Random(f"{seed} {name}")
                way = SINGING[(place + 2 * song) % len(SINGING)]
                singers = tuple(dice.sample(voices, min(len(voices), 3 if way == "choir" else 1)))
                font = dice.choice(fonts)
                backing = Job(f"{name}-backing", split, BACKING, _seed(dice), family.name, groove, font)
                jobs += [backing, replace(backing, id=f"{name}-sung", kind=SUNG, speakers=singers, way=way)]
        for number in range(1, min(styles, pairs) + 1):
            for place, (_, groove) in enumerate(mine):
                name = f"{_slug(groove)}-{number}"
                dice = random.Random(f"{seed} {name}")
                sources = [f"style-{name}", f"song-{name}-backing", f"song-{name}-sung"]
                if number % 2:
                    way = DAMAGES[(place + 4 * number) % len(DAMAGES)]
                    damaged = Job(f"damaged-{name}", split, DAMAGED, _seed(dice), way=way)
                    jobs.append(replace(damaged, sources=(dice.choice(sources),)))
                if (place + number) % 2:
                    other = _slug(dice.choice([g for _, g in mine if g != groove]))
                    below = dice.choice([f"style-{other}-1", f"song-{other}-1-backing", f"song-{other}-1-sung"])
                    mixture = Job(f"mixture-{name}", split, MIXTURE, _seed(dice))
                    jobs.append(replace(mixture, sources=(dice.choice(sources), below)))
    # Mixtures and damaged tracks come last: they read the others.
    return tuple(sorted(jobs, key=lambda job: bool(job.sources)))


def _seed(dice: random.Random) -> int:
    return dice.randrange(1 << 30)


def _slug(groove: str) -> str:
    """Return a groove as part of a file's name: ``casio/r+b:R&B`` is casio-rnb."""
    library, _, name = groove.lower().replace("&", "n").rpartition(":")
    return f"{library.split('/')[0]}-{name}" if library else name
