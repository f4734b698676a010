"""A store for catalogues that one machine does not hold: the vector database Milvus. Needs the extra [milvus].

Conventions
-----------
- A song's id is a hash of its path, so that writing it twice writes it once.
- Lengths of an unnormalised model's vectors are not kept; search compares by cosines whatever the model.
- The same code serves a Milvus cluster (``http://...``) and milvus-lite, which is a local file (``catalogue.db``).
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import LibraryError, MissingDependencyError
from ..library.records import Entry, Facts
from ..registry import named
from . import milvus_rows as rows

if TYPE_CHECKING:
    from ..library.filters import Filters
    from ..library.query import Query
    from ..library.search import Hit
    from ..library.songs import Song
    from ..model import Model

try:
    import pymilvus
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "This store needs pymilvus, which is not installed. Install it with: pip install 'musiczoo[milvus]'"
    ) from error

BATCH = 500
"""Songs written at a time."""

_FACTS = "musiczoo.facts"


@contextmanager
def explained(what: str | os.PathLike[str]) -> Iterator[None]:
    """What Milvus raises inside, as a `LibraryError`."""
    try:
        yield
    except pymilvus.MilvusException as error:
        raise LibraryError(
            f"{os.fspath(what)}: expected Milvus to answer, received: {error.message}. Is it running, and of "
            "version 2.5 or later?"
        ) from error


def _connected(uri: str | os.PathLike[str], token: str) -> Any:
    with explained(uri):
        return pymilvus.MilvusClient(os.fspath(uri), token=token)


class MilvusStore:
    """A catalogue in Milvus, with the `search` of a `musiczoo.Library`. Use it in a ``with`` statement, or `close` it.

    Attributes:
        facts: What its numbers mean.
        client: The connection.
        collection: The collection's name.
        index_type: Of its vector fields, such as ``FLAT``.
    """

    def __init__(self, client: Any, collection: str, facts: Facts, model: "Model | None" = None) -> None:
        """Use `open` or `create`."""
        self.facts = facts
        self.client = client
        self.collection = collection
        self._model = model
        index = client.describe_index(collection, rows.vector_field(next(iter(facts.spaces))))
        self.index_type = index["index_type"]

    @classmethod
    def create(
        cls,
        uri: str | os.PathLike[str],
        facts: Facts,
        collection: str = "tracks",
        *,
        token: str = "",
        index: Mapping[str, Any] | None = None,
        model: "Model | None" = None,
    ) -> "MilvusStore":
        """Make an empty collection.

        Args:
            uri: Of a Milvus server, or the path of a milvus-lite file.
            facts: What its numbers will mean.
            collection: Its name, which must be free.
            token: ``user:password``, if the server wants one.
            index: Of each vector field, as pymilvus takes it: ``{"index_type": "HNSW", "params": {"M": 32,
                "efConstruction": 200}}``. Default is FLAT, which is exact.
            model: See `open`.

        Raises:
            LibraryError: If there is such a collection, or Milvus does not answer.
        """
        client = _connected(uri, token)
        with explained(uri):
            if client.has_collection(collection):
                raise LibraryError(f"{uri}: expected no collection {collection!r} yet, received one. Open it.")
            indexes = client.prepare_index_params()
            for space in facts.spaces:
                indexes.add_index(rows.vector_field(space), metric_type="IP", **(index or {"index_type": "FLAT"}))
            client.create_collection(
                collection,
                schema=rows.schema(client, facts),
                index_params=indexes,
                consistency_level="Strong",
                properties={_FACTS: json.dumps(facts.plain())},
            )
        return cls(client, collection, facts, model)

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
            uri: Of a Milvus server, or the path of a milvus-lite file.
            collection: Its name.
            token: ``user:password``, if the server wants one.
            model: What listens to songs that are not in it; by default found by its name when it is needed.

        Raises:
            LibraryError: If there is no such collection, it is something else, or Milvus does not answer.
            SpaceMismatchError: If the model is another than the collection's.
        """
        client = _connected(uri, token)
        with explained(uri):
            if not client.has_collection(collection):
                raise LibraryError(f"{uri}: expected a collection {collection!r}, received none. Create it.")
            properties = dict(client.describe_collection(collection).get("properties") or {})
            if _FACTS not in properties:
                raise LibraryError(f"{uri}: expected a collection of musiczoo, received another, {collection!r}.")
            fields = {field["name"] for field in client.describe_collection(collection)["fields"]}
            if "artist_keys" not in fields:
                raise LibraryError(
                    f"{uri}: the collection {collection!r} was made by an older musiczoo. Make another, and import the "
                    "parts into it again."
                )
            client.load_collection(collection)
        facts = Facts.from_plain(json.loads(properties[_FACTS]))
        if model is not None:
            facts.check(f"{uri}", model.card.space_id)
        return cls(client, collection, facts, model)

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
        """Write songs, instead of what their paths stand for so far; how many.

        Their vectors must be of this store's space: `musiczoo.library.records.Facts.check` tells.
        """
        count, remaining = 0, iter(entries)
        while batch := [rows.plain(entry, self.facts) for entry in islice(remaining, BATCH)]:
            with explained(self.collection):
                self.client.upsert(self.collection, batch)
            count += len(batch)
        return count

    def import_parts(self, parts: Sequence[str | os.PathLike[str]]) -> int:
        """Write the songs of Parquet parts (see `musiczoo.scale.parquet`); how many. Idempotent.

        Raises:
            InputError: If there is no part at one of the places.
            LibraryError: If one is no part, or Milvus does not answer.
            SpaceMismatchError: If one is of another space; then nothing is written.
        """
        from . import parquet

        names = parquet.find_parts(parts)
        for name in names:
            self.facts.check(name, parquet.inspect(name).facts.space_id)
        return sum(self.add(row for row in parquet.read(name) if isinstance(row, Entry)) for name in names)

    def remove(self, paths: Iterable[str]) -> None:
        """Forget songs."""
        ids = [rows.number(path) for path in paths]
        for i in range(0, len(ids), BATCH):
            with explained(self.collection):
                self.client.delete(self.collection, ids=ids[i : i + BATCH])

    def one(self, path: str | os.PathLike[str]) -> Entry | None:
        """The song with this path, or None."""
        return next(self.entries([rows.number(os.fspath(path))]), None)

    def entries(self, ids: Iterable[int]) -> Iterator[Entry]:
        """Songs by id, in the order asked for; ids that do not exist are left out."""
        remaining = iter(ids)
        while batch := list(islice(remaining, BATCH)):
            with explained(self.collection):
                found = self.client.get(self.collection, ids=batch, output_fields=["*"])
            by_id = {values["id"]: values for values in found}
            yield from (rows.entry(by_id[number], self.facts) for number in batch if number in by_id)

    def model(self) -> "Model":
        """The model that made it, loaded when it is first needed.

        Raises:
            UnknownNameError: If it is not there: give it to `open`.
            SpaceMismatchError: If what bears its name now is another.
        """
        if self._model is None:
            from ..model import load

            model = load(named(self.facts.model))
            self.facts.check(f"The model {self.facts.model!r} of this machine", model.card.space_id)
            self._model = model
        return self._model

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
        """Find the songs that answer a query best: see `milvus_search.search`, which this calls."""
        from .milvus_search import search

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
