"""`Library`: the public interface of this package."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._paths import AnyPath, expanded
from ..card import ModelCard, read_card
from ..errors import InputError, LibraryError
from ..registry import find, named
from . import status
from .database import Database
from .indexing import IndexReport, index
from .records import Entry, Failure, LibraryConfig
from .scan import check_folder
from .worker import Job

if TYPE_CHECKING:
    from ..model import Model
    from .engines import Rows
    from .filters import Filters
    from .path import Step
    from .query import Query, Song
    from .search import Hit
    from .vectors import Snapshot, Vectors

EXCERPTS = 10
"""Excerpts analyzed of each track of a new library, by default.

Ten of 3 s, from the middles of ten equal parts, are an eighth of a track of four minutes, and so of the work. On 48
tracks of open_music, compared with whole tracks: mean cosine 0.9988, lowest 0.9963 (5 excerpts: 0.9970 and 0.9852; 20:
0.9996 and 0.9986), and 91 % of the five nearest neighbors are the same (87 %; 95 %).
"""


class Library:
    """Folders of music that can be searched. Make one by `build`, open one by `open`.

    Use a library in a ``with`` statement, or `close` it. Reading needs no right to write, and other processes may write
    meanwhile. `index` and `vacuum` make this process the only writer while they run. Searching is safe from several
    threads.

    Attributes:
        path: The library's file.
        config: The model and the settings that made its embeddings and tags.
        database: The library's file, opened for reading.

    Example:
        >>> import shutil, tempfile
        >>> from pathlib import Path
        >>> import musiczoo, musiczoo.demo
        >>> music = Path(tempfile.mkdtemp())
        >>> _ = shutil.copy(musiczoo.demo.PATH, music)
        >>> library = musiczoo.Library.build(
        ...     "disentangled-classification", music, path=music / "music.db", progress=False
        ... )
        >>> len(library), library.failures()
        (1, [])
        >>> next(library.entries()).duration_s
        30.0
        >>> library.close()
    """

    def __init__(self, database: Database, model: "Model | AnyPath | None" = None) -> None:
        """Use `open`, `open_or_create` or `build`."""
        self.database = database
        self.path = database.path
        self.config: LibraryConfig = database.config
        self._given = model
        self._model: Model | None = None

    @classmethod
    def open(cls, path: AnyPath, model: "Model | AnyPath | None" = None) -> "Library":
        """Open a library.

        Args:
            path: The library's file.
            model: The model that it was made with, or that model's folder; by default it is found by its name when it
                is needed.

        Raises:
            LibraryError: If the file does not exist, is not a library, is damaged, or has a newer format.
            SpaceMismatchError: If the library was made with another model.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> musiczoo.Library.open_or_create(path, "disentangled-classification").close()
            >>> with musiczoo.Library.open(path) as library:
            ...     len(library), library.config.model
            (0, 'disentangled-classification')
        """
        database = Database.open(expanded(path))
        try:
            if model is not None:
                database.config.check(str(database.path), _card(model).space_id)
        except BaseException:
            database.close()
            raise
        return cls(database, model)

    @classmethod
    def open_or_create(
        cls,
        path: AnyPath,
        model: "Model | AnyPath | None" = None,
        excerpts: int | None = None,
        wait: bool = False,
    ) -> "Library":
        """Open a library, or create an empty one if the file does not exist.

        Args:
            path: The library's file.
            model: The model, its name or its folder; may be left out if the library exists.
            excerpts: Number of excerpts to analyze of each track; 0 for the whole track. None for the library's
                setting or, in a new library, `EXCERPTS`.
            wait: Wait for another process that creates it, instead of raising.

        Raises:
            LibraryError: If the library cannot be opened or created, or has another number of excerpts.
            SpaceMismatchError: If it was made with another model.
            InputError: If `excerpts` is not a whole number from 0, or there is neither a library nor a model.
            UnknownNameError: If the model does not exist.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.config.excerpts
            10
        """
        path = expanded(path)
        if excerpts is not None and (isinstance(excerpts, bool) or not isinstance(excerpts, int) or excerpts < 0):
            raise InputError(f"excerpts must be a whole number, or 0 for whole tracks, got {excerpts!r}.")
        if not os.path.lexists(path):
            if model is None:
                raise InputError(f"Cannot create the library {path} without a model. Pass its name.")
            config = LibraryConfig.from_card(_card(model), excerpts_of(excerpts))
            try:
                Database.create(path, config, wait).close()
            except LibraryError:
                if not os.path.lexists(path):  # else another process created it meanwhile: open that
                    raise
        library = cls.open(path, model)
        if excerpts is not None and (excerpts or None) != library.config.excerpts:
            library.close()
            raise LibraryError(
                f"{path} has {library.config.excerpts or 0} excerpts of each track (0: whole tracks), got {excerpts}. "
                "Leave excerpts out, or make another library."
            )
        return library

    @classmethod
    def build(
        cls,
        model: "Model | AnyPath",
        *folders: AnyPath,
        path: AnyPath = "library.db",
        excerpts: int | None = None,
        workers: int | None = None,
        progress: bool = True,
        wait: bool = False,
    ) -> "Library":
        """Make a library of folders, resume an interrupted one, or bring it up to date.

        The same as `open_or_create` followed by `index`.

        Args:
            model: The model, its name or its folder. Prefer a name: the model then runs with as many threads as suit
                the workers.
            folders: Folders with music.
            path: The library's file.
            excerpts: See `open_or_create`.
            workers: Number of tracks analyzed at a time; by default the number of cores.
            progress: Show a progress bar on standard error.
            wait: Wait for another writer to finish, instead of raising.

        Returns:
            The library, opened for reading.

        Raises:
            LibraryError: If a folder or the library cannot be used, or another process writes to the library.
            SpaceMismatchError: If the library was made with another model.
            InputError: If a number is malformed.
            UnknownNameError: If the model does not exist.

        Example:
            >>> import shutil, tempfile
            >>> from pathlib import Path
            >>> import musiczoo, musiczoo.demo
            >>> music = Path(tempfile.mkdtemp())
            >>> _ = shutil.copy(musiczoo.demo.PATH, music)
            >>> with musiczoo.Library.build(
            ...     "disentangled-classification", music, path=music / "music.db", excerpts=3, progress=False
            ... ) as library:
            ...     [Path(entry.path).name for entry in library.entries()]
            ['pirates_orchestra.ogg']
        """
        for folder in folders:
            check_folder(folder)  # before a library is made for a misspelt folder
        library = cls.open_or_create(path, model, excerpts, wait)
        try:
            library.index(*folders, workers=workers, progress=progress, wait=wait)
        except BaseException:
            library.close()
            raise
        return library

    def close(self) -> None:
        """Close the file; a ``with`` statement does it.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> library = musiczoo.Library.open_or_create(path, "disentangled-classification")
            >>> library.close()
        """
        self.database.close()

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.database)

    def __repr__(self) -> str:
        return f"Library({str(self.path)!r}, {len(self)} tracks, model={self.config.model!r})"

    # === Writing ===

    def index(
        self,
        *folders: AnyPath,
        model: "Model | AnyPath | None" = None,
        workers: int | None = None,
        forget: bool = False,
        progress: bool = True,
        wait: bool = False,
        rescan: bool = False,
    ) -> IndexReport:
        """Bring the library up to date with folders: add new files, update changed and moved ones, remove deleted ones.

        Unchanged files are not read, and moved ones are not analyzed again. Tracks of other folders are kept. Each
        track is written when it is analyzed: after an interruption of any kind, call this again, and it resumes. Files
        in progress when a process died may have crashed the decoder: they are then analyzed last, one by one, in a
        worker process, and those that crash it become failures.

        Args:
            folders: Folders with music. To remove the tracks of a deleted folder, pass it with `forget`.
            model: The model; by default that of the library. Prefer a name or a folder: a loaded model cannot be used
                in a worker process, so that a file that crashes its decoder ends this process, up to three times,
                before it becomes a failure.
            workers: Number of tracks analyzed at a time; by default the number of cores.
            forget: Treat folders that are missing or empty as deleted or emptied, not as disks that are not mounted.
            progress: Show a progress bar on standard error.
            wait: Wait for another writer to finish, instead of raising.
            rescan: Read all files again, also those of unchanged size and time. Those with other contents are decoded;
                of the others, only the metadata are read again.

        Returns:
            The numbers of tracks added, changed, moved, removed, failed and unchanged.

        Raises:
            LibraryError: If a folder is missing, the library cannot be written, or another process writes to it.
            SpaceMismatchError: If the model is not that of the library.
            UnknownNameError: If the library's model does not exist here.

        Example:
            >>> import shutil, tempfile
            >>> from pathlib import Path
            >>> import musiczoo, musiczoo.demo
            >>> music = Path(tempfile.mkdtemp())
            >>> _ = shutil.copy(musiczoo.demo.PATH, music)
            >>> with musiczoo.Library.open_or_create(music / "music.db", "disentangled-classification") as library:
            ...     first = library.index(music, progress=False)
            ...     second = library.index(music, progress=False)
            >>> first.added, second.added, second.unchanged
            (1, 0, 1)
        """
        with Database.open(self.path, write=True, wait=wait) as database:
            chosen = self._model_or_name() if model is None else model
            loaded = self._load(chosen, threads=None if workers == 1 else 1)  # several workers share the cores
            isolated = Job.of(chosen, self.config, loaded.card.version)
            report = index(database, loaded, folders, workers, forget, progress, isolated, rescan)
        self.database.reopen()
        return report

    def vacuum(self) -> int:
        """Return the disk space of removed tracks to the system.

        Returns:
            Number of bytes freed.

        Raises:
            LibraryError: If the library cannot be written, or another process writes to it.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.vacuum() >= 0
            True
        """
        before = self._bytes()
        with Database.open(self.path, write=True) as database:
            database.vacuum()
        return before - self._bytes()

    # === Searching ===

    def search(
        self,
        query: "Song | Iterable[Song] | Query",
        k: int = 20,
        weights: Mapping[str, float] | None = None,
        filters: "Filters | None" = None,
        *,
        per_artist: int | None = None,
        per_album: int | None = None,
        fold_duplicates: bool = True,
        exclude: Iterable[AnyPath] = (),
        variety: float = 0,
        seed: int | None = None,
    ) -> "list[Hit]":
        """Return the tracks most similar to a query.

        The score of a hit is the weighted mean of its cosines in the dimensions of the model, such as genre, mood,
        instrument and era. The tracks of the query are not hits, and neither are copies of them unless
        `fold_duplicates` is False.

        Args:
            query: A path, a `musiczoo.Track`, several of them, or a `musiczoo.library.Query` of tracks, tags and
                mixtures. A track need not be in the library.
            k: Number of hits, from 1.
            weights: Dimension -> weight, 0 or more; dimensions left out have weight 0. By default, all dimensions of
                the query have the same weight.
            filters: Conditions on hits; None for none.
            per_artist: Most hits of one artist; tracks without an artist are not limited. None for no limit.
            per_album: Most hits of one album. None for no limit.
            fold_duplicates: Return each recording once, and list its other files in `Hit.duplicates`.
            exclude: Paths of tracks that are not hits, such as those of `musiczoo.library.playlist.read`; those that
                are not in the library are ignored. Files with the same contents are not hits either, unless
                `fold_duplicates` is False.
            variety: How much the hits differ from seed to seed, 0 to 1. With 0, they are the k nearest. Otherwise k of
                the 5 k nearest are drawn, near ones more often: see `musiczoo.library.search`.
            seed: Seed of the draw, 0 or more; None for another draw each time.

        Returns:
            The hits, best first; fewer than k if no more tracks pass.

        Raises:
            InputError: If k, a limit, a weight, the variety, the seed or the query is malformed.
            UnknownNameError: If a dimension or tag does not exist.
            AudioNotFoundError: If a track of the query is neither in the library nor a file.
            AudioError: If it cannot be decoded.
            SpaceMismatchError: If it was analyzed with another model.

        Example:
            A library of two tracks, of which one is searched by the other, by genre and twice as much by mood:

            >>> import shutil, tempfile
            >>> from pathlib import Path
            >>> import musiczoo, musiczoo.demo, soundfile
            >>> from musiczoo.library import Filters, Query
            >>> music = Path(tempfile.mkdtemp())
            >>> samples, rate = soundfile.read(musiczoo.demo.PATH)
            >>> soundfile.write(music / "first.flac", samples[: 12 * rate], rate)
            >>> soundfile.write(music / "second.flac", samples[12 * rate :], rate)
            >>> library = musiczoo.Library.build(
            ...     "disentangled-classification", music, path=music / "music.db", progress=False
            ... )
            >>> (hit,) = library.search(music / "first.flac", k=10, weights={"genre": 1, "mood": 2})
            >>> Path(hit.path).name
            'second.flac'
            >>> genre, mood = hit.dimensions["genre"], hit.dimensions["mood"]
            >>> round(hit.score - (genre + 2 * mood) / 3, 6)
            0.0

            Any file can be the query, and so can tags; filters limit the hits:

            >>> [Path(hit.path).name for hit in library.search(musiczoo.demo.PATH, filters=Filters(durations=(0, 15)))]
            ['first.flac']
            >>> len(library.search(Query(tags=["rock"], unlike=[music / "first.flac"])))
            1
            >>> library.close()
        """
        from .search import search

        return search(
            self,
            query,
            k,
            weights,
            filters,
            per_artist=per_artist,
            per_album=per_album,
            fold_duplicates=fold_duplicates,
            exclude=exclude,
            variety=variety,
            seed=seed,
        )

    def path_between(
        self,
        start: "Song",
        end: "Song",
        k: int = 10,
        through: "Sequence[Song]" = (),
        weights: Mapping[str, float] | None = None,
        filters: "Filters | None" = None,
        *,
        exclude: Iterable[AnyPath] = (),
    ) -> "list[Step]":
        """Return k tracks that lead from one track to another in small steps.

        Start, end and waypoints are kept, and no recording repeats. Between two of them, each track is nearer to the
        next one, and its largest step is as small as possible: see `musiczoo.library.path` for the definition.

        Args:
            start: The first track: a path or a `musiczoo.Track` with a path. It need not be in the library.
            end: The last track, given in the same way.
            k: Number of tracks, with those that you name.
            through: Waypoints, in order.
            weights: Dimension -> weight, 0 or more; dimensions left out have weight 0. By default, all dimensions have
                the same weight.
            filters: Conditions on the other tracks; None for none.
            exclude: Paths of tracks that are not used, such as those of another playlist; those that are not in the
                library are ignored.

        Returns:
            The tracks, from start to end.

        Raises:
            InputError: If k is too small or a weight is malformed; if a track is named twice, is silent, or has no
                path; or if the library has too few tracks between two of them.
            UnknownNameError: If a dimension does not exist.
            AudioNotFoundError: If a track is neither in the library nor a file.
            AudioError: If it cannot be decoded.
            SpaceMismatchError: If it was analyzed with another model.

        Example:
            From the beginning of a track to its end, by a part of both:

            >>> import tempfile
            >>> from pathlib import Path
            >>> import musiczoo, musiczoo.demo, soundfile
            >>> music = Path(tempfile.mkdtemp())
            >>> samples, rate = soundfile.read(musiczoo.demo.PATH)
            >>> for name, start, stop in (("begin", 0, 12), ("both", 6, 24), ("end", 18, 30)):
            ...     soundfile.write(music / f"{name}.flac", samples[start * rate : stop * rate], rate)
            >>> library = musiczoo.Library.build(
            ...     "disentangled-classification", music, path=music / "music.db", progress=False
            ... )
            >>> steps = library.path_between(music / "begin.flac", music / "end.flac", k=3)
            >>> [Path(step.path).name for step in steps]
            ['begin.flac', 'both.flac', 'end.flac']
            >>> steps[0].progress, 0 < steps[1].progress < 1, steps[2].progress
            (0.0, True, 1.0)
            >>> library.close()
        """
        from .path import path_between

        return path_between(self, start, end, k, through, weights, filters, exclude=exclude)

    def find(self, path: AnyPath) -> Entry | None:
        """Return the record of a file, or None if it is not in the library.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.find("song.mp3") is None
            True
        """
        return self.database.find(path)

    def entries(self, ids: Sequence[int] | None = None) -> Iterator[Entry]:
        """Yield the records of tracks: path, embedding, tag probabilities and metadata.

        Args:
            ids: Ids of tracks, in the wanted order; by default all, ascending.

        Raises:
            LibraryError: If a record is damaged.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     [entry.path for entry in library.entries()]
            []
        """
        return self.database.entries(ids)

    def candidates(self, filters: "Filters | None" = None) -> "tuple[Snapshot, Rows | None]":
        """Return the embeddings that a search scans, and the rows that pass filters (None for all of them).

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     snapshot, rows = library.candidates()
            >>> snapshot.matrix.shape, rows
            ((0, 256), None)
        """
        snapshot = self.vectors.current()
        if not filters:
            return snapshot, None
        return snapshot, snapshot.rows(self.database.select_ids(*filters.where(self.config)))

    @cached_property
    def vectors(self) -> "Vectors":
        """The embeddings in memory, read at the first search.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.vectors.current().matrix.shape
            (0, 256)
        """
        from .vectors import Vectors

        return Vectors(self.database)

    def model(self) -> "Model":
        """Return the model of the library, which is loaded at the first call.

        Raises:
            UnknownNameError: If it does not exist here: pass it to `open`.
            SpaceMismatchError: If the model of that name has another space now.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.model().name
            'disentangled-classification'
        """
        if self._model is None:
            self._model = self._load(self._model_or_name())
        return self._model

    # === Reading ===

    def export(self, path: AnyPath, format: str | None = None) -> int:
        """Write embeddings, tag probabilities, paths and metadata of all tracks to a file for other programs.

        See `musiczoo.library.export` for the columns.

        Args:
            path: The file to write; it is replaced if it exists.
            format: ``"parquet"`` (needs ``musiczoo[parquet]``), ``"npz"`` or ``"csv"``; by default the ending of the
                path.

        Returns:
            Number of tracks written.

        Raises:
            UnknownNameError: If the format does not exist.
            InputError: If the path is a folder or the library itself.
            LibraryError: If a track is damaged.
            MissingDependencyError: If pyarrow is not installed.
            WriteError: If the file cannot be written.

        Example:
            >>> import shutil, tempfile
            >>> from pathlib import Path
            >>> import musiczoo, musiczoo.demo, numpy
            >>> music = Path(tempfile.mkdtemp())
            >>> _ = shutil.copy(musiczoo.demo.PATH, music)
            >>> library = musiczoo.Library.build(
            ...     "disentangled-classification", music, path=music / "music.db", progress=False
            ... )
            >>> library.export(music / "music.npz")
            1
            >>> with numpy.load(music / "music.npz") as arrays:
            ...     arrays["embedding"].shape, arrays["tags"].shape, len(arrays["tag_names"])
            ((1, 256), (1, 50), 50)
            >>> library.close()
        """
        from .export import export

        return export(self.database, expanded(path), format)

    def failures(self) -> list[Failure]:
        """Return the files that could not be analyzed, and why, by path. They are tried again when they change.

        Example:
            >>> import tempfile
            >>> from pathlib import Path
            >>> import musiczoo
            >>> music = Path(tempfile.mkdtemp())
            >>> _ = (music / "broken.mp3").write_text("This is not audio.")
            >>> with musiczoo.Library.build(
            ...     "disentangled-classification", music, path=music / "music.db", progress=False
            ... ) as library:
            ...     [(Path(failure.path).name, failure.kind) for failure in library.failures()]
            [('broken.mp3', 'AudioError')]
        """
        return self.database.failures()

    def warnings(self) -> list[tuple[str, str]]:
        """Return path and message of each warning about the audio of tracks, by path.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.warnings()
            []
        """
        return status.warnings(self.database)

    def stats(self) -> dict[str, Any]:
        """Return counts, the configuration and the search engine, as types that JSON has.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     stats = library.stats()
            >>> stats["tracks"], stats["model"], stats["search"]["engine"]
            (0, 'disentangled-classification', 'exact')
        """
        return status.stats(self.database) | {"bytes": self._bytes(), "search": self.vectors.describe()}

    def verify(self) -> list[str]:
        """Return a sentence for each problem: damage, invalid values, files that are gone or have changed.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.verify()
            []
        """
        return status.problems(self.database)

    def _model_or_name(self) -> "Model | AnyPath":
        return named(self.config.model) if self._given is None else self._given

    def _bytes(self) -> int:
        return sum(
            Path(f"{self.path}{end}").stat().st_size for end in ("", "-wal") if Path(f"{self.path}{end}").exists()
        )

    def _load(self, model: "Model | AnyPath", threads: int | None = None) -> "Model":
        from ..model import load

        self.config.check(str(self.path), _card(model).space_id)
        return load(model, threads=threads) if isinstance(model, str | os.PathLike) else model


def excerpts_of(setting: int | None) -> int | None:
    """Return the number of excerpts that a setting means in a new library.

    Args:
        setting: Number of excerpts; 0 for whole tracks, None for the default.

    Returns:
        Number of excerpts; None for whole tracks.

    Example:
        >>> from musiczoo.library.library import excerpts_of
        >>> excerpts_of(None), excerpts_of(5), excerpts_of(0)
        (10, 5, None)
    """
    return EXCERPTS if setting is None else setting or None


def _card(model: "Model | AnyPath") -> ModelCard:
    return read_card(find(model)) if isinstance(model, str | os.PathLike) else model.card
