"""`Library`: what users see of all this.

Example:
    >>> import musiczoo
    >>> library = musiczoo.Library.build("disentangled-classification", "~/Music")  # doctest: +SKIP
    >>> for hit in library.search("song.mp3", k=10, weights={"genre": 1, "mood": 2}):  # doctest: +SKIP
    ...     print(hit.score, hit.path, hit.dimensions)
"""

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._paths import AnyPath, expanded
from ..card import ModelCard, read_card
from ..errors import InputError, LibraryError
from ..registry import find, named
from . import checks
from .database import Database
from .indexing import IndexReport, index
from .records import Facts, Failure
from .scan import check_folder
from .worker import Job

if TYPE_CHECKING:
    from ..model import Model
    from .filters import Filters
    from .query import Query
    from .search import Hit
    from .songs import Song
    from .vectors import Vectors

EXCERPTS = 10
"""Excerpts that are heard of each song unless its library says otherwise.

Ten of 3 s, from the middles of ten equal parts, are an eighth of a song of four minutes, and so of the work. On 48
tracks of open_music, against hearing all of each: cosine 0.9988 in the mean and 0.9963 at worst (5 excerpts: 0.9970 and
0.9852; 20: 0.9996 and 0.9986), and 91 % of the five nearest neighbours are the same (87 %; 95 %).
"""


