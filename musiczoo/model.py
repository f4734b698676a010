"""Run a model: one onnxruntime session behind a card.

The graph takes waveforms, so nothing is computed outside it but the decoding of files, the cutting into
excerpts and the mean over them.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import audio
from .card import EMBEDDING_NAME, INPUT_NAME, MODEL_FILE, POINTS_FILE, TAGS_NAME, ModelCard, read_card, verify_files
from .decode import as_float32, as_samples
from .errors import AudioError, InputError, ModelFileError
from .registry import find
from .track import Floats, Tag, Tags, Track, summarise

__all__ = ["Model", "Tag", "Tags", "Track", "load"]

BATCH = 8
"""Excerpts in one run of the graph: memory stays the same however many there are."""

_CPU = "CPUExecutionProvider"
_DECISIVE = ("sample_rate", "excerpt_samples", "spaces", "space_id", "tags", "dimensions", "front_end")
"""The fields of `ModelCard.metadata` in which a card may not differ from its graph."""


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model: see `load`. Safe to use from several threads.

    Attributes:
        card: Everything to know about it.
    """

    card: ModelCard
    _session: Any = field(repr=False)
    _points: Floats | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Its name, as the card says it."""
        return self.card.name

    def embed(self, excerpts: ArrayLike) -> Floats:
        """Embed excerpts: ``[N, excerpt_samples] -> [N, embedding_size]``.

        Args:
            excerpts: Mono at the card's rate: floating point in [-1, 1], or int16 (divided by 32,768). Any N.

        Returns:
            One row an excerpt, the same (to float32's rounding) in whatever batches they come. Each of the
            card's spaces is a vector of length 1 / sqrt(number of spaces), unless the card says otherwise.

        Raises:
            InputError: If the shape or type is another.
            AudioError: If a sample is not finite.
        """
        return self._batches(excerpts, EMBEDDING_NAME, self.card.embedding_size)

    def tag(self, excerpts: ArrayLike) -> Floats:
        """Tag excerpts: ``[N, excerpt_samples] -> [N, tags]``, calibrated probabilities in the card's order.

        Takes and raises the same as `embed`.
        """
        return self._batches(excerpts, TAGS_NAME, len(self.card.tags))

    def tag_points(self) -> Floats | None:
        """Where each tag lies in the embedding space: ``[tags, embedding_size]``, in the card's order.

        Returns:
            Proxies, class vectors or prototypes: unit vectors in their tag's space, zero in the others. None for
            models whose tags are no points among embeddings, such as ``musicnn-msd``.
        """
        return None if self._points is None else self._points.copy()

    def analyze(
        self,
        source: str | os.PathLike[str] | ArrayLike,
        sample_rate: float | None = None,
        excerpts: int | None = None,
        hop: float | None = 3.0,
    ) -> Track:
        """Listen to a song.

        It is decoded, converted and heard in a stream: only results are kept, whatever its length. The last
        excerpt is dropped if it is not whole, unless there is no other: that one is padded with zeros.

        Args:
            source: Path of an audio file; or samples ``[samples]`` or ``[samples, channels]``, floating point
                in [-1, 1] or int16. Channels are averaged.
            sample_rate: Hz of the samples. Files state their own.
            excerpts: Hear only this many, from the middles of equal parts of the song, found by seeking. In a
                song too short for as many without overlap, fewer. `hop` is not used then.
            hop: Seconds from the start of one excerpt to the next; None is back to back.

        Returns:
            The track.

        Raises:
            AudioNotFoundError: If there is no such file.
            AudioError: If it cannot be decoded, is empty, or holds a value that is not finite.
            MissingDependencyError: If decoding it takes the extra ``musiczoo[av]``.
            InputError: If another argument is malformed.

        Warns:
            ShortAudioWarning: If zeros were added.
            TruncatedAudioWarning: If the file ends well before its declared length.
        """
        cut = audio.excerpts(source, self.card, hop_s=hop, count=excerpts, source_rate=sample_rate)
        times: list[float] = []
        embeddings: list[Floats] = []
        taggram: list[Floats] = []
        pairs = iter(cut)
        while batch := list(islice(pairs, BATCH)):
            times += [start for start, _ in batch]
            heard = self._run(np.stack([samples for _, samples in batch]), EMBEDDING_NAME, TAGS_NAME)
            embeddings.append(heard[0])
            taggram.append(heard[1])
        return summarise(
            self.card,
            np.array(times),
            np.concatenate(embeddings),
            np.concatenate(taggram),
            path=os.fspath(source) if isinstance(source, str | os.PathLike) else None,
            duration_s=cut.duration_s,
            padded=cut.padded,
        )

    def _batches(self, excerpts: ArrayLike, output: str, columns: int) -> Floats:
        array = _checked(excerpts, self.card)
        rows = [np.zeros((0, columns), np.float32)]
        for i in range(0, len(array), BATCH):
            batch = as_float32(array[i : i + BATCH])
            bad = np.argwhere(~np.isfinite(batch))
            if len(bad):
                row, column = (int(index) for index in bad[0])
                raise AudioError(
                    f"Expected finite samples, received {batch[row, column]} in excerpt {i + row} at "
                    f"{column / self.card.sample_rate:.3f} s. Repair or leave out that excerpt."
                )
            rows += self._run(batch, output)
        return np.concatenate(rows)

    def _run(self, batch: Floats, *outputs: str) -> list[Floats]:
        results: list[Floats] = self._session.run(list(outputs), {INPUT_NAME: batch})
        if not all(np.isfinite(result).all() for result in results):
            raise AudioError(
                f"Expected samples in [-1, 1], received magnitudes up to {np.abs(batch).max():.3g}, for "
                f"which {self.name} has no finite answer. Scale the audio."
            )
        return results


def load(
    name_or_folder: str | os.PathLike[str],
    providers: Sequence[str | tuple[str, dict[str, Any]]] | None = None,
    threads: int | None = None,
) -> Model:
    """Load a model: offline, without TensorFlow.

    Args:
        name_or_folder: One of `list_models`, or a folder with a card.json.
        providers: onnxruntime's execution providers, best first, such as ``["CUDAExecutionProvider"]`` (which
            comes with onnxruntime-gpu); default is the CPU, which is also the last resort of any other.
        threads: Threads of the CPU; default is one per physical core that this process may use.

    Raises:
        UnknownNameError: If there is no such model, with the nearest name.
        ModelFileError: If a file is missing, altered, or no model.
        CardError: If the card is malformed or of a newer format.
        InputError: If `threads` or `providers` is something else, with the providers that there are.
    """
    folder = find(name_or_folder)
    card = read_card(folder)
    if MODEL_FILE not in card.files:
        raise ModelFileError(
            f"Model {card.name!r}: expected the sha256 of {MODEL_FILE} in the card, received only "
            f"{sorted(card.files)}. Publish, import or install the model again."
        )
    verify_files(card, folder)
    session = _session(folder / MODEL_FILE, providers, threads)
    _check_graph(session, card, folder / MODEL_FILE)
    return Model(card, session, _points(card, folder / POINTS_FILE) if POINTS_FILE in card.files else None)


def _points(card: ModelCard, path: Path) -> Floats:
    """The tags' points, of which a file of float16 holds the directions."""
    try:
        points = np.asarray(np.load(path, allow_pickle=False), np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise ModelFileError(f"{path}: expected an array, received {error}. Install the model again.") from error
    expected = (len(card.tags), card.embedding_size)
    if points.shape != expected or not np.isfinite(points).all():
        raise ModelFileError(f"{path}: expected finite points {list(expected)}, received {list(points.shape)}.")
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.where(length > 0, length, 1), np.float32)


