"""Searching an open library: the methods of `Library` that read its tracks and compare them."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from .._paths import AnyPath
from ..registry import named
from .database import Database
from .records import Entry, LibraryConfig

if TYPE_CHECKING:
    from ..model import Model
    from .artists import Groups, SimilarAlbum, SimilarArtist
    from .engines import Rows
    from .filters import Filters
    from .history import History
    from .path import Step
    from .query import Query, Song
    from .search import Hit
    from .vectors import Snapshot, Vectors


class SearchableLibrary:
    """An open library: what searching needs. Use `Library`, which also opens, makes and updates it.

    Attributes:
        path: The library's file.
        config: The model and the settings that made its embeddings and tags.
        database: The library's file, opened for reading.
    """

    def __init__(self, database: Database, model: "Model | AnyPath | None" = None) -> None:
        """Use `Library.open`, `Library.open_or_create` or `Library.build`."""
        self.database = database
        self.path = database.path
        self.config: LibraryConfig = database.config
        self._given = model
        self._model: Model | None = None

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
        history: "History | None" = None,
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
            history: What was played: a track with p recent plays moves from rank r to r (1 + p). See
                `musiczoo.library.history`.

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
            >>> round(hit.score, 6) == round((genre + 2 * mood) / 3, 6)
            True

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
            history=history,
        )

    def similar_artists(
        self, artist: str, k: int = 10, weights: Mapping[str, float] | None = None, min_tracks: int = 1
    ) -> "list[SimilarArtist]":
        """Return the artists most similar to one, by the means of their tracks.

        The distance of two artists is 1 - score, where the score is the weighted mean of the cosines of their means in
        each space: see `musiczoo.library.artists`.

        Args:
            artist: Name of the artist, as in the files' metadata; case does not matter.
            k: Number of artists.
            weights: Dimension -> weight, 0 or more; dimensions left out have weight 0. By default, all the same.
            min_tracks: Least number of tracks of a result; the artist that you name may have fewer.

        Returns:
            The artists, most similar first, equal ones by name; fewer than k if there are no more.

        Raises:
            UnknownNameError: If the artist does not exist; the message suggests similar names. Or a dimension.
            InputError: If a number is malformed, or all tracks of the artist are silent.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.similar_artists("Nina Simone")
            Traceback (most recent call last):
                ...
            musiczoo.errors.UnknownNameError: Unknown artist 'Nina Simone': no file of the library names an artist. ...
        """
        return self._groups.similar_artists(artist, k, weights, min_tracks)

    def similar_albums(
        self,
        album: str,
        artist: str | None = None,
        k: int = 10,
        weights: Mapping[str, float] | None = None,
        min_tracks: int = 1,
    ) -> "list[SimilarAlbum]":
        """Return the albums most similar to one, by the means of their tracks: see `similar_artists`.

        Args:
            album: Title of the album; case does not matter.
            artist: An artist of the album; needed if several artists have albums of that title.
            k: Number of albums.
            weights: Dimension -> weight, 0 or more; dimensions left out have weight 0. By default, all the same.
            min_tracks: Least number of tracks of a result; the album that you name may have fewer.

        Raises:
            UnknownNameError: If the album or a dimension does not exist.
            InputError: If several albums have the title, a number is malformed, or all tracks of the album are silent.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.similar_albums("Pastel Blues", artist="Nina Simone")
            Traceback (most recent call last):
                ...
            musiczoo.errors.UnknownNameError: Unknown album 'Pastel Blues': no file of the library names an album. ...
        """
        return self._groups.similar_albums(album, artist, k, weights, min_tracks)

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

    @cached_property
    def _groups(self) -> "Groups":
        from .artists import Groups

        return Groups(self.vectors)

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

    def _model_or_name(self) -> "Model | AnyPath":
        return named(self.config.model, self.config.source) if self._given is None else self._given

    def _load(self, model: "Model | AnyPath", threads: int | None = None) -> "Model":
        from ..model import load

        self.config.check(str(self.path), LibraryConfig.of(model).space_id)
        return load(model, threads=threads) if isinstance(model, str | os.PathLike) else model
