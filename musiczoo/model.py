"""Run a model: one onnxruntime session behind a card.

The graph takes waveforms, so nothing is computed outside it but the decoding of files, the cutting into
excerpts and the mean over them.
"""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import audio
from ._files import UNREADABLE, read_npy
from ._parallel import mapped, overlapped, thread_count
from ._paths import absolute
from .audio.decode import as_float32, as_samples
from .audio.repair import Level, Repair
from .audio.source import AudioWarning, show
from .card import EMBEDDING_NAME, MODEL_FILE, POINTS_FILE, TAGS_NAME, ModelCard, read_card, verify_files
from .errors import AudioError, InputError, ModelFileError, MusicZooError, UnknownNameError
from .registry import find
from .session import batch_size, check_graph, open_session, run_session, with_space_of
from .track import Floats, Tag, Tags, Track, summarise

__all__ = ["Model", "Tag", "Tags", "Track", "load"]

PRECISIONS = {"float32": MODEL_FILE, "int8": "model.int8.onnx"}
"""What `load` takes as a precision, and the file of each."""


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model: see `load`. Safe to use from several threads and after a fork; pickled, it is loaded again.

    Attributes:
        card: Everything to know about it.
    """

    card: ModelCard
    _session: Any = field(repr=False)
    _threads: int = field(repr=False)
    _batch: int = field(repr=False)
    _points: Floats | None = field(default=None, repr=False)
    _loaded_with: tuple[Any, ...] | None = field(default=None, repr=False)

    def __reduce__(self) -> Any:
        """For processes that do not fork, and for copies: the same files, read again."""
        return _load_again, (self.card, self._loaded_with)

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
        """Analyze a song.

        It is decoded, converted and analyzed in a stream: only results are kept, whatever its length. The last
        excerpt is dropped if it is not whole, unless there is no other: that one is padded with zeros. Silent excerpts
        do not count; offsets, channels in opposite phase and very low levels are mended, with a warning.

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
            SilentAudioWarning: If all of it is silent.
            OppositePhaseWarning: If its channels cancel each other; one of them is analyzed.
            OffsetWarning: If a constant offset was removed.
            QuietAudioWarning: If it was amplified.
        """
        track, noticed = self._analyze(source, sample_rate, excerpts, hop)
        show(noticed)
        return track

    def analyze_many(
        self,
        sources: Iterable[str | os.PathLike[str] | ArrayLike],
        workers: int | None = None,
        sample_rate: float | None = None,
        excerpts: int | None = None,
        hop: float | None = 3.0,
    ) -> Generator[Track | MusicZooError, None, None]:
        """Analyze songs, several at a time, in less time than one after another.

        A song is decoded and run by one thread; threads for which no song is left help with the excerpts of the last
        ones. A few songs are in progress at a time, so memory does not grow with their number.

        >>> for path, track in zip(paths, model.analyze_many(paths)):  # doctest: +SKIP
        ...     print(path, track if isinstance(track, musiczoo.MusicZooError) else track.tags.top(3))

        Args:
            sources: Paths or samples, as `analyze` takes them; a list, or a generator of any length. The caller's
                thread iterates over it, a few sources ahead of what was yielded.
            workers: Songs analyzed at a time, and cores used; default is the model's `threads`.
            sample_rate: Hz of those sources that are samples.
            excerpts: See `analyze`.
            hop: See `analyze`.

        Yields:
            For each source, in order, its track, the same to the bit as that of `analyze`; or the error that `analyze`
            would raise for it. No Python warnings are issued: see `Track.warnings`.

        Raises:
            InputError: If another argument is malformed; at once.
        """
        if isinstance(sources, str | os.PathLike | np.ndarray):
            what = "one array" if isinstance(sources, np.ndarray) else f"one path {os.fspath(sources)!r}"
            raise InputError(f"Expected a list of sources, or another iterable, got {what}. Use Model.analyze.")
        audio.check_excerpts(self.card, hop, excerpts)
        threads = self._threads if workers is None else thread_count(workers, "workers")

        def analyze(source: str | os.PathLike[str] | ArrayLike) -> Track | MusicZooError:
            rate = None if isinstance(source, str | os.PathLike) else sample_rate
            try:
                return self._analyze(source, rate, excerpts, hop)[0]
            except MusicZooError as error:
                return error.with_traceback(None)  # which would keep what was decoded

        return mapped(analyze, sources, threads)

    def _analyze(
        self,
        source: str | os.PathLike[str] | ArrayLike,
        sample_rate: float | None,
        excerpts: int | None,
        hop: float | None,
    ) -> tuple[Track, Sequence[AudioWarning]]:
        """See `analyze`; and what was noticed, which is not shown."""
        done, repair = None, Repair()
        while done is None or repair != done:
            done = repair
            cut = audio.excerpts(source, self.card, hop, excerpts, sample_rate, done.channel)
            times, levels, embeddings, taggram = self._run_over(cut, done)
            repair = done.next(cut.mix, levels, cut.padded)
        noticed = [*cut.warnings, *done.warnings(cut.name, levels)]
        track = summarise(
            self.card,
            times,
            embeddings,
            taggram,
            path=os.fspath(source) if isinstance(source, str | os.PathLike) else None,
            duration_s=cut.duration_s,
            padded=cut.padded,
            silent=np.array([level.silent for level in levels]),
            warnings=tuple(str(warning) for warning in noticed),
        )
        return track, noticed

    def _run_over(self, cut: audio.Excerpts, repair: Repair) -> tuple[NDArray[np.float64], list[Level], Floats, Floats]:
        """Starts ``[excerpts]``, levels, embeddings ``[excerpts, E]`` and tags ``[excerpts, T]``; zeros for silence."""
        times: list[float] = []

        def batches() -> Iterator[list[audio.Read]]:
            pairs = cut.unread()
            while batch := list(islice(pairs, self._batch)):
                times.extend(start for start, _ in batch)
                yield [read for _, read in batch]

        def run(batch: list[audio.Read]) -> tuple[list[Level], Floats, Floats]:
            samples = [read() for read in batch]
            levels = [Level.of(excerpt) for excerpt in samples]
            embeddings = np.zeros((len(batch), self.card.embedding_size), np.float32)
            taggram = np.zeros((len(batch), len(self.card.tags)), np.float32)
            rows = [i for i, level in enumerate(levels) if not level.silent]
            if rows:
                music = np.stack([repair.apply(samples[i]) for i in rows])
                embeddings[rows], taggram[rows] = self._run(music, EMBEDDING_NAME, TAGS_NAME)
            return levels, embeddings, taggram

        results = overlapped(run, batches(), self._threads)
        levels, embeddings, taggram = zip(*results, strict=True)
        return np.array(times), list(chain(*levels)), np.concatenate(embeddings), np.concatenate(taggram)

    def _batches(self, excerpts: ArrayLike, output: str, columns: int) -> Floats:
        array = _checked(excerpts, self.card)

        def batches() -> Iterator[Floats]:
            for i in range(0, len(array), self._batch):
                batch = as_float32(array[i : i + self._batch])
                bad = np.argwhere(~np.isfinite(batch))
                if len(bad):
                    row, column = (int(index) for index in bad[0])
                    raise AudioError(
                        f"Expected finite samples, received {batch[row, column]} in excerpt {i + row} at "
                        f"{column / self.card.sample_rate:.3f} s. Repair or leave out that excerpt."
                    )
                yield batch

        rows = overlapped(lambda batch: self._run(batch, output)[0], batches(), self._threads)
        return np.concatenate([np.zeros((0, columns), np.float32), *rows])

    def _run(self, batch: Floats, *outputs: str) -> list[Floats]:
        results = run_session(self._session, self.card, outputs, batch)
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
    precision: str = "float32",
) -> Model:
    """Load a model: offline, without TensorFlow.

    Args:
        name_or_folder: One of `list_models`, or a folder with a card.json.
        providers: onnxruntime's execution providers, best first, such as ``["CUDAExecutionProvider"]`` (which
            comes with onnxruntime-gpu); default is the CPU, which is also the last resort of any other.
        threads: Cores to use; default is all that this process may use. The results are the same to the bit.
        precision: ``"int8"`` for the smaller version of models that have one. Its embeddings are compared with
            float ones only if the space id of the model's card is the same, that is, where that does no harm.

    Raises:
        UnknownNameError: If there is no such model or precision, with the nearest name.
        ModelFileError: If a file is missing, altered, or no model, or there is none of this precision.
        CardError: If the card is malformed or of a newer format.
        InputError: If `threads` or `providers` is something else, with the providers that there are.
    """
    folder, cores = find(name_or_folder), thread_count(threads)
    if precision not in PRECISIONS:
        raise UnknownNameError.of("precision", str(precision), PRECISIONS)
    card, file = read_card(folder), PRECISIONS[precision]
    if file not in card.files:
        next_step = (
            "Publish, import or install the model again."
            if file == MODEL_FILE
            else f"It has no {precision} version: load it without precision, or see: musiczoo quantize --help"
        )
        raise ModelFileError(
            f"Model {card.name!r}: expected the sha256 of {file} in the card, received only "
            f"{sorted(card.files)}. {next_step}"
        )
    try:
        contents = verify_files(card, folder, (file, POINTS_FILE))
    except ModelFileError:
        if read_card(folder) == card:
            raise
        return load(name_or_folder, providers, threads, precision)  # another version was published meanwhile
    session = open_session(contents[file], folder / file, providers)
    if file != MODEL_FILE:
        card = with_space_of(session, card)
    check_graph(session, card, folder / file)
    points = _points(card, contents[POINTS_FILE], folder / POINTS_FILE) if POINTS_FILE in contents else None
    again = str(absolute(folder)), providers, threads, precision
    return Model(card, session, cores, batch_size(session), points, again)


def _load_again(card: ModelCard, loaded_with: tuple[Any, ...]) -> Model:
    """What is pickled of a model.

    Raises:
        ModelFileError: If its folder holds another by now.
        MusicZooError: If it cannot be loaded.
    """
    model = load(*loaded_with)
    if model.card != card:
        raise ModelFileError(
            f"{loaded_with[0]}: expected version {card.version} of {card.name!r} ({card.space_id}), as it was when it "
            f"was pickled, received version {model.card.version} ({model.card.space_id}). Load it where it is used."
        )
    return model


def _points(card: ModelCard, content: bytes, path: Path) -> Floats:
    """The tags' points, of which a file of float16 holds the directions."""
    try:
        points = np.asarray(read_npy(content), np.float32)
    except UNREADABLE as error:
        raise ModelFileError(f"{path}: expected an array, received {error}. Install the model again.") from error
    expected = (len(card.tags), card.embedding_size)
    if points.shape != expected or not np.isfinite(points).all():
        raise ModelFileError(f"{path}: expected finite points {list(expected)}, received {list(points.shape)}.")
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.where(length > 0, length, 1), np.float32)


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