def _session(path: Path, providers: Sequence[Any] | None, threads: int | None) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    if isinstance(providers, str):
        raise InputError(f"Expected a list of providers, received the string {providers!r}: write [{providers!r}].")
    wanted = list(providers or [])
    available = onnxruntime.get_available_providers()
    for provider in wanted:
        name = provider if isinstance(provider, str) else provider[0]
        if name not in available:
            raise InputError(f"Expected providers out of {available}, received {name!r}. Install its package.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = _threads(threads)
    try:
        return onnxruntime.InferenceSession(path, options, providers=[*(p for p in wanted if p != _CPU), _CPU])
    except (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NotImplemented,
        errors.RuntimeException,
    ) as error:
        raise ModelFileError(f"{path}: expected an ONNX model that onnxruntime can run, received {error}") from error


def _threads(threads: int | None) -> int:
    """What onnxruntime is told; 0 is its default, one thread per physical core of the machine."""
    if threads is None:
        # A process may have fewer cores than the machine, as in a container: the default would be too many.
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return 0 if allowed is None or allowed == os.cpu_count() else allowed
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"Expected a whole number of threads from 1, received {threads!r}.")
    return threads


def _check_graph(session: Any, card: ModelCard, path: Path) -> None:
    """Compare the graph with the card.

    Raises:
        ModelFileError: If a name, a shape or the metadata in the graph differ from the card's.
    """
    expected = {
        INPUT_NAME: card.excerpt_samples,
        EMBEDDING_NAME: card.embedding_size,
        TAGS_NAME: len(card.tags),
    }
    nodes = [*session.get_inputs(), *session.get_outputs()]
    received = {node.name: (node.type, node.shape) for node in nodes}
    for name, columns in expected.items():
        kind, shape = received.get(name, ("nothing", []))
        if kind != "tensor(float)" or len(shape) != 2 or shape[1] != columns or isinstance(shape[0], int):
            raise ModelFileError(
                f"{path}: expected {name} as tensor(float) [N, {columns}], as the card says, received {kind} "
                f"{shape}. Export the model again."
            )
    graph, said = session.get_modelmeta().custom_metadata_map, card.metadata()
    for key in (f"musiczoo.{name}" for name in _DECISIVE):
        if key in graph and json.loads(graph[key]) != json.loads(said[key]):
            raise ModelFileError(
                f"{path}: expected the card's {key} {said[key]} in its metadata, received {graph[key]}. "
                "The card was altered, or is another model's: publish, import or install the model again."
            )


def _checked(excerpts: ArrayLike, card: ModelCard) -> NDArray[Any]:
    """The excerpts as an array of shape [N, excerpt_samples] and of a type that `as_float32` takes."""
    array = as_samples(excerpts)
    if array.ndim == 1:
        hint = "Add an axis: x[np.newaxis]."
    else:
        hint = "Cut songs into excerpts with Model.analyze, or resample and slice them."
    if array.ndim != 2 or array.shape[1] != card.excerpt_samples:
        raise InputError(
            f"Expected excerpts of shape [N, {card.excerpt_samples}], {card.excerpt_seconds:.3g} s mono "
            f"at {card.sample_rate} Hz, received {list(array.shape)}. {hint}"
        )
    return array
