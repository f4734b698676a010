"""Play histories: tracks that were played a lot lately rank lower.

Definition
----------
- The *plays* p of a track are the sum over its rows of count * 2^(-age / half_life), with the age in days at the time
  of the search. A play just now counts 1, one that is a half-life ago 1/2. One in the future counts as one now.
- A row counts for the track of its path. A row without a path counts for the tracks with its title and artist; case,
  Unicode composition and spaces do not matter, and one of several artists is enough.
- The result at rank r of a search moves to the rank r (1 + p), and results are listed in that order, equal ones by r.
  Plays of files of the same recording are added up. So tracks that were never played keep their order, one that was
  played once today falls behind the one at twice its rank, and the same track comes back as its plays grow old.

Ranks decide and not scores, since the cosines of music are all high: the rule means the same in each model and
dimension. Scores stay as they are. The first k results are exact: no track further down could be among them.
"""

import csv
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from .._paths import AnyPath, absolute, resolved
from ..errors import AudioNotFoundError, InputError
from .metadata import normalize_name

HALF_LIFE_DAYS = 7.0
"""Age at which a play counts half, by default."""

_DAY_S = 86400.0
_NAMED = ("title", "artist")


@dataclass(frozen=True)
class Play:
    """One row of a history: a track that was played.

    Attributes:
        played_at: Seconds since 1970, in UTC.
        path: Path of the file; None to find it by title and artist.
        title: Title of the track, if there is no path.
        artist: Artist of the track, if there is no path.
        count: Number of plays at that time, 0 or more.

    Example:
        >>> from musiczoo.library.history import Play
        >>> Play(1764547200.0, path="/music/a.mp3").count
        1.0
    """

    played_at: float
    path: str | None = None
    title: str | None = None
    artist: str | None = None
    count: float = 1.0


@dataclass(frozen=True)
class History:
    """What was played, and how fast it is forgotten: see `Library.search`.

    Attributes:
        plays: The rows.
        half_life_days: Age in days at which a play counts half.
        now: The time of the search, in seconds since 1970; None for the present.

    Raises:
        InputError: If the half-life is not positive, or a count is negative or not finite.

    Example:
        A track that was played now and seven days ago, with a half-life of seven days:

        >>> from musiczoo.library import History
        >>> from musiczoo.library.history import Play
        >>> day = 86400
        >>> history = History([Play(7 * day, "/music/a.mp3"), Play(0, "/music/a.mp3")], half_life_days=7, now=7 * day)
        >>> history.plays_of(["/music/a.mp3"])
        1.5
    """

    plays: Iterable[Play]
    half_life_days: float = HALF_LIFE_DAYS
    now: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.half_life_days) and self.half_life_days > 0):
            raise InputError(f"half_life_days must be a positive number of days, got {self.half_life_days!r}.")
        object.__setattr__(self, "plays", tuple(self.plays))
        for play in self.plays:
            if not (math.isfinite(play.count) and play.count >= 0 and math.isfinite(play.played_at)):
                raise InputError(f"A play needs a time, and a count from 0, got {play!r}.")

    @classmethod
    def read(cls, file: AnyPath, half_life_days: float = HALF_LIFE_DAYS, now: float | None = None) -> "History":
        """Read a history.

        Args:
            file: A CSV file in UTF-8 whose first line names the columns: ``played_at`` (a time as ISO 8601, in UTC if
                it names no zone, or seconds since 1970); ``path``, or ``title`` and ``artist``; and optionally
                ``count``. Other columns are ignored. Relative paths count from the current folder.
            half_life_days: Age in days at which a play counts half.
            now: The time of the search, in seconds since 1970; None for the present.

        Raises:
            AudioNotFoundError: If the file does not exist.
            InputError: If it cannot be read, a column is missing, or a value is malformed.

        Example:
            >>> import tempfile
            >>> from pathlib import Path
            >>> from musiczoo.library import History
            >>> file = Path(tempfile.mkdtemp()) / "plays.csv"
            >>> _ = file.write_text("title,artist,played_at,count\\nPastel,Nina,2026-11-28T20:00:00Z,2\\n")
            >>> history = History.read(file, now=1795896000 + 7 * 86400)
            >>> history.plays_of([], "Pastel", ["Nina"])
            1.0
        """
        source = absolute(file)
        try:
            with open(source, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
                rows = csv.DictReader(text, restkey="", restval="")
                names = rows.fieldnames or ()
                if "played_at" not in names or not ("path" in names or set(_NAMED) <= set(names)):
                    raise InputError(
                        f"{str(source)!r} has the columns {', '.join(names) or 'none'}. Expected played_at, and path "
                        "or title and artist, in its first line."
                    )
                plays = [_play(row, f"{source}, line {rows.line_num}") for row in rows]
        except FileNotFoundError as error:
            raise AudioNotFoundError(f"No such history: {str(source)!r}.") from error
        except OSError as error:
            raise InputError(f"Cannot read the history {str(source)!r}: {error.strerror}.") from error
        except csv.Error as error:
            raise InputError(f"Cannot read the history {str(source)!r}: {error}. Expected a CSV file.") from error
        return cls(plays, half_life_days, now)

    def plays_of(self, paths: Iterable[str], title: str | None = None, artists: Iterable[str] = ()) -> float:
        """Return the plays of a track.

        Args:
            paths: Path of its file, and those of other files of the same recording.
            title: Its title, if it has one.
            artists: Its artists, as its file names them.

        Example:
            >>> from musiczoo.library import History
            >>> from musiczoo.library.history import Play
            >>> history = History([Play(0, title="Pastel", artist="Nina", count=3)], now=0)
            >>> history.plays_of([], "PASTEL", ["Nina", "Sam"])
            3.0
        """
        plays = sum(self._by_path.get(path, 0.0) for path in paths)
        if self._by_name and title:
            name = normalize_name(title)
            plays += sum(self._by_name.get((name, artist), 0.0) for artist in sorted(set(map(normalize_name, artists))))
        return plays

    @cached_property
    def _by_path(self) -> Mapping[str, float]:
        """Path -> plays: as written, absolute, and with all links followed."""
        found: dict[str, float] = defaultdict(float)
        for play in self.plays:
            if play.path is not None:
                for path in {play.path, str(absolute(play.path)), str(resolved(play.path))}:
                    found[path] += self._weight(play)
        return dict(found)

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str], float]:
        """Title and artist, normalized -> plays."""
        found: dict[tuple[str, str], float] = defaultdict(float)
        for play in self.plays:
            if play.path is None and play.title and play.artist:
                found[normalize_name(play.title), normalize_name(play.artist)] += self._weight(play)
        return dict(found)

    @cached_property
    def _time(self) -> float:
        return time.time() if self.now is None else self.now

    def _weight(self, play: Play) -> float:
        age_days = max(self._time - play.played_at, 0.0) / _DAY_S
        return float(play.count * 2.0 ** (-age_days / self.half_life_days))


def _play(row: Mapping[str, str], where: str) -> Play:
    path, title, artist = ((row.get(name) or "").strip() or None for name in ("path", *_NAMED))
    if path is None and not (title and artist):
        raise InputError(f"{where}: expected a path, or title and artist.")
    return Play(_time(row["played_at"].strip(), where), path, title, artist, _count(row.get("count") or "1", where))


def _time(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{where}: expected a time such as 2026-11-28T20:00:00Z, got {text!r}.") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _count(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{where}: expected a number for count, got {text!r}.") from None
