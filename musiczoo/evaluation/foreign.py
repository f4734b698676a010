"""Encoders that are no musiczoo model, measured by the same tasks: a Python callable, or a file of embeddings.

Conventions
-----------
- A foreign encoder gets the same excerpts as a zoo model: decoded, resampled to its rate, mixed to mono, cut, repaired
  and averaged by musiczoo. Only the step from waveform to embedding is its own.
- Embeddings are compared by cosine: each is scaled to unit length. Rows of zeros stay zeros.
- There is one space, ``all``. Tasks that need tags are skipped, unless the encoder predicts them.
"""

import importlib.util
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from musiczoo._files import UNREADABLE, open_npz
from musiczoo.card import EMBEDDING_NAME, TAGS_NAME, FrontEnd, ModelCard, check, check_spaces
from musiczoo.datasets.prepared import TrackEntry
from musiczoo.errors import DatasetError, InputError, UnknownNameError
from musiczoo.model import Model
from musiczoo.taxonomy import PLAIN_SPACE

from .embeddings import Floats, Outputs

IDS, EMBEDDINGS = "ids", "embeddings"
"""Names of the arrays of a file of embeddings."""

_BATCH = 32
"""Excerpts in one call of an encoder."""

_PROBE_LEVEL = 0.01
"""Level of the noise that an encoder gets once, to learn the size of its embedding: silence has no log-mel."""


@runtime_checkable
class Encoder(Protocol):
    """Any callable from excerpts to embeddings that has two attributes; a function may carry them.

    Called with ``[N, samples]`` float32, mono, in [-1, 1], of `excerpt_seconds` each, for any N. Returns ``[N, E]``. If
    it also predicts tags, it has their names in an attribute ``tags`` and returns ``{"embedding": [N, E], "tags":
    [N, T]}``, with probabilities. It is never called by two threads at a time.

    Attributes:
        sample_rate: Hz of the excerpts.
        excerpt_seconds: Length of an excerpt.

    Example:
        >>> def loudness(excerpts):
        ...     return np.stack([np.abs(excerpts).mean(axis=1), excerpts.std(axis=1)], axis=1)
        >>> loudness.sample_rate, loudness.excerpt_seconds = 16_000, 3.0
        >>> isinstance(loudness, Encoder)
        True
    """

    sample_rate: int
    excerpt_seconds: float

    def __call__(self, excerpts: Floats, /) -> Any:
        """``[N, samples] -> [N, E]``."""


@dataclass(frozen=True)
class _Card(ModelCard):
    """The card of an encoder that is no musiczoo model: it may lack tags."""

    def __post_init__(self) -> None:
        """Check the sizes, and nothing about tags."""
        for name in ("sample_rate", "excerpt_samples", "embedding_size"):
            check(getattr(self, name) > 0, name, "a positive number", getattr(self, name))
        check_spaces(self.spaces, self.embedding_size)

    @classmethod
    def of(cls, name: str, size: int, sample_rate: int, excerpt_samples: int, tags: Sequence[str] = ()) -> "_Card":
        """Return a card of one space, with `size` columns."""
        return cls(
            name=name,
            version="",
            summary="Not a musiczoo model.",
            licence="",
            sample_rate=sample_rate,
            excerpt_samples=excerpt_samples,
            embedding_size=size,
            spaces={PLAIN_SPACE: (0, size)},
            space_id=f"{name}/foreign",
            tags=tuple(tags),
            dimensions={PLAIN_SPACE: tuple(tags)},
            thresholds=dict.fromkeys(tags, 0.5),
            front_end=FrontEnd(n_fft=0, n_mels=0, gain=0.0),
            parameters=0,
        )


class _EncoderModel(Model):
    """A model whose graph is an encoder."""

    def __reduce__(self) -> Any:
        """Copy the encoder itself: there are no files to load it from again."""
        return type(self), (self.card, self._session, self._threads, self._batch)

    def _run(self, batch: Floats, *outputs: str) -> list[Floats]:
        with _ALONE:
            found = _answer(self._session, batch)
        if TAGS_NAME not in found:
            found[TAGS_NAME] = np.zeros((len(batch), 0), np.float32)
        columns = {EMBEDDING_NAME: self.card.embedding_size, TAGS_NAME: len(self.card.tags)}
        for name in outputs:
            if found[name].shape != (len(batch), columns[name]) or not np.isfinite(found[name]).all():
                raise InputError(
                    f"Encoder {self.name!r}: expected finite {name} {[len(batch), columns[name]]}, got "
                    f"{list(found[name].shape)}{'' if np.isfinite(found[name]).all() else ' with NaN or infinity'}."
                )
        return [_unit(found[name]) if name == EMBEDDING_NAME else found[name] for name in outputs]


