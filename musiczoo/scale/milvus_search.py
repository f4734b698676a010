"""Search in a `MilvusStore`: as a library does it, among candidates that Milvus names.

How it finds
------------
A collection has one vector field a dimension, of unit vectors compared by inner product, so that every weighting is
a *hybrid search*: each field names its nearest, Milvus adds up what they say, weighted. A song that is rather near in
all dimensions and very near in none is then missed. So, after Fagin, Lotem and Naor (JCSS 66, 2003: the threshold
algorithm):

1. All songs that any field names are fetched, `FIRST_DEPTH` a field, with their vectors.
2. The very search of `musiczoo.library` is done among them: scores are exact, and all its hygiene applies.
3. No other song's score exceeds sum_s w_s t_s, where t_s is the least cosine that field s named. If all hits reach
   that, they are the exact answer; else it goes on with `DEEPER` times as many a field, up to Milvus' limit.

So with exact field indexes (FLAT) what ends at 3 is exact; what ends at the limit, and what approximate indexes miss,
is not: `candidates` with a depth lets one measure it, and benchmarks/milvus_recall.py does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ..library import search as local
from ..library.engines.engine import Floats
from ..library.engines.exact import Exact
from ..library.filters import Filters
from ..library.query import Query, Question, ask
from ..library.records import Facts
from ..library.songs import Searched, Song
from ..library.vectors import Snapshot, units
from . import milvus_rows as rows

if TYPE_CHECKING:
    from .milvus import MilvusStore

FIRST_DEPTH = 500
"""Songs that each field names at first."""

DEEPER = 4

MOST = 16_384
"""Songs that one search of Milvus returns at most."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Songs among which the best are.

    Attributes:
        ids: ``[N]``, ascending.
        matrix: ``[N, E]``, their vectors.
        bound: The score that no other song exceeds, given exact indexes.
        everything: Whether there is no other.
    """

    ids: NDArray[np.int64]
    matrix: Floats
    bound: float
    everything: bool


def search(
    store: "MilvusStore",
    query: Song | Iterable[Song] | Query,
    k: int = 20,
    weights: Mapping[str, float] | None = None,
    filters: Filters | None = None,
    *,
    per_artist: int | None = None,
    per_album: int | None = None,
    fold_duplicates: bool = True,
) -> list[local.Hit]:
    """`musiczoo.library.search.search` on a store: that says more.

    Raises:
        LibraryError: If Milvus does not answer.
        InputError: If a path in the filters holds brackets, which Milvus cannot match.
    """
    query = Query.of_value(query)
    where = rows.where(filters, store.facts) if filters else ""
    few = Few(store)
    questions = ask(query, cast(Searched, few), weights).asked
    most = MOST // len(store.facts.spaces)
    depth = min(most, max(FIRST_DEPTH, 2 * k))
    while True:
        found = candidates(store, questions, depth, where)
        few.snapshot = Snapshot(0, found.ids, found.matrix, Exact(found.matrix))
        hits = local.search(
            cast(Searched, few), query, k, weights,
            per_artist=per_artist, per_album=per_album, fold_duplicates=fold_duplicates,
        )  # fmt: skip
        if found.everything or depth == most or (len(hits) == k and hits[-1].score >= found.bound):
            return [replace(hit, farther={}) for hit in hits]  # candidates are not the catalogue
        depth = min(most, DEEPER * depth)


def candidates(store: "MilvusStore", questions: Sequence[Question], depth: int, where: str = "") -> Candidates:
    """Songs among which the best are.

    Args:
        store: Where.
        questions: What is asked.
        depth: Songs that each field names, for each question.
        where: A boolean expression of Milvus.
    """
    found: dict[int, Floats] = {}
    bound, everything = -np.inf, True
    for question in questions:
        named = _nearest(store, question, depth, where)
        found |= named
        if len(named) >= depth:
            everything = False
            bound = max(bound, _bound(store.facts, question, np.stack(list(named.values())), depth))
    ids = sorted(found)
    matrix = np.array([found[number] for number in ids], np.float32).reshape(-1, store.facts.embedding_size)
    return Candidates(np.array(ids, np.int64), matrix, bound, everything)


def _nearest(store: "MilvusStore", question: Question, depth: int, where: str) -> dict[int, Floats]:
    """All songs that a field with a weight names: id -> vector."""
    parameters = {"metric_type": "IP", "params": {"ef": depth} if store.index_type == "HNSW" else {}}
    vectors = {rows.vector_field(name): question.directions[name].astype(np.float32) for name in question.weights}
    fields = [rows.vector_field(name) for name in store.facts.spaces]
    import pymilvus

    from .milvus import explained

    with explained(store.collection):
        if len(vectors) == 1:
            ((field, vector),) = vectors.items()
            found = store.client.search(
                store.collection, [vector.tolist()], anns_field=field, limit=depth, filter=where,
                search_params=parameters, output_fields=fields,
            )  # fmt: skip
        else:
            requests = [
                pymilvus.AnnSearchRequest([vector.tolist()], field, parameters, limit=depth, expr=where or None)
                for field, vector in vectors.items()
            ]
            ranker = pymilvus.WeightedRanker(*question.weights.values(), norm_score=False)
            most = min(MOST, depth * len(requests))  # all that any of them names
            found = store.client.hybrid_search(store.collection, requests, ranker, limit=most, output_fields=fields)
    return {hit["id"]: rows.embedding(hit["entity"], store.facts) for hit in found[0]}


def _bound(facts: Facts, question: Question, matrix: Floats, depth: int) -> float:
    """The score that no song exceeds that is not among those named, whose vectors ``[named, E]`` these are."""
    bound = 0.0
    for space, weight in question.weights.items():
        start, stop = facts.spaces[space]
        cosines = units(matrix[:, start:stop]) @ question.directions[space]
        # Those named by this field alone are its `depth` nearest, and the nearest of all that are named.
        bound += weight * float(np.partition(cosines, len(cosines) - depth)[len(cosines) - depth])
    return bound


class Few:
    """Some songs of a store as a library that can be searched; songs that a query names are asked of the store."""

    def __init__(self, store: "MilvusStore") -> None:
        self.facts = store.facts
        self.entries = store.entries
        self.one = lru_cache(maxsize=None)(store.one)  # a query is asked again when it goes deeper
        self.snapshot: Snapshot | None = None
        self._listener = _Listener(store)

    @property
    def database(self) -> "Few":
        return self

    @property
    def vectors(self) -> "Few":
        return self

    def current(self) -> Snapshot | None:
        return self.snapshot

    def model(self) -> "_Listener":
        return self._listener


class _Listener:
    """A model that listens to each song once."""

    def __init__(self, store: "MilvusStore") -> None:
        self.analyze = lru_cache(maxsize=None)(lambda source, **how: store.model().analyze(source, **how))
        self.tag_points = lambda: store.model().tag_points()