class Library:
    """A folder of music that can be searched: see `build` and `open`. Use it in a ``with`` statement, or `close` it.

    Reading needs no right to write, and does not mind another process that writes; `index` and `vacuum` make this
    one the only writer while they run. Searching is safe from several threads.

    Attributes:
        path: Its file.
        facts: What its numbers mean.
        database: Its file, opened for reading.
    """

    def __init__(self, database: Database, model: "Model | AnyPath | None" = None) -> None:
        """Use `open` or `build`."""
        self.database = database
        self.path = database.path
        self.facts: Facts = database.facts
        self._given = model
        self._model: Model | None = None

    @classmethod
    def open(cls, path: AnyPath, model: "Model | AnyPath | None" = None) -> "Library":
        """Open a library.

        Args:
            path: Its file.
            model: The model that it was made with, or its folder; by default found by its name when it is needed.

        Raises:
            LibraryError: If there is none, or it is something else, damaged, or of a newer format.
            SpaceMismatchError: If it was made with another model.
        """
        database = Database.open(expanded(path))
        try:
            if model is not None:
                database.facts.check(str(database.path), _card(model).space_id)
        except BaseException:
            database.close()
            raise
        return cls(database, model)

    @classmethod
    def begin(
        cls,
        path: AnyPath,
        model: "Model | AnyPath | None" = None,
        excerpts: int | None = None,
        wait: bool = False,
    ) -> "Library":
        """Open a library, or make an empty one if there is none.

        Args:
            path: Its file.
            model: What listens; may be left out if there is a library.
            excerpts: Excerpts to hear of each song; 0 for all of it. None for what the library says or, if it is new,
                `EXCERPTS`.
            wait: Wait for another process that is making it, instead of raising.

        Raises:
            LibraryError: If it cannot be opened or made, or hears another number of excerpts.
            SpaceMismatchError: If it was made with another model.
            InputError: If `excerpts` is malformed, or there is neither a library nor a model.
            UnknownNameError: If there is no such model.
        """
        path = expanded(path)
        if excerpts is not None and (isinstance(excerpts, bool) or not isinstance(excerpts, int) or excerpts < 0):
            raise InputError(f"Expected a whole number of excerpts, or 0 for all of a song, received {excerpts!r}.")
        if not os.path.lexists(path):
            if model is None:
                raise InputError(f"{path}: expected the model for a new library, received none. Name one.")
            facts = Facts.of(_card(model), EXCERPTS if excerpts is None else excerpts or None)
            try:
                Database.create(path, facts, wait).close()
            except LibraryError:
                if not os.path.lexists(path):  # else another process has made it between our two looks: open that
                    raise
        library = cls.open(path, model)
        if excerpts is not None and (excerpts or None) != library.facts.excerpts:
            library.close()
            raise LibraryError(
                f"{path}: expected {library.facts.excerpts or 0} excerpts (0: all of a song), as it has heard of its "
                f"other songs, received {excerpts}. Leave that out, or make another library."
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
        """Make a library of folders, go on with one that was begun, or bring it up to date: `begin` and `index`.

        Args:
            model: What listens. A name is best: the model is then run with as many threads as suit the workers.
            folders: Where the music is.
            path: The library's file.
            excerpts: See `begin`.
            workers: Songs heard at a time; by default as many as there are cores.
            progress: Show a bar on standard error.
            wait: Wait for another writer to end, instead of raising.

        Raises:
            LibraryError: If a folder or the library cannot be used, or somebody else writes it.
            SpaceMismatchError: If the library was made with another model.
            InputError: If a number is malformed.
            UnknownNameError: If there is no such model.
        """
        for folder in folders:
            check_folder(folder)  # before a library is made for a folder whose name is misspelt
        library = cls.begin(path, model, excerpts, wait)
        try:
            library.index(*folders, workers=workers, progress=progress, wait=wait)
        except BaseException:
            library.close()
            raise
        return library

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.database)

    def __repr__(self) -> str:
        return f"Library({str(self.path)!r}, {len(self)} tracks, model={self.facts.model!r})"

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
        """Bring the library up to date with folders: what is new, changed, moved or gone in them.

        Files that are as they were are not read, and those that only moved are not heard again. What the library
        knows of other folders stays. Each track is written when it is done: a run that is stopped, in whatever way,
        is gone on with by calling this again. Files that were under way when it died may have killed it: they are
        then heard last, one by one, in a process that may die; those that kill it become failures.

        Args:
            folders: Where the music is. To forget a folder that was deleted, name it with `forget`.
            model: What listens; by default the model that the library was made with. A name or folder is best: one
                that is loaded already cannot listen in another process, so that a file that kills its decoder ends
                this one, up to three times, before it becomes a failure.
            workers: Songs heard at a time; by default as many as there are cores.
            forget: Take folders that are missing or empty for deleted or emptied ones, and not for disks that are
                not there.
            progress: Show a bar on standard error.
            wait: Wait for another writer to end, instead of raising.
            rescan: Read every file again, also those of unchanged size and time: those with other contents are
                decoded, of the others only the metadata are read again.

        Raises:
            LibraryError: If a folder is missing, the library cannot be written, or somebody else writes it.
            SpaceMismatchError: If the model is another than the library's.
            UnknownNameError: If the library's model is not there.
        """
        with Database.open(self.path, write=True, wait=wait) as database:
            chosen = self._chosen() if model is None else model
            listener = self._load(chosen, threads=None if workers == 1 else 1)  # several workers share the cores
            alone = Job.of(chosen, self.facts, listener.card.version)
            report = index(database, listener, folders, workers, forget, progress, alone, rescan)
        self.database.reopen()
        return report

    def vacuum(self) -> int:
        """Give the room of removed tracks back to the disk; the bytes gained."""
        before = self._bytes()
        with Database.open(self.path, write=True) as database:
            database.vacuum()
        return before - self._bytes()

    # === Reading ===

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
    ) -> "list[Hit]":
        """Find the songs that answer a query best: see `musiczoo.library.search.search`, which this calls."""
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
        )

    @cached_property
    def vectors(self) -> "Vectors":
        """Its vectors in memory, read when the first search needs them."""
        from .vectors import Vectors

        return Vectors(self.database)

    def model(self) -> "Model":
        """The model that made it, loaded when it is first needed.

        Raises:
            UnknownNameError: If it is not there: give it to `open`.
            SpaceMismatchError: If what bears its name now is another.
        """
        if self._model is None:
            self._model = self._load(self._chosen())
        return self._model

    def failures(self) -> list[Failure]:
        """Files that could not be heard, and why, by path. They are tried again when they have changed."""
        return self.database.failures()

    def warnings(self) -> list[tuple[str, str]]:
        """Path and message of what was noticed about the audio of tracks, such as that a file ends early; by path."""
        return checks.warnings(self.database)

    def stats(self) -> dict[str, Any]:
        """What is in it, as JSON's types."""
        return checks.stats(self.database) | {"bytes": self._bytes(), "search": self.vectors.describe()}

    def verify(self) -> list[str]:
        """What is wrong with it, a sentence each: damage, rows that cannot be, files that are gone or changed."""
        return checks.problems(self.database)

    def _chosen(self) -> "Model | AnyPath":
        return named(self.facts.model) if self._given is None else self._given

    def _bytes(self) -> int:
        return sum(
            Path(f"{self.path}{end}").stat().st_size for end in ("", "-wal") if Path(f"{self.path}{end}").exists()
        )

    def _load(self, model: "Model | AnyPath", threads: int | None = None) -> "Model":
        from ..model import load

        self.facts.check(str(self.path), _card(model).space_id)
        return load(model, threads=threads) if isinstance(model, str | os.PathLike) else model


def _card(model: "Model | AnyPath") -> ModelCard:
    return read_card(find(model)) if isinstance(model, str | os.PathLike) else model.card
