"""The two disentangled models that `musiczoo import musicnn` makes of its networks: heads that come with musiczoo.

A head's weights lie in ``heads/<name>.npz`` beside this file, in float16, and what its card says of the training and of
its metrics in ``heads/<name>.json``. `musiczoo.models.distilled_head` trained them.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musiczoo import audio, demo
from musiczoo._paths import scratch_folder
from musiczoo.card import ModelCard, read_card
from musiczoo.export.graft import graft
from musiczoo.export.head import Head
from musiczoo.export.publish import publish
from musiczoo.models.frozen_encoder import Encoder, encoder_fields, open_encoder
from musiczoo.taxonomy import DIMENSION_TAGS

FOLDER = Path(__file__).with_name("heads")


@dataclass(frozen=True)
class PublishedHead:
    """A head that comes with musiczoo.

    Attributes:
        name: Of the model that it makes.
        network: The network of the musicnn wheel that it is for.
    """

    name: str
    network: str

    @property
    def file(self) -> Path:
        """Its weights."""
        return FOLDER / f"{self.name}.npz"


HEADS = (
    PublishedHead("musicnn-disentangled", "musicnn-msd"),
    PublishedHead("vgg-disentangled", "vgg-msd"),
)


def make(published: PublishedHead, network: Path, zoo: Path | None) -> Path:
    """Join a published head and its network, and put the model into a zoo.

    Args:
        published: Which head.
        network: Folder of the network.
        zoo: Folder of models; the user's zoo by default.

    Returns:
        The model's folder.

    Raises:
        ModelFileError: If a file is missing, altered, or the zoo cannot be written.
        ParityError: If the joined model gives other numbers than its parts.
    """
    encoder, head = open_encoder(network), Head.read(published.file)
    card = card_of(published, read_card(network), encoder, head)
    with scratch_folder("head") as scratch:
        graft(encoder, head, card, gate_excerpts(card), scratch)
        return publish(scratch, zoo)


def gate_excerpts(card: ModelCard) -> NDArray[np.float32]:
    """The music that comes with musiczoo, cut into excerpts for the gate: ``[N, excerpt_samples]``."""
    samples = audio.read(demo.PATH, card.sample_rate)
    count = len(samples) // card.excerpt_samples
    return samples[: count * card.excerpt_samples].reshape(count, -1)


def card_of(published: PublishedHead, network: ModelCard, encoder: Encoder, head: Head) -> ModelCard:
    """The card of a model that a published head makes."""
    said = json.loads(published.file.with_suffix(".json").read_text(encoding="utf-8"))
    weights = hashlib.sha256(published.file.read_bytes()).hexdigest()[:12]
    return ModelCard(
        name=published.name,
        version="0.1.0",
        summary=f"{network.name} with disentangled embeddings: its tags from four 64-d unit embeddings "
        f"({', '.join(head.spaces)}).",
        licence=f"MIT (head), {network.licence} (encoder)",
        sample_rate=network.sample_rate,
        excerpt_samples=network.excerpt_samples,
        embedding_size=head.kernel.shape[1],
        spaces=dict(head.spaces),
        space_id=f"{published.name}/{weights}",
        tags=network.tags,
        dimensions=DIMENSION_TAGS,
        thresholds=network.thresholds,
        front_end=network.front_end,
        parameters=network.parameters + head.parameters,
        data=f"The encoder: {network.data} The head: {said['data']}",
        labels=f"Pseudo-labels for the head: no person tagged what it was trained on, it learnt to repeat the tags of "
        f"{network.name}, mistakes included. Those of {network.name}: {network.labels}",
        metrics=said["metrics"],
        recipe={**said["recipe"], **encoder_fields(encoder)},
        limits=(
            f"Metrics measure agreement with {network.name}, not with listeners.",
            "The sub-spaces learnt from pseudo-labels of game music and of made feature vectors; nobody judged them.",
            *network.limits,
        ),
        intended_use=(
            "Tags and similarity per dimension for music of all kinds, pop and singing above all; where speed counts, "
            "disentangled-classification is several times as fast. Not for decisions about people, for detecting who "
            "owns a recording, or as ground truth."
        ),
        sources=(*_SOURCES, *network.sources),
    )


_SOURCES = (
    "Lee, Bryan, Salamon, Jin, Nam: Metric Learning vs Classification for Disentangled Music "
    "Representation Learning, ISMIR 2020 (arXiv:2008.03729)",
)
