"""Catalogues that one machine does not hold, in the vector database Milvus. Needs the extra [milvus].

Conventions
-----------
- The id of a track is a hash of its path, so that writing it twice writes it once.
- The lengths of an unnormalized model's vectors are not kept; searches compare by cosine whatever the model.
- The same code works with a Milvus cluster (``http://...``) and with milvus-lite, a local file (``catalogue.db``).

How it searches
---------------
A collection has one vector field a dimension, of unit vectors compared by inner product, so that any weights are a
*hybrid search*: each field returns its nearest tracks, and Milvus sums their scores, weighted. A track that is rather
similar in all dimensions and very similar in none is then missed. So, after Fagin, Lotem and Naor (JCSS 66, 2003: the
threshold algorithm):

1. All tracks that any field returns are fetched, `FIRST_DEPTH` a field, with their vectors.
2. `musiczoo.library.search` searches among them: scores are exact, and results are filtered as in a library.
3. The score of any other track is at most sum_s w_s t_s, where t_s is the lowest cosine that field s returned. If all
   hits reach that, they are the exact answer. Otherwise the search is repeated with `DEEPER` times as many tracks a
   field, up to Milvus' limit.

With exact field indexes (FLAT), an answer that ends at step 3 is exact; one that ends at the limit, or with approximate
indexes, may miss tracks. `fetch_candidates` with a depth lets you measure that: see benchmarks/milvus_recall.py.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LibraryError, MissingDependencyError
from ..library import search as library_search
from ..library.engines import Exact, Floats, Rows
from ..library.filters import Filters
from ..library.query import Query, QueryVector, Song, compile_query
from ..library.records import Entry, LibraryConfig
from ..library.vectors import Snapshot, units
from ..registry import named
from . import milvus_records as records

if TYPE_CHECKING:
    from ..model import Model
    from ..track import Track

try:
    import pymilvus
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "MilvusStore needs pymilvus, which is not installed. Install it with: pip install 'musiczoo[milvus]'"
    ) from error

BATCH = 500
"""Tracks written at a time."""

FIRST_DEPTH = 500
"""Tracks that each field returns at first."""

DEEPER = 4
"""Factor by which the depth grows."""

MOST = 16_384
"""Most tracks that one search of Milvus returns."""

_CONFIG_KEY = "musiczoo.facts"
"""Property of a collection that holds its configuration; the name is part of the format."""


class MilvusStore:
    """A catalogue in Milvus, searched as a `musiczoo.Library`. Use it in a ``with`` statement, or `close` it.

    Attributes:
        config: The model and the settings that made its embeddings and tags.
        client: The connection.
        collection: Name of the collection.
        index_type: Index type of its vector fields, such as ``FLAT``.

    Example:
        >>> from musiczoo.scale.shards import analyze_remote, find_audio
        >>> model = musiczoo.load("disentangled-classification")
        >>> config = LibraryConfig.from_card(model.card, excerpts=1)
        >>> songs = [analyze_remote(model, config, name) for name in find_audio(["a.mp3", "b.mp3", "c.mp3"])]
        >>> with MilvusStore.create("catalogue.db", config, model=model) as store:
        ...     added = store.add(songs)
        ...     hits = store.search(songs[0].path, k=2)
        >>> added, sorted(os.path.basename(hit.path) for hit in hits)
        (3, ['b.mp3', 'c.mp3'])
    """

    def __init__(self, client: Any, collection: str, config: LibraryConfig, model: "Model | None" = None) -> None:
        """Use `open` or `create`."""
        self.config = config
        self.client = client
        self.collection = collection
        self._model = model
        index = client.describe_index(collection, records.vector_field(next(iter(config.spaces))))
        self.index_type = index["index_type"]

    @classmethod
    def create(
        cls,
        uri: str | os.PathLike[str],
        config: LibraryConfig,
        collection: str = "tracks",
        *,
        token: str = "",
        index: Mapping[str, Any] | None = None,
        model: "Model | None" = None,
    ) -> "MilvusStore":
        """Create an empty collection.

        Args:
            uri: Address of a Milvus server, or path of a milvus-lite file.
            config: The model and the settings of the embeddings, such as those of a part: `parquet.inspect`.
            collection: Name of the collection, which must not exist.
            token: ``user:password``, if the server requires it.
            index: Index of each vector field, as pymilvus takes it: ``{"index_type": "HNSW", "params": {"M": 32,
                "efConstruction": 200}}``. By default FLAT, which is exact.
            model: See `open`.

        Raises:
            LibraryError: If the collection exists, or Milvus does not answer.
        """
        client = _connect(uri, token)
        with _wrap_errors(uri):
            if client.has_collection(collection):
                raise LibraryError(f"{uri} has a collection {collection!r} already. Open it, or choose another name.")
            indexes = client.prepare_index_params()
            for space in config.spaces:
                indexes.add_index(records.vector_field(space), metric_type="IP", **(index or {"index_type": "FLAT"}))
            client.create_collection(
                collection,
                schema=records.schema(client, config),
                index_params=indexes,
                consistency_level="Strong",
                properties={_CONFIG_KEY: json.dumps(config.to_dict())},
            )
        return cls(client, collection, config, model)

    @classmethod
    def open(
        cls,
        uri: str | os.PathLike[str],
        collection: str = "tracks",
        *,
        token: str = "",
        model: "Model | None" = None,
    ) -> "MilvusStore":
        """Open a collection that `create` made.

        Args:
            uri: Address of a Milvus server, or path of a milvus-lite file.
            collection: Name of the collection.
            token: ``user:password``, if the server requires it.
            model: The model that analyzes tracks that are not in the collection; by default it is found by its name
                when it is needed.

        Raises:
            LibraryError: If the collection does not exist, is not one of musiczoo, or Milvus does not answer.
            SpaceMismatchError: If the collection was made with another model.
        """
        client = _connect(uri, token)
        with _wrap_errors(uri):
            if not client.has_collection(collection):
                raise LibraryError(f"No collection {collection!r} in {uri}. Create it by MilvusStore.create.")
            properties = dict(client.describe_collection(collection).get("properties") or {})
            if _CONFIG_KEY not in properties:
                raise LibraryError(f"The collection {collection!r} in {uri} was not made by musiczoo. Choose another.")
            fields = {field["name"] for field in client.describe_collection(collection)["fields"]}
            if "artist_keys" not in fields:
                raise LibraryError(
                    f"The collection {collection!r} in {uri} was made by an older musiczoo. Create another, and "
                    "import the parts into it again."
                )
            client.load_collection(collection)
        config = LibraryConfig.from_dict(json.loads(properties[_CONFIG_KEY]))
        if model is not None:
            config.check(f"{uri}", model.card.space_id)
        return cls(client, collection, config, model)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def __enter__(self) -> "MilvusStore":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        found = self.client.query(self.collection, filter="", output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    def add(self, entries: Iterable[Entry]) -> int:
        """Write tracks, replacing those of the same paths, and return their number.

        Their vectors must be of this store's space: see `musiczoo.library.records.LibraryConfig.check`.
        """
        count, remaining = 0, iter(entries)
        while batch := [records.to_record(entry, self.config) for entry in islice(remaining, BATCH)]:
            with _wrap_errors(self.collection):
                self.client.upsert(self.collection, batch)
            count += len(batch)
        return count

    def import_parts(self, parts: Sequence[str | os.PathLike[str]]) -> int:
        """Write the tracks of Parquet parts (see `musiczoo.scale.parquet`), and return their number. Idempotent.

        Raises:
            InputError: If there is no part at one of the places.
            LibraryError: If a file is not a part, or Milvus does not answer.
            SpaceMismatchError: If a part is of another space; then nothing is written.
        """
        from . import parquet

        names = parquet.find_parts(parts)
        for name in names:
            self.config.check(name, parquet.inspect(name).config.space_id)
        return sum(self.add(row for row in parquet.read(name) if isinstance(row, Entry)) for name in names)

    def remove(self, paths: Iterable[str]) -> None:
        """Remove tracks by path."""
        ids = [records.track_id(path) for path in paths]
        for i in range(0, len(ids), BATCH):
            with _wrap_errors(self.collection):
                self.client.delete(self.collection, ids=ids[i : i + BATCH])

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the track of a path, or None."""
        return next(self.entries([records.track_id(os.fspath(path))]), None)

    def entries(self, ids: Iterable[int]) -> Iterator[Entry]:
        """Yield tracks by id, in the given order; ids that do not exist are skipped."""
        remaining = iter(ids)
        while batch := list(islice(remaining, BATCH)):
            with _wrap_errors(self.collection):
                found = self.client.get(self.collection, ids=batch, output_fields=["*"])
            by_id = {values["id"]: values for values in found}
            yield from (records.from_record(by_id[number], self.config) for number in batch if number in by_id)

    def model(self) -> "Model":
        """Return the model of the catalogue, which is loaded at the first call.

        Raises:
            UnknownNameError: If it does not exist here: pass it to `open`.
            SpaceMismatchError: If the model of that name has another space now.
        """
        if self._model is None:
            from ..model import load

            model = load(named(self.config.model, self.config.source))
            self.config.check(f"The model {self.config.model!r} of this machine", model.card.space_id)
            self._model = model
        return self._model

    def search(
        self,
        query: Song | Iterable[Song] | Query,
        k: int = 20,
        weights: Mapping[str, float] | None = None,
        filters: Filters | None = None,
        *,
        per_artist: int | None = None,
        per_album: int | None = None,
        fold_duplicates: bool = True,
    ) -> list[library_search.Hit]:
        """Return the tracks most similar to a query: see `musiczoo.Library.search`.

        `Hit.similarity_percentile` is empty: the candidates are not a sample of the catalogue.

        Raises:
            LibraryError: If Milvus does not answer.
            InputError: If the path in the filters has brackets, which Milvus cannot match.
        """
        query = Query.of_value(query)
        where = records.where(filters, self.config) if filters else ""
        source = _FetchedCandidates(self)
        vectors = compile_query(query, source, weights).vectors
        most = MOST // len(self.config.spaces)
        depth = min(most, max(FIRST_DEPTH, 2 * k))
        while True:
            source.fetched = fetch_candidates(self, vectors, depth, where)
            hits = library_search.search(
                source, query, k, weights, filters,
                per_artist=per_artist, per_album=per_album, fold_duplicates=fold_duplicates,
            )  # fmt: skip
            complete = len(hits) == k and hits[-1].score >= source.fetched.bound
            if source.fetched.everything or depth == most or complete:
                return [replace(hit, similarity_percentile={}) for hit in hits]
            depth = min(most, DEEPER * depth)


