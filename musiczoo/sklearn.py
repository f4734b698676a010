"""musiczoo in scikit-learn: a transformer from songs to embeddings.

Needs scikit-learn: ``pip install 'musiczoo[sklearn]'``. This module is ``musiczoo.sklearn``; inside it and everywhere
else ``import sklearn`` is scikit-learn.
"""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .audio import check_excerpts
from .errors import InputError, MissingDependencyError, MusicZooError, UnknownNameError
from .model import Model, load
from .track import Floats, Track

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise MissingDependencyError("musiczoo.sklearn needs scikit-learn: pip install 'musiczoo[sklearn]'.") from error

__all__ = ["Embedder"]


class Embedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Transform songs into embeddings, for any estimator of scikit-learn.

    Nothing is learnt: `fit` loads the model. It can be cloned, pickled and cross-validated like any other transformer.

    Args:
        model: Name or folder of a model, as `musiczoo.load` takes it; or a loaded `Model`.
        space: A sub-space of the model, such as ``"mood"``, whose embeddings are unit vectors; None is the whole
            embedding.
        excerpts: Analyze only this many excerpts of a song, spread over it, instead of all. A few are a good
            approximation, in less time.
        sample_rate: Hz of songs that are arrays of samples; None is the model's rate. Files state their own.

    Attributes:
        model_: The loaded `Model`.
        n_features_in_: Samples of a song, if `fit` got a matrix of samples.

    See Also:
        musiczoo.Model.analyze: What is done with each song.

    Examples:
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> from musiczoo.sklearn import Embedder
        >>> embedder = Embedder(space="mood", excerpts=1)
        >>> embedder.fit_transform(["song.ogg", "other.ogg"]).shape
        (2, 64)
        >>> embedder.get_feature_names_out()[:2].tolist()
        ['mood_0', 'mood_1']
        >>> classifier = make_pipeline(embedder, LogisticRegression()).fit(["song.ogg", "other.ogg"], ["jazz", "rock"])
        >>> classifier.classes_.tolist()
        ['jazz', 'rock']
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model = "disentangled-classification",
        *,
        space: str | None = None,
        excerpts: int | None = None,
        sample_rate: float | None = None,
    ) -> None:
        self.model = model
        self.space = space
        self.excerpts = excerpts
        self.sample_rate = sample_rate

    def fit(self, X: Any, y: Any = None) -> "Embedder":
        """Load the model. The songs are not read; only their form is checked.

        Args:
            X: Songs, as `transform` takes them.
            y: Not used.

        Raises:
            UnknownNameError: If there is no such model or space, with the nearest name.
            InputError: If `X` is no list of songs, or another argument is malformed.
            MusicZooError: If the model cannot be loaded: see `musiczoo.load`.

        Examples:
            >>> from musiczoo.sklearn import Embedder
            >>> Embedder().fit(["song.ogg"]).model_.name
            'disentangled-classification'
        """
        self._songs(X, reset=True)
        model = self.model if isinstance(self.model, Model) else load(self.model)
        if self.space is not None and self.space not in model.card.spaces:
            raise UnknownNameError.of("space", str(self.space), model.card.spaces)
        check_excerpts(model.card, None, self.excerpts)
        self.model_ = model
        return self

    def transform(self, X: Any) -> Floats:
        """Embed songs: ``[songs] -> [songs, embedding_size]``.

        Args:
            X: Songs: paths of audio files, or arrays of samples ``[samples]`` or ``[samples, channels]``, in a list,
                an array or a pandas Series; or one matrix ``[songs, samples]`` of samples in [-1, 1].

        Returns:
            One row a song, in order, float32. Songs that are all silent are rows of zeros.

        Raises:
            AudioNotFoundError: If there is no such file.
            AudioError: If a song cannot be decoded or holds values that are not finite. The first one is raised.
            InputError: If `X` is no list of songs.
            sklearn.exceptions.NotFittedError: Before `fit`.

        Examples:
            >>> from musiczoo.sklearn import Embedder
            >>> Embedder(excerpts=1).fit(["song.ogg"]).transform(["song.ogg", "other.ogg"]).shape
            (2, 256)
        """
        check_is_fitted(self, "model_")
        songs = self._songs(X, reset=False)
        rate = self.model_.card.sample_rate if self.sample_rate is None else self.sample_rate
        tracks = self.model_.analyze_many(list(songs), sample_rate=rate, excerpts=self.excerpts)
        return np.stack([self._embedding(track) for track in tracks])

    def _embedding(self, track: Track | MusicZooError) -> Floats:
        if isinstance(track, MusicZooError):
            raise track
        return track.embedding if self.space is None else track.space(self.space)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns: the space and the number of the dimension in it, such as ``mood_0``.

        Args:
            input_features: Not used.

        Raises:
            sklearn.exceptions.NotFittedError: Before `fit`.

        Examples:
            >>> from musiczoo.sklearn import Embedder
            >>> Embedder(space="era").fit(["song.ogg"]).get_feature_names_out()[-1]
            'era_63'
        """
        check_is_fitted(self, "model_")
        columns = self.model_.card.spaces
        spaces = columns if self.space is None else {self.space: columns[self.space]}
        ordered = sorted(spaces.items(), key=lambda item: item[1])
        names = [f"{name}_{i}" for name, (start, stop) in ordered for i in range(stop - start)]
        return np.asarray(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        """For scikit-learn: songs may be strings, nothing is learnt."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _songs(self, X: Any, reset: bool) -> Any:
        """A list of paths or arrays; or a checked matrix of samples, one row a song, whose columns are features."""
        if isinstance(X, str | bytes | os.PathLike):
            raise InputError(f"Expected a list of songs, got {X!r}. Put it in a list: [{X!r}].")
        table = X.to_numpy() if hasattr(X, "to_numpy") else X  # a column or a table of pandas
        if isinstance(table, np.ndarray) and table.dtype.kind in "OUT" and table.shape[1:] in ((), (1,)):
            table = table.ravel().tolist()
        if isinstance(table, list | tuple) and table and isinstance(table[0], str | os.PathLike | np.ndarray):
            return table
        return validate_data(self, X, dtype=[np.float32, np.float64, np.int16], reset=reset)