_ALONE = threading.Lock()
"""Held while an encoder runs: few promise to run in several threads."""


def as_model(encoder: Encoder, name: str | None = None) -> Model:
    """Return an encoder in the form of a `musiczoo.Model`, to analyze files with it and to evaluate it.

    Args:
        encoder: See `Encoder`. It is called once, with noise, for the size of its embedding.
        name: Name in reports; by default its attribute ``name``, or the name of the function or class.

    Raises:
        InputError: If it lacks the two attributes, or returns something else.

    Example:
        >>> def loudness(excerpts):
        ...     return np.stack([np.abs(excerpts).mean(axis=1), excerpts.std(axis=1)], axis=1)
        >>> loudness.sample_rate, loudness.excerpt_seconds = 16_000, 3.0
        >>> model = as_model(loudness)
        >>> model.name, model.analyze("song.ogg").embedding.shape
        ('loudness', (2,))
    """
    called = name or name_of(encoder)
    rate, seconds = getattr(encoder, "sample_rate", None), getattr(encoder, "excerpt_seconds", None)
    if not callable(encoder) or not _positive(rate) or not _positive(seconds):
        raise InputError(
            f"Encoder {called!r}: expected a callable with the attributes sample_rate (in Hz) and excerpt_seconds, got "
            f"{type(encoder).__name__} with {rate!r} and {seconds!r}. Set them: {called}.sample_rate = 22050"
        )
    samples = round(rate * seconds)
    noise = np.random.default_rng(0).normal(0, _PROBE_LEVEL, (1, samples)).astype(np.float32)
    found = _answer(encoder, noise)
    shape = found[EMBEDDING_NAME].shape
    if len(shape) != 2 or shape[0] != 1 or not shape[1]:
        raise InputError(f"Encoder {called!r}: expected embeddings [1, E] of one excerpt, got {list(shape)}.")
    tags = tuple(getattr(encoder, "tags", ())) if TAGS_NAME in found else ()
    card = _Card.of(called, shape[1], int(rate), samples, tags)
    return _EncoderModel(card, encoder, _threads=1, _batch=_BATCH)


def name_of(encoder: object) -> str:
    """Return the attribute ``name`` of an encoder; without one, the name of the function or class.

    Example:
        >>> name_of(np.mean)
        'mean'
    """
    return str(getattr(encoder, "name", "") or getattr(encoder, "__name__", type(encoder).__name__))


