"""Load and run models: one onnxruntime session and its card.

The graph takes waveforms. Outside it, files are decoded and cut into excerpts, and results are averaged.
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
from .audio.io import as_float32, as_samples
from .audio.repair import Level, Repair
from .audio.source import issue_warnings
from .card import EMBEDDING_NAME, MODEL_FILE, POINTS_FILE, TAGS_NAME, ModelCard, read_card, verify_files
from .errors import AudioError, InputError, ModelFileError, MusicZooError, UnknownNameError
from .hub import source_of
from .registry import find
from .session import batch_size, check_graph, open_session, run_session, with_space_of
from .track import Floats, Tag, Tags, Track, summarise

__all__ = ["Model", "Tag", "Tags", "Track", "load"]

PRECISIONS = {"float32": MODEL_FILE, "int8": "model.int8.onnx"}
"""Precision, as `load` takes it -> file."""


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model: see `load`.

    It may be used from several threads and after a fork. Unpickling it loads the same files again.

    Attributes:
        card: The model card: sample rate, tags, spaces, thresholds, metrics, limits.

    Example:
        >>> import numpy as np
        >>> import musiczoo
        >>> model = musiczoo.load("disentangled-classification")
        >>> excerpts = np.zeros((2, model.card.excerpt_samples), np.float32)
        >>> model.embed(excerpts).shape, model.tag(excerpts).shape
        ((2, 256), (2, 50))
    """

    card: ModelCard
    _session: Any = field(repr=False)
    _threads: int = field(repr=False)
    _batch: int = field(repr=False)
    _points: Floats | None = field(default=None, repr=False)
    _loaded_with: tuple[Any, ...] | None = field(default=None, repr=False)

    def __reduce__(self) -> Any:
        """Load the same files again, for processes that do not fork, and for copies."""
        return _load_again, (self.card, self._loaded_with)

    @property
    def name(self) -> str:
        """Name of the model, from its card."""
        return self.card.name

    @property
    def source(self) -> str | None:
        """Pinned address of the model, ``hf://user/model@commit``, if it came from the Hugging Face Hub."""
        return source_of(Path(self._loaded_with[0])) if self._loaded_with else None

    def embed(self, excerpts: ArrayLike) -> Floats:
        """Embed excerpts: ``[N, excerpt_samples] -> [N, embedding_size]``.

        For files and whole songs, use `analyze`.

        Args:
            excerpts: Mono samples at the card's rate: floating point in [-1, 1], or int16 (divided by 32,768). Any N.

        Returns:
            float32, one row for each excerpt. A row does not depend on the batch, except for rounding. Each of the
            card's spaces is a vector of length 1 / sqrt(number of spaces), unless the card says otherwise.

        Raises:
            InputError: If `excerpts` have another shape or type.
            AudioError: If a sample is not finite.

        Example:
            >>> import numpy as np
            >>> import musiczoo
            >>> model = musiczoo.load("disentangled-classification")
            >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, (4, model.card.excerpt_samples))
            >>> model.embed(noise).shape
            (4, 256)
        """
        return self._batches(excerpts, EMBEDDING_NAME, self.card.embedding_size)

    def tag(self, excerpts: ArrayLike) -> Floats:
        """Tag excerpts: ``[N, excerpt_samples] -> [N, tags]``.

        For files and whole songs, use `analyze`.

        Args:
            excerpts: As for `embed`.

        Returns:
            float32 probabilities from 0 to 1, one row for each excerpt, in the order of the card's tags.

        Raises:
            InputError: If `excerpts` have another shape or type.
            AudioError: If a sample is not finite.

        Example:
            >>> import numpy as np
            >>> import musiczoo
            >>> from musiczoo import audio, demo
            >>> model = musiczoo.load("disentangled-classification")
            >>> excerpts = np.stack([samples for _, samples in audio.excerpts(demo.PATH, model.card)])
            >>> model.tag(excerpts).shape
            (10, 50)
        """
        return self._batches(excerpts, TAGS_NAME, len(self.card.tags))

    def tag_points(self) -> Floats | None:
        """Return the point of each tag in the embedding space, in the order of the card's tags.

        Returns:
            ``[tags, embedding_size]`` float32: proxies, class vectors or prototypes, which are unit vectors in their
            tag's space and zero in the others. None for models whose tags have no points, such as ``musicnn-msd``.

        Example:
            >>> import musiczoo
            >>> musiczoo.load("disentangled-classification").tag_points().shape
            (50, 256)
        """
        return None if self._points is None else self._points.copy()

    def analyze(
        self,
        source: str | os.PathLike[str] | ArrayLike,
        sample_rate: float | None = None,
        excerpts: int | None = None,
        hop: float | None = 3.0,
    ) -> Track:
        """Analyze a song: a file, or samples in memory.

        The song is decoded, resampled and analyzed as a stream, so memory does not grow with its length. An incomplete
        last excerpt is dropped, unless it is the only one: then it is padded with zeros. Silent excerpts do not count.
        Constant offsets, channels in opposite phase and very low levels are repaired, with a warning.

        Args:
            source: Path of an audio file; or samples ``[samples]`` or ``[samples, channels]``, floating point
                in [-1, 1] or int16. Channels are averaged.
            sample_rate: Hz of the samples. Files state their own.
            excerpts: Number of excerpts to analyze, from the middles of equal parts of the song, found by seeking;
                fewer if the song is too short for them without overlap. `hop` is not used then. Default is the
                whole song.
            hop: Seconds from the start of one excerpt to the next; None is back to back.

        Returns:
            The track, with tags, embedding, and both over time.

        Raises:
            AudioNotFoundError: If there is no such file.
            AudioError: If the audio cannot be decoded, is empty, or holds a value that is not finite.
            MissingDependencyError: If decoding it needs the extra ``musiczoo[av]``.
            InputError: If another argument is malformed.

        Warns:
            ShortAudioWarning: If zeros were added.
            TruncatedAudioWarning: If the file ends well before its declared length.
            DamagedAudioWarning: If parts of the file are missing or damaged.
            LengthWarning: If the file is far larger than its header explains.
            SilentAudioWarning: If all of the audio is silent.
            OppositePhaseWarning: If the channels cancel each other; one of them is analyzed.
            OffsetWarning: If a constant offset was removed.
            QuietAudioWarning: If the audio was amplified.

        Example:
            >>> import musiczoo
            >>> from musiczoo import demo
            >>> model = musiczoo.load("disentangled-classification")
            >>> track = model.analyze(demo.PATH)
            >>> track.tags.top(2)[0].name
            'instrumental'
            >>> quick = model.analyze(demo.PATH, excerpts=2)
            >>> quick.times.tolist()
            [6.0, 21.0]
        """
        track, found = self._analyze(source, sample_rate, excerpts, hop)
        issue_warnings(found)
        return track

    def analyze_many(
        self,
        sources: Iterable[str | os.PathLike[str] | ArrayLike],
        workers: int | None = None,
        sample_rate: float | None = None,
        excerpts: int | None = None,
        hop: float | None = 3.0,
    ) -> Generator[Track | MusicZooError, None, None]:
        """Analyze songs in parallel.

        One thread decodes and runs a song. When fewer songs than threads are left, the others help with their excerpts.
        Only a few songs are in progress at a time, so memory does not grow with their number.

        Args:
            sources: Paths or samples, as `analyze` takes them; a list, or a generator of any length. The caller's
                thread iterates over it, a few sources ahead of the results.
            workers: Songs to analyze at a time, and cores to use; default is the model's `threads`.
            sample_rate: Hz of those sources that are samples.
            excerpts: See `analyze`.
            hop: See `analyze`.

        Yields:
            For each source, in order, its track, with the same bits as from `analyze`; or the error that `analyze`
            would raise. No Python warnings are issued: see `Track.warnings`.

        Raises:
            InputError: If another argument is malformed; immediately.

        Example:
            >>> import musiczoo
            >>> from musiczoo import demo
            >>> model = musiczoo.load("disentangled-classification")
            >>> for track in model.analyze_many([demo.PATH, "missing.mp3"], excerpts=2):
            ...     print(track if isinstance(track, musiczoo.MusicZooError) else track.tags.top(1)[0].name)
            instrumental
            No such file: 'missing.mp3'.
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
                return error.with_traceback(None)  # the traceback would keep the decoded samples alive

        return mapped(analyze, sources, threads)

    def _analyze(
        self,
        source: str | os.PathLike[str] | ArrayLike,
        sample_rate: float | None,
        excerpts: int | None,
        hop: float | None,
    ) -> tuple[Track, Sequence[audio.AudioWarning]]:
        """Return the result of `analyze`, and warnings that are not issued yet."""
        done, repair = None, Repair()
        while done is None or repair != done:
            done = repair
            cut = audio.excerpts(source, self.card, hop, excerpts, sample_rate, done.channel)
            times, levels, embeddings, taggram = self._run_over(cut, done)
            repair = done.next(cut.mix, levels, cut.padded)
        found = [*cut.warnings, *done.warnings(cut.name, levels)]
        track = summarise(
            self.card,
            times,
            embeddings,
            taggram,
            path=os.fspath(source) if isinstance(source, str | os.PathLike) else None,
            duration_s=cut.duration_s,
            padded=cut.padded,
            silent=np.array([level.silent for level in levels]),
            warnings=tuple(str(warning) for warning in found),
        )
        return track, found

    def _run_over(self, cut: audio.Excerpts, repair: Repair) -> tuple[NDArray[np.float64], list[Level], Floats, Floats]:
        """Return starts ``[excerpts]``, levels, embeddings ``[excerpts, E]`` and tags ``[excerpts, T]``.

        Embeddings and tags of silent excerpts are zeros.
        """
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
                        f"Expected finite samples, got {batch[row, column]} in excerpt {i + row} at "
                        f"{column / self.card.sample_rate:.3f} s. Repair or leave out that excerpt."
                    )
                yield batch

        rows = overlapped(lambda batch: self._run(batch, output)[0], batches(), self._threads)
        return np.concatenate([np.zeros((0, columns), np.float32), *rows])

    def _run(self, batch: Floats, *outputs: str) -> list[Floats]:
        results = run_session(self._session, self.card, outputs, batch)
        if not all(np.isfinite(result).all() for result in results):
            raise AudioError(
                f"Expected samples in [-1, 1], got magnitudes up to {np.abs(batch).max():.3g}, for which {self.name} "
                "returns no finite results. Scale the audio."
            )
        return results


def load(
    name_or_folder: str | os.PathLike[str],
    providers: Sequence[str | tuple[str, dict[str, Any]]] | None = None,
    threads: int | None = None,
    precision: str = "float32",
) -> Model:
    """Load a model. Works without TensorFlow, and offline unless a model of the Hugging Face Hub is downloaded.

    Args:
        name_or_folder: A name from `list_models`, a folder with a card.json, or ``hf://user/model@revision`` (needs the
            extra ``musiczoo[hub]``; see `musiczoo.hub.fetch`). Without ``@revision``, the main branch.
        providers: onnxruntime's execution providers, best first, such as ``["CUDAExecutionProvider"]`` (needs
            onnxruntime-gpu). Default is the CPU, which is also the fallback of any other.
        threads: Cores to use; default is all that this process may use. The results have the same bits.
        precision: ``"int8"`` for the smaller and faster version of models that have one. Its embeddings may be
            compared with float32 ones only if ``model.card.space_id`` is the same.

    Returns:
        The model.

    Raises:
        UnknownNameError: If there is no such model or precision; it suggests a similar name.
        ModelFileError: If a file is missing, altered or not a model, or the model has no version of this precision.
        CardError: If the card is malformed or of a newer format.
        InputError: If `threads` or `providers` is invalid; it lists the available providers.
        HubError: If a model is neither in the Hub's cache nor can be downloaded.

    Example:
        >>> import musiczoo
        >>> model = musiczoo.load("disentangled-classification")
        >>> model.name, len(model.card.tags), list(model.card.spaces)
        ('disentangled-classification', 50, ['genre', 'mood', 'instrument', 'era'])
    """
    folder, cores = find(name_or_folder), thread_count(threads)
    if precision not in PRECISIONS:
        raise UnknownNameError.of("precision", str(precision), PRECISIONS)
    card, file = read_card(folder), PRECISIONS[precision]
    if file not in card.files:
        next_step = (
            "Publish, import or install the model again."
            if file == MODEL_FILE
            else f"The model has no {precision} version: load it without precision, or see: musiczoo quantize --help"
        )
        raise ModelFileError(
            f"Model {card.name!r}: expected the sha256 of {file} in the card, got only "
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
    """Load a pickled model.

    Raises:
        ModelFileError: If its folder holds another model by now.
        MusicZooError: If it cannot be loaded.
    """
    model = load(*loaded_with)
    if model.card != card:
        raise ModelFileError(
            f"{loaded_with[0]}: expected version {card.version} of {card.name!r} ({card.space_id}), as it was when it "
            f"was pickled, got version {model.card.version} ({model.card.space_id}). Load it where it is used."
        )
    return model


def _points(card: ModelCard, content: bytes, path: Path) -> Floats:
    """Return the tags' points; the file holds their directions as float16."""
    try:
        points = np.asarray(read_npy(content), np.float32)
    except UNREADABLE as error:
        raise ModelFileError(f"{path}: expected an array, got {error}. Install the model again.") from error
    expected = (len(card.tags), card.embedding_size)
    if points.shape != expected or not np.isfinite(points).all():
        raise ModelFileError(f"{path}: expected finite points {list(expected)}, got {list(points.shape)}.")
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.where(length > 0, length, 1), np.float32)


def _checked(excerpts: ArrayLike, card: ModelCard) -> NDArray[Any]:
    """Return the excerpts as an array of shape [N, excerpt_samples], of a type that `as_float32` converts."""
    expected = (
        f"Expected excerpts of shape [N, {card.excerpt_samples}], {card.excerpt_seconds:.3g} s mono at "
        f"{card.sample_rate} Hz, got"
    )
    if isinstance(excerpts, str | os.PathLike):
        raise InputError(f"{expected} the path {os.fspath(excerpts)!r}. Use Model.analyze for files.")
    array = as_samples(excerpts)
    if array.ndim != 2 or array.shape[1] != card.excerpt_samples:
        if array.shape == (card.excerpt_samples,):
            hint = "Add an axis: x[np.newaxis]."
        else:
            hint = "Use Model.analyze(samples, sample_rate=...) for whole songs."
        raise InputError(f"{expected} {list(array.shape)}. {hint}")
    return array