@contextmanager
def _wrap_errors(what: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of Milvus into a `LibraryError` that names the next step."""
    try:
        yield
    except pymilvus.MilvusException as error:
        raise LibraryError(
            f"Milvus failed at {os.fspath(what)}: {error.message}. Is it running, and of version 2.5 or later?"
        ) from error


def _connect(uri: str | os.PathLike[str], token: str) -> Any:
    with _wrap_errors(uri):
        return pymilvus.MilvusClient(os.fspath(uri), token=token)


# === Candidates ===


@dataclass(frozen=True, eq=False)
class Candidates:
    """Tracks among which the best are.

    Attributes:
        ids: ``[N]``, ascending.
        matrix: ``[N, E]``, their embeddings.
        bound: Score that no other track exceeds, given exact indexes.
        everything: Whether there is no other track.

    Example:
        >>> found = Candidates(np.array([7]), np.ones((1, 256), np.float32) / 16, bound=0.5, everything=False)
        >>> found.matrix.shape
        (1, 256)
    """

    ids: NDArray[np.int64]
    matrix: Floats
    bound: float
    everything: bool


def fetch_candidates(store: MilvusStore, vectors: Sequence[QueryVector], depth: int, where: str = "") -> Candidates:
    """Fetch tracks among which the best are.

    Args:
        store: The catalogue.
        vectors: The vectors of the query.
        depth: Number of tracks that each field returns for each vector.
        where: A boolean expression of Milvus.

    Returns:
        The tracks that any field returned.

    Raises:
        LibraryError: If Milvus does not answer.

    Example:
        >>> from musiczoo.scale.shards import analyze_remote, find_audio
        >>> model = musiczoo.load("disentangled-classification")
        >>> config = LibraryConfig.from_card(model.card, excerpts=1)
        >>> songs = [analyze_remote(model, config, name) for name in find_audio(["a.mp3", "b.mp3", "c.mp3"])]
        >>> spaces = {name: songs[0].embedding[start:stop] * 2 for name, (start, stop) in config.spaces.items()}
        >>> vector = QueryVector(spaces, {"mood": 1.0}, frozenset())
        >>> with MilvusStore.create("candidates.db", config) as store:
        ...     _ = store.add(songs)
        ...     found = fetch_candidates(store, [vector], depth=2)
        >>> len(found.ids), found.everything
        (2, False)
    """
    found: dict[int, Floats] = {}
    bound, everything = -np.inf, True
    for vector in vectors:
        nearest = _nearest(store, vector, depth, where)
        found |= nearest
        if len(nearest) >= depth:
            everything = False
            bound = max(bound, _bound(store.config, vector, np.stack(list(nearest.values())), depth))
    ids = sorted(found)
    matrix = np.array([found[number] for number in ids], np.float32).reshape(-1, store.config.embedding_size)
    return Candidates(np.array(ids, np.int64), matrix, bound, everything)


def _nearest(store: MilvusStore, vector: QueryVector, depth: int, where: str) -> dict[int, Floats]:
    """Return id -> embedding of all tracks that a field with a weight returns."""
    parameters = {"metric_type": "IP", "params": {"ef": depth} if store.index_type == "HNSW" else {}}
    by_field = {records.vector_field(name): vector.directions[name].astype(np.float32) for name in vector.weights}
    fields = [records.vector_field(name) for name in store.config.spaces]
    with _wrap_errors(store.collection):
        if len(by_field) == 1:
            ((field, direction),) = by_field.items()
            found = store.client.search(
                store.collection, [direction.tolist()], anns_field=field, limit=depth, filter=where,
                search_params=parameters, output_fields=fields,
            )  # fmt: skip
        else:
            requests = [
                pymilvus.AnnSearchRequest([direction.tolist()], field, parameters, limit=depth, expr=where or None)
                for field, direction in by_field.items()
            ]
            ranker = pymilvus.WeightedRanker(*vector.weights.values(), norm_score=False)
            most = min(MOST, depth * len(requests))  # all that any field returns
            found = store.client.hybrid_search(store.collection, requests, ranker, limit=most, output_fields=fields)
    return {hit["id"]: records.embedding(hit["entity"], store.config) for hit in found[0]}


def _bound(config: LibraryConfig, vector: QueryVector, matrix: Floats, depth: int) -> float:
    """Return the score that no track exceeds that was not returned; `matrix` ``[returned, E]`` has those that were."""
    bound = 0.0
    for space, weight in vector.weights.items():
        start, stop = config.spaces[space]
        cosines = units(matrix[:, start:stop]) @ vector.directions[space]
        # The `depth` nearest that this field returned are the nearest among all that any field returned.
        bound += weight * float(np.partition(cosines, len(cosines) - depth)[len(cosines) - depth])
    return bound


class _FetchedCandidates:
    """A `musiczoo.library.query.CandidateSource` of fetched tracks; tracks that a query names come from the store.

    A query that is searched again with more candidates finds and analyzes its tracks only once.
    """

    def __init__(self, store: MilvusStore) -> None:
        self.config = store.config
        self.entries = store.entries
        self.fetched: Candidates | None = None
        self._store = store
        self._found: dict[str, Entry | None] = {}
        self._model = _CachedModel(store)

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        name = os.fspath(path)
        if name not in self._found:
            self._found[name] = self._store.find(name)
        return self._found[name]

    def model(self) -> "_CachedModel":
        return self._model

    def candidates(self, filters: Filters | None) -> tuple[Snapshot, Rows | None]:
        """Return the fetched tracks, all of which pass the filters."""
        assert self.fetched is not None
        return Snapshot(0, self.fetched.ids, self.fetched.matrix, Exact(self.fetched.matrix)), None


class _CachedModel:
    """A model that analyzes each track once."""

    def __init__(self, store: MilvusStore) -> None:
        self._store = store
        self._tracks: dict[tuple[Any, int | None, float | None], Track] = {}

    def analyze(self, source: Any, *, excerpts: int | None = None, hop: float | None = None) -> "Track":
        key = (source, excerpts, hop)
        if key not in self._tracks:
            self._tracks[key] = self._store.model().analyze(source, excerpts=excerpts, hop=hop)
        return self._tracks[key]

    def tag_points(self) -> NDArray[np.float32] | None:
        return self._store.model().tag_points()