def load_encoder(reference: str) -> Model:
    """Run a Python file and return an encoder that it defines, as `as_model` does.

    Only the named file runs, with all that it imports: name files that you trust.

    Args:
        reference: ``FILE.py:NAME``, where NAME is an `Encoder`, or a class of one that is made without arguments.

    Raises:
        InputError: If the reference has another form, there is no such file, or NAME is no encoder.
        UnknownNameError: If the file defines no such name.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("mine.py").write_text('''
        ... import numpy as np
        ... def loudness(excerpts):
        ...     return np.abs(excerpts).mean(axis=1, keepdims=True)
        ... loudness.sample_rate, loudness.excerpt_seconds = 16_000, 3.0
        ... ''')
        >>> load_encoder("mine.py:loudness").name
        'loudness'
    """
    file, _, name = reference.rpartition(":")
    path = Path(file)
    if path.suffix != ".py" or not name.isidentifier():
        raise InputError(f"Expected an encoder as FILE.py:NAME, got {reference!r}.")
    spec = importlib.util.spec_from_file_location(f"musiczoo_encoder_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(f"No such file: {file!r}. Name the Python file that defines {name}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look modules up there
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise UnknownNameError.of(f"encoder in {file}", name, [key for key in vars(module) if not key.startswith("_")])
    found: Any = getattr(module, name)
    if isinstance(found, type):
        found = found()
    return as_model(found, str(getattr(found, "name", "") or name))


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of tracks that were computed elsewhere.

    Attributes:
        name: Name in reports.
        ids: ``[rows]``: the track of each row. Rows of one track are its excerpts, in order; a track may have one row.
        rows: ``[rows, E]`` float32, scaled to unit length.

    Example:
        >>> from musiczoo.datasets.prepared import TrackEntry
        >>> track = TrackEntry("a", "test", "a.flac", 6.0, 258, "", "", "", "CC0", "")
        >>> theirs = Embeddings("theirs", ("a", "a"), np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
        >>> theirs.outputs([track]).vectors.round(3)
        array([[0.707, 0.707]], dtype=float32)
    """

    name: str
    ids: tuple[str, ...]
    rows: Floats

    @classmethod
    def read(cls, path: Path) -> "Embeddings":
        """Read an .npz file with the arrays ``ids`` [rows], of text, and ``embeddings`` [rows, E].

        The name is that of the file. It may have tracks that are not in the evaluation.

        Raises:
            DatasetError: If the file cannot be read, or holds something else.

        Example:
            >>> from pathlib import Path
            >>> np.savez("mine.npz", ids=["a", "b"], embeddings=np.array([[3.0, 4.0], [1.0, 0.0]]))
            >>> Embeddings.read(Path("mine.npz")).rows.round(1).tolist()[1]
            [1.0, 0.0]
        """
        try:
            with open_npz(path) as file:
                ids, rows = np.asarray(file[IDS]), np.asarray(file[EMBEDDINGS])
        except UNREADABLE as error:
            raise DatasetError(
                f"{path}: expected an .npz file with the arrays {IDS} and {EMBEDDINGS}, got {error!r}."
            ) from error
        fits = ids.dtype.kind == "U" and rows.dtype.kind == "f" and rows.ndim == 2 and ids.shape == rows.shape[:1]
        if not fits or 0 in rows.shape or not np.isfinite(rows).all():
            raise DatasetError(
                f"{path}: expected {IDS} [rows] of text and finite {EMBEDDINGS} [rows, E] of floats, got "
                f"{list(ids.shape)} of {ids.dtype} and {list(rows.shape)} of {rows.dtype}."
            )
        return cls(path.stem, tuple(map(str, ids)), _unit(rows))

    @property
    def card(self) -> ModelCard:
        """A card with the name and the size of the embedding."""
        return _Card.of(self.name, self.rows.shape[1], 1, 1)

    def outputs(self, tracks: Sequence[TrackEntry]) -> Outputs:
        """Return the embeddings of some tracks: the mean of the rows of each, scaled to unit length.

        Raises:
            InputError: If a track has no row.
        """
        of_track: dict[str, list[int]] = {}
        for row, track_id in enumerate(self.ids):
            of_track.setdefault(track_id, []).append(row)
        lacking = [track.id for track in tracks if track.id not in of_track]
        if lacking:
            raise InputError(
                f"{self.name}: expected embeddings of {len(tracks)} tracks, got none of {len(lacking)} of them "
                f"({', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''}). Ids are those of index.json."
            )
        excerpts = tuple(self.rows[of_track[track.id]] for track in tracks)
        means = np.array([rows.mean(axis=0, dtype=np.float64) for rows in excerpts]).reshape(-1, self.rows.shape[1])
        tags = np.zeros((len(tracks), 0), np.float32)
        return Outputs(tuple(track.id for track in tracks), _unit(means), tags, excerpts)


def _answer(encoder: Encoder, excerpts: Floats) -> dict[str, Floats]:
    """Return what an encoder answers: the embedding, and the tags if there are any."""
    found = encoder(excerpts)
    named = found if isinstance(found, Mapping) else {EMBEDDING_NAME: found}
    if EMBEDDING_NAME not in named:
        raise InputError(f"Expected {EMBEDDING_NAME!r} among the outputs of the encoder, got {', '.join(named)}.")
    return {name: np.asarray(named[name], np.float32) for name in (EMBEDDING_NAME, TAGS_NAME) if name in named}


def _unit(rows: NDArray[Any]) -> Floats:
    """Scale rows to unit length; zeros stay zeros."""
    length = np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), np.float32)


def _positive(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
