"""Prototypes: the mean embedding of each tag's training tracks, by which triplet models tag.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.3.
"""

import keras
import numpy as np
from numpy.typing import NDArray

from musiczoo.card import EMBEDDING_NAME
from musiczoo.models.data import Excerpts, standardise
from musiczoo.models.sampling import Places

PER_TRACK = 10
"""Excerpts that are heard of a track, spread over it: more move a track's mean by little."""


def prototypes(model: keras.Model, excerpts: Excerpts) -> NDArray[np.float32]:
    """The mean embedding of the tracks that have each tag, ``[E, T]``; zeros for a tag that no track has.

    Args:
        model: Log-mel -> embedding, as `musiczoo.models.architectures.build` makes it.
        excerpts: The training split.
    """
    embed = keras.Model(model.input, model.get_layer(EMBEDDING_NAME).output)
    means = np.stack([_track_mean(embed, excerpts, track) for track in range(len(excerpts.labels))])
    tags = excerpts.tags.astype(np.float32)
    return np.asarray(means.T @ tags / np.maximum(tags.sum(axis=0), 1), np.float32)


def _track_mean(embed: keras.Model, excerpts: Excerpts, track: int) -> NDArray[np.float32]:
    rows = len(excerpts.labels[track])
    positions = np.unique(np.rint(np.linspace(0, rows - 1, PER_TRACK)))
    log_mels, _ = excerpts.at(Places(np.full(len(positions), track), positions))
    mean: NDArray[np.float32] = np.asarray(embed(standardise(log_mels), training=False)).mean(axis=0)
    return mean
